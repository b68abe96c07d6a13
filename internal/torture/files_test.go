//go:build unix

package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestTortureThreeAtOnce runs three applies at the same time, several times over: those that may wait all end
// well, and of those that may not, one does the work and the others say who holds the lock.
func TestTortureThreeAtOnce(t *testing.T) {
	rounds := times(2, 15)
	r := newRig(t, "latency=10ms")
	for round := range rounds {
		fleet(t, r.dir, 6, fmt.Sprint("round ", round))
		for _, wait := range []string{"0s", "30s"} {
			codes := make([]int, 3)
			outputs := make([]string, 3)
			var wg sync.WaitGroup
			for i := range codes {
				wg.Go(func() { codes[i], outputs[i] = finish(t, r.command(applyArgs("--lock-timeout", wait)...)) })
			}
			wg.Wait()
			for i, code := range codes {
				if code != 0 && (code != 7 || wait != "0s" || !strings.Contains(outputs[i], "process ")) {
					t.Errorf("waiting %s: exit %d\n%s", wait, code, outputs[i])
				}
			}
			r.check(6)
		}
	}
	if made := r.creates(); made != 12 {
		t.Errorf("%d POSTs for 12 agents", made)
	}
	t.Logf("%d times three runs at once", 2*rounds)
}

// TestTortureLostFiles deletes state and journal between runs and while one is killed.
func TestTortureLostFiles(t *testing.T) {
	cases := 0
	r := newRig(t, "latency=5ms")
	fleet(t, r.dir, 6, "one")
	for range times(2, 20) {
		for _, names := range [][]string{{"state.json"}, {"state.json.journal"}, {"state.json", "state.json.journal"}} {
			for lines := range 4 {
				done := make(chan struct{})
				cmd := r.command(applyArgs("--parallelism", "2")...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				go func() {
					_ = cmd.Wait() // killed or not
					close(done)
				}()
				afterLine(lines)(r.dir, done)
				_ = cmd.Process.Kill() // it may have ended
				<-done
				// Without the journal nobody knows that a request is still on its way.
				waitForIdle(r)
				for _, name := range names {
					if err := os.Remove(filepath.Join(r.dir, name)); err != nil && !os.IsNotExist(err) {
						t.Fatal(err)
					}
				}
				cases++
			}
			r.must(0, applyArgs()...)
			r.check(6)
		}
	}
	t.Logf("%d times lost files", cases)
}

// waitForIdle returns when the sandbox has the same agents twice: what was in flight has arrived.
func waitForIdle(r *rig) {
	for before := -1; ; {
		n := r.creates()
		if n == before {
			return
		}
		before = n
		time.Sleep(30 * time.Millisecond) // the sandbox's latency is 5 ms
	}
}

// limited is agentsync with a bound on the size of each file that it writes, as a full disk is.
func (r *rig) limited(kilobytes int, args ...string) *exec.Cmd {
	script := fmt.Sprintf(`ulimit -f %d; exec "$0" "$@"`, kilobytes)
	cmd := exec.Command("bash", append([]string{"-c", script, r.bin}, args...)...)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// TestTortureFullDisk bounds the files at every size between "nothing fits" and "all of it fits".
func TestTortureFullDisk(t *testing.T) {
	cases := 0
	r := newRig(t)
	fleet(t, r.dir, 60, "one")
	r.must(0, applyArgs()...)
	size := kilobytes(t, filepath.Join(r.dir, "state.json"))
	n := 60
	for limit := 1; limit <= size+16; limit += times(size/4, size/20) {
		n++
		fleet(t, r.dir, n, "one")
		before := r.creates()
		code, out := finish(t, r.limited(limit, applyArgs()...))
		switch made := r.creates() - before; {
		case code == 0:
		case made == 0 && code == 4: // the journal had no room, and nothing was sent
		case made > 0 && code == 1 && (strings.Contains(out, "errored.state.json") ||
			strings.Contains(out, "listed above")):
		default:
			t.Fatalf("limit %d KB: exit %d, %d POSTs\n%s", limit, code, made, out)
		}
		cases++
		r.must(0, applyArgs()...)
		r.check(n)
	}
	if made := r.creates(); made != 2*n {
		t.Errorf("%d POSTs for %d agents", made, 2*n)
	}
	t.Logf("%d sizes of a full disk", cases)
}

func kilobytes(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size() / 1024)
}

// TestReadOnlyFolder sends nothing where the journal cannot be written.
func TestReadOnlyFolder(t *testing.T) {
	r := newRig(t)
	dir, err := os.MkdirTemp("", "readonly") // open to another user, as t.TempDir is not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r.dir = dir
	fleet(t, r.dir, 2, "one")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	cmd := r.command(applyArgs()...)
	if os.Getuid() == 0 { // root may write anywhere
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	code, out := finish(t, cmd)
	if code != 4 || r.creates() != 0 {
		t.Errorf("exit %d, %d POSTs\n%s", code, r.creates(), out)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.must(0, applyArgs()...)
	r.check(2)
}

// TestStateChangedDuringTheRun puts an older state file in place while apply works, as a checkout does:
// the uids go to errored.state.json, and the command in the hint takes them back.
func TestStateChangedDuringTheRun(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.dir, "state.json")
	fleet(t, r.dir, 2, "one")
	r.must(0, applyArgs()...)
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fleet(t, r.dir, 2, "two")
	r.must(0, applyArgs()...)

	fleet(t, r.dir, 5, "two")
	r.faults("latency=300ms op=create")
	cmd := r.command(applyArgs()...)
	done := make(chan struct{})
	var code int
	var out string
	go func() {
		defer close(done)
		code, out = finish(t, cmd)
	}()
	afterLine(2)(r.dir, done)
	if err := os.WriteFile(path, older, 0o644); err != nil {
		t.Fatal(err)
	}
	<-done
	if code != 1 || !strings.Contains(out, "agentsync state merge ") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	_, hint, _ := strings.Cut(out, "agentsync state merge ")
	r.must(0, "state", "merge", strings.Fields(hint)[0])
	r.faults()
	r.must(0, applyArgs()...)
	r.check(5)
	if made := r.creates(); made != 10 {
		t.Errorf("%d POSTs for 10 agents", made)
	}
}
