package ui

import (
	"fmt"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/crash"
	"agentsync/internal/httpx"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
)

// Progress shows a run while it goes on, in stretches: a live line and whatever else is written to a
// terminal must not be on it at the same time. It is safe for concurrent use.
type Progress struct {
	ui *UI

	mu  sync.Mutex // guards now
	now report.Progress
}

// NewProgress returns a Progress that shows nothing yet.
func (u *UI) NewProgress() *Progress { return &Progress{ui: u} }

// Begin starts a stretch in which total agents will be finished.
func (p *Progress) Begin(total int) {
	p.End()
	p.mu.Lock()
	defer p.mu.Unlock()
	style := p.ui.Style(p.ui.Err)
	if p.ui.env["TERM"] == "dumb" {
		style.Width = 0 // no live line: such a terminal shows what erases it as characters
	}
	p.now = report.NewProgress(p.ui.Err, style, total)
	p.ui.progress.Store(p)
}

// End ends a stretch; without one it does nothing.
func (p *Progress) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil {
		p.now.Close()
		p.now = nil
	}
}

// Interrupted says that the first signal was taken, and what a second one does.
func (p *Progress) Interrupted() {
	defer crash.Guard()
	if p.ui.IsWatched() {
		p.End() // the line that follows would tear the live one
	}
	p.ui.Printf("agentsync: interrupted: finishing what is in flight; a second interrupt ends at once, " +
		"and the next apply settles what is open")
}

// Event passes an engine's event on; outside a stretch it is dropped.
func (p *Progress) Event(e apply.Event) { p.passOn(e) }

// passOn is Event that reports whether the event was passed on.
func (p *Progress) passOn(e apply.Event) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil {
		return false
	}
	p.now.Event(e)
	return true
}

// TellWait says that an app asks to wait: on the run's progress, or in a line of its own where none is shown.
func (u *UI) TellWait(id agent.AppID, w httpx.Wait) {
	e := apply.Event{Kind: apply.EventThrottled, App: id,
		Message: fmt.Sprintf("it asks to wait %v (%s)", w.For.Round(100*time.Millisecond), w.Reason)}
	if p := u.progress.Load(); p == nil || !p.passOn(e) {
		u.Sayf("waiting for %s: %s", id, show.Line(e.Message))
	}
}

// holderEvery is how often a run that waits for the lock says for whom.
const holderEvery = 30 * time.Second

// WaitForLock says whether the run waits for a lock from now on. Where it waits for nobody, TellHolder says nothing.
func (u *UI) WaitForLock(waits bool) { u.waitsForLock = waits }

// TellHolder says now and then who has the lock that is waited for.
func (u *UI) TellHolder(held error) {
	if u.waitsForLock && time.Since(u.toldHolder) >= holderEvery {
		u.toldHolder = time.Now()
		u.Sayf("Waiting: %s.", show.Line(held.Error()))
	}
}
