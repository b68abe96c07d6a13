package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

func TestRefresh(t *testing.T) {
	one := fields{"agentName": "Coach", "tags": list{"a", "b"}}
	with := func(name string, v any) fields {
		f := one.Clone()
		f[name] = v
		return f
	}
	for _, tt := range []struct {
		name string
		rec  agent.Record
		live fields
		// want are the fields that someone else changed, applied and observed the record after; nil
		// where the record is not behind.
		want              []FieldChange
		applied, observed fields
	}{
		{name: "as observed", rec: record(t, "u1", one), live: one},
		{name: "another order", rec: record(t, "u1", one), live: with("tags", list{"b", "a"})},
		{
			name: "someone changed a field", rec: record(t, "u1", one), live: with("agentName", "Mine"),
			want:     []FieldChange{{Path: "/agentName", Before: "Coach", After: "Mine"}},
			applied:  with("agentName", "Mine"),
			observed: with("agentName", "Mine"),
		},
		{
			name: "someone emptied a field", rec: record(t, "u1", one), live: fields{"agentName": "Coach"},
			want:    []FieldChange{{Path: "/tags", Before: list{"a", "b"}}},
			applied: fields{"agentName": "Coach"}, observed: fields{"agentName": "Coach"},
		},
		{
			name: "what the platform made up changed",
			rec:  agent.Record{UID: "u1", Applied: doc(t, one), Observed: doc(t, with("formatting", "1"))},
			live: with("formatting", "2"), applied: one, observed: with("formatting", "2"),
		},
		{
			name: "never seen before", rec: agent.Record{UID: "u1", Applied: doc(t, one)}, live: with("live", true),
			applied: one, observed: with("live", true),
		},
		{
			name: "imported, and changed since", rec: agent.Record{UID: "u1", Observed: doc(t, one)},
			live:     with("agentName", "Mine"),
			want:     []FieldChange{{Path: "/agentName", Before: "Coach", After: "Mine"}},
			observed: with("agentName", "Mine"),
		},
		{
			name: "of a replace, and only the uid is known", rec: agent.Record{UID: "u1"}, live: one,
			applied: one, observed: one,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := addr(t, coach)
			other := addr(t, "mindset/acme/other")
			behind, doubted, err := Refresh(Input{
				Prior: map[agent.Address]agent.Record{a: tt.rec, other: record(t, "u2", one)},
				Live: map[agent.AppID][]Live{acme: {{UID: "u1", Content: agent.ContentOf(tt.live)},
					{UID: "u2", Content: agent.ContentOf(one)}}},
				Platforms: platforms(t), Sealer: testSealer,
			})
			if err != nil || doubted != nil {
				t.Fatal(doubted, err)
			}
			var want []Refreshed
			if tt.observed != nil {
				want = []Refreshed{{Address: a, UID: "u1", Fields: tt.want,
					Record: agent.Record{UID: "u1", Applied: doc(t, tt.applied), Observed: doc(t, tt.observed)}}}
			}
			if diff := cmp.Diff(want, behind); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A secret that somebody did not change keeps its variable, and one that somebody did has none.
func TestARefreshKeepsTheNamesOfSecrets(t *testing.T) {
	const bot = "cometchat/app/bot"
	meta := func(baseURL string, one, two any) fields {
		return fields{"name": "Bot", "integrationMeta": object{"baseUrl": baseURL,
			"headers": object{"one": one, "two": two}}}
	}
	rec := record(t, "u1", meta("https://a", secret.Template("${secret:TOKEN}"), secret.Template("${secret:OTHER}")))
	live := meta("https://b", secret.Literal("s3cret"), secret.Literal("mine"))
	behind, _, err := Refresh(Input{
		Prior:     records(t, map[string]agent.Record{bot: rec}),
		Live:      map[agent.AppID][]Live{addr(t, bot).ID(): {{UID: "u1", Content: agent.ContentOf(live)}}},
		Platforms: platforms(t), Sealer: testSealer,
	})
	if err != nil || len(behind) != 1 {
		t.Fatalf("%+v, %v", behind, err)
	}
	diffOf(t, "applied", string(doc(t, meta("https://b", secret.Template("${secret:TOKEN}"), secret.Literal("mine")))),
		string(behind[0].Record.Applied))
}

// What was not listed, or is no target, is not looked at: a damaged record there stops nobody.
func TestARefreshLooksAtWhatIsListed(t *testing.T) {
	one := fields{"agentName": "Coach"}
	damaged := agent.Record{UID: "u9", Applied: agent.Doc("{")}
	in := Input{
		Prior: records(t, map[string]agent.Record{coach: record(t, "u1", one), helper: record(t, "u2", one),
			"mindset/acme/hidden": record(t, "u4", one), "mindset/other/x": damaged, third: damaged}),
		Live: map[agent.AppID][]Live{acme: {{UID: "u1", Content: agent.ContentOf(fields{"agentName": "Mine"})},
			{UID: "u9", Content: agent.ContentOf(one)}}},
		Gone:    map[agent.AppID]map[string]bool{acme: {"u2": true}},
		Targets: []agent.Glob{coach, helper, "mindset/acme/hidden"}, Platforms: platforms(t), Sealer: testSealer,
	}
	behind, _, err := Refresh(in)
	if err != nil || len(behind) != 3 || behind[0].Address.Key != "coach" || !behind[1].Vanished ||
		behind[1].Unlisted ||
		behind[2].Vanished || !behind[2].Unlisted {
		t.Errorf("%+v, %v", behind, err)
	}
	for name, edit := range map[string]func(*agent.Record){
		"applied": func(*agent.Record) {}, "observed": func(r *agent.Record) {
			*r = agent.Record{UID: "u9",
				Applied: doc(t, one), Observed: agent.Doc("{")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rec := damaged
			edit(&rec)
			in.Prior[addr(t, third)], in.Targets = rec, []agent.Glob{third}
			if _, _, err := Refresh(in); err == nil || !strings.HasPrefix(err.Error(), "state: "+name+" of "+third) {
				t.Errorf("a damaged %s: %v", name, err)
			}
		})
	}
}

func TestRefreshDoubts(t *testing.T) {
	in := Input{
		Prior:     map[agent.Address]agent.Record{addr(t, coach): record(t, "u1", fields{"agentName": "Coach"})},
		Live:      map[agent.AppID][]Live{acme: {{UID: "u2"}}},
		Platforms: platforms(t), Sealer: testSealer,
	}
	behind, doubted, err := Refresh(in)
	if err != nil || behind != nil || !cmp.Equal(doubted, []agent.AppID{acme}) {
		t.Errorf("a list without any known agent gives %v, doubted %v, %v", behind, doubted, err)
	}
}

// An agent that the list shows and that cannot be read is not behind: nothing is known of it, and its record stays.
func TestRefreshLeavesWhatCannotBeRead(t *testing.T) {
	for name, observed := range map[string]agent.Doc{"seen before": doc(t, fields{"agentName": "Coach"}),
		"never seen": nil} {
		t.Run(name, func(t *testing.T) {
			rec := record(t, "u1", fields{"agentName": "Coach"})
			rec.Observed = observed
			in := Input{
				Prior:     map[agent.Address]agent.Record{addr(t, coach): rec},
				Live:      map[agent.AppID][]Live{acme: {{UID: "u1"}}},
				Platforms: platforms(t), Sealer: testSealer,
			}
			if behind, doubted, err := Refresh(in); err != nil || behind != nil || doubted != nil {
				t.Errorf("%+v are behind, doubted %v, %v", behind, doubted, err)
			}
		})
	}
}

// A variable is remembered of a secret that has its value, or that is masked while nobody knows the value; without a
// manifest nothing counts as applied.
func TestTakeOverNames(t *testing.T) {
	meta := func(v any) fields {
		return fields{"name": "A", "integrationMeta": object{"baseUrl": "https://a",
			"headers": object{"authorization": v}}}
	}
	for name, tt := range map[string]struct {
		live, like any
		named      bool
	}{
		"the same value":                    {secret.Literal("s3cret"), secret.Template("${secret:TOKEN}"), true},
		"another value":                     {secret.Literal("mine"), secret.Template("${secret:TOKEN}"), false},
		"masked, and nobody knows it":       {secret.Literal("***"), secret.Template("${secret:UNSET}"), true},
		"shown, and nobody knows it":        {secret.Literal("mine"), secret.Template("${secret:UNSET}"), false},
		"masked, and the manifest has none": {secret.Literal("***"), "", false},
	} {
		rec, err := TakeOver("u1", meta(tt.live), meta(tt.like), testSealer)
		if err != nil {
			t.Fatal(err)
		}
		sealed := meta(testSealer.Seal("/integrationMeta/headers/authorization", tt.live.(secret.Text)))
		if tt.named {
			sealed = meta(tt.like).Seal(testSealer)
		}
		diffOf(t, name, string(doc(t, sealed)), string(rec.Observed))
	}
	rec, err := TakeOver("u1", fields{"name": "A"}, nil, testSealer)
	if err != nil || rec.Applied != nil || string(rec.Observed) != `{"name":"A"}` {
		t.Errorf("%+v, %v", rec, err)
	}
}

// What was taken over is planned as no change, whether the variables are known or not.
func TestTakeOver(t *testing.T) {
	live := fields{"name": "A", "integrationMeta": object{"baseUrl": "https://a.example.com", "headers": object{
		"authorization": secret.Literal("Bearer s3cret"), "masked": secret.Literal("********")}}}
	like := fields{"name": "A", "integrationMeta": object{"baseUrl": "https://a.example.com", "headers": object{
		"authorization": secret.Template("Bearer ${secret:TOKEN}"), "masked": secret.Template("${secret:UNSET}")}}}
	rec, err := TakeOver("u1", live, like, testSealer)
	if err != nil {
		t.Fatal(err)
	}
	address := "cometchat/2754abc/a"
	for name, lookup := range map[string]secret.Lookup{"known": testSealer.Lookup, "unknown": nil} {
		t.Run(name, func(t *testing.T) {
			for _, listed := range []bool{false, true} {
				in := Input{
					Desired: []agent.Desired{want(t, address, like)}, Prior: map[agent.Address]agent.Record{addr(t,
						address): rec},
					Platforms: platforms(t), Sealer: secret.Sealer{Key: testSealer.Key, Lookup: lookup},
				}
				if listed {
					in.Live = map[agent.AppID][]Live{{Platform: "cometchat",
						App: "2754abc"}: {{UID: "u1", Content: agent.ContentOf(live)}}}
				}
				p, err := Build(in)
				if err != nil || p.Summary.Changes() != 0 {
					t.Errorf("variables %s, listed %v: %+v, %v", name, listed, p.Changes, err)
				}
			}
		})
	}
}

// After an import a field that leaves the manifest is sent as cleared, one that the manifest never named stays, and
// where manifest and platform differ the plan says so.
func TestAFieldThatLeavesAfterTakeOver(t *testing.T) {
	const coach = "mindset/acme/coach"
	live := fields{"agentName": "Coach", "agentPersonality": "kind", "live": true, "agentPurpose": "made by hand",
		"tags": list{"hr"}}
	like := fields{"agentName": "Coach", "agentPersonality": "kind", "live": true, "tags": list{"it"}}
	rec, err := TakeOver("u1", live, like, testSealer)
	if err != nil {
		t.Fatal(err)
	}
	id := addr(t, coach).ID()
	for _, lists := range []map[agent.AppID][]Live{nil, {id: {{UID: "u1", Content: agent.ContentOf(live)}}}} {
		in := Input{Prior: records(t, map[string]agent.Record{coach: rec}), Live: lists}
		in.Desired = []agent.Desired{want(t, coach, like)}
		diffOf(t, "under the manifest of the import", []brief{{
			Action: Update, Address: coach, UID: "u1", Send: []string{"tags"},
			Fields: []FieldChange{{Path: "/tags", Before: list{"hr"}, After: list{"it"}}},
		}}, briefs(build(t, in)))
		in.Desired = []agent.Desired{want(t, coach, fields{"agentName": "Coach", "tags": list{"hr"}})}
		p := build(t, in)
		diffOf(t, "after two fields left", []brief{{
			Action: Update, Address: coach, UID: "u1", Send: []string{"agentPersonality", "live"},
			Fields: []FieldChange{{Path: "/agentPersonality", Before: "kind"}, {Path: "/live", Before: true}},
		}}, briefs(p))
		in.Prior = carriedOut(t, in, p)
		in.Live = nil
		if again := build(t, in); len(again.Changes) > 0 {
			t.Errorf("not empty afterwards: %+v", briefs(again))
		}
	}
}

// A masked secret whose value is known here may be another one at the platform: it is sent. One without a value here is
// left.
func TestTakeOverOfAMaskedSecret(t *testing.T) {
	for variable, sent := range map[string]bool{"TOKEN": true, "UNSET": false} {
		t.Run(variable, func(t *testing.T) {
			meta := func(v any) fields {
				return fields{"name": "A", "integrationMeta": object{"baseUrl": "https://a.example.com",
					"headers": object{"authorization": v}}}
			}
			like, live := meta(secret.Template("${secret:"+variable+"}")), meta(secret.Literal("********"))
			rec, err := TakeOver("u1", live, like, testSealer)
			if err != nil {
				t.Fatal(err)
			}
			const a = "cometchat/2754abc/a"
			p := build(t, Input{Desired: []agent.Desired{want(t, a, like)},
				Prior: records(t, map[string]agent.Record{a: rec})})
			if (len(p.Changes) == 1) != sent {
				t.Errorf("%+v", briefs(p))
			}
		})
	}
}
