package plan

import (
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

var acme = agent.AppID{Platform: "mindset", App: "acme"}

func TestDrift(t *testing.T) {
	one := fields{"agentName": "Coach", "tags": list{"a", "b"}}
	with := func(name string, v any) fields {
		f := one.Clone()
		f[name] = v
		return f
	}
	tests := []struct {
		name    string
		wanted  fields
		edits   []func(*agent.Desired)
		rec     agent.Record
		live    fields
		want    []brief
		touched bool
	}{
		{
			name: "someone changed a field", wanted: one, rec: record(t, "u1", one), live: with("agentName", "Mine"),
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"agentName"},
				Fields: []FieldChange{
					{Path: "/agentName", Before: "Coach", After: "Coach", Live: "Mine", Drift: true}}}},
		},
		{
			name: "someone and the manifest changed a field", wanted: with("agentName", "New"),
			rec:  record(t, "u1", one),
			live: with("agentName", "Mine"),
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"agentName"},
				Fields: []FieldChange{
					{Path: "/agentName", Before: "Coach", After: "New", Live: "Mine", Drift: true}}}},
		},
		{
			name: "someone made the manifest's change at the platform", wanted: with("agentName", "New"),
			rec:  record(t, "u1", one),
			live: with("agentName", "New"), touched: true,
		},
		{
			name: "someone set a field that the manifest leaves at its default", wanted: one, rec: record(t, "u1", one),
			live: with("live", true),
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"live"}, Fields: []FieldChange{
				{Path: "/live", Live: true, Drift: true}}}},
		},
		{
			name: "someone changed a field that leaves the manifest", wanted: fields{"agentName": "Coach"},
			rec: record(t, "u1", one), live: with("tags", list{"mine"}),
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"tags"}, Fields: []FieldChange{
				{Path: "/tags", Before: list{"a", "b"}, Live: list{"mine"}, Drift: true}}}},
		},
		{
			name: "someone changed a field that comes into the manifest", wanted: with("formatting", "Short."),
			rec:  agent.Record{UID: "u1", Applied: doc(t, one), Observed: doc(t, with("formatting", "auto"))},
			live: with("formatting", "mine"),
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"formatting"},
				Fields: []FieldChange{{Path: "/formatting", After: "Short.", Live: "mine", Drift: true}}}},
		},
		{
			name: "someone emptied a field", wanted: one, rec: record(t, "u1", one), live: with("tags", list{}),
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"tags"}, Fields: []FieldChange{
				{Path: "/tags", Before: list{"a", "b"}, After: list{"a", "b"}, Live: list{}, Drift: true}}}},
		},
		{
			name: "a value that the platform made up changes", wanted: one,
			rec:  agent.Record{UID: "u1", Applied: doc(t, one), Observed: doc(t, with("formatting", "auto 1"))},
			live: with("formatting", "auto 2"),
		},
		{
			name: "the platform rewrites what it is sent", wanted: one,
			rec:  agent.Record{UID: "u1", Applied: doc(t, one), Observed: doc(t, with("agentName", "COACH"))},
			live: with("agentName", "COACH"),
		},
		{
			name: "an ignored field", wanted: one, edits: []func(*agent.Desired){ignoring("tags")},
			rec:  record(t, "u1", one),
			live: with("tags", list{"x"}),
		},
		{
			name: "an unordered list in another order", wanted: one, rec: record(t, "u1", one),
			live: with("tags", list{"b", "a"}),
		},
		{
			name: "an agent that was not observed yet, and is as it was applied", wanted: one,
			rec: agent.Record{UID: "u1", Applied: doc(t, one)}, live: with("agentName", " Coach\r\n"), touched: true,
		},
		{
			name: "an agent that was not observed yet, and that someone changed", wanted: one,
			rec: agent.Record{UID: "u1", Applied: doc(t, one)}, live: with("agentName", "Mine"),
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"agentName"},
				Fields: []FieldChange{
					{Path: "/agentName", Before: "Coach", After: "Coach", Live: "Mine", Drift: true}}}},
		},
		{
			name: "a field that cannot be changed", wanted: with("externalTenantId", "t1"),
			rec: record(t, "u1", with("externalTenantId", "t1")), live: one,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{
				Desired: []agent.Desired{want(t, coach, tt.wanted, tt.edits...)},
				Prior:   records(t, map[string]agent.Record{coach: tt.rec}),
				Live:    map[agent.AppID][]Live{acme: {{UID: "u1", Content: agent.ContentOf(tt.live)}}},
				Prune:   true,
			}
			p := build(t, in)
			diffOf(t, "changes", tt.want, briefs(p))
			if got := len(p.RecordUpdates) == 1; got != tt.touched {
				t.Errorf("touches: %+v, want one: %v", p.RecordUpdates, tt.touched)
			}
			in.Prior, in.Live = carriedOut(t, in, p), nil
			if again := build(t, in); len(again.Changes)+len(again.RecordUpdates) > 0 {
				t.Errorf("after apply: %+v, touches %+v", briefs(again), again.RecordUpdates)
			}
		})
	}
}

// TestHiddenSecrets: what a list says of secrets is believed only where it shows them.
func TestHiddenSecrets(t *testing.T) {
	const bot = "cometchat/app/bot"
	app := agent.AppID{Platform: "cometchat", App: "app"}
	with := func(headers any) fields {
		meta := object{"baseUrl": "https://x"}
		if headers != nil {
			meta["headers"] = headers
		}
		return fields{"name": "Bot", "integrationMeta": meta}
	}
	wanted := with(object{"authorization": secret.Template("Bearer ${secret:TOKEN}"), "x-tenant": secret.Literal("t1")})
	shown := func(pairs ...string) object {
		m := object{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = secret.Literal(pairs[i+1])
		}
		return m
	}
	tests := []struct {
		name  string
		live  any
		drift []string
	}{
		{"in clear and as sent", shown("authorization", "Bearer s3cret", "x-tenant", "t1"), nil},
		{"masked", shown("authorization", "Bearer ****", "x-tenant", "••••"), nil},
		{"masked in one text", secret.Literal("[REDACTED]"), nil},
		{"left out", nil, nil},
		{"empty", object{}, nil},
		{"empty, as a list", list{}, nil},
		{"empty, as a text", "", nil},
		{"a list of something", list{"x"}, []string{"/integrationMeta/headers"}},
		{"one masked, one in clear", shown("authorization", "***", "x-tenant", "t1"), nil},
		{"one masked, one left out", shown("authorization", "***"), nil},
		{"one changed", shown("authorization", "Bearer mine", "x-tenant", "***"),
			[]string{"/integrationMeta/headers/authorization"}},
		{"one gone while the other is in clear", shown("authorization", "Bearer s3cret"),
			[]string{"/integrationMeta/headers/x-tenant"}},
		{"one added", shown("authorization", "***", "x-tenant", "***", "x-new", "***"),
			[]string{"/integrationMeta/headers/x-new"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := build(t, Input{
				Desired: []agent.Desired{want(t, bot, wanted)},
				Prior:   records(t, map[string]agent.Record{bot: record(t, "u1", wanted)}),
				Live:    map[agent.AppID][]Live{app: {{UID: "u1", Content: agent.ContentOf(with(tt.live))}}},
			})
			var drift []string
			for _, ch := range p.Changes {
				for _, f := range ch.Differences() {
					if !f.Secret || !f.Drift {
						t.Errorf("want a secret drift, got %+v", f)
					}
					drift = append(drift, f.Path)
				}
			}
			diffOf(t, "drift", tt.drift, drift)
		})
	}
}

// TestASecretInAnyText: a platform answers a ${secret:} in an ordinary field as plain text.
func TestASecretInAnyText(t *testing.T) {
	wanted := fields{"agentName": "Coach", "agentPurpose": secret.Template("Say ${secret:TOKEN}."),
		"tags": list{"x", secret.Template("${secret:OTHER}")}}
	answered := fields{"agentName": "Coach", "agentPurpose": "Say s3cret.", "tags": list{"x", "0ther"}}
	rec := agent.Record{UID: "u1", Applied: doc(t, wanted), Observed: doc(t, SealAnswer(answered, wanted, testSealer))}
	in := Input{
		Desired: []agent.Desired{want(t, coach, wanted)}, Prior: records(t, map[string]agent.Record{coach: rec}),
		Live: map[agent.AppID][]Live{acme: {{UID: "u1", Content: agent.ContentOf(answered)}}},
	}
	diffOf(t, "unchanged", []brief(nil), briefs(build(t, in)))
	answered["agentPurpose"] = "Say nothing."
	p := build(t, in)
	f := p.Changes[0].Differences()[0]
	if _, sealed := f.Live.(secret.Sealed); !f.Drift || !f.Secret || !sealed {
		t.Errorf("want a sealed drift, got %+v", f)
	}
}

func TestVanishedUnmanagedAndDoubted(t *testing.T) {
	one := fields{"agentName": "Coach"}
	in := Input{
		Desired: []agent.Desired{want(t, coach, one), want(t, helper, one, previously("old")),
			want(t, "mindset/empty/x", one)},
		Prior: records(t, map[string]agent.Record{
			coach: record(t, "u1", one), "mindset/acme/old": {UID: "u2", Applied: doc(t, one),
				Obsolete: []string{"u9"}},
			"mindset/acme/left": record(t, "u3", one), "mindset/empty/x": record(t, "u4", one),
		}),
		Live: map[agent.AppID][]Live{
			acme: {{UID: "u8",
				Content: agent.ContentOf(fields{"agentName": "Wild", "live": true})},
				{UID: "u1", Content: agent.ContentOf(one)},
				{UID: "u9"}, {UID: "u7"}},
			{Platform: "mindset", App: "empty"}: {},
		},
		Apps: map[agent.AppID]bool{acme: true},
	}
	p := build(t, in)
	diffOf(t, "changes", []brief{
		{Action: Create, Address: helper, From: "mindset/acme/old", UID: "u2", Vanished: true,
			Fields: []FieldChange{{Path: "/agentName", After: "Coach"}}},
		{Action: Kept, Address: "mindset/acme/left", UID: "u3", Vanished: true},
	}, briefs(p))
	diffOf(t, "unmanaged", []Unmanaged{{App: acme, UID: "u7", Name: fields{}},
		{App: acme, UID: "u8", Name: fields{"agentName": "Wild"}}}, p.Unmanaged)
	diffOf(t, "doubted", []agent.AppID{{Platform: "mindset", App: "empty"}}, p.Doubted)
	diffOf(t, "summary", Summary{Create: 1, Kept: 1, Unchanged: 2}, p.Summary)
}

// An agent that left and that no list shows is deleted all the same; whether the platform said that it is gone is
// noted.
func TestAVanishedAgentThatLeft(t *testing.T) {
	one := fields{"agentName": "Coach"}
	for _, prune := range []bool{false, true} {
		p := build(t, Input{
			Prior: records(t, map[string]agent.Record{coach: record(t, "u1", one), helper: record(t, "u2", one),
				third: record(t, "u3", one)}),
			Live:  map[agent.AppID][]Live{acme: {{UID: "u1", Content: agent.ContentOf(one)}}},
			Gone:  map[agent.AppID]map[string]bool{acme: {"u3": true}},
			Apps:  map[agent.AppID]bool{acme: true},
			Prune: prune,
		})
		for i, ch := range p.Changes {
			if ch.Vanished != (i > 0) || ch.Unlisted != (i == 1) || ch.Blocked != "" || (ch.Action == Delete) != prune {
				t.Errorf("%+v", ch)
			}
		}
	}
}

// Below a field, a member that the platform made up may change; one that somebody adds, changes or takes out is drift.
func TestDriftInMembers(t *testing.T) {
	const bot = "cometchat/app/bot"
	meta := func(m object) fields { return fields{"name": "Bot", "metaData": m} }
	for _, tt := range []struct {
		name                            string
		applied, observed, live, wanted object
		want                            []FieldChange
	}{
		{"the platform's own changes", object{"a": "1"}, object{"a": "1", "p": "1"}, object{"a": "1", "p": "2"},
			object{"a": "1"}, nil},
		{"somebody adds one", object{"a": "1"}, object{"a": "1"}, object{"a": "1", "b": "2"}, object{"a": "1"},
			[]FieldChange{{Path: "/metaData/b", Live: "2", Drift: true}}},
		{"somebody changes one", object{"a": "1"}, object{"a": "1", "p": "1"}, object{"a": "2", "p": "2"},
			object{"a": "1"},
			[]FieldChange{{Path: "/metaData/a", Before: "1", After: "1", Live: "2", Drift: true}}},
		{"somebody takes one out", object{"a": "1", "b": "1"}, object{"a": "1", "b": "1"}, object{"a": "1"},
			object{"a": "1", "b": "1"}, []FieldChange{{Path: "/metaData/b", Before: "1", After: "1", Drift: true}}},
		{"somebody changes one that leaves", object{"a": "1", "b": "1"}, object{"a": "1", "b": "1"},
			object{"a": "1", "b": "2"}, object{"a": "1"},
			[]FieldChange{{Path: "/metaData/b", Before: "1", Live: "2", Drift: true}}},
		{"the platform's own comes into the manifest", object{"a": "1"}, object{"a": "1", "p": "1"},
			object{"a": "1", "p": "2"}, object{"a": "1", "p": "3"},
			[]FieldChange{{Path: "/metaData/p", After: "3", Live: "2", Drift: true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := build(t, Input{Desired: []agent.Desired{want(t, bot, meta(tt.wanted))},
				Prior: records(t, map[string]agent.Record{bot: {UID: "u1", Applied: doc(t, meta(tt.applied)),
					Observed: doc(t, meta(tt.observed))}}),
				Live: map[agent.AppID][]Live{addr(t, bot).ID(): {{UID: "u1",
					Content: agent.ContentOf(meta(tt.live))}}}})
			var got []FieldChange
			for _, ch := range p.Changes {
				got = ch.Differences()
			}
			diffOf(t, "fields", tt.want, got)
		})
	}
}

func TestAReplaceIsFinished(t *testing.T) {
	one := fields{"agentName": "Coach"}
	rec := record(t, "u2", one)
	rec.Obsolete = []string{"u1"}
	in := Input{Desired: []agent.Desired{want(t, coach, one, protected)},
		Prior: records(t, map[string]agent.Record{coach: rec})}
	p := build(t, in)
	diffOf(t, "without prune", []brief{{Action: Replace, Address: coach, UID: "u2", Blocked: BlockedByPrune}},
		briefs(p))
	in.Prune = true
	p = build(t, in)
	diffOf(t, "with prune", []brief{{Action: Replace, Address: coach, UID: "u2"}}, briefs(p))
	diffOf(t, "obsolete", []string{"u1"}, p.Changes[0].Obsolete)
}

func TestTouches(t *testing.T) {
	one := fields{"agentName": "Coach"}
	named := func(variable string) fields {
		return fields{"agentName": "Coach", "agentPurpose": secret.Template("${secret:" + variable + "}")}
	}
	below := func(variable string) fields {
		return fields{"agentName": "Coach", "tags": list{"x", secret.Template("${secret:" + variable + "}")}}
	}
	tests := []struct {
		name   string
		wanted agent.Desired
		rec    agent.Record
		want   agent.Record
	}{
		{"protect is put on", want(t, coach, one, protected), record(t, "u1", one),
			agent.Record{UID: "u1", Applied: doc(t, one), Observed: doc(t, one), Protect: true}},
		{"a secret gets another name", want(t, coach, named("SAME")), record(t, "u1", named("TOKEN")),
			agent.Record{UID: "u1", Applied: doc(t, named("SAME")), Observed: doc(t, named("TOKEN"))}},
		{"a secret below gets another name", want(t, coach, below("SAME")), record(t, "u1", below("TOKEN")),
			agent.Record{UID: "u1", Applied: doc(t, below("SAME")), Observed: doc(t, below("TOKEN"))}},
		{"an imported agent is as wanted", want(t, coach, one),
			agent.Record{UID: "u1", Observed: doc(t, fields{"agentName": "Coach", "live": true})},
			agent.Record{UID: "u1", Applied: doc(t, one), Observed: doc(t,
				fields{"agentName": "Coach", "live": true})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Desired: []agent.Desired{tt.wanted}, Prior: records(t, map[string]agent.Record{coach: tt.rec})}
			p := build(t, in)
			diffOf(t, "changes", []brief(nil), briefs(p))
			diffOf(t, "touches", []RecordUpdate{{Address: addr(t, coach), Record: tt.want}}, p.RecordUpdates)
			in.Prior = carriedOut(t, in, p)
			diffOf(t, "touches afterwards", []RecordUpdate(nil), build(t, in).RecordUpdates)
		})
	}
}

// TestOfflineSecrets: without the variables, a secret is the same while its template is.
func TestOfflineSecrets(t *testing.T) {
	with := func(purpose, rules string) fields {
		return fields{"agentName": "Coach", "agentPurpose": secret.Template(purpose),
			"agentPolicyRules": secret.Template(rules)}
	}
	offline := secret.Sealer{Key: testSealer.Key, Lookup: env(map[string]string{"OTHER": "0ther"})}
	in := Input{
		Desired: []agent.Desired{want(t, coach, with("${secret:TOKEN}", "${secret:OTHER}"))},
		Prior: records(t, map[string]agent.Record{coach: record(t, "u1",
			with("${secret:TOKEN}", "${secret:OTHER}"))}),
		Sealer: offline,
	}
	diffOf(t, "same template", []brief(nil), briefs(build(t, in)))
	in.Desired[0].Fields = with("${secret:ELSE}", "${secret:OTHER}")
	diffOf(t, "another template", []string{"agentPurpose"}, build(t, in).Changes[0].Send)
	in.Desired[0].Fields = with("${secret:TOKEN}", "${secret:OTHER}")
	in.Sealer.Lookup = env(map[string]string{"OTHER": "changed"})
	diffOf(t, "another value of a known one", []string{"agentPolicyRules"}, build(t, in).Changes[0].Send)
}
