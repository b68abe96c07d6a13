package state_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// begin loads and begins.
func begin(t *testing.T, f *state.File) *state.Run {
	t.Helper()
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.Begin(t.Context(), snap, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func commit(t *testing.T, run *state.Run, results ...state.Result) {
	t.Helper()
	if err := run.Commit(results...); err != nil {
		t.Fatal(err)
	}
}

func memberNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestRealDisk goes through a run on the real file system: modes, nothing left over.
func TestRealDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fleet.json")
	for _, left := range []string{path + ".123.tmp", path + ".journal.4567.tmp"} { // by a crash
		if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := state.NewFile(path)
	run := begin(t, f)
	commit(t, run, recorded("a", "a1"))
	if got := memberNames(t, dir); !slices.Equal(got, []string{"fleet.json.journal"}) {
		t.Errorf("during the run there are %v", got)
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := memberNames(t, dir); !slices.Equal(got, []string{"fleet.json"}) {
		t.Errorf("after the run there are %v", got)
	}
	checkMode(t, path, 0o600)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	run = begin(t, f)
	commit(t, run, recorded("b", "b1"))
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkMode(t, path, 0o644)
	snap, err := f.Load(t.Context())
	if err != nil || uids(snap.State) != "a=a1 b=b1" || snap.State.Serial != 2 {
		t.Errorf("%+v, %v", snap, err)
	}
}

func checkMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
		t.Errorf("%s has mode %v, want %v", path, got, want)
	}
}

// TestNoChangeWritesNothing: results that say what the state says already leave the file alone.
func TestNoChangeWritesNothing(t *testing.T) {
	disk := statetest.New()
	rec := agent.Record{UID: "a1", Applied: doc("a")}
	disk.Put(statePath, file(t, 5, agents{addr("a"): rec}))
	f := state.NewFile(statePath, state.WithFS(disk))
	run := begin(t, f)
	commit(t, run, state.Result{Address: addr("a"), Kind: state.Recorded, Record: rec},
		state.Result{Address: addr("none"), Kind: state.Removed})
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, op := range disk.Log() {
		if strings.HasSuffix(op, "state.json") || strings.HasSuffix(op, "/state.json.tmp") {
			t.Errorf("the state file was touched: %s", op)
		}
	}
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	calls := disk.Written()
	if err := f.Edit(t.Context(), snap, func(*state.State) error {
		return nil
	}); err != nil || disk.Written() != calls {
		t.Errorf("an edit without a change wrote something: %v", err)
	}
}

// TestBytesGrowWithChanges: what a run writes before its end depends on what it does, not on how
// many agents there are.
func TestBytesGrowWithChanges(t *testing.T) {
	written := func(size int) int64 {
		disk := statetest.New()
		m := agents{}
		for i := range size {
			key := "k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("0", i/26%20) +
				strings.Repeat("1", i/520)
			m[addr(key)] = agent.Record{UID: "u-" + key, Applied: doc(key)}
		}
		disk.Put(statePath, file(t, 5, m))
		run := begin(t, state.NewFile(statePath, state.WithFS(disk)))
		for i := range 20 {
			commit(t, run, recorded("new-"+string(rune('a'+i)), "uid-"+string(rune('a'+i))))
		}
		n := disk.Written()
		if err := run.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if few, many := written(1), written(1000); few != many {
		t.Errorf("20 changes write %d bytes beside 1 agent and %d beside 1000", few, many)
	}
}

func TestStale(t *testing.T) {
	disk := statetest.New()
	disk.Put(statePath, file(t, 5, agents{}))
	f := state.NewFile(statePath, state.WithFS(disk))
	old, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := begin(t, f)
	commit(t, run, recorded("a", "a1"))
	disk.Put(statePath, file(t, 6, agents{addr("b"): {UID: "b1"}}))
	if err := run.Close(t.Context()); !errors.Is(err, state.ErrStale) {
		t.Fatalf("close over a file that changed: %v", err)
	}
	if b, _ := disk.ReadFile(statePath); string(b) != string(file(t, 6, agents{addr("b"): {UID: "b1"}})) {
		t.Error("the other writer's file was overwritten")
	}
	for name, err := range map[string]error{
		"begin": func() error { _, err := f.Begin(t.Context(), old, 0); return err }(),
		"edit": f.Edit(t.Context(), old, func(s *state.State) error {
			s.Agents[addr("x")] = agent.Record{UID: "x"}
			return nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if !errors.Is(err, state.ErrStale) {
				t.Errorf("%s with an old snapshot: %v", name, err)
			}
		})
	}
	snap, err := f.Load(t.Context())
	if err != nil || uids(snap.State) != "a=a1 b=b1" || !snap.Pending {
		t.Errorf("after the refusal: %+v, %v; want both agents", snap, err)
	}
}

// TestEdit edits a state beside a journal that a crash left, crashing at every call.
func TestEdit(t *testing.T) {
	edit := func(disk *statetest.FS) error {
		f := state.NewFile(statePath, state.WithFS(disk))
		snap, err := f.Load(t.Context())
		if err != nil {
			return err
		}
		return f.Edit(t.Context(), snap, func(s *state.State) error {
			delete(s.Agents, addr("a"))
			return nil
		})
	}
	for n := 1; ; n++ {
		disk := crashed(t, agents{addr("b"): {UID: "b1"}}, recorded("a", "a1"))
		disk.CrashAt(n)
		done := edit(disk)
		finished := disk.Calls() < n
		if finished && done != nil {
			t.Fatal(done)
		}
		for name, loss := range losses() {
			after := disk.Crash(loss)
			snap, err := state.NewFile(statePath, state.WithFS(after)).Load(t.Context())
			if err != nil {
				t.Fatalf("call %d (%s), %s: %v", n, last(disk.Log()), name, err)
			}
			if got := uids(snap.State); got != "b=b1" && (finished || got != "a=a1 b=b1") {
				t.Fatalf("call %d (%s), %s: %s", n, last(disk.Log()), name, got)
			}
			if err := edit(after); err != nil {
				t.Fatalf("call %d (%s), %s: the edit again: %v", n, last(disk.Log()), name, err)
			}
		}
		if finished {
			return
		}
	}
}

// An edit of any one part of a record is written, and one that changes nothing is not.
func TestAnEditOfOnePartIsWritten(t *testing.T) {
	for name, change := range map[string]func(*agent.Record){
		"nothing": func(*agent.Record) {}, "uid": func(r *agent.Record) { r.UID = "a2" },
		"api": func(r *agent.Record) { r.API = "v2" }, "mark": func(r *agent.Record) { r.Mark = "0123456789ab" },
		"protect":    func(r *agent.Record) { r.Protect = true },
		"applied":    func(r *agent.Record) { r.Applied = agent.Doc(`{"name":"New"}`) },
		"observed":   func(r *agent.Record) { r.Observed = agent.Doc(`{"name":"New"}`) },
		"obsolete":   func(r *agent.Record) { r.Obsolete = []string{"a0"} },
		"formerKeys": func(r *agent.Record) { r.FormerKeys = []string{"old"} },
	} {
		t.Run(name, func(t *testing.T) {
			disk := statetest.New()
			disk.Put(statePath, file(t, 5, agents{addr("a"): {UID: "a1", Applied: agent.Doc(`{"name":"A"}`)}}))
			f := state.NewFile(statePath, state.WithFS(disk))
			snap, err := f.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Edit(t.Context(), snap, func(s *state.State) error {
				r := s.Agents[addr("a")]
				change(&r)
				s.Agents[addr("a")] = r
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			again, err := f.Load(t.Context())
			if err != nil || (again.State.Serial == 6) != (name != "nothing") {
				t.Errorf("serial %d, %v", again.State.Serial, err)
			}
		})
	}
}

func TestEditFails(t *testing.T) {
	disk := statetest.New()
	disk.Put(statePath, file(t, 5, agents{addr("a"): {UID: "a1"}}))
	f := state.NewFile(statePath, state.WithFS(disk))
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("no such agent")
	if err := f.Edit(t.Context(), snap,
		func(s *state.State) error { clear(s.Agents); return refusal }); err != refusal {
		t.Errorf("got %v", err)
	}
	twice := func(s *state.State) error { s.Agents[addr("b")] = agent.Record{UID: "a1"}; return nil }
	if err := f.Edit(t.Context(), snap, twice); err == nil || !strings.Contains(err.Error(), "both have the uid a1") {
		t.Errorf("an edit that puts one agent at two addresses: %v", err)
	}
	if again, err := f.Load(t.Context()); err != nil || uids(again.State) != "a=a1" || again.State.Serial != 5 {
		t.Errorf("%+v, %v", again, err)
	}
}

// TestCommitRefusesWhatIsNoJSON: it would be taken into the journal, and nobody could read that again. One bad result
// of several leaves all of them out, and the run goes on.
func TestCommitRefusesWhatIsNoJSON(t *testing.T) {
	for name, bad := range map[string]string{"cut": `{"a":`, "text": `hello`, "empty": "", "a list": `[]`,
		"two":       `{}{}`,
		"not UTF-8": "{\"a\":\"\xff\"}",
		"twice":     `{"a":1,"a":2}`, "a huge number": `{"a":1e999}`} {
		t.Run(name, func(t *testing.T) {
			for _, part := range []string{"applied", "observed"} {
				disk := statetest.New()
				f := state.NewFile(statePath, state.WithFS(disk))
				run := begin(t, f)
				r := recorded("b", "b1")
				if part == "applied" {
					r.Record.Applied = agent.Doc(bad)
				} else {
					r.Record.Observed = agent.Doc(bad)
				}
				if err := run.Commit(recorded("a", "a1"), r); err == nil || errors.Is(err, state.ErrBroken) ||
					!strings.Contains(err.Error(), part) {
					t.Errorf("%s, %s: %v", name, part, err)
				}
				commit(t, run, recorded("c", "c1"))
				if snap, err := f.Load(t.Context()); err != nil || uids(snap.State) != "c=c1" {
					t.Errorf("%s, %s: the journal cannot be read, or holds what was refused: %+v, %v", name, part, snap,
						err)
				}
				if err := run.Close(t.Context()); err != nil {
					t.Errorf("%s, %s: %v", name, part, err)
				}
			}
		})
	}
}

func TestRescue(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	s := &state.State{Serial: 3, Lineage: lineage, Agents: agents{addr("a"): {UID: "a1"}}}
	for _, want := range []string{"errored.state.json", "errored.state.2.json"} {
		got, err := state.NewFile(path).Rescue(s)
		if err != nil || got != filepath.Join(dir, want) {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
		checkMode(t, got, 0o600)
	}
	if err := os.Rename(filepath.Join(dir, "errored.state.json"), path); err != nil {
		t.Fatal(err)
	}
	snap, err := state.NewFile(path).Load(t.Context())
	if err != nil || uids(snap.State) != "a=a1" || snap.State.Serial != 4 {
		t.Errorf("as the state file: %+v, %v", snap, err)
	}

	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := state.NewFile(filepath.Join(dir, "none", "state.json")).Rescue(s)
	if err != nil || filepath.Dir(got) != os.TempDir() {
		t.Errorf("without its folder: %s, %v", got, err)
	}
	again, err := state.NewFile(filepath.Join(dir, "none", "state.json")).Rescue(s)
	if err != nil || again == got || strings.Contains(filepath.Base(again), "state.json") ||
		strings.Contains(again, "state.2.json") {
		t.Errorf("others can know the name: %s, then %s, %v", got, again, err)
	}
	checkMode(t, again, 0o600)
}
