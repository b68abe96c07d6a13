package platformtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/secret"
	"agentsync/schema"
)

func mindset(t *testing.T) *schema.Platform {
	t.Helper()
	s, err := schema.Load("mindset")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func named(name string) agent.Fields { return agent.Fields{"agentName": name} }

func TestMemoryIsAsStrictAsAPlatform(t *testing.T) {
	m := platformtest.NewMemory(mindset(t))
	ctx := context.Background()
	made, err := m.Create(ctx, agent.ContentOf(agent.Fields{"agentName": "Coach", "externalTenantId": "t1"}))
	if err != nil {
		t.Fatal(err)
	}
	want := agent.Fields{"agentName": "Coach", "externalTenantId": "t1", "live": false, "access": "restrictedAccess"}
	if diff := cmp.Diff(want, made.Content.Fields()); diff != "" {
		t.Errorf("fields after create (-want +got):\n%s", diff)
	}
	for name, call := range map[string]func() error{
		"required": func() error {
			_, err := m.Create(ctx, agent.ContentOf(agent.Fields{"tags": []any{"a"}}))
			return err
		},
		"unknown": func() error {
			_, err := m.Create(ctx, agent.ContentOf(agent.Fields{"agentName": "a", "nope": "b"}))
			return err
		},
		"immutable": func() error {
			_, err := m.Update(ctx, made.UID, agent.Fields{"externalTenantId": "t2"})
			return err
		},
		"gone": func() error { _, err := m.Update(ctx, "agent-9999", named("x")); return err },
		"unresolved": func() error {
			_, err := m.Create(ctx, agent.ContentOf(agent.Fields{"agentName": secret.Template("${secret:A}")}))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := call(); platform.ClassOf(err) != platform.Refused {
				t.Errorf("%v is %v, want refused", err, platform.ClassOf(err))
			}
		})
	}
	if err := m.Delete(ctx, made.UID); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(ctx, made.UID); !errors.Is(err, platform.ErrNoSuchAgent) {
		t.Errorf("deleting an agent that is gone: %v", err)
	}
	if _, err := m.Read(ctx, made.UID); !errors.Is(err, platform.ErrNoSuchAgent) {
		t.Errorf("reading an agent that is gone: %v", err)
	}
	if m.Made() != 1 || len(m.Agents()) != 0 {
		t.Errorf("made %d, there are %d", m.Made(), len(m.Agents()))
	}
}

func TestFaultsStrikeTheCallThatTheyName(t *testing.T) {
	m := platformtest.NewMemory(mindset(t))
	f := platformtest.WithFaults(m,
		platformtest.Fault{Op: platformtest.OpCreate, Nth: 2, After: true, Class: platform.Unknown},
		platformtest.Fault{Op: platformtest.OpCreate, Nth: 3, Class: platform.Throttled, RetryAfter: time.Second},
		platformtest.Fault{Op: platformtest.OpList, Nth: 1, List: func([]platform.Remote) []platform.Remote {
			return nil
		}},
	)
	ctx := context.Background()
	for i, want := range []platform.Class{platform.Done, platform.Unknown, platform.Throttled, platform.Done} {
		if _, err := f.Create(ctx, agent.ContentOf(named("a"))); platform.ClassOf(err) != want {
			t.Errorf("create %d: %v", i+1, err)
		}
	}
	if m.Made() != 3 || f.Calls(platformtest.OpCreate) != 4 {
		t.Errorf("made %d with %d calls, want 3 with 4", m.Made(), f.Calls(platformtest.OpCreate))
	}
	for i, want := range []int{0, 3} {
		if list, err := f.List(ctx); err != nil || len(list) != want {
			t.Errorf("list %d: %d agents, %v; want %d", i+1, len(list), err, want)
		}
	}
}

func TestHeldCallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := platformtest.NewMemory(mindset(t))
		f := platformtest.WithFaults(m, platformtest.Fault{Op: platformtest.OpCreate, After: true,
			Hold: make(chan struct{})})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.Create(ctx, agent.ContentOf(named("a")))
		if platform.ClassOf(err) != platform.Unknown || !errors.Is(err, context.DeadlineExceeded) || m.Made() != 1 {
			t.Errorf("%v, made %d", err, m.Made())
		}
	})
}

func TestLagHidesWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		count := func(c platform.Client) int {
			list, err := c.List(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		m := platformtest.NewMemory(mindset(t))
		byLists := platformtest.WithLag(m, platformtest.Lag{Lists: 2})
		byTime := platformtest.WithLag(m, platformtest.Lag{For: 10 * time.Second})
		m.Put(named("a"))
		if got := []int{count(byLists), count(byLists), count(byLists)}; !cmp.Equal(got, []int{0, 0, 1}) {
			t.Errorf("lag of two lists shows %v", got)
		}
		before := count(byTime)
		time.Sleep(11 * time.Second) // the bubble's clock
		if after := count(byTime); before != 0 || after != 1 {
			t.Errorf("lag of ten seconds shows %d, then %d", before, after)
		}
	})
}

func TestRewriteChangesAnswersAlone(t *testing.T) {
	m := platformtest.NewMemory(mindset(t))
	w := platformtest.WithRewrite(m, func(f agent.Fields) agent.Fields { f["agentName"] = "masked"; return f })
	r, err := w.Create(t.Context(), agent.ContentOf(named("real")))
	if err != nil || r.Content.Fields()["agentName"] != "masked" {
		t.Errorf("answered %v, %v", r.Content.Fields(), err)
	}
	if got := m.Agents()[0].Content.Fields()["agentName"]; got != "real" {
		t.Errorf("stored %v", got)
	}
}

func TestSlowCallIsGivenUpAndTakesEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := platformtest.NewMemory(mindset(t))
		f := platformtest.WithFaults(m,
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 1, Slow: 34 * time.Second, Limit: 30 * time.Second},
			platformtest.Fault{Op: platformtest.OpCreate, Nth: 2, Slow: 20 * time.Second, Limit: 30 * time.Second})
		began := time.Now()
		_, err := f.Create(t.Context(), agent.ContentOf(named("a")))
		if took := time.Since(began); platform.ClassOf(err) != platform.Unknown || took != 30*time.Second ||
			m.Made() != 0 {
			t.Errorf("%v after %s, made %d", err, took, m.Made())
		}
		f.Wait()
		if took := time.Since(began); took != 34*time.Second || m.Made() != 1 {
			t.Errorf("made %d after %s", m.Made(), took)
		}
		if r, err := f.Create(t.Context(), agent.ContentOf(named("b"))); err != nil || r.UID != "agent-0002" {
			t.Errorf("within the limit: %v, %v", r, err)
		}
	})
}

// TestFaultsSayWhetherTheRequestLeft: what was sent, or may have been, has called what platform.BeforeSend put there,
// once.
func TestFaultsSayWhetherTheRequestLeft(t *testing.T) {
	cases := map[string]struct {
		fault platformtest.Fault
		left  int
		made  int
	}{
		"none":        {platformtest.Fault{}, 1, 1},
		"lost before": {platformtest.Fault{Op: platformtest.OpCreate, Class: platform.Unknown}, 1, 0},
		"lost after":  {platformtest.Fault{Op: platformtest.OpCreate, Class: platform.Unknown, After: true}, 1, 1},
		"slow":        {platformtest.Fault{Op: platformtest.OpCreate, Slow: time.Hour, Limit: time.Minute}, 1, 1},
		"never sent":  {platformtest.Fault{Op: platformtest.OpCreate, Class: platform.Refused, NeverSent: true}, 0, 0},
		"odd":         {platformtest.Fault{Op: platformtest.OpCreate, Odd: true}, 1, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := platformtest.NewMemory(mindset(t))
				f := platformtest.WithFaults(m, c.fault)
				left := 0
				ctx := platform.BeforeSend(t.Context(), func() error { left++; return nil })
				r, err := f.Create(ctx, agent.ContentOf(named("a")))
				f.Wait()
				if left != c.left || m.Made() != c.made {
					t.Errorf("left %d times, made %d; %v, %v", left, m.Made(), r, err)
				}
				if c.fault.Odd && (r.UID == "" || r.Unreadable == nil || !r.Content.IsZero()) {
					t.Errorf("answered %+v", r)
				}
			})
		})
	}
}

func TestIgnoredChangesAreAnsweredAsDone(t *testing.T) {
	m := platformtest.NewMemory(mindset(t))
	uid := m.Put(named("a")).UID
	f := platformtest.WithScript(m,
		func(platformtest.Call) platformtest.Fault { return platformtest.Fault{Ignored: true} })
	r, err := f.Update(t.Context(), uid, named("b"))
	if err != nil || r.UID != uid {
		t.Errorf("update: %v, %v", r, err)
	}
	if err := f.Delete(t.Context(), uid); err != nil {
		t.Errorf("delete: %v", err)
	}
	if got := m.Agents(); len(got) != 1 || got[0].Content.Fields()["agentName"] != "a" {
		t.Errorf("there is %v", got)
	}
}

// TestHabitsAreStable: a habit changes nothing of what it has made.
func TestHabitsAreStable(t *testing.T) {
	sent := agent.Fields{
		"text": " a <b> & c\nd\r\n", "url": "https://a.example.com", "slash": "https://a.example.com/",
		"metaData": map[string]any{"list": []any{"x & y "}},
	}
	for _, name := range []string{"trim", "crlf", "escape", "slash", "noslash", "fill"} {
		once := platformtest.Habit(name)(sent.Clone())
		if cmp.Equal(once, sent) {
			t.Errorf("%s changes nothing", name)
		}
		if diff := cmp.Diff(once, platformtest.Habit(name)(once.Clone())); diff != "" {
			t.Errorf("%s, twice (-once +twice):\n%s", name, diff)
		}
	}
	m := platformtest.NewMemory(mindset(t), platformtest.Keeping(platformtest.Habit("trim")),
		platformtest.WholeSeconds())
	r, err := m.Create(t.Context(), agent.ContentOf(named(" a ")))
	if err != nil || r.Content.Fields()["agentName"] != "a" || r.CreatedAt.Nanosecond() != 0 {
		t.Errorf("%v, %v", r, err)
	}
}
