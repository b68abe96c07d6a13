package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if command := os.Getenv(hostileVariable); command != "" {
		exitOn(validateOnly(command))
		return
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = dir
	code := m.Run()
	printTable()
	_ = os.RemoveAll(dir) // it is in the folder for temporary files
	os.Exit(code)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// built is the folder that the binary is built in.
var built string

// binary builds agentsync as `make build` does, once, and returns its path.
var binary = sync.OnceValues(func() (string, error) { return build("agentsync", "../..") })

// yardstick builds what agentsync is measured against in the same way.
var yardstick = sync.OnceValues(func() (string, error) { return build("yardstick", "./testdata/yardstick") })

func build(name, what string) (string, error) {
	path := filepath.Join(built, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, what)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return path, err
}

// usage is what one process cost.
type usage struct {
	wall, cpu time.Duration
	memory    float64 // the most that it had at once, in MiB
}

// agentsync runs the program in dir and returns what it cost.
func agentsync(b *testing.B, dir string, env []string, args ...string) usage {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	return run(b, cmd)
}

// measured runs the yardstick.
func measured(b *testing.B, args ...string) usage {
	b.Helper()
	path, err := yardstick()
	if err != nil {
		b.Fatal(err)
	}
	return run(b, exec.Command(path, args...))
}

func run(b *testing.B, cmd *exec.Cmd) usage {
	b.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v\n%s", cmd, err, stderr.String())
	}
	wall := time.Since(start)
	s := cmd.ProcessState
	return usage{wall: wall, cpu: s.UserTime() + s.SystemTime(), memory: peak(s)}
}

// quickest runs several things in turn, again and again, and returns for each the least that it took and
// the most memory that it had: whatever else the machine does can only add.
func quickest(rounds int, runs ...func() usage) []usage {
	best := make([]usage, len(runs))
	for round := range rounds {
		for i, run := range runs {
			u := run()
			if round == 0 {
				best[i] = u
				continue
			}
			best[i] = usage{wall: min(best[i].wall, u.wall), cpu: min(best[i].cpu, u.cpu),
				memory: max(best[i].memory, u.memory)}
		}
	}
	return best
}
