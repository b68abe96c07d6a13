package platform_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
)

func TestRetryReads(t *testing.T) {
	fault := func(nth int, class platform.Class) platformtest.Fault {
		return platformtest.Fault{Op: platformtest.OpList, Nth: nth, Class: class}
	}
	throttled := fault(1, platform.Throttled)
	throttled.RetryAfter = time.Minute
	unsent := fault(1, platform.Refused)
	unsent.NeverSent = true
	for name, c := range map[string]struct {
		faults []platformtest.Fault
		calls  int
		class  platform.Class
		wait   time.Duration // at least
	}{
		"at once":     {nil, 1, platform.Done, 0},
		"third time":  {[]platformtest.Fault{fault(1, platform.Unknown), fault(2, platform.Unknown)}, 3, platform.Done, time.Second / 2},
		"never":       {[]platformtest.Fault{fault(0, platform.Unknown)}, 4, platform.Unknown, time.Second / 2},
		"refused":     {[]platformtest.Fault{fault(0, platform.Refused)}, 1, platform.Refused, 0},
		"never sent":  {[]platformtest.Fault{unsent}, 2, platform.Done, time.Second / 4},
		"asked to":    {[]platformtest.Fault{throttled}, 2, platform.Done, time.Minute},
		"both by two": {[]platformtest.Fault{throttled, fault(2, platform.Unknown)}, 3, platform.Done, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := platformtest.WithFaults(platformtest.NewMemory(load(t, "mindset")), c.faults...)
				start := time.Now()
				_, err := platform.RetryReads(f, platform.DefaultRetryPolicy()).List(t.Context())
				if platform.ClassOf(err) != c.class || f.Calls(platformtest.OpList) != c.calls || time.Since(start) < c.wait {
					t.Errorf("%v after %d calls and %v", err, f.Calls(platformtest.OpList), time.Since(start))
				}
			})
		})
	}
}

func TestRetryReadsRepeatsNoWrite(t *testing.T) {
	ops := []platformtest.Op{platformtest.OpCreate, platformtest.OpUpdate, platformtest.OpDelete}
	var faults []platformtest.Fault
	for _, op := range ops {
		faults = append(faults, platformtest.Fault{Op: op, Class: platform.Unknown})
	}
	f := platformtest.WithFaults(platformtest.NewMemory(load(t, "mindset")), faults...)
	c := platform.RetryReads(f, platform.DefaultRetryPolicy())
	_, createErr := c.Create(t.Context(), agent.ContentOf(agent.Fields{"agentName": "a"}))
	_, updateErr := c.Update(t.Context(), "u", agent.Fields{"agentName": "a"})
	deleteErr := c.Delete(t.Context(), "u")
	for i, err := range []error{createErr, updateErr, deleteErr} {
		if platform.ClassOf(err) != platform.Unknown || f.Calls(ops[i]) != 1 {
			t.Errorf("%s: %v after %d calls", ops[i], err, f.Calls(ops[i]))
		}
	}
}

func TestRetryReadsEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := platformtest.WithFaults(platformtest.NewMemory(load(t, "mindset")), platformtest.Fault{
			Op: platformtest.OpRead, Class: platform.Throttled, RetryAfter: time.Hour,
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := platform.RetryReads(f, platform.DefaultRetryPolicy()).Read(ctx, "u")
		var e *platform.Error
		if !errors.As(err, &e) || e.Class != platform.Throttled || f.Calls(platformtest.OpRead) != 1 {
			t.Errorf("%v after %d calls", err, f.Calls(platformtest.OpRead))
		}
	})
}
