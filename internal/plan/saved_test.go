package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
)

// golden compares got with testdata/name, or renews the file where AGENTSYNC_GOLDEN is 1.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	diffOf(t, name, string(want), got)
}

// everyAction is the input of a plan that holds each action and each kind of difference.
func everyAction(t *testing.T) Input {
	bot := func(token string) fields {
		return fields{
			"name": "Bot <b>&</b>", "integrateWith": "langgraph",
			"integrationMeta": object{"baseUrl": "https://lg.example.com",
				"headers": object{"authorization": secret.Template("Bearer ${secret:" + token + "}")}},
		}
	}
	tenant := func(id string) fields { return fields{"agentName": "Tenant", "externalTenantId": id} }
	note := fields{"agentName": "Note", "tags": list{"a", "b"}}
	return Input{
		Desired: []agent.Desired{
			want(t, "cometchat/2754abc/concierge", bot("OTHER")),
			want(t, "cometchat/2754abc/new", bot("TOKEN")),
			want(t, "mindset/acme/drifted", note),
			want(t, "mindset/acme/moved", note, previously("old")),
			want(t, "mindset/acme/protected", tenant("t2"), protected),
			want(t, "mindset/acme/tenant", tenant("t2")),
			want(t, "mindset/acme/vanished", note),
			want(t, "mindset/acme/same", note),
		},
		Prior: records(t, map[string]agent.Record{
			"cometchat/2754abc/concierge": record(t, "c1", bot("TOKEN")),
			"mindset/acme/drifted":        record(t, "m1", note),
			"mindset/acme/gone":           record(t, "m2", note),
			"mindset/acme/old":            record(t, "m3", note),
			"mindset/acme/protected":      record(t, "m4", tenant("t1")),
			"mindset/acme/tenant":         record(t, "m5", tenant("t1")),
			"mindset/acme/vanished":       record(t, "m6", note),
			"mindset/acme/same":           record(t, "m7", note),
			"mindset/left/gone":           record(t, "m8", note),
		}),
		Live: map[agent.AppID][]Live{acme: {
			{UID: "m1", Content: agent.ContentOf(fields{"agentName": "Note", "tags": list{"b", "c"}})},
			{UID: "m2", Content: agent.ContentOf(note)}, {UID: "m3", Content: agent.ContentOf(note)},
			{UID: "m4", Content: agent.ContentOf(tenant("t1"))}, {UID: "m5", Content: agent.ContentOf(tenant("t1"))},
			{UID: "m7", Content: agent.ContentOf(note)}, {UID: "wild",
				Content: agent.ContentOf(fields{"agentName": "Wild"})},
		}},
		Prune: true,
	}
}

// encodePlan writes p as one indented JSON document, <, > and & as they are.
func encodePlan(w io.Writer, p *Plan) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(p.Document())
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := encodePlan(&b, build(t, everyAction(t))); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan.json", b.String())
	b.Reset()
	if err := encodePlan(&b, build(t, Input{})); err != nil {
		t.Fatal(err)
	}
	golden(t, "empty.json", b.String())
}

var binding = Binding{Version: "v1.2.3", Lineage: "lineage", Serial: 7, Paths: []string{"manifests"},
	Targets: []string{"mindset/*/*"}, Prune: true, Refresh: true}

func saved(t *testing.T, p *Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := Save(&b, p, binding); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestASavedPlanIsReadAsItWasWritten(t *testing.T) {
	p := build(t, everyAction(t))
	file := saved(t, p)
	golden(t, "saved.json", file)
	s, err := ReadSaved(strings.NewReader(file), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	diffOf(t, "binding", binding, s.Binding)
	var was, is bytes.Buffer
	if err := encodePlan(&was, p); err != nil {
		t.Fatal(err)
	}
	if err := encodePlan(&is, s.Plan); err != nil {
		t.Fatal(err)
	}
	diffOf(t, "plan", was.String(), is.String())
}

// What a reader of a saved plan is shown is what was planned: the files of texts, numbers to their last digit, who is
// in the way, marks, what an earlier replace left, and where requests go.
func TestASavedPlanKeepsAllThatIsShown(t *testing.T) {
	const bot = "cometchat/2754abc/bot"
	comet := addr(t, bot).ID()
	number := json.Number("12345678901234567890123")
	prompted := want(t, coach, fields{"agentName": "Coach", "agentPurpose": "Help."}, marking)
	prompted.TextFiles = map[string]string{"/agentPurpose": "prompts/coach.md"}
	obsolete := record(t, "u3", fields{"agentName": "Third"})
	obsolete.Obsolete = []string{"u0"}
	in := Input{
		Desired: []agent.Desired{prompted, want(t, third, fields{"agentName": "Third"}),
			want(t, "mindset/acme/way", fields{"agentName": "Way"}),
			want(t, bot, fields{"name": "Bot", "metaData": object{"n": number}})},
		Prior: records(t, map[string]agent.Record{coach: record(t, "u1", fields{"agentName": "Coach"}),
			third: obsolete, bot: record(t, "c1", fields{"name": "Bot", "metaData": object{"n": json.Number("1")}})}),
		Live: map[agent.AppID][]Live{acme: {mindLive("u1", fields{"agentName": "Coach"}, ""),
			mindLive("u3", fields{"agentName": "Third"}, ""),
			mindLive("u4", fields{"agentName": "Way", "tags": list{"x"}}, "")}},
		Prune: true,
		Places: map[agent.AppID]Place{
			acme:  {Origin: agent.Origin{BaseURL: "https://b", KeyEnv: "K"}, Foreign: true},
			comet: {Origin: agent.Origin{BaseURL: "https://c"}}},
		Origins: map[agent.AppID]agent.Origin{acme: {BaseURL: "https://a"}, comet: {BaseURL: "https://d"}},
	}
	p := build(t, in)
	p.Secrets, p.Doubted = MissingSecrets{Known: []string{"A"}, New: []string{"B"}}, []agent.AppID{comet}
	s, err := ReadSaved(strings.NewReader(saved(t, p)), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var written, read bytes.Buffer
	if err := errors.Join(encodePlan(&written, p), encodePlan(&read, s.Plan)); err != nil {
		t.Fatal(err)
	}
	diffOf(t, "document", written.String(), read.String())
	diffOf(t, "origins", p.Origins, s.Plan.Origins)
	diffOf(t, "secrets", p.Secrets, s.Plan.Secrets)
	diffOf(t, "doubted", []agent.AppID{comet}, s.Plan.Doubted)
	diffOf(t, "files", map[string]string{"/agentPurpose": "prompts/coach.md"}, s.Plan.Changes[1].TextFiles)
	diffOf(t, "number", any(number), s.Plan.Changes[0].Fields[0].After)
	if _, stale := s.Check(build(t, in), "lineage"); len(stale) > 0 {
		t.Errorf("it does not hold: %+v", stale)
	}
	for _, d := range p.Document().Changes {
		if d.Source != (diag.Pos{File: "agents.yaml", Line: 3, Column: 7}) {
			t.Errorf("%s stands at %+v", d.Address, d.Source)
		}
	}
}

func TestASavedPlanIsRefused(t *testing.T) {
	file := saved(t, build(t, everyAction(t)))
	tests := []struct{ name, file, version, want string }{
		{"empty", " \n", "v1.2.3", "the saved plan is empty; make it again with agentsync plan --out"},
		{"cut short", file[:len(file)/2], "v1.2.3",
			"the saved plan is cut short; make it again with agentsync plan --out"},
		{"not JSON", "version: 1\n", "v1.2.3",
			"this is no saved plan: invalid character 'v' looking for beginning of value; make it again with agentsync plan " +
				"--out"},
		{"another document", `{"formatVersion": "1.0"}`, "v1.2.3",
			`this is no saved plan: it has no "savedPlan" or no "body"; make it again with agentsync plan --out`},
		{"without a body", `{"savedPlan": "2", "agentsync": "v1.2.3"}`, "v1.2.3",
			`this is no saved plan: it has no "savedPlan" or no "body"; make it again with agentsync plan --out`},
		{"with a body alone", `{"body": {}}`, "v1.2.3",
			`this is no saved plan: it has no "savedPlan" or no "body"; make it again with agentsync plan --out`},
		{"a list", `[]`, "v1.2.3",
			"this is no saved plan: json: cannot unmarshal array into Go value of type plan.envelope; make it again with " +
				"agentsync plan --out"},
		{"followed by more", file + "{}", "v1.2.3",
			"this is no saved plan: invalid character '{' after top-level value; make it again with agentsync plan --out"},
		{"another agentsync", file, "v1.3.0",
			`the saved plan was made by agentsync "v1.2.3" (format "2") and this is agentsync "v1.3.0" (format "2"); make it ` +
				`again with agentsync plan --out`},
		{"another format", strings.Replace(file, `"savedPlan": "2"`, `"savedPlan": "1"`, 1), "v1.2.3",
			`the saved plan was made by agentsync "v1.2.3" (format "1") and this is agentsync "v1.2.3" (format "2"); make it ` +
				`again with agentsync plan --out`},
		{"edited", strings.Replace(file, `"after": "t2"`, `"after": "t3"`, 1), "v1.2.3",
			"the saved plan was changed after it was made: its checksum is wrong; make it again with agentsync plan --out"},
		{"made by hand", handmade(`{"plan": {"changes": [{"address": "x", "action": "create"}]}}`), "v1.2.3",
			`this is no saved plan: "x" is not an address: write platform/app/key, for example ` +
				`cometchat/2754abc/concierge; make it again with agentsync plan --out`},
		{"with an agent of no address", handmade(`{"plan": {"changes": [{"action": "create"}]}}`), "v1.2.3",
			`this is no saved plan: change 1: it has no address; make it again with agentsync plan --out`},
		{"with an unknown action", handmade(`{"plan": {"changes": [{"address": "a/b/c", "action": "explode"}]}}`),
			"v1.2.3",
			`this is no saved plan: change 1: "explode" is no action; make it again with agentsync plan --out`},
		{"with an unknown marker change",
			handmade(`{"plan": {"changes": [{"address": "a/b/c", "action": "update", "marker": "x"}]}}`), "v1.2.3",
			`this is no saved plan: change 1: "x" is nothing that is done about a marker; make it again with agentsync ` +
				`plan --out`},
		{"with a rename from nowhere",
			handmade(`{"plan": {"changes": [{"address": "a/b/c", "action": "move", "from": "c"}]}}`), "v1.2.3",
			`this is no saved plan: "c" is not an address: write platform/app/key, for example ` +
				`cometchat/2754abc/concierge; make it again with agentsync plan --out`},
		{"with a number that is none",
			handmade(`{"plan": {"changes": [{"address": "a/b/c", "action": "create", "fields": [` +
				`{"path": "/x", "after": 1e999}]}]}}`), "v1.2.3",
			`this is no saved plan: change 1: /x: "1e999" is not a finite number; make it again with agentsync plan --out`},
		{"with changes in disorder",
			handmade(`{"plan": {"changes": [{"address": "a/b/d", "action": "create"}, {"address": "a/b/c", ` +
				`"action": "create"}]}, "bases": [{}, {}]}`), "v1.2.3",
			`this is no saved plan: change 2: the changes are not ordered by address; make it again with agentsync plan ` +
				`--out`},
		{"with a change twice",
			handmade(`{"plan": {"changes": [{"address": "a/b/c", "action": "create"}, {"address": "a/b/c", ` +
				`"action": "create"}]}, "bases": [{}, {}]}`), "v1.2.3",
			`this is no saved plan: change 2: the changes are not ordered by address; make it again with agentsync plan ` +
				`--out`},
		{"without a basis", handmade(`{"plan": {"changes": [{"address": "a/b/c", "action": "create"}]}}`), "v1.2.3",
			"this is no saved plan: it does not say what each change is based on; make it again with agentsync plan --out"},
		{"with an app that is none", handmade(`{"plan": {"doubted": ["acme"]}}`), "v1.2.3",
			`this is no saved plan: "acme" is not an app: write platform/app, for example cometchat/2754abc; make it ` +
				`again with agentsync plan --out`},
		{"with an unmanaged agent of no app", handmade(`{"plan": {"unmanaged": [{"app": "acme"}]}}`), "v1.2.3",
			`this is no saved plan: "acme" is not an app: write platform/app, for example cometchat/2754abc; make it ` +
				`again with agentsync plan --out`},
		{"with requests of no app", handmade(`{"plan": {"origins": [{"app": "acme"}]}}`), "v1.2.3",
			`this is no saved plan: "acme" is not an app: write platform/app, for example cometchat/2754abc; make it ` +
				`again with agentsync plan --out`},
		{"bound to no app", handmade(`{"origins": [{"app": "acme"}]}`), "v1.2.3",
			`this is no saved plan: "acme" is not an app: write platform/app, for example cometchat/2754abc; make it ` +
				`again with agentsync plan --out`},
		{"with a guess of no agent", handmade(`{"plan": {"likelyRenames": [{"from": "a/b/c", "to": "c"}]}}`), "v1.2.3",
			`this is no saved plan: "c" is not an address: write platform/app/key, for example ` +
				`cometchat/2754abc/concierge; make it again with agentsync plan --out`},
		{"with a target that is none", handmade(`{"targets": ["["]}`), "v1.2.3",
			`this is no saved plan: "[" is not an address or pattern: `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadSaved(strings.NewReader(tt.file), tt.version)
			if err == nil {
				t.Fatal("it was read")
			}
			if !strings.HasPrefix(err.Error(), tt.want) { // the whole of it, but where it quotes a library
				t.Errorf("%q, want %q", err, tt.want)
			}
		})
	}
}

// handmade returns a file with a right checksum around any body.
func handmade(body string) string {
	var compact bytes.Buffer
	for _, r := range body {
		if r != ' ' {
			compact.WriteRune(r)
		}
	}
	e := envelope{Format: savedFormat, Version: "v1.2.3", Body: compact.Bytes()}
	return `{"savedPlan": "2", "agentsync": "v1.2.3", "checksum": "` + e.bodyChecksum() + `", "body": ` + body + `}`
}

func FuzzReadSaved(f *testing.F) {
	f.Add(handmade(`{}`))
	f.Add(handmade(`{"plan": {"changes": [{"address": "a/b/c", "action": "create", "fields": [{"path": "/x", "after": ` +
		`1e999}]}]}, "bases": [{}]}`))
	f.Add(`{"savedPlan": "2", "body": null}`)
	f.Fuzz(func(t *testing.T, file string) {
		s, err := ReadSaved(strings.NewReader(file), "v1.2.3")
		if (s == nil) == (err == nil) {
			t.Errorf("a plan %v and an error %v", s, err)
		}
	})
}

func TestCheck(t *testing.T) {
	reviewed := saved(t, build(t, everyAction(t)))
	tests := []struct {
		name string
		edit func(in *Input)
		want map[string]string
	}{
		{"nothing changed", func(*Input) {}, nil},
		{"an agent moved in its file", func(in *Input) { in.Desired[0].Source.Line++ }, nil},
		{"a manifest changed", func(in *Input) { in.Desired[1].Fields["name"] = "Other" },
			map[string]string{"cometchat/2754abc/new": reasonDesired}},
		{"an agent was applied by someone else", func(in *Input) {
			in.Prior[in.Desired[1].Address] = record(t, "c9", in.Desired[1].Fields)
		}, map[string]string{"cometchat/2754abc/new": reasonNothing}},
		{"a record changed", func(in *Input) {
			a := addr(t, "mindset/acme/tenant")
			rec := in.Prior[a]
			rec.UID = "m5b"
			in.Prior[a] = rec
			in.Live[acme] = append(in.Live[acme], Live{UID: "m5b", Content: in.Live[acme][4].Content})
		}, map[string]string{"mindset/acme/tenant": reasonRecord}},
		{"the platform changed again", func(in *Input) {
			in.Live[acme][0].Content = agent.ContentOf(fields{"agentName": "Note", "tags": list{"d"}})
		}, map[string]string{"mindset/acme/drifted": reasonChange}},
		{"an agent was added", func(in *Input) {
			in.Desired = append(in.Desired, want(t, "mindset/acme/added", fields{"agentName": "New"}))
		}, map[string]string{"mindset/acme/added": reasonNew}},
		{"an agent left that stays", func(in *Input) {
			in.Prior[addr(t, "mindset/acme/stays")] = record(t, "m10", fields{"agentName": "Stays"})
			in.Live[acme] = append(in.Live[acme],
				Live{UID: "m10", Content: agent.ContentOf(fields{"agentName": "Stays"})})
		}, map[string]string{"mindset/acme/stays": reasonNew}},
		{"deletes are not asked for any more", func(in *Input) { in.Prune = false }, map[string]string{
			"mindset/acme/gone": reasonChange, "mindset/left/gone": reasonChange, "mindset/acme/tenant": reasonChange}},
		{"the variables are not known here", func(in *Input) { in.Sealer = secret.Sealer{Key: testSealer.Key} }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := ReadSaved(strings.NewReader(reviewed), "v1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			in := everyAction(t)
			tt.edit(&in)
			current := build(t, in)
			holds, stale := s.Check(current, "lineage")
			got := map[string]string{}
			for _, st := range stale {
				got[st.Address.String()] = st.Reason
				if st.New != (st.Reason == reasonNew) {
					t.Errorf("%+v", st)
				}
			}
			if tt.want == nil {
				tt.want = map[string]string{}
			}
			diffOf(t, "stale", tt.want, got)
			for _, ch := range holds.Changes {
				if got[ch.Address.String()] != "" {
					t.Errorf("%s is stale and would be carried out", ch.Address)
				}
			}
			if want := len(current.Changes) - len(got); len(holds.Changes) < want {
				t.Errorf("%d changes hold, want %d", len(holds.Changes), want)
			}
		})
	}
}

// A plan without bases says nothing of what it was made from, so nobody may take two of them for one.
func TestAnUnboundPlanIsNeitherSavedNorHeldAgainstASavedOne(t *testing.T) {
	in := everyAction(t)
	reviewed := saved(t, build(t, in))
	in.Unbound = true
	unbound := build(t, in)
	if err := Save(io.Discard, unbound, Binding{}); err == nil {
		t.Error("it was saved")
	}
	s, err := ReadSaved(strings.NewReader(reviewed), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if holds, _ := s.Check(unbound, "lineage"); holds.Summary.Changes() != 0 {
		t.Errorf("%d changes of it hold", holds.Summary.Changes())
	}
}

func TestCheckOfAnotherState(t *testing.T) {
	p := build(t, everyAction(t))
	s, err := ReadSaved(strings.NewReader(saved(t, p)), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	holds, stale := s.Check(p, "another")
	if len(holds.Changes) != 0 || len(stale) != len(p.Changes) || stale[0].Reason != reasonLineage {
		t.Errorf("holds %d, stale %+v", len(holds.Changes), stale)
	}
}

func TestARenameOntoATakenAddressIsStaleToo(t *testing.T) {
	a, b := fields{"agentName": "A"}, fields{"agentName": "B"}
	in := Input{
		Desired: []agent.Desired{want(t, helper, a, previously("coach")), want(t, third, b, previously("helper"))},
		Prior:   records(t, map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)}),
	}
	s, err := ReadSaved(strings.NewReader(saved(t, build(t, in))), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	in.Desired[1].Fields = fields{"agentName": "changed"}
	holds, stale := s.Check(build(t, in), "lineage")
	diffOf(t, "stale", []Stale{{Address: addr(t, helper), Reason: reasonRename},
		{Address: addr(t, third), Reason: reasonDesired}}, stale)
	diffOf(t, "what holds", 0, len(holds.Changes))
}

// Where keys are handed on in a ring and one change is stale, all are, each once.
func TestARingWithAStaleChangeIsStale(t *testing.T) {
	a, b, c := fields{"agentName": "A"}, fields{"agentName": "B"}, fields{"agentName": "C"}
	in := Input{
		Desired: []agent.Desired{want(t, coach, c, previously("third")), want(t, helper, a, previously("coach")),
			want(t, third, b, previously("helper"))},
		Prior: records(t, map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b),
			third: record(t, "u3", c)}),
	}
	s, err := ReadSaved(strings.NewReader(saved(t, build(t, in))), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	in.Desired[1].Fields = fields{"agentName": "changed"}
	holds, stale := s.Check(build(t, in), "lineage")
	diffOf(t, "stale", []Stale{{Address: addr(t, coach), Reason: reasonRename},
		{Address: addr(t, helper), Reason: reasonDesired}, {Address: addr(t, third), Reason: reasonRename}}, stale)
	diffOf(t, "what holds", 0, len(holds.Changes))
}

// A change that was reviewed as kept is no reviewed change, whatever it becomes.
func TestWhatWasKeptWasNotReviewed(t *testing.T) {
	in := Input{Prior: records(t, map[string]agent.Record{coach: record(t, "u1", fields{"agentName": "A"}),
		helper: record(t, "u2", fields{"agentName": "B"})}), Apps: map[agent.AppID]bool{acme: true}}
	s, err := ReadSaved(strings.NewReader(saved(t, build(t, in))), "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	delete(in.Prior, addr(t, helper))
	in.Prune = true
	holds, stale := s.Check(build(t, in), "lineage")
	diffOf(t, "stale", []Stale{{Address: addr(t, coach), Reason: reasonNew, New: true}}, stale)
	diffOf(t, "what holds", 0, len(holds.Changes))
	in.Prune = false
	if _, stale := s.Check(build(t, in), "lineage"); len(stale) > 0 {
		t.Errorf("what is kept is stale: %+v", stale)
	}
}

// A saved plan is read to a limit, and not beyond it.
func TestLimitOfASavedPlan(t *testing.T) {
	var file bytes.Buffer
	if err := Save(&file, build(t, everyAction(t)), binding); err != nil {
		t.Fatal(err)
	}
	for over := int64(-1); over <= 1; over++ {
		_, err := readSaved(bytes.NewReader(file.Bytes()), binding.Version, int64(file.Len())-over)
		if (err == nil) != (over <= 0) || err != nil && !strings.Contains(err.Error(), "it is larger than") {
			t.Errorf("%d bytes too many: %v", over, err)
		}
	}
}
