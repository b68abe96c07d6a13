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
	"agentsync/internal/state"
)

// What a person is told: why something was not done and what to do about it, what is waited for, and nothing where all
// is well.

// edited lets edit change each plan before it is carried out.
func (w *world) edited(edit func(*plan.Plan)) {
	w.answer = func(_ context.Context, p *plan.Plan) (bool, error) { edit(p); return false, nil }
}

// changeState changes the state between two runs.
func (w *world) changeState(change func(*state.State)) {
	w.t.Helper()
	f := w.file()
	if err := f.Edit(w.t.Context(), w.load(f), func(s *state.State) error { change(s); return nil }); err != nil {
		w.t.Fatalf("%v", err)
	}
}

// Each reason not to carry a change out has a sentence and a way on.
func TestWhatIsBlockedSaysWhatToDo(t *testing.T) {
	elsewhere := agent.Address{Platform: "mindset", App: "elsewhere", Key: "x"}
	for name, tt := range map[string]struct {
		set       func(w *world)
		err, hint string
	}{
		"deletes were not asked for": {func(w *world) { w.want[0].Fields["externalTenantId"] = "t2" },
			"refused: replacing it deletes the old agent, and deletes were not asked for",
			"allow deletes:\n  agentsync apply --prune"},
		"no section": {func(w *world) {
			w.prune = true
			w.changeState(func(s *state.State) { s.Agents[elsewhere] = agent.Record{UID: "u9"} })
		}, "refused: no manifest has a section for mindset/elsewhere any more, so nothing says how to reach it",
			"put the section back without the agent; or, to leave the agent at the platform:\n" +
				"  agentsync state rm mindset/elsewhere/x"},
		"a namesake": {func(w *world) {
			w.memory[mind].Put(agent.Fields{"agentName": "Coach b", "agentPurpose": "x"})
			w.want = append(w.want, coach("b"))
		}, "refused: an agent of the same name that agentsync does not manage is in the way",
			"take the existing agent over, which updates it to the manifest at the next apply:\n" +
				"  agentsync import mindset/acme/b agent-0002\n" +
				"or create another one of the same name with --allow-duplicate-names"},
		"another version of the API": {func(w *world) {
			w.changeState(func(s *state.State) {
				rec := s.Agents[w.want[0].Address]
				rec.API, rec.UID = "v2", "agent-0009"
				s.Agents[w.want[0].Address] = rec
			})
			w.want[0].Fields["agentPurpose"] = "New."
		}, "refused: the version of the API that the section asks for does not show the agent, which another version made",
			"go back to the other version of the API; if the agent is really gone:\n  agentsync state rm mindset/acme/a"},
		"a reason that is not known here": {func(w *world) {
			w.want[0].Fields["agentPurpose"] = "New."
			w.edited(func(p *plan.Plan) { p.Changes[0].Blocked = "other" })
		}, "refused: other", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a", "externalTenantId", "t1")}
				w.mustApply()
				tt.set(w)
				rep, err := w.apply(t.Context())
				if err != nil || len(rep.Results) != 1 {
					t.Fatalf("%v\n%s", err, describe(rep))
				}
				res := rep.Results[0]
				if res.Status != apply.StatusNotStarted || !errors.Is(res.Err, apply.ErrBlocked) ||
					res.Err.Error() != tt.err || res.Hint != tt.hint {
					t.Errorf("%s: %v, hint %q", res.Status, res.Err, res.Hint)
				}
			})
		})
	}
}

// An update or a delete that is refused with a 404 names where it was asked; another refusal does not.
func TestA404SaysWhereItWasAsked(t *testing.T) {
	const where = "a wrong region, host or endpoint answers 404 as well; agentsync asked\n  https://acme.example.com\n"
	for status, hints := range map[int]map[platformtest.Op]string{
		404: {platformtest.OpUpdate: where +
			"if that is right, someone else deleted the agent, and the next apply makes " +
			"it again:\n  agentsync apply",
			platformtest.OpDelete: where + "if the agent is really gone:\n  agentsync state rm mindset/acme/b"},
		400: {platformtest.OpUpdate: "", platformtest.OpDelete: ""},
	} {
		for op, hint := range hints {
			t.Run(fmt.Sprint(status, op), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.pruned(coach("a"), coach("b"))
					if op == platformtest.OpUpdate {
						w.want = append(w.want, coach("b", "agentPurpose", "New."))
					}
					faulty := platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: op,
						Class: platform.Refused, Status: status})
					w.client[mind] = faulty
					rep, err := w.apply(t.Context())
					if err != nil || rep.Count(apply.StatusFailed) != 1 || rep.Results[0].Hint != hint {
						t.Errorf("%v, hint %q\n%s", err, rep.Results[0].Hint, describe(rep))
					}
					// The list is asked for once more beside the 404 of a delete, and nothing beside another refusal.
					if lists, want := faulty.Calls(platformtest.OpList), map[bool]int{true: 2, false: 1}; op ==
						platformtest.OpDelete && lists != want[status == 404] {
						t.Errorf("%d lists", lists)
					}
				})
			})
		}
	}
}

// An apply in which nothing goes wrong warns of nothing and hints at nothing, with marks and without.
func TestACleanApplyWarnsOfNothing(t *testing.T) {
	for _, marks := range []bool{false, true} {
		w := newWorld(t)
		w.want, w.prune = append(fleet(2), coach("tenant", "externalTenantId", "t1", "tags", []any{"x"})), true
		w.marking(marks)
		clean := func() {
			t.Helper()
			rep := w.mustApply()
			for _, res := range rep.Results {
				if res.Warning != "" || res.Hint != "" || res.Err != nil {
					t.Errorf("%s %s: warning %q, hint %q, %v", res.Address, res.Action, res.Warning, res.Hint, res.Err)
				}
			}
			if len(rep.Warnings) > 0 || rep.Unread > 0 || len(rep.Results) == 0 {
				t.Errorf("%d results, %q, %d unread", len(rep.Results), rep.Warnings, rep.Unread)
			}
		}
		clean()
		w.want[0].Fields["name"], w.want[1].Fields["agentPurpose"] = "New", "New."
		w.want[4].Fields["externalTenantId"] = "t2"
		w.want = append(w.want[:2], w.want[3:]...)
		clean()
		w.state += ".lost"
		clean()
	}
}

// A mark that somebody else put there is no matter of an update that does not send its field.
func TestAForeignMarkIsNoMatterOfAnUpdate(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.mustApply()
	marked := platform.AddMark(w.schemas["mindset"], agent.Fields{}, coach("other").Address.Mark())
	w.memory[mind].Set("agent-0001", "tags", marked["tags"])
	w.want[0].Fields["agentPurpose"] = "New."
	if rep := w.mustApply(); len(rep.Results) != 1 || rep.Results[0].Warning != "" {
		t.Errorf("%+v", rep.Results)
	}
}

// What a manifest leaves to others is not held against what is live, and stays as the record had it.
func TestWhatIsLeftToOthersIsNotReadBack(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "formatting", "Short.", "agentPurpose", "Old.")}
	w.want[0].IgnoreChanges = []string{"formatting"}
	w.mustApply()
	w.memory[mind].Set("agent-0001", "formatting", "Theirs.")
	w.want[0].Fields["agentPurpose"] = "New."
	rep := w.mustApply()
	if len(rep.Results) != 1 || rep.Results[0].Warning != "" {
		t.Errorf("%+v", rep.Results)
	}
	w.check()
	all := w.memory[mind].Agents()[0].Content.Fields()
	if all["formatting"] != "Theirs." || all["agentPurpose"] != "New." {
		t.Errorf("%v", all)
	}
	// What is not left to others is read back all the same.
	w.want[0].Fields["agentPurpose"] = "Newer. "
	w.client[mind] = platformtest.WithRewrite(w.memory[mind], texts(strings.TrimSpace))
	if rep := w.mustApply(); rep.Results[0].Warning != "the platform keeps another value than was sent for agentPurpose" {
		t.Errorf("%+v", rep.Results)
	}
	w.client[mind] = w.memory[mind]
	// A list that comes for the first time says nothing of it either.
	w.state += ".lost"
	w.memory[mind].Set("agent-0001", "formatting", "Short.")
	w.client[mind] = platformtest.WithRewrite(w.memory[mind], func(f agent.Fields) agent.Fields {
		f["agentPersonality"] = "added"
		return f
	})
	w.want[0].Fields["agentPersonality"], w.want[0].Fields["agentPurpose"] = "added", "Newer. "
	if rep := w.mustApply(); rep.Results[0].Warning != "" {
		t.Errorf("%+v", rep.Results)
	}
}

// What is waited for is told with how much of it there is, why, and for how long.
func TestWhatIsWaitedForIsTold(t *testing.T) {
	unread := "without a usable answer (POST /agents/)"
	for name, tt := range map[string]struct {
		lost, deleted int
		want          string
	}{
		"one create":   {lost: 1, want: "1 request " + unread},
		"two creates":  {lost: 2, want: "2 requests " + unread},
		"one delete":   {deleted: 1, want: "lists that are to show 1 delete: looking again in "},
		"two deletes":  {deleted: 2, want: "lists that are to show 2 deletes: looking again in "},
		"one and both": {lost: 1, deleted: 2, want: "1 request " + unread},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var all []agent.Desired
				for i := range 1 + tt.deleted {
					all = append(all, coach(fmt.Sprint("old", i)))
				}
				w.pruned(all...)
				w.opts.Parallelism = 10
				var faults []platformtest.Fault
				for n := range tt.lost {
					w.want = append(w.want, coach(fmt.Sprint("new", n)))
					faults = append(faults, platformtest.Fault{Op: platformtest.OpCreate, Nth: n + 1,
						Class: platform.Unknown})
				}
				w.client[mind] = platformtest.WithLag(platformtest.WithFaults(w.memory[mind], faults...),
					platformtest.Lag{Changes: 2 * time.Second})
				w.events = nil
				w.mustApply()
				var told []string
				for _, e := range w.events {
					if e.Kind == apply.EventRecovering && e.App == mind {
						told = append(told, e.Message)
					}
				}
				if len(told) == 0 || !strings.HasPrefix(told[0], tt.want) || !strings.HasSuffix(told[0], "s") {
					t.Errorf("told %q", told)
				}
			})
		})
	}
}

// Each agent is told once when it ends, however often something was sent for it, and how many are left then.
func TestEachEndIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a"), coach("b"), coach("c"), coach("d")}
		w.client[mind] = platformtest.WithScript(w.memory[mind], func(c platformtest.Call) platformtest.Fault {
			switch c.Fields["agentName"] {
			case "Coach a": // never carried out
				return platformtest.Fault{Class: platform.Unknown}
			case "Coach b":
				return platformtest.Fault{Class: platform.Refused, Status: 400}
			}
			return platformtest.Fault{}
		})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Outcome != apply.OutcomePartial || rep.Count(apply.StatusFailed) != 2 {
			t.Fatalf("%v, %s\n%s", err, rep.Outcome, describe(rep))
		}
		ended, left := map[string]int{}, map[int]int{}
		for _, e := range w.events {
			if e.Kind == apply.EventFinished {
				ended[e.Result.Address.Key]++
				left[e.Left]++
			}
		}
		if len(ended) != 4 || len(left) != 4 || ended["a"] != 1 || left[0] != 1 {
			t.Errorf("ended %v, left %v", ended, left)
		}
		if err := rep.Results[0].Err; !strings.HasPrefix(err.Error(), "sent 4 times, and never carried out: POST ") ||
			rep.Results[0].Hint != "" {
			t.Errorf("%v, hint %q", err, rep.Results[0].Hint)
		}
	})
}

// A delete is told as done when it is answered, and not once more where no list bears it out and it counts as unknown.
func TestADeleteThatNoListBearsOutIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pruned(coach("a"), coach("b"))
		faulty := platformtest.WithFaults(w.memory[mind])
		w.client[mind] = altered{Client: faulty, broken: func() bool { return faulty.Calls(platformtest.OpDelete) > 0 }}
		w.events = nil
		if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusUnknown) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		told := 0
		for _, e := range w.events {
			if e.Kind == apply.EventFinished {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
}

// Results are in the order of addresses, those of requests that an earlier run left open as well.
func TestResultsAreInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a"), coach("b"), concierge("z")}
		w.mustApply()
		all := w.want
		w.want, w.prune = all[1:2], true
		w.lostDelete(comet) // one of two is open, the other one was not begun
		w.want = append(all[1:3:3], coach("c"))
		w.want[1].Fields["name"] = "New"
		w.client[comet] = altered{Client: w.memory[comet], broken: func() bool { return true }}
		w.prune = false
		rep, err := w.apply(t.Context())
		if err != nil || len(rep.Results) < 3 || !slices.IsSortedFunc(rep.Results, func(a, b apply.Result) int {
			return a.Address.Compare(b.Address)
		}) {
			t.Errorf("%v\n%s", err, describe(rep))
		}
	})
}

// Where the records that go with a rename cannot be stored, nothing is begun of anything, and each agent says why.
func TestWithoutItsRenamesNothingIsBegun(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), coach("b")}
	w.mustApply()
	w.want[0].Address.Key, w.want[0].PreviousKeys = "c", []string{"a"}
	w.want[1].Fields["agentPurpose"] = "New."
	w.ledger = func(l apply.Ledger) apply.Ledger {
		return picky{l, func(r state.Result) bool { return r.Kind == state.Removed }}
	}
	rep, err := w.apply(t.Context())
	if err == nil || !strings.Contains(err.Error(), "this result is refused") ||
		rep.Count(apply.StatusNotStarted) != 2 {
		t.Errorf("%v\n%s", err, describe(rep))
	}
	for _, res := range rep.Results {
		if res.Err == nil || !strings.Contains(res.Err.Error(), "this result is refused") {
			t.Errorf("%s: %v", res.Address, res.Err)
		}
	}
	w.ledger = nil
	w.mustApply()
	w.check()
	if rec := w.load(w.file()).State.Agents[w.want[0].Address]; !slices.Equal(rec.FormerKeys, []string{"a"}) {
		t.Errorf("former keys %v", rec.FormerKeys)
	}
}

// A change of lifecycle.protect alone is recorded, and is no change of an agent.
func TestAProtectionAloneIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.mustApply()
	w.want[0].Protect = true
	if rep := w.mustApply(); len(rep.Results) > 0 {
		t.Errorf("results:\n%s", describe(rep))
	}
	if !w.load(w.file()).State.Agents[w.want[0].Address].Protect {
		t.Error("it is not protected")
	}
}

// Deletes come last: what is to be made is there by then.
func TestDeletesComeLast(t *testing.T) {
	w := newWorld(t)
	w.want, w.prune, w.opts.Parallelism = []agent.Desired{coach("a"), coach("b"), coach("c")}, true, 1
	w.mustApply()
	w.want = []agent.Desired{coach("b", "agentPurpose", "New."), coach("d")}
	faulty := platformtest.WithFaults(w.memory[mind])
	w.client[mind] = faulty
	w.mustApply()
	var order []platformtest.Op
	for _, c := range faulty.Log() {
		if c.Op != platformtest.OpList && c.Op != platformtest.OpRead {
			order = append(order, c.Op)
		}
	}
	if want := []platformtest.Op{platformtest.OpUpdate, platformtest.OpCreate, platformtest.OpDelete,
		platformtest.OpDelete}; !slices.Equal(order, want) {
		t.Errorf("%v", order)
	}
}

// A key that is refused by all apps with changes ends the apply; one app that can be listed goes on.
func TestAKeyThatIsRefusedByTheList(t *testing.T) {
	refused := platformtest.Fault{Op: platformtest.OpList, Class: platform.Refused, Status: 401}
	for name, tt := range map[string]struct {
		want []agent.Desired
		ends bool
	}{
		"all that changes":                         {[]agent.Desired{coach("new"), coach("kept")}, true},
		"one of two apps":                          {[]agent.Desired{coach("new"), concierge("new")}, false},
		"what is kept in another app is no change": {[]agent.Desired{coach("new")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.want, w.refresh = []agent.Desired{coach("kept"), concierge("kept")}, true
			w.mustApply()
			w.want = tt.want
			w.client[mind] = platformtest.WithFaults(w.memory[mind], refused)
			rep, err := w.apply(t.Context())
			if errors.Is(err, apply.ErrKeyRefused) != tt.ends {
				t.Errorf("%v\n%s", err, describe(rep))
			}
			w.made(mind, 1)
		})
	}
}

// A request that never left because of the network has failed, and says why; one that the end of the run kept from
// leaving was not started.
func TestARequestThatNeverLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpCreate,
			Class: platform.Refused, NeverSent: true, Err: errors.New("no such host")})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 ||
			!strings.Contains(rep.Results[0].Err.Error(), "no such host") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.knows(0, 0)
	})
}

// Servers close idle connections, and some requests meet one that was just closed: they go out on another one. A
// server that closes each of them is no reason to go on for ever.
func TestAStaleConnectionFailsNoRequest(t *testing.T) {
	for name, tt := range map[string]struct{ nth, creates, made int }{
		"once":   {nth: 1, creates: 2, made: 1},
		"always": {nth: 0, creates: 4, made: 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want, w.opts.StopOnError = []agent.Desired{coach("a")}, true
				faulty := platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpCreate,
					Nth:   tt.nth,
					Class: platform.Refused, NeverSent: true, Stale: true, Err: errors.New("closed idle connection")})
				w.client[mind] = faulty
				start := time.Now()
				rep, err := w.apply(t.Context())
				if n := faulty.Calls(platformtest.OpCreate); err != nil || rep.Count(apply.StatusDone) != tt.made ||
					n != tt.creates || time.Since(start) > 0 {
					t.Errorf("%v after %v, %d creates\n%s", err, time.Since(start), n, describe(rep))
				}
				w.made(mind, tt.made)
				w.knows(tt.made, 0)
			})
		})
	}
}

// A request waits for the pace when the run is interrupted, and never leaves: it was not started.
func TestARequestThatAnInterruptKeptFromLeaving(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.client[mind] = waitsForPace{w.memory[mind], cancel}
	rep, err := w.apply(ctx)
	if err != nil || rep.Count(apply.StatusNotStarted) != 1 ||
		!strings.Contains(rep.Results[0].Err.Error(), "interrupted") {
		t.Errorf("%v\n%s", err, describe(rep))
	}
	w.knows(0, 0)
}

// waitsForPace is a client whose creates wait for the pace until the run is interrupted.
type waitsForPace struct {
	platform.Client
	interrupt func()
}

func (c waitsForPace) Create(context.Context, agent.Content) (platform.Remote, error) {
	c.interrupt()
	return platform.Remote{}, &platform.Error{Class: platform.Refused, Method: "POST", NeverSent: true,
		Err: context.Canceled}
}

// An intent that cannot be closed after a refusal is not sent again: nobody could tell the two apart.
func TestAnIntentThatCannotBeClosedIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		w.ledger = func(l apply.Ledger) apply.Ledger {
			return picky{l, func(r state.Result) bool { return r.Kind == state.Voided }}
		}
		faulty := platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpCreate, Nth: 1,
			Class: platform.Throttled, Status: 429})
		w.client[mind] = faulty
		rep, err := w.apply(t.Context())
		if n := faulty.Calls(platformtest.OpCreate); err != nil || n != 1 || rep.Count(apply.StatusDone) > 0 {
			t.Errorf("%d creates, %v\n%s", n, err, describe(rep))
		}
	})
}

// How long is waited before a request is sent again that was certainly not carried out: a create at once and then
// longer and longer, an update each time.
func TestPausesBetweenTries(t *testing.T) {
	for op, want := range map[platformtest.Op][]time.Duration{
		platformtest.OpUpdate: {0, time.Second, 3 * time.Second, 7 * time.Second},
		platformtest.OpCreate: {0, 30 * time.Second, 62 * time.Second, 96 * time.Second},
	} {
		t.Run(string(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				if op == platformtest.OpUpdate {
					w.mustApply()
					w.want[0].Fields["agentPurpose"] = "New."
				}
				var sent []time.Duration
				start := time.Now()
				w.client[mind] = platformtest.WithScript(w.memory[mind], func(c platformtest.Call) platformtest.Fault {
					if c.Op != op {
						return platformtest.Fault{}
					}
					sent = append(sent, time.Since(start))
					return platformtest.Fault{Class: platform.Unknown, Status: 500 + len(sent)}
				})
				if _, err := w.apply(t.Context()); err != nil || !slices.Equal(sent, want) {
					t.Errorf("sent after %v, want %v: %v", sent, want, err)
				}
			})
		})
	}
}

// An update has no answer and, sent again, is refused. It was not carried out in the end, and that is what is told.
func TestARefusalAfterATryWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		w.mustApply()
		w.want[0].Fields["agentPurpose"] = "New."
		w.client[mind] = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, Class: platform.Unknown},
			platformtest.Fault{Op: platformtest.OpUpdate, Class: platform.Refused, Status: 422})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 || rep.Results[0].Err.Error() !=
			"it was sent often enough, and never carried out: PATCH /agents/agent-0001" {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.knows(1, 0)
	})
}

// A create has no answer, and the one after it an answer without a uid: neither decides anything, and it is sent again.
func TestAnAnswerThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		sent := 0
		w.client[mind] = altered{Client: w.memory[mind],
			create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
				switch sent++; sent {
				case 1:
					return platform.Remote{}, &platform.Error{Class: platform.Unknown, Method: "POST", Status: 500}
				case 2:
					return platform.Remote{}, nil
				}
				return w.memory[mind].Create(ctx, agent.ContentOf(f))
			}}
		w.mustApply()
		w.check()
		w.made(mind, 1)
	})
}

// Once an intent cannot be stored nothing is sent, and each agent says why.
func TestWithoutItsIntentNothingIsSent(t *testing.T) {
	w := newWorld(t)
	w.want, w.opts.Parallelism = []agent.Desired{coach("a"), coach("b")}, 1
	w.ledger = func(l apply.Ledger) apply.Ledger { return full{l} }
	rep, err := w.apply(t.Context())
	if err == nil || rep.Count(apply.StatusDone) > 0 || len(rep.Results) != 2 {
		t.Errorf("%v\n%s", err, describe(rep))
	}
	for _, res := range rep.Results {
		if res.Err == nil || res.Err.Error() != "the journal could not be written: no space left" {
			t.Errorf("%s: %v", res.Address, res.Err)
		}
	}
	w.made(mind, 0)
}

// full is a ledger that stores no intent.
type full struct{ apply.Ledger }

func (full) Intend(state.Intent) (uint64, error) { return 0, errors.New("no space left") }

// An apply that ends while it recovers reports what is open, and nothing where nothing is.
func TestAnApplyThatEndsWhileItRecovers(t *testing.T) {
	for name, open := range map[string]bool{"a create is open": true, "nothing is open": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.want = []agent.Desired{coach("a")}
			if open {
				w.intended(func(int) bool { return true }, w.want...)
			}
			snap := w.load(w.file())
			fleet, err := state.NewFleet(snap.State, snap.Open)
			if err != nil {
				t.Fatal(err)
			}
			full := errors.New("no space left")
			rep, err := w.engine(fleet).Apply(t.Context(), apply.Session{Pending: true, Plan: w.planOf,
				Review: w.review, Begin: func(*plan.Plan) (apply.Ledger, error) { return nil, full }})
			if !errors.Is(err, full) || (rep != nil) != open || open && rep.Count(apply.StatusUnknown) != 1 {
				t.Errorf("%v, %+v", err, rep)
			}
			w.made(mind, 0)
		})
	}
}

// A uid that begins with a hyphen is no flag of the command that is copied.
func TestImportCommand(t *testing.T) {
	for uid, want := range map[string]string{
		"agent-1": "agentsync import mindset/acme/a agent-1", "-agent": "agentsync import -- mindset/acme/a -agent",
	} {
		t.Run(uid, func(t *testing.T) {
			if got := apply.ImportCommand("mindset/acme/a", uid); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
