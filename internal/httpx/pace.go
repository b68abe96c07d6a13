package httpx

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace steers the requests of one app so that they stay within what the platform allows, as it says
// by 429 and 503 with Retry-After and by the headers that count what is left. A pause that one answer
// asks for holds all requests of the app, and after it they start one by one. What a wait may cost is bounded:
// see ErrWaitTooLong. It never sends a request again. It is safe for concurrent use.
type Pace struct {
	line chan struct{} // holds the one who watches

	mu       sync.Mutex
	learnt   learntRate
	limiter  *rate.Limiter
	resume   time.Time     // nothing is sent before
	since    time.Time     // when the pauses began that nothing has been let through since; zero outside of them
	asked    string        // what the answer said that paused the app last
	waiting  func(Wait)    // nil tells nobody
	storm    int           // counts pauses; answers to requests sent before the last one are stale
	inFlight int           // sent and not yet answered
	sent     int           // requests so far
	left     int           // what is left, as the answers say, or unknown
	leftAt   int           // sent, when left was noted
	peak     int           // the most that were in flight
	idle     time.Time     // since when none is
	changed  chan struct{} // closed when a request is answered; nil where nobody waits
	silent   int           // pauses in a row that no success parted
}

const (
	// unknown is left where answers do not say.
	unknown = math.MaxInt
	// silentPause is how long an answer pauses the app that is throttled and does not say how long;
	// it doubles while nothing is let through.
	silentPause    = 500 * time.Millisecond
	maxSilentPause = 30 * time.Second
	// shortWait is how long a pause may be without anybody being told.
	shortWait = 3 * time.Second
)

// Wait is a pause of an app that somebody may want to know of.
type Wait struct {
	// For is how long nothing is sent from now on.
	For time.Duration
	// Reason is what the platform said: "429 Too Many Requests, Retry-After: 30".
	Reason string
}

// ErrWaitTooLong matches the error of a request that was not sent because the platform asks to wait for longer
// than MaxWait, or has let nothing through for so long. All that wait in line get it at once.
var ErrWaitTooLong = errors.New("the platform asks to wait for too long")

// NewPace returns a pace that sends at once until the platform sets a bound.
func NewPace() *Pace {
	return &Pace{
		line:    make(chan struct{}, 1),
		learnt:  newLearntRate(time.Now()),
		limiter: rate.NewLimiter(rate.Inf, 1),
		left:    unknown,
	}
}

// tellWaits says who is told of long pauses.
func (p *Pace) tellWaits(waiting func(Wait)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = waiting
}

// State is how fast an app's requests may go right now, for a person to see.
type State struct {
	// Rate is in requests a second, during a pause the one after it, and 0 where the platform has set no
	// bound yet.
	Rate float64
	// Pause is how much longer nothing is sent, 0 where nothing holds requests back.
	Pause time.Duration
	// InFlight is how many requests are sent and not yet answered.
	InFlight int
}

// State returns the pace as it is now.
func (p *Pace) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{Pause: max(0, time.Until(p.resume)), InFlight: p.inFlight}
	if t := p.learnt.afterPause(); t.bounded() {
		s.Rate = t.rate
	}
	return s
}

// Wrap returns next with its requests sent at this pace. A request whose context ends while it waits
// is not sent, and NeverSent says so of its error.
func (p *Pace) Wrap(next http.RoundTripper) http.RoundTripper { return &paced{p, next} }

type paced struct {
	pace *Pace
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (r *paced) RoundTrip(req *http.Request) (*http.Response, error) {
	granted, err := r.pace.waitForPermit(waitingContext(req.Context()))
	if err != nil {
		closeBody(req)
		return nil, unsent{err}
	}
	resp, err := r.next.RoundTrip(req)
	r.pace.release(granted, resp)
	return resp, err
}

// permit lets one request be sent: the number of the storm that it belongs to, and its own.
type permit struct{ storm, number int }

// waitForPermit waits until a request may be sent. Those who wait stand in line behind one who watches, so that a
// change of pace concerns one waiter and the end of a pause lets them go one by one.
func (p *Pace) waitForPermit(ctx context.Context) (permit, error) {
	select {
	case p.line <- struct{}{}:
		defer func() { <-p.line }()
	case <-ctx.Done():
		return permit{}, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if err := context.Cause(ctx); err != nil {
			return permit{}, err
		}
		if pause := time.Until(p.resume); pause > 0 {
			// Not after the wait but before it: beyond the bound there is no use in waiting for any part of it.
			if err := p.tooLong(); err != nil {
				return permit{}, err
			}
			p.waitForChange(ctx, pause)
			continue
		}
		p.learnt.endPause()
		p.limiter.SetLimit(rate.Limit(p.learnt.rate))
		if p.inFlight > 0 && p.inFlight >= p.left {
			p.waitForChange(ctx, 0) // until one of them is answered
			continue
		}
		slot := p.limiter.Reserve()
		if delay := slot.Delay(); delay > 0 {
			slot.Cancel()
			p.waitForChange(ctx, delay)
			continue
		}
		if p.inFlight == 0 && !p.idle.IsZero() {
			p.learnt.noteIdle(p.idle, time.Now())
		}
		p.inFlight++
		p.sent++
		p.peak = max(p.peak, p.inFlight)
		return permit{p.storm, p.sent}, nil
	}
}

// tooLong returns an error where the pause goes beyond MaxWait, counted from the last request that was let through.
// The caller holds mu.
func (p *Pace) tooLong() error {
	if p.since.IsZero() || p.resume.Sub(p.since) <= MaxWait {
		return nil
	}
	if pause := time.Until(p.resume); pause > MaxWait {
		return fmt.Errorf("%w: %v, and more than %v is not waited; it answered %s", ErrWaitTooLong,
			pause.Round(time.Second), MaxWait, p.asked)
	}
	return fmt.Errorf("%w: it has let nothing through for %v; it answered %s", ErrWaitTooLong,
		time.Since(p.since).Round(time.Second), p.asked)
}

// waitForChange gives up mu until a request is answered, the context ends, or d has passed, where it is not 0: an
// answer can change how long there is to wait.
func (p *Pace) waitForChange(ctx context.Context, d time.Duration) {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	var after <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-after:
	case <-changed:
	case <-ctx.Done():
	}
}

// release takes note of an answer; resp is nil where none came, which says nothing about the pace. A pause that
// the answer brought about is told when mu is free again.
func (p *Pace) release(l permit, resp *http.Response) {
	p.mu.Lock()
	before := p.resume
	p.learnFrom(l, resp)
	wait, tell := Wait{time.Until(p.resume), p.asked}, p.waiting
	if tell == nil || p.resume.Sub(before) <= shortWait || wait.For <= shortWait || p.tooLong() != nil {
		tell = func(Wait) {}
	}
	p.mu.Unlock()
	tell(wait)
}

// learnFrom is release for a caller that holds mu.
func (p *Pace) learnFrom(l permit, resp *http.Response) {
	p.inFlight-- // also where no answer came: or those that wait for it would wait for ever
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
	now := time.Now()
	p.idle = now // of use where none is in flight any more
	if resp == nil {
		return
	}
	if Throttled(resp.StatusCode, resp.Header) {
		p.noteThrottled(l.storm, resp, now)
		return
	}
	p.learnt.noteGranted(now)
	// Only an answer to a request that left after the last pause ends the count of pauses: one that was on its way
	// before says nothing of whether the platform lets anything through now.
	if l.storm == p.storm { // what an older answer says of the quota is no longer true
		p.silent, p.since = 0, time.Time{}
		p.noteLeft(l, resp, now)
	}
}

// noteLeft takes in what a granted answer says is left. Where nothing is and the window's end is known,
// waiting for it costs less than being refused; where it is not known, one request at a time asks.
//
// An end that is further away than MaxWait is not believed of an answer that was granted: the next request asks,
// and a refusal says how long in so many words.
func (p *Pace) noteLeft(l permit, resp *http.Response, now time.Time) {
	h := resp.Header
	left, ok := remainingRequests(h)
	if !ok {
		p.left = unknown
		return
	}
	// Answers overtake each other: from one that was on its way when left was noted only less is news, or so
	// much more that the quota was renewed.
	if left < p.left || l.number > p.leftAt || left-p.left > p.peak {
		p.left, p.leftAt = left, p.sent
	}
	if left > 0 {
		return
	}
	interval := p.learnt.noteNoneLeft(now)
	if wait := untilReset(h, serverNow(h, now)); wait > 0 && wait <= MaxWait {
		p.pauseUntil(resp, now, now.Add(wait))
	} else if interval > 0 {
		p.resume = now.Add(interval)
	}
}

func (p *Pace) noteThrottled(storm int, resp *http.Response, now time.Time) {
	asked := RetryAfter(resp.Header, now)
	wait := asked
	if wait == 0 {
		wait = min(maxSilentPause, silentPause<<min(p.silent, 10))
	}
	resume := now.Add(wait)
	if storm == p.storm { // the first answer of a storm tells; the rest were sent before it came
		p.silent++
		p.pauseUntil(resp, now, resume)
		return
	}
	if asked > 0 && resume.After(p.resume) {
		p.resume, p.asked = resume, quoteWait(resp)
	}
}

// pauseUntil holds all requests until resume and lowers the rate.
func (p *Pace) pauseUntil(resp *http.Response, now, resume time.Time) {
	if p.since.IsZero() {
		p.since = now // the bound counts from the first pause of a row, or pause after pause would add up
	}
	p.asked = quoteWait(resp)
	p.storm++
	p.left = unknown
	p.resume = resume
	p.learnt.notePause(now, resume)
}

// quoteWait is what an answer says of how long to wait, for a person: "429 Too Many Requests, Retry-After: 30".
func quoteWait(resp *http.Response) string {
	said := strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	for _, name := range []string{"Retry-After", "X-Rate-Limit-Reset", "X-Ratelimit-Reset"} {
		if v := resp.Header.Get(name); v != "" {
			return said + ", " + name + ": " + v
		}
	}
	return said + " without a Retry-After"
}

// detachedKey is the key of the context that ends the waiting of a request that is detached from it.
type detachedKey struct{}

// Detach returns a context for a request that must not be cut short once it has left: the end of ctx
// does not end it, but it ends its waiting for the pace, and the request is then not sent.
func Detach(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), detachedKey{}, ctx)
}

// waitingContext returns the context that ends a request's waiting for the pace.
func waitingContext(ctx context.Context) context.Context {
	if from, ok := ctx.Value(detachedKey{}).(context.Context); ok {
		return from
	}
	return ctx
}
