package plan

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// TestSecretStates: a secret was sent where the same template was, at the same place of the same agent, and it changed
// where the value of any agent is another one now.
func TestSecretStates(t *testing.T) {
	const lineage = "l"
	at := func(key string) agent.Address { return agent.Address{Platform: "cometchat", App: "a", Key: key} }
	wants := func(key, template string) agent.Desired {
		return agent.Desired{Address: at(key),
			Fields: agent.Fields{"headers": map[string]any{"authorization": secret.Template(template)}}}
	}
	values := map[string]string{"SAME": "same-value", "OTHER": "new-value", "MOVED": "moved-value",
		"FRESH": "fresh-value"}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	then := secret.Sealer{Key: []byte(lineage), Lookup: func(name string) (string, bool) {
		return map[string]string{"SAME": "same-value", "OTHER": "old-value", "GONE": "gone-value",
			"MOVED": "moved-value"}[name], true
	}}
	prior := map[agent.Address]agent.Record{}
	for key, template := range map[string]string{"same": "${secret:SAME}", "other": "Bearer ${secret:OTHER}",
		"gone": "${secret:GONE}", "moved": "x ${secret:MOVED}"} {
		doc, err := agent.Encode(wants(key, template).Fields.Seal(then))
		if err != nil {
			t.Fatal(err)
		}
		prior[at(key)] = agent.Record{UID: key, Applied: doc}
	}
	wanted := []agent.Desired{
		wants("gone", "${secret:GONE}"), wants("moved", "${secret:MOVED}"),
		wants("new", "${secret:FRESH} ${secret:UNSET}"),
		wants("other", "Bearer ${secret:OTHER}"), wants("same", "${secret:SAME}"), wants("too", "${secret:SAME}"),
	}
	states, agents := SecretStates(wanted, prior, lookup, secret.Sealer{Key: []byte(lineage), Lookup: lookup})
	want := map[string]SecretState{"SAME": SecretUnchanged, "OTHER": SecretChanged, "MOVED": SecretNew,
		"FRESH": SecretNew,
		"GONE":  SecretMissing, "UNSET": SecretMissing}
	if !maps.Equal(states, want) || agents["SAME"] != 2 || agents["UNSET"] != 1 {
		t.Errorf("%v, agents %v; want %v", states, agents, want)
	}
	backward := slices.Clone(wanted)
	slices.Reverse(backward)
	for _, tt := range []struct{ names, known, fresh []string }{
		{[]string{"GONE", "UNSET", "GONE"}, []string{"GONE"}, []string{"UNSET"}},
		{[]string{"UNSET", "FRESH", "MOVED"}, nil, []string{"FRESH", "MOVED", "UNSET"}},
		{[]string{"SAME", "GONE", "OTHER"}, []string{"GONE", "OTHER", "SAME"}, nil},
		{},
	} {
		t.Run(fmt.Sprint(tt.names), func(t *testing.T) {
			diffOf(t, fmt.Sprint(tt.names), MissingSecrets{Known: tt.known, New: tt.fresh},
				FindMissingSecrets(tt.names, backward, prior, lineage))
		})
	}
}

// TestForgetSecretsOf: only the records that a pattern selects are forgotten, in a copy.
func TestForgetSecretsOf(t *testing.T) {
	a, b := agent.Address{Platform: "cometchat", App: "a", Key: "one"}, agent.Address{Platform: "cometchat", App: "a",
		Key: "two"}
	sealed := agent.Fields{"token": secret.Template("${secret:X}")}.Seal(secret.Sealer{Key: []byte("l")})
	doc, err := agent.Encode(sealed)
	if err != nil {
		t.Fatal(err)
	}
	records := map[agent.Address]agent.Record{a: {Applied: doc}, b: {Applied: doc}}
	forgot := ForgetSecretsOf(records, []agent.Glob{"one"})
	if string(forgot[a].Applied) == string(doc) || string(forgot[b].Applied) != string(doc) ||
		string(records[a].Applied) != string(doc) {
		t.Errorf("one %s, two %s", forgot[a].Applied, forgot[b].Applied)
	}
	if got := ForgetSecretsOf(records, nil); len(got) != 2 || string(got[a].Applied) != string(doc) {
		t.Errorf("without a pattern: %v", got)
	}
}
