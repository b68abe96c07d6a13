package apply_test

import (
	"context"
	"errors"
	"os"
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

func TestCreateUpdateDelete(t *testing.T) {
	w := newWorld(t)
	w.opts.Parallelism = 1 // so that agents are made in the order of their addresses
	w.want = fleet(5)
	rep := w.mustApply()
	if n := rep.Count(apply.StatusDone); n != 10 {
		t.Fatalf("%d done, want 10", n)
	}
	w.check()

	w.want[0].Fields["name"] = "Renamed"
	w.want[1].Fields["agentPurpose"] = "Help."
	w.want = append(w.want, coach("late", "tags", []any{"a", "b"}))
	w.prune = true
	w.want = append(w.want[:4], w.want[6:]...) // c002 and m002 leave
	rep = w.mustApply()
	if got, want := actions(rep), "update,update,delete,delete,create"; sortWords(got) != sortWords(want) {
		t.Errorf("actions %s, want %s", got, want)
	}
	w.check()
	if got := w.memory[comet].Agents()[0].Content.Fields()["name"]; got != "Renamed" {
		t.Errorf("name is %v", got)
	}

	// A field taken out of the manifest goes back to empty.
	delete(w.want[1].Fields, "agentPurpose")
	w.mustApply()
	w.check()
	if got := w.memory[mind].Agents()[0].Content.Fields()["agentPurpose"]; got != "" {
		t.Errorf("agentPurpose is %q, want it empty", got)
	}
}

func TestWithoutPruneNothingIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.want = fleet(2)
	w.mustApply()
	w.want = w.want[:2]
	if rep := w.mustApply(); len(rep.Results) != 0 {
		t.Errorf("results %s", describe(rep))
	}
	if n := len(w.memory[comet].Agents()) + len(w.memory[mind].Agents()); n != 4 {
		t.Errorf("%d agents are live, want 4", n)
	}
}

func TestReplaceMakesTheNewOneFirst(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "externalTenantId", "t1")}
	w.mustApply()
	w.want = []agent.Desired{coach("a", "externalTenantId", "t2")}

	rep, err := w.apply(t.Context())
	if err != nil || len(rep.Results) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) {
		t.Fatalf("without prune: %v, %s", err, describe(rep))
	}
	w.prune = true
	faulty := platformtest.WithFaults(w.memory[mind])
	w.client[mind] = faulty
	w.mustApply()
	w.check()
	var order []string
	for _, c := range faulty.Log() {
		if c.Op != platformtest.OpList {
			order = append(order, string(c.Op))
		}
	}
	if got := strings.Join(order, ","); got != "create,delete" {
		t.Errorf("calls %s, want create,delete", got)
	}
}

func TestReplaceThatEndsInBetweenIsFinished(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "externalTenantId", "t1")}
	w.mustApply()
	w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t2")}, true
	w.client[mind] = platformtest.WithFaults(w.memory[mind],
		platformtest.Fault{Op: platformtest.OpDelete, Class: platform.Refused, Status: 400})
	rep, err := w.apply(t.Context())
	if err != nil || rep.Results[0].Status != apply.StatusFailed {
		t.Fatalf("%v %s", err, describe(rep))
	}
	if n := len(w.memory[mind].Agents()); n != 2 {
		t.Fatalf("%d agents, want the old and the new", n)
	}
	w.client[mind] = w.memory[mind]
	w.mustApply()
	w.check()
}

func TestLostAnswersAreSettledInTheSameRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(20)
		for id := range w.client {
			w.client[id] = platformtest.WithFaults(w.memory[id],
				platformtest.Fault{Op: platformtest.OpCreate, Nth: 3, After: true, Class: platform.Unknown},
				platformtest.Fault{Op: platformtest.OpCreate, Nth: 7, Class: platform.Unknown, Status: 502},
				platformtest.Fault{Op: platformtest.OpCreate, Nth: 9, After: true, Class: platform.Unknown,
					Status: 500})
		}
		w.mustApply()
		w.check()
		for id, m := range w.memory {
			if m.Made() != 20 {
				t.Errorf("%s: %d agents were made, want 20", id, m.Made())
			}
		}
	})
}

func TestLostAnswerWithLaggingList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(5)
		for id := range w.client {
			w.client[id] = platformtest.WithFaults(platformtest.WithLag(w.memory[id],
				platformtest.Lag{For: 20 * time.Second}),
				platformtest.Fault{Op: platformtest.OpCreate, Nth: 2, After: true, Class: platform.Unknown})
		}
		w.mustApply()
		w.check()
	})
}

func TestSameContentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := coach("a"), coach("b")
		b.Fields["agentName"] = a.Fields["agentName"]
		w.want = []agent.Desired{a, b}
		w.client[mind] = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 1, After: true, Class: platform.Unknown},
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 2, Class: platform.Unknown})
		w.mustApply()
		w.check()
	})
}

func TestRewrittenNameStopsInsteadOfDuplicating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Help  people.")}
		rewrite := func(f agent.Fields) agent.Fields { f["agentPurpose"] = "Help people."; return f }
		w.client[mind] = platformtest.WithFaults(platformtest.WithRewrite(w.memory[mind], rewrite),
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 1, After: true, Class: platform.Unknown})
		rep, err := w.apply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		res := rep.Results[0]
		if res.Status != apply.StatusUnknown || !strings.Contains(res.Hint,
			"agentsync import mindset/acme/a agent-0001") {
			t.Errorf("%s, hint %q", describe(rep), res.Hint)
		}
		if n := w.memory[mind].Made(); n != 1 {
			t.Errorf("%d agents were made", n)
		}
	})
}

func TestThrottledCreateIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(3)
		start := time.Now()
		w.client[comet] = platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 1, Class: platform.Throttled, Status: 429,
				RetryAfter: 7 * time.Second})
		w.mustApply()
		w.check()
		if d := time.Since(start); d < 7*time.Second || d > 10*time.Second {
			t.Errorf("waited %s, want about 7 s", d)
		}
	})
}

func TestRefusedKeyStopsTheAppAlone(t *testing.T) {
	w := newWorld(t)
	w.want = fleet(10)
	w.opts.Parallelism = 1
	w.client[mind] = platformtest.WithFaults(w.memory[mind],
		platformtest.Fault{Op: platformtest.OpCreate, Class: platform.Refused, Status: 401})
	rep, err := w.apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f, n, d := rep.Count(apply.StatusFailed), rep.Count(apply.StatusNotStarted),
		rep.Count(apply.StatusDone); f != 1 ||
		n != 9 || d != 10 {
		t.Errorf("%d failed, %d not started, %d done:\n%s", f, n, d, describe(rep))
	}
	w.client[mind] = w.memory[mind]
	w.mustApply()
	w.check()
}

func TestLostStateIsAdopted(t *testing.T) {
	w := newWorld(t)
	w.want = append(fleet(5), concierge("secretive", "integrationMeta", map[string]any{
		"baseUrl": "https://a.example.com",
		"headers": map[string]any{"authorization": secret.Template("Bearer ${secret:TOKEN}")}}))
	w.mustApply()
	w.state += ".new"
	rep := w.mustApply()
	for _, r := range rep.Results {
		if r.Action != plan.Adopt {
			t.Errorf("%s: %s", r.Address, r.Action)
		}
	}
	w.check()
}

func TestSecretInAnOrdinaryFieldIsNotStored(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "agentPurpose", secret.Template("Use ${secret:TOKEN} for calls.")),
		concierge("b", "metaData", map[string]any{"token": secret.Template("${secret:TOKEN}")})}
	w.mustApply()
	w.check()
	b, err := os.ReadFile(w.state)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "value of TOKEN") {
		t.Errorf("the state holds a secret in clear:\n%s", b)
	}
}

func TestNamesakeIsInTheWay(t *testing.T) {
	w := newWorld(t)
	w.memory[mind].Put(agent.Fields{"agentName": "Coach a", "agentPurpose": "Something else."})
	w.want = []agent.Desired{coach("a"), coach("b")}
	rep, err := w.apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res := rep.Results[0]
	if !errors.Is(res.Err, apply.ErrBlocked) || !strings.Contains(res.Hint,
		"agentsync import mindset/acme/a agent-0001") {
		t.Errorf("%s, hint %q", describe(rep), res.Hint)
	}
	if n := w.memory[mind].Made(); n != 2 {
		t.Errorf("%d agents, want the namesake and b", n)
	}
	w.opts.AllowDuplicateNames = true
	w.mustApply()
	if n := w.memory[mind].Made(); n != 3 {
		t.Errorf("%d agents, want a made beside its namesake", n)
	}
}

func TestSuspiciousListStopsCreates(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.mustApply()
	w.want = append(w.want, coach("b"))
	w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{
		Op: platformtest.OpList, List: func([]platform.Remote) []platform.Remote { return nil }})
	rep, err := w.apply(t.Context())
	if err != nil || !errors.Is(rep.Results[0].Err, apply.ErrSuspiciousList) {
		t.Fatalf("%v %s", err, describe(rep))
	}
	if n := w.memory[mind].Made(); n != 1 {
		t.Errorf("%d agents were made", n)
	}
}

func TestInterruptFinishesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(10)[:1]
		w.opts.Parallelism = 1
		for i := range 5 {
			w.want = append(w.want, concierge(string(rune('p'+i))))
		}
		hold := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		w.client[comet] = platformtest.WithFaults(w.memory[comet],
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 2, After: true, Hold: hold})
		time.AfterFunc(time.Second, func() { // while the answer to the second one is on its way
			cancel()
			close(hold)
		})
		rep, err := w.apply(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Outcome != apply.OutcomeInterrupted || rep.Count(apply.StatusDone) != 2 ||
			rep.Count(apply.StatusNotStarted) != 4 {
			t.Errorf("outcome %s:\n%s", rep.Outcome, describe(rep))
		}
		if snap := w.load(w.file()); len(snap.State.Agents) != 2 {
			t.Errorf("%d agents in state, want 2", len(snap.State.Agents))
		}
		w.client[comet] = w.memory[comet]
		w.mustApply()
		w.check()
	})
}

func TestUnknownUpdatesAndDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(4)
		w.mustApply()
		w.prune = true
		w.want[0].Fields["name"] = "New name"
		w.want[1].Fields["agentPurpose"] = "New purpose"
		w.want = w.want[:4]
		for id := range w.client {
			w.client[id] = platformtest.WithFaults(w.memory[id],
				platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, After: true, Class: platform.Unknown},
				platformtest.Fault{Op: platformtest.OpDelete, Nth: 1, After: true, Class: platform.Unknown},
				platformtest.Fault{Op: platformtest.OpDelete, Nth: 2, Class: platform.Unknown})
		}
		w.mustApply()
		w.check()
	})
}

// A delete without an answer, and the agent renamed before anybody could find out what became of it.
func TestAnOpenDeleteFollowsARename(t *testing.T) {
	for _, id := range []agent.AppID{mind, comet} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			of := map[agent.AppID]func(string, ...any) agent.Desired{mind: coach, comet: concierge}[id]
			w.want, w.prune = []agent.Desired{of("a"), of("b")}, true
			w.mustApply()
			w.want = []agent.Desired{of("b")}
			faulty := platformtest.WithFaults(w.memory[id],
				platformtest.Fault{Op: platformtest.OpDelete, After: true, Class: platform.Unknown})
			w.client[id] = altered{Client: faulty, broken: func() bool {
				return faulty.Calls(platformtest.OpDelete) > 0
			}}
			if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusUnknown) != 1 {
				t.Fatalf("%v\n%s", err, describe(rep))
			}
			w.client[id] = w.memory[id]
			f := state.NewFile(w.state)
			from, to := of("a").Address, of("c").Address
			if err := f.Edit(t.Context(), w.load(f), func(s *state.State) error {
				s.Agents[to] = s.Agents[from]
				delete(s.Agents, from)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			w.want = []agent.Desired{of("b"), of("c")}
			w.mustApply()
			w.check()
		})
	}
}

func TestRenames(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a"), coach("b")}
	w.mustApply()
	c := coach("c")
	c.Fields["agentName"], c.PreviousKeys = "Coach a", []string{"a"}
	w.want = []agent.Desired{c, coach("b")}
	rep := w.mustApply()
	if len(rep.Results) != 1 || rep.Results[0].Action != plan.Move {
		t.Errorf("results:\n%s", describe(rep))
	}
	w.check()
	if n := w.memory[mind].Made(); n != 2 {
		t.Errorf("%d agents were made", n)
	}
}

func TestCanonicalChangeOfAPlatformCausesOneWarningAndNoDiff(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "tags", []any{"x", "y"}, "agentPurpose", " Help. ")}
	w.client[mind] = platformtest.WithRewrite(w.memory[mind], func(f agent.Fields) agent.Fields {
		f["agentPurpose"] = "Help."
		f["tags"] = []any{"y", "x"}
		return f
	})
	rep := w.mustApply()
	if !strings.Contains(rep.Results[0].Warning, "agentPurpose") || strings.Contains(rep.Results[0].Warning, "tags") {
		t.Errorf("warning %q", rep.Results[0].Warning)
	}
	w.check()
}

func actions(rep *apply.Report) string {
	var names []string
	for _, r := range rep.Results {
		names = append(names, string(r.Action))
	}
	return strings.Join(names, ",")
}

func sortWords(s string) string {
	words := strings.Split(s, ",")
	slices.Sort(words)
	return strings.Join(words, ",")
}
