//go:build unix

package torture

import (
	"bufio"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
	return q.send(http.StatusTooManyRequests, body{"error": body{"code": "ERR_TOO_MANY_REQUESTS", "message": "come back in an hour"}})
}

// tenMinutes is how a wait of ten minutes may be told, when some of them are over, too.
var tenMinutes = regexp.MustCompile(`10m|10 min|9m5\d|5\d\ds|600 ?s`)

// drain reads on, so that whoever writes is not held up.
func drain(lines *bufio.Scanner) {
	for lines.Scan() {
	}
}

// TestTimesInWholeSeconds: 120 agents of Mindset are made within a second or two, and shown with times in whole seconds, 50
// to a page. apply does not make an app that it cannot list any more, or it says what to do.
func TestTimesInWholeSeconds(t *testing.T) {
	s := newSite(t, manners{seconds: true, pageSize: 50})
	var agents, names []string
	for i := range 120 {
		key := fmt.Sprintf("c%03d", i)
		agents, names = append(agents, coach(key)), append(names, "Coach "+key)
	}
	s.write(agents...)
	s.run(quick("apply", "--auto-approve", "--parallelism", "50")...)
	s.there(names...)
	s.everyUID()
	s.write(append(agents, coach("new"))...)
	if code, out := s.run(quick("apply", "--auto-approve")...); code != 0 && !strings.Contains(out, "hint:") {
		t.Errorf("exit %d, and nothing says what to do\n%s", code, out)
	}
	s.everyUID()
	for _, name := range append(names, "Coach new") {
		if n := len(slices.DeleteFunc(s.names(), func(is string) bool { return is != name })); n > 1 {
			t.Errorf("%d agents are called %s", n, name)
		}
	}
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
	cmd, lines := s.start(quick("apply", append([]string{"--auto-approve", "--parallelism", fmt.Sprint(n)}, more...)...)...)
	go drain(lines)
	waiting.Wait()
	_ = cmd.Process.Kill() // it waits for answers
	_ = cmd.Wait()         // it was killed
	s.behave(manners{})
}
