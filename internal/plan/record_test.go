package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// What somebody else changed in a field that an update did not send stays a difference.
func TestAnUpdateSwallowsNoDrift(t *testing.T) {
	const bot = "cometchat/app/bot"
	a := addr(t, bot)
	was := fields{"name": "Bot", "icon": "https://a/1", "metaData": object{"a": "1"}}
	is := fields{"name": "Bot", "icon": "https://a/2", "metaData": object{"a": "1"}}
	live := fields{"name": "Renamed", "icon": "https://a/2?cached", "metaData": object{"a": "1"}, "greeting": "x"}
	delete(live, "greeting")
	rec := record(t, "u1", was)
	observed, err := ObservedAfter(rec.Observed, agent.ContentOf(live), is, []string{"icon"}, testSealer)
	if err != nil {
		t.Fatal(err)
	}
	rec.Observed, rec.Applied = observed, doc(t, is)
	in := Input{
		Desired: []agent.Desired{want(t, bot, is)}, Prior: map[agent.Address]agent.Record{a: rec},
		Live: map[agent.AppID][]Live{a.ID(): {{UID: "u1", Content: agent.ContentOf(live)}}},
	}
	diffOf(t, "plan", []brief{{
		Action: Update, Address: bot, UID: "u1", Send: []string{"name"},
		Fields: []FieldChange{{Path: "/name", Before: "Bot", After: "Bot", Live: "Renamed", Drift: true}},
	}}, briefs(build(t, in)))
}

func TestObservedAfter(t *testing.T) {
	before := fields{"name": "Bot", "icon": "1", "tags": list{"a"}}
	shown := fields{"name": "Other", "icon": "2"}
	for _, tt := range []struct {
		name   string
		before agent.Doc
		shown  agent.Content
		sent   []string
		want   fields
	}{
		{"a field that was sent", doc(t, before), agent.ContentOf(shown), []string{"icon"},
			fields{"name": "Bot", "icon": "2", "tags": list{"a"}}},
		{"one that is not there any more", doc(t, before), agent.ContentOf(shown), []string{"tags"},
			fields{"name": "Bot", "icon": "1"}},
		{"none", doc(t, before), agent.ContentOf(shown), nil, before},
		{"nothing was known", nil, agent.ContentOf(shown), []string{"icon"}, shown},
		{"nothing is shown", doc(t, before), agent.Content{}, []string{"icon"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ObservedAfter(tt.before, tt.shown, nil, tt.sent, testSealer)
			if err != nil || string(got) != string(doc(t, tt.want)) {
				t.Errorf("%s, %v; want %s", got, err, doc(t, tt.want))
			}
		})
	}
	sealed, err := ObservedAfter(doc(t, before), agent.ContentOf(fields{"icon": "s3cret"}),
		fields{"icon": secret.Template("${secret:TOKEN}")}, []string{"icon"}, testSealer)
	if err != nil || !sealed.HasSecrets() {
		t.Errorf("the secret is not sealed: %s, %v", sealed, err)
	}
	if _, err := ObservedAfter(agent.Doc("{"), agent.ContentOf(shown), nil, nil, testSealer); err == nil {
		t.Error("a damaged record is taken")
	}
}

// An update of integrationMeta says which integration it is for, and nothing that the manifest leaves to others.
func TestPayloadSendsAlong(t *testing.T) {
	p := platforms(t)["cometchat"]
	desired := agent.Fields{"name": "a", "integrateWith": "mastra", "integrationType": "agent",
		"integrationMeta": map[string]any{"baseUrl": "u"}}
	for _, c := range []struct {
		send, ignored []string
		want          []string
	}{
		{[]string{"integrationMeta"}, nil, []string{"integrateWith", "integrationMeta", "integrationType"}},
		{[]string{"integrationMeta", "integrateWith"}, nil, []string{"integrateWith", "integrationMeta",
			"integrationType"}},
		{[]string{"integrationMeta"}, []string{"integrateWith"}, []string{"integrationMeta", "integrationType"}},
		{[]string{"integrateWith"}, nil, []string{"integrateWith"}},
		{[]string{"name"}, nil, []string{"name"}},
	} {
		t.Run(fmt.Sprint(c.send, " without ", c.ignored), func(t *testing.T) {
			got := Payload(p, desired, c.send, c.ignored...)
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, c.want) {
				t.Errorf("%v without %v sends %v, want %v", c.send, c.ignored, names, c.want)
			}
			for name, v := range got {
				if !agent.Equal(v, desired[name]) {
					t.Errorf("%v sends %s as %v", c.send, name, v)
				}
			}
		})
	}
	delete(desired, "integrationType")
	if got := Payload(p, desired, []string{"integrationMeta"}); len(got) != 2 {
		t.Errorf("what is not wanted is sent: %v", got)
	}
}

// In a list that holds a secret every text is sealed, for its members can have moved: none of them stands in a record
// in clear, and each can still be told from another.
func TestTheTextsOfAListWithASecretAreSealed(t *testing.T) {
	holding := func(list ...any) fields { return fields{"integrationMeta": object{"headers": list}} }
	d, err := ObservedDoc(agent.ContentOf(holding("clear", "hidden")),
		holding(secret.Template("${secret:TOKEN}"), "clear"), testSealer)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Fields()
	if err != nil {
		t.Fatal(err)
	}
	list := got["integrationMeta"].(object)["headers"].([]any)
	first, sealed := list[0].(secret.Sealed)
	second, too := list[1].(secret.Sealed)
	if !sealed || !too || first.Value == second.Value || strings.Contains(string(d), "hidden") {
		t.Errorf("%s", d)
	}
}
