package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/crash"
)

// redrawEvery is the pace of the live line: quicker would flicker and cost, slower would seem stuck.
const redrawEvery = 100 * time.Millisecond

// live is the one line at the foot of a terminal. A goroutine redraws it, so that the clock goes on
// while a run waits; events only count.
type live struct {
	w     io.Writer
	s     Style
	total int
	stop  chan struct{}
	ended chan struct{}

	mu       sync.Mutex // guards everything below, and writing
	done     int
	failed   int
	inFlight map[agent.Address]bool
	waiting  string    // what the run waits for, "" if it goes on
	waitedAt time.Time // when waiting was said
	pace     pace
	apps     loads
	lines    []string // finished lines to print above the live line
	drawn    string
}

func newLive(w io.Writer, s Style, total int) *live {
	l := &live{
		w: w, s: s, total: total, stop: make(chan struct{}), ended: make(chan struct{}),
		inFlight: map[agent.Address]bool{}, pace: pace{start: time.Now()}, apps: loads{},
	}
	go l.run()
	return l
}

func (l *live) run() {
	defer crash.Guard()
	defer close(l.ended)
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case now := <-ticker.C:
			l.draw(now)
		}
	}
}

// Close clears the line and prints what is still to be said.
func (l *live) Close() {
	close(l.stop)
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write("")
}

func (l *live) Event(e apply.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case apply.EventStarted:
		l.inFlight[e.Result.Address] = true
		l.apps.of(e.App, time.Now())
		l.waiting = ""
	case apply.EventFinished:
		l.apps.finished(e, time.Now())
		l.finish(e.Result)
	default:
		if e.Rate > 0 {
			l.apps.of(e.App, time.Now()).bound = e.Rate
		}
		l.waiting, l.waitedAt = noticeOf(e), time.Now()
	}
}

// finish counts a result. Only what did not work is worth a line of its own on a terminal.
func (l *live) finish(r apply.Result) {
	delete(l.inFlight, r.Address)
	l.done++
	l.pace.add(time.Now())
	if r.Status != apply.StatusDone {
		l.failed++
	}
	if r.Status == apply.StatusFailed || r.Status == apply.StatusUnknown {
		l.lines = append(l.lines, finishedLine(r, l.s))
	}
}

func (l *live) draw(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(clip(l.status(now), max(l.s.Width-1, 1)))
}

// write puts the finished lines and the new live line out in one write, so that a terminal never shows
// a half-drawn state, and does nothing where nothing changed.
func (l *live) write(status string) {
	if len(l.lines) == 0 && status == l.drawn {
		return
	}
	var b strings.Builder
	b.WriteByte('\r')
	for _, text := range l.lines {
		b.WriteString(text + "\x1b[K\n")
	}
	b.WriteString(status + "\x1b[K")
	l.lines, l.drawn = nil, status
	_, _ = io.WriteString(l.w, b.String())
}

// status is the live line: done, in flight, failed, rate, time left, and what is waited for.
func (l *live) status(now time.Time) string {
	parts := []string{fmt.Sprintf("%s/%s done", comma(l.done), comma(l.total))}
	if n := len(l.inFlight); n > 0 {
		parts = append(parts, comma(n)+" in flight")
	}
	if l.failed > 0 {
		parts = append(parts, comma(l.failed)+" failed")
	}
	if rate := l.pace.rate(now); rate > 0 {
		parts = append(parts, rateText(rate))
		if left, ok := l.apps.timeLeft(now, l.total-l.done); ok {
			parts = append(parts, "about "+durationText(left)+" left")
		}
	}
	if l.waiting != "" {
		parts = append(parts, l.waiting+" ("+durationText(now.Sub(l.waitedAt))+")")
	}
	return strings.Join(parts, " · ")
}

func rateText(perSecond float64) string {
	if perSecond < 1 {
		return fmt.Sprintf("%.0f/min", perSecond*60)
	}
	return fmt.Sprintf("%.0f/s", perSecond)
}

// durationText rounds to what a person wants to know: 8 s, 2 min 05 s, 25 min, 1 h 10 min.
func durationText(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60/5*5)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	default:
		return fmt.Sprintf("%d h %02d min", s/3600, s%3600/60)
	}
}
