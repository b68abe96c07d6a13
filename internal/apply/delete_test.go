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
	"agentsync/internal/state"
)

// ignoresDelete is the fault of a platform that says that a delete is done, and does nothing.
var ignoresDelete = platformtest.Fault{Op: platformtest.OpDelete, Ignored: true}

// pruned makes the agents, and wants the first of them alone from then on.
func (w *world) pruned(want ...agent.Desired) {
	w.t.Helper()
	w.want, w.prune, w.opts.Parallelism = want, true, 1
	w.mustApply()
	w.want = want[:1]
}

// knows checks how many agents the state knows and how many requests are open.
func (w *world) knows(agents, open int) {
	w.t.Helper()
	if snap := w.load(w.file()); len(snap.State.Agents) != agents || len(snap.Open) != open {
		w.t.Errorf("%d agents in state, want %d; %d requests open, want %d", len(snap.State.Agents), agents,
			len(snap.Open),
			open)
	}
}

// A delete is answered as done, and is not: the uid is the only handle. It stays in the state, the agent has failed,
// and the next apply deletes it.
func TestAnIgnoredDeleteKeepsTheUID(t *testing.T) {
	for id, of := range map[agent.AppID]func(string, ...any) agent.Desired{mind: coach, comet: concierge} {
		t.Run(id.Platform, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pruned(of("a"), of("b"))
				start := time.Now()
				w.client[id] = platformtest.WithFaults(w.memory[id], ignoresDelete)
				rep, err := w.apply(t.Context())
				if err != nil || rep.Count(apply.StatusFailed) != 1 || rep.Outcome == apply.OutcomeComplete {
					t.Fatalf("%v\n%s", err, describe(rep))
				}
				res := rep.Results[0]
				if res.UID != "agent-0002" || !strings.Contains(res.Err.Error(), "and still lists it") ||
					!strings.Contains(res.Hint, "apply --prune") {
					t.Errorf("%s: %v, hint %q", res.UID, res.Err, res.Hint)
				}
				if waited := time.Since(start); waited < 30*time.Second || waited > time.Minute {
					t.Errorf("the lists had %s to show it", waited) // they may lag for as long as a grace period
				}
				w.knows(2, 0)
				w.client[id] = w.memory[id]
				w.mustApply()
				w.check()
			})
		})
	}
}

// The old agent of a replace is not deleted although the platform says so: its uid stays with the new one's.
func TestAnIgnoredDeleteOfAReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
		w.mustApply()
		w.want[0].Fields["externalTenantId"] = "t2"
		w.client[mind] = platformtest.WithFaults(w.memory[mind], ignoresDelete)
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 || rep.Results[0].UID != "agent-0002" ||
			!strings.Contains(rep.Results[0].Err.Error(), "the old agent agent-0001 is not deleted yet") {
			t.Fatalf("%v\n%s", err, describe(rep))
		}
		if rec := w.load(w.file()).State.Agents[w.want[0].Address]; len(rec.Obsolete) != 1 ||
			rec.Obsolete[0] != "agent-0001" {
			t.Errorf("the old uid is lost: %+v", rec)
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
	})
}

// Lists go on showing for a while what was deleted, and what was changed as it was: that is no failure.
func TestListsThatLagFailNoWrite(t *testing.T) {
	for id, of := range map[agent.AppID]func(string, ...any) agent.Desired{mind: coach, comet: concierge} {
		for lag, lists := range map[time.Duration]int{0: 2, 3 * time.Second: 5, 20 * time.Second: 8} {
			t.Run(id.Platform+lag.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.pruned(of("a"), of("b"), of("c"))
					w.want[0].Fields[map[agent.AppID]string{mind: "agentName", comet: "name"}[id]] = "New"
					faulty := platformtest.WithFaults(platformtest.WithLag(w.memory[id],
						platformtest.Lag{Changes: lag}))
					w.client[id] = faulty
					w.mustApply()
					w.check()
					if n := faulty.Calls(platformtest.OpList); n > lists {
						t.Errorf("%d lists, want %d at most", n, lists)
					}
					if n := faulty.Calls(platformtest.OpRead) + faulty.Calls(platformtest.OpDelete); n != 2 {
						t.Errorf("%d reads and deletes, want 2", n)
					}
				})
			})
		}
	}
}

// endsAtDelete ends the run once the second delete was answered.
type endsAtDelete struct {
	*platformtest.Faulty
	cancel func()
}

func (d endsAtDelete) Delete(ctx context.Context, uid string) error {
	err := d.Faulty.Delete(ctx, uid)
	if d.Calls(platformtest.OpDelete) == 2 {
		d.cancel()
	}
	return err
}

// The run ends between the answers and the list that was to bear them out. The next apply believes a whole list without
// the agents, and asks for nothing more; of those that it shows the plan decides anew.
func TestAnAnsweredDeleteThatNoListConfirmed(t *testing.T) {
	for id, of := range map[agent.AppID]func(string, ...any) agent.Desired{mind: coach, comet: concierge} {
		for name, ignored := range map[string]bool{"done": false, "not done": true} {
			t.Run(id.Platform+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.pruned(of("a"), of("b"), of("c"))
					w.applyUntil(func(cancel func()) {
						faulty := platformtest.WithFaults(w.memory[id],
							platformtest.Fault{Op: platformtest.OpDelete, Ignored: ignored})
						w.client[id] = endsAtDelete{faulty, cancel}
					})
					w.knows(3, 2)
					faulty := platformtest.WithFaults(w.memory[id])
					w.client[id] = faulty
					w.mustApply()
					w.check()
					deletes := map[bool]int{false: 0, true: 2}[ignored]
					if faulty.Calls(platformtest.OpRead) != 0 || faulty.Calls(platformtest.OpDelete) != deletes {
						t.Errorf("%d reads and %d deletes, want %d deletes", faulty.Calls(platformtest.OpRead),
							faulty.Calls(platformtest.OpDelete), deletes)
					}
				})
			})
		}
	}
}

// The list after the deletes fails: nobody knows whether they were done, and the report says so.
func TestADeleteWithoutAListAfterItIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(concierge("a"), concierge("b"))
		faulty := platformtest.WithFaults(w.memory[comet])
		start := time.Now()
		w.client[comet] = altered{Client: faulty, broken: func() bool {
			return faulty.Calls(platformtest.OpDelete) > 0
		}}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusUnknown) != 1 ||
			!strings.Contains(rep.Results[0].Err.Error(), "no list has shown yet that it is gone") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		if waited := time.Since(start); waited > 10*time.Second {
			t.Errorf("it took %s", waited)
		}
		w.knows(2, 1)
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
	})
}

// A platform answers as done also deletes of agents that are gone. Of one that no list showed before, two answers and
// the whole lists of a grace period say so; where it is there and the lists hide it for as long, its uid stays.
func TestADeleteOfWhatNoListShowed(t *testing.T) {
	hidden := func(all []platform.Remote) []platform.Remote { return all[:1] }
	for name, there := range map[string]bool{"it is gone": false, "it is there": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pruned(concierge("a"), concierge("b"))
				if !there {
					w.memory[comet].Remove("agent-0002")
				}
				start := time.Now()
				faulty := platformtest.WithFaults(w.memory[comet], ignoresDelete)
				w.client[comet] = altered{Client: faulty, list: func(all []platform.Remote) []platform.Remote {
					if time.Since(start) < 20*time.Second {
						return hidden(all)
					}
					return all
				}}
				rep, err := w.apply(t.Context())
				if err != nil || (rep.Outcome == apply.OutcomeComplete) == there {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				if n := faulty.Calls(platformtest.OpDelete); n != 2 {
					t.Errorf("%d deletes, want 2", n)
				}
				w.client[comet] = w.memory[comet]
				w.mustApply()
				w.check()
			})
		})
	}
}

// A platform that answers each delete with an error, also that of an agent which is gone, is asked a few times in an
// apply, however many requests for the agent are open.
func TestADeleteThatNothingTellsOfIsSentAFewTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(concierge("a"), concierge("b"))
		faulty := platformtest.WithFaults(w.memory[comet], platformtest.Fault{Op: platformtest.OpDelete, After: true,
			Class: platform.Unknown, Status: 500})
		w.client[comet] = faulty
		for run := range 2 {
			before := faulty.Calls(platformtest.OpDelete)
			rep, err := w.apply(t.Context())
			if err != nil || rep.Count(apply.StatusUnknown) != 1 || strings.Contains(describe(rep), "<nil>") {
				t.Errorf("run %d: %v\n%s", run, err, describe(rep))
			}
			if n := faulty.Calls(platformtest.OpDelete) - before; n > 4 {
				t.Errorf("run %d: %d deletes, want 4 at the most", run, n)
			}
		}
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
	})
}

// What an earlier run wanted deleted is told while nobody knows what became of it, also where this one would keep the
// agent.
func TestAnOpenDeleteOfAKeptAgentIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(concierge("a"), concierge("b"))
		w.lostDelete(comet)
		w.prune = false
		w.client[comet] = platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Outcome == apply.OutcomeComplete || len(rep.Results) != 1 ||
			rep.Results[0].Status != apply.StatusUnknown {
			t.Errorf("%v, %s\n%s", err, rep.Outcome, describe(rep))
		}
	})
}

// As many results as a batch holds, one less and one more are confirmed by one list.
func TestLimitOfABatchOfDeletes(t *testing.T) {
	for _, n := range []int{255, 256, 257} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			want := []agent.Desired{coach("a")}
			for i := range n {
				want = append(want, coach("m"+strings.Repeat("x", i/26)+string(rune('a'+i%26))))
			}
			w.pruned(want...)
			lines := 0
			w.ledger = func(l apply.Ledger) apply.Ledger { return counting{l, &lines} }
			w.mustApply()
			w.check()
			if want := map[int]int{255: 1, 256: 1, 257: 2}[n]; lines != want {
				t.Errorf("%d deletes were recorded in %d lines, want %d", n, lines, want)
			}
		})
	}
}

// counting counts the commits that say that agents are gone.
type counting struct {
	apply.Ledger
	lines *int
}

func (c counting) Commit(results ...state.Result) error {
	if results[0].Kind == state.Removed {
		*c.lines++
	}
	return c.Ledger.Commit(results...)
}

// A list that may hide agents bears out no delete: the agent is asked for alone.
func TestAListThatHidesAgentsConfirmsNoDelete(t *testing.T) {
	for name, shownBefore := range map[string]bool{"hidden all the time": false, "shown before the delete": true} {
		for _, sameTime := range []bool{true, false} {
			t.Run(fmt.Sprint(name, sameTime), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.pruned(coach("a"), coach("b"))
					faulty := platformtest.WithFaults(w.memory[mind], ignoresDelete)
					hides := doubting{Client: faulty, hide: map[string]bool{"agent-0002": true}, sameTime: sameTime}
					w.client[mind] = switched{Client: faulty, list: func() platform.Client {
						if shownBefore && faulty.Calls(platformtest.OpDelete) == 0 {
							return faulty
						}
						return hides
					}}
					rep, err := w.apply(t.Context())
					if err != nil || rep.Count(apply.StatusDone) > 0 {
						t.Errorf("%v\n%s", err, describe(rep))
					}
					w.knows(2, 0)
				})
			})
		}
	}
}

// switched takes its lists from another client each time.
type switched struct {
	platform.Client
	list func() platform.Client
}

func (s switched) List(ctx context.Context) ([]platform.Remote, error) { return s.list().List(ctx) }

// A list that lacks other agents bears out no delete either, however often the platform says that it is done.
func TestACutListConfirmsNoDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(concierge("c"), concierge("a"), concierge("b"))
		w.want = append(w.want, concierge("a"))
		faulty := platformtest.WithFaults(w.memory[comet], ignoresDelete)
		w.client[comet] = altered{Client: faulty, list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusUnknown) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.knows(3, 1)
		if n := faulty.Calls(platformtest.OpDelete); n != 2 {
			t.Errorf("%d deletes, want 2", n)
		}
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
	})
}

// A run ends while it waits for a list that lags behind an update. What that list shows is not taken for what is there:
// the next manifest, which wants the old value again, is sent.
func TestAnInterruptedWaitForAListTeachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, 1
		w.mustApply()
		old := w.want[0].Fields["name"]
		w.want[0].Fields["name"] = "New"
		w.client[comet] = platformtest.WithLag(w.memory[comet], platformtest.Lag{Changes: 10 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		if _, err := w.apply(ctx); err != nil {
			t.Fatal(err)
		}
		w.want[0].Fields["name"] = old
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
		if name := w.memory[comet].Agents()[0].Content.Value("name"); name != old {
			t.Errorf("the name is %v", name)
		}
	})
}

// The create of a replace has no answer, and its agent is moved to another address before anybody can find out what
// became of it: the new agent is found for that one.
func TestAnOpenReplaceFollowsAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune = []agent.Desired{coach("a", "agentName", "Same", "externalTenantId", "t1")}, true
		w.mustApply()
		w.want[0].Fields["externalTenantId"] = "t2"
		w.interrupted(mind)
		from, to := coach("a").Address, coach("c").Address
		w.changeState(func(s *state.State) {
			s.Agents[to] = s.Agents[from]
			delete(s.Agents, from)
		})
		w.want[0].Address = to
		w.mustApply()
		w.check()
		w.made(mind, 2)
	})
}

// A platform says that a delete is done, also when it is asked once more, and its lists never showed the agent: once
// the grace period is over no other list tells more, and the uid stays.
func TestADeleteThatNoListCanTellOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(concierge("a"), concierge("b"), concierge("c"))
		w.want = append(w.want, concierge("c"))
		w.client[comet] = altered{Client: platformtest.WithFaults(w.memory[comet], ignoresDelete),
			list: func(all []platform.Remote) []platform.Remote { return all[:1] }}
		start := time.Now()
		rep, err := w.apply(t.Context())
		if took := time.Since(start); err != nil || rep.Count(apply.StatusUnknown) != 1 || took > 70*time.Second {
			t.Errorf("after %s: %v\n%s", took, err, describe(rep))
		}
		w.knows(3, 1)
	})
}
