package export_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"agentsync/internal/agent"
	"agentsync/internal/export"
)

func TestKeys(t *testing.T) {
	p := load(t, "mindset")
	keys := export.Keys{"taken": true}
	long := strings.Repeat("long ", 30)
	for _, tt := range []struct{ name, tenant, want string }{
		{"Onboarding coach", "", "onboarding-coach"},
		{"Onboarding  Coach!", "", "onboarding-coach-2"},
		{"Taken", "", "taken-2"},
		{"Handbook", "Acme_North", "acme_north.handbook"},
		{"Handbook", "acme_north", "acme_north.handbook-2"},
		{"Crème brûlée für Łódź, Straße & Cie.", "", "creme-brulee-fur-lodz-strasse-cie"},
		{"e\u0301te\u0301", "", "ete"},
		{"日本語", "", "agent-u-1"},
		{"日本語", "acme", "acme"},
		{" -- ", "", "agent-u-1-2"},
		{long, "", strings.Repeat("long-", 12) + "lon"},
		{long, "", strings.Repeat("long-", 12) + "l-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := keys.Name(p, agent.Fields{"agentName": tt.name, "externalTenantId": tt.tenant}, "U 1")
			if got != tt.want {
				t.Errorf("%q of %q gets the key %q, want %q", tt.name, tt.tenant, got, tt.want)
			}
		})
	}
}

// Every name leads to a key that is valid and was not given before.
func TestKeysValid(t *testing.T) {
	p := load(t, "mindset")
	rapid.Check(t, func(rt *rapid.T) {
		given := map[string]bool{}
		keys := export.Keys{}
		for range rapid.IntRange(1, 30).Draw(rt, "n") {
			name := rapid.SampledFrom([]string{rapid.String().Draw(rt, "any"), "same", strings.Repeat("x", 70), "...",
				"-a-"}).Draw(rt, "name")
			tenant := rapid.SampledFrom([]string{"", "", "t", "-T_"}).Draw(rt, "tenant")
			key := keys.Name(p, agent.Fields{"agentName": name, "externalTenantId": tenant}, rapid.String().
				Draw(rt, "uid"))
			if !agent.ValidKey(key) || given[key] {
				rt.Fatalf("%q of %q gets the key %q (given before: %v)", name, tenant, key, given[key])
			}
			given[key] = true
		}
	})
}
