package sandbox

import (
	"strconv"
	"sync"
	"time"

	"agentsync/internal/sandbox/reply"
)

// rateWindow is how far one app is in its current window.
type rateWindow struct {
	ends time.Time
	used int
}

// rateLimiter counts the requests of each app against the limit.
type rateLimiter struct {
	RateLimit

	mu   sync.Mutex // guards apps
	apps map[appKey]*rateWindow
}

// rateQuota is what is left of an app's limit after a request.
type rateQuota struct {
	over      bool
	remaining int
	ends      time.Time
}

// countRequest counts one request.
func (l *rateLimiter) countRequest(key appKey, now time.Time) rateQuota {
	if l.Requests == 0 {
		return rateQuota{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.apps[key]
	if w == nil || !now.Before(w.ends) {
		w = &rateWindow{ends: now.Add(l.Per)}
		l.apps[key] = w
	}
	if w.used == l.Requests {
		return rateQuota{over: true, ends: w.ends}
	}
	w.used++
	return rateQuota{remaining: l.Requests - w.used, ends: w.ends}
}

// setHeaders puts the limit's headers on an answer, as far as the platform's documents have them.
func (l *rateLimiter) setHeaders(a *reply.Answer, d *dialect, q rateQuota, now time.Time) {
	if l.Requests == 0 || l.Quiet {
		return
	}
	if d.rateHeaders {
		a.Set("X-Rate-Limit", strconv.Itoa(l.Requests))
		a.Set("X-Rate-Limit-Remaining", strconv.Itoa(q.remaining))
	}
	if !q.over {
		return
	}
	a.Set("Retry-After", strconv.Itoa(wholeSeconds(q.ends.Sub(now))))
	if d.rateHeaders {
		a.Set("X-Rate-Limit-Reset", strconv.FormatInt(q.ends.Add(time.Second-1).Unix(), 10))
	}
}

// wholeSeconds rounds up, so that who waits that long waits long enough.
func wholeSeconds(d time.Duration) int {
	return int((max(d, 0) + time.Second - 1) / time.Second)
}

// tooMany is the refusal of a request over the limit.
func tooMany() *reply.Problem {
	return reply.Refused(429, "ERR_TOO_MANY_REQUESTS", "too many requests")
}
