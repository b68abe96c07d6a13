package plan

import (
	"slices"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// A name that its app does not have is told, with the names that could stand there and the field where it would be
// right. A list that misses what the platform took before, or that is empty, proves nothing of its kind.
func TestCheckReferences(t *testing.T) {
	const bot = "cometchat/2754abc/bot"
	s := platforms(t)["cometchat"]
	byKind := map[string]string{} // the field of each kind
	for _, f := range s.Fields {
		if f.RefersTo != "" {
			byKind[f.RefersTo] = f.Name
		}
	}
	if len(byKind) != 2 || byKind["tool"] == "" || byKind["action"] == "" {
		t.Fatalf("kinds: %v", byKind)
	}
	refer := func(kind, name string) Reference {
		return Reference{Address: addr(t, bot), Field: byKind[kind], Kind: kind, Name: name}
	}
	used := func(kind string, names ...any) []agent.Record {
		return []agent.Record{{UID: "u0", Applied: agent.Doc("{")}, record(t, "u1", fields{byKind[kind]: names})}
	}
	known := map[string][]string{"tool": {"t2", "t1"}, "action": {"a1"}}
	for _, tt := range []struct {
		name  string
		refs  []Reference
		known map[string][]string
		prior []agent.Record
		want  []UnknownReference
		doubt map[string]string
	}{
		{name: "all are there", refs: []Reference{refer("tool", "t1"), refer("action", "a1")}, known: known},
		{name: "one is not", refs: []Reference{refer("tool", "t1"), refer("tool", "t3")}, known: known,
			want: []UnknownReference{{Reference: refer("tool", "t3"), Known: []string{"t1", "t2"}}}},
		{name: "one is of another kind", refs: []Reference{refer("tool", "a1")}, known: known,
			want: []UnknownReference{{Reference: refer("tool", "a1"), Other: byKind["action"],
				Known: []string{"t1", "t2"}}}},
		{name: "an empty list", refs: []Reference{refer("tool", "t3"), refer("action", "a2")},
			known: map[string][]string{"action": {"a1"}},
			want:  []UnknownReference{{Reference: refer("action", "a2"), Known: []string{"a1"}}},
			doubt: map[string]string{"tool": "the list is empty"}},
		{name: "a list that misses what is used", refs: []Reference{refer("tool", "t3"), refer("action", "a2")},
			known: known, prior: used("tool", "t1", "t9"),
			want:  []UnknownReference{{Reference: refer("action", "a2"), Known: []string{"a1"}}},
			doubt: map[string]string{"tool": `the list misses "t9", which an agent of the app uses`}},
		{name: "a list that has what is used", refs: []Reference{refer("tool", "t3")}, known: known,
			prior: used("tool", "t1", "t2", secret.Template("${secret:TOKEN}")),
			want:  []UnknownReference{{Reference: refer("tool", "t3"), Known: []string{"t1", "t2"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			unknown, doubt := CheckReferences(tt.refs, tt.known, s, tt.prior)
			diffOf(t, "unknown", tt.want, unknown)
			if tt.doubt == nil {
				tt.doubt = map[string]string{}
			}
			diffOf(t, "doubt", tt.doubt, doubt)
		})
	}
	if !slices.Equal(known["tool"], []string{"t2", "t1"}) {
		t.Error("what was given is sorted")
	}
}
