package plan

import (
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

const (
	coach  = "mindset/acme/coach"
	helper = "mindset/acme/helper"
	third  = "mindset/acme/third"
)

// lostCoach is what goes with the agent that the tables delete.
var lostCoach = []FieldChange{{Path: "/agentName", Before: "Coach"}, {Path: "/tags", Before: list{"hr"}}}

func TestActions(t *testing.T) {
	one := fields{"agentName": "Coach", "tags": list{"hr"}}
	tests := []struct {
		name    string
		desired []agent.Desired
		prior   map[string]agent.Record
		edit    func(*Input)
		want    []brief
		summary Summary
	}{
		{
			name: "an agent that state does not know is created, all its fields listed in the schema's order",
			desired: []agent.Desired{want(t, coach,
				fields{"tags": list{"hr"}, "live": false, "agentName": "Coach", "access": nil})},
			want: []brief{{Action: Create, Address: coach, Send: nil, Fields: []FieldChange{
				{Path: "/agentName", After: "Coach"}, {Path: "/live", After: false}, {Path: "/tags", After: list{"hr"}},
			}}},
			summary: Summary{Create: 1},
		},
		{
			name: "a changed, an added and a removed field are an update that sends these alone",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Trainer", "live": true,
				"formatting": "Short."})},
			prior: map[string]agent.Record{coach: record(t, "u1",
				fields{"agentName": "Coach", "formatting": "Short.", "tags": list{"hr"}})},
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"agentName", "live", "tags"},
				Fields: []FieldChange{
					{Path: "/agentName", Before: "Coach", After: "Trainer"}, {Path: "/live", After: true},
					{Path: "/tags", Before: list{"hr"}},
				}}},
			summary: Summary{Update: 1},
		},
		{
			name:    "a field that cannot be changed is a replace, which --prune allows",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach", "externalTenantId": "t2"})},
			prior: map[string]agent.Record{coach: record(t, "u1", fields{"agentName": "Coach",
				"externalTenantId": "t1"})},
			edit: func(in *Input) { in.Prune = true },
			want: []brief{{Action: Replace, Address: coach, UID: "u1", Fields: []FieldChange{
				{Path: "/externalTenantId", Before: "t1", After: "t2", Immutable: true},
			}}},
			summary: Summary{Replace: 1},
		},
		{
			name:    "a replace without --prune is blocked",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach", "externalTenantId": "t2"})},
			prior:   map[string]agent.Record{coach: record(t, "u1", one)},
			want: []brief{{Action: Replace, Address: coach, UID: "u1", Blocked: BlockedByPrune, Fields: []FieldChange{
				{Path: "/tags", Before: list{"hr"}}, {Path: "/externalTenantId", After: "t2", Immutable: true},
			}}},
			summary: Summary{Replace: 1, Blocked: 1},
		},
		{
			name:    "a replace of a protected agent is blocked",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach"}, protected)},
			prior: map[string]agent.Record{coach: record(t, "u1", fields{"agentName": "Coach",
				"externalTenantId": "t1"})},
			edit: func(in *Input) { in.Prune = true },
			want: []brief{{Action: Replace, Address: coach, UID: "u1", Blocked: BlockedByProtect, Fields: []FieldChange{
				{Path: "/externalTenantId", Before: "t1", Immutable: true},
			}}},
			summary: Summary{Replace: 1, Blocked: 1, Protected: 1},
		},
		{
			name:    "an agent that left the manifests is kept",
			prior:   map[string]agent.Record{coach: record(t, "u1", one)},
			want:    []brief{{Action: Kept, Address: coach, UID: "u1"}},
			summary: Summary{Kept: 1},
		},
		{
			name:  "an agent that left the manifests is deleted with --prune",
			prior: map[string]agent.Record{coach: record(t, "u1", one)},
			edit: func(in *Input) {
				in.Prune, in.Apps = true, map[agent.AppID]bool{{Platform: "mindset", App: "acme"}: true}
			},
			want:    []brief{{Action: Delete, Address: coach, UID: "u1", Fields: lostCoach}},
			summary: Summary{Delete: 1},
		},
		{
			name: "an agent with a field that cannot be changed is deleted as any other",
			prior: map[string]agent.Record{coach: record(t, "u1", fields{"agentName": "Coach",
				"externalTenantId": "t1"}),
				helper: {UID: "u2", Observed: doc(t, fields{"agentName": "Imported"})},
				third:  {UID: "u3", Applied: agent.Doc("{")}},
			edit: func(in *Input) {
				in.Prune, in.Apps = true, map[agent.AppID]bool{{Platform: "mindset", App: "acme"}: true}
			},
			want: []brief{
				{Action: Delete, Address: coach, UID: "u1", Fields: []FieldChange{{Path: "/agentName", Before: "Coach"},
					{Path: "/externalTenantId", Before: "t1"}}},
				{Action: Delete, Address: helper, UID: "u2", Fields: []FieldChange{{Path: "/agentName",
					Before: "Imported"}}},
				{Action: Delete, Address: third, UID: "u3"},
			},
			summary: Summary{Delete: 3},
		},
		{
			name:    "a wanted agent names its app",
			desired: []agent.Desired{want(t, helper, one)},
			prior:   map[string]agent.Record{coach: record(t, "u1", one), helper: record(t, "u2", one)},
			edit:    func(in *Input) { in.Prune = true },
			want:    []brief{{Action: Delete, Address: coach, UID: "u1", Fields: lostCoach}},
			summary: Summary{Delete: 1, Unchanged: 1},
		},
		{
			name:    "an agent whose app left the manifests cannot be deleted",
			prior:   map[string]agent.Record{coach: record(t, "u1", one)},
			edit:    func(in *Input) { in.Prune = true },
			want:    []brief{{Action: Delete, Address: coach, UID: "u1", Fields: lostCoach, Blocked: BlockedByApp}},
			summary: Summary{Delete: 1, Blocked: 1},
		},
		{
			name:    "an agent that was protected stays so after it left the manifests",
			prior:   map[string]agent.Record{coach: {UID: "u1", Applied: doc(t, one), Protect: true}},
			edit:    func(in *Input) { in.Prune = true },
			want:    []brief{{Action: Delete, Address: coach, UID: "u1", Fields: lostCoach, Blocked: BlockedByProtect}},
			summary: Summary{Delete: 1, Blocked: 1, Protected: 1},
		},
		{
			name:    "nothing changed",
			desired: []agent.Desired{want(t, coach, one)},
			prior:   map[string]agent.Record{coach: record(t, "u1", one)},
			summary: Summary{Unchanged: 1},
		},
		{
			name:    "an ignored field counts at create",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach", "live": true}, ignoring("live"))},
			want: []brief{{Action: Create, Address: coach, Fields: []FieldChange{
				{Path: "/agentName", After: "Coach"}, {Path: "/live", After: true},
			}}},
			summary: Summary{Create: 1},
		},
		{
			name: "an ignored field and one that cannot be changed count at the create of an agent with a secret",
			desired: []agent.Desired{want(t, coach, fields{"agentName": secret.Template("${secret:TOKEN}"),
				"live":             true,
				"externalTenantId": "t1"}, ignoring("live"))},
			want: []brief{{Action: Create, Address: coach, Fields: []FieldChange{
				{Path: "/agentName", After: testSealer.Seal("/agentName", secret.Template("${secret:TOKEN}")),
					Secret: true},
				{Path: "/live", After: true}, {Path: "/externalTenantId", After: "t1"},
			}}},
			summary: Summary{Create: 1},
		},
		{
			name: "an imported agent with a secret that nobody knows is not recorded as applied",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach",
				"agentPurpose": secret.Template("${secret:UNSET}")})},
			prior: map[string]agent.Record{coach: {UID: "u1", Observed: doc(t, fields{"agentName": "Coach",
				"agentPurpose": secret.Template("${secret:UNSET}")})}},
			summary: Summary{Unchanged: 1},
		},
		{
			name: "an ignored field does not count later, one that cannot be changed included",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach", "live": true,
				"externalTenantId": "t2"},
				ignoring("live", "externalTenantId", "tags"))},
			prior: map[string]agent.Record{coach: record(t, "u1",
				fields{"agentName": "Coach", "live": false, "tags": list{"x"}, "externalTenantId": "t1"})},
			summary: Summary{Unchanged: 1},
		},
		{
			name: "an imported agent is compared with what was observed, in the fields that the manifest names",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach", "live": false,
				"formatting": "Short."})},
			prior: map[string]agent.Record{coach: {UID: "u1",
				Observed: doc(t, fields{"agentName": "Coach", "live": true, "formatting": "Short.",
					"tags": list{"hr"}})}},
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"live"}, Fields: []FieldChange{
				{Path: "/live", Before: true, After: false},
			}}},
			summary: Summary{Update: 1},
		},
		{
			name: "an agent of which nothing is known is sent all that can be changed",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "Coach", "live": false,
				"externalTenantId": "t1"})},
			prior: map[string]agent.Record{coach: {UID: "u1"}},
			want: []brief{{Action: Update, Address: coach, UID: "u1", Send: []string{"agentName", "live"},
				Fields: []FieldChange{
					{Path: "/agentName", After: "Coach"}, {Path: "/live", After: false},
				}}},
			summary: Summary{Update: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Desired: tt.desired, Prior: map[agent.Address]agent.Record{}}
			for a, rec := range tt.prior {
				in.Prior[addr(t, a)] = rec
			}
			if tt.edit != nil {
				tt.edit(&in)
			}
			p := build(t, in)
			diffOf(t, "changes", tt.want, briefs(p))
			diffOf(t, "summary", tt.summary, p.Summary)
			if len(p.RecordUpdates) > p.Summary.Protected { // which is recorded
				t.Errorf("stored: %+v", p.RecordUpdates)
			}
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	one := fields{"agentName": "Coach"}
	tests := []struct {
		name string
		in   Input
		want string
	}{
		{"an address that is used twice",
			Input{Desired: []agent.Desired{want(t, coach, one), want(t, helper, one), want(t, coach, one)}},
			"plan: the address mindset/acme/coach is used twice"},
		{"a platform without a schema", Input{Desired: []agent.Desired{want(t, "other/acme/coach", one)}},
			"plan: no schema describes the platform of other/acme/coach"},
		{"a field that the platform does not know", Input{Desired: []agent.Desired{want(t, coach,
			fields{"name": "Coach"})}},
			`plan: mindset/acme/coach has a field "name" that its platform does not know`},
		{"a value that is none", Input{Desired: []agent.Desired{want(t, coach, fields{"agentName": 1})}},
			"mindset/acme/coach: encode agent: a int has no canonical form"},
		{"a damaged record", Input{
			Desired: []agent.Desired{want(t, coach, one)},
			Prior:   map[agent.Address]agent.Record{addr(t, coach): {UID: "u1", Applied: agent.Doc(`{"agentName":`)}},
		},
			`state: applied of mindset/acme/coach: decode agent: jsontext: unexpected EOF within "/agentName" after offset 13`},
		{"a damaged record of what was seen", Input{
			Desired: []agent.Desired{want(t, coach, one)},
			Prior:   map[agent.Address]agent.Record{addr(t, coach): {UID: "u1", Observed: agent.Doc(`{"agentName":`)}},
		},
			`state: observed of mindset/acme/coach: decode agent: jsontext: unexpected EOF within "/agentName" after offset 13`},
		{"a field that the platform does not know, of an agent that it has", Input{
			Desired: []agent.Desired{want(t, coach, fields{"name": "Coach"})},
			Prior:   map[agent.Address]agent.Record{addr(t, coach): record(t, "u1", one)},
		}, `plan: mindset/acme/coach has a field "name" that its platform does not know`},
		{"a damaged record of an agent that wants a key that was handed on", Input{
			Desired: []agent.Desired{want(t, coach, one, previously("helper")),
				want(t, helper, one, previously("coach"))},
			Prior: map[agent.Address]agent.Record{addr(t, coach): {UID: "u1", Applied: agent.Doc("{")},
				addr(t, helper): record(t, "u2", one)},
		}, `state: applied of mindset/acme/coach: `},
		{"a damaged record of an agent that may have to make room", Input{
			Desired: []agent.Desired{want(t, coach, one), want(t, helper, one)},
			Prior: map[agent.Address]agent.Record{addr(t, helper): had(agent.Record{UID: "u1",
				Applied: agent.Doc("{")}, "coach")},
		}, `state: applied of mindset/acme/helper: `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Platforms, tt.in.Sealer = platforms(t), testSealer
			_, err := Build(tt.in)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestWhatIsRecorded: ignored fields keep what was applied, so that a change shows once they are not
// ignored any more; a new agent was sent all of them.
func TestWhatIsRecorded(t *testing.T) {
	d := want(t, coach, fields{"agentName": "New", "live": true}, ignoring("live", "tags"))
	prior := agent.Record{UID: "u1", Applied: doc(t, fields{"agentName": "Old", "tags": list{"x"}})}
	for _, tt := range []struct {
		name  string
		prior agent.Record
		want  fields
	}{
		{"an update", prior, fields{"agentName": "New", "tags": list{"x"}}},
		{"an import", agent.Record{UID: "u1", Observed: prior.Applied}, fields{"agentName": "New", "tags": list{"x"}}},
		{"a create", agent.Record{}, fields{"agentName": "New", "live": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AppliedDoc(d, tt.prior, testSealer)
			if err != nil {
				t.Fatal(err)
			}
			diffOf(t, tt.name, string(doc(t, tt.want)), string(got))
		})
	}
}
