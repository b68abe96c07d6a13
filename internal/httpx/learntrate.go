package httpx

import (
	"time"

	"golang.org/x/time/rate"
)

// learntRate is what is known of the rate that a platform allows, learnt from what it let through. It
// knows nothing of waiting, and takes the time as an argument.
//
// At first the rate is unlimited: whoever keeps n requests in flight sends n at once and no more.
// The first throttled answer sets it to what was let through since the start, the pause asked for
// included, which is the allowed rate whether the platform counts by windows or by tokens; where that
// was next to nothing, a trial rate takes its place that soon grows. From then
// on it grows a little with each success, faster the longer nothing was throttled, and falls with
// each storm of throttled answers, by half at the most.
type learntRate struct {
	rate   float64 // requests a second; unbounded until a platform sets a bound
	start  time.Time
	passed int       // requests let through since start
	trial  bool      // the rate was never measured
	full   time.Time // when the platform last said that nothing is left

	// struck and resume are the beginning and the end of a pause whose storm is still being counted:
	// answers come in any order, and those that were granted may come last. Zero means none.
	struck, resume time.Time
}

const (
	unbounded = float64(rate.Inf)

	minRate = 0.1 // requests a second: one in ten seconds
	maxRate = 1e5

	// evidence is how many requests must have been let through before they say something of the rate:
	// a platform may be busy with someone else's requests when the first ones come. Until then the rate
	// is a trial, in requests a second, that grows by trialGrowth with each success.
	evidence    = 10
	trialRate   = 5
	trialGrowth = 1.1

	// growth is by how much of itself the rate rises in a second of full use, at first.
	growth = 0.01
	// growthDoubles is the calm after which growth has doubled, tripled, and so on.
	growthDoubles = 10 * time.Second
	// fullHold is how long the rate does not grow after the platform said that nothing is left.
	fullHold = 2 * time.Second
	// fullAgain is how soon the next time that nothing is left says nothing new: a platform that counts by
	// tokens says so at each request.
	fullAgain = time.Second / 2
	// telling is how long what was let through under a rate tells of the platform. Over a longer time less
	// than stoodStill of the rate tells of a caller that had nothing to send, or of a machine that stood still.
	telling    = 3 * time.Second
	stoodStill = 0.9
	// backOff keeps a rate that was just learnt from being overtaken by its own measuring error.
	backOff = 0.97
)

func newLearntRate(now time.Time) learntRate { return learntRate{rate: unbounded, start: now} }

// bounded reports whether the platform has set a bound.
func (t *learntRate) bounded() bool { return t.rate < unbounded }

// noteGranted notes a request that was let through.
func (t *learntRate) noteGranted(now time.Time) {
	t.passed++
	if t.struck.IsZero() && t.bounded() {
		if t.trial {
			t.rate = min(maxRate, t.rate*trialGrowth)
			return
		}
		if now.Sub(t.full) < fullHold {
			return
		}
		// One success is 1/rate of a second of full use, so the rate rises by the growth itself.
		calm := now.Sub(t.start).Seconds() / growthDoubles.Seconds()
		t.rate = min(maxRate, t.rate+growth*(1+calm))
	}
}

// noteIdle notes a time in which nothing was sent: somebody read the plan before he said yes. What was let
// through before it says nothing of the rate, which is measured anew.
func (t *learntRate) noteIdle(from, to time.Time) {
	if !t.bounded() && to.Sub(from) >= time.Second {
		t.start, t.passed = to, 0
	}
}

// noteNoneLeft notes that the platform says nothing is left although it refused nothing: the rate is about the
// limit, and does not grow for a while. A platform that counts aloud need not refuse to be understood. It
// returns how long to wait before the next request, 0 where the rate has no bound: one interval, and once
// in a while more, since a window that was filled a little early is not over yet.
func (t *learntRate) noteNoneLeft(now time.Time) time.Duration {
	first := now.Sub(t.full) > fullAgain
	t.full = now
	if !t.bounded() {
		return 0
	}
	wait := time.Duration(float64(time.Second) / t.rate)
	if first {
		wait += wait / 2
	}
	return wait
}

// notePause notes a pause. The rate falls when the pause is over, see endPause.
func (t *learntRate) notePause(now, resume time.Time) {
	if t.struck.IsZero() {
		t.struck = now
	}
	t.resume = resume
}

// endPause lowers the rate after a pause that is over, and starts measuring anew from its end.
func (t *learntRate) endPause() {
	*t = t.afterPause()
}

// afterPause returns the rate as it will be when the pause is over, if there is one.
func (t *learntRate) afterPause() learntRate {
	if t.struck.IsZero() {
		return *t
	}
	if !t.bounded() && t.passed < evidence {
		return learntRate{rate: max(trialRate, t.measuredRate()*backOff), start: t.resume, trial: true}
	}
	lower := t.measuredRate() * backOff
	if t.bounded() {
		least := t.rate / 2
		if t.struck.Sub(t.start) >= telling {
			least = t.rate * stoodStill
		}
		lower = max(least, min(lower, t.rate*backOff))
	}
	return learntRate{rate: min(maxRate, max(minRate, lower)), start: t.resume}
}

// measuredRate returns the rate that was let through. While the rate was unlimited a burst was followed
// by a pause that pays for it; under a rate there was no burst, and the pause is a penalty.
func (t *learntRate) measuredRate() float64 {
	elapsed := t.struck.Sub(t.start)
	if !t.bounded() || elapsed < time.Second {
		elapsed = t.resume.Sub(t.start)
	}
	return float64(t.passed) / max(elapsed.Seconds(), 1e-3)
}
