package apply_test

import (
	"context"
	"errors"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
)

// doubting answers each list as one that may have been cut short, and hides some agents from it.
type doubting struct {
	platform.Client
	hide map[string]bool
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
		Err: &platform.DoubtfulList{Agents: shown, Reason: "others may be hidden"}}
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
