package httpx

import (
	"context"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace steers the requests of one app so that they stay within what the platform allows, as it says
// by 429 and 503 with Retry-After and by the headers that count what is left. A pause that one answer
// asks for holds all requests of the app, and after it they start one by one. It never sends a
// request again. It is safe for concurrent use.
type Pace struct {
	line chan struct{} // holds the one who watches

	mu       sync.Mutex
	tempo    tempo
	limiter  *rate.Limiter
	resume   time.Time     // nothing is sent before
	storm    int           // counts pauses; answers to requests sent before the last one are stale
	inFlight int           // sent and not yet answered
	sent     int           // requests so far
	left     int           // what is left, as the answers say, or unknown
	leftAt   int           // sent, when left was noted
	peak     int           // the most that were in flight
	idle     time.Time     // since when none is
	changed  chan struct{} // closed when a request is answered; nil where nobody waits for that
	silent   int           // pauses in a row that no success parted
}

const (
	// unknown is left where answers do not say.
	unknown = math.MaxInt
	// silentPause is how long an answer pauses the app that is throttled and does not say how long;
	// it doubles while nothing is let through.
	silentPause    = 500 * time.Millisecond
	maxSilentPause = 30 * time.Second
)

// NewPace returns a pace that sends at once until the platform sets a bound.
func NewPace() *Pace {
	return &Pace{
		line:    make(chan struct{}, 1),
		tempo:   newTempo(time.Now()),
		limiter: rate.NewLimiter(rate.Inf, 1),
		left:    unknown,
	}
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
	if t := p.tempo.settled(); t.bounded() {
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
	leave, err := r.pace.acquire(waiting(req.Context()))
	if err != nil {
		closeBody(req)
		return nil, unsent{err}
	}
	resp, err := r.next.RoundTrip(req)
	r.pace.release(leave, resp)
	return resp, err
}

// leave is the leave to send a request: the number of the storm that it belongs to, and its own.
type leave struct{ storm, number int }

// acquire waits for leave to send. Those who wait stand in line behind one who watches, so that a
// change of pace concerns one waiter and the end of a pause lets them go one by one.
func (p *Pace) acquire(ctx context.Context) (leave, error) {
	select {
	case p.line <- struct{}{}:
		defer func() { <-p.line }()
	case <-ctx.Done():
		return leave{}, context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if err := context.Cause(ctx); err != nil {
			return leave{}, err
		}
		if pause := time.Until(p.resume); pause > 0 {
			p.sleep(ctx, pause, nil)
			continue
		}
		p.tempo.settle()
		p.limiter.SetLimit(rate.Limit(p.tempo.rate))
		if p.inFlight > 0 && p.inFlight >= p.left {
			if p.changed == nil {
				p.changed = make(chan struct{})
			}
			p.sleep(ctx, 0, p.changed)
			continue
		}
		slot := p.limiter.Reserve()
		if delay := slot.Delay(); delay > 0 {
			slot.Cancel()
			p.sleep(ctx, delay, nil)
			continue
		}
		if p.inFlight == 0 && !p.idle.IsZero() {
			p.tempo.rest(p.idle, time.Now())
		}
		p.inFlight++
		p.sent++
		p.peak = max(p.peak, p.inFlight)
		return leave{p.storm, p.sent}, nil
	}
}

// sleep gives up mu for a duration, or until a channel closes, or until the context ends.
func (p *Pace) sleep(ctx context.Context, d time.Duration, until <-chan struct{}) {
	p.mu.Unlock()
	defer p.mu.Lock()
	var after <-chan time.Time
	if until == nil {
		timer := time.NewTimer(d)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-after:
	case <-until:
	case <-ctx.Done():
	}
}

// release takes note of an answer; resp is nil where none came, which says nothing about the pace.
func (p *Pace) release(l leave, resp *http.Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
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
		p.throttled(l.storm, resp.Header, now)
		return
	}
	p.tempo.pass(now)
	if l.storm == p.storm { // what an older answer says of the quota is no longer true
		p.silent = 0
		p.note(l, resp.Header, now)
	}
}

// note takes in what a granted answer says is left. Where nothing is and the window's end is known,
// waiting for it costs less than being refused; where it is not known, one request at a time asks.
func (p *Pace) note(l leave, h http.Header, now time.Time) {
	left, ok := remaining(h)
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
	interval := p.tempo.exhaust(now)
	if wait := reset(h, serverNow(h, now)); wait > 0 {
		p.pause(now, now.Add(wait))
	} else if interval > 0 {
		p.resume = now.Add(interval)
	}
}

func (p *Pace) throttled(storm int, h http.Header, now time.Time) {
	wait := RetryAfter(h, now)
	if wait == 0 {
		wait = min(maxSilentPause, silentPause<<min(p.silent, 10))
	}
	resume := now.Add(wait)
	if storm == p.storm { // the first answer of a storm tells; the rest were sent before it came
		p.silent++
		p.pause(now, resume)
		return
	}
	if RetryAfter(h, now) > 0 && resume.After(p.resume) {
		p.resume = resume
	}
}

// pause holds all requests until resume and lowers the rate.
func (p *Pace) pause(now, resume time.Time) {
	p.storm++
	p.left = unknown
	p.resume = resume
	p.tempo.throttle(now, resume)
}
