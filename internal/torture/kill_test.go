package torture

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTortureKill kills the real binary, again and again until it gets to the end: after each line of
// the journal in turn, then at random moments.
func TestTortureKill(t *testing.T) {
	const agents = 12
	kills, fleets := 0, 0
	rng := rand.New(rand.NewPCG(3, 1))
	for line := 1; line <= times(3, 20); line++ {
		kills += killed(t, agents, func(int) moment { return afterLine(line) })
		fleets++
	}
	for range times(1, 15) {
		kills += killed(t, agents, func(int) moment { return after(time.Duration(rng.IntN(120)) * time.Millisecond) })
		fleets++
	}
	t.Logf("%d kills, %d fleets, %d agents each", kills, fleets, 2*agents)
}

// moment returns when it is time to kill; done is closed when the process has ended by itself.
type moment func(dir string, done <-chan struct{})

// afterLine waits until the journal has grown by n lines.
func afterLine(n int) moment {
	return func(dir string, done <-chan struct{}) {
		path := filepath.Join(dir, "state.json.journal")
		before := lines(path)
		for lines(path) < before+n {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Microsecond): // nobody tells of a line in a file
			}
		}
	}
}

func lines(path string) int {
	b, _ := os.ReadFile(path) // absent before the first line
	return bytes.Count(b, []byte("\n"))
}

func after(d time.Duration) moment {
	return func(_ string, done <-chan struct{}) {
		select {
		case <-done:
		case <-time.After(d):
		}
	}
}

// killed applies a fleet in a process that is killed until it ends by itself, and returns how often it
// was killed.
func killed(t *testing.T, agents int, when func(try int) moment) (kills int) {
	t.Helper()
	r := newRig(t, "latency=4ms jitter=3ms")
	maxKills := times(4, 10)                      // more of them at the same line would never end
	for _, text := range []string{"one", "two"} { // creates, then updates
		fleet(t, r.dir, agents, text)
		for try := 0; ; try++ {
			cmd := r.command(applyArgs("--parallelism", "4")...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				_ = cmd.Wait() // killed or not: the exit code is looked at below
				close(done)
			}()
			if try < maxKills {
				when(try)(r.dir, done)
				_ = cmd.Process.Kill() // it may have ended
			}
			<-done
			if cmd.ProcessState.Success() {
				break
			}
			kills++
			if try > maxKills {
				code, out := r.run(applyArgs()...)
				t.Fatalf("exit %d without a kill\n%s", code, out)
			}
		}
		r.check(agents)
	}
	return kills
}
