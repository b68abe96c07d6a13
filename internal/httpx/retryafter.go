package httpx

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds how long an answer can make an app wait.
const maxRetryAfter = time.Hour

// clockSkew is how far two clocks may be apart and still be taken as one.
const clockSkew = 2 * time.Second

// deltaBelow parts a reset that is given in seconds from now from one in Unix seconds.
const deltaBelow = 1e8

// Throttled reports whether an answer says that the request was not processed because there were
// too many: status 429, and 503 with a Retry-After.
func Throttled(status int, h http.Header) bool {
	return status == http.StatusTooManyRequests ||
		status == http.StatusServiceUnavailable && strings.TrimSpace(h.Get("Retry-After")) != ""
}

// RetryAfter returns how long the answer asks to wait: Retry-After in seconds or as an HTTP date,
// else X-Rate-Limit-Reset. It is 0 where the answer does not say or says the past, and an hour at
// the most. Dates are measured against the answer's own Date where the
// caller's clock is far from it.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	now = serverNow(h, now)
	if v := strings.TrimSpace(h.Get("Retry-After")); v != "" {
		if seconds, err := strconv.ParseFloat(v, 64); err == nil {
			return bounded(seconds)
		}
		if at, err := http.ParseTime(v); err == nil {
			return bounded(at.Sub(now).Seconds())
		}
	}
	return reset(h, now)
}

// reset returns how long until the limit's window starts again, or 0 where the answer does not say.
func reset(h http.Header, now time.Time) time.Duration {
	v, ok := number(h, "X-Rate-Limit-Reset", "X-Ratelimit-Reset")
	if !ok {
		return 0
	}
	if v < deltaBelow {
		return bounded(v)
	}
	return bounded(v - float64(now.UnixMilli())/1000)
}

// remaining returns how many requests the answer says are left, and whether it says.
func remaining(h http.Header) (int, bool) {
	v, ok := number(h, "X-Rate-Limit-Remaining", "X-Ratelimit-Remaining")
	return int(min(v, math.MaxInt32)), ok
}

// number reads the first of the headers that is there as a number that is not negative. Names are in the
// canonical form of net/http.
func number(h http.Header, names ...string) (float64, bool) {
	for _, name := range names {
		text := strings.TrimSpace(h.Get(name))
		if text == "" {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err == nil && v >= 0 && !math.IsInf(v, 0) {
			return v, true
		}
	}
	return 0, false
}

// serverNow is the answer's Date where it has one and the caller's clock is far from it. Where they
// agree the caller's is the better, for a Date has whole seconds.
func serverNow(h http.Header, now time.Time) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil && at.Sub(now).Abs() > clockSkew {
		return at
	}
	return now
}

func bounded(seconds float64) time.Duration {
	if !(seconds > 0) { // NaN as well
		return 0
	}
	return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
}
