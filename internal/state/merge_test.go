package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// crashed returns a disk where a run on the state before was killed after the results, before the
// fold, and the state file's content at that moment.
func crashed(t *testing.T, before agents, results ...state.Result) *statetest.FS {
	t.Helper()
	disk := statetest.New()
	if before != nil {
		disk.Put(statePath, file(t, 5, before))
	}
	f := state.NewFile(statePath, state.WithFS(disk))
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.Begin(t.Context(), snap, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if err := run.Commit(r); err != nil {
			t.Fatal(err)
		}
	}
	after := disk.Crash(statetest.LoseAll)
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return after
}

const lineage = "0123456789abcdef0123456789abcdef"

func file(t *testing.T, serial uint64, m agents) []byte {
	t.Helper()
	b, err := (&state.State{Serial: serial, Lineage: lineage, Agents: m}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// uids returns what is where: "a=a1+old b=b1".
func uids(s *state.State) string {
	var parts []string
	for _, a := range s.Addresses() {
		r := s.Agents[a]
		parts = append(parts, a.Key+"="+strings.Join(append([]string{r.UID}, r.Obsolete...), "+"))
	}
	return strings.Join(parts, " ")
}

// TestGitUnderJournal puts another state file beside a left journal, as git checkout and git pull do.
func TestGitUnderJournal(t *testing.T) {
	a, b, c := addr("a"), addr("b"), addr("c")
	move := state.Result{Address: b, Kind: state.Moved, From: a}
	gone := state.Result{Address: a, Kind: state.Removed}
	for name, tc := range map[string]struct {
		before  agents
		results []state.Result
		serial  uint64 // of the file that git puts there; 0 for none
		file    agents
		want    string
	}{
		"deleted": {agents{a: {UID: "a1"}, b: {UID: "b1"}}, []state.Result{recorded("a", "a2")}, 0,
			nil, "a=a2+a1"},
		"older, without the agent": {agents{a: {UID: "a1"}}, []state.Result{recorded("c", "c1")}, 3, agents{},
			"c=c1"},
		"older, before a replace": {agents{a: {UID: "a1"}}, []state.Result{recorded("a", "a2")}, 4,
			agents{a: {UID: "a1"}}, "a=a2+a1"},
		"older, with an agent now gone": {agents{a: {UID: "a1"}}, []state.Result{gone}, 4,
			agents{a: {UID: "a1"}, b: {UID: "b1"}}, "b=b1"},
		"older, before a move": {agents{a: {UID: "a1"}}, []state.Result{move}, 4, agents{a: {UID: "a1"}}, "b=a1"},
		"newer, without the agent": {agents{}, []state.Result{recorded("c", "c1")}, 9, agents{a: {UID: "a1"}},
			"a=a1 c=c1"},
		"newer, already folded": {agents{a: {UID: "a1"}}, []state.Result{recorded("a", "a2")}, 6,
			agents{a: {UID: "a2", Obsolete: []string{"a1"}}}, "a=a2+a1"},
		"newer, replaced again since": {agents{}, []state.Result{recorded("a", "a1")}, 9,
			agents{a: {UID: "a2", Obsolete: []string{"a1"}}}, "a=a2+a1"},
		"newer, moved on since": {agents{a: {UID: "a1"}}, []state.Result{move}, 9, agents{c: {UID: "a1"}},
			"c=a1"},
		"newer, with an agent now gone": {agents{a: {UID: "a1"}}, []state.Result{gone}, 9, agents{a: {UID: "a1"}},
			""},
		"newer, another agent there since": {agents{a: {UID: "a1"}}, []state.Result{gone}, 9, agents{a: {UID: "a9"}},
			"a=a9"},
		"newer, obsolete one deleted": {agents{a: {UID: "a1"}},
			[]state.Result{recorded("a", "a2"), {Address: a, Kind: state.Removed, UID: "a1"}},
			9, agents{a: {UID: "a2", Obsolete: []string{"a1"}}}, "a=a2"},
		"new state, file from elsewhere in the fleet": {nil, nil, 9, agents{a: {UID: "a9"}}, "a=a9"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := crashed(t, tc.before, tc.results...)
			disk.Delete(statePath)
			if tc.serial > 0 {
				disk.Put(statePath, file(t, tc.serial, tc.file))
			}
			snap, err := state.NewFile(statePath, state.WithFS(disk)).Load(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if got := uids(snap.State); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if tc.before != nil && snap.State.Serial < 5 {
				t.Errorf("the serial falls back to %d", snap.State.Serial)
			}
		})
	}
}

// TestNewerContentWins: the same agent in both, but with other content.
func TestNewerContentWins(t *testing.T) {
	for serial, want := range map[uint64]string{4: "journal", 5: "journal", 6: "file"} {
		t.Run(fmt.Sprint(serial), func(t *testing.T) {
			r := recorded("a", "a1")
			r.Record.Applied = doc("journal")
			disk := crashed(t, agents{addr("a"): {UID: "a1", Applied: doc("before")}}, r)
			disk.Put(statePath, file(t, serial, agents{addr("a"): {UID: "a1", Applied: doc("file")}}))
			snap, err := state.NewFile(statePath, state.WithFS(disk)).Load(t.Context())
			if err != nil || string(snap.State.Agents[addr("a")].Applied) != string(doc(want)) {
				t.Errorf("serial %d: %+v, %v; want the %s's content", serial, snap, err, want)
			}
		})
	}
}

func TestJournalContradictsState(t *testing.T) {
	disk := crashed(t, agents{}, recorded("a", "a1"))
	disk.Put(statePath, file(t, 6, agents{addr("a"): {UID: "a9"}}))
	checkRefused(t, disk, state.Conflict, "mindset/acme/a", "a1", "a9")

	disk = crashed(t, agents{}, recorded("a", "a1"))
	other, err := (&state.State{Serial: 5, Lineage: "another", Agents: agents{}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	disk.Put(statePath, other)
	checkRefused(t, disk, state.Foreign, lineage, "another")
}

func checkRefused(t *testing.T, disk *statetest.FS, reason state.Reason, words ...string) {
	t.Helper()
	_, err := state.NewFile(statePath, state.WithFS(disk)).Load(t.Context())
	var format *state.FormatError
	if !errors.As(err, &format) || format.Reason != reason || !strings.Contains(format.Hint,
		"mv d/state.json.journal") {
		t.Fatalf("got %v, want a refusal: %s", err, reason)
	}
	for _, w := range words {
		if !strings.Contains(format.Detail, w) {
			t.Errorf("%q does not name %q", format.Detail, w)
		}
	}
}

func TestMerge(t *testing.T) {
	a, b := addr("a"), addr("b")
	s := &state.State{Serial: 3, Lineage: lineage, Agents: agents{a: {UID: "a1", Applied: doc("old")}}}
	rescued := &state.State{Serial: 4, Lineage: lineage, Agents: agents{
		a: {UID: "a2", Obsolete: []string{"a1"}}, b: {UID: "b1"}}}
	if err := s.Merge(rescued); err != nil || uids(s) != "a=a2+a1 b=b1" || s.Serial != 4 {
		t.Errorf("%s, serial %d, %v", uids(s), s.Serial, err)
	}
	fresh := &state.State{}
	if err := fresh.Merge(rescued); err != nil || uids(fresh) != "a=a2+a1 b=b1" || fresh.Lineage != lineage {
		t.Errorf("into nothing: %s, %v", uids(fresh), err)
	}
	err := s.Merge(&state.State{Serial: 9, Lineage: lineage, Agents: agents{b: {UID: "b9"}}})
	if err == nil || !strings.Contains(err.Error(), "b1") || !strings.Contains(err.Error(), "b9") ||
		uids(s) != "a=a2+a1 b=b1" {
		t.Errorf("a contradiction gave %v and %s", err, uids(s))
	}
	if err := s.Merge(&state.State{Lineage: "another", Agents: agents{}}); err == nil {
		t.Error("a state of another lineage was taken in")
	}
}

// TestCommitRefuses checks results that no state can hold: none of their call counts.
func TestCommitRefuses(t *testing.T) {
	disk := statetest.New()
	disk.Put(statePath, file(t, 5, agents{addr("a"): {UID: "a1"}, addr("b"): {UID: "b1"}}))
	f := state.NewFile(statePath, state.WithFS(disk))
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.Begin(t.Context(), snap, 0)
	if err != nil {
		t.Fatal(err)
	}
	id, err := run.Intend(state.Intent{Address: addr("c"), Action: "create"})
	if err != nil {
		t.Fatal(err)
	}
	for name, i := range map[string]state.Intent{"no address": {Action: "create"}, "no action": {Address: addr("c")}} {
		t.Run(name, func(t *testing.T) {
			if _, err := run.Intend(i); err == nil {
				t.Errorf("an intent with %s was taken", name)
			}
		})
	}
	notJSON := recorded("c", "c1")
	notJSON.Record.Applied = agent.Doc(`{"a":`)
	for name, results := range map[string][]state.Result{
		"another's uid": {{Address: addr("a"), Kind: state.Removed}, recorded("c", "b1")},
		"no uid":        {{Address: addr("a"), Kind: state.Removed}, recorded("c", "")},
		"no address": {{Address: addr("a"), Kind: state.Removed},
			{Kind: state.Recorded, Record: agent.Record{UID: "x"}}},
		"move to a taken": {{Address: addr("b"), Kind: state.Moved, From: addr("a")}},
		"move of nothing": {{Address: addr("c"), Kind: state.Moved, From: addr("d")}},
		"move as another": {{Address: addr("c"), Kind: state.Moved, From: addr("a"), Record: agent.Record{UID: "x"}}},
		"no kind":         {{Address: addr("a"), Kind: 17}},
		"not JSON":        {notJSON},
		"answered, closed": {{Address: addr("a"), Kind: state.Removed},
			{Address: addr("a"), Kind: state.Answered, Intent: 99}},
		"an app, no kind": {{Kind: state.Located, App: addr("a").ID(), Origin: agent.Origin{BaseURL: "https://a"}},
			{Address: addr("a"), Kind: 17}},
	} {
		t.Run(name, func(t *testing.T) {
			results[0].Intent = id
			if err := run.Commit(results...); err == nil || errors.Is(err, state.ErrBroken) {
				t.Error(err)
			}
			if got := uids(run.State()); got != "a=a1 b=b1" || len(run.Fleet().Open()) != 1 ||
				len(run.State().Apps) > 0 {
				t.Errorf("the state is now %s, open %v", got, run.Fleet().Open())
			}
		})
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := run.Commit(recorded("c", "c1")); !errors.Is(err, state.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if b, err := disk.ReadFile(statePath); err != nil ||
		string(b) != string(file(t, 5, agents{addr("a"): {UID: "a1"}, addr("b"): {UID: "b1"}})) {
		t.Errorf("the state file changed: %s, %v", b, err)
	}
}
