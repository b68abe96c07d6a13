package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/httpx"
)

// answers is a transport that gives its answers one after the other.
type answers struct {
	mu   sync.Mutex
	list []http.Response
	at   []time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = append(a.at, time.Now())
	resp := a.list[min(len(a.at), len(a.list))-1]
	resp.Body = http.NoBody
	return &resp, nil
}

func answer(status int, header ...string) http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return http.Response{StatusCode: status, Header: h}
}

func TestPauseHoldsTheWholeApp(t *testing.T) {
	for name, first := range map[string]http.Response{
		"seconds":   answer(429, "Retry-After", "7"),
		"503":       answer(503, "Retry-After", "7"),
		"reset":     answer(429, "X-Rate-Limit-Reset", "946684807"), // 2000-01-01, when the bubble's time begins
		"none left": answer(200, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "946684807"),
		"date":      answer(429, "Retry-After", "Sat, 01 Jan 2000 00:00:07 GMT"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{list: []http.Response{first, answer(200)}}
				pace := httpx.NewPace()
				rt := pace.Wrap(a)
				send := func() {
					if _, err := rt.RoundTrip(request(t.Context())); err != nil {
						t.Error(err)
					}
				}
				start := time.Now()
				send()
				if s := pace.State(); s.Pause != 7*time.Second || s.InFlight != 0 {
					t.Errorf("state %+v", s)
				}
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(send)
				}
				wg.Wait()
				for i, at := range a.at[1:] {
					if at.Sub(start) < 7*time.Second {
						t.Errorf("request %d left after %v", i+2, at.Sub(start))
					}
					if i > 0 && at.Equal(a.at[i]) {
						t.Errorf("requests %d and %d left together: a stampede", i+1, i+2)
					}
				}
				if s := pace.State(); s.Rate == 0 || s.Pause != 0 {
					t.Errorf("state afterwards %+v", s)
				}
			})
		})
	}
}

// A platform that is busy when the first request comes has not said how much it allows later.
func TestFirstRefusalIsNoMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{list: []http.Response{answer(429, "Retry-After", "30"), answer(200)}}
		rt := httpx.NewPace().Wrap(a)
		start := time.Now()
		for range 1000 {
			if _, err := rt.RoundTrip(request(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("1000 requests took %v, of which the pause was 30s", took)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{list: []http.Response{answer(429, "Retry-After", "600"), answer(200)}}
		rt := httpx.NewPace().Wrap(a)
		if _, err := rt.RoundTrip(request(t.Context())); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := rt.RoundTrip(request(ctx)); !httpx.NeverSent(err) ||
					!errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if len(a.at) != 1 {
			t.Errorf("%d requests left", len(a.at))
		}
	})
}

func request(ctx context.Context) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://platform.test/", nil)
	if err != nil {
		panic(err) // the URL is a constant
	}
	return req
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		header []string
		want   time.Duration
	}{
		{nil, 0},
		{[]string{"Retry-After", "2"}, 2 * time.Second},
		{[]string{"Retry-After", " 1.5 "}, 1500 * time.Millisecond},
		{[]string{"Retry-After", "-3"}, 0},
		{[]string{"Retry-After", "NaN"}, 0},
		{[]string{"Retry-After", "1e300"}, 10_000 * time.Hour},
		{[]string{"Retry-After", "1767323048"}, 3 * time.Second},
		{[]string{"Retry-After", "1767323048000"}, 3 * time.Second},
		{[]string{"Retry-After", "2026-01-02T03:04:08Z"}, 3 * time.Second},
		{[]string{"X-Rate-Limit-Reset", "1767323048500"}, 3500 * time.Millisecond},
		{[]string{"X-Rate-Limit-Reset", "Fri, 02 Jan 2026 03:04:09 GMT"}, 4 * time.Second},
		{[]string{"X-Rate-Limit-Reset", "2026-01-02T04:04:05+01:00"}, 0},
		{[]string{"Retry-After", "soon"}, 0},
		{[]string{"Retry-After", "soon", "X-Rate-Limit-Reset", "9"}, 9 * time.Second},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 03:04:09 GMT"}, 4 * time.Second},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 03:04:00 GMT"}, 0},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 05:00:04 GMT", "Date", "Fri, 02 Jan 2026 05:00:00 GMT"},
			4 * time.Second},
		// Numbers are seconds up to three years, Unix seconds up to the year 5138, and Unix milliseconds.
		{[]string{"Retry-After", "99999999"}, 10_000 * time.Hour},
		{[]string{"Retry-After", "100000000"}, 0},
		{[]string{"Retry-After", "100000001"}, 0},
		{[]string{"Retry-After", "99999999999"}, 10_000 * time.Hour},
		{[]string{"Retry-After", "100000000000"}, 0},
		{[]string{"Retry-After", "100000000001"}, 0},
		{[]string{"Retry-After", "35999999"}, 10_000*time.Hour - time.Second},
		{[]string{"Retry-After", "36000000"}, 10_000 * time.Hour},
		{[]string{"Retry-After", "36000001"}, 10_000 * time.Hour},
		// By its own clock the answer says 4 seconds; one that is two seconds off counts as ours.
		{[]string{"Retry-After", "Fri, 02 Jan 2026 03:04:10 GMT", "Date", "Fri, 02 Jan 2026 03:04:06 GMT"},
			5 * time.Second},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 03:04:11 GMT", "Date", "Fri, 02 Jan 2026 03:04:07 GMT"},
			6 * time.Second},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 03:04:12 GMT", "Date", "Fri, 02 Jan 2026 03:04:08 GMT"},
			4 * time.Second},
		{[]string{"X-Rate-Limit-Reset", "1767323048"}, 3 * time.Second},
		{[]string{"X-RateLimit-Reset", "1767323000"}, 0},
		{[]string{"Retry-After", "5", "X-Rate-Limit-Reset", "1767323999"}, 5 * time.Second},
	} {
		t.Run(strings.Join(c.header, " "), func(t *testing.T) {
			resp := answer(429, c.header...)
			if got := httpx.RetryAfter(resp.Header, now); got != c.want {
				t.Errorf("%v: %v, want %v", c.header, got, c.want)
			}
		})
	}
}

// A platform that asks for longer than MaxWait, or lets nothing through for so long, fails what waits at once: all
// of it, also what comes later, and with what it said.
func TestWaitsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		answers []http.Response
		after   time.Duration // when the ten give up
		says    string
	}{
		"Retry-After": {[]http.Response{answer(429, "Retry-After", "3600")}, 0,
			"1h0m0s, and more than 15m0s is not waited; it answered 429 Too Many Requests, Retry-After: 3600"},
		"503": {[]http.Response{answer(503, "Retry-After", "901")}, 0,
			"15m1s, and more than 15m0s is not waited; it answered 503 Service Unavailable, Retry-After: 901"},
		"reset": {[]http.Response{answer(429, "X-Rate-Limit-Reset", "946688400")}, 0, "1h0m0s, and"},
		"pause on pause": {[]http.Response{answer(429, "Retry-After", "600")}, 10 * time.Minute,
			"let nothing through for 10m0s; it answered 429 Too Many Requests, Retry-After: 600"},
		"without a word": {[]http.Response{answer(429)}, 15*time.Minute - 28500*time.Millisecond,
			"let nothing through for 14m32s; it answered 429 Too Many Requests without a Retry-After"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{list: c.answers}
				rt := httpx.NewPace().Wrap(a)
				start := time.Now()
				var wg sync.WaitGroup
				var last atomic.Value
				for i := range 10 {
					wg.Go(func() {
						for { // as apply does
							if _, err := rt.RoundTrip(request(t.Context())); err != nil {
								if !httpx.NeverSent(err) || !errors.Is(err, httpx.ErrWaitTooLong) ||
									!strings.Contains(err.Error(), c.says) {
									t.Errorf("%d: %v, want one that says %q", i, err, c.says)
								}
								last.Store(err.Error())
								return
							}
						}
					})
				}
				wg.Wait()
				if took := time.Since(start); took.Round(time.Second) != c.after.Round(time.Second) {
					t.Errorf("the last gave up after %v, want %v: %v", took, c.after, last.Load())
				}
			})
		})
	}
}

// Up to the bound is waited, and not a second longer; what is let through in between begins the count anew.
func TestWaitsUpToTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{list: []http.Response{
			answer(429, "Retry-After", "900"), answer(200), answer(429, "Retry-After", "500"),
			answer(429, "Retry-After", "399"), answer(200),
		}}
		rt := httpx.NewPace().Wrap(a)
		start := time.Now()
		for range 5 {
			if _, err := rt.RoundTrip(request(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 1799*time.Second || took > 1810*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A request that waits for a short pause learns of the long one that an answer on its way asks for.
func TestWaitsInLineLearnOfALongerPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := httpx.NewPace()
		slow := make(chan http.Response)
		late := pace.Wrap(roundTrips(func(*http.Request) (*http.Response, error) { r := <-slow; return &r, nil }))
		soon := pace.Wrap(&answers{list: []http.Response{answer(429, "Retry-After", "600")}})
		go func() { _, _ = late.RoundTrip(request(t.Context())) }()
		synctest.Wait()
		if _, err := soon.RoundTrip(request(t.Context())); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		time.AfterFunc(time.Minute, func() { slow <- answer(429, "Retry-After", "3600") })
		_, err := soon.RoundTrip(request(t.Context()))
		if !errors.Is(err, httpx.ErrWaitTooLong) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// A granted answer that counts in another unit, or for a whole day, does not stop an app.
func TestAFarResetOfAGrantedAnswerIsAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{list: []http.Response{answer(200, "X-Rate-Limit-Remaining", "0", "X-Rate-Limit-Reset", "36000"),
			answer(200)}}
		rt := httpx.NewPace().Wrap(a)
		start := time.Now()
		for range 3 {
			if _, err := rt.RoundTrip(request(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Each pause of more than three seconds is told once, however many wait for it, with what the platform said.
func TestPausesAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{list: []http.Response{
			answer(429, "Retry-After", "7"), answer(200), answer(429, "Retry-After", "3"),
			answer(429, "Retry-After", "30"), answer(200),
		}}
		pace := httpx.NewPace()
		var told []string
		o := options(t, "http://platform.test")
		o.Pace, o.Waiting = pace, func(w httpx.Wait) {
			told = append(told,
				fmt.Sprintf("%v: %s", w.For, w.Reason))
			pace.State()
		}
		client(t, o)
		rt := pace.Wrap(a)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := rt.RoundTrip(request(t.Context())); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want := []string{"7s: 429 Too Many Requests, Retry-After: 7", "30s: 429 Too Many Requests, Retry-After: 30"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
