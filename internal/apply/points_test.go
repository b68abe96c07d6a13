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

// late is a client whose first create is given up after a while and takes effect later.
func (w *world) late(id agent.AppID, givenUp, effect time.Duration) platform.Client {
	first := true
	return altered{Client: w.memory[id], create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
		if !first {
			return w.memory[id].Create(ctx, agent.ContentOf(f))
		}
		first = false
		time.AfterFunc(effect, func() { _, _ = w.memory[id].Create(context.Background(), agent.ContentOf(f)) })
		time.Sleep(givenUp)
		return platform.Remote{}, &platform.Error{Class: platform.Unknown, Method: "POST"}
	}}
}

// A platform that takes longer for a create than a request may take: the grace period begins when the request was
// given up, not when it left.
func TestASlowCreateIsMadeOnce(t *testing.T) {
	for id, want := range map[agent.AppID]agent.Desired{mind: coach("a"), comet: concierge("a")} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.want = []agent.Desired{want}
			w.client[id] = w.late(id, 30*time.Second, 34*time.Second)
			w.mustApply()
			time.Sleep(time.Minute)
			w.check()
			w.made(id, 1)
		})
	}
}

// An intent that is an hour old waits like any other: nobody knows when its request left, or whether it did.
func TestAnOldIntentWaitsAsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		w.givenUp(mind, time.Hour+20*time.Second)
		time.Sleep(time.Hour)
		w.mustApply()
		time.Sleep(time.Minute)
		w.check()
		w.made(mind, 1)
	})
}

// While a person read the plan, somebody else applied the same manifests.
func TestWhatChangedWhileThePlanWasReadIsStale(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), concierge("b")}
	w.answer = func(context.Context, *plan.Plan) (bool, error) {
		for _, d := range w.want {
			w.memory[d.Address.ID()].Put(d.Fields)
		}
		return true, nil
	}
	_, err := w.apply(t.Context())
	stale, ok := errors.AsType[*apply.StaleError](err)
	if !ok || len(stale.Changes) != 2 {
		t.Errorf("the apply ended with %v", err)
	}
	w.made(mind, 1)
	w.made(comet, 1)
	w.answer = func(context.Context, *plan.Plan) (bool, error) { return true, nil }
	w.mustApply() // which adopts
	w.check()
	w.made(mind, 1)
}

// A list that lacks an agent of a platform that has no read: the agent is asked for by an update, and is not made
// again. Nothing else is made beside such a list either.
func TestAnUnlistedAgentIsAskedForAndNotMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.refresh, w.opts.Parallelism = true, 1
		w.want = []agent.Desired{concierge("a"), concierge("b"), concierge("c")}
		w.mustApply()
		w.client[comet] = altered{Client: w.memory[comet],
			list: func(all []platform.Remote) []platform.Remote { return all[:1] }}
		rep := w.mustApply()
		if len(rep.Results) != 2 || !strings.Contains(rep.Results[0].Warning, "does not show") {
			t.Errorf("results:\n%s", describe(rep))
		}
		w.want = append(w.want, concierge("d"))
		w.makesOnceListed(2)
	})
}

// An agent that somebody deleted comes back by itself, on both platforms, and the others are left alone.
func TestADeletedAgentComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.refresh, w.opts.Parallelism = true, 1
		w.want = fleet(3)
		w.mustApply()
		for _, m := range w.memory {
			m.Remove("agent-0002")
		}
		w.mustApply()
		w.check()
		w.made(mind, 4)
		w.made(comet, 4)
	})
}

// A list that merely lags, by more than apply waits for it.
func TestALaggingListMakesNoSecondAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(2)
		for id, m := range w.memory {
			w.client[id] = platformtest.WithLag(m, platformtest.Lag{For: 9 * time.Second})
		}
		w.mustApply()
		w.refresh = true
		if _, err := w.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.mustApply()
		w.check()
		w.made(mind, 2)
		w.made(comet, 2)
	})
}

// An agent whose create is open gets another key before anybody could find out.
func TestAnOpenCreateFollowsARename(t *testing.T) {
	lower := func(f agent.Fields) agent.Fields {
		f["agentName"] = strings.ToLower(f["agentName"].(string))
		return f
	}
	for name, rewrite := range map[string]bool{"plain": false, "a platform that changes names": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{coach("a")}
				w.interrupted(mind)
				c := coach("c", "agentName", "Coach a")
				c.PreviousKeys = []string{"a"}
				w.want = []agent.Desired{c}
				if rewrite {
					w.client[mind] = platformtest.WithRewrite(w.memory[mind], lower)
				}
				rep, err := w.apply(t.Context())
				if err != nil || rewrite && rep.Count(apply.StatusUnknown) != 1 {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				w.made(mind, 1)
				if !rewrite {
					w.check()
				}
			})
		})
	}
}

// A 404 says nothing by itself: a mistyped endpoint answers it to everything.
func TestA404IsNoProof(t *testing.T) {
	notFound := &platform.Error{Class: platform.Refused, Method: "DELETE", Status: 404, Message: "an HTML page"}
	for name, lists := range map[string]bool{"beside a list that shows the agent": true, "without a list": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.want, w.prune = []agent.Desired{concierge("a"), concierge("b")}, true
			w.mustApply()
			w.want = w.want[:1]
			faulty := platformtest.WithFaults(w.memory[comet],
				platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Refused, Status: 404, Err: notFound})
			w.client[comet] = altered{Client: faulty, broken: func() bool { return !lists }}
			rep, err := w.apply(t.Context())
			if err != nil || rep.Count(apply.StatusFailed) != 1 {
				t.Fatalf("%v\n%s", err, describe(rep))
			}
			if lists && !strings.Contains(rep.Results[0].Hint, "https://app1.example.com") {
				t.Errorf("the hint does not say where was asked: %q", rep.Results[0].Hint)
			}
			if n := faulty.Calls(platformtest.OpDelete); (n > 0) != lists {
				t.Errorf("%d deletes were sent", n)
			}
			if n := len(w.load(w.file()).State.Agents); n != 2 {
				t.Errorf("%d agents in state, want 2", n)
			}
		})
	}
}

// deaf is a platform that says that updates are done, and does nothing.
type deaf struct{ platform.Client }

func (d deaf) Update(ctx context.Context, uid string, _ agent.Fields) (platform.Remote, error) {
	return platform.Remote{UID: uid}, platform.Leaving(ctx)
}

// A value that is still the one from before was not rewritten but not applied: it stays in the plan.
func TestAnUpdateThatWasNotCarriedOutStaysInThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Old."),
			concierge("b", "metaData", map[string]any{"greetingMessage": "Hi"})}
		w.mustApply()
		w.want = []agent.Desired{coach("a", "agentPurpose", "New."), concierge("b")}
		for id, m := range w.memory {
			w.client[id] = deaf{m}
		}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusFailed) != 2 {
			t.Fatalf("%v\n%s", err, describe(rep))
		}
		for _, res := range rep.Results {
			if !strings.HasSuffix(res.Hint, "sends it again:\n  agentsync apply") {
				t.Errorf("%s: the hint is %q", res.Address, res.Hint)
			}
		}
		for id, m := range w.memory {
			w.client[id] = m
		}
		if rep := w.mustApply(); len(rep.Results) != 2 {
			t.Errorf("results:\n%s", describe(rep))
		}
		w.check()
		if v, there := w.memory[comet].Agents()[0].Content.Fields()["metaData"]; there && len(v.(map[string]any)) > 0 {
			t.Errorf("the platform still has metaData %v", v)
		}
	})
}

// odd answers creates, and shows agents in lists, of which nothing but the uid can be read.
type odd struct{ platform.Client }

func (o odd) strip(r platform.Remote) platform.Remote {
	return platform.Remote{UID: r.UID, Unreadable: errors.New("field tags is no list"), CreatedAt: r.CreatedAt}
}

func (o odd) Create(ctx context.Context, f agent.Content) (platform.Remote, error) {
	r, err := o.Client.Create(ctx, f)
	return o.strip(r), err
}

func (o odd) List(ctx context.Context) ([]platform.Remote, error) {
	all, err := o.Client.List(ctx)
	for i := range all {
		all[i] = o.strip(all[i])
	}
	return all, err
}

// The uid is recorded whatever the rest of an answer is, and what cannot be read is not known: no drift, and nothing to
// stop another agent.
func TestAnOddAnswerLosesNoUID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.memory[mind].Put(agent.Fields{"agentName": "Somebody's"})
		w.memory[mind].Put(agent.Fields{"agentName": "Somebody else's"})
		w.want = []agent.Desired{coach("a"), coach("b")}
		w.client[mind] = odd{w.memory[mind]}
		if rep := w.mustApply(); !strings.Contains(rep.Results[0].Warning, "could not be kept") {
			t.Errorf("the warning is %q", rep.Results[0].Warning)
		}
		if n := len(w.load(w.file()).State.Agents); n != 2 {
			t.Errorf("%d agents in state, want 2", n)
		}
		w.refresh = true
		if rep := w.mustApply(); len(rep.Results) != 0 {
			t.Errorf("results:\n%s", describe(rep))
		}
		w.made(mind, 4)
	})
}

// rewrites are what platforms do to what they are sent.
var rewrites = map[string]func(agent.Fields) agent.Fields{
	"trims": texts(strings.TrimSpace),
	"line ends": texts(func(s string) string {
		return strings.ReplaceAll(s, "\n", "\r\n")
	}),
	"HTML": texts(func(s string) string {
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&#39;").Replace(s)
	}),
	"URLs": func(f agent.Fields) agent.Fields {
		if meta, ok := f["integrationMeta"].(map[string]any); ok {
			meta["baseUrl"] = meta["baseUrl"].(string) + "/"
		}
		return f
	},
	"defaults": func(f agent.Fields) agent.Fields {
		for _, name := range []string{"metaData", "integrationMeta"} {
			if m, ok := f[name].(map[string]any); ok {
				m["retries"], m["theme"] = true, "light"
			}
		}
		return f
	},
}

func texts(change func(string) string) func(agent.Fields) agent.Fields {
	return func(f agent.Fields) agent.Fields {
		for _, name := range []string{"agentPurpose", "agentName", "name"} {
			if s, ok := f[name].(string); ok {
				f[name] = change(s)
			}
		}
		return f
	}
}

// A platform that changes what it is sent costs neither the state nor an answer.
func TestWhatAPlatformRewritesIsFoundAgain(t *testing.T) {
	for name, rewrite := range rewrites {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{
					coach("a", "agentPurpose", "It's <b>\n & more.\n"),
					coach("b", "agentName", "Coach & b", "agentPurpose", "Other\ntext.\n"),
					concierge("c", "name", "Concierge & c", "metaData", map[string]any{"greetingMessage": "Hi"}),
				}
				for id, m := range w.memory {
					w.client[id] = platformtest.WithFaults(platformtest.WithRewrite(m, rewrite),
						lost(platformtest.OpCreate, 1))
				}
				w.mustApply()
				w.check()
				w.state += ".lost"
				for _, r := range w.mustApply().Results {
					if r.Action != plan.Adopt {
						t.Errorf("%s: %s", r.Address, r.Action)
					}
				}
				w.check()
				w.made(mind, 2)
				w.made(comet, 1)
			})
		})
	}
}

// A lost update that takes members out of an object is no update that was done.
func TestALostUpdateThatTakesMembersOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a", "metaData", map[string]any{"greetingMessage": "Hi"}),
			concierge("b", "metaData", map[string]any{"greetingMessage": "Hi", "introductoryMessage": "Me"})}
		w.opts.Parallelism = 1
		w.mustApply()
		w.want = []agent.Desired{concierge("a"), concierge("b", "metaData", map[string]any{"greetingMessage": "Hi"})}
		w.client[comet] = platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, Class: platform.Unknown},
			platformtest.Fault{Op: platformtest.OpUpdate, Nth: 2, Class: platform.Unknown})
		w.mustApply()
		w.check()
		w.refresh = true
		w.check()
		for _, r := range w.memory[comet].Agents() {
			m, _ := r.Content.Fields()["metaData"].(map[string]any)
			if _, there := m["introductoryMessage"]; there || r.UID == "agent-0001" && len(m) > 0 {
				t.Errorf("%s still has %v", r.UID, m)
			}
		}
	})
}

// An update does not hide what somebody else changed in another field.
func TestAnUpdateSwallowsNoDrift(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "agentPurpose", "Old."),
		concierge("b", "metaData", map[string]any{"greetingMessage": "Hi"})}
	w.mustApply()
	w.memory[mind].Set("agent-0001", "agentName", "Foreign")
	w.memory[comet].Set("agent-0001", "name", "Foreign")
	w.want[0].Fields["agentPurpose"] = "New."
	w.want[1].Fields["metaData"] = map[string]any{"greetingMessage": "Hello"}
	for _, r := range w.mustApply().Results {
		if strings.Contains(r.Warning, "ame") {
			t.Errorf("%s: %s", r.Address, r.Warning)
		}
	}
	w.refresh = true
	if rep := w.mustApply(); len(rep.Results) != 2 {
		t.Errorf("the drift was swallowed:\n%s", describe(rep))
	}
	w.check()
	if name := w.memory[mind].Agents()[0].Content.Value("agentName"); name != "Coach a" {
		t.Errorf("the name is %v", name)
	}
}

// A stranger that shares nothing with what was sent is not held for what was made.
func TestAStrangerDoesNotBlockAnOpenCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Helps people.")}
		w.memory[mind].Put(agent.Fields{"agentName": "Billing", "agentPurpose": "Writes bills."})
		time.Sleep(time.Minute)
		w.givenUp(mind, 0)
		w.mustApply()
		w.made(mind, 2)
	})
}

// After a crash, what is in no doubt does not wait for the one request that may have left; those that certainly never
// left do not wait at all.
func TestRecoveryHoldsUpNobodyElse(t *testing.T) {
	for name, left := range map[string]bool{"one may have left": true, "none left": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = fleet(20)
				w.intended(func(i int) bool { return left && i == 0 }, w.want[:5]...)
				start := time.Now()
				var finished []time.Duration
				w.observe = func(e apply.Event) {
					if e.Kind == apply.EventFinished {
						finished = append(finished, time.Since(start))
					}
				}
				w.mustApply()
				w.check()
				slices.Sort(finished)
				if len(finished) != 40 || finished[38] > 3*time.Second || left != (finished[39] >= 30*time.Second) {
					t.Errorf("the agents were done after %v", finished)
				}
			})
		})
	}
}

// intended leaves open intents of creates in the journal, as a run does that is killed; left says which requests may
// have left.
func (w *world) intended(left func(i int) bool, wanted ...agent.Desired) {
	w.t.Helper()
	f := w.file()
	run, err := f.Begin(context.Background(), w.load(f), 0)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	for i, d := range wanted {
		doc, err := agent.Encode(d.Fields)
		var id uint64
		if err == nil {
			id, err = run.Intend(state.Intent{Address: d.Address, Action: "create", Fields: doc, At: time.Now()})
		}
		if err == nil && left(i) {
			err = run.Leaving(id)
		}
		if err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	if err := run.Close(context.Background()); err != nil {
		w.t.Fatalf("%v", err)
	}
}

// Where nobody can be asked about an agent, a delete without an answer is sent once more, and its answer tells.
func TestASecondDeleteTells(t *testing.T) {
	for name, tt := range map[string]struct {
		fault platformtest.Fault
		open  int
	}{
		"answered":     {platformtest.Fault{Op: platformtest.OpDelete, Nth: 99}, 0},
		"fails":        {platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Refused, Status: 403}, 1},
		"has no reply": {platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Unknown}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want, w.prune = []agent.Desired{concierge("a"), concierge("b")}, true
				w.mustApply()
				w.want = w.want[:1]
				w.applyUntil(func(cancel func()) { w.client[comet] = dropsDelete{w.memory[comet], cancel} })
				faulty := platformtest.WithFaults(w.memory[comet], tt.fault)
				w.client[comet], w.prune = faulty, false
				if _, err := w.apply(t.Context()); err != nil {
					t.Fatal(err)
				}
				snap := w.load(w.file())
				if len(snap.Open) != tt.open || len(snap.State.Agents) != 1+tt.open {
					t.Errorf("%d intents open and %d agents in state, want %d open", len(snap.Open),
						len(snap.State.Agents), tt.open)
				}
				if n := faulty.Calls(platformtest.OpDelete); tt.open == 0 && n != 1 {
					t.Errorf("%d deletes were sent, want 1", n)
				}
			})
		})
	}
}

// dropsDelete loses the answers to deletes, and ends the run.
type dropsDelete struct {
	platform.Client
	cancel func()
}

func (d dropsDelete) Delete(ctx context.Context, uid string) error {
	err := d.Client.Delete(ctx, uid)
	d.cancel()
	return errors.Join(err, &platform.Error{Class: platform.Unknown, Method: "DELETE"})
}

// A platform that asks to wait for longer than anybody would fails all that waits for it, at once.
func TestWaitsAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		after  time.Duration
		failed bool
	}{"an hour": {time.Hour, true}, "five seconds": {5 * time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want = fleet(10)
				start := time.Now()
				var faults []platformtest.Fault
				for n := range 10 {
					faults = append(faults, platformtest.Fault{Op: platformtest.OpCreate, Nth: n +
						1, Class: platform.Throttled,
						Status: 429, RetryAfter: tt.after})
				}
				w.client[mind] = platformtest.WithFaults(w.memory[mind], faults...)
				rep, err := w.apply(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if tt.failed {
					if rep.Count(apply.StatusDone) != 10 || time.Since(start) > time.Minute {
						t.Errorf("after %s:\n%s", time.Since(start), describe(rep))
					}
				} else if rep.Outcome != apply.OutcomeComplete {
					t.Errorf("results:\n%s", describe(rep))
				}
			})
		})
	}
}
