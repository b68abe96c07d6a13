//go:build unix

// Not for Windows: it has no SIGSTOP.

package torture

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// createsOf returns how many creates of the team's apps were throttled on each platform, and how many others were sent.
func (tm *team) createsOf() (throttled map[string]int, others int) {
	tm.t.Helper()
	var answer struct {
		Recent []struct {
			Platform, App, Op string
			Status            int
		}
	}
	tm.get("/_sandbox/requests", &answer)
	throttled = map[string]int{}
	for _, r := range answer.Recent {
		switch {
		case r.App != tm.name || r.Op != "create":
		case r.Status == http.StatusTooManyRequests:
			throttled[r.Platform]++
		default:
			others++
		}
	}
	return throttled, others
}

// open returns how many requests of the team's fleet have no answer.
func (tm *team) open() int {
	tm.t.Helper()
	snap, err := state.SnapshotOf(shared.Open(new(store.Memory), shared.Options{}), tm.view())
	if err != nil {
		tm.t.Fatal(err)
	}
	return len(snap.Open)
}

// teamPace lets each platform throttle one create of an apply, so that the next one, whose intent is durable, waits in
// the pace; meanwhile another machine takes over and makes everything. When the pause is over, the first run sends
// nothing of what waited: not where it lives and learns that its lease is gone, and not where it stood still (SIGSTOP)
// and wakes up behind the other's end.
func teamPace(t *testing.T) {
	const agents = 3 // on each platform: one is throttled, one made, and one waits
	parallel(t, 2, 2, func(t *testing.T, i int) {
		o := newOffice(t, "throttle=30s op=create platform=cometchat nth=1",
			"throttle=30s op=create platform=mindset nth=1")
		tm := o.newTeam(t, "pace", agents)
		first := tm.command(tm.checkout(), append(teamApply(), "--parallelism=2")...)
		var out strings.Builder
		first.Stdout, first.Stderr = &out, &out
		ended := tm.start(first, 0, func(*gate, *os.Process) {})
		until(t, "pause on both platforms with an intent that waits in it", func() bool {
			throttled, made := tm.createsOf()
			open := tm.open()
			return len(throttled) == 2 && open >= 2 && open+made == 2*(agents-1) // a throttled one is in doubt no more
		})
		if i == 1 {
			tm.must(0, tm.checkout(), "state", "unlock", "--auto-approve")
		} else {
			sends(first.Process, syscall.SIGSTOP)(nil)
		}
		tm.must(0, tm.checkout(), teamApply()...)
		sends(first.Process, syscall.SIGCONT)(nil)
		<-ended
		if code := first.ProcessState.ExitCode(); code == 0 ||
			!strings.Contains(out.String(), "the lease of the shared state is lost") {
			t.Errorf("the run that lost its lease: exit %d\n%s", code, out.String())
		}
		if _, sent := tm.createsOf(); sent != 2*agents {
			t.Errorf("%d creates were sent that the platform did not refuse, want %d\n%s", sent, 2*agents, out.String())
		}
		tm.check()
	})
}
