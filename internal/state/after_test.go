package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/state"
)

func TestAfter(t *testing.T) {
	none := agent.Record{}
	for name, c := range map[string]struct {
		old  agent.Record
		r    state.Result
		want agent.Record
		left bool
	}{
		"recorded anew": {none, state.Result{Kind: state.Recorded, Record: agent.Record{UID: "b"}},
			agent.Record{UID: "b"}, true},
		"recorded over another": {agent.Record{UID: "a", Obsolete: []string{"z"}},
			state.Result{Kind: state.Recorded, Record: agent.Record{UID: "b"}},
			agent.Record{UID: "b", Obsolete: []string{"z", "a"}}, true},
		"recorded again": {agent.Record{UID: "b"},
			state.Result{Kind: state.Recorded, Record: agent.Record{UID: "b", Protect: true}},
			agent.Record{UID: "b", Protect: true}, true},
		"removed":        {agent.Record{UID: "a"}, state.Result{Kind: state.Removed}, none, false},
		"removed by uid": {agent.Record{UID: "a"}, state.Result{Kind: state.Removed, UID: "a"}, none, false},
		"an obsolete one removed": {agent.Record{UID: "b", Obsolete: []string{"a"}},
			state.Result{Kind: state.Removed, UID: "a"}, agent.Record{UID: "b"}, true},
		"removed before its old": {agent.Record{UID: "b", Obsolete: []string{"a"}}, state.Result{Kind: state.Removed},
			agent.Record{UID: "a"}, true},
		"another's uid removed": {agent.Record{UID: "b"}, state.Result{Kind: state.Removed, UID: "x"},
			agent.Record{UID: "b"}, true},
		"removed where there was none": {none, state.Result{Kind: state.Removed, UID: "x"}, none, false},
		"recorded after a rename": {agent.Record{UID: "a", FormerKeys: []string{"k"}},
			state.Result{Kind: state.Recorded, Record: agent.Record{UID: "b"}},
			agent.Record{UID: "b", Obsolete: []string{"a"}, FormerKeys: []string{"k"}}, true},
		"removed before its old, renamed": {agent.Record{UID: "b", Obsolete: []string{"a"}, FormerKeys: []string{"k"}},
			state.Result{Kind: state.Removed},
			agent.Record{UID: "a", FormerKeys: []string{"k"}}, true},
		"voided": {agent.Record{UID: "b"}, state.Result{Kind: state.Voided}, agent.Record{UID: "b"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, left := state.After(c.old, c.r)
			if d := cmp.Diff(c.want, got); d != "" || left != c.left {
				t.Errorf("left %v, want %v (-want +got):\n%s", left, c.left, d)
			}
		})
	}
}
