//go:build unix

package torture

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterrupts ends runs by signals while they create, while they wait for a platform that asks them
// to, and while they settle. The next run ends with everything right.
func TestInterrupts(t *testing.T) {
	cases := []struct {
		name    string
		faults  []string
		creates int // how many POSTs have arrived when the signal comes; all of them means that it settles
		signals []os.Signal
		soon    time.Duration // how long the end may take
	}{
		{"creating", []string{"latency=200ms op=create"}, 2, []os.Signal{syscall.SIGINT}, 3 * time.Second},
		{"creating, twice", []string{"hang-after=4s op=create"}, 2, []os.Signal{syscall.SIGINT, syscall.SIGINT},
			2 * time.Second},
		{"creating, SIGTERM", []string{"latency=200ms op=create"}, 2, []os.Signal{syscall.SIGTERM}, 3 * time.Second},
		{"creating, SIGTERM then SIGINT", []string{"hang-after=4s op=create"}, 2,
			[]os.Signal{syscall.SIGTERM, syscall.SIGINT}, 2 * time.Second},
		{"throttled", []string{"throttle=20s op=create"}, 1, []os.Signal{syscall.SIGINT}, 3 * time.Second},
		{"throttled, SIGTERM", []string{"throttle=20s op=create"}, 1, []os.Signal{syscall.SIGTERM}, 3 * time.Second},
		{"settling", []string{"drop-before op=create"}, 18, []os.Signal{syscall.SIGINT}, 3 * time.Second},
		{"settling, twice", []string{"drop-after op=create", "lag=10s op=create"}, 18,
			[]os.Signal{syscall.SIGINT, syscall.SIGTERM}, 3 * time.Second},
	}
	sideBySide(len(cases), func(i int) {
		c := cases[i]
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.faults...)
			fleet(t, r.dir, 9, "one")
			cmd := r.command("apply", "--auto-approve", "--settle-timeout", "20s", "--parallelism", "2")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				_ = cmd.Wait() // the exit code is looked at below
				close(done)
			}()
			for r.creates() < c.creates {
				select {
				case <-done:
					t.Fatalf("it ended before the signal\n%s", out.String())
				case <-time.After(5 * time.Millisecond): // the sandbox is asked, it does not tell
				}
			}
			start := time.Now()
			signal(t, cmd, c.signals)
			<-done
			if took := time.Since(start); took > c.soon {
				t.Errorf("the end took %s", took)
			}
			if code := cmd.ProcessState.ExitCode(); code != 130 {
				t.Errorf("exit %d\n%s", code, out.String())
			}
			r.faults()
			if strings.Contains(strings.Join(c.faults, " "), "lag=") {
				r.must(0, "apply", "--auto-approve", "--settle-timeout", "11s")
			} else {
				r.must(0, applyArgs()...)
			}
			r.check(9)
		})
	})
}

// signal sends the signals one after the other, the second when the first has been taken.
func signal(t *testing.T, cmd *exec.Cmd, signals []os.Signal) {
	t.Helper()
	for i, s := range signals {
		if i > 0 {
			time.Sleep(100 * time.Millisecond) // two at once would be taken as one
		}
		if err := cmd.Process.Signal(s); err != nil && err != os.ErrProcessDone {
			t.Fatal(err)
		}
	}
}
