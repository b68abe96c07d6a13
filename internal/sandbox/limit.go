package sandbox

import (
	"strconv"
	"sync"
	"time"
)

// limit is a rate limit of n requests per app in each window; no limit where n is 0.
type limit struct {
	n     int
	per   time.Duration
	quiet bool
}

// window is how far one app is in its current window.
type window struct {
	ends time.Time
	used int
}

// limiter counts the requests of each app against the limit.
type limiter struct {
	limit

	mu   sync.Mutex // guards apps
	apps map[appKey]*window
}

// quota is what is left of an app's limit after a request.
type quota struct {
	over      bool
	remaining int
	ends      time.Time
}

// take counts one request.
func (l *limiter) take(key appKey, now time.Time) quota {
	if l.n == 0 {
		return quota{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.apps[key]
	if w == nil || !now.Before(w.ends) {
		w = &window{ends: now.Add(l.per)}
		l.apps[key] = w
	}
	if w.used == l.n {
		return quota{over: true, ends: w.ends}
	}
	w.used++
	return quota{remaining: l.n - w.used, ends: w.ends}
}

// announce puts the limit's headers on an answer, as far as the platform's documents have them.
func (l *limiter) announce(a *answer, d *dialect, q quota, now time.Time) {
	if l.n == 0 || l.quiet {
		return
	}
	if d.rateHeaders {
		a.set("X-Rate-Limit", strconv.Itoa(l.n))
		a.set("X-Rate-Limit-Remaining", strconv.Itoa(q.remaining))
	}
	if !q.over {
		return
	}
	a.set("Retry-After", strconv.Itoa(wholeSeconds(q.ends.Sub(now))))
	if d.rateHeaders {
		a.set("X-Rate-Limit-Reset", strconv.FormatInt(q.ends.Add(time.Second-1).Unix(), 10))
	}
}

// wholeSeconds rounds up, so that who waits that long waits long enough.
func wholeSeconds(d time.Duration) int {
	return int((max(d, 0) + time.Second - 1) / time.Second)
}

// tooMany is the refusal of a request over the limit.
func tooMany() *problem {
	return refused(429, "ERR_TOO_MANY_REQUESTS", "too many requests")
}
