package plan

import (
	"fmt"
	"testing"

	"agentsync/internal/agent"
)

func TestRenames(t *testing.T) {
	a, b, c := fields{"agentName": "A"}, fields{"agentName": "B"}, fields{"agentName": "C"}
	tests := []struct {
		name    string
		desired []agent.Desired
		prior   map[string]agent.Record
		targets []agent.Glob
		want    []brief
	}{
		{
			name:    "a rename alone is a move",
			desired: []agent.Desired{want(t, coach, a, previously("gone", "helper"))},
			prior:   map[string]agent.Record{helper: record(t, "u1", a)},
			want:    []brief{{Action: Move, Address: coach, From: helper, UID: "u1"}},
		},
		{
			name:    "a rename with a change is an update",
			desired: []agent.Desired{want(t, coach, b, previously("helper"))},
			prior:   map[string]agent.Record{helper: record(t, "u1", a)},
			want: []brief{{Action: Update, Address: coach, From: helper, UID: "u1", Send: []string{"agentName"},
				Fields: []FieldChange{{Path: "/agentName", Before: "A", After: "B"}}}},
		},
		{
			name:    "previous keys that state does not know are ignored",
			desired: []agent.Desired{want(t, coach, a, previously("gone"))},
			want:    []brief{{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "A"}}}},
		},
		{
			name:    "previous keys are stale once the address has a record",
			desired: []agent.Desired{want(t, coach, a, previously("helper"))},
			prior:   map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)},
			want:    []brief{{Action: Kept, Address: helper, UID: "u2"}},
		},
		{
			name:    "a key that is still wanted keeps its record",
			desired: []agent.Desired{want(t, coach, a, previously("helper")), want(t, helper, b)},
			prior:   map[string]agent.Record{helper: record(t, "u2", b)},
			want:    []brief{{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "A"}}}},
		},
		{
			name:    "keys are handed on in a chain",
			desired: []agent.Desired{want(t, helper, a, previously("coach")), want(t, third, b, previously("helper"))},
			prior:   map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)},
			want: []brief{
				{Action: Move, Address: helper, From: coach, UID: "u1"},
				{Action: Move, Address: third, From: helper, UID: "u2"},
			},
		},
		{
			name:    "a target at the end of a chain leaves the rest for later",
			desired: []agent.Desired{want(t, helper, a, previously("coach")), want(t, third, b, previously("helper"))},
			prior:   map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)},
			targets: []agent.Glob{third},
			want:    []brief{{Action: Move, Address: third, From: helper, UID: "u2"}},
		},
		{
			name:    "a target at the start of a chain draws in what makes room",
			desired: []agent.Desired{want(t, helper, a, previously("coach")), want(t, third, b, previously("helper"))},
			prior:   map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)},
			targets: []agent.Glob{coach},
			want: []brief{
				{Action: Move, Address: helper, From: coach, UID: "u1"},
				{Action: Move, Address: third, From: helper, UID: "u2"},
			},
		},
		{
			name:    "two agents swap keys where each wants what the other holds",
			desired: []agent.Desired{want(t, coach, b, previously("helper")), want(t, helper, a, previously("coach"))},
			prior:   map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)},
			want: []brief{
				{Action: Move, Address: coach, From: helper, UID: "u2"},
				{Action: Move, Address: helper, From: coach, UID: "u1"},
			},
		},
		{
			name:    "a swap that was carried out is not turned back",
			desired: []agent.Desired{want(t, coach, b, previously("helper")), want(t, helper, a, previously("coach"))},
			prior: map[string]agent.Record{coach: had(record(t, "u2", b), "helper"),
				helper: had(record(t, "u1", a), "coach")},
		},
		{
			name:    "a swap that a lost state forgot is not turned back",
			desired: []agent.Desired{want(t, coach, b, previously("helper")), want(t, helper, a, previously("coach"))},
			prior:   map[string]agent.Record{coach: record(t, "u2", b), helper: record(t, "u1", a)},
		},
		{
			name:    "a swap takes the agents along although one changes too",
			desired: []agent.Desired{want(t, coach, c, previously("helper")), want(t, helper, a, previously("coach"))},
			prior:   map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)},
			want: []brief{
				{Action: Update, Address: coach, From: helper, UID: "u2", Send: []string{"agentName"},
					Fields: []FieldChange{{Path: "/agentName", Before: "B", After: "C"}}},
				{Action: Move, Address: helper, From: coach, UID: "u1"},
			},
		},
		{
			name:    "one that asks for a key that is not handed on keeps its record",
			desired: []agent.Desired{want(t, coach, b, previously("helper")), want(t, helper, c, previously("third"))},
			prior:   map[string]agent.Record{coach: record(t, "u1", b), helper: record(t, "u2", c)},
		},
		{
			name:    "the revert of a rename moves back",
			desired: []agent.Desired{want(t, coach, a)},
			prior:   map[string]agent.Record{helper: had(record(t, "u1", a), "coach")},
			want:    []brief{{Action: Move, Address: coach, From: helper, UID: "u1"}},
		},
		{
			name:    "the revert of two renames in a row moves back",
			desired: []agent.Desired{want(t, coach, b)},
			prior:   map[string]agent.Record{third: had(record(t, "u1", a), "coach", "helper")},
			want: []brief{{Action: Update, Address: coach, From: third, UID: "u1", Send: []string{"agentName"},
				Fields: []FieldChange{{Path: "/agentName", Before: "A", After: "B"}}}},
		},
		{
			name:    "the revert of a chain moves back",
			desired: []agent.Desired{want(t, coach, a), want(t, helper, b)},
			prior: map[string]agent.Record{helper: had(record(t, "u1", a), "coach"),
				third: had(record(t, "u2", b), "helper")},
			want: []brief{
				{Action: Move, Address: coach, From: helper, UID: "u1"},
				{Action: Move, Address: helper, From: third, UID: "u2"},
			},
		},
		{
			name:    "the revert of a swap moves back",
			desired: []agent.Desired{want(t, coach, a), want(t, helper, b)},
			prior: map[string]agent.Record{coach: had(record(t, "u2", b), "helper"),
				helper: had(record(t, "u1", a), "coach")},
			want: []brief{
				{Action: Move, Address: coach, From: helper, UID: "u1"},
				{Action: Move, Address: helper, From: coach, UID: "u2"},
			},
		},
		{
			name:    "a new agent at a former key is new where the renamed one is still wanted",
			desired: []agent.Desired{want(t, coach, b), want(t, helper, a, previously("coach"))},
			prior:   map[string]agent.Record{helper: had(record(t, "u1", a), "coach")},
			want:    []brief{{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "B"}}}},
		},
		{
			name:    "a new agent at a former key sends no known one through two addresses",
			desired: []agent.Desired{want(t, coach, c), want(t, helper, a)},
			prior: map[string]agent.Record{helper: had(record(t, "u1", a), "coach"),
				third: had(record(t, "u2", b), "helper")},
			want: []brief{
				{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "C"}}},
				{Action: Kept, Address: third, UID: "u2"},
			},
		},
		{
			name:    "an agent that says where it came from makes no room for one that does not",
			desired: []agent.Desired{want(t, coach, c), want(t, helper, a, previously("third"))},
			prior: map[string]agent.Record{helper: had(record(t, "u1", a), "coach"),
				third: had(record(t, "u2", b), "helper")},
			want: []brief{
				{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "C"}}},
				{Action: Kept, Address: third, UID: "u2"},
			},
		},
		{
			name:    "an agent that does not say where it came from makes no room for one that does",
			desired: []agent.Desired{want(t, coach, c, previously("helper")), want(t, helper, a)},
			prior: map[string]agent.Record{helper: had(record(t, "u1", a), "coach"),
				third: had(record(t, "u2", b), "helper")},
			want: []brief{
				{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "C"}}},
				{Action: Kept, Address: third, UID: "u2"},
			},
		},
		{
			name:    "of two that had a key nobody can say which one comes back",
			desired: []agent.Desired{want(t, coach, c)},
			prior: map[string]agent.Record{helper: had(record(t, "u1", a), "coach"),
				third: had(record(t, "u2", b), "coach")},
			want: []brief{
				{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "C"}}},
				{Action: Kept, Address: helper, UID: "u1"},
				{Action: Kept, Address: third, UID: "u2"},
			},
		},
		{
			name:    "an empty list of previous keys says that an agent is new",
			desired: []agent.Desired{want(t, coach, a, previously())},
			prior:   map[string]agent.Record{helper: had(record(t, "u1", a), "coach")},
			want: []brief{
				{Action: Create, Address: coach, Fields: []FieldChange{{Path: "/agentName", After: "A"}}},
				{Action: Kept, Address: helper, UID: "u1"},
			},
		},
		{
			name: "three agents hand their keys on in a ring",
			desired: []agent.Desired{
				want(t, coach, c, previously("third")), want(t, helper, a, previously("coach")),
				want(t, third, b, previously("helper")),
			},
			prior: map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b),
				third: record(t, "u3", c)},
			want: []brief{
				{Action: Move, Address: coach, From: third, UID: "u3"},
				{Action: Move, Address: helper, From: coach, UID: "u1"},
				{Action: Move, Address: third, From: helper, UID: "u2"},
			},
		},
		{
			name: "a rename is carried out although its replace is blocked",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "A", "externalTenantId": "t2"},
				previously("helper"))},
			prior: map[string]agent.Record{helper: record(t, "u1", a)},
			want: []brief{{Action: Replace, Address: coach, From: helper, UID: "u1", Blocked: BlockedByPrune,
				Fields: []FieldChange{{Path: "/externalTenantId", After: "t2", Immutable: true}}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Desired: tt.desired, Prior: records(t, tt.prior), Targets: tt.targets}
			p := build(t, in)
			diffOf(t, "changes", tt.want, briefs(p))
			if len(tt.targets) > 0 {
				return
			}
			in.Prior = carriedOut(t, in, p)
			if again := build(t, in); len(again.Renames()) > 0 {
				t.Errorf("planned again, it renames once more: %v", again.Renames())
			}
		})
	}
}

// A rename that comes with lifecycle.protect is remembered like any other: its revert moves back, and a swap whose
// changes are blocked is not turned back.
func TestARenameWithAnotherProtectionIsRemembered(t *testing.T) {
	a, b := fields{"agentName": "A"}, fields{"agentName": "B"}
	in := Input{Desired: []agent.Desired{want(t, coach, a, previously("helper"), protected)},
		Prior: records(t, map[string]agent.Record{helper: record(t, "u1", a)})}
	p := build(t, in)
	diffOf(t, "rename", []brief{{Action: Move, Address: coach, From: helper, UID: "u1"}}, briefs(p))
	in.Prior = carriedOut(t, in, p)
	in.Desired = []agent.Desired{want(t, helper, a)}
	diffOf(t, "revert", []brief{{Action: Move, Address: helper, From: coach, UID: "u1"}}, briefs(build(t, in)))

	tenant := func(name, id string) fields { return fields{"agentName": name, "externalTenantId": id} }
	in = Input{Desired: []agent.Desired{want(t, coach, tenant("B", "t3"), previously("helper"), protected),
		want(t, helper, tenant("A", "t4"), previously("coach"), protected)},
		Prior: records(t, map[string]agent.Record{coach: record(t, "u1", a), helper: record(t, "u2", b)})}
	p = build(t, in)
	if len(p.Renames()) != 2 || p.Summary.Protected != 2 {
		t.Errorf("swap: %+v", briefs(p))
	}
	in.Prior = carriedOut(t, in, p)
	if again := build(t, in); len(again.Renames()) > 0 {
		t.Errorf("it is turned back: %+v", briefs(again))
	}
}

// One agent names two previous keys, and the other names its key: planned again after it was carried out, nothing
// moves, be the content as it is wanted or not.
func TestTwoPreviousKeysComeToRest(t *testing.T) {
	had := fields{"agentName": "Had"}
	for name, records := range map[string][]string{
		"its own record is missing": {helper, third}, "a record of no wanted agent is there": {coach, helper, third},
		"all keys are wanted agents": {coach, third},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Prune: true, Desired: []agent.Desired{
				want(t, coach, fields{"agentName": "A"}, previously("helper", "third")),
				want(t, third, fields{"agentName": "C"}, previously("coach")),
			}, Prior: map[agent.Address]agent.Record{}}
			for i, a := range records {
				in.Prior[addr(t, a)] = record(t, fmt.Sprint("u", i), had)
			}
			first := build(t, in)
			next := map[agent.Address]agent.Record{}
			for a, rec := range in.Prior {
				next[a] = rec
			}
			for _, ch := range first.Changes {
				if ch.Action == Delete {
					delete(next, ch.Address)
				}
			}
			for _, mv := range first.Renames() {
				delete(next, mv.From)
			}
			for _, mv := range first.Renames() { // what is to be sent is not carried out
				next[mv.To] = in.Prior[mv.From].Moved(mv.From.Key, mv.To.Key)
			}
			in.Prior = next
			if again := build(t, in).Renames(); len(again) > 0 {
				t.Errorf("%v moves once more: %+v", first.Renames(), again)
			}
		})
	}
}

func TestTargetsLeaveTheRestOutEntirely(t *testing.T) {
	a, b := fields{"agentName": "A"}, fields{"agentName": "B"}
	p := build(t, Input{
		Desired: []agent.Desired{want(t, coach, b), want(t, helper, a), want(t, third, a)},
		Prior: records(t, map[string]agent.Record{
			coach: record(t, "u1", a), third: record(t, "u3", a), "mindset/other/gone": record(t, "u4", a),
		}),
		Targets: []agent.Glob{"mindset/acme/h*", "mindset/acme/t*"},
	})
	diffOf(t, "changes", []brief{{Action: Create, Address: helper,
		Fields: []FieldChange{{Path: "/agentName", After: "A"}}}}, briefs(p))
	diffOf(t, "summary", Summary{Create: 1, Unchanged: 1}, p.Summary)
}
