package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// Each test here is of one clause of a condition that the others of its condition could hide.

// An agent that carries another address's mark is somebody's, however much it is like what an open create sent.
func TestAMarkedAgentIsNoSuspect(t *testing.T) {
	for name, mark := range map[string]string{"marked": coach("other").Address.Mark(), "not marked": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a", "agentPurpose", "Helps people with it.")}
				w.givenUp(mind, 0)
				fields := agent.Fields{"agentName": "coach", "agentPurpose": "Helps people with it."}
				w.memory[mind].Put(platform.AddMark(w.schemas["mindset"], fields, mark))
				rep, err := w.apply(t.Context())
				if err != nil || (rep.Outcome == apply.OutcomeComplete) != (mark != "") {
					t.Errorf("%v\n%s", err, describe(rep))
				}
			})
		})
	}
}

// Two agents may each be what an open create made. That another address wants the same, and has its agent, explains
// none.
func TestAnAddressThatHasItsAgentExplainsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentName", "Same")}
		w.mustApply()
		w.want = append(w.want, coach("b", "agentName", "Same"))
		w.givenUp(mind, 0)
		w.memory[mind].Put(w.want[1].Fields)
		w.memory[mind].Put(w.want[1].Fields)
		rep, err := w.apply(t.Context())
		if err != nil || len(rep.Results) != 1 ||
			!strings.Contains(rep.Results[0].Err.Error(), "agent-0002, agent-0003 may each be") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.made(mind, 3)
	})
}

// A list that lacks a known agent is asked for again after 0.5, 1 and 2 seconds, and not once more.
func TestListsThatLagAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh = []agent.Desired{concierge("a"), concierge("b")}, true
		w.mustApply()
		var asked []time.Duration
		start := time.Now()
		w.client[comet] = altered{Client: w.memory[comet], list: func(all []platform.Remote) []platform.Remote {
			asked = append(asked, time.Since(start))
			if len(asked) > 4 {
				return all
			}
			return all[:1]
		}}
		w.mustApply()
		want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}
		if len(asked) < 4 || !slices.Equal(asked[:4], want) {
			t.Errorf("asked after %v", asked)
		}
	})
}

// A delete is answered 404 in another voice than the platform's. Where the agent can be asked for, the list without it
// can be trusted, and it is gone. Where not, such a list may lag, and the 404 be a proxy's: the uid stays, now and in
// recovery.
func TestA404OfAnotherVoice(t *testing.T) {
	other := platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Refused, Status: 404}
	lags := platformtest.Fault{Op: platformtest.OpList, List: func(all []platform.Remote) []platform.Remote {
		return slices.DeleteFunc(slices.Clone(all), func(r platform.Remote) bool { return r.UID == "agent-0002" })
	}}
	t.Run("the agent can be asked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.want, w.prune, w.opts.Parallelism = []agent.Desired{coach("a"), coach("b")}, true, 1
			w.mustApply()
			w.want = w.want[:1]
			w.memory[mind].Remove("agent-0002")
			w.client[mind] = platformtest.WithFaults(w.memory[mind], other)
			w.mustApply()
			w.check()
		})
	})
	for name, faults := range map[string][]platformtest.Fault{
		"it is there":            {other},
		"the list fails by then": {other, {Op: platformtest.OpList, Nth: 2, Class: platform.Unknown}},
		"a list lags, and it cannot be read": {other, {Op: platformtest.OpRead, Class: platform.Unknown},
			{Op: platformtest.OpList, Nth: 2, List: lags.List}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pruned(coach("a"), coach("b"))
				w.client[mind] = platformtest.WithFaults(w.memory[mind], faults...)
				if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusFailed) != 1 {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				w.knows(2, 0)
			})
		})
	}
	for name, interrupt := range map[string]bool{"it cannot": false, "it cannot, in recovery": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want, w.prune, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, true, 1
				w.mustApply()
				w.want = w.want[:1]
				if interrupt {
					w.lostDelete(comet)
				}
				w.client[comet] = platformtest.WithFaults(w.memory[comet], other, lags)
				if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusDone) > 0 {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				if snap := w.load(w.file()); len(snap.State.Agents) != 2 || len(w.memory[comet].Agents()) != 2 {
					t.Errorf("%d agents in state, %d live", len(snap.State.Agents), len(w.memory[comet].Agents()))
				}
				w.client[comet] = w.memory[comet]
				w.mustApply()
				w.check()
			})
		})
	}
}

// What is kept is no result of a plan that was refused.
func TestARefusedPlanReportsWhatWasToBeDone(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), coach("b")}
	w.mustApply()
	w.want = []agent.Desired{coach("a"), coach("c")}
	w.answer = func(context.Context, *plan.Plan) (bool, error) { return true, errors.New("no") }
	rep, err := w.apply(t.Context())
	if err == nil || len(rep.Results) != 1 || rep.Results[0].Address.Key != "c" ||
		rep.Results[0].Status != apply.StatusNotStarted {
		t.Errorf("%v\n%s", err, describe(rep))
	}
}

// A delete is open, and the list is of another app. No second delete is sent there: its 404 would count as done.
func TestAnotherAppSettlesNoDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune = []agent.Desired{concierge("a"), concierge("b")}, true
		w.mustApply()
		w.want = w.want[:1]
		w.applyUntil(func(cancel func()) { w.client[comet] = dropsDelete{w.memory[comet], cancel} })
		other := platformtest.NewMemory(w.schemas["cometchat"], platformtest.SilentUpdates(), platformtest.NoRead())
		for range 9 { // their uids are others
			other.Remove(other.Put(agent.Fields{"name": "Theirs"}).UID)
		}
		other.Put(agent.Fields{"name": "Theirs"})
		faulty := platformtest.WithFaults(other)
		w.client[comet] = faulty
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusDone) > 0 || faulty.Calls(platformtest.OpDelete) > 0 {
			t.Errorf("%d deletes were sent, %v\n%s", faulty.Calls(platformtest.OpDelete), err, describe(rep))
		}
		if snap := w.load(w.file()); len(snap.Open) != 1 || len(snap.State.Agents) != 2 {
			t.Errorf("%d intents open, %d agents in state", len(snap.Open), len(snap.State.Agents))
		}
	})
}

// Without a refresh, what cannot be done anyway asks for no list.
func TestABlockedChangeNeedsNoList(t *testing.T) {
	w := newWorld(t)
	d := coach("a")
	d.Protect = true
	w.want, w.prune = []agent.Desired{d, coach("b")}, true
	w.mustApply()
	w.want = w.want[1:]
	faulty := platformtest.WithFaults(w.memory[mind])
	w.client[mind] = faulty
	rep, err := w.apply(t.Context())
	if err != nil || len(rep.Results) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) ||
		!strings.Contains(rep.Results[0].Err.Error(), "lifecycle.protect forbids to delete it") ||
		!strings.HasPrefix(rep.Results[0].Hint, "put it back into the manifests without lifecycle.protect") {
		t.Errorf("%v\n%s", err, describe(rep))
	}
	if n := faulty.Calls(platformtest.OpList); n > 0 {
		t.Errorf("%d lists", n)
	}
}

// picky is a ledger that refuses some results, and is not broken by it.
type picky struct {
	apply.Ledger
	refuses func(state.Result) bool
}

func (p picky) Commit(results ...state.Result) error {
	if slices.ContainsFunc(results, p.refuses) {
		return errors.New("this result is refused")
	}
	return p.Ledger.Commit(results...)
}

// What could not be recorded is not reported as done; of a new agent the uid is recorded whatever else is refused.
func TestWhatIsNotRecordedIsNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune = []agent.Desired{coach("a"), coach("b")}, true
		refuse := func(refuses func(state.Result) bool) {
			w.ledger = func(l apply.Ledger) apply.Ledger { return picky{l, refuses} }
		}
		refuse(func(r state.Result) bool { return r.Kind == state.Recorded && r.Record.Observed != nil })
		for _, res := range w.mustApply().Results {
			if !strings.Contains(res.Warning, "could not be kept") {
				t.Errorf("%s: %q", res.Address, res.Warning)
			}
		}
		refuse(func(r state.Result) bool { return r.Kind == state.Recorded && r.Record.Applied != nil })
		w.want = append(w.want, coach("c"))
		w.mustApply()
		if n := len(w.load(w.file()).State.Agents); n != 3 {
			t.Errorf("%d uids in state, want 3", n)
		}
		refuse(func(r state.Result) bool { return r.Kind == state.Removed })
		w.want = w.want[:2]
		if rep, err := w.apply(t.Context()); err != nil || rep.Outcome == apply.OutcomeComplete ||
			!strings.Contains(describe(rep), "this result is refused") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		if n := len(w.load(w.file()).State.Agents); n != 3 {
			t.Errorf("%d uids in state, want 3", n)
		}
		refuse(func(r state.Result) bool { return r.Kind == state.Recorded && r.Intent > 0 })
		w.want = append(w.want, coach("c"))
		w.want[0].Fields["agentPurpose"] = "New."
		if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusDone) > 0 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
	})
}

// A platform that asks to come back later, and not when, is asked again after 0.25, 0.5, 1, 2, 4, 8 and 8 seconds.
func TestPausesThatNobodyNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		var asked []time.Duration
		start := time.Now()
		w.client[mind] = altered{Client: w.memory[mind],
			create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
				if asked = append(asked, time.Since(start)); len(asked) < 8 {
					return platform.Remote{}, &platform.Error{Class: platform.Throttled, Method: "POST", Status: 429}
				}
				return w.memory[mind].Create(ctx, agent.ContentOf(f))
			}}
		w.mustApply()
		for i, want := range []time.Duration{0, 250, 750, 1750, 3750, 7750, 15750, 23750} {
			if asked[i] != want*time.Millisecond {
				t.Errorf("asked after %v", asked)
				break
			}
		}
	})
}

// An app that could not be read back is a partial success although each agent is done.
func TestAnAppThatCannotBeReadBackIsPartial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(1)
		w.client[mind] = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpList, Nth: 2, Class: platform.Unknown})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusDone) != 2 || rep.Unread != 1 || rep.Outcome != apply.OutcomePartial ||
			!strings.HasPrefix(rep.Warnings[0], "mindset/acme: what was written could not be read back: ") {
			t.Errorf("%v, %d unread, %s\n%s", err, rep.Unread, rep.Outcome, describe(rep))
		}
	})
}

// An agent whose delete is open, and that a list does not show though it is there, lacks nowhere: nobody wants it.
func TestWhatIsBeingDeletedIsNotLacking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, key := range []string{"a", "b", "c"} {
			w.want = append(w.want, coach(key))
			w.mustApply()
			time.Sleep(time.Second)
		}
		all := w.want
		w.want, w.prune = all[:2], true
		w.lostDelete(mind)
		lists := 0
		w.refresh, w.prune = true, false
		w.client[mind] = altered{Client: w.memory[mind], list: func(all []platform.Remote) []platform.Remote {
			lists++
			return all[:2]
		}}
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		if lists != 1 { // a list that lacks an agent that is wanted is asked for four times
			t.Errorf("%d lists", lists)
		}
	})
}

// Two deletes are open. The answer to one closes its own intent, and not the other's.
func TestAnAnswerClosesItsOwnIntents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune, w.opts.Parallelism = []agent.Desired{coach("a"), coach("b"), coach("c")}, true, 1
		w.mustApply()
		w.want = w.want[:1]
		unread := func(uids ...string) []platformtest.Fault {
			var faults []platformtest.Fault
			for _, uid := range uids {
				faults = append(faults, platformtest.Fault{Op: platformtest.OpDelete, UID: uid,
					Class: platform.Unknown})
			}
			return append(faults, platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown, Nth: 2})
		}
		w.client[mind] = platformtest.WithFaults(w.memory[mind], unread("agent-0002", "agent-0003")...)
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[mind] = platformtest.WithFaults(w.memory[mind], unread("agent-0003")[:1]...)
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusDone) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		if _, known := w.load(w.file()).State.Agents[coach("c").Address]; !known {
			t.Error("the state forgot an agent whose delete was never answered")
		}
	})
}

// Each request is told before it leaves, and each agent when it is done, with how many are left.
func TestEachRequestIsTold(t *testing.T) {
	w := newWorld(t)
	w.want, w.opts.Parallelism = []agent.Desired{coach("a"), coach("b")}, 1
	w.mustApply()
	var told []string
	for _, e := range w.events {
		switch e.Kind {
		case apply.EventStarted:
			told = append(told, "started "+e.Result.Address.Key)
		case apply.EventFinished:
			told = append(told, fmt.Sprintf("finished %s, %d left", e.Result.Address.Key, e.Left))
		}
	}
	if want := []string{"started a", "finished a, 1 left", "started b", "finished b, 0 left"}; !slices.Equal(told,
		want) {
		t.Errorf("told %q", told)
	}
}

// An agent whose update is open is one that a list must show: beside a list that does not, nothing is made.
func TestAnAgentWhoseUpdateIsOpenCanLack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, 1
		w.mustApply()
		w.want[1].Fields["name"] = "New"
		answered := make(chan struct{})
		w.client[comet] = platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpUpdate, Class: platform.Unknown, Hold: answered})
		w.applyUntil(func(cancel func()) { time.AfterFunc(time.Second, func() { cancel(); close(answered) }) })
		w.client[comet] = altered{Client: w.memory[comet],
			list: func(all []platform.Remote) []platform.Remote { return all[:1] }}
		w.want = append(w.want, concierge("c"))
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.made(comet, 2)
	})
}

// While an earlier run's request is recovered, secrets are compared under the state's lineage: one that did not change
// is none.
func TestRecoveryChangesNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", secret.Template("Uses ${secret:TOKEN}."))}
		w.mustApply()
		w.want = append(w.want, coach("b"))
		w.interrupted(mind)
		if rep := w.mustApply(); slices.ContainsFunc(rep.Results, func(r apply.Result) bool {
			return r.Address.Key == "a"
		}) {
			t.Errorf("the secret was sent again:\n%s", describe(rep))
		}
		w.check()
	})
}

// A create whose intent cannot be read stays open: nobody knows what to look for, and nothing is made in its place.
func TestAnIntentThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	snap := w.load(w.file())
	snap.Open = []state.Intent{{ID: 1, Address: w.want[0].Address, Action: "create", Fields: agent.Doc(`{`),
		At: time.Now()}}
	fleet, err := state.NewFleet(snap.State, snap.Open)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		rep, err := w.engine(fleet).Apply(t.Context(), apply.Session{Plan: w.planOf, Review: w.review,
			Begin: func(*plan.Plan) (apply.Ledger, error) { return &noJournal{fleet: fleet}, nil },
			End:   func() error { return nil }})
		if err != nil || rep.Count(apply.StatusUnknown) != 1 ||
			!strings.Contains(rep.Results[0].Err.Error(), "nobody can say yet what became of it: ") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
	})
	w.made(mind, 0)
	if len(fleet.Open()) != 1 {
		t.Error("the intent was closed")
	}
}

// An open create that says nothing of what was sent is waited for like any other, and its agent is made then.
func TestAnIntentThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		fleet, err := state.NewFleet(w.load(w.file()).State, []state.Intent{{ID: 100, Address: w.want[0].Address,
			Action: "create", At: time.Now()}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		rep, err := w.engine(fleet).Apply(t.Context(), w.inMemory(fleet))
		if err != nil || rep.Outcome != apply.OutcomeComplete || time.Since(start) < 30*time.Second {
			t.Errorf("after %s: %v\n%s", time.Since(start), err, describe(rep))
		}
		w.made(mind, 1)
	})
}

// An old agent of a replace that is not deleted yet is named, with what to do; what the platform hints at itself counts
// more.
func TestAnOldAgentThatIsNotDeletedIsNamed(t *testing.T) {
	for status, hint := range map[int]string{400: "the next apply deletes it:\n  agentsync apply --prune",
		404: "https://acme.example.com"} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld(t)
			w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
			w.mustApply()
			w.want[0].Fields["externalTenantId"] = "t2"
			w.client[mind] = platformtest.WithFaults(w.memory[mind],
				platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Refused, Status: status})
			rep, err := w.apply(t.Context())
			if err != nil || rep.Count(apply.StatusFailed) != 1 {
				t.Fatalf("%v\n%s", err, describe(rep))
			}
			res := rep.Results[0]
			if res.UID != "agent-0002" || !strings.Contains(res.Err.Error(),
				"the old agent agent-0001 is not deleted yet: ") ||
				!strings.Contains(res.Hint, hint) {
				t.Errorf("%s: %v, hint %q", res.UID, res.Err, res.Hint)
			}
		})
	}
}

// Why an app was stopped first is what the agents that were not begun are told.
func TestTheFirstReasonToStopCounts(t *testing.T) {
	for want, wait := range map[string][2]time.Duration{
		"the platform refused the API key":      {time.Second, 2 * time.Second},
		"another agent of the app failed first": {2 * time.Second, time.Second},
	} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.opts.Parallelism, w.opts.StopOnError = 2, true
				for i := range 20 { // more than are under way at once
					w.want = append(w.want, coach(fmt.Sprintf("m%02d", i)))
				}
				var faults []platformtest.Fault
				for n, status := range []int{401, 422} {
					answered := make(chan struct{})
					time.AfterFunc(wait[n], func() { close(answered) })
					faults = append(faults, platformtest.Fault{Op: platformtest.OpCreate, Nth: n +
						1, Class: platform.Refused,
						Status: status, Hold: answered})
				}
				w.client[mind] = platformtest.WithFaults(w.memory[mind], faults...)
				rep, err := w.apply(t.Context())
				if err != nil || rep.Count(apply.StatusFailed) != 2 || rep.Count(apply.StatusNotStarted) != 18 {
					t.Fatalf("%v\n%s", err, describe(rep))
				}
				for _, res := range rep.Results {
					if res.Status == apply.StatusNotStarted && !strings.Contains(res.Err.Error(), want) {
						t.Errorf("%s: %v", res.Address, res.Err)
					}
				}
			})
		})
	}
}

// An apply that was interrupted when all was done is complete.
func TestAnInterruptAfterTheLastAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.observe = func(e apply.Event) {
			if e.Kind == apply.EventFinished {
				cancel()
			}
		}
		if rep, err := w.apply(ctx); err != nil || rep.Outcome != apply.OutcomeComplete {
			t.Errorf("%v, %s", err, rep.Outcome)
		}
	})
}

// Which agents the next apply sends: of a run that did a part, what was not done and not refused.
func TestAgain(t *testing.T) {
	results := []apply.Result{{Status: apply.StatusDone}, {Status: apply.StatusFailed, Err: errors.New("x")},
		{Status: apply.StatusUnknown, Err: errors.New("x")},
		{Status: apply.StatusNotStarted, Err: fmt.Errorf("%w: x", apply.ErrBlocked)},
		{Status: apply.StatusNotStarted, Err: errors.New("x")}}
	for outcome, want := range map[apply.Outcome]int{
		apply.OutcomePartial: 3, apply.OutcomeInterrupted: 3, apply.OutcomeFailed: 0, apply.OutcomeComplete: 0,
	} {
		t.Run(fmt.Sprint(outcome), func(t *testing.T) {
			if rep := (apply.Report{Outcome: outcome, Results: results}); rep.Again() != want {
				t.Errorf("%s: %d agents, want %d", outcome, rep.Again(), want)
			}
		})
	}
}

// An agent is taken over, and what it may not hold yet (a secret, its mark) is refused: the next apply sends it.
func TestWhatAnAdoptionCouldNotSend(t *testing.T) {
	for name, marked := range map[string]bool{"a secret": false, "a mark": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.want = []agent.Desired{concierge("a")}
			if !marked {
				w.want[0].Fields["integrationMeta"] = map[string]any{"baseUrl": "https://a.example.com",
					"headers": map[string]any{"authorization": secret.Template("Bearer ${secret:TOKEN}")}}
			}
			w.mustApply()
			w.state += ".lost"
			w.marking(marked)
			w.client[comet] = platformtest.WithFaults(w.memory[comet],
				platformtest.Fault{Op: platformtest.OpUpdate, Class: platform.Refused, Status: 400})
			if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusFailed) != 1 {
				t.Errorf("%v\n%s", err, describe(rep))
			}
			if n := len(w.load(w.file()).State.Agents); n != 1 {
				t.Errorf("%d agents in state, want the one that was taken over", n)
			}
			faulty := platformtest.WithFaults(w.memory[comet])
			w.client[comet] = faulty
			w.mustApply()
			if n := faulty.Calls(platformtest.OpUpdate); n != 1 {
				t.Errorf("%d updates, want 1", n)
			}
			w.check()
			w.checkMarks()
		})
	}
}

// Without a lookup there are no secrets: an agent that needs one fails, and says which.
func TestWithoutALookupThereAreNoSecrets(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "agentPurpose", secret.Template("Uses ${secret:TOKEN}.")), coach("b")}
	w.opts.Lookup = nil
	rep, err := w.apply(t.Context())
	if err != nil || rep.Count(apply.StatusDone) != 1 || !strings.Contains(rep.Results[0].Err.Error(), "TOKEN") {
		t.Errorf("%v\n%s", err, describe(rep))
	}
	w.made(mind, 1)
}

// A create that was not carried out, and whose intent cannot be closed, is told with the reason.
func TestAnIntentThatCannotBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		w.givenUp(mind, 0)
		w.ledger = func(l apply.Ledger) apply.Ledger {
			return picky{l, func(r state.Result) bool { return r.Kind == state.Voided }}
		}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusUnknown) != 1 || !strings.Contains(rep.Results[0].Err.Error(),
			"this result is refused") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.made(mind, 0)
	})
}

// A request is open in an app that no manifest has a section for: nobody can ask there, it stays open, and is told.
func TestAnOpenRequestOfAnAppWithoutASection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		snap := w.load(w.file())
		elsewhere := agent.Address{Platform: "mindset", App: "elsewhere", Key: "x"}
		snap.Open = []state.Intent{{ID: 99, Address: elsewhere, Action: "create", Fields: agent.Doc(`{}`),
			At: time.Now()}}
		fleet, err := state.NewFleet(snap.State, snap.Open)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		rep, err := w.engine(fleet).Apply(t.Context(), apply.Session{Plan: w.planOf, Review: w.review,
			Begin: func(*plan.Plan) (apply.Ledger, error) {
				return &noJournal{fleet: fleet}, nil
			}, End: func() error { return nil }})
		if err != nil || rep.Count(apply.StatusDone) != 1 || rep.Count(apply.StatusUnknown) != 1 ||
			len(fleet.Open()) == 0 ||
			!strings.Contains(describe(rep), "no manifest has a section for mindset/elsewhere") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		if time.Since(start) > time.Minute {
			t.Errorf("it took %s", time.Since(start))
		}
	})
}

// A create that the platform answers in its own words with a conflict is sent once, one that it answers twice in the
// same words twice, and any other trouble four times: it may pass.
func TestHowOftenACreateIsSent(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(n int) *platform.Error
		sent   int
	}{
		"a conflict":           {func(int) *platform.Error { return &platform.Error{Status: 409, OwnWords: true} }, 1},
		"a gateway's conflict": {func(int) *platform.Error { return &platform.Error{Status: 409} }, 4},
		"the same words": {func(int) *platform.Error {
			return &platform.Error{Status: 500, OwnWords: true, Message: "no"}
		}, 2},
		"the same of a gateway": {func(int) *platform.Error { return &platform.Error{Status: 500, Message: "no"} }, 4},
		"other words": {func(n int) *platform.Error {
			return &platform.Error{Status: 500, OwnWords: true, Message: fmt.Sprint(n)}
		}, 4},
		"the same, another code": {func(n int) *platform.Error {
			return &platform.Error{Status: 500, OwnWords: true, Code: fmt.Sprint(n)}
		}, 4},
		"the same, other status": {func(n int) *platform.Error {
			return &platform.Error{Status: 500 + n, OwnWords: true, Message: "no"}
		}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				sent := 0
				w.client[mind] = altered{Client: w.memory[mind], create: func(context.Context,
					agent.Fields) (platform.Remote, error) {
					sent++
					err := tt.answer(sent)
					err.Class, err.Method = platform.Unknown, "POST"
					return platform.Remote{}, err
				}}
				rep, err := w.apply(t.Context())
				if err != nil || rep.Count(apply.StatusFailed) != 1 || sent != tt.sent {
					t.Errorf("sent %d times, want %d: %v\n%s", sent, tt.sent, err, describe(rep))
				}
			})
		})
	}
}

// Why an agent that a list does not show could not be asked for is told.
func TestWhyAnAgentCouldNotBeReadIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, key := range []string{"a", "b"} {
			w.want = append(w.want, coach(key))
			w.mustApply()
			time.Sleep(time.Second)
		}
		w.want = append(w.want, coach("c"))
		w.client[mind] = altered{Client: platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpRead, Class: platform.Unknown, Status: 502}),
			list: func(all []platform.Remote) []platform.Remote { return all[:1] }}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 || !strings.Contains(rep.Results[0].Err.Error(),
			"agent-0002, and that could not be read: GET /agents/agent-0002: 502") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
	})
}

// An agent that may be one that left under another key is not deleted, and nothing is made in its place: both are told,
// with what a manifest says in either case.
func TestALikelyRenameIsRefused(t *testing.T) {
	w := newWorld(t)
	w.pruned(coach("a"), coach("old", "agentName", "Same"))
	w.want, w.guess = append(w.want, coach("new", "agentName", "Same")), true
	rep, err := w.apply(t.Context())
	if err != nil || rep.Count(apply.StatusNotStarted) != 2 {
		t.Fatalf("%v\n%s", err, describe(rep))
	}
	for _, res := range rep.Results {
		if !errors.Is(res.Err, apply.ErrBlocked) || !strings.Contains(res.Err.Error(),
			"mindset/acme/new may be mindset/acme/old under another key") ||
			!strings.Contains(res.Hint, "previousKeys: [old]") {
			t.Errorf("%s: %v, hint %q", res.Address, res.Err, res.Hint)
		}
	}
	w.made(mind, 2)
	w.knows(2, 0)
}

// Once an agent that the list does not show has answered, the list is a cut one: another that it does not show is asked
// for only where its manifest changed.
func TestWhatChangedIsSentToAnAgentThatIsNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b"), concierge("c"),
			concierge("d")}, true, 1
		w.mustApply()
		w.want[2].Fields["name"] = "New"
		faulty := platformtest.WithFaults(w.memory[comet])
		w.client[comet] = altered{Client: faulty, list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		if name := w.memory[comet].Agents()[2].Content.Value("name"); name != "New" ||
			faulty.Calls(platformtest.OpUpdate) != 2 {
			t.Errorf("the name is %v after %d updates", name, faulty.Calls(platformtest.OpUpdate))
		}
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
	})
}

// Who only reads gets what can be read, and an error that names what cannot.
func TestListsForReaders(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), coach("b"), concierge("c")}
	w.mustApply()
	w.memory[mind].Remove("agent-0002")
	w.client[comet] = altered{Client: w.memory[comet], broken: func() bool { return true }}
	fleet, err := state.NewFleet(w.load(w.file()).State, nil)
	if err != nil {
		t.Fatal(err)
	}
	known, err := w.engine(fleet).Lists(t.Context(), []agent.AppID{comet, mind})
	if err == nil || !strings.HasPrefix(err.Error(), "list the agents of cometchat/app1: ") ||
		strings.Contains(err.Error(), "mindset") {
		t.Error(err)
	}
	if _, listed := known.Live[comet]; listed || len(known.Live[mind]) != 1 || !known.Gone[mind]["agent-0002"] ||
		len(known.Gone[mind]) != 1 {
		t.Errorf("live %v, gone %v", known.Live, known.Gone)
	}
}

// An agent that is protected is not replaced either, and the way there is another one than for a delete.
func TestAProtectedAgentIsNotReplaced(t *testing.T) {
	w := newWorld(t)
	w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
	w.want[0].Protect = true
	w.mustApply()
	w.want[0].Fields["externalTenantId"] = "t2"
	rep, err := w.apply(t.Context())
	if err != nil || len(rep.Results) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) ||
		!strings.HasPrefix(rep.Results[0].Hint, "take lifecycle.protect out of its manifest") {
		t.Errorf("%v\n%s", err, describe(rep))
	}
	w.made(mind, 1)
}

// An app that cannot be read back is told, also where an agent of another app failed.
func TestAnAppThatCannotBeReadBackIsToldBesideAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(1)
		w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpList, Nth: 2,
			Class: platform.Unknown})
		w.client[comet] = platformtest.WithFaults(w.memory[comet], platformtest.Fault{Op: platformtest.OpCreate,
			Class: platform.Refused, Status: 400})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Unread != 1 || !strings.Contains(strings.Join(rep.Warnings, "\n"),
			"mindset/acme could not be listed: ") {
			t.Errorf("%v, %d unread, %q", err, rep.Unread, rep.Warnings)
		}
	})
}

// With nothing to do, and an app that cannot be listed, nothing is known of what is live: that is an error.
func TestNothingToDoIsNotBelievedWithoutAList(t *testing.T) {
	w := newWorld(t)
	w.want, w.refresh = fleet(1), true
	w.mustApply()
	w.client[mind] = altered{Client: w.memory[mind], broken: func() bool { return true }}
	if _, err := w.apply(t.Context()); err == nil || !strings.HasPrefix(err.Error(),
		"list the agents of mindset/acme: ") {
		t.Error(err)
	}
	w.refresh = false // then nobody asked for it
	if rep, err := w.apply(t.Context()); err != nil || rep.Outcome != apply.OutcomeComplete {
		t.Error(err)
	}
}

// Beside a list that may hide any agent nothing is made, where the state knows none that it shows, or one that it does
// not.
func TestNothingIsMadeBesideAListThatMayHideIt(t *testing.T) {
	for name, known := range map[string]bool{"nothing is known": false, "one is hidden": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if known {
					w.want, w.opts.Parallelism = []agent.Desired{coach("x"), coach("y")}, 1
					w.mustApply()
				}
				w.memory[mind].Put(agent.Fields{"agentName": "Somebody's"})
				w.want = append(w.want, coach("a"))
				w.client[mind] = doubting{Client: w.memory[mind], hide: map[string]bool{"agent-0002": known}}
				made := w.memory[mind].Made()
				rep, err := w.apply(t.Context())
				if err != nil || rep.Count(apply.StatusFailed) != 1 ||
					!errors.Is(rep.Results[0].Err, apply.ErrSuspiciousList) {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				w.made(mind, made)
			})
		})
	}
}

// An agent that the list does not show was asked for by an update, and the answer was lost: what was done is an update.
func TestAskingIsAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, true, 1
		w.mustApply()
		lists := 0
		w.client[comet] = altered{Client: platformtest.WithFaults(w.memory[comet], lost(platformtest.OpUpdate, 1)),
			list: func(all []platform.Remote) []platform.Remote {
				if lists++; lists <= 4 { // those before the plan
					return all[:1]
				}
				return all
			}}
		rep := w.mustApply()
		if len(rep.Results) != 1 || rep.Results[0].Action != plan.Update {
			t.Errorf("results:\n%s", describe(rep))
		}
		w.made(comet, 2)
	})
}

// An update goes to an agent that another version of the API saw last: of what that one observed nothing is recorded.
func TestWhatAnotherVersionObservedGoes(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "agentPersonality", "Kind.")}
	w.mustApply()
	v2 := w.schemas["mindset"].Version("v2")
	w.schemas["mindset"], w.memory[mind] = v2, platformtest.NewMemory(v2)
	w.client[mind] = w.memory[mind]
	w.want[0] = coach("a", "agentPurpose", "New.")
	w.memory[mind].Put(agent.Fields{"agentName": "Coach a"})
	w.mustApply()
	rec := w.load(w.file()).State.Agents[w.want[0].Address]
	seen, err := rec.Observed.Fields()
	if _, is := seen["agentPersonality"]; err != nil || is || seen["agentPurpose"] != "New." || rec.API != "v2" {
		t.Errorf("%v, %v, version %q", seen, err, rec.API)
	}
	w.check()
}

// What is recorded says which version of the API saw it: nothing else could say in whose fields it is.
func TestRecordsSayTheirVersion(t *testing.T) {
	w := newWorld(t)
	v2 := w.schemas["mindset"].Version("v2")
	w.schemas["mindset"], w.memory[mind] = v2, platformtest.NewMemory(v2)
	w.client[mind] = w.memory[mind]
	w.want = []agent.Desired{coach("a", "agentPurpose", "Helps."), concierge("b")}
	for _, purpose := range []string{"Helps.", "Helps more."} {
		w.want[0].Fields["agentPurpose"] = purpose
		w.mustApply()
		for a, rec := range w.load(w.file()).State.Agents {
			if want := map[string]string{"mindset": "v2", "cometchat": ""}[a.Platform]; rec.API != want {
				t.Errorf("%s, %s: version %q, want %q", purpose, a, rec.API, want)
			}
		}
	}
}
