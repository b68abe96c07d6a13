package report

import (
	"fmt"
	"io"
	"time"

	"agentsync/internal/apply"
)

// Progress shows a run while it goes on. Event takes one event at a time; Close ends the display and
// leaves no trace of a live line. Errors of the writer are dropped: progress must not stop a run.
type Progress interface {
	Event(apply.Event)
	Close()
}

// NewProgress returns the display that fits: nothing with Style.Quiet, one live line where Style.Width
// says that w is a terminal (and Verbose, whose trace would tear it, is off), and one plain line per
// agent otherwise. total is how many agents the run will finish. Only the live line starts a goroutine,
// which Close ends.
func NewProgress(w io.Writer, s Style, total int) Progress {
	switch {
	case s.Quiet:
		return silent{}
	case s.Width > 0 && !s.Verbose:
		return newLive(w, s, total)
	default:
		return &plainProgress{w: w, s: s, total: total, said: map[string]time.Time{}}
	}
}

type silent struct{}

func (silent) Event(apply.Event) {}
func (silent) Close()            {}

// repeatAfter is how long a plain display keeps still about an app that is being waited for.
const repeatAfter = 10 * time.Second

// plainProgress writes lines that make sense in a log.
type plainProgress struct {
	w     io.Writer
	s     Style
	total int
	done  int
	said  map[string]time.Time
}

func (p *plainProgress) Close() {}

func (p *plainProgress) Event(e apply.Event) {
	switch e.Kind {
	case apply.EventFinished:
		p.done++
		_, _ = fmt.Fprintf(p.w, "[%d/%d] %s\n", p.done, p.total, finishedLine(e.Result, p.s))
	case apply.EventListing, apply.EventThrottled, apply.EventSettling:
		p.sayOnce(noticeOf(e))
	}
}

// sayOnce writes a notice unless the same was written a moment ago: a platform at its limit asks every
// request to wait.
func (p *plainProgress) sayOnce(notice string) {
	now := time.Now()
	if last, ok := p.said[notice]; ok && now.Sub(last) < repeatAfter {
		return
	}
	p.said[notice] = now
	_, _ = fmt.Fprintf(p.w, "%s\n", notice)
}

// noticeOf says what a run is waiting for.
func noticeOf(e apply.Event) string {
	switch e.Kind {
	case apply.EventListing:
		return "listing the agents of " + Sanitize(e.App.String())
	case apply.EventThrottled:
		return "waiting for " + Sanitize(e.App.String()) + suffix(e.Message)
	case apply.EventSettling:
		return "settling what became of requests to " + Sanitize(e.App.String()) + suffix(e.Message)
	default:
		return ""
	}
}

func suffix(message string) string {
	if message == "" {
		return ""
	}
	return ": " + Sanitize(message)
}

// finishedLine is one agent's line: "+ cometchat/2754abc/concierge created, uid …".
func finishedLine(r apply.Result, s Style) string {
	l := statusLook(r.Status)
	if r.Status == apply.StatusDone {
		l = lookOf(r.Action)
	}
	line := s.paint(l.ink, l.symbol) + " " + resultLine(r)
	if r.Warning != "" {
		line += " (warning: " + Sanitize(r.Warning) + ")"
	}
	return line
}
