package apply_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// Each test here is a way in which a second agent was made, a uid was lost or a run did not end clean,
// before the engine knew better.

// lost is the fault that loses the answer to the n-th call of op, after the effect.
func lost(op platformtest.Op, n int) platformtest.Fault {
	return platformtest.Fault{Op: op, Nth: n, After: true, Class: platform.Unknown}
}

// altered is a client whose calls a test changes; nil functions change nothing.
type altered struct {
	platform.Client
	create func(ctx context.Context, f agent.Fields) (platform.Remote, error)
	list   func([]platform.Remote) []platform.Remote
	broken func() bool // whether lists fail now
}

func (a altered) Create(ctx context.Context, f agent.Content) (platform.Remote, error) {
	if a.create == nil {
		return a.Client.Create(ctx, f)
	}
	if err := platform.Leaving(ctx); err != nil {
		return platform.Remote{}, &platform.Error{Class: platform.Refused, Method: "POST", NeverSent: true, Err: err}
	}
	return a.create(platform.BeforeSend(ctx, func() error { return nil }), f.Fields())
}

func (a altered) List(ctx context.Context) ([]platform.Remote, error) {
	if a.broken != nil && a.broken() {
		return nil, &platform.Error{Class: platform.Unknown, Method: "GET"}
	}
	all, err := a.Client.List(ctx)
	if a.list != nil {
		all = a.list(all)
	}
	return all, err
}

// applyUntil applies until what start arranges calls cancel.
func (w *world) applyUntil(start func(cancel func())) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	start(cancel)
	if rep, err := w.apply(ctx); err != nil || rep.Outcome != apply.OutcomeInterrupted {
		w.t.Fatalf("%v, outcome %v", err, rep)
	}
}

// interrupted applies, and cancels the run while the answer to the first create is being lost.
func (w *world) interrupted(id agent.AppID) {
	w.t.Helper()
	inner := w.client[id]
	w.applyUntil(func(cancel func()) {
		w.client[id] = altered{Client: inner, create: func(c context.Context, f agent.Fields) (platform.Remote, error) {
			_, err := inner.Create(c, agent.ContentOf(f))
			cancel()
			return platform.Remote{}, errors.Join(err, &platform.Error{Class: platform.Unknown, Method: "POST"})
		}}
	})
	w.client[id] = inner
}

// givenUp applies and is interrupted at the first create, which takes effect after a while, or never where that is 0.
func (w *world) givenUp(id agent.AppID, effect time.Duration) {
	w.t.Helper()
	w.applyUntil(func(cancel func()) {
		w.client[id] = altered{Client: w.memory[id],
			create: func(_ context.Context, f agent.Fields) (platform.Remote, error) {
				if effect > 0 {
					time.AfterFunc(effect, func() {
						_, _ = w.memory[id].Create(context.Background(),
							agent.ContentOf(f))
					})
				}
				cancel()
				return platform.Remote{}, &platform.Error{Class: platform.Unknown, Method: "POST"}
			}}
	})
	w.client[id] = w.memory[id]
}

// lostDelete applies, and is interrupted while a delete waits for its answer, which never takes effect.
func (w *world) lostDelete(id agent.AppID) {
	w.t.Helper()
	answered := make(chan struct{})
	w.client[id] = platformtest.WithFaults(w.memory[id],
		platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Unknown, Hold: answered})
	w.applyUntil(func(cancel func()) { time.AfterFunc(time.Second, func() { cancel(); close(answered) }) })
	w.client[id] = w.memory[id]
}

func (w *world) made(id agent.AppID, want int) {
	w.t.Helper()
	if n := w.memory[id].Made(); n != want {
		w.t.Errorf("%d agents were made, want %d", n, want)
	}
}

func secretName(w *world) {
	w.want = []agent.Desired{coach("a", "agentName", secret.Template("Coach ${secret:WHO}")), coach("b")}
}

func TestSecretNameIsRecognised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secretName(w)
		w.client[mind] = platformtest.WithFaults(w.memory[mind], lost(platformtest.OpCreate, 1))
		w.mustApply()
		w.check()
		w.made(mind, 2)

		w.state += ".new" // and adopted once state is lost
		w.mustApply()
		w.made(mind, 2)
	})
}

func TestSecretNameOfAnEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secretName(w)
		w.interrupted(mind)
		w.mustApply()
		w.check()
		w.made(mind, 2)
	})
}

func TestUnknownUpdateTwiceLeavesNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(1)
		w.mustApply()
		w.prune = true
		w.want[0].Fields["name"] = "New"
		w.want = w.want[:1]
		for id := range w.client {
			w.client[id] = platformtest.WithFaults(w.memory[id],
				platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, Class: platform.Unknown},
				platformtest.Fault{Op: platformtest.OpUpdate, Nth: 2, Class: platform.Unknown},
				platformtest.Fault{Op: platformtest.OpDelete, Nth: 1, Class: platform.Unknown},
				lost(platformtest.OpDelete, 2))
		}
		w.mustApply()
		w.check()
	})
}

func TestLostDeleteDoesNotHoldUpLostCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a"), coach("b")}
		w.mustApply()
		w.prune = true
		w.want = []agent.Desired{coach("a"), coach("c")}
		w.client[mind] = platformtest.WithFaults(w.memory[mind], lost(platformtest.OpCreate, 1),
			lost(platformtest.OpDelete, 1))
		w.mustApply()
		w.check()
		w.made(mind, 3)
	})
}

func TestLostDeleteOfAReplaceLeavesNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "externalTenantId", "t1")}
		w.mustApply()
		w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t2")}, true
		w.client[mind] = platformtest.WithFaults(w.memory[mind], lost(platformtest.OpCreate, 1),
			lost(platformtest.OpDelete, 1))
		w.mustApply()
		w.check()
	})
}

func TestOneGoodListIsNotEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		nothing := func([]platform.Remote) []platform.Remote { return nil }
		w.client[mind] = platformtest.WithFaults(w.memory[mind], lost(platformtest.OpCreate, 1),
			platformtest.Fault{Op: platformtest.OpList, Nth: 2, Class: platform.Unknown},
			platformtest.Fault{Op: platformtest.OpList, Nth: 3, List: nothing})
		w.mustApply()
		w.check()
		w.made(mind, 1)
	})
}

// A request that waits for the pace leaves long after its intent: the grace period begins there.
func TestGraceBeginsWhenTheRequestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		first := true
		w.client[mind] = altered{Client: w.memory[mind],
			create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
				if !first {
					return w.memory[mind].Create(ctx, agent.ContentOf(f))
				}
				first = false
				time.Sleep(time.Minute)
				sent := time.Now()
				time.AfterFunc(20*time.Second, func() {
					_, _ = w.memory[mind].Create(context.Background(),
						agent.ContentOf(f))
				})
				return platform.Remote{}, &platform.Error{Class: platform.Unknown, Method: "POST", SentAt: sent}
			}}
		w.mustApply()
		time.Sleep(time.Minute)
		w.check()
		w.made(mind, 1)
	})
}

func TestPlatformWhoseClockIsAnHourBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		skew := func(all []platform.Remote) []platform.Remote {
			for i := range all {
				all[i].CreatedAt = all[i].CreatedAt.Add(-time.Hour)
			}
			return all
		}
		w.client[mind] = altered{Client: platformtest.WithFaults(w.memory[mind], lost(platformtest.OpCreate, 1)),
			list: skew}
		w.mustApply()
		w.check()
		w.made(mind, 1)
	})
}

func TestRewrittenIdentityStopsInsteadOfDuplicating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		lower := func(f agent.Fields) agent.Fields {
			name, _ := f["agentName"].(string)
			f["agentName"] = strings.ToLower(name)
			return f
		}
		w.client[mind] = platformtest.WithFaults(platformtest.WithRewrite(w.memory[mind], lower),
			lost(platformtest.OpCreate, 1))
		for range 2 { // in the run that sent it, and in the next one
			rep, err := w.apply(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(rep.Results) != 1 || rep.Results[0].Status != apply.StatusUnknown {
				t.Errorf("results:\n%s", describe(rep))
			}
			w.made(mind, 1)
		}
		w.opts.AllowDuplicateNames = true // the way out, where it is somebody else's
		w.mustApply()
		w.made(mind, 2)
	})
}

func TestListThatLacksAKnownAgentStopsCreates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, key := range []string{"a", "b"} {
			w.want = append(w.want, coach(key))
			w.mustApply()
			time.Sleep(time.Second) // what shares a time may be hidden by a page's end
		}
		short := func(all []platform.Remote) []platform.Remote { return all[:1] }
		w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpList,
			List: short})
		w.refresh = true // b looks as if it had vanished
		w.want = append(w.want, coach("c"))
		rep, err := w.apply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rep.Results {
			if !errors.Is(r.Err, apply.ErrSuspiciousList) {
				t.Errorf("results:\n%s", describe(rep))
			}
		}
		w.made(mind, 2)

		w.client[mind] = w.memory[mind]
		w.memory[mind].Remove("agent-0002") // now it really is gone
		w.mustApply()
		w.refresh = false
		w.check()
		w.made(mind, 4)
	})
}

func TestVanishedAgentWhoseCreateIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a"), coach("b")}
		w.mustApply()
		w.memory[mind].Remove("agent-0002")
		w.refresh = true
		w.interrupted(mind)
		w.refresh = false
		w.mustApply() // without --prune: nothing obsolete may be left that needs it
		w.check()
		w.made(mind, 3)
	})
}

func TestAnswerWithAnotherAgentsUID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts.Parallelism = 1
		w.want = []agent.Desired{coach("a"), coach("b"), coach("c")}
		n := 0
		w.client[mind] = altered{Client: w.memory[mind],
			create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
				made, err := w.memory[mind].Create(ctx, agent.ContentOf(f))
				if n++; n == 2 {
					made.UID = "agent-0001"
				}
				return made, err
			}}
		w.mustApply()
		w.check()
		w.made(mind, 3)
	})
}

func TestOpenDeleteOfTheLastAgentIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a")}
		w.mustApply()
		w.want, w.prune = nil, true
		faulty := platformtest.WithFaults(w.memory[mind], lost(platformtest.OpDelete, 1),
			platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Unknown})
		w.client[mind] = altered{Client: faulty, broken: func() bool { return faulty.Calls(platformtest.OpDelete) > 0 }}
		if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusUnknown) != 1 {
			t.Fatal(describe(rep), err)
		}
		if snap := w.load(state.NewFile(w.state)); len(snap.Open) == 0 {
			t.Error("no intent is open")
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
	})
}
