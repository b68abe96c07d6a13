package cli

import (
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

// event passes an engine's event on; outside a stretch it is dropped.
func (d *display) event(e apply.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != nil {
		d.now.Event(e)
	}
}
