package ci

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCancelledApply: the signal of a cancelled job reaches agentsync, which finishes what is in flight,
// records it, and is waited for.
func TestCancelledApply(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		r := newRunner(t)
		server := r.withSandbox("latency=300ms op=create")
		write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach", "guide", "nurse"))
		out := filepath.Join(t.TempDir(), "output")
		cmd := exec.Command("bash", abs(t, "run.sh"))
		cmd.Dir = r.dir
		cmd.Env = append(os.Environ(), "INPUT_COMMAND=apply", "AGENTSYNC_PARALLELISM=1", "GITHUB_OUTPUT="+out,
			"RUNNER_TEMP="+t.TempDir())
		for name, value := range r.env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for creates(server) == 0 {
			select {
			case err := <-ended:
				t.Fatalf("it ended before a create: %v\n%s", err, log.String())
			case <-tick.C:
			}
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("%v: %v\n%s", sig, err, log.String())
		}
		wantAll(t, "outputs", read(t, out), "exit-code=130\n")
		live, uids := len(server.Agents("", "")), strings.Count(read(t, filepath.Join(r.dir, "state.json")), `"uid":`)
		if live == 0 || live == 3 || uids != live {
			t.Errorf("%v: %d agents live, %d uids in the state\n%s", sig, live, uids, log.String())
		}
	}
}

// TestKilledApply: what the journal knows of an apply that was killed is in the state that is pushed, also where it
// was the first apply, and there is no state yet.
func TestKilledApply(t *testing.T) {
	t.Parallel()
	for name, seed := range map[string]string{"first": "", "later": fleet("coach")} {
		t.Run(name, func(t *testing.T) { testKilledApply(t, seed) })
	}
}

func testKilledApply(t *testing.T, seed string) {
	r := newRunner(t)
	server := r.withSandbox()
	bare := r.withRepository(fleet("coach"))
	before := 0
	if seed != "" {
		if res := r.run(map[string]string{"command": "apply"}); res.failed {
			t.Fatal(res.log)
		}
		r.checkout(bare)
		before = 1
	}
	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach", "guide", "nurse"))
	setFaults(t, server, "hang-before op=create nth=2")
	cmd := exec.Command("agentsync", "apply", "--auto-approve", "--parallelism=1", "--report",
		filepath.Join(t.TempDir(), "report.json"))
	cmd.Dir, cmd.Env = r.dir, os.Environ()
	for name, value := range r.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for creates(server) < before+2 { // this run's first, and the one that hangs
		<-tick.C
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	push := exec.Command("bash", abs(t, "push-state.sh"))
	push.Dir = r.dir
	push.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "STATE_BRANCH=main", "RETRY_DELAY=0")
	if out, err := push.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := inState(t, bare); n != before+1 {
		t.Errorf("%d uids in the state that was pushed, %d agents live", n, len(server.Agents("", "")))
	}
}
