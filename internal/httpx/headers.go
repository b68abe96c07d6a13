package httpx

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxWait bounds how long an answer can make an app wait, and how long an app waits without anything being let
// through. Beyond it what waits fails at once, see ErrWaitTooLong.
const MaxWait = 15 * time.Minute

// clockSkew is how far two clocks may be apart and still be taken as one.
const clockSkew = 2 * time.Second

// A number in a header is a time from now in seconds below secondsFrom (3 years), Unix seconds below millisFrom
// (the year 5138), and Unix milliseconds from there on.
const (
	secondsFrom = 1e8
	millisFrom  = 1e11
)

// longest keeps what a header says within what a time.Duration can say.
const longest = 10_000 * time.Hour

// Throttled reports whether an answer says that the request was not processed because there were
// too many: status 429, and 503 with a Retry-After.
func Throttled(status int, h http.Header) bool {
	return status == http.StatusTooManyRequests ||
		status == http.StatusServiceUnavailable && strings.TrimSpace(h.Get("Retry-After")) != ""
}

// RetryAfter returns how long the answer asks to wait: Retry-After, else X-Rate-Limit-Reset, either of them in
// seconds from now, Unix seconds, Unix milliseconds, or as a date. It is 0 where the answer does not say or says
// the past, and not bounded by MaxWait. Times are measured against the answer's own Date where the caller's clock is
// far from it.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	now = serverNow(h, now)
	if wait, ok := untilTime(h.Get("Retry-After"), now); ok {
		return wait
	}
	return untilReset(h, now)
}

// untilReset returns how long until the limit's window starts again, or 0 where the answer does not say.
func untilReset(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"X-Rate-Limit-Reset", "X-Ratelimit-Reset"} {
		if wait, ok := untilTime(h.Get(name), now); ok {
			return wait
		}
	}
	return 0
}

// untilTime reads a time in a header as how long it is from now on, 0 for the past. It reports whether it could.
func untilTime(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		at, err := http.ParseTime(text)
		if err != nil {
			at, err = time.Parse(time.RFC3339, text)
		}
		return min(max(at.Sub(now), 0), longest), err == nil
	case math.IsNaN(v) || v < 0:
		return 0, false
	case v >= millisFrom:
		v = (v - float64(now.UnixMilli())) / 1000
	case v >= secondsFrom:
		v -= float64(now.UnixMilli()) / 1000
	}
	return time.Duration(min(max(v, 0), longest.Seconds()) * float64(time.Second)), true
}

// remainingRequests returns how many requests the answer says are left, and whether it says.
func remainingRequests(h http.Header) (int, bool) {
	for _, name := range []string{"X-Rate-Limit-Remaining", "X-Ratelimit-Remaining"} {
		v, err := strconv.ParseFloat(strings.TrimSpace(h.Get(name)), 64)
		if err == nil && v >= 0 && !math.IsInf(v, 0) {
			return int(min(v, math.MaxInt32)), true
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
