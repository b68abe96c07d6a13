package apply_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
)

// Each test here holds a limit of an apply one below, at, and one above.

// An update is sent four times in an apply.
func TestLimitOfRequests(t *testing.T) {
	for lost, want := range map[int]apply.Outcome{3: apply.OutcomeComplete, 4: apply.OutcomeFailed,
		5: apply.OutcomeFailed} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				w.mustApply()
				w.want[0].Fields["agentPurpose"] = "New."
				var faults []platformtest.Fault
				for n := range lost {
					faults = append(faults, platformtest.Fault{Op: platformtest.OpUpdate, Nth: n +
						1, Class: platform.Unknown})
				}
				faulty := platformtest.WithFaults(w.memory[mind], faults...)
				w.client[mind] = faulty
				rep, err := w.apply(t.Context())
				if err != nil || rep.Outcome != want || faulty.Calls(platformtest.OpUpdate) != 4 {
					t.Errorf("%d updates: %v\n%s", faulty.Calls(platformtest.OpUpdate), err, describe(rep))
				}
				if lost >= 4 && rep.Results[0].Err.Error() !=
					"sent 4 times, and never carried out: PATCH /agents/agent-0001" {
					t.Error(rep.Results[0].Err)
				}
			})
		})
	}
}

// The platform may ask to wait for 15 minutes.
func TestLimitOfAWait(t *testing.T) {
	for over, done := range map[time.Duration]bool{-time.Second: true, 0: true, time.Second: false} {
		t.Run(over.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				w.client[mind] = platformtest.WithFaults(w.memory[mind],
					platformtest.Fault{Op: platformtest.OpCreate, Nth: 1,
						Class: platform.Throttled, Status: 429, RetryAfter: 15*time.Minute + over})
				start := time.Now()
				rep, err := w.apply(t.Context())
				waited := time.Since(start) >= 15*time.Minute+over
				if err != nil || (rep.Outcome == apply.OutcomeComplete) != done || waited != done {
					t.Errorf("after %s: %v\n%s", time.Since(start), err, describe(rep))
				}
			})
		})
	}
}

// An agent that was there two minutes before an open create of an earlier run, by the platform's clock, was not made by
// it; one that came 15 minutes after it and is merely like it was not, either. What may have been made stops the
// create.
func TestLimitOfASuspicion(t *testing.T) {
	for offset, suspect := range map[time.Duration]bool{
		-2*time.Minute - time.Millisecond: false, -2 * time.Minute: true, -2*time.Minute + time.Millisecond: true,
		15*time.Minute - time.Millisecond: true, 15 * time.Minute: true, 15*time.Minute + time.Millisecond: false,
	} {
		t.Run(offset.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour)
				w := newWorld(t)
				w.want = []agent.Desired{coach("a", "agentPurpose", "Helps people.")}
				w.intended(func(int) bool { return true }, w.want...)
				at := time.Now().Add(offset)
				// a name that was cut
				w.memory[mind].Put(agent.Fields{"agentName": "coach", "agentPurpose": "Helps people."})
				time.Sleep(20 * time.Minute)
				w.client[mind] = altered{Client: w.memory[mind], list: func(all []platform.Remote) []platform.Remote {
					all[0].CreatedAt = at
					return all
				}}
				rep, err := w.apply(t.Context())
				if err != nil || (rep.Outcome == apply.OutcomeComplete) == suspect {
					t.Errorf("%v\n%s", err, describe(rep))
				}
			})
		})
	}
}

// Of a create that was given up, no list counts that was asked for before the grace period is over.
func TestLimitOfTheGracePeriod(t *testing.T) {
	for early, made := range map[time.Duration]int{time.Second: 1, time.Millisecond: 1, -10 * time.Second: 2} {
		t.Run(early.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				w.client[mind] = w.late(mind, 30*time.Second, time.Minute-early)
				_, err := w.apply(t.Context())
				time.Sleep(time.Minute)
				if err != nil {
					t.Error(err)
				}
				w.made(mind, made) // what comes later than it may is the one thing that nobody can know
			})
		})
	}
}

// A create that was given up counts as not carried out once two whole lists do not show its agent, also where the first
// that comes is asked for after the grace period.
func TestLimitOfWholeLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		faulty := platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 1, Class: platform.Unknown})
		var givenUp time.Time
		var whole, between int
		w.client[mind] = altered{Client: faulty,
			broken: func() bool { return !givenUp.IsZero() && time.Since(givenUp) <= 30*time.Second },
			list: func(all []platform.Remote) []platform.Remote {
				whole++
				return all
			},
			create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
				if givenUp.IsZero() {
					givenUp, whole = time.Now(), 0
				} else {
					between = whole
				}
				return faulty.Create(ctx, agent.ContentOf(f))
			}}
		w.mustApply()
		if between != 2 {
			t.Errorf("%d whole lists before the create was sent again", between)
		}
		w.made(mind, 1)
	})
}

// What is read back is stored in batches of 256: one record less, as many, and one more.
func TestLimitOfABatch(t *testing.T) {
	for _, n := range []int{255, 256, 257} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				for i := range n {
					w.want = append(w.want, coach(fmt.Sprintf("m%03d", i), "agentPurpose",
						"Texts that end in a line.\n"))
				}
				w.client[mind] = platformtest.WithRewrite(platformtest.WithFaults(w.memory[mind],
					platformtest.Fault{Op: platformtest.OpCreate, Odd: true}), texts(strings.TrimSpace))
				w.mustApply()
				w.check()
				for a, rec := range w.load(w.file()).State.Agents {
					if rec.Observed == nil {
						t.Errorf("%s was not read back", a)
					}
				}
			})
		})
	}
}

// While lists fail, an apply that has a create without an answer asks for nine after it; one of which an earlier run
// left a delete open, for one before its plan and three after it. Then the next apply has to find out.
func TestLimitOfLooks(t *testing.T) {
	for op, lists := range map[platformtest.Op]int{platformtest.OpCreate: 9, platformtest.OpDelete: 4} {
		for over := -1; over <= 1; over++ {
			t.Run(fmt.Sprint(op, over), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.pruned(concierge("a"), concierge("b"))
					if op == platformtest.OpDelete {
						w.lostDelete(comet)
						w.prune = false
					} else {
						w.want = append(w.want, concierge("b"), concierge("c"))
					}
					asked := 0
					faulty := platformtest.WithFaults(w.memory[comet], lost(platformtest.OpCreate, 1))
					w.client[comet] = altered{Client: faulty, broken: func() bool {
						if op == platformtest.OpCreate && faulty.Calls(op) == 0 {
							return false // the list before it
						}
						asked++
						return asked < lists+over
					}}
					rep, err := w.apply(t.Context())
					if err != nil || (rep.Outcome == apply.OutcomeComplete) != (over <= 0) ||
						asked != min(lists, lists+over) {
						t.Errorf("%v after %d lists, want %d\n%s", err, asked, lists, describe(rep))
					}
				})
			})
		}
	}
}

// A platform that may take longer for a request than 30 seconds may take as long for one that was given up, unless
// somebody says otherwise.
func TestTheGracePeriodIsNoShorterThanARequest(t *testing.T) {
	for name, tt := range map[string]struct {
		limit, grace time.Duration
		made         int
	}{
		"a request may take a minute":               {time.Minute, 0, 1},
		"and somebody says that nothing comes late": {time.Minute, 10 * time.Second, 2},
		"ten seconds": {10 * time.Second, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				w.opts.RequestTimeout, w.opts.Grace = tt.limit, tt.grace
				// It takes effect just before as much time is over again, or as the default is.
				w.client[mind] = w.late(mind, tt.limit, tt.limit+max(tt.limit, 30*time.Second)-time.Second)
				if _, err := w.apply(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(5 * time.Minute)
				w.made(mind, tt.made)
			})
		})
	}
}
