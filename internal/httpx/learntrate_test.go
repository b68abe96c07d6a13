package httpx

import (
	"math"
	"testing"
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
