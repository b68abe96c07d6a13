package httpx

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The rate stays within one request in ten seconds and 100,000 a second, whatever a platform lets through: just inside
// of each bound, at it, and beyond it.
func TestLimitsOfTheRate(t *testing.T) {
	now := time.Now()
	granted := func(r learntRate) float64 { r.noteGranted(now); return r.rate }
	paused := func(r learntRate) float64 { r.endPause(); return r.rate }
	start, struck := now.Add(-time.Second), now
	for name, tt := range map[string]struct{ got, want float64 }{
		"it grows to just below":      {granted(learntRate{rate: 99_999.98, start: now}), 99_999.99},
		"it grows to the bound":       {granted(learntRate{rate: 99_999.99, start: now}), 100_000},
		"it grows no more":            {granted(learntRate{rate: 100_000, start: now}), 100_000},
		"a trial grows to just below": {granted(learntRate{rate: 90_000, trial: true}), 99_000},
		"a trial grows to the bound":  {granted(learntRate{rate: 100_000 / trialGrowth, trial: true}), 100_000},
		"a trial grows no further":    {granted(learntRate{rate: 95_000, trial: true}), 100_000},
		"measured just below": {paused(learntRate{unbounded, start, 103_092, false, start, struck, now}),
			99_999.24},
		"measured just above": {paused(learntRate{unbounded, start, 103_093, false, start, struck, now}),
			100_000},
		"measured far above": {paused(learntRate{unbounded, start, 1e9, false, start, struck, now}),
			100_000},
		"halved to just above": {paused(learntRate{rate: 0.22, start: start, struck: struck, resume: now}),
			0.11},
		"halved to the bound": {paused(learntRate{rate: 0.2, start: start, struck: struck, resume: now}),
			0.1},
		"halved no further": {paused(learntRate{rate: 0.18, start: start, struck: struck, resume: now}),
			0.1},
		"at the bound it falls no more": {paused(learntRate{rate: 0.1, start: start, struck: struck, resume: now}),
			0.1},
	} {
		t.Run(name, func(t *testing.T) {
			if math.Abs(tt.got-tt.want) > 1e-6 {
				t.Errorf("%v a second, want %v", tt.got, tt.want)
			}
		})
	}
}

// Each time and count that decides what is learnt of the rate: just below, at, and just above.
func TestLimitsOfLearning(t *testing.T) {
	now := time.Now()
	for over := -1; over <= 1; over++ {
		t.Run(fmt.Sprint(over), func(t *testing.T) {
			ago := func(d time.Duration) time.Time { return now.Add(-d - time.Duration(over)*time.Millisecond) }
			first := learntRate{rate: unbounded, start: now.Add(-time.Second), passed: evidence + over, struck: now,
				resume: now}
			if first.endPause(); first.trial != (over < 0) {
				t.Errorf("%d requests are a trial: %v", evidence+over, first.trial)
			}
			full := learntRate{rate: 100, start: now, full: ago(2 * time.Second)}
			if full.noteGranted(now); (full.rate > 100) != (over >= 0) {
				t.Errorf("after nothing was left it grows to %v", full.rate)
			}
			again := learntRate{rate: 10, full: ago(time.Second / 2)}
			if wait := again.noteNoneLeft(now); (wait > 100*time.Millisecond) != (over > 0) {
				t.Errorf("when again nothing is left, %s are waited", wait)
			}
			long := learntRate{rate: 100, start: ago(3 * time.Second), struck: now, resume: now}
			if long.endPause(); (long.rate > 60) != (over >= 0) {
				t.Errorf("where nothing was let through it falls to %v", long.rate)
			}
			idle := learntRate{rate: unbounded, passed: 5}
			if idle.noteIdle(ago(time.Second), now); (idle.passed == 0) != (over >= 0) {
				t.Errorf("after a quiet time %d requests count", idle.passed)
			}
		})
	}
	calm := learntRate{rate: 100, start: now.Add(-10 * time.Second)}
	if calm.noteGranted(now); math.Abs(calm.rate-100.02) > 1e-9 {
		t.Errorf("after ten calm seconds it grows to %v, want twice as fast", calm.rate)
	}
}

// throttling is a platform that throttles, each time with the next of the headers.
type throttling struct{ after []string }

func (p *throttling) RoundTrip(*http.Request) (*http.Response, error) {
	resp := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{}, Body: http.NoBody}
	if p.after[0] != "" {
		resp.Header.Set("Retry-After", p.after[0])
	}
	p.after = p.after[1:]
	return resp, nil
}

// What a platform that does not say how long pauses an app for, and from how long on a pause is told.
func TestLimitsOfAPause(t *testing.T) {
	pauses := func(t *testing.T, after ...string) (paused, told []time.Duration) {
		pace := NewPace()
		pace.tellWaits(func(w Wait) { told = append(told, w.For) })
		rt := pace.Wrap(&throttling{after})
		for range after {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://platform.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := rt.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			paused = append(paused, pace.State().Pause)
		}
		return paused, told
	}
	synctest.Test(t, func(t *testing.T) {
		paused, _ := pauses(t, make([]string, 9)...)
		for i, want := range []float64{0.5, 1, 2, 4, 8, 16, 30, 30, 30} {
			if paused[i].Seconds() != want {
				t.Errorf("paused %v", paused)
				break
			}
		}
		if _, told := pauses(t, "2.999", "3", "3.001"); !slices.Equal(told, []time.Duration{3001 * time.Millisecond}) {
			t.Errorf("told %v", told)
		}
	})
}
