package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
)

// loadText loads one manifest with some variables set and returns its fleet; it must be right.
func loadText(t *testing.T, text string, vars ...string) *Fleet {
	t.Helper()
	fleet, problems := tryText(t, text, vars...)
	if problems.HasErrors() {
		t.Fatalf("a right manifest gave problems:\n%s", lines(problems))
	}
	return fleet
}

func tryText(t *testing.T, text string, vars ...string) (*Fleet, diag.List) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a.yaml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	fleet, problems, err := Load(t.Context(), []string{"a.yaml"},
		Options{Env: variables(vars...), Platforms: platforms(t)})
	if err != nil {
		t.Fatal(err)
	}
	return fleet, problems
}

// reveal returns the agent's fields with every secret in the clear.
func reveal(t *testing.T, a agent.Desired, vars ...string) map[string]any {
	t.Helper()
	resolved, err := a.Fields.Resolve(variables(vars...))
	if err != nil {
		t.Fatal(err)
	}
	v := agent.Walk("", map[string]any(resolved), func(_ string, leaf any) any {
		if s, ok := leaf.(secret.Text); ok {
			clear, err := s.Reveal()
			if err != nil {
				t.Fatal(err)
			}
			return clear
		}
		return leaf
	})
	return v.(map[string]any)
}

func TestExampleFleetIsRight(t *testing.T) {
	fleet, problems := load(t, "../../manifests")
	if len(problems) > 0 {
		t.Errorf("the example fleet has problems:\n%s", lines(problems))
	}
	if len(fleet.Agents) < 6 || len(fleet.Apps) != 2 || len(fleet.Files) != 2 {
		t.Errorf("the example fleet has %d agents, %d apps, %d files", len(fleet.Agents), len(fleet.Apps),
			len(fleet.Files))
	}
}

func TestDefaultsMerge(t *testing.T) {
	fleet := loadText(t, `version: 1
cometchat:
  appId: 2754abc
  region: us
  defaults:
    icon: https://cdn.example.com/bot.png
    integrateWith: mastra
    integrationType: agent
    isActive: false
    integrationMeta: {baseUrl: https://agents.example.com}
    tools: [search, mail]
    metaData: {greetingMessage: Hello, nested: {a: 1, b: [x, ~]}}
    lifecycle: {protect: true, ignoreChanges: [tools]}
  agents:
    - key: a
      name: A
      integrationMeta: {agentId: a}
      tools: [fetch]
      metaData: {greetingMessage: ~, nested: {a: 2.50}}
      lifecycle: {protect: false}
    - key: b
      name: B
      isActive: ~
`)
	a, b := fleet.Agents[0], fleet.Agents[1]
	want := map[string]any{
		"name": "A", "icon": "https://cdn.example.com/bot.png", "integrateWith": "mastra", "integrationType": "agent",
		"isActive": false, "tools": []any{"fetch"},
		"integrationMeta": map[string]any{"baseUrl": "https://agents.example.com", "agentId": "a"},
		"metaData":        map[string]any{"nested": map[string]any{"a": json.Number("2.5"), "b": []any{"x", nil}}},
	}
	if diff := cmp.Diff(want, map[string]any(a.Fields)); diff != "" {
		t.Errorf("agent a (-want +got):\n%s", diff)
	}
	if _, ok := b.Fields["isActive"]; ok {
		t.Error("an explicit null did not take the default away")
	}
	if diff := cmp.Diff(map[string]any{"baseUrl": "https://agents.example.com"},
		b.Fields["integrationMeta"]); diff != "" {
		t.Errorf("one agent's values reached another's (-want +got):\n%s", diff)
	}
	if a.Protect || !b.Protect || !cmp.Equal(a.IgnoreChanges, []string{"tools"}) {
		t.Errorf("lifecycle is %v %v %v", a.Protect, b.Protect, a.IgnoreChanges)
	}
	if fleet.Apps[a.Address.ID()].APIKeyEnv != "COMETCHAT_API_KEY" {
		t.Errorf("the app is %+v", fleet.Apps[a.Address.ID()])
	}
}

func TestMergeKeys(t *testing.T) {
	fleet := loadText(t, `version: 1
x-first: &first {live: true, tags: [first]}
x-second: &second {<<: *first, tags: [second], access: openAccess}
mindset:
  appUid: acme
  agents:
    - <<: [*first, *second]
      key: a
      agentName: A
    - &b
      <<: *second
      key: b
      agentName: B
      live: false
    - {<<: *b, key: c}
`)
	want := []map[string]any{
		{"agentName": "A", "live": true, "tags": []any{"first"}, "access": "openAccess"},
		{"agentName": "B", "live": false, "tags": []any{"second"}, "access": "openAccess"},
		{"agentName": "B", "live": false, "tags": []any{"second"}, "access": "openAccess"},
	}
	for i, w := range want {
		if diff := cmp.Diff(w, map[string]any(fleet.Agents[i].Fields)); diff != "" {
			t.Errorf("agent %d (-want +got):\n%s", i, diff)
		}
	}
}

const oneAgent = `version: 1
cometchat:
  appId: ${env:APP}
  region: us
  agents:
    - key: a
      name: "A $${literal} ${env:NAME}"
      icon: https://cdn.example.com/bot.png
      integrateWith: crewai
      integrationType: agent
      integrationMeta:
        baseUrl: https://agents.example.com/${secret:PATH_TOKEN}
        headers: {authorization: "Bearer ${secret:TOKEN} $${x} ${env:NAME}", x-env: "${env:NAME}"}
`

func TestReferences(t *testing.T) {
	fleet := loadText(t, oneAgent, "APP", "2754abc", "NAME", "${secret:TOKEN}")
	a := fleet.Agents[0]
	if a.Address.String() != "cometchat/2754abc/a" {
		t.Errorf("the address is %s", a.Address)
	}
	got := reveal(t, a, "TOKEN", "t0ken", "PATH_TOKEN", "p")
	want := map[string]any{
		"name": "A ${literal} ${secret:TOKEN}", "icon": "https://cdn.example.com/bot.png",
		"integrateWith": "crewai", "integrationType": "agent",
		"integrationMeta": map[string]any{
			"baseUrl": "https://agents.example.com/p",
			"headers": map[string]any{"authorization": "Bearer t0ken ${x} ${secret:TOKEN}", "x-env": "${secret:TOKEN}"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestVariableCannotForgeReference: two pieces that only together read as a reference stay text.
func TestVariableCannotForgeReference(t *testing.T) {
	fleet := loadText(t, strings.ReplaceAll(oneAgent, `"Bearer ${secret:TOKEN} $${x} ${env:NAME}"`,
		`"${env:NAME}{secret:OTHER} ${secret:TOKEN}"`),
		"APP", "2754abc", "NAME", "$")
	meta := reveal(t, fleet.Agents[0], "TOKEN", "t", "PATH_TOKEN", "p", "OTHER",
		"stolen")["integrationMeta"].(map[string]any)
	if got := meta["headers"].(map[string]any)["authorization"]; got != "${secret:OTHER} t" {
		t.Errorf("authorization is %q", got)
	}
	_, problems := tryText(t, strings.ReplaceAll(oneAgent, `Bearer ${secret:TOKEN}`, `${env:NAME}${secret:TOKEN}`),
		"APP",
		"2754abc", "NAME", "$")
	if !problems.HasErrors() || !strings.Contains(lines(problems), "ends in $ stands right before ${secret:TOKEN}") {
		t.Errorf("the problems are:\n%s", lines(problems))
	}
}

func TestHeadersAreSecretWhateverTheyHold(t *testing.T) {
	fleet, problems := tryText(t, strings.ReplaceAll(oneAgent, `Bearer ${secret:TOKEN} $${x} ${env:NAME}`,
		"Bearer abc"),
		"APP", "2754abc", "NAME", "n")
	headers := fleet.Agents[0].Fields["integrationMeta"].(map[string]any)["headers"].(map[string]any)
	for name, v := range headers {
		if _, ok := v.(secret.Text); !ok {
			t.Errorf("header %s is a %T", name, v)
		}
	}
	if got := lines(problems); strings.Count(got, "warning") != 1 || strings.Contains(got, "abc123") {
		t.Errorf("there must be one warning, for the literal:\n%s", got)
	}
}

func TestMissingSecrets(t *testing.T) {
	const long = "a-token-of-usual-length"
	fleet := loadText(t, oneAgent, "APP", "2754abc", "NAME", "n")
	if got := fleet.MissingSecrets(variables("TOKEN", long, "PATH_TOKEN", long)); len(got) > 0 {
		t.Errorf("nothing is missing, but:\n%s", lines(got))
	}
	want := "a.yaml:12:18: the environment variable PATH_TOKEN, which ${secret:PATH_TOKEN} names, is not set; set it " +
		"where agentsync runs\n"
	if diff := cmp.Diff(want, lines(fleet.MissingSecrets(variables("TOKEN", long)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	short := fleet.MissingSecrets(variables("TOKEN", "1234", "PATH_TOKEN", long))
	if got := lines(short); short.HasErrors() ||
		!strings.Contains(got, "warning: the value of ${secret:TOKEN} is so short") ||
		strings.Count(got, "\n") != 1 || strings.Contains(got, "1234") {
		t.Errorf("a short value: %s", got)
	}
	if got := fleet.MissingSecrets(variables("TOKEN", "1234", "PATH_TOKEN", long, "AGENTSYNC_STATE_KEY",
		"k")); len(got) > 0 {
		t.Errorf("with a key of its own nothing can be tried: %s", lines(got))
	}
}

func TestScalars(t *testing.T) {
	fleet := loadText(t, "\ufeff"+`version: 1
cometchat:
  appId: 2754abc
  region: us
  agents:
    - key: a
      name: "yes"
      icon: https://cdn.example.com/bot.png
      integrateWith: mastra
      integrationType: agent
      metaData: {a: 1.0, b: 0x1f, c: 1_000, d: -0, e: 1e3, f: 12345678901234567890123, g: TRUE, h: no, i: "2024-01-01", j: !!str 5, k: 0o17, l: .5}
`)
	want := map[string]any{
		"a": json.Number("1"), "b": json.Number("31"), "c": json.Number("1000"), "d": json.Number("0"),
		"e": json.Number("1000"),
		"f": json.Number("12345678901234567890123"), "g": true, "h": "no", "i": "2024-01-01", "j": "5",
		"k": json.Number("15"), "l": json.Number("0.5"),
	}
	if diff := cmp.Diff(want, fleet.Agents[0].Fields["metaData"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEndpoints(t *testing.T) {
	for endpoint, right := range map[string]bool{
		"https://gateway.example.com/v3":    true,
		"https://{app}.gateway.example.com": true,
		"http://localhost:8080":             true,
		"http://127.0.0.1:8080/v3":          true,
		"http://[::1]:8080":                 true,
		"http://127.0.0.1.example.com":      false,
		"http://localhost.example.com":      false,
		"https://u@example.com":             false,
		"https://":                          false,
	} {
		t.Run(endpoint, func(t *testing.T) {
			_, problems := tryText(t, "version: 1\nmindset:\n  appUid: acme\n  endpoint: \""+endpoint+"\"\n")
			if problems.HasErrors() == right {
				t.Errorf("right is %v, but:\n%s", right, lines(problems))
			}
		})
	}
}

func TestSameResultEveryTime(t *testing.T) {
	dir := t.TempDir()
	writeFleet(t, dir, 200, 8)
	first, problems := load(t, dir)
	if problems.HasErrors() || len(first.Agents) != 200 {
		t.Fatalf("%d agents:\n%s", len(first.Agents), lines(problems))
	}
	for range 5 {
		again, p := load(t, filepath.Join(dir, "."), dir)
		if lines(p) != lines(problems) || !cmp.Equal(first.Files, again.Files) {
			t.Fatal("another run gave something else")
		}
		for i, a := range again.Agents {
			if a.Address != first.Agents[i].Address || a.Source != first.Agents[i].Source {
				t.Fatalf("agent %d is %s, was %s", i, a.Address, first.Agents[i].Address)
			}
		}
	}
}
