package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// What lists that miss agents prove, and what is done beside them.

// A list of one agent misses another one of the same time. It may be cut, and hide an agent that somebody else made:
// nothing is created beside it.
func TestAListOfOneAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.opts.Parallelism = []agent.Desired{coach("a"), coach("b")}, 1
		w.mustApply()
		w.want = append(w.want, coach("c"))
		w.memory[mind].Put(w.want[2].Fields)
		w.client[mind] = altered{Client: w.memory[mind],
			list: func(all []platform.Remote) []platform.Remote { return all[:1] }}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 ||
			!errors.Is(rep.Results[0].Err, apply.ErrSuspiciousList) {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
		w.made(mind, 3) // one of them by somebody else
	})
}

// A list that misses an agent which is there is asked for four times, be the agent read or not; one that misses an
// agent which is gone, or which is being deleted, once.
func TestHowOftenAListIsAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		gone, deleting, unreadable bool
		lists                      int
	}{
		"it is there": {lists: 4}, "it cannot be read": {unreadable: true, lists: 4},
		"it is gone":          {gone: true, lists: 1},
		"it is being deleted": {deleting: true, lists: 1},
		"it is being deleted, and cannot be read": {deleting: true, unreadable: true, lists: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				for _, key := range []string{"a", "b", "c"} { // each of another time
					w.want = append(w.want, coach(key))
					w.mustApply()
					time.Sleep(time.Second)
				}
				snap := w.load(w.file())
				if tt.deleting {
					snap.Open = []state.Intent{{ID: 9, Address: w.want[2].Address, Action: "delete", UID: "agent-0003"}}
				}
				if tt.gone {
					w.memory[mind].Remove("agent-0003")
				}
				fleet, err := state.NewFleet(snap.State, snap.Open)
				if err != nil {
					t.Fatal(err)
				}
				var faults []platformtest.Fault
				if tt.unreadable {
					faults = append(faults, platformtest.Fault{Op: platformtest.OpRead, Class: platform.Unknown})
				}
				lists := 0
				w.client[mind] = altered{Client: platformtest.WithFaults(w.memory[mind], faults...),
					list: func(all []platform.Remote) []platform.Remote { lists++; return all[:2] }}
				if _, err := w.engine(fleet).Lists(t.Context(), []agent.AppID{mind}); err != nil || lists != tt.lists {
					t.Errorf("%d lists, want %d: %v", lists, tt.lists, err)
				}
			})
		})
	}
}

// A delete that was answered as done is noted as answered only where a whole list showed the agent before: only then
// does another list without it say that it is gone.
func TestWhichAnswersToADeleteAreNoted(t *testing.T) {
	for name, tt := range map[string]struct {
		list  func(platform.Client) platform.Client
		noted bool
	}{
		"a whole list showed it": {func(c platform.Client) platform.Client { return c }, true},
		"a list that hides others showed it": {func(c platform.Client) platform.Client {
			return doubting{Client: c}
		}, false},
		"it was not listed": {func(c platform.Client) platform.Client {
			return altered{Client: c, list: func(all []platform.Remote) []platform.Remote {
				return slices.DeleteFunc(slices.Clone(all), func(r platform.Remote) bool {
					return r.UID == "agent-0002"
				})
			}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.pruned(concierge("a"), concierge("b"))
				faulty := platformtest.WithFaults(w.memory[comet], ignoresDelete)
				ctx, cancel := context.WithCancel(t.Context())
				w.observe = func(e apply.Event) {
					if e.Kind == apply.EventFinished {
						cancel()
					}
				}
				w.client[comet] = tt.list(faulty)
				if _, err := w.apply(ctx); err != nil {
					t.Fatal(err)
				}
				open := w.load(w.file()).Open
				if len(open) != 1 || open[0].Answered != tt.noted {
					t.Errorf("%+v", open)
				}
			})
		})
	}
}

// An agent that no list shows is asked for by an update that sends all that is wanted of it, what left the manifest as
// well, and nothing that is left to others or cannot be changed.
func TestWhatAnAgentIsAskedForWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b", "metaData",
			map[string]any{"greetingMessage": "Hi"})}, true, 1
		w.mustApply()
		w.want[1] = concierge("b")
		w.want[1].IgnoreChanges = []string{"icon"}
		faulty := platformtest.WithFaults(w.memory[comet])
		w.client[comet] = altered{Client: faulty, list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		rep := w.mustApply()
		sent := faulty.Log()[slices.IndexFunc(faulty.Log(), func(c platformtest.Call) bool {
			return c.Op == platformtest.OpUpdate
		})].Fields
		for name, want := range map[string]bool{"name": true, "metaData": true, "integrationMeta": true, "icon": false,
			"tools": false, "isActive": false} {
			if _, is := sent[name]; is != want {
				t.Errorf("%s is sent: %v", name, is)
			}
		}
		if res := rep.Results[0]; len(rep.Results) != 1 || res.Action != plan.Update || res.UID != "agent-0002" ||
			res.Warning != "the platform's list does not show the agent, though it is there" {
			t.Errorf("%+v", rep.Results)
		}
	})
}

// An update that asks for an agent is refused: what was asked, where, and the one way on are told. Once another agent
// that the list does not show has answered, one whose manifest did not change is not asked for.
func TestWhatAskingForAnAgentTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b"), concierge("c")}, true, 1
		w.mustApply()
		cut := altered{Client: platformtest.WithFaults(w.memory[comet], platformtest.Fault{Op: platformtest.OpUpdate,
			Nth: 1, Class: platform.Refused, Status: 422}),
			list: func(all []platform.Remote) []platform.Remote { return all[:1] }}
		w.client[comet] = cut
		rep, err := w.apply(t.Context())
		if err != nil || len(rep.Results) != 2 || rep.Results[0].Status != apply.StatusFailed ||
			!strings.HasPrefix(rep.Results[0].Err.Error(),
				"the list does not show the agent, and an update that asked for it was refused: PATCH ") ||
			rep.Results[0].Hint != "a wrong region, host or endpoint answers 404 as well; agentsync asked\n"+
				"  https://app1.example.com\nif the agent is really gone:\n  agentsync state rm cometchat/app1/b" {
			t.Errorf("%v, hint %q\n%s", err, rep.Results[0].Hint, describe(rep))
		}
		cut.Client = w.memory[comet]
		w.client[comet] = cut
		rep = w.mustApply()
		if len(rep.Results) != 2 || rep.Results[1].Warning !=
			"the platform's list is cut short and does not show the agent; it was not looked at" {
			t.Errorf("%+v", rep.Results)
		}
	})
}

// What to do about a list that stops a create depends on what is wrong with it.
func TestWhatToDoAboutAList(t *testing.T) {
	for name, tt := range map[string]struct {
		client  func(platform.Client) platform.Client
		refresh bool
		hint    string
	}{
		"of another app": {func(c platform.Client) platform.Client {
			return altered{Client: c, list: func(all []platform.Remote) []platform.Remote { return nil }}
		}, true, "see first whether this is the right app:\n  https://app1.example.com\nif those agents are really gone, " +
			"take them out of the state, then apply again:\n  agentsync state rm 'cometchat/app1/*'"},
		"may hide any": {func(c platform.Client) platform.Client {
			return doubting{Client: c, hide: map[string]bool{"agent-0002": true}}
		}, false, ""},
		"misses one": {func(c platform.Client) platform.Client {
			return altered{Client: c, list: func(all []platform.Remote) []platform.Remote { return all[:1] }}
		}, false, "let apply ask for them, and make again what is gone, by leaving out --no-refresh; or, if one is " +
			"really gone:\n  agentsync state rm ADDRESS"},
		"answers 404": {func(c platform.Client) platform.Client {
			return platformtest.WithFaults(c, platformtest.Fault{Op: platformtest.OpList, Class: platform.Refused,
				Status: 404})
		}, false, "a wrong region, host or endpoint answers 404; agentsync asked\n  https://app1.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b")}, 1
				w.mustApply()
				w.want = append(w.want, concierge("c"), coach("other"))
				w.refresh, w.client[comet] = tt.refresh, tt.client(w.memory[comet])
				rep, err := w.apply(t.Context())
				if err != nil || len(rep.Results) != 2 || rep.Results[0].Status != apply.StatusFailed ||
					rep.Results[0].Hint != tt.hint {
					t.Errorf("%v, hint %q\n%s", err, rep.Results[0].Hint, describe(rep))
				}
				w.made(comet, 2)
			})
		})
	}
}

// What a list shows as the answer showed it is not stored a second time.
func TestWhatIsReadBackAsAnsweredIsNotStoredAgain(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), coach("b", "agentPurpose", "Helps. "), coach("c")}
	trim := texts(strings.TrimSpace)
	w.client[mind] = altered{Client: platformtest.WithRewrite(w.memory[mind], func(f agent.Fields) agent.Fields {
		if f["agentName"] == "Coach c" {
			f["formatting"] = "added"
		}
		return trim(f)
	}),
		create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
			return w.memory[mind].Create(ctx, agent.ContentOf(f)) // answered as it was sent
		}}
	stored := map[string]int{}
	w.ledger = func(l apply.Ledger) apply.Ledger { return noted{l, stored} }
	w.mustApply()
	if stored["a"] != 1 || stored["b"] != 2 || stored["c"] != 2 {
		t.Errorf("stored %v", stored)
	}
}

// What could not be kept of what was read back is told; the agents are done all the same.
func TestWhatIsReadBackAndCannotBeKept(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{concierge("a")}
	w.mustApply()
	w.want[0].Fields["name"] = "New "
	w.client[comet] = platformtest.WithRewrite(w.memory[comet], texts(strings.TrimSpace))
	w.ledger = func(l apply.Ledger) apply.Ledger {
		return picky{l, func(r state.Result) bool { return r.Kind == state.Recorded && r.Intent == 0 }}
	}
	rep := w.mustApply()
	if len(rep.Warnings) != 1 || rep.Warnings[0] != "what was read back could not be kept: this result is refused" {
		t.Errorf("%q", rep.Warnings)
	}
}

// An update that was answered as done and that no list ever shows has failed, and says in what.
func TestAnIgnoredUpdateSaysInWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a", "isActive", true)}
		w.mustApply()
		w.want[0].Fields["name"], w.want[0].Fields["isActive"] = "New", false
		w.client[comet] = platformtest.WithFaults(w.memory[comet], platformtest.Fault{Op: platformtest.OpUpdate,
			Ignored: true})
		rep, err := w.apply(t.Context())
		if res := rep.Results[0]; err != nil || res.Status != apply.StatusFailed || res.Err.Error() !=
			"the platform said that it was done, and still has the old value of name, isActive" ||
			res.Hint != "it stays in the plan, and the next apply sends it again:\n  agentsync apply" {
			t.Errorf("%v, hint %q\n%s", err, res.Hint, describe(rep))
		}
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
	})
}

// A delete is open in one app. In another one the agent of the same uid is missed all the same, and nothing is made
// beside a list without it.
func TestADeleteExcusesNoAgentOfAnotherApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune, w.opts.Parallelism = []agent.Desired{concierge("a"), concierge("b"), coach("a"),
			coach("b")}, true, 1
		w.mustApply()
		w.want = w.want[:3]
		w.lostDelete(mind)
		w.want, w.prune = append(w.want, concierge("c")), false
		w.client[mind] = altered{Client: w.memory[mind], broken: func() bool { return true }}
		w.client[comet] = altered{Client: w.memory[comet], list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.made(comet, 2)
	})
}

// Agents that a list misses are asked for side by side, as many at a time as requests may be in flight.
func TestAgentsAreAskedForSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var gone []agent.Desired
		for i := range 6 {
			gone = append(gone, coach(fmt.Sprint("gone", i)))
		}
		w.want = append([]agent.Desired{coach("a")}, gone...)
		w.opts.Parallelism = 1
		w.mustApply()
		for i := range 6 {
			w.memory[mind].Remove(fmt.Sprintf("agent-%04d", i+2))
		}
		r := &reading{Client: w.memory[mind]}
		w.client[mind], w.refresh, w.opts.Parallelism = r, true, 2
		w.want = w.want[:1]
		if _, err := w.apply(t.Context()); err != nil || r.most != 2 || r.all != 6 {
			t.Errorf("%d at a time of %d, %v", r.most, r.all, err)
		}
	})
}

// reading counts reads, and how many are under way at a time.
type reading struct {
	platform.Client
	mu             sync.Mutex
	now, most, all int
}

func (r *reading) Read(ctx context.Context, uid string) (platform.Remote, error) {
	count := func(d int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.now += d
		r.most, r.all = max(r.most, r.now), r.all+max(d, 0)
	}
	count(1)
	time.Sleep(time.Second)
	defer count(-1)
	return r.Client.Read(ctx, uid)
}

// Beside an agent that a list misses and that is there, nothing is made, and the agent is named.
func TestAnAgentThatAListMissesIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, key := range []string{"a", "b"} { // of other times
			w.want = append(w.want, coach(key))
			w.mustApply()
			time.Sleep(time.Second)
		}
		w.want = append(w.want, coach("c"))
		w.client[mind] = altered{Client: w.memory[mind], list: func(all []platform.Remote) []platform.Remote {
			return all[:1]
		}}
		rep, err := w.apply(t.Context())
		if err != nil || !strings.HasSuffix(rep.Results[0].Err.Error(),
			"it lacks agent agent-0002 of mindset/acme, which is there") {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.made(mind, 2)
	})
}

// noted counts the records that are stored, by key.
type noted struct {
	apply.Ledger
	stored map[string]int
}

func (n noted) Commit(results ...state.Result) error {
	for _, r := range results {
		if r.Kind == state.Recorded {
			n.stored[r.Address.Key]++
		}
	}
	return n.Ledger.Commit(results...)
}

// An update that had no answer takes effect after the next one: the next one's value is not taken for what the platform
// made of it, and is sent again.
func TestAnOvertakenUpdateIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "First")}
		w.mustApply()
		w.want[0].Fields["agentPurpose"] = "Second"
		answered := make(chan struct{})
		w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpUpdate,
			Class: platform.Unknown, Hold: answered})
		w.applyUntil(func(cancel func()) { time.AfterFunc(time.Second, func() { cancel(); close(answered) }) })
		w.want[0].Fields["agentPurpose"] = "Third"
		faulty := platformtest.WithFaults(w.memory[mind])
		w.client[mind] = switched{Client: faulty, list: func() platform.Client {
			if faulty.Calls(platformtest.OpUpdate) > 0 { // it comes before the list after the writes
				w.memory[mind].Set("agent-0001", "agentPurpose", "Second")
			}
			return w.memory[mind]
		}}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
	})
}

// Of an update with a secret, what a list shows of the secret is no sign that it was not carried out.
func TestASecretIsNoSignThatAnUpdateWasIgnored(t *testing.T) {
	w := newWorld(t)
	headers := func(token string) map[string]any {
		return map[string]any{"baseUrl": "https://a.example.com",
			"headers": map[string]any{"authorization": secret.Template("${secret:" + token + "}")}}
	}
	w.want = []agent.Desired{concierge("a", "integrationMeta", headers("ONE"))}
	w.client[comet] = platformtest.WithRewrite(w.memory[comet], func(f agent.Fields) agent.Fields {
		if meta, ok := f["integrationMeta"].(map[string]any); ok {
			meta["headers"] = map[string]any{"authorization": secret.Literal("****")}
		}
		return f
	})
	w.mustApply()
	w.want[0].Fields["integrationMeta"] = headers("TWO")
	if rep := w.mustApply(); len(rep.Results) != 1 || rep.Results[0].Action != plan.Update {
		t.Errorf("%s", describe(rep))
	}
	w.check()
}

// An update that is answered closes the one before of the same agent, whose fields it sent as well, and nothing else.
func TestAnAnsweredUpdateClosesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a"), concierge("b")}
		w.mustApply()
		snap := w.load(w.file())
		a, b := w.want[0].Address, w.want[1].Address
		uid := snap.State.Agents[a].UID
		intents := []state.Intent{{ID: 91, Address: a, Action: "delete", UID: uid},
			{ID: 92, Address: b, Action: "update", UID: snap.State.Agents[b].UID, Fields: encoded(t, agent.Fields{})},
			{ID: 93, Address: a, Action: "update", UID: uid, Fields: encoded(t, agent.Fields{"name": "x"})},
			{ID: 94, Address: agent.Address{Platform: "cometchat", App: "other", Key: "a"}, Action: "update", UID: uid,
				Fields: encoded(t, agent.Fields{"name": "x"})}}
		for i := range intents {
			intents[i].At = time.Now()
		}
		fleet, err := state.NewFleet(snap.State, intents)
		if err != nil {
			t.Fatal(err)
		}
		w.want[0].Fields["name"] = "New"
		w.client[comet] = altered{Client: w.memory[comet], broken: func() bool { return true }}
		if _, err := w.engine(fleet).Apply(t.Context(), w.inMemory(fleet)); err != nil {
			t.Fatal(err)
		}
		var open []string
		for _, i := range fleet.Open() {
			open = append(open, fmt.Sprint(i.ID))
		}
		if slices.Sort(open); !slices.Equal(open, []string{"91", "92", "94"}) {
			t.Errorf("open: %v", open)
		}
	})
}

// Where nothing was done, an app that could not be listed makes it no part of a success.
func TestAnAppThatIsNotReadMakesNoPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh = fleet(1), true
		w.mustApply()
		w.want = append(w.want, concierge("new"))
		w.client[comet] = platformtest.WithFaults(w.memory[comet], platformtest.Fault{Op: platformtest.OpCreate,
			Class: platform.Refused, Status: 400})
		w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpList,
			Class: platform.Unknown})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Unread != 1 || rep.Outcome != apply.OutcomeFailed {
			t.Errorf("%v, %d unread, %s\n%s", err, rep.Unread, rep.Outcome, describe(rep))
		}
	})
}

// An agent that one open create is found to have made is no suspect of another.
func TestAnAgentThatIsFoundIsNoSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const purpose = "Helps people with whatever they ask."
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", purpose), coach("b", "agentPurpose", purpose)}
		w.intended(func(int) bool { return true }, w.want...)
		w.memory[mind].Put(w.want[1].Fields)
		w.mustApply()
		w.check()
		w.made(mind, 2)
	})
}
