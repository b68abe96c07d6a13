//go:build unix

// Not for Windows: it has no SIGSTOP.

package torture

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// teamSize is how many agents a team's fleet has on each platform.
const teamSize = 2

// requestsOfApply returns how many requests to the store one whole apply of a new fleet makes.
func requestsOfApply(t *testing.T, o *office) int {
	t.Helper()
	tm := o.newTeam(t, "count", teamSize)
	tm.gate.arm(0, nil)
	tm.must(0, tm.checkout(), teamApply()...)
	n := tm.gate.passed()
	tm.check()
	if n < 8 {
		t.Fatalf("an apply makes %d requests to the store", n)
	}
	return n
}

// cases returns the numbers from 1 to n that a quick run plays: every fifth, the last of them too.
func cases(n int) (numbers []int) {
	step := times(5, 1)
	for i := 1; i <= n; i += step {
		numbers = append(numbers, i)
	}
	return append(numbers, n)
}

// TestTortureTeam: what happens to runs of a team whose state is in a real S3, or in a real PostgreSQL behind a pooler,
// from outside.
func TestTortureTeam(t *testing.T) {
	scenes := []func(*testing.T){
		func(t *testing.T) { teamKill(t, newOffice(t)) }, func(t *testing.T) { teamKill(t, newDatabaseOffice(t)) },
		teamStop,
		func(t *testing.T) { teamLost(t, newOffice(t)) }, func(t *testing.T) { teamLost(t, newDatabaseOffice(t)) },
		teamAtOnce, teamServer, teamPace,
		func(t *testing.T) { liveWith(t, 30, 2*time.Second, func(round int) bool { return round < 3 }) },
	}
	names := []string{"kill", "kill with PostgreSQL", "stop", "lost", "lost with PostgreSQL", "at once", "server",
		"pace",
		"soak"}
	var playing errgroup.Group
	for i, scene := range scenes {
		playing.Go(func() error {
			t.Run(names[i], scene)
			return nil
		})
	}
	_ = playing.Wait() // they tell t
}

// teamKill kills an apply with its machine and disk at the n-th request to the store, for every n, the request being
// carried out or not; another machine, with nothing but the manifests and the URL, goes on.
func teamKill(t *testing.T, o *office) {
	numbers := cases(requestsOfApply(t, o))
	for _, late := range []bool{false, true}[:times(1, 2)] {
		parallel(t, len(numbers), times(8, 6), func(t *testing.T, i int) {
			tm := o.newTeam(t, fmt.Sprintf("kill%v%d", late, numbers[i-1]), teamSize)
			dir := tm.checkout()
			killed := tm.start(tm.command(dir, teamApply()...), numbers[i-1], func(g *gate, p *os.Process) {
				g.lose = true
				if g.before = sends(p, syscall.SIGKILL); late || i%2 == 0 { // carried out first
					g.before, g.after = nil, g.before
				}
			})
			<-killed
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			tm.must(0, tm.checkout(), teamApply()...)
			tm.check()
		})
	}
}

// teamStop stops an apply (SIGSTOP) at the n-th request to the store for longer than its lease, lets another take over
// and come to its end, and wakes it up: it sends nothing more, says so, and harms nobody. At every other n it sleeps
// through only a part of the other's run, which waits for the platform when the sleeper wakes up.
func teamStop(t *testing.T) {
	o := newOffice(t)
	numbers := cases(requestsOfApply(t, o))
	parallel(t, len(numbers), times(8, 6), func(t *testing.T, i int) {
		tm := o.newTeam(t, fmt.Sprint("stop", numbers[i-1]), teamSize)
		cmd := tm.command(tm.checkout(), teamApply()...)
		stopped := make(chan struct{})
		var once sync.Once
		ended := tm.start(cmd, numbers[i-1], func(g *gate, p *os.Process) {
			stop := func(r *http.Request) {
				sends(p, syscall.SIGSTOP)(r)
				once.Do(func() { close(stopped) })
			}
			if g.before = stop; i%2 == 0 {
				g.before, g.after = nil, stop
			}
		})
		select {
		case <-stopped:
		case <-ended: // what shares a segment can vary by one: it was through before
			tm.check()
			return
		}
		before := tm.epoch()
		other := tm.command(tm.checkout(), teamApply()...)
		var out strings.Builder
		other.Stdout, other.Stderr = &out, &out
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- other.Wait() }()
		if i%2 == 0 { // a part: until it has taken over, if there is anything to do for it
			until(t, "takeover", func() bool { return tm.epoch() > before || len(done) > 0 })
			sends(cmd.Process, syscall.SIGCONT)(nil)
		}
		err := <-done
		sends(cmd.Process, syscall.SIGCONT)(nil)
		<-ended
		if err != nil {
			t.Fatalf("the one that took over: %v\n%s", err, out.String())
		}
		tm.check()
	})
}

// teamLost loses the answer of the n-th request to the store after its effect: the apply goes through all the same.
func teamLost(t *testing.T, o *office) {
	numbers := cases(requestsOfApply(t, o))
	parallel(t, len(numbers), 2, func(t *testing.T, i int) {
		tm := o.newTeam(t, fmt.Sprint("lost", numbers[i-1]), teamSize)
		tm.gate.arm(numbers[i-1], func(g *gate) { g.lose = true })
		tm.must(0, tm.checkout(), teamApply()...)
		tm.check()
	})
}

// teamAtOnce: many that make the place at once make one; applies at once come one after the other; and the lock of one
// that lives is taken over from by hand while its requests are under way.
func teamAtOnce(t *testing.T) {
	o := newOffice(t, "latency=300ms")
	t.Run("init", func(t *testing.T) {
		tm := o.newTeam(t, "init", teamSize)
		tm.url = strings.Replace(tm.url, "/init?", "/again?", 1)
		var making sync.WaitGroup
		for range times(8, 50) {
			making.Go(func() {
				if code, out := finish(t, tm.command(t.TempDir(), "state", "init")); code != 0 {
					t.Errorf("state init: exit %d\n%s", code, out)
				}
			})
		}
		making.Wait()
	})
	t.Run("apply", func(t *testing.T) {
		tm := o.newTeam(t, "apply", teamSize)
		var applying sync.WaitGroup
		for range times(3, 10) {
			dir := tm.checkout()
			applying.Go(func() {
				if code, out := finish(t, tm.command(dir, teamApply()...)); code != 0 {
					t.Errorf("apply: exit %d\n%s", code, out)
				}
			})
		}
		applying.Wait()
		tm.check()
	})
	t.Run("unlock", func(t *testing.T) {
		tm := o.newTeam(t, "unlock", 6)
		// It makes four on each platform, and cannot come to its end before it is taken over from, however slow the
		// machine is.
		tm.faults("latency=300ms", `throttle=1s op=create name="* 4"`)
		alive := tm.command(tm.checkout(), append(teamApply(), "--parallelism=1")...)
		var out strings.Builder
		alive.Stdout, alive.Stderr = &out, &out
		ended := tm.start(alive, 0, func(*gate, *os.Process) {})
		until(t, "first agent", func() bool { return tm.journalled() > 2 })
		start := time.Now()
		tm.must(0, tm.checkout(), "state", "unlock", "--auto-approve")
		<-ended
		if code := alive.ProcessState.ExitCode(); code == 0 {
			t.Errorf("the one that was taken over from after %v ends well\n%s", time.Since(start), out.String())
		}
		tm.faults("latency=300ms")
		tm.must(0, tm.checkout(), teamApply()...)
		tm.check()
	})
}

// teamServer kills the store's server (kill -9) at the n-th request of an apply, which has to wait until it is back.
func teamServer(t *testing.T) {
	o := newOffice(t)
	for _, n := range []int{4, 9}[:times(1, 2)] {
		tm := o.newTeam(t, fmt.Sprint("server", n), teamSize)
		tm.gate.arm(n, func(g *gate) {
			g.before = func(*http.Request) {
				o.s3.Kill()
				time.AfterFunc(time.Second, func() { o.s3.Start() })
			}
		})
		tm.must(0, tm.checkout(), teamApply()...)
		tm.check()
	}
}
