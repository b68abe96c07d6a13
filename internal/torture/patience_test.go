//go:build unix

package torture

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Each test of this file is a way in which a run waited for what it need not wait for, said nothing, or ended where it
// should have gone on. A run that hangs is ended by the time limit of its command, and is then no exit code.

// start starts agentsync and returns it, with what it writes to stderr line by line.
func (s *site) start(args ...string) (*exec.Cmd, *bufio.Scanner) {
	s.t.Helper()
	cmd := s.command(args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// many are n agents of CometChat, and their names.
func many(n int) (agents, names []string) {
	for i := range n {
		key := fmt.Sprintf("a%02d", i)
		agents, names = append(agents, concierge(key)), append(names, "Concierge "+key)
	}
	return agents, names
}

// hour asks to come back in an hour.
func hour(q *query) bool {
	q.w.Header().Set("Retry-After", "3600")
	return q.send(http.StatusTooManyRequests,
		body{"error": body{"code": "ERR_TOO_MANY_REQUESTS", "message": "come back in an hour"}})
}

// TestWaitOfAnHourIsAnError: the platform asks to come back in an hour. Every command says so and ends, and what was in
// line was not sent.
func TestWaitOfAnHourIsAnError(t *testing.T) {
	for _, op := range []string{"list", "create"} {
		t.Run(op, func(t *testing.T) {
			s := newSite(t, manners{before: func(q *query) bool { return q.op == op && hour(q) }})
			agents, names := many(12)
			s.write(agents...)
			commands := [][]string{quick("apply", "--auto-approve", "--parallelism", "2")}
			if op == "list" {
				commands = append(commands, []string{"plan", "--refresh"})
			}
			for _, args := range commands {
				code, out := s.run(args...)
				if code <= 0 || !strings.Contains(out, "come back in an hour") {
					t.Errorf("%s: exit %d\n%s", args[0], code, out)
				}
			}
			if n := s.asked("create"); n > 2 {
				t.Errorf("%d creates were sent although the platform had asked to wait", n)
			}
			s.behave(manners{})
			s.apply(0)
			s.whole(names...)
		})
	}
}

// TestResetInMilliseconds: nothing is left until a time that is given in milliseconds, and it is not far away.
func TestResetInMilliseconds(t *testing.T) {
	s := newSite(t, manners{before: func(q *query) bool {
		q.w.Header().Set("X-Rate-Limit", "100")
		q.w.Header().Set("X-Rate-Limit-Remaining", "0")
		q.w.Header().Set("X-Rate-Limit-Reset", fmt.Sprint(time.Now().Add(200*time.Millisecond).UnixMilli()))
		return false
	}})
	s.write(concierge("a"), concierge("b"), concierge("c"))
	s.apply(0)
	s.whole("Concierge a", "Concierge b", "Concierge c")
}

// tenMinutes is how a wait of ten minutes may be told, when some of them are over, too.
var tenMinutes = regexp.MustCompile(`10m|10 min|9m5\d|5\d\ds|600 ?s`)

// TestWaitIsTold: the platform asks for some seconds. A line says so before they are over, for lists and for writes.
func TestWaitIsTold(t *testing.T) {
	for _, op := range []string{"list", "create"} {
		t.Run(op, func(t *testing.T) {
			s := newSite(t, manners{before: func(q *query) bool {
				q.w.Header().Set("Retry-After", "600")
				return q.op == op && q.send(http.StatusTooManyRequests, body{"error": body{"message": "slow down"}})
			}})
			s.write(concierge("a"))
			cmd, lines := s.start(quick("apply", "--auto-approve")...)
			var told bool
			for !told && lines.Scan() { // it ends with the command's time limit
				told = tenMinutes.MatchString(lines.Text())
			}
			if !told {
				t.Error("nothing is said of the wait")
			}
			_ = cmd.Process.Kill() // it would wait
			drain(lines)
			_ = cmd.Wait() // it was killed
		})
	}
}

// drain reads on, so that whoever writes is not held up.
func drain(lines *bufio.Scanner) {
	for lines.Scan() {
	}
}

// TestHangupEndsARunInOrder: SIGHUP starts nothing new, and what is in flight ends and is recorded.
func TestHangupEndsARunInOrder(t *testing.T) {
	arrived, answer := make(chan struct{}, 1), make(chan struct{})
	s := newSite(t, manners{before: func(q *query) bool {
		if q.op == "create" {
			select {
			case arrived <- struct{}{}:
			default:
			}
			<-answer
		}
		return false
	}})
	agents, _ := many(12)
	s.write(agents...)
	cmd, lines := s.start(quick("apply", "--auto-approve", "--parallelism", "2")...)
	<-arrived
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && !strings.Contains(lines.Text(), "interrupted") {
	}
	close(answer)
	drain(lines)
	_ = cmd.Wait() // the exit code is looked at below
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d", code)
	}
	s.everyUID()
	if n := len(s.names()); n == 0 || n == len(agents) {
		t.Errorf("%d agents were made", n)
	}
}

// TestClosedPipeEndsTheOutputAlone: whoever read the output has gone. The run goes on.
func TestClosedPipeEndsTheOutputAlone(t *testing.T) {
	s := newSite(t, manners{})
	agents, names := many(30)
	s.write(agents...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", `"$0" apply --auto-approve 2>&1 | true; exit "${PIPESTATUS[0]}"`,
		s.bin)
	cmd.Dir, cmd.Env = s.dir, s.env
	if code, out := finish(t, cmd); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	s.whole(names...)
}

// TestReportIsOpenedFirst: the report cannot be written. Nothing is sent.
func TestReportIsOpenedFirst(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), coach("a"))
	s.apply(4, "--report", "no-such-folder/report.json")
	s.there()
	if n := s.requests(); n > 0 {
		t.Errorf("%d requests", n)
	}
}

// TestTimesInWholeSeconds: agents of Mindset are made within one second, and shown and compared with times in whole
// seconds, 50 to a page. Where a page holds them all, nothing is different. Where it does not, nothing of the app can
// be read, and nothing is sent: each command says so, with what to do, and that helps.
func TestTimesInWholeSeconds(t *testing.T) {
	made := func(t *testing.T, n int) (*site, []string, []string) {
		s := newSite(t, manners{seconds: true, pageSize: 50})
		// it stands there: agents are a millisecond apart
		s.clock = time.Now().Add(time.Minute).UTC().Truncate(time.Second)
		var agents, names []string
		for i := range n {
			key := fmt.Sprintf("c%03d", i)
			agents, names = append(agents, coach(key)), append(names, "Coach "+key)
		}
		s.write(agents...)
		s.apply(0, "--parallelism", "50")
		s.there(names...)
		s.everyUID()
		s.write(append(agents, coach("new"))...)
		return s, agents, names
	}
	t.Run("40", func(t *testing.T) {
		s, _, names := made(t, 40)
		s.apply(0)
		s.whole(append(names, "Coach new")...)
	})
	t.Run("120", func(t *testing.T) {
		s, agents, names := made(t, 120)
		code, out := s.run(quick("apply", "--auto-approve")...)
		if code != 1 || !strings.Contains(out, "to make the app readable again delete one of the 50 at the platform") {
			t.Errorf("exit %d\n%s", code, out)
		}
		s.there(names...)
		for _, name := range names[:71] { // so that less than a page is left
			s.remove(name)
		}
		s.write(append(agents[71:], coach("new"))...)
		s.apply(0, "--prune")
		s.whole(append(names[71:], "Coach new")...)
	})
}

// TestKilledWhileAskedToWait: the platform asks to wait for an hour, one create is still on its way to it, and the run
// is killed. That create takes effect while the next run looks for it. What was asked to wait had not left.
func TestKilledWhileAskedToWait(t *testing.T) {
	var s *site
	hangs, waits, late := make(chan *query, 100), make(chan bool, 100), make(chan bool)
	var first atomic.Bool
	s = newSite(t, manners{before: func(q *query) bool {
		switch {
		case q.op != "create":
			return false
		case !first.Swap(true):
			hangs <- q
			q.until()
			return true
		}
		waits <- true
		return hour(q)
	}})
	agents, names := many(12)
	s.write(agents...)
	cmd, lines := s.start(quick("apply", "--auto-approve", "--parallelism", "4")...)
	go drain(lines)
	sent := <-hangs
	<-waits
	_ = cmd.Process.Kill() // it waits for the one that is on its way
	_ = cmd.Wait()         // it was killed
	s.behave(manners{})
	time.AfterFunc(time.Second, func() {
		s.put(sent.platform, sent.fields)
		close(late)
	})
	s.apply(0, "--settle-timeout", "3s")
	<-late
	s.whole(names...)
}

// killedAt applies until n creates wait at the platform, and kills the run there.
func (s *site) killedAt(n int, more ...string) {
	s.t.Helper()
	var waiting sync.WaitGroup
	waiting.Add(n)
	var arrived atomic.Int64
	s.behave(manners{before: func(q *query) bool {
		if q.op != "create" || arrived.Add(1) <= 4 { // the first ones are made
			return false
		}
		if arrived.Load() <= int64(4+n) {
			waiting.Done()
		}
		q.until()
		return true // it never has an effect
	}})
	cmd, lines := s.start(quick("apply",
		append([]string{"--auto-approve", "--parallelism", fmt.Sprint(n)}, more...)...)...)
	go drain(lines)
	waiting.Wait()
	_ = cmd.Process.Kill() // it waits for answers
	_ = cmd.Wait()         // it was killed
	s.behave(manners{})
}

// TestWhatIsInNoDoubtGoesOn: a run was killed while it waited for answers. The next one makes what was never begun at
// once, and only what may still arrive waits for the grace period.
func TestWhatIsInNoDoubtGoesOn(t *testing.T) {
	s := newSite(t, manners{})
	agents, names := many(20)
	s.write(agents...)
	s.killedAt(2)
	doubtful := s.order(0)[4:]
	before := s.requests()
	s.apply(0, "--settle-timeout", "3s")
	made := s.order(before)
	for i, name := range made {
		if slices.Contains(doubtful, name) && i < len(made)-len(doubtful) {
			t.Errorf("%s was sent again before what is in no doubt: %q", name, made)
			break
		}
	}
	s.whole(names...)
}

// TestRequestThatNeverLeftIsNotWaitedFor: a run was killed while its creates waited for their turn, for the platform
// had said that nothing is left for ten minutes. The next run need not wait for what may become of them: their grace
// period would last longer than the command may.
func TestRequestThatNeverLeftIsNotWaitedFor(t *testing.T) {
	const parallel = 8
	s := newSite(t, manners{before: func(q *query) bool {
		q.w.Header().Set("X-Rate-Limit", "100")
		q.w.Header().Set("X-Rate-Limit-Remaining", "0")
		q.w.Header().Set("X-Rate-Limit-Reset", fmt.Sprint(time.Now().Add(10*time.Minute).Unix()))
		return false
	}})
	agents, names := many(20)
	s.write(agents...)
	cmd, lines := s.start("apply", "--auto-approve", "--parallelism", fmt.Sprint(parallel))
	ended := make(chan struct{})
	go func() {
		drain(lines)
		close(ended)
	}()
	// The first line of the journal says whose it is, and then each request has one that says that it is wanted.
	for strings.Count(s.read("state.json.journal"), "\n") < 1+parallel {
		select {
		case <-ended:
			t.Fatal("the run ended")
		case <-time.After(time.Millisecond): // nobody tells of a line in a file
		}
	}
	_ = cmd.Process.Kill() // it waits for its turn
	<-ended
	_ = cmd.Wait() // it was killed
	if n := s.asked("create"); n > 0 {
		t.Errorf("%d creates left", n)
	}
	s.behave(manners{})
	s.apply(0, "--settle-timeout", "10m")
	s.whole(names...)
}
