package apply_test

import (
	"context"
	"errors"
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
	"agentsync/internal/state"
)

// doubting answers each list as one that may have been cut short, and hides some agents from it.
type doubting struct {
	platform.Client
	hide     map[string]bool
	sameTime bool // what it hides shares a time with what it shows
}

func (d doubting) List(ctx context.Context) ([]platform.Remote, error) {
	all, err := d.Client.List(ctx)
	if err != nil || len(all) == 0 {
		return all, err
	}
	shown := all[:0:0]
	for _, r := range all {
		if !d.hide[r.UID] {
			shown = append(shown, r)
		}
	}
	return nil, &platform.Error{Class: platform.Unknown, Method: "GET", Path: "/agents",
		Err: &platform.DoubtfulList{Agents: shown, Reason: "others may be hidden", SameTime: d.sameTime}}
}

func TestDoubtfulListIsTakenWhereStateSpeaksForIt(t *testing.T) {
	w := newWorld(t)
	w.client[mind] = doubting{Client: w.memory[mind]}
	w.want = []agent.Desired{coach("a"), coach("b")}
	w.mustApply()
	w.check()
	w.want = append(w.want, coach("c"))
	w.mustApply() // the list shows both agents that state knows
	w.check()
}

func TestDoubtfulListThatLacksAnAgentStopsCreates(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), coach("b")}
	w.mustApply()
	w.client[mind] = doubting{Client: w.memory[mind], hide: map[string]bool{w.memory[mind].Agents()[1].UID: true}}
	w.want = append(w.want, coach("c"))
	rep, err := w.apply(t.Context())
	if err != nil || len(rep.Results) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrSuspiciousList) {
		t.Fatalf("%v\n%s", err, describe(rep))
	}
	if n := w.memory[mind].Made(); n != 2 {
		t.Errorf("%d agents were made", n)
	}
}

// A list whose pages hold one agent hides those of the same millisecond. Known ones are read alone and stand in no
// create's way; a create without an answer may have made one that is hidden, so it is not sent again unless a person
// says so.
func TestListThatHidesAgentsOfOneTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Parallelism = 1
		w.want = []agent.Desired{coach("a"), coach("b")}
		w.mustApply()
		hides := doubting{Client: w.memory[mind], hide: map[string]bool{"agent-0002": true}, sameTime: true}
		w.client[mind] = hides
		w.want = append(w.want, coach("c"))
		w.mustApply()
		w.made(mind, 3)
		time.Sleep(time.Second) // an agent of a time that is not listed is hidden by nothing that is known
		w.memory[mind].Remove("agent-0003")
		w.want = w.want[:2]
		w.prune = true
		w.mustApply()
		w.check()

		w.want = append(w.want, coach("d"))
		hides.Client = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 1, Class: platform.Unknown})
		w.client[mind] = hides
		for range 2 {
			start := time.Now()
			rep, err := w.apply(t.Context())
			if err != nil || rep.Count(apply.StatusUnknown) != 1 ||
				!strings.Contains(rep.Results[0].Hint, "--allow-duplicate-names") {
				t.Errorf("%v\n%s", err, describe(rep))
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it waited %s for lists, and only a person can say", took)
			}
		}
		w.made(mind, 3)
		w.opts.AllowDuplicateNames = true
		w.mustApply()
		w.made(mind, 4)
	})
}

// The same list may not hide what was created at another time: then it is cut, and nothing is made beside it.
func TestListThatHidesAnAgentOfAnotherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, key := range []string{"a", "b", "c"} {
			w.want = append(w.want, coach(key))
			w.mustApply()
			time.Sleep(time.Second)
		}
		w.client[mind] = doubting{Client: w.memory[mind], hide: map[string]bool{"agent-0002": true}, sameTime: true}
		w.want = append(w.want, coach("d"))
		rep, err := w.apply(t.Context())
		if err != nil || !errors.Is(rep.Results[0].Err, apply.ErrSuspiciousList) {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.made(mind, 3)
	})
}

func TestDoubtfulListStillShowsWhatToAdopt(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), coach("b")}
	w.mustApply()
	w.state += ".new" // lost
	w.client[mind] = doubting{Client: w.memory[mind]}
	for _, r := range w.mustApply().Results {
		if r.Action != plan.Adopt {
			t.Errorf("%s: %s", r.Address, r.Action)
		}
	}
	w.check()
}

// TestAnUnsettledAddressTakesNoOthersAgent loses a state while an update has no answer yet. The agent of
// that update is known by its intent, so its address must not adopt the equal agent of another, who
// would make a second one.
func TestAnUnsettledAddressTakesNoOthersAgent(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("b", "agentName", "Same"), coach("d", "agentName", "Same")}
	w.mustApply()
	rec := w.load(w.file()).State.Agents
	b, d := w.want[0].Address, w.want[1].Address
	for name, open := range map[string]state.Intent{
		"update": {ID: 1, Address: b, Action: "update", UID: rec[b].UID, At: time.Now()},
		"create": {ID: 1, Address: b, Action: "create", At: time.Now()},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "create" { // of which nothing is to be seen
				w.memory[mind].Remove(rec[b].UID)
			}
			w.state += ".lost"
			snap := w.load(w.file())
			snap.Open = []state.Intent{open}
			w.client[mind] = platformtest.WithFaults(w.memory[mind],
				platformtest.Fault{Op: platformtest.OpList, Nth: 1, Class: platform.Unknown})
			var made *plan.Plan
			fleet, err := state.NewFleet(snap.State, snap.Open)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.engine(fleet).Apply(t.Context(), apply.Session{Plan: w.planOf,
				Begin: func(*plan.Plan) (apply.Ledger, error) { return &noJournal{fleet: fleet}, nil },
				End:   func() error { return nil },
				Review: func(_ context.Context, p *plan.Plan) (bool, error) {
					made = p
					return false,
						errors.New("no")
				}})
			for _, ch := range made.Changes {
				if ch.Address == d && (ch.Action != plan.Adopt || ch.UID != rec[d].UID) || ch.Address == b &&
					ch.Action == plan.Adopt {
					t.Errorf("open %s: %s %s %s", name, ch.Address, ch.Action, ch.UID)
				}
			}
		})
	}
}

// A list that ends before an agent that state knows, however often it comes out the same, may end before
// one that is to be created as well: at a platform that cannot be asked for one agent it stops creates, and
// settles none.
func TestAListThatIsCutAlikeEachTimeCreatesAndSettlesNothing(t *testing.T) {
	cut := func(all []platform.Remote) []platform.Remote { return all[:1] }
	for name, atOnce := range map[string]bool{"before the creates": true, "after them": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.opts.Parallelism = 1
				w.want = []agent.Desired{concierge("a"), concierge("b")}
				w.mustApply()
				w.want = append(w.want, concierge("c"))
				lists := 0
				w.client[comet] = altered{Client: platformtest.WithFaults(w.memory[comet],
					lost(platformtest.OpCreate, 1)),
					list: func(all []platform.Remote) []platform.Remote {
						if lists++; lists == 1 && !atOnce {
							return all
						}
						return cut(all)
					}}
				status, made := apply.StatusFailed, 2
				if !atOnce {
					status, made = apply.StatusUnknown, 3
				}
				rep, err := w.apply(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rep.Results {
					if r.Status != status || !errors.Is(r.Err, apply.ErrSuspiciousList) ||
						!strings.Contains(r.Hint, "--no-refresh") {
						t.Errorf("results:\n%s%s", describe(rep), r.Hint)
					}
				}
				w.made(comet, made)

				w.client[comet] = altered{Client: w.memory[comet]}
				w.mustApply() // the whole list shows it
				w.check()
				w.made(comet, 3)
			})
		})
	}
}

// What vanished, and is made anew, must not stand in the way of settling that: no list shows it any more.
func TestAVanishedAgentDoesNotHoldUpTheCreateThatMakesItAnew(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.opts.Parallelism = 1
			w.want = []agent.Desired{concierge("a"), concierge("b")}
			w.mustApply()
			w.memory[comet].Remove("agent-0002")
			w.refresh = true
			w.client[comet] = altered{Client: w.memory[comet]} // which cannot be asked for one agent
			if crashed {
				w.interrupted(comet)
			} else {
				w.client[comet] = altered{Client: platformtest.WithFaults(w.memory[comet],
					lost(platformtest.OpCreate, 1))}
			}
			w.mustApply()
			w.refresh = false
			w.check()
			w.made(comet, 3)
		})
	}
}

// Two agents are not listed. One is gone, by the platform's own word, and the other was not asked for yet: the list may
// be a cut one still, and nothing is made beside it.
func TestNothingIsMadeBeforeAllThatIsMissingWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b"), concierge("c")}, true, 1
		w.mustApply()
		w.memory[comet].Remove("agent-0002")
		w.client[comet] = altered{Client: w.memory[comet], list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		w.makesOnceListed(0)
	})
}

// makesOnceListed applies while the list of comet is cut: the nth result says that nothing is made beside it, and the
// three agents stay. With a whole list the next apply makes a fourth one.
func (w *world) makesOnceListed(nth int) {
	w.t.Helper()
	rep, err := w.apply(w.t.Context())
	if err != nil || rep.Count(apply.StatusFailed) != 1 || !errors.Is(rep.Results[nth].Err, apply.ErrSuspiciousList) {
		w.t.Errorf("%v\n%s", err, describe(rep))
	}
	w.made(comet, 3)
	w.client[comet] = w.memory[comet]
	w.mustApply()
	w.check()
	w.made(comet, 4)
}

// A list may hide any agent, and misses one that is gone: that it is gone does not make the list a whole one.
func TestAListThatMayHideOthersStaysInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, true, 1
		w.mustApply()
		w.memory[comet].Remove("agent-0002")
		w.client[comet] = doubting{Client: w.memory[comet]}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrSuspiciousList) {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.made(comet, 2)
	})
}

// The one agent that a list misses is to be deleted, and is gone by the platform's own word: the list is a whole one,
// and what is new is made in the same apply.
func TestADeleteOfTheOneThatIsMissedComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(concierge("a"), concierge("b"))
		w.memory[comet].Remove("agent-0002")
		w.want, w.refresh = append(w.want, concierge("c")), true
		w.mustApply()
		w.check()
		w.made(comet, 3)
	})
}

// An update without an answer is not settled by a list that lacks its agent: the manifest may say again what
// state has of it, and nobody would see that the platform has something else.
func TestAListThatLacksItsAgentDoesNotSettleAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Parallelism = 1
		w.want = []agent.Desired{concierge("a"), concierge("b")}
		w.mustApply()
		w.want[1].Fields["name"] = "Renamed"
		broken := platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown} // so that it cannot be read back
		w.client[comet] = platformtest.WithFaults(w.memory[comet], broken,
			lost(platformtest.OpUpdate, 1), lost(platformtest.OpUpdate, 2), lost(platformtest.OpUpdate, 3),
			lost(platformtest.OpUpdate, 4))
		if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusUnknown) != 1 {
			t.Fatalf("%v\n%s", err, describe(rep))
		}
		w.want = []agent.Desired{concierge("a"), concierge("b")}
		cut := func(all []platform.Remote) []platform.Remote { return all[:1] }
		w.client[comet] = altered{Client: w.memory[comet], list: cut}
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		if open := w.load(w.file()).Open; len(open) == 0 {
			t.Error("the update was settled")
		}
		w.client[comet] = altered{Client: w.memory[comet]}
		w.mustApply()
		w.check()
		if name := w.memory[comet].Agents()[1].Content.Value("name"); name != w.want[1].Fields["name"] {
			t.Errorf("the platform has the name %v, want %v", name, w.want[1].Fields["name"])
		}
	})
}

// A list that shows nothing of what state knows may be of another app, and so may be the answer that an agent
// is not there: no delete is settled by it.
func TestAnotherAppsAnswersSettleNoDelete(t *testing.T) {
	w := newWorld(t)
	w.opts.Parallelism = 1
	w.want = []agent.Desired{concierge("a"), concierge("b"), concierge("c")}
	w.mustApply()
	snap := w.load(w.file())
	c := w.want[2].Address
	snap.Open = []state.Intent{{ID: 1, Address: c, Action: "delete", UID: snap.State.Agents[c].UID, At: time.Now()}}
	elsewhere := platformtest.NewMemory(w.schemas[comet.Platform])
	w.client[comet] = altered{Client: elsewhere}
	fleet, err := state.NewFleet(snap.State, snap.Open)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.engine(fleet).Apply(t.Context(), apply.Session{Plan: w.planOf, Review: w.review,
		Begin: func(*plan.Plan) (apply.Ledger, error) { return &noJournal{fleet: fleet}, nil },
		End:   func() error { return nil }})
	if len(fleet.Open()) != 1 {
		t.Error("the delete was settled")
	}
	if _, known := fleet.Record(c); !known {
		t.Error("the agent's uid is lost")
	}
}

// Who deleted an agent by hand is told what to do, and can do it: whether the agent is still wanted or not.
func TestAnAgentDeletedByHandStopsCreatesUntilARefresh(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.opts.Parallelism = 1
			w.want = []agent.Desired{concierge("a"), concierge("b")}
			w.mustApply()
			w.memory[comet].Remove("agent-0002")
			w.client[comet] = altered{Client: w.memory[comet]}
			w.want = append(w.want, concierge("c"))
			if !wanted {
				w.want = slices.Delete(w.want, 1, 2)
			}
			rep, err := w.apply(t.Context())
			if err != nil || !slices.ContainsFunc(rep.Results,
				func(r apply.Result) bool { return strings.Contains(r.Hint, "--no-refresh") }) {
				t.Fatalf("%v\n%s", err, describe(rep))
			}
			w.made(comet, 2)
			w.refresh = true
			if !wanted { // nothing is wanted of it that could be asked for
				rep, err := w.apply(t.Context())
				if err != nil || rep.Count(apply.StatusFailed) != 1 ||
					!strings.HasPrefix(rep.Results[0].Hint, "if one of them is really gone, take it out of the state") {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				w.made(comet, 2)
				return
			}
			w.mustApply()
			w.refresh = false
			w.check()
			w.made(comet, 4)
		})
	}
}

// A list that lags shows what is missing a little later.
func TestAListThatLagsDoesNotStopCreates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Parallelism = 1
		w.want = []agent.Desired{concierge("a"), concierge("b")}
		w.mustApply()
		start := time.Now()
		w.client[comet] = altered{Client: w.memory[comet], list: func(all []platform.Remote) []platform.Remote {
			if time.Since(start) < time.Second {
				return all[:1]
			}
			return all
		}}
		w.want = append(w.want, concierge("c"))
		w.mustApply()
		w.check()
		w.made(comet, 3)
	})
}
