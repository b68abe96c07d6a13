package report

import (
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
)

// appLoad is what is known of one app's part of a run.
type appLoad struct {
	pace  pace
	left  int
	bound float64 // what the platform lets through in a second, 0 for no bound
}

// loads are the apps of a run. They go on side by side and each at its own pace, so the run is over
// when the slowest is.
type loads map[agent.AppID]*appLoad

// of returns the app's load. Its pace counts from now on where it was not seen before.
func (l loads) of(id agent.AppID, now time.Time) *appLoad {
	if l[id] == nil {
		l[id] = &appLoad{pace: pace{start: now}}
	}
	return l[id]
}

func (l loads) finished(e apply.Event, now time.Time) {
	app := l.of(e.App, now)
	app.pace.add(now)
	app.left, app.bound = e.Left, e.Rate
}

// timeLeft is how long the run will still go on, as far as its apps' paces say; it is false where one of
// them says nothing. left is how many agents the whole run has still to finish.
func (l loads) timeLeft(now time.Time, left int) (d time.Duration, known bool) {
	counted := 0
	for _, app := range l {
		counted += app.left
	}
	for _, app := range l {
		todo := app.left
		if counted == 0 { // events that do not say how many are left
			todo = left
		}
		if todo == 0 {
			continue
		}
		rate := app.rate(now)
		if rate == 0 {
			return 0, false
		}
		d = max(d, time.Duration(float64(todo)/rate*float64(time.Second)))
	}
	return d, d > 0
}

// rate is how many agents a second the app will finish: what it did of late, but no more than its
// platform lets through, however quick the burst before a limit was.
func (a *appLoad) rate(now time.Time) float64 {
	rate := a.pace.rate(now)
	if a.bound > 0 && (rate == 0 || a.bound < rate) {
		return a.bound
	}
	return rate
}
