package cli

import (
	"fmt"
	"sync"

	"agentsync/internal/apply"
	"agentsync/internal/report"
)

// display shows a run while it goes on, in stretches: a live line and whatever else is written to a
// terminal must not be on it at the same time.
type display struct {
	app *app

	mu  sync.Mutex // guards now
	now report.Progress
}

// begin starts a stretch in which total agents will be finished.
func (d *display) begin(total int) {
	d.end()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = report.NewProgress(d.app.streams.Err, d.app.style(d.app.streams.Err), total)
}

// end ends a stretch; without one it does nothing.
func (d *display) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != nil {
		d.now.Close()
		d.now = nil
	}
}

// interrupted says that the first signal was taken, and what a second one does.
func (d *display) interrupted() {
	if width, _ := terminal(d.app.streams.Err); width > 0 {
		d.end() // the line that follows would tear the live one
	}
	_, _ = fmt.Fprintln(d.app.streams.Err, "agentsync: interrupted: finishing what is in flight; a second interrupt ends at once, and the next apply settles what is open")
}

// event passes an engine's event on; outside a stretch it is dropped.
func (d *display) event(e apply.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != nil {
		d.now.Event(e)
	}
}
