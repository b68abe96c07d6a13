package httpx_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
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
		a := &answers{list: []http.Response{answer(429, "Retry-After", "3600"), answer(200)}}
		rt := httpx.NewPace().Wrap(a)
		if _, err := rt.RoundTrip(request(t.Context())); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := rt.RoundTrip(request(ctx)); !httpx.NeverSent(err) || !errors.Is(err, context.DeadlineExceeded) {
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
		{[]string{"Retry-After", "1e300"}, time.Hour},
		{[]string{"Retry-After", "soon"}, 0},
		{[]string{"Retry-After", "soon", "X-Rate-Limit-Reset", "9"}, 9 * time.Second},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 03:04:09 GMT"}, 4 * time.Second},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 03:04:00 GMT"}, 0},
		{[]string{"Retry-After", "Fri, 02 Jan 2026 05:00:04 GMT", "Date", "Fri, 02 Jan 2026 05:00:00 GMT"}, 4 * time.Second},
		{[]string{"X-Rate-Limit-Reset", "1767323048"}, 3 * time.Second},
		{[]string{"X-RateLimit-Reset", "1767323000"}, 0},
		{[]string{"Retry-After", "5", "X-Rate-Limit-Reset", "1767323999"}, 5 * time.Second},
	} {
		resp := answer(429, c.header...)
		if got := httpx.RetryAfter(resp.Header, now); got != c.want {
			t.Errorf("%v: %v, want %v", c.header, got, c.want)
		}
	}
}
