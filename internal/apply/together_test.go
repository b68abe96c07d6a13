package apply_test

import (
	"context"
	"errors"
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

// What only happens where two things come together: a lost state and a platform without times, a delete and somebody
// who was quicker, an interrupt and a list that lags.

// known is an engine for what the file knows, and what it makes of the session.
func (w *world) known() (*apply.Engine, *state.Fleet) {
	w.t.Helper()
	snap := w.load(w.file())
	fleet, err := state.NewFleet(snap.State, snap.Open)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return w.engine(fleet), fleet
}

// The plan that apply would have is made without sending anything; where an app cannot be listed, nothing is believed.
func TestAPlanOfTheEngine(t *testing.T) {
	for name, broken := range map[string]bool{"it can be listed": false, "it cannot": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.want, w.refresh = []agent.Desired{coach("a")}, true
			w.mustApply()
			w.memory[mind].Set("agent-0001", "agentPurpose", "Theirs.")
			w.client[mind] = altered{Client: w.memory[mind], broken: func() bool { return broken }}
			engine, fleet := w.known()
			p, err := engine.Plan(t.Context(), w.inMemory(fleet))
			if (err != nil) != broken || !broken && p.Summary.Update != 1 {
				t.Errorf("%v, %+v", err, p)
			}
		})
	}
}

// An interrupt ends the waiting for a list that lags, and no other list is asked for.
func TestAnInterruptEndsTheWaitForAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh = []agent.Desired{concierge("a"), concierge("b")}, true
		w.mustApply()
		faulty := platformtest.WithFaults(w.memory[comet])
		w.client[comet] = altered{Client: faulty, list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond) // in the second pause
		defer cancel()
		_, _ = w.apply(ctx)
		if n := faulty.Calls(platformtest.OpList); n != 2 {
			t.Errorf("%d lists, want 2", n)
		}
	})
}

// A request is open in an app that cannot be listed, and nothing else is to be done: that is told of its agent, and is
// no error of the apply.
func TestAnOpenRequestOfAnAppThatCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Old.")}
		w.mustApply()
		w.want[0].Fields["agentPurpose"] = "New."
		w.ending(true)
		w.want[0].Fields["agentPurpose"], w.refresh = "Old.", true
		w.client[mind] = altered{Client: w.memory[mind], broken: func() bool { return true }}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusUnknown) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
	})
}

// An address counts as one that may have a second agent as soon as one of its open requests is a create.
func TestACreateAmongOpenRequests(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	a := w.want[0].Address
	for _, actions := range [][]string{{"create", "update"}, {"update", "create"}, {"update", "update"}} {
		var open []state.Intent
		for i, action := range actions {
			open = append(open, state.Intent{ID: uint64(1 + i), Address: a, Action: action, At: time.Now()})
		}
		open[len(open)-1].UID, open[0].UID = "", "agent-0009"
		fleet, err := state.NewFleet(&state.State{Lineage: "l"}, open)
		if err != nil {
			t.Fatal(err)
		}
		known, err := w.engine(fleet).Lists(t.Context(), []agent.AppID{mind})
		if may, is := known.Open[a]; err != nil || !is || may != (actions[0] != actions[1]) {
			t.Errorf("%v: %v, %v, %v", actions, may, is, err)
		}
	}
}

// An update of an earlier run that sent what is wanted still, and a field that the section's version of the API does
// not have, is not waited for: it overwrites nothing.
func TestAnUpdateOfAFieldOfAnotherVersionIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		live := w.memory[mind].Put(w.want[0].Fields)
		start := time.Now()
		w.recovered(map[agent.Address]agent.Record{w.want[0].Address: {UID: live.UID}}, state.Intent{
			Address: w.want[0].Address, Action: "update", UID: live.UID,
			Fields: encoded(t, agent.Fields{"agentName": "Coach a", "personality": "Kind."})})
		if took := time.Since(start); took > time.Second {
			t.Errorf("it waited %s", took)
		}
	})
}

// An update is open, and its agent is gone by the platform's own word: nothing is left to be updated.
func TestAnOpenUpdateOfAnAgentThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("b")}
	gone, there := coach("a").Address, w.memory[mind].Put(coach("b").Fields)
	fleet := w.recovered(map[agent.Address]agent.Record{gone: {UID: "agent-0009"}, w.want[0].Address: {UID: there.UID}},
		state.Intent{Address: gone, Action: "update", UID: "agent-0009", Fields: encoded(t, coach("a").Fields)})
	if len(fleet.Open()) > 0 {
		t.Errorf("%d requests are open", len(fleet.Open()))
	}
}

// A platform that does not say when its agents were made: what an open create made is found all the same, and what it
// may have made stops it.
func TestAnAgentWithoutATimeIsFound(t *testing.T) {
	for name, want := range map[string]apply.Outcome{"Coach a": apply.OutcomeComplete, "coach": apply.OutcomeFailed} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				w.intended(func(int) bool { return true }, w.want...)
				w.memory[mind].Put(agent.Fields{"agentName": name})
				w.client[mind] = altered{Client: w.memory[mind], list: func(all []platform.Remote) []platform.Remote {
					for i := range all {
						all[i].CreatedAt = time.Time{}
					}
					return all
				}}
				rep, err := w.apply(t.Context())
				if err != nil || rep.Outcome != want {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				w.made(mind, 1)
			})
		})
	}
}

// An agent is not listed, and an equal one that somebody made is. The first is asked for before the other is taken
// over: it is there, and its uid is the one that counts.
func TestWhatIsNotListedIsAskedForBeforeAnotherIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, true, 1
		w.mustApply()
		w.memory[comet].Put(w.want[1].Fields)
		w.client[comet] = altered{Client: w.memory[comet], list: func(all []platform.Remote) []platform.Remote {
			return append(all[:1:1], all[2])
		}}
		w.mustApply()
		if uid := w.uids()[w.want[1].Address]; uid != "agent-0002" {
			t.Errorf("the agent is %s", uid)
		}
	})
}

// A name was sent in clear, and stands in a secret now that has no value here: the agent is found by what was sent.
func TestANameThatBecameASecretIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentName", secret.Template("${secret:NAME}"))}
		w.opts.Lookup = nil
		made := w.memory[mind].Put(agent.Fields{"agentName": "Coach a"})
		fleet := w.recovered(nil, state.Intent{Address: w.want[0].Address, Action: "create",
			Fields: encoded(t, agent.Fields{"agentName": "Coach a"})})
		if rec, _ := fleet.Record(w.want[0].Address); rec.UID != made.UID {
			t.Errorf("%+v", rec)
		}
	})
}

// A replace whose old agents are two: the platform ignores the delete of one and refuses that of the other. What is
// told is what was refused.
func TestWhatWasRefusedIsToldBeforeWhatWasIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
		w.mustApply()
		w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpDelete, Nth: 1,
			Class: platform.Refused, Status: 400}, platformtest.Fault{Op: platformtest.OpDelete, UID: "agent-0002",
			Class: platform.Refused, Status: 422}, ignoresDelete)
		for _, tenant := range []string{"t2", "t3"} {
			w.want[0].Fields["externalTenantId"] = tenant
			rep, err := w.apply(t.Context())
			refused, _ := errors.AsType[*platform.Error](rep.Results[0].Err)
			if err != nil || rep.Count(apply.StatusFailed) != 1 || refused == nil {
				t.Errorf("%s: %v\n%s", tenant, err, describe(rep))
			}
		}
	})
}

// A delete of an earlier run is sent again, answered and ignored; its agent is wanted again by then, and updated. That
// the lists go on showing it is no failure of the update.
func TestAnIgnoredDeleteOfAnAgentThatIsWantedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(concierge("a"), concierge("b"))
		w.lostDelete(comet)
		w.want, w.prune = append(w.want, concierge("b", "name", "New")), false
		start := time.Now()
		w.client[comet] = altered{Client: platformtest.WithFaults(w.memory[comet], ignoresDelete),
			list: func(all []platform.Remote) []platform.Remote {
				if time.Since(start) < 10*time.Second {
					return all[:1]
				}
				return all
			}}
		w.mustApply()
		w.check()
	})
}

// A mark is taken away, and the platform shows it still: that is told.
func TestAMarkThatDoesNotGo(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "tags", []any{"x"})}
	w.marking(true)
	w.mustApply()
	mark := w.want[0].Mark
	w.marking(false)
	w.client[mind] = altered{Client: w.memory[mind], list: func(all []platform.Remote) []platform.Remote {
		all[0].Mark = mark
		return all
	}}
	rep := w.mustApply()
	if len(rep.Results) != 1 ||
		rep.Results[0].Warning != "the platform keeps another value than was sent for the marker" {
		t.Errorf("%+v", rep.Results)
	}
}

// An update is answered as done, of an agent that nobody has seen since it was made, at a platform that adds members.
// The old value with such a member was not carried out; where one of the members was, it was not ignored.
func TestAnUpdateWhoseOldValueHasGrown(t *testing.T) {
	for name, tt := range map[string]struct {
		sent   map[string]any
		status apply.Status
	}{
		"ignored":             {map[string]any{"x": "2"}, apply.StatusFailed},
		"carried out in part": {map[string]any{"x": "2", "added": "1"}, apply.StatusDone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{concierge("a", "metaData", map[string]any{"x": "1"})}
				w.client[comet] = platformtest.WithFaults(w.memory[comet],
					platformtest.Fault{Op: platformtest.OpCreate, Odd: true},
					platformtest.Fault{Op: platformtest.OpList, Nth: 2, Class: platform.Unknown})
				if _, err := w.apply(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.want[0].Fields["metaData"] = tt.sent
				w.client[comet] = platformtest.WithFaults(platformtest.WithRewrite(w.memory[comet],
					func(f agent.Fields) agent.Fields {
						f["metaData"] = map[string]any{"x": "1", "added": "1"}
						return f
					}), platformtest.Fault{Op: platformtest.OpUpdate, Ignored: true})
				rep, err := w.apply(t.Context())
				if err != nil || rep.Count(tt.status) != 1 {
					t.Errorf("%v\n%s", err, describe(rep))
				}
			})
		})
	}
}

// Another version of the API made the agent, and the app cannot be listed: nothing is written to it.
func TestAnAgentOfAnotherVersionThatCannotBeListed(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.mustApply()
	w.schemas["mindset"] = w.schemas["mindset"].Version("v2")
	w.want[0].Fields["agentPurpose"] = "New."
	faulty := platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpList,
		Class: platform.Unknown})
	w.client[mind] = faulty
	rep, err := w.apply(t.Context())
	if err != nil || rep.Count(apply.StatusNotStarted) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) ||
		faulty.Calls(platformtest.OpUpdate) > 0 {
		t.Errorf("%v, %d updates\n%s", err, faulty.Calls(platformtest.OpUpdate), describe(rep))
	}
}

// An agent that is to be deleted and is not listed is deleted, and not asked for by an update. Its uid stays in the
// state until that has an answer, also where the platform says that it is gone.
func TestADeleteOfWhatIsNotListed(t *testing.T) {
	for id, of := range map[agent.AppID]func(string, ...any) agent.Desired{mind: coach, comet: concierge} {
		t.Run(id.Platform, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pruned(of("a"), of("b"))
				w.refresh = true
				w.memory[id].Remove("agent-0002")
				lists := 0
				faulty := platformtest.WithFaults(w.memory[id], platformtest.Fault{Op: platformtest.OpDelete,
					Class: platform.Unknown})
				w.client[id] = altered{Client: faulty, broken: func() bool {
					lists++
					return faulty.Calls(platformtest.OpDelete) > 0
				}}
				if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusUnknown) != 1 {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				w.knows(2, 1)
				if n := faulty.Calls(platformtest.OpUpdate); n > 0 {
					t.Errorf("%d updates", n)
				}
			})
		})
	}
}

// A field is left to others, and with it the mark that it would carry: an agent that is taken over is not written to.
func TestAMarkIsNotSentInAFieldThatIsLeftToOthers(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.want[0].IgnoreChanges = []string{"tags"}
	w.marking(true)
	w.memory[mind].Put(w.want[0].Fields)
	faulty := platformtest.WithFaults(w.memory[mind])
	w.client[mind] = faulty
	if rep := w.mustApply(); rep.Results[0].Action != plan.Adopt || faulty.Calls(platformtest.OpUpdate) > 0 {
		t.Errorf("%d updates\n%s", faulty.Calls(platformtest.OpUpdate), describe(rep))
	}
}

// Nothing but its uid is known of an agent that no list shows, and its platform answers an update with nothing: nothing
// is recorded as observed.
func TestAnAgentOfWhichNothingIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, true, 1
		w.mustApply()
		w.changeState(func(s *state.State) { s.Agents[w.want[1].Address] = agent.Record{UID: "agent-0002"} })
		w.client[comet] = altered{Client: w.memory[comet], list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		w.mustApply()
		if rec := w.load(w.file()).State.Agents[w.want[1].Address]; rec.Observed != nil || rec.Applied == nil {
			t.Errorf("applied %s, observed %s", rec.Applied, rec.Observed)
		}
	})
}

// Somebody deletes an agent while apply does, and the delete is answered 404 in another voice than the platform's:
// asked for the agent, the platform says itself that it is gone. So it does of the old agent of a replace, which no
// list is asked about.
func TestAnAgentThatSomebodyDeletedFirst(t *testing.T) {
	for name, replaced := range map[string]bool{"a delete": false, "a replace": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pruned(coach("a", "externalTenantId", "t1"), coach("b", "externalTenantId", "t1"))
				if replaced {
					w.want = append(w.want, coach("b", "externalTenantId", "t2"))
				}
				w.client[mind] = platformtest.WithScript(w.memory[mind], func(c platformtest.Call) platformtest.Fault {
					if c.Op != platformtest.OpDelete {
						return platformtest.Fault{}
					}
					w.memory[mind].Remove(c.UID)
					return platformtest.Fault{Class: platform.Refused, Status: 404}
				})
				w.mustApply()
				w.check()
			})
		})
	}
}
