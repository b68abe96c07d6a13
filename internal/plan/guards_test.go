package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// What a live value has to be to pass for what was sent: as platforms change texts (fold), with members of its own
// (added), or exactly.
func TestComparer(t *testing.T) {
	value := func(name string) any {
		f, err := (fields{"x": secret.Template("${secret:" + name + "}")}).Resolve(testSealer.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		return f["x"]
	}
	for name, tt := range map[string]struct {
		sent, live          any
		exact, fold, folded bool // by comparer{}, comparer{fold: true}, comparer{fold, added}
	}{
		"the same":                    {"x", "x", true, true, true},
		"trimmed":                     {"x ", "x", false, true, true},
		"another text":                {"x", "y", false, false, false},
		"a text and a list":           {"x", list{"x"}, false, false, false},
		"a list and a text":           {list{"x"}, "x", false, false, false},
		"a list, trimmed":             {list{"x "}, list{"x"}, false, true, true},
		"an empty list and a text":    {list{}, "x", false, false, false},
		"an empty list and an object": {list{}, object{}, false, false, false},
		"a longer list":               {list{"x"}, list{"x", "y"}, false, false, false},
		"a member more":               {object{"a": "1"}, object{"a": "1", "b": "2"}, false, false, true},
		"a member less":               {object{"a": "1", "b": "2"}, object{"a": "1"}, false, false, false},
		"the same members": {object{"a": "1", "b": "2"}, object{"b": "2", "a": "1"}, true, true,
			true},
		"a secret that nobody sent":              {object{}, object{"a": value("TOKEN")}, true, true, true},
		"a text, and a secret that is not shown": {"x", secret.Sealed{}, true, true, true},
		"a secret and a list":                    {value("TOKEN"), list{"x"}, true, true, true},
		"a secret that is shown as another": {object{"a": value("TOKEN")}, object{"a": "0ther"}, false, false,
			false},
		"a secret without a value":         {secret.Template("${secret:UNSET}"), "x", true, true, true},
		"a member that is nothing":         {object{"a": nil}, object{}, true, true, true},
		"nothing, and a value":             {object{"a": nil}, object{"a": "x"}, false, false, false},
		"a member of nothing at the other": {object{}, object{"a": nil}, true, true, true},
		"an object and a text":             {object{}, "x", false, false, false},
		"an empty text and a list":         {"", list{"x"}, false, false, false},
		"a missing text":                   {object{"a": "x"}, object{}, false, false, false},
		"a missing list":                   {object{"a": list{}}, object{}, false, false, false},
		"a missing truth":                  {object{"a": false}, object{}, false, false, false},
		"a secret":                         {value("TOKEN"), "s3cret", true, true, true},
		"another's secret":                 {value("TOKEN"), "0ther", false, false, false},
		"a secret, trimmed":                {value("TOKEN"), " s3cret ", false, true, true},
		"a secret, masked":                 {value("TOKEN"), "*****", true, true, true},
		"a secret that nobody knows":       {secret.Sealed{}, "x", true, true, true},
		"a secret that is not shown": {object{"h": object{"a": value("TOKEN")}}, object{}, true, true,
			true},
		"a secret beside what is missing": {object{"h": object{"a": value("TOKEN"), "b": "x"}}, object{}, false, false,
			false},
		"a number":       {json.Number("1"), json.Number("1.0"), true, true, true},
		"another number": {json.Number("1"), json.Number("2"), false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				comparer
				want bool
			}{{comparer{}, tt.exact}, {comparer{fold: true}, tt.fold}, {comparer{fold: true, added: true}, tt.folded}} {
				if got := c.value(tt.sent, tt.live, false); got != c.want {
					t.Errorf("%+v: %v", c.comparer, got)
				}
			}
		})
	}
	if (comparer{}).value(list{"x", "y"}, list{"y", "x"}, false) ||
		!(comparer{}).value(list{"x", "y"}, list{"y", "x"}, true) ||
		!(comparer{fold: true}).value(list{"x ", "y"}, list{"y", "x"}, true) {
		t.Error("the order of a list counts where it should not, or does not where it should")
	}
}

// What changed between a plan that was reviewed and the one made after the yes. What is kept is no change, whatever
// became of it.
func TestSince(t *testing.T) {
	const a, b, c = "mindset/acme/a", "mindset/acme/b", "mindset/acme/c"
	prior := func(addresses ...string) map[agent.Address]agent.Record {
		records := map[agent.Address]agent.Record{}
		for _, s := range addresses {
			records[addr(t, s)] = record(t, "uid-"+s[len(s)-1:], fields{"agentName": s})
		}
		return records
	}
	wants := func(addresses ...string) []agent.Desired {
		var all []agent.Desired
		for _, s := range addresses {
			all = append(all, want(t, s, fields{"agentName": s}, previously()))
		}
		return all
	}
	for name, tt := range map[string]struct {
		before, now Input
		want        []string
	}{
		"the same":   {Input{Desired: wants(a, b)}, Input{Desired: wants(a, b)}, nil},
		"one is new": {Input{Desired: wants(a)}, Input{Desired: wants(a, b)}, []string{b + " " + reasonNew}},
		"one is done": {Input{Desired: wants(a, b)}, Input{Desired: wants(a, b), Prior: prior(b)},
			[]string{b + " " + reasonNothing}},
		"one is another change": {Input{Desired: wants(a)},
			Input{Desired: wants(a), Prior: map[agent.Address]agent.Record{addr(t, a): record(t, "u",
				fields{"agentName": "x"})}}, []string{a + " " + reasonChange}},
		"one that is kept is new": {Input{Desired: wants(a)}, Input{Desired: wants(a), Prior: prior(c)}, nil},
		"one that is kept went":   {Input{Desired: wants(a), Prior: prior(c)}, Input{Desired: wants(a)}, nil},
		"in order": {Input{}, Input{Desired: wants(c, a, b)},
			[]string{a + " " + reasonNew, b + " " + reasonNew, c + " " + reasonNew}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range build(t, tt.now).Since(build(t, tt.before)) {
				got = append(got, s.Address.String()+" "+s.Reason)
				if s.New != (s.Reason == reasonNew) {
					t.Errorf("%s: new is %v", s.Address, s.New)
				}
			}
			diffOf(t, "stale", tt.want, got)
		})
	}
}

// What of a plan is still true keeps its touches, too.
func TestWithoutKeepsTheRest(t *testing.T) {
	a, b := addr(t, "mindset/acme/a"), addr(t, "mindset/acme/b")
	p := &Plan{Changes: []Change{{Address: a, Action: Create}, {Address: b, Action: Create}},
		RecordUpdates: []RecordUpdate{{Address: a}, {Address: b}}}
	rest := p.withoutStale([]Stale{{Address: a}})
	if len(rest.Changes) != 1 || rest.Changes[0].Address != b || len(rest.RecordUpdates) != 1 ||
		rest.RecordUpdates[0].Address != b || rest.Summary.Create != 1 {
		t.Errorf("%+v", rest)
	}
	if len(p.Changes) != 2 || len(p.RecordUpdates) != 2 {
		t.Error("the plan itself has changed")
	}
}

// A record that has another agent to delete, or another mark, is another record.
func TestBasisHoldsAllOfARecord(t *testing.T) {
	const a = "mindset/acme/a"
	edits := map[string]func(*agent.Record){
		"nothing": func(*agent.Record) {}, "uid": func(r *agent.Record) { r.UID = "2" },
		"obsolete":         func(r *agent.Record) { r.Obsolete = []string{"9"} },
		"another obsolete": func(r *agent.Record) { r.Obsolete = []string{"8"} },
		"mark":             func(r *agent.Record) { r.Mark = "m" },
		"protect":          func(r *agent.Record) { r.Protect = true },
		"observed":         func(r *agent.Record) { r.Observed = nil },
		"applied":          func(r *agent.Record) { r.Applied = doc(t, fields{"agentName": "Y"}) },
	}
	seen := map[string]string{}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			rec := record(t, "1", fields{"agentName": "X"})
			edit(&rec)
			p := build(t, Input{Desired: []agent.Desired{want(t, a, fields{"agentName": "Z"})},
				Prior: map[agent.Address]agent.Record{addr(t, a): rec}})
			is := p.Changes[0].Basis.Record
			if other, taken := seen[is]; taken || is == "" {
				t.Errorf("%s has the digest of %q", name, other)
			}
			seen[is] = name
		})
	}
}

// What a manifest says of an agent besides its fields is a part of what was reviewed.
func TestBasisHoldsAllOfAManifest(t *testing.T) {
	const a = "mindset/acme/a"
	seen := map[string]string{}
	for name, edits := range map[string][]func(*agent.Desired){"nothing": nil, "protect": {protected},
		"left to others": {ignoring("tags")}, "others left to others": {ignoring("live")}, "mark": {marking}} {
		p := build(t, Input{Desired: []agent.Desired{want(t, a, fields{"agentName": "Z"}, edits...)}})
		is := p.Changes[0].Basis.Desired
		if other, taken := seen[is]; taken || is == "" {
			t.Errorf("%s has the digest of %q", name, other)
		}
		seen[is] = name
	}
}

// What a change refers to is what it sends: all of a new agent, of another what differs, of a blocked one nothing.
func TestReferencesOfAPlan(t *testing.T) {
	const a = "mindset/acme/a"
	all := platforms(t)
	of := func(in Input) (names []string) {
		p := build(t, in)
		for _, r := range References(p, in.Desired, func(id agent.AppID) *schema.Platform { return all[id.Platform] }) {
			names = append(names, r.Name)
		}
		return names
	}
	wanted := []agent.Desired{want(t, a, fields{"agentName": "A", "contextUids": list{"c1", "c2"}, "tags": list{"t"}})}
	has := func(f fields) map[agent.Address]agent.Record {
		return map[agent.Address]agent.Record{addr(t, a): record(t, "1", f)}
	}
	diffOf(t, "a new agent", []string{"c1", "c2"}, of(Input{Desired: wanted}))
	diffOf(t, "other contexts", []string{"c1", "c2"},
		of(Input{Desired: wanted, Prior: has(fields{"agentName": "A", "contextUids": list{"c1"}, "tags": list{"t"}})}))
	diffOf(t, "another tenant", []string{"c1", "c2"}, of(Input{Desired: []agent.Desired{want(t, a,
		fields{"agentName": "A",
			"contextUids": list{"c1", "c2"}, "externalTenantId": "t2"})}, Prune: true,
		Prior: has(fields{"agentName": "A", "contextUids": list{"c1", "c2"}, "externalTenantId": "t1"})}))
	diffOf(t, "one that left", []string(nil), of(Input{Prune: true, Apps: map[agent.AppID]bool{acme: true},
		Prior: has(fields{"agentName": "A", "contextUids": list{"c1"}})}))
	diffOf(t, "another name", []string(nil),
		of(Input{Desired: wanted, Prior: has(fields{"agentName": "B", "contextUids": list{"c1", "c2"},
			"tags": list{"t"}})}))
	diffOf(t, "a namesake in the way", []string(nil), of(Input{Desired: wanted,
		Live: map[agent.AppID][]Live{addr(t, a).ID(): {mindLive("9", fields{"agentName": "A"}, "")}}}))
}

// An agent that the state knows by another version of the API needs its app's list before anything can be said of it;
// one by the same version, or of an app that was not listed, does not. One of which it knows the uid alone needs it as
// well.
func TestLiveNeeded(t *testing.T) {
	a, b, c := addr(t, "mindset/one/a"), addr(t, "mindset/two/b"), addr(t, "mindset/three/c")
	for version, want := range map[string][]agent.AppID{"v1": {b.ID()}, "v2": {a.ID()}} {
		t.Run(version, func(t *testing.T) {
			v2 := record(t, "2", fields{"agentName": "B"})
			v2.API = "v2"
			in := Input{
				Platforms: platforms(t), Versions: map[agent.AppID]string{a.ID(): version, b.ID(): version,
					c.ID(): version},
				Prior: map[agent.Address]agent.Record{a: record(t, "1", fields{"agentName": "A"}), b: v2, c: v2},
				Live:  map[agent.AppID][]Live{a.ID(): {}, b.ID(): {}},
			}
			diffOf(t, version, want, slices.Collect(maps.Keys(in.LiveNeeded())))
		})
	}
	bare := Input{Platforms: platforms(t), Prior: map[agent.Address]agent.Record{a: {UID: "1"}},
		Live: map[agent.AppID][]Live{a.ID(): {}, b.ID(): {}}}
	diffOf(t, "the uid alone is known", []agent.AppID{a.ID()}, slices.Collect(maps.Keys(bare.LiveNeeded())))
}

// A delete took the newest agent of a replace and left the one before it: nothing but its uid is known, and agentsync
// made it. All that it holds counts as applied, also what the manifest does not name and what the platform cannot
// change.
func TestAnAgentOfWhichOnlyTheUIDIsKnown(t *testing.T) {
	a := addr(t, coach)
	mark := a.Mark()
	for _, tt := range []struct {
		name     string
		live     fields
		liveMark string
		wanted   fields
		mark     string
		want     string
	}{
		{"another tenant", fields{"agentName": "A", "externalTenantId": "t1"}, "",
			fields{"agentName": "A", "externalTenantId": "t2"}, "", "replace [] /externalTenantId"},
		{"no tenant any more", fields{"agentName": "A", "externalTenantId": "t1"}, "", fields{"agentName": "A"}, "",
			"replace [] /externalTenantId"},
		{"a text that nobody names", fields{"agentName": "A", "agentPurpose": "Old."}, "", fields{"agentName": "A"}, "",
			"update [agentPurpose] /agentPurpose"},
		{"another text", fields{"agentName": "A"}, "", fields{"agentName": "B"}, "", "update [agentName] /agentName"},
		{"a mark that nobody wants", fields{"agentName": "A"}, mark, fields{"agentName": "A"}, "", "update [tags]"},
		{"a mark that is wanted", fields{"agentName": "A"}, "", fields{"agentName": "A"}, mark, "update [tags]"},
		{"all as it is wanted", fields{"agentName": "A"}, "", fields{"agentName": "A"}, "", "behind A A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := want(t, coach, tt.wanted)
			w.Mark = tt.mark
			p := build(t, Input{Prune: true, Desired: []agent.Desired{w},
				Prior: map[agent.Address]agent.Record{a: {UID: "u1"}},
				Live:  map[agent.AppID][]Live{a.ID(): {mindLive("u1", tt.live, tt.liveMark)}}})
			var got string
			for _, ch := range p.Changes {
				got = fmt.Sprintf("%s %v", ch.Action, ch.Send)
				for _, f := range ch.Fields {
					got += " " + f.Path
				}
				if !ch.Resumed {
					t.Error("it is not told that only the uid is known")
				}
			}
			for _, u := range p.RecordUpdates {
				applied, _ := u.Record.Applied.Fields()
				observed, _ := u.Record.Observed.Fields()
				got += fmt.Sprintf("behind %v %v", applied["agentName"], observed["agentName"])
			}
			diffOf(t, tt.name, tt.want, got)
		})
	}
}

// What another version of the API observed is in its fields: a refresh records what this one shows, and no drift.
func TestARefreshByAnotherAPI(t *testing.T) {
	one, other := addr(t, "mindset/acme/a"), addr(t, "mindset/acme/b")
	rec := record(t, "1", fields{"agentName": "A"})
	rec.Observed = doc(t, fields{"agentName": "A", "agentPersonality": "kind"}) // a field that v2 does not have
	in := Input{
		Platforms: platforms(t), Sealer: testSealer, Versions: map[agent.AppID]string{acme: "v2"},
		Prior: map[agent.Address]agent.Record{one: rec, other: record(t, "2", fields{"agentName": "B"})},
		Live: map[agent.AppID][]Live{acme: {{UID: "1", Content: agent.ContentOf(fields{"agentName": "A",
			"live": true})}}},
		Gone: map[agent.AppID]map[string]bool{acme: {"2": true}},
	}
	behind, _, err := Refresh(in)
	if err != nil || len(behind) != 2 {
		t.Fatalf("%+v, %v", behind, err)
	}
	if r := behind[0]; r.Record.API != "v2" || len(r.Fields) > 0 ||
		string(r.Record.Observed) != `{"agentName":"A","live":true}` {
		t.Errorf("%+v", r)
	}
	if r := behind[1]; r.Vanished || !r.Unlisted { // that this version does not know it is no proof that it is gone
		t.Errorf("%+v", r)
	}
}

// A field that the platform cannot empty, and that was taken out of the manifest, is told with what to do; not where it
// is wanted, left to others, or the change is no update or blocked.
func TestCannotEmpty(t *testing.T) {
	const a = "mindset/acme/a"
	all := platforms(t)
	schemaOf := func(id agent.AppID) *schema.Platform { return all[id.Platform].Version("v2") }
	rec := record(t, "1", fields{"agentName": "A", "agentPurpose": "Helps.", "additionalInformation": "More."})
	rec.API = "v2"
	for name, tt := range map[string]struct {
		fields fields
		edits  []func(*agent.Desired)
		send   []string
		says   bool
	}{
		"taken out": {fields: fields{"agentName": "A"}, send: []string{"agentPurpose", "additionalInformation"},
			says: true},
		"another value": {fields: fields{"agentName": "A", "agentPurpose": "Other."},
			send: []string{"agentPurpose", "additionalInformation"}},
		"left to others": {fields: fields{"agentName": "A"}, edits: []func(*agent.Desired){ignoring("agentPurpose")},
			send: []string{"additionalInformation"}},
		"kept": {fields: fields{"agentName": "A", "agentPurpose": "Helps."}, send: []string{"additionalInformation"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Desired: []agent.Desired{want(t, a, tt.fields, tt.edits...)},
				Versions: map[agent.AppID]string{acme: "v2"},
				Prior:    map[agent.Address]agent.Record{addr(t, a): rec}}
			p := build(t, in)
			diffOf(t, "sent", tt.send, p.Changes[0].Send)
			problems := CannotEmpty(p, in.Desired, schemaOf)
			if (len(problems) == 1) != tt.says || tt.says &&
				!strings.HasPrefix(problems[0].Summary, "agentPurpose was taken out") {
				t.Errorf("%+v", problems)
			}
			for _, edit := range []func(*Change){
				func(ch *Change) { ch.Blocked = BlockedByAPI }, func(ch *Change) { ch.Action = Create },
				func(ch *Change) { ch.Address.Key = "b" },
			} {
				again := build(t, in)
				edit(&again.Changes[0])
				if problems := CannotEmpty(again, in.Desired, schemaOf); len(problems) > 0 {
					t.Errorf("%+v: %+v", again.Changes[0], problems)
				}
			}
		})
	}
}

// A list that held a secret is sealed as a whole in an answer: its members can have moved.
func TestAListWithASecretIsSealedAsAWhole(t *testing.T) {
	like := fields{"agentName": "A", "tags": list{"x", secret.Template("${secret:OTHER}")}}
	doc, err := agent.Encode(SealAnswer(fields{"agentName": "A", "tags": list{"0ther", "x", "y"}}, like, testSealer))
	if err != nil || strings.Contains(string(doc), "0ther") || strings.Contains(string(doc), `"x"`) ||
		!strings.Contains(string(doc), `"agentName":"A"`) {
		t.Errorf("%s, %v", doc, err)
	}
}

// What is secret of a field is told as such, whatever of its values is there.
func TestASecretFieldIsToldAsSecret(t *testing.T) {
	for name, f := range map[string]FieldChange{
		"before": {Before: "v"}, "after": {After: "v"}, "live": {Live: "v", Drift: true}, "none": {},
	} {
		t.Run(name, func(t *testing.T) {
			f.Secret = true
			doc := f.Document()
			b, err := json.Marshal(doc)
			if err != nil || !doc.Secret || strings.Contains(string(b), `"v"`) {
				t.Errorf("%s, %v", b, err)
			}
		})
	}
}

// A secret is told as such, and not shown, also where nothing says that its place is a secret one.
func TestASecretValueIsToldAsSecret(t *testing.T) {
	sealed := secret.Sealed{Template: "0011", Value: "2233"}
	for name, f := range map[string]FieldChange{
		"before": {Before: sealed, After: "x"}, "after": {After: object{"a": list{sealed}}, Before: "x"},
	} {
		doc := f.Document()
		b, err := json.Marshal(doc)
		if err != nil || !doc.Secret || strings.Contains(string(b), "0011") || !strings.Contains(string(b), `"x"`) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
}

// A secret in an answer is sealed also where nothing secret was sent: somebody else has put it there.
func TestASecretThatNobodySentIsSealed(t *testing.T) {
	answered := fields{"name": "A",
		"integrationMeta": object{"headers": object{"authorization": secret.Literal("theirs")}}}
	sealed := SealAnswer(answered, fields{"name": "A"}, testSealer)
	if v := sealed["integrationMeta"].(object)["headers"].(object)["authorization"]; !secret.Is(v) {
		t.Errorf("%T", v)
	} else if _, isSealed := v.(secret.Sealed); !isSealed {
		t.Errorf("%T", v)
	}
}

// The same template with another value is another secret; one without a value here is the same as long as its template
// is.
func TestSameSealed(t *testing.T) {
	sealed := func(template, value string) any {
		return list{object{"a": secret.Sealed{Template: template, Value: value}}}
	}
	for name, tt := range map[string]struct {
		wanted, applied any
		same            bool
	}{
		"the same": {sealed("t", "1"), sealed("t", "1"), true}, "another value": {sealed("t", "1"), sealed("t", "2"),
			false},
		"without a value": {sealed("t", ""), sealed("t", "2"), true}, "another template": {sealed("u", "1"),
			sealed("t", "1"), false},
		"no secret": {sealed("t", "1"), list{object{"a": "x"}}, false}, "no list": {sealed("t", "1"), object{}, false},
		"no object": {object{}, list{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sameSealed(tt.wanted, tt.applied); got != tt.same {
				t.Error(got)
			}
		})
	}
}

// The member that a pointer names is found whatever is in its name.
func TestAPointerWithEscapes(t *testing.T) {
	raw := object{"a/b": object{"c~d": secret.Literal("***")}}
	sealed := object{"a/b": object{"c~d": secret.Sealed{Template: "mask"}}}
	observed := object{"a/b": object{"c~d": secret.Sealed{Template: "known"}}}
	got := unhideAt(agent.SplitPointer("/a~1b/c~0d"), raw, sealed, observed)
	diffOf(t, "unhidden", any(observed), got)
}

// That a text moved to another file is no change of a plan that was reviewed.
func TestAnotherFileIsTheSameChange(t *testing.T) {
	change := func(file, after string) *Change {
		return &Change{Action: Update, TextFiles: map[string]string{"/agentPurpose": file},
			Fields: []FieldChange{{Path: "/agentPurpose", Before: "x", After: after}}}
	}
	if !sameChange(change("a.md", "y"), change("b.md", "y")) || sameChange(change("a.md", "y"), change("a.md", "z")) {
		t.Error("the file counts, or the text does not")
	}
}

// A field differs where it does as a whole, or anything in it does; not where only the start of its name is another's.
func TestDiffers(t *testing.T) {
	ch := &Change{Fields: []FieldChange{{Path: "/metaData/a"}, {Path: "/name"}, {Path: "/x~1y/z"}}}
	for name, want := range map[string]bool{"metaData": true, "name": true, "x/y": true, "meta": false, "nam": false,
		"a": false, "": false} {
		t.Run(name, func(t *testing.T) {
			if got := ch.Differs(name); got != want {
				t.Error(got)
			}
		})
	}
}

// What a platform did not answer is no mask.
func TestMasked(t *testing.T) {
	for text, want := range map[secret.Text]bool{secret.Literal("***"): true, secret.Literal(""): true,
		secret.Literal("x"): false, secret.Template("${secret:UNSET}"): false} {
		t.Run(fmt.Sprint(text), func(t *testing.T) {
			if got := Masked(text); got != want {
				t.Errorf("%v: %v", text, got)
			}
		})
	}
}

// Numbers that cannot be read are not the same.
func TestSameNumber(t *testing.T) {
	for pair, same := range map[[2]json.Number]bool{{"1", "1.0"}: true, {"1", "2"}: false, {"x", "1"}: false,
		{"1", "x"}: false, {"x", "x"}: false} {
		t.Run(fmt.Sprint(pair), func(t *testing.T) {
			if got := sameNumber(pair[0], pair[1]); got != same {
				t.Errorf("%v: %v", pair, got)
			}
		})
	}
}

// Apps whose lists are not believed are in order.
func TestDoubtedAppsAreInOrder(t *testing.T) {
	in := Input{Platforms: platforms(t), Sealer: testSealer, Prior: map[agent.Address]agent.Record{},
		Live: map[agent.AppID][]Live{}}
	var want []agent.AppID
	for _, app := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		a := addr(t, "mindset/"+app+"/x")
		in.Prior[a], in.Live[a.ID()] = record(t, "u"+app, fields{"agentName": "A"}), []Live{{UID: "other"}}
		want = append(want, a.ID())
	}
	_, doubted, err := Refresh(in)
	if err != nil {
		t.Fatal(err)
	}
	diffOf(t, "doubted", want, doubted)
}
