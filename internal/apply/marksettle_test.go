package apply_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/state/statetest"
)

// A platform that changes what it is sent makes content useless for settling; the mark is enough.
func TestLostAnswersAreSettledByMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(4)
		w.marking(true)
		for id := range w.client {
			name := map[agent.AppID]string{comet: "name", mind: "agentName"}[id]
			shout := altered{Client: w.memory[id], create: func(ctx context.Context, f agent.Fields) (platform.Remote,
				error) {
				f = f.Clone()
				f[name] = "ALTERED"
				return w.memory[id].Create(ctx, agent.ContentOf(f))
			}}
			w.client[id] = platformtest.WithFaults(shout,
				platformtest.Fault{Op: platformtest.OpCreate, After: true, Class: platform.Unknown})
		}
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusDone) != len(w.want) {
			t.Fatalf("%v\n%s", err, describe(rep))
		}
		w.check()
		w.checkMarks()
		for id, m := range w.memory {
			if m.Made() != 4 {
				t.Errorf("%s: %d agents were made, want 4", id, m.Made())
			}
		}
	})
}

// An update whose answer was lost is done once the mark is there, and not before.
func TestLostAnswersOfMarkUpdates(t *testing.T) {
	for _, after := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.want = fleet(2)
			w.mustApply()
			w.marking(true)
			for id := range w.client {
				w.client[id] = platformtest.WithFaults(w.memory[id],
					platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1, After: after, Class: platform.Unknown})
			}
			w.mustApply()
			w.check()
			w.checkMarks()

			// The same where the run ends before it is known.
			w.marking(false)
			w.ending(after)
			w.mustApply()
			w.check()
			w.checkMarks()
		})
	}
}

// A mark that arrived although the answer was lost is known, so that it goes when it is turned off.
func TestAMarkOfALostAnswerGoesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = fleet(2)
		w.mustApply()
		w.marking(true)
		w.ending(true)
		w.marking(false)
		w.mustApply() // which settles first, and then finds that the marks are to go
		w.check()
		w.checkMarks()
	})
}

// ending applies and loses every answer to an update, and the run ends before anything is known.
func (w *world) ending(after bool) {
	w.t.Helper()
	for id, m := range w.memory {
		w.client[id] = platformtest.WithFaults(m,
			platformtest.Fault{Op: platformtest.OpUpdate, After: after, Class: platform.Unknown},
			platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown})
	}
	if rep, err := w.apply(w.t.Context()); err != nil || rep.Count(apply.StatusUnknown) != len(w.want) {
		w.t.Fatalf("%v\n%s", err, describe(rep))
	}
	for id, m := range w.memory {
		w.client[id] = m
	}
}

// An agent of somebody else's that appears at the wrong moment is not taken for the one whose answer
// was lost, however equal it is.
func TestAStrangersMarkSettlesNothing(t *testing.T) {
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.want = []agent.Desired{coach("a")}
			w.marking(on)
			theirs := platform.AddMark(w.schemas["mindset"], w.want[0].Fields.Clone(), coach("theirs").Address.Mark())
			tries := 0
			w.client[mind] = altered{Client: w.memory[mind],
				create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
					if tries++; tries > 1 {
						return w.memory[mind].Create(ctx, agent.ContentOf(f))
					}
					w.memory[mind].Put(theirs)
					return platform.Remote{}, &platform.Error{Class: platform.Unknown, Method: "POST"}
				}}
			rep, err := w.apply(t.Context()) // theirs has the name that ours is to have
			if err != nil || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) {
				t.Errorf("%v\n%s", err, describe(rep))
			}
			w.made(mind, 1)
			w.opts.AllowDuplicateNames = true
			w.mustApply()
			w.checkMarks()
			w.made(mind, 2)
			if uid := w.uids()[w.want[0].Address]; uid != w.memory[mind].Agents()[1].UID {
				t.Errorf("marks %v: %s was taken for ours", on, uid)
			}
		})
	}
}

// Where the state is lost and the journal knows of an update that nobody can look into, the agent is
// there: no second one is made for its address.
func TestAnOpenUpdateOfALostStateMakesNoSecondAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t, "/fleet/state.json")
		w.disk = statetest.New()
		w.want = []agent.Desired{coach("a")}
		w.mustApply()
		w.marking(true)
		w.ending(false)
		w.disk.Delete(w.state)
		w.client[mind] = platformtest.WithFaults(w.memory[mind],
			platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown})
		if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusUnknown) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
		w.checkMarks()
		w.made(mind, 1)
	})
}
