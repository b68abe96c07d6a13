//go:build unix

// Not for Windows: it has no SIGSTOP.

package torture

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// createsOf returns how many creates of each platform's reached it, and how many of them it throttled.
func (o *office) createsOf() (arrived, throttled map[string]int) {
	o.t.Helper()
	var answer struct {
		Counts struct {
			Requests  map[string]map[string]int
			Throttled map[string]int
		}
	}
	o.get("/_sandbox/requests", &answer)
	arrived = map[string]int{}
	for platform, ops := range answer.Counts.Requests {
		arrived[platform] = ops["create"]
	}
	return arrived, answer.Counts.Throttled
}

// intentToCreate is what the journal's line of an intent to create an agent holds.
var intentToCreate = regexp.MustCompile(`"address":"(\w+)/[^"]*","action":"create"`)

// waitsInPauses reports whether, on each of both platforms, a create was throttled, and an intent is durable whose
// create did not reach the platform yet. The store is read first: what leaves meanwhile only makes fewer that wait.
func (tm *team) waitsInPauses() bool {
	tm.t.Helper()
	waiting := map[string]int{}
	for _, intent := range intentToCreate.FindAllSubmatch(tm.view().Journal, -1) {
		waiting[string(intent[1])]++
	}
	arrived, throttled := tm.createsOf()
	for platform := range waiting {
		if waiting[platform] <= arrived[platform] || throttled[platform] == 0 {
			return false
		}
	}
	return len(waiting) == 2
}

// teamPace lets both platforms throttle the creates of an apply, so that one whose intent is durable waits in the pace;
// meanwhile another machine takes over and makes everything. When the pause is over, the first run sends nothing of
// what waited: not where it lives and learns that its lease is gone, and not where it stood still (SIGSTOP) and wakes
// up behind the other's end.
func teamPace(t *testing.T) {
	// Of three agents on each platform two may be in flight at once: when these are throttled, the third waits, however
	// slow the machine is. Whatever is sent is throttled, so that pause follows pause until both platforms were seen in
	// one at the same time.
	const agents = 3
	parallel(t, 2, 2, func(t *testing.T, i int) {
		o := newOffice(t, "throttle=30s op=create")
		o.patience = 5 * time.Minute
		tm := o.newTeam(t, "pace", agents)
		first := tm.command(tm.checkout(), append(teamApply(), "--parallelism=2")...)
		var out strings.Builder
		first.Stdout, first.Stderr = &out, &out
		ended := tm.start(first, 0, func(*gate, *os.Process) {})
		stop, wake := sends(first.Process, syscall.SIGSTOP), sends(first.Process, syscall.SIGCONT)
		until(t, "pause on both platforms with an intent that waits in it", func() bool {
			if !tm.waitsInPauses() {
				return false
			}
			stop(nil)
			if tm.waitsInPauses() { // still: nothing of it leaves from here on
				return true
			}
			wake(nil)
			return false
		})
		tm.faults()
		if i == 1 {
			tm.must(0, tm.checkout(), "state", "unlock", "--auto-approve")
			wake(nil)
		}
		tm.must(0, tm.checkout(), teamApply()...)
		wake(nil)
		<-ended
		if code := first.ProcessState.ExitCode(); code == 0 ||
			!strings.Contains(out.String(), "the lease of the shared state is lost") {
			t.Errorf("the run that lost its lease: exit %d\n%s", code, out.String())
		}
		arrived, throttled := tm.createsOf()
		if made := arrived["cometchat"] + arrived["mindset"] - throttled["cometchat"] - throttled["mindset"]; made !=
			2*agents {
			t.Errorf("%d creates were sent that the platform did not refuse, want %d\n%s", made, 2*agents, out.String())
		}
		tm.check()
	})
}
