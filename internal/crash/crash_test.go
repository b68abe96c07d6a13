package crash_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"agentsync/internal/crash"
)

// ends are the ways in which the child of TestEnds dies.
var ends = map[string]func(){
	"guarded": func() {
		done := make(chan bool)
		go func() {
			defer crash.Guard()
			var m map[string]int
			m["x"] = 1 //nolint:staticcheck // the panic
		}()
		<-done
	},
	"unguarded": func() {
		var list []int
		go func() { _ = list[len(os.Args)] }()
		select {}
	},
	"stack": func() {
		debug.SetMaxStack(1 << 20) // the usual GiB takes long to fill
		var deep func(n int) int
		deep = func(n int) int { return deep(n+1) + 1 }
		_ = deep(0)
	},
	"memory": func() {
		go crash.WatchMemory(64<<20, func(error) {})
		var kept [][]byte
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			kept = append(kept, block)
			time.Sleep(time.Millisecond) // slower than the watch, as everything but an attack is
			_ = kept
		}
	},
}

func TestMain(m *testing.M) {
	if end := ends[os.Getenv("CRASH_TEST_END")]; end != nil {
		crash.Arm()
		end()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestEnds: nothing that goes wrong ends with 2, which is the code of a plan with changes.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		end  string
		code int // -1 is a signal
		says string
	}{
		{"guarded", 1, "agentsync: error: this is a bug of agentsync: assignment to entry in nil map"},
		{"unguarded", -1, "index out of range"},
		{"stack", -1, "stack overflow"},
		{"memory", 1, "agentsync: error: the memory limit is reached: agentsync needs more than 64 MiB"},
	} {
		t.Run(c.end, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "CRASH_TEST_END="+c.end)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.says) {
				t.Errorf("%v (exit code %d, want %d)\n%.2000s", err, cmd.ProcessState.ExitCode(), c.code, out)
			}
		})
	}
}

// TestMemoryCancels: the run is told to end before it is ended.
func TestMemoryCancels(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	block := make([]byte, 110<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	go crash.WatchMemory(100<<20, cancel)
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), crash.ErrMemory) {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
	block[0] = 2
}
