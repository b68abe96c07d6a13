package state_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// losses are what becomes of unsynced data at a crash: everything lost, nothing lost, and some.
func losses() map[string]statetest.Loss {
	m := map[string]statetest.Loss{"nothing lost": statetest.LoseNothing, "all lost": statetest.LoseAll}
	for seed := range uint64(4) {
		m[fmt.Sprint("some lost, seed ", seed)] = statetest.LoseSome(seed)
	}
	return m
}

// tortureEnv makes the crash tests try every combination instead of a part of them.
const tortureEnv = "AGENTSYNC_TORTURE"

// TestCrashEverywhere crashes the machine at every call of a run, with every loss, and the recovery
// again at every call: from every n-th crash, or with AGENTSYNC_TORTURE=1 from each.
func TestCrashEverywhere(t *testing.T) {
	undisturbed := statetest.New()
	if o := play(undisturbed, script()); o.err != nil {
		t.Fatal(o.err)
	}
	cases := 0
	for n := 1; n <= undisturbed.Calls(); n++ {
		disk := statetest.New()
		disk.CrashAt(n)
		o := play(disk, script())
		for name, loss := range losses() {
			if !errors.Is(o.err, statetest.ErrCrashed) && n < undisturbed.Calls()-10 {
				t.Fatalf("call %d: the crash went unnoticed: %v", n, o.err)
			}
			found := disk.Crash(loss)
			if (n+len(name))%7 == 0 || os.Getenv(tortureEnv) != "" {
				cases += crashRecovery(t, fmt.Sprintf("call %d (%s), %s", n, last(disk.Log()), name), o, found)
			}
			if err := o.recoverOn(found); err != nil {
				t.Fatalf("call %d (%s), %s: %v", n, last(disk.Log()), name, err)
			}
			cases++
		}
	}
	t.Logf("%d cases over %d calls", cases, undisturbed.Calls())
}

// crashRecovery crashes the machine again at every call of the recovery.
func crashRecovery(t *testing.T, name string, o *outcome, found *statetest.FS) (cases int) {
	t.Helper()
	for m := 1; ; m++ {
		disk := found.Crash(statetest.LoseNothing) // a copy
		disk.CrashAt(m)
		err := o.recoverOn(disk)
		if disk.Calls() < m {
			return cases
		}
		_ = err // some calls may fail without harm
		for _, loss := range []statetest.Loss{statetest.LoseAll, statetest.LoseNothing, statetest.LoseSome(uint64(m))} {
			if err := o.recoverOn(disk.Crash(loss)); err != nil {
				t.Fatalf("%s, then call %d (%s): %v", name, m, last(disk.Log()), err)
			}
			cases++
		}
	}
}

// TestFailEverywhere lets every call of a run fail once, the machine going on.
func TestFailEverywhere(t *testing.T) {
	undisturbed := statetest.New()
	if o := play(undisturbed, script()); o.err != nil {
		t.Fatal(o.err)
	}
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for n := 1; n <= undisturbed.Calls(); n++ {
			disk := statetest.New()
			disk.FailAt(n, cause)
			o := play(disk, script())
			at := fmt.Sprintf("%v at call %d (%s)", cause, n, last(disk.Log()))
			if o.err != nil && !errors.Is(o.err, cause) {
				t.Fatalf("%s: the error hides its cause: %v", at, o.err)
			}
			if o.run != nil {
				checkRescuable(t, at, o)
			}
			if o.saved {
				o.acked = len(o.history) - 1 // Close said that it has everything
			}
			for name, loss := range losses() {
				if err := o.recoverOn(disk.Crash(loss)); err != nil {
					t.Fatalf("%s, then a crash, %s: %v", at, name, err)
				}
			}
			if err := o.recoverOn(disk); err != nil {
				t.Fatalf("%s: %v", at, err)
			}
		}
	}
}

// checkRescuable checks that the run still knows all that it was given, stored or not.
func checkRescuable(t *testing.T, at string, o *outcome) {
	t.Helper()
	knows := agentsOf(o.run.State())
	for a, r := range o.history[len(o.history)-1] {
		if got := knows[a]; got.UID != r.UID {
			t.Fatalf("%s: the run forgot %s: uid %q, want %q", at, a, got.UID, r.UID)
		}
	}
}

// TestFailedFsyncIsFinal checks that nothing is accepted after the first failure, though the disk
// would do it.
func TestFailedFsyncIsFinal(t *testing.T) {
	disk := statetest.New()
	f := state.NewFile(statePath, state.WithFS(disk))
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.Begin(t.Context(), snap, 100)
	if err != nil {
		t.Fatal(err)
	}
	disk.FailAt(2, syscall.EIO) // the write works, the fsync does not
	_, first := run.Intend(state.Intent{Address: addr("a"), Action: "create"})
	if !errors.Is(first, state.ErrBroken) || !errors.Is(first, syscall.EIO) {
		t.Fatalf("the failed fsync gave %v", first)
	}
	calls := disk.Calls()
	if _, err := run.Intend(state.Intent{Address: addr("b"), Action: "create"}); err != first {
		t.Errorf("the next Intend gave %v, want the first error", err)
	}
	if err := run.Commit(recorded("c", "c1")); err != first {
		t.Errorf("the next Commit gave %v, want the first error", err)
	}
	if disk.Calls() != calls {
		t.Errorf("the journal was touched after the failure: %v", disk.Log())
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	end, err := f.Load(t.Context())
	if err != nil || end.State.Agents[addr("c")].UID != "c1" || len(end.Open) != 0 {
		t.Errorf("after close: %+v, %v; want the result that came too late for the journal, and no intent", end, err)
	}
}

// fullDisk is this system's error for a disk without room.
func fullDisk() error {
	if runtime.GOOS == "windows" {
		return syscall.Errno(112) // ERROR_DISK_FULL: its ENOSPC is made up by package syscall
	}
	return syscall.ENOSPC
}

// TestNoSpace lets every call of Begin find the disk full.
func TestNoSpace(t *testing.T) {
	disk := statetest.New()
	f := state.NewFile(statePath, state.WithFS(disk))
	told := map[string]bool{} // where a full disk was found
	for n := 1; ; n++ {
		snap, err := f.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		calls, before := disk.Calls(), len(disk.Log())
		disk.FailAt(n, fullDisk())
		run, err := f.Begin(t.Context(), snap, 1<<20)
		if disk.Calls() < calls+n {
			if err != nil {
				t.Fatal(err)
			}
			if err := run.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(told) < 3 {
				t.Errorf("the disk was full at %v only", told)
			}
			return
		}
		if err == nil { // a call that does not matter
			if err := run.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !errors.Is(err, fullDisk()) {
			t.Errorf("call %d (%s): %v", n, last(disk.Log()), err)
		}
		log := disk.Log()[before:]
		op := ""
		if len(log) >= 3 {
			op = log[len(log)-3] // closing and removing the temporary file follow
		}
		switch op {
		case "write state.json.journal.tmp", "reserve state.json.journal.tmp", "sync state.json.journal.tmp":
			told[op] = true
			if !errors.Is(err, state.ErrNoSpace) {
				t.Errorf("the error of a full disk (%s) does not say so: %v", op, err)
			}
		}
		if got := disk.Temps(statePath + ".journal"); len(got) != 0 {
			t.Errorf("call %d: files are left: %v", n, got)
		}
	}
}

func last(log []string) string {
	if len(log) == 0 {
		return "none"
	}
	return log[len(log)-1]
}
