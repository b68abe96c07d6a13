package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/report/show"
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
		return noProgress{}
	case s.Width > 0 && !s.Verbose:
		return newLive(w, s, total)
	default:
		return &plainProgress{w: w, s: s, total: total, said: map[string]time.Time{}}
	}
}

type noProgress struct{}

func (noProgress) Event(apply.Event) {}
func (noProgress) Close()            {}

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
	case apply.EventListing, apply.EventThrottled, apply.EventRecovering:
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
		return "listing the agents of " + show.Line(e.App.String())
	case apply.EventThrottled:
		return "waiting for " + show.Line(e.App.String()) + afterColon(e.Message)
	case apply.EventRecovering:
		return "settling what became of requests to " + show.Line(e.App.String()) + afterColon(e.Message)
	default:
		return ""
	}
}

// causeInBrackets is what a message says in brackets: which request, and what became of it.
var causeInBrackets = regexp.MustCompile(` \(.*\)`)

// shortNotice is noticeOf for a line that is cut at the terminal's width: the app once, and no cause.
func shortNotice(e apply.Event) string {
	app, message := show.Line(e.App.String()), show.Line(causeInBrackets.ReplaceAllString(e.Message, ""))
	switch e.Kind {
	case apply.EventListing:
		return "listing " + app
	case apply.EventThrottled:
		return app + " " + strings.TrimPrefix(message, "it ")
	default:
		return app + ": " + message
	}
}

func afterColon(message string) string {
	if message == "" {
		return ""
	}
	return ": " + show.Line(message)
}

// finishedLine is one agent's line: "+ cometchat/2754abc/concierge created, uid …".
func finishedLine(r apply.Result, s Style) string {
	sign := signOfStatus(r.Status)
	if r.Status == apply.StatusDone {
		sign = signOf(r.Action).outcomeSign
		r.Name = "" // the plan said it; there is a line for each agent of a fleet
	}
	line := s.paint(sign.ink, sign.symbol) + " " + resultLine(r)
	if r.Warning != "" {
		line += " (warning: " + show.Line(r.Warning) + ")"
	}
	return line
}

// redrawEvery is the pace of the live line: quicker would flicker and cost, slower would seem stuck.
const redrawEvery = 100 * time.Millisecond

// liveLine is the one line at the foot of a terminal. A goroutine redraws it, so that the clock goes on
// while a run waits; events only count.
type liveLine struct {
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
	pace     rateMeter
	apps     appLoads
	lastBad  string // the key of the agent that failed last
	drawn    string
}

func newLive(w io.Writer, s Style, total int) *liveLine {
	l := &liveLine{
		w: w, s: s, total: total, stop: make(chan struct{}), ended: make(chan struct{}),
		inFlight: map[agent.Address]bool{}, pace: rateMeter{start: time.Now()}, apps: appLoads{},
	}
	go l.run()
	return l
}

func (l *liveLine) run() {
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
func (l *liveLine) Close() {
	close(l.stop)
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write("")
}

func (l *liveLine) Event(e apply.Event) {
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
		l.waiting, l.waitedAt = shortNotice(e), time.Now()
	}
}

// finish counts a result. Why something failed is in the report at the end, and told once.
func (l *liveLine) finish(r apply.Result) {
	delete(l.inFlight, r.Address)
	l.done++
	l.pace.add(time.Now())
	if r.Status != apply.StatusDone {
		l.failed++
	}
	if r.Status == apply.StatusFailed || r.Status == apply.StatusUnknown {
		l.lastBad = r.Address.Key
	}
}

func (l *liveLine) draw(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	width := l.s.Width
	if l.s.Columns != nil { // somebody may have changed the window's size
		width = l.s.Columns()
	}
	l.write(show.ClipWidth(l.status(now), max(width-1, 1)))
}

// write puts the new live line out in one write, so that a terminal never shows a half-drawn state, and does nothing
// where nothing changed.
func (l *liveLine) write(status string) {
	if status == l.drawn {
		return
	}
	l.drawn = status
	_, _ = io.WriteString(l.w, "\r"+status+"\x1b[K")
}

// status is the live line: done, in flight, failed, what is waited for, rate and time left. What is new comes before
// what can be cut off.
func (l *liveLine) status(now time.Time) string {
	parts := []string{fmt.Sprintf("%s/%s done", diag.Count(l.done), diag.Count(l.total))}
	if n := len(l.inFlight); n > 0 {
		parts = append(parts, diag.Count(n)+" in flight")
	}
	if l.failed > 0 {
		failed := diag.Count(l.failed) + " failed"
		if l.lastBad != "" {
			failed += " (" + show.Line(l.lastBad) + ")"
		}
		parts = append(parts, failed)
	}
	if l.waiting != "" {
		parts = append(parts, l.waiting+" ("+durationText(now.Sub(l.waitedAt))+")")
	}
	if rate := l.pace.rate(now); rate > 0 {
		parts = append(parts, rateText(rate))
		if left, ok := l.apps.timeLeft(now, l.total-l.done); ok {
			parts = append(parts, "about "+durationText(left)+" left")
		}
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

// appLoad is what is known of one app's part of a run.
type appLoad struct {
	pace  rateMeter
	left  int
	bound float64 // what the platform lets through in a second, 0 for no bound
}

// appLoads are the apps of a run. They go on side by side and each at its own pace, so the run is over
// when the slowest is.
type appLoads map[agent.AppID]*appLoad

// of returns the app's load. Its pace counts from now on where it was not seen before.
func (l appLoads) of(id agent.AppID, now time.Time) *appLoad {
	if l[id] == nil {
		l[id] = &appLoad{pace: rateMeter{start: now}}
	}
	return l[id]
}

func (l appLoads) finished(e apply.Event, now time.Time) {
	app := l.of(e.App, now)
	app.pace.add(now)
	app.left, app.bound = e.Left, e.Rate
}

// timeLeft is how long the run will still go on, as far as its apps' paces say; it is false where one of
// them says nothing. left is how many agents the whole run has still to finish.
func (l appLoads) timeLeft(now time.Time, left int) (d time.Duration, known bool) {
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

// meterWindow is how far back the rate looks: long enough to be steady across a platform's pauses,
// short enough to follow when a limit sets in.
const meterWindow = 15

// firstRateAfter is how long a run must have gone on before a rate is said: the first answers come in a
// burst and promise too much.
const firstRateAfter = 2 * time.Second

// rateMeter measures how many agents are finished in a second, over the last paceWindow seconds. It keeps
// one number per second, however many agents there are.
type rateMeter struct {
	start   time.Time
	buckets [meterWindow]int
	last    int // the second, from start, that the newest bucket is for
}

// add counts one finished agent.
func (p *rateMeter) add(now time.Time) {
	p.roll(now)
	p.buckets[p.last%meterWindow]++
}

// roll moves on to the current second and empties the buckets that were passed over.
func (p *rateMeter) roll(now time.Time) {
	second := int(now.Sub(p.start) / time.Second)
	for steps := 0; p.last < second && steps < meterWindow; steps++ {
		p.last++
		p.buckets[p.last%meterWindow] = 0
	}
	p.last = max(p.last, second)
}

// rate returns agents per second, or 0 where it is too early to say. Only whole seconds count, so that
// it stands still between two of them instead of trembling with every redraw.
func (p *rateMeter) rate(now time.Time) float64 {
	p.roll(now)
	whole := min(p.last, meterWindow-1)
	if now.Sub(p.start) < firstRateAfter || whole == 0 {
		return 0
	}
	total := 0
	for back := 1; back <= whole; back++ {
		total += p.buckets[(p.last-back)%meterWindow]
	}
	return float64(total) / float64(whole)
}
