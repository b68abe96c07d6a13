package apply_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
)

// Each test here is what drawn stories found at platforms that rewrite, lie and cut their lists.

// A delete is answered 404 by something that is not the platform, and the list that is asked for then is cut: the old
// agent of a replace is not gone.
func TestCutListProvesNoDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.prune = true
		w.want = []agent.Desired{coach("z"), coach("a", "externalTenantId", "t1")}
		w.mustApply()
		w.want[1].Fields["externalTenantId"] = "t2"
		w.client[mind] = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpDelete, Nth: 1, Class: platform.Refused, Status: 404},
			platformtest.Fault{Op: platformtest.OpList, Nth: 2,
				List: func(all []platform.Remote) []platform.Remote { return all[:1] }})
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
	})
}

// An agent that the list does not show is asked for by an update: what left the manifest leaves the platform as well.
func TestAskingSendsWhatLeftTheManifest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.refresh = true
		w.want = []agent.Desired{concierge("a", "metaData", map[string]any{"greetingMessage": "Hi"}), concierge("b")}
		w.mustApply()
		delete(w.want[0].Fields, "metaData")
		lacks := func(all []platform.Remote) []platform.Remote { return all[1:] }
		w.client[comet] = platformtest.WithFaults(w.memory[comet], platformtest.Fault{Op: platformtest.OpList,
			List: lacks})
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
		for _, r := range w.memory[comet].Agents() {
			if v, _ := r.Content.Fields()["metaData"].(map[string]any); len(v) > 0 {
				t.Errorf("metaData is %v", v)
			}
		}
	})
}

// An update is answered as done and was not, and no list comes after it. The next one that looks sends it again.
func TestIgnoredUpdateThatNoListConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a")}
		w.mustApply()
		w.want[0].Fields["name"] = "New"
		w.client[comet] = platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpUpdate, Ignored: true},
			platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown})
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[comet], w.refresh = w.memory[comet], true
		w.mustApply()
		w.check()
		if got := w.memory[comet].Agents()[0].Content.Fields()["name"]; got != "New" {
			t.Errorf("the name is %v", got)
		}
	})
}

// Two requests send the same. One takes effect and loses its answer, the other is given up and takes effect later
// still: the agent that shows first is not taken for the other one's, whose own is yet to come.
func TestAlikeCreatesWaitForTheLastOfThem(t *testing.T) {
	for first, second := range map[string]string{"a": "b", "b": "a"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.want = []agent.Desired{coach(first, "agentName", "Same"), coach(second, "agentName", "Same")}
			slow := platformtest.WithFaults(w.memory[mind],
				platformtest.Fault{Op: platformtest.OpCreate, Nth: 1, Slow: 34 * time.Second, Limit: 30 * time.Second},
				lost(platformtest.OpCreate, 2))
			w.client[mind] = slow
			w.mustApply()
			slow.Wait()
			w.check()
			w.made(mind, 2)
		})
	}
}

// Somebody changes one field while the update of another loses its answer, and another agent needs a second round. What
// recovery finds to be done is no reason to take the rest of the agent for what is wanted.
func TestARecoveredUpdateSwallowsNoDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Parallelism = 1
		w.want = []agent.Desired{coach("a", "agentPurpose", "Old."), coach("b", "agentPurpose", "Old.")}
		w.mustApply()
		w.memory[mind].Set("agent-0001", "agentName", "Foreign")
		for _, d := range w.want {
			d.Fields["agentPurpose"] = "New."
		}
		w.client[mind] = platformtest.WithFaults(w.memory[mind], lost(platformtest.OpUpdate, 1),
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 2, Class: platform.Unknown})
		w.mustApply()
		w.refresh = true
		if rep := w.mustApply(); len(rep.Results) != 1 {
			t.Errorf("the drift was swallowed:\n%s", describe(rep))
		}
		w.check()
	})
}

// A cut list shows, of all that state knows, the one agent whose delete is open. It is of the right app all the same:
// what it lacks is asked for, and no agent is taken for gone.
func TestAListThatShowsWhatIsBeingDeletedIsOfThisApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune, w.refresh, w.opts.Parallelism = []agent.Desired{coach("a"),
			coach("b", "externalTenantId", "t1")}, true, true, 1
		w.mustApply()
		b := w.want[1]
		w.want = []agent.Desired{b}
		w.lostDelete(mind)
		delete(b.Fields, "externalTenantId") // another agent, to the platform
		w.client[mind] = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpList, List: func(all []platform.Remote) []platform.Remote {
				return all[:1]
			}},
			platformtest.Fault{Op: platformtest.OpRead, Class: platform.Unknown})
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
		if tenant := w.memory[mind].Agents()[0].Content.Value("externalTenantId"); tenant != nil {
			t.Errorf("the tenant is still %v", tenant)
		}
	})
}

// The answer to a create cannot be read, and the update after it is answered as done and was not, with no list after
// either. The member that it was to take out is still there: it is not the platform's own.
func TestIgnoredUpdateOfAnAgentThatNobodySaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a", "metaData",
			map[string]any{"greetingMessage": "Hi", "introductoryMessage": "Me"})}
		for n, fault := range []platformtest.Fault{{Op: platformtest.OpCreate, Odd: true},
			{Op: platformtest.OpUpdate, Ignored: true}} {
			w.client[comet] = platformtest.WithFaults(w.memory[comet], fault,
				// the one after the write
				platformtest.Fault{Op: platformtest.OpList, Nth: 2 - n, Class: platform.Unknown})
			if _, err := w.apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.want[0].Fields["metaData"] = map[string]any{"greetingMessage": "Hi"}
		}
		w.client[comet], w.refresh = w.memory[comet], true
		w.mustApply()
		w.check()
		if meta := w.memory[comet].Agents()[0].Content.Value("metaData").(map[string]any); len(meta) != 1 {
			t.Errorf("metaData is %v", meta)
		}
	})
}

// A replace left its old agent over, and then both are deleted: one delete is answered as done and ignored. The one
// that is left is nothing but a uid in the state. When its address is wanted again, it does not pass for what is
// wanted.
func TestAnAgentThatADeleteLeftOverIsNotTakenOnTrust(t *testing.T) {
	for name, wanted := range map[string][]any{"another tenant": {"externalTenantId", "t3"}, "no tenant": nil,
		"a text less": {"externalTenantId", "t1"}} {
		for _, refresh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, refresh %v", name, refresh), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.prune, w.refresh, w.opts.Parallelism = true, refresh, 1
					w.want = []agent.Desired{coach("a", "externalTenantId", "t1", "agentPurpose", "Old."), coach("z")}
					w.mustApply()
					w.want[0].Fields["externalTenantId"] = "t2"
					w.lostDelete(mind)
					a := w.want[0].Address
					w.want = w.want[1:]
					w.client[mind] = platformtest.WithFaults(w.memory[mind],
						platformtest.Fault{Op: platformtest.OpDelete, UID: "agent-0001", Ignored: true})
					if _, err := w.apply(t.Context()); err != nil {
						t.Fatal(err)
					}
					w.client[mind] = w.memory[mind]
					if rec := w.load(w.file()).State.Agents[a]; rec.UID != "agent-0001" {
						t.Errorf("the state knows %q", rec.UID)
					}
					w.want = append(w.want, coach("a", wanted...))
					w.mustApply()
					w.check()
					for _, live := range w.memory[mind].Agents() {
						got := live.Content.Fields()
						if got["agentName"] == coach("a").Fields["agentName"] {
							diff := gocmp.Diff(coach("a", wanted...).Fields, got, cmpopts.IgnoreMapEntries(
								func(_ string, v any) bool { return v == "" || v == false || v == "restrictedAccess" }))
							if diff != "" {
								t.Errorf("what is live (-want +got):\n%s", diff)
							}
						}
					}
				})
			})
		}
	}
}

// An update loses its answer, and no list says what became of it. One that sends other fields, and is answered, says
// nothing of it: what the first one did is found out all the same.
func TestAnAnsweredUpdateDoesNotDecideAnEarlierOne(t *testing.T) {
	for _, after := range []bool{false, true} {
		for name, lists := range map[string]platformtest.Fault{"no list": {Op: platformtest.OpList,
			Class: platform.Unknown}, "no list before": {Op: platformtest.OpList, Nth: 1, Class: platform.Unknown}} {
			t.Run(fmt.Sprintf("%s, carried out %v", name, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					greeting := func(text string) map[string]any { return map[string]any{"greetingMessage": text} }
					w.want = []agent.Desired{concierge("a", "metaData", greeting("Old")),
						coach("b", "tags", []any{"old"})}
					w.marking(true)
					w.mustApply()
					w.marking(false)
					w.want[0].Fields["metaData"], w.want[1].Fields["tags"] = greeting("New"), []any{"new"}
					w.ending(after)
					w.marking(true) // all as it was, but for the name
					w.want[0].Fields["metaData"], w.want[0].Fields["name"] = greeting("Old"), "Third"
					w.want[1].Fields["tags"], w.want[1].Fields["agentName"] = []any{"old"}, "Third"
					for id, m := range w.memory {
						w.client[id] = platformtest.WithFaults(m, lists)
					}
					if _, err := w.apply(t.Context()); err != nil {
						t.Fatal(err)
					}
					for id, m := range w.memory {
						w.client[id] = m
					}
					w.mustApply()
					w.check()
					w.checkMarks()
					got, _ := platform.TakeMark(w.schemas["cometchat"], w.memory[comet].Agents()[0].Content.Fields())
					if diff := gocmp.Diff(any(greeting("Old")), got["metaData"]); diff != "" {
						t.Errorf("what is live (-want +got):\n%s", diff)
					}
					got, _ = platform.TakeMark(w.schemas["mindset"], w.memory[mind].Agents()[0].Content.Fields())
					if diff := gocmp.Diff(any([]any{"old"}), got["tags"]); diff != "" {
						t.Errorf("what is live (-want +got):\n%s", diff)
					}
				})
			})
		}
	}
}

// A run is killed while an update waits for its answer, and the next one wants something else. The update of the first
// takes effect after that of the second was answered: the second run waits for it and puts it right.
func TestALateUpdateOfAnEarlierRunIsWaitedFor(t *testing.T) {
	for _, again := range []string{"Third", "First"} {
		t.Run(again, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{concierge("a", "name", "First")}
				w.mustApply()
				w.want[0].Fields["name"] = "Second"
				slow := platformtest.WithFaults(w.memory[comet],
					platformtest.Fault{Op: platformtest.OpUpdate, Slow: 25 * time.Second, Limit: 2 * time.Second})
				w.client[comet] = slow
				w.applyUntil(func(cancel func()) { time.AfterFunc(time.Second, cancel) })
				w.client[comet] = w.memory[comet]
				w.want[0].Fields["name"] = again
				rep, err := w.apply(t.Context())
				if err != nil || rep.Outcome != apply.OutcomeComplete {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				slow.Wait()
				w.mustApply()
				w.check()
				if name := w.memory[comet].Agents()[0].Content.Value("name"); name != again {
					t.Errorf("the name is %v", name)
				}
			})
		})
	}
}

// A run is killed while a delete waits for its answer, and the agent is put back into the manifests. The delete takes
// effect after that: the agent is not forgotten.
func TestALateDeleteOfAnEarlierRunIsWaitedFor(t *testing.T) {
	for id, of := range map[agent.AppID]func(string, ...any) agent.Desired{mind: coach, comet: concierge} {
		t.Run(id.Platform, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pruned(of("a"), of("b"))
				slow := platformtest.WithFaults(w.memory[id],
					platformtest.Fault{Op: platformtest.OpDelete, Slow: 25 * time.Second, Limit: 2 * time.Second})
				w.client[id] = slow
				w.applyUntil(func(cancel func()) { time.AfterFunc(time.Second, cancel) })
				w.client[id] = w.memory[id]
				w.want = append(w.want, of("b"))
				if _, err := w.apply(t.Context()); err != nil {
					t.Fatal(err)
				}
				slow.Wait()
				w.mustApply()
				w.check()
				w.made(id, 3)
			})
		})
	}
}

// An update is given up and sent again, and takes effect after the second one. The apply ends only when it can do so no
// more, or the next one would not see that what it sent is undone. An interrupt leaves it open, and the next apply
// waits.
func TestAnUpdateThatWasSentTwiceIsWaitedFor(t *testing.T) {
	const limit, effect = 30 * time.Second, 50 * time.Second
	givenUp := platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, Slow: effect, Limit: limit}
	for name, tt := range map[string]struct {
		faults    []platformtest.Fault
		interrupt time.Duration // after the beginning, 0 for none
	}{
		"the second one is answered": {},
		"the second one has no answer either": {faults: []platformtest.Fault{
			{Op: platformtest.OpUpdate, Nth: 2, Class: platform.Unknown, After: true}}},
		"interrupted while it waits": {interrupt: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.opts.RequestTimeout, w.refresh = limit, true
				w.want = []agent.Desired{concierge("a", "name", "First")}
				w.mustApply()
				w.want[0].Fields["name"] = "Second"
				slow := platformtest.WithFaults(w.memory[comet], append(tt.faults, givenUp)...)
				w.client[comet] = slow
				if tt.interrupt > 0 {
					w.applyUntil(func(cancel func()) { time.AfterFunc(tt.interrupt, cancel) })
				} else {
					w.mustApply()
				}
				w.client[comet] = w.memory[comet]
				w.want[0].Fields["name"] = "Third"
				w.mustApply()
				slow.Wait()
				w.check()
				if name := w.memory[comet].Agents()[0].Content.Value("name"); name != "Third" {
					t.Errorf("the name is %v", name)
				}
			})
		})
	}
}

// An update loses its answer, the same one is sent again, answered and ignored, and no list comes after either. What
// the first one is then found to be is no proof that the member that was to go is the platform's own.
func TestAnIgnoredUpdateAfterALostOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a", "integrationMeta", map[string]any{"baseUrl": "https://a.example",
			"agentId": "x"})}
		w.mustApply()
		wanted := map[string]any{"baseUrl": "https://a.example"}
		w.want[0].Fields["integrationMeta"] = wanted
		w.client[comet] = platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, Class: platform.Unknown},
			platformtest.Fault{Op: platformtest.OpUpdate, Ignored: true},
			platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown})
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[comet], w.refresh = w.memory[comet], true
		w.mustApply()
		w.check()
		got := w.memory[comet].Agents()[0].Content.Fields()["integrationMeta"]
		if diff := gocmp.Diff(any(wanted), got); diff != "" {
			t.Errorf("what is live (-want +got):\n%s", diff)
		}
	})
}

// The same at a platform that adds members: once it is sent again, nothing is to be done.
func TestALostUpdateAtAPlatformThatAddsMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		adds := platformtest.NewMemory(w.schemas["cometchat"], platformtest.SilentUpdates(), platformtest.NoRead(),
			platformtest.Keeping(platformtest.Habit("fill")))
		w.memory[comet], w.client[comet] = adds, adds
		w.want = []agent.Desired{concierge("a", "metaData", map[string]any{"greetingMessage": "Hi"})}
		w.mustApply()
		w.want[0].Fields["metaData"] = map[string]any{"greetingMessage": "Ho"}
		w.client[comet] = platformtest.WithFaults(adds,
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, Class: platform.Unknown},
			platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown})
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[comet], w.refresh = adds, true
		w.mustApply()
		w.check()
	})
}

// An update is given up, sent again and ignored, and no list comes after it. The next run wants the old value, which is
// still live, and sends another field: what it saw is recorded, so that the first update is seen when it takes effect.
func TestWhatIsLiveAsItIsWantedIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		old := map[string]any{"baseUrl": "https://a.example", "agentId": "x"}
		w.want, w.refresh = []agent.Desired{concierge("a", "integrationMeta", old)}, true
		w.mustApply()
		w.want[0].Fields["integrationMeta"] = map[string]any{"baseUrl": "https://a.example"}
		slow := platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, Slow: 34 * time.Second, Limit: 30 * time.Second},
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 2, Ignored: true})
		calls := 0
		// every list but the first
		w.client[comet] = altered{Client: slow, broken: func() bool { calls++; return calls > 1 }}
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.client[comet] = w.memory[comet]
		w.want[0].Fields["integrationMeta"], w.want[0].Fields["name"] = old, "Another"
		w.mustApply()
		slow.Wait()
		w.mustApply()
		w.check()
		if diff := gocmp.Diff(any(old), w.memory[comet].Agents()[0].Content.Fields()["integrationMeta"]); diff != "" {
			t.Errorf("what is live (-want +got):\n%s", diff)
		}
	})
}

// Nobody has seen an agent since it was made, and the update after that is answered as done and was not. The list after
// it shows what was sent before: that is no rewriting by the platform.
func TestAnIgnoredUpdateOfAnAgentThatNobodySawFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Old.")}
		w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpCreate,
			Odd: true},
			platformtest.Fault{Op: platformtest.OpList, Nth: 2, Class: platform.Unknown}) // the one after the write
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.want[0].Fields["agentPurpose"] = "New."
		w.client[mind] = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpUpdate, Ignored: true})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
		if v := w.memory[mind].Agents()[0].Content.Value("agentPurpose"); v != "New." {
			t.Errorf("the platform has %v", v)
		}
	})
}
