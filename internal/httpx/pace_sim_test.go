package httpx

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// limited is a platform that allows perSecond requests a second, on the bubble's clock.
type limited struct {
	perSecond float64
	burst     float64       // tokens that a quiet time saves up; 0 counts by whole seconds instead
	latency   time.Duration // of each answer
	announce  bool          // rate headers and Retry-After, or nothing but 429s

	mu      sync.Mutex
	tokens  float64
	last    time.Time
	granted int
	denied  int
}

func (l *limited) RoundTrip(*http.Request) (*http.Response, error) {
	l.mu.Lock()
	ok, left := l.take(time.Now())
	l.mu.Unlock()
	time.Sleep(l.latency)
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}
	if l.announce {
		resp.Header.Set("X-Rate-Limit-Remaining", strconv.Itoa(left))
	}
	if !ok {
		resp.StatusCode = 429
		if l.announce {
			resp.Header.Set("Retry-After", "1")
		}
	}
	return resp, nil
}

func (l *limited) take(now time.Time) (ok bool, left int) {
	switch {
	case l.burst > 0:
		l.tokens = min(l.burst, l.tokens+now.Sub(l.last).Seconds()*l.perSecond)
	case now.Truncate(time.Second).After(l.last.Truncate(time.Second)):
		l.tokens = l.perSecond
	}
	l.last = now
	if l.tokens < 1 {
		l.denied++
		return false, 0
	}
	l.tokens--
	l.granted++
	return true, int(l.tokens)
}

// drive sends n requests with the given number in flight, asking again for what was throttled, and
// returns how long it took.
func drive(t *testing.T, rt http.RoundTripper, n, inFlight int) time.Duration {
	t.Helper()
	start := time.Now()
	send := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://platform.test/", nil)
		if err != nil {
			return nil, err
		}
		return rt.RoundTrip(req)
	}
	if _, err := send(); err != nil { // the list that comes before the creates
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(inFlight)
	for range n {
		g.Go(func() error {
			for range 1000 {
				resp, err := send()
				if err != nil {
					return err
				}
				if resp.StatusCode == http.StatusOK {
					return nil
				}
			}
			return errors.New("throttled a thousand times")
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// The bounds are how much longer than the limit allows it may take, and what share of requests may be
// refused. Time is the bubble's, so they hold on any machine; ties between answers are broken at random.
func TestPaceFindsTheLimit(t *testing.T) {
	for _, limit := range []float64{20, 160} {
		n := int(limit * 60)
		for _, window := range []bool{true, false} {
			for _, announce := range []bool{true, false} {
				for _, inFlight := range []int{10, 64} {
					name := fmt.Sprintf("limit=%v/window=%v/announce=%v/inflight=%d", limit, window, announce, inFlight)
					t.Run(name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							l := &limited{perSecond: limit, latency: 20 * time.Millisecond, announce: announce}
							if !window {
								l.burst = limit
								l.tokens = limit
							}
							pace := NewPace()
							took := drive(t, pace.Wrap(l), n, inFlight)
							slower := took.Seconds() / (math.Ceil(float64(n)/limit) - 1)
							denied := float64(l.denied) / float64(l.denied+l.granted)
							maxSlower, maxDenied := 1.15, 0.05
							if !announce {
								maxSlower, maxDenied = 1.3, 0.1
							}
							t.Logf("%.2f times the limit's time, %.1f%% refused, rate %.1f", slower, 100*denied,
								pace.State().Rate)
							if slower > maxSlower || denied > maxDenied {
								t.Errorf("more than %v times or %v%%", maxSlower, 100*maxDenied)
							}
						})
					})
				}
			}
		}
	}
}

// TestAPauseBeforeTheFirstWritesSaysNothingOfTheRate lets a person think between the list and the creates.
func TestAPauseBeforeTheFirstWritesSaysNothingOfTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limited{perSecond: 20, latency: 20 * time.Millisecond, announce: true}
		pace := NewPace()
		rt := pace.Wrap(l)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://platform.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rt.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		const n = 400
		if took := drive(t, rt, n, 10); took > n/20*1150*time.Millisecond {
			t.Errorf("%d requests took %v at 20 a second", n, took)
		}
	})
}

// stalling is a caller whose machine stands still now and then.
type stalling struct {
	next         http.RoundTripper
	start        time.Time
	every, still time.Duration
}

func (s *stalling) RoundTrip(r *http.Request) (*http.Response, error) {
	if at := time.Since(s.start); at > s.every && at%s.every < s.still {
		time.Sleep(s.still - at%s.every)
	}
	return s.next.RoundTrip(r)
}

// What a machine that stands still does not send says nothing of what the platform allows: the rate is
// not lowered by more than for a caller that is always there, and the time that is left is used.
func TestAMachineThatStandsStillSaysNothingOfTheRate(t *testing.T) {
	const limit, n = 20, 1200
	for _, window := range []bool{true, false} {
		for _, announce := range []bool{true, false} {
			t.Run(fmt.Sprintf("window=%v/announce=%v", window, announce), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &limited{perSecond: limit, latency: 20 * time.Millisecond, announce: announce}
					if !window {
						l.burst, l.tokens = limit, limit
					}
					pace := NewPace()
					took := drive(t, &stalling{pace.Wrap(l), time.Now(), 20 * time.Second, 5 * time.Second}, n, 10)
					least := n / limit * time.Second * 20 / 15
					t.Logf("%.2f times the limit's time, rate %.1f", took.Seconds()/least.Seconds(), pace.State().Rate)
					if took > least*106/100 {
						t.Errorf("%v where the limit allows %v", took, least)
					}
				})
			})
		}
	}
}
