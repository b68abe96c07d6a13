package report_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func started(a agent.Address) apply.Event {
	return apply.Event{Kind: apply.EventStarted, Result: apply.Result{Address: a, Action: plan.Create}}
}

func finished(a agent.Address, status apply.Status) apply.Event {
	r := apply.Result{Address: a, Action: plan.Create, Status: status, UID: "u-" + a.Key}
	if status == apply.StatusFailed {
		r.UID, r.Err = "", errors.New("400 Bad Request")
	}
	return apply.Event{Kind: apply.EventFinished, Result: r}
}

func throttled() apply.Event {
	return apply.Event{Kind: apply.EventThrottled, App: agent.AppID{Platform: "mindset", App: "acme"},
		Message: "429, 1 s"}
}

// writes collects each write by itself: a terminal shows a half-drawn line between two.
type writes struct{ all []string }

func (w *writes) Write(b []byte) (int, error) {
	w.all = append(w.all, string(b))
	return len(b), nil
}

func TestPlainProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		p := report.NewProgress(&w, report.Style{}, 2)
		p.Event(apply.Event{Kind: apply.EventListing, App: agent.AppID{Platform: "mindset", App: "acme"}})
		p.Event(started(mindset("coach")))
		for range 50 {
			p.Event(throttled())
		}
		time.Sleep(11 * time.Second)
		p.Event(throttled())
		p.Event(finished(mindset("coach"), apply.StatusDone))
		p.Event(finished(mindset("tutor"), apply.StatusFailed))
		p.Close()
		golden(t, "progress-plain.txt", []byte(strings.Join(w.all, "")))
	})
}

func TestQuietProgress(t *testing.T) {
	var w writes
	p := report.NewProgress(&w, report.Style{Quiet: true, Width: 80}, 1)
	p.Event(finished(mindset("coach"), apply.StatusFailed))
	p.Close()
	if len(w.all) > 0 {
		t.Errorf("quiet progress wrote %q", w.all)
	}
}

// TestLiveProgress runs 14 agents at four a second on a terminal and looks at every write.
func TestLiveProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		p := report.NewProgress(&w, report.Style{Width: 100}, 1040)
		for i := range 14 {
			a := mindset(fmt.Sprintf("a-%02d", i))
			p.Event(started(a))
			time.Sleep(233 * time.Millisecond) // never at the same instant as a redraw
			p.Event(finished(a, apply.StatusDone))
		}
		p.Event(started(mindset("bad")))
		p.Event(finished(mindset("bad"), apply.StatusFailed))
		p.Event(throttled())
		time.Sleep(3 * time.Second)
		p.Close()
		golden(t, "progress-live.txt", readable([]byte(strings.ReplaceAll(strings.Join(w.all, "\n")+"\n", "\r", "␍"))))
		if n := len(w.all); n > 10*7 {
			t.Errorf("%d writes in 6.5 seconds, want at most ten a second", n)
		}
		for _, text := range w.all {
			if !strings.HasPrefix(text, "\r") || !strings.HasSuffix(text, "\x1b[K") {
				t.Errorf("a write leaves a half-drawn line: %q", text)
			}
		}
		if last := w.all[len(w.all)-1]; last != "\r\x1b[K" {
			t.Errorf("the line is not cleared at the end: %q", last)
		}
	})
}

// TestLiveWidth holds the live line to one row: a longer one would wrap and could not be redrawn.
func TestLiveWidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		p := report.NewProgress(&w, report.Style{Width: 30}, 10)
		p.Event(throttled())
		time.Sleep(time.Second)
		p.Close()
		for _, text := range w.all {
			if n := len([]rune(strings.TrimSuffix(strings.TrimPrefix(text, "\r"), "\x1b[K"))); n > 29 {
				t.Errorf("%d columns on a terminal of 30: %q", n, text)
			}
		}
	})
}

// TestTimeLeft holds the time left to the pace of the last seconds, not of the whole run.
func TestTimeLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		p := report.NewProgress(&w, report.Style{Width: 100}, 1000)
		time.Sleep(3 * time.Millisecond) // from here on no event is at the same instant as a redraw
		n := 0
		run := func(count int, each time.Duration) {
			for range count {
				time.Sleep(each)
				p.Event(finished(mindset(fmt.Sprintf("a-%d", n)), apply.StatusDone))
				n++
			}
		}
		run(400, 10*time.Millisecond) // 100 a second
		run(100, time.Second)         // then a limit sets in: one a second
		time.Sleep(100 * time.Millisecond)
		p.Close()
		if last := w.all[len(w.all)-2]; !strings.Contains(last, "about 8 min 20 s") || !strings.Contains(last, "1/s") {
			t.Errorf("500 agents at one a second are left, and the line says %q", last)
		}
	})
}

// TestTimeLeftOfTheSlowestApp holds the time left to what each app still has to do, at what its platform
// lets through: a quick app and a burst before a limit promise nothing.
func TestTimeLeftOfTheSlowestApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w writes
		p := report.NewProgress(&w, report.Style{Width: 120}, 1100)
		time.Sleep(3 * time.Millisecond) // from here on no event is at the same instant as a redraw
		quick, slow := agent.AppID{Platform: "cometchat", App: "a"}, agent.AppID{Platform: "mindset", App: "b"}
		for i := range 400 {
			time.Sleep(10 * time.Millisecond)
			e := finished(mindset(fmt.Sprintf("a-%d", i)), apply.StatusDone)
			e.App, e.Left = quick, 500-i
			if i%4 == 0 { // a quarter are of an app that let a burst through and then said: two a second
				e.App, e.Left, e.Rate = slow, 600-i/4, 2
			}
			p.Event(e)
		}
		time.Sleep(100 * time.Millisecond)
		p.Close()
		if last := w.all[len(w.all)-2]; !strings.Contains(last, "about 4 min 10 s left") {
			t.Errorf("501 agents at two a second are left, and the line says %q", last)
		}
	})
}
