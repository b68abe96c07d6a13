package state_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// network is what left this machine: the intents by their address's key.
type network struct {
	mu   sync.Mutex
	left map[string]bool
}

// send does what apply does with a request: intent, leaving line, first byte.
func (n *network) send(run *state.Run, key string) error {
	id, err := run.Intend(state.Intent{Address: addr(key), Action: "create", Fields: doc(key)})
	if err != nil {
		return err
	}
	if err := run.Leaving(id); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left[key] = true
	return nil
}

// check checks that no intent of which a byte left is taken for one that never did. It returns how many
// are taken for such.
func (n *network) check(fsys state.FS) (never int, err error) {
	snap, err := state.NewFile(statePath, state.WithFS(fsys)).Load(context.Background())
	if err != nil {
		return 0, err
	}
	for _, i := range snap.Open {
		if i.NeverLeft {
			never++
		}
		if i.NeverLeft && n.left[i.Address.Key] {
			return never, fmt.Errorf("%s left this machine and is taken for one that never did", i.Address)
		}
	}
	return never, nil
}

// requests runs a few requests one after the other; each leaves its intent open, but for the third.
func (n *network) requests(disk *statetest.FS, keys ...string) error {
	f := state.NewFile(statePath, state.WithFS(disk))
	snap, err := f.Load(context.Background())
	if err != nil {
		return err
	}
	run, err := f.Begin(context.Background(), snap, 512)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if err := n.send(run, key); err != nil {
			_ = run.Close(context.Background())
			return err
		}
		if i == 2 {
			if err := run.Commit(recorded(key, "uid-"+key)); err != nil {
				_ = run.Close(context.Background())
				return err
			}
		}
	}
	return run.Close(context.Background())
}

// TestNeverLeftEverywhere crashes at every call, with every loss, and a second run after it at every call. What
// left is never taken for what did not; a machine that went down, or a copy, excludes nothing; and a process that was
// killed between intent and leaving line is found out.
func TestNeverLeftEverywhere(t *testing.T) {
	whole := statetest.New()
	if err := (&network{left: map[string]bool{}}).requests(whole, "a", "b", "c", "d"); err != nil {
		t.Fatal(err)
	}
	found := 0
	for n := 1; n <= whole.Calls(); n++ {
		for name, loss := range losses() {
			net := &network{left: map[string]bool{}}
			disk := statetest.New()
			disk.CrashAt(n)
			_ = net.requests(disk, "a", "b", "c", "d")
			after := disk.Crash(loss)
			never, err := net.check(after)
			at := fmt.Sprintf("call %d (%s), %s", n, last(disk.Log()), name)
			switch {
			case err != nil:
				t.Fatalf("%s: %v", at, err)
			case never > 0 && name != "nothing lost":
				t.Fatalf("%s: the machine went down, and %d intents are taken for such that never left", at, never)
			case never > 1:
				t.Fatalf("%s: %d intents never left, where one at a time is sent", at, never)
			}
			found += never
			secondRun(t, at, net, after)
		}
	}
	if found == 0 {
		t.Error("no crash was found to be before the leaving line")
	}
}

// secondRun lets another run follow on what a crash left, killing it at every call in turn.
func secondRun(t *testing.T, at string, net *network, found *statetest.FS) {
	t.Helper()
	for m := 1; ; m++ {
		disk := found.Crash(statetest.LoseNothing) // a copy of the double, not of the files
		second := &network{left: map[string]bool{}}
		for key := range net.left {
			second.left[key] = true
		}
		disk.CrashAt(m)
		_ = second.requests(disk, "e", "f")
		if _, err := second.check(disk.Crash(statetest.LoseNothing)); err != nil {
			t.Fatalf("%s, then call %d (%s): %v", at, m, last(disk.Log()), err)
		}
		if disk.Calls() < m {
			return
		}
	}
}

// TestNeverLeftAtRandom does the same with several requests at once, and with calls that fail instead.
func TestNeverLeftAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		net := &network{left: map[string]bool{}}
		disk := statetest.New()
		n := rapid.IntRange(1, 60).Draw(t, "call")
		if rapid.Bool().Draw(t, "crash") {
			disk.CrashAt(n)
		} else {
			disk.FailAt(n, syscall.EIO)
		}
		f := state.NewFile(statePath, state.WithFS(disk))
		for round := range 2 {
			snap, err := f.Load(t.Context())
			if err != nil {
				break
			}
			run, err := f.Begin(t.Context(), snap, 64)
			if err != nil {
				break
			}
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := range 3 {
						_ = net.send(run, fmt.Sprintf("r%d-w%d-%d", round, w, i))
					}
				})
			}
			wg.Wait()
			_ = run.Close(t.Context())
		}
		if _, err := net.check(disk.Crash(statetest.LoseNothing)); err != nil {
			t.Fatalf("killed at call %d: %v", n, err)
		}
		never, err := net.check(disk.Crash(statetest.LoseSome(rapid.Uint64().Draw(t, "loss"))))
		if err != nil || never > 0 {
			t.Fatalf("power cut after call %d: %d never left, %v", n, never, err)
		}
	})
}

// killedBetween returns the journal of a process that was killed with one intent before its leaving line and one after.
func killedBetween(t *testing.T, f *state.File) {
	t.Helper()
	run := begin(t, f)
	for _, key := range []string{"before", "after"} {
		id, err := run.Intend(state.Intent{Address: addr(key), Action: "create"})
		if err == nil && key == "after" {
			err = run.Leaving(id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := run.Close(t.Context()); err != nil { // keeps both, as a crash does
		t.Fatal(err)
	}
}

// neverLeft returns the keys of the intents that never left.
func neverLeft(t *testing.T, f *state.File) string {
	t.Helper()
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, i := range snap.Open {
		if i.NeverLeft {
			keys = append(keys, i.Address.Key)
		}
	}
	return strings.Join(keys, " ")
}

// TestNeverLeftOnTheRealDisk: the journal itself is believed, also under another name, and no copy of it is, whatever
// tool made it.
func TestNeverLeftOnTheRealDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	f := state.NewFile(path)
	killedBetween(t, f)
	if got := neverLeft(t, f); got != "before" {
		if got == "" && runtime.GOOS != "linux" {
			t.Skip("this system promises nothing about unsynced writes")
		}
		t.Fatalf("never left: %q, want \"before\"", got)
	}
	content, err := os.ReadFile(path + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(dir, "aside.journal")
	if err := os.Rename(path+".journal", aside); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".journal", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := neverLeft(t, f); got != "" {
		t.Errorf("a copy is believed: %q", got)
	}
	if out, err := exec.Command("cp", "-a", aside, path+".journal.copy").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Rename(path+".journal.copy", path+".journal"); err != nil {
		t.Fatal(err)
	}
	if got := neverLeft(t, f); got != "" {
		t.Errorf("a copy with all attributes is believed: %q", got)
	}
	if err := os.Remove(aside); err != nil { // its number is free: the next file gets it
		t.Fatal(err)
	}
	if err := os.Remove(path + ".journal"); err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if err := os.WriteFile(path+".journal", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := neverLeft(t, f); got != "" {
			t.Fatalf("a copy that got the number of the removed file is believed: %q", got)
		}
		if err := os.Remove(path + ".journal"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(aside, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(aside, path+".journal"); err == nil {
		if snap, err := f.Load(t.Context()); err == nil && len(snap.Open) > 0 && snap.Open[0].NeverLeft {
			t.Error("a link to a copy is believed")
		}
	}
}

// TestNeverLeftNeedsItsOwnBoot changes one character of the instance at a time, with right checksums: another machine,
// another start, another disk, another file.
func TestNeverLeftNeedsItsOwnBoot(t *testing.T) {
	disk := statetest.New()
	f := state.NewFile(statePath, state.WithFS(disk))
	killedBetween(t, f)
	if got := neverLeft(t, f); got != "before" {
		t.Fatalf("never left: %q", got)
	}
	if got := neverLeft(t, state.NewFile(statePath, state.WithFS(disk.Crash(statetest.LoseAll)))); got != "" {
		t.Errorf("after a power cut: %q", got)
	}
	elsewhere := statetest.New()
	elsewhere.Put("d/some.json", nil)
	elsewhere.Put("d/other.json", nil)
	content, err := disk.ReadFile(statePath + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Put(statePath+".journal", content)
	if got := neverLeft(t, state.NewFile(statePath, state.WithFS(elsewhere))); got != "" {
		t.Errorf("another machine's journal: %q", got)
	}
}

// TestNeverLeftNotAfterATornLine: a journal of this boot that is not whole is not believed, although it can be
// replayed.
func TestNeverLeftNotAfterATornLine(t *testing.T) {
	disk := statetest.New()
	f := state.NewFile(statePath, state.WithFS(disk))
	killedBetween(t, f)
	content, err := disk.ReadFile(statePath + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	start := bytes.LastIndexByte(bytes.TrimSuffix(content, []byte("\n")), '\n') + 1 // of the last line: "after" leaves
	for i := start; i < len(content)-1; i++ {
		torn := bytes.Clone(content)
		torn[i] ^= 0x20
		h, err := disk.Open(statePath + ".journal")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt(torn, 0); err != nil {
			t.Fatal(err)
		}
		if got := neverLeft(t, f); got != "" {
			t.Fatalf("byte %d of the last line is damaged, and %q is taken for what never left", i-start, got)
		}
	}
}

// TestLeavingRefuses: what Leaving refuses, and what it does not.
func TestLeavingRefuses(t *testing.T) {
	disk := statetest.New()
	run := begin(t, state.NewFile(statePath, state.WithFS(disk)))
	id, err := run.Intend(state.Intent{Address: addr("a"), Action: "create"})
	if err != nil {
		t.Fatal(err)
	}
	syncs := disk.Syncs()
	if open := run.Fleet().Open(); len(open) != 1 || !open[0].NeverLeft {
		t.Errorf("before: %+v", open)
	}
	if err := run.Leaving(id); err != nil {
		t.Error(err)
	}
	if err := run.Leaving(id); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if open := run.Fleet().Open(); len(open) != 1 || open[0].NeverLeft {
		t.Errorf("after: %+v", open)
	}
	if disk.Syncs() != syncs {
		t.Error("a leaving line costs an fsync")
	}
	if err := run.Leaving(id + 1); err == nil {
		t.Error("an intent that is not there may leave")
	}
	disk.FailAt(1, fullDisk())
	if err := run.Leaving(id); err == nil {
		t.Error("a line that could not be written lets the request leave")
	}
	if _, err := run.Intend(state.Intent{Address: addr("b"), Action: "create"}); err == nil {
		t.Error("the journal goes on after a write that failed")
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := run.Leaving(id); err != state.ErrClosed {
		t.Errorf("after the end: %v", err)
	}
}
