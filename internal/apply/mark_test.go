package apply_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// marking turns marks on or off for all wanted agents.
func (w *world) marking(on bool) {
	for i := range w.want {
		w.want[i].Mark = ""
		if on {
			w.want[i].Mark = w.want[i].Address.Mark()
		}
	}
}

// checkMarks holds the marks that are really there against the wanted ones, and makes sure that none
// is seen in the state's documents.
func (w *world) checkMarks() {
	w.t.Helper()
	wanted := map[agent.Address]string{}
	for _, d := range w.want {
		wanted[d.Address] = d.Mark
	}
	for a, rec := range w.load(w.file()).State.Agents {
		m := w.memory[a.ID()]
		all := m.Agents()
		i := slices.IndexFunc(all, func(r platform.Remote) bool { return r.UID == rec.UID })
		if i < 0 {
			w.t.Errorf("%s is not there", a)
			continue
		}
		if _, mark := platform.TakeMark(w.schemas[a.Platform], all[i].Content.Fields()); mark != wanted[a] ||
			rec.Mark != wanted[a] {
			w.t.Errorf("%s carries the mark %q, and by the state %q, want %q", a, mark, rec.Mark, wanted[a])
		}
		if docs := string(rec.Applied) + string(rec.Observed); strings.Contains(docs, agent.MarkName) {
			w.t.Errorf("%s: the mark stands in a document: %s", a, docs)
		}
	}
}

func TestMarksAreTurnedOnAndOff(t *testing.T) {
	w := newWorld(t)
	w.want = append(fleet(2), coach("tagged", "tags", []any{"hr"}),
		concierge("greeting", "metaData", map[string]any{"greetingMessage": "Hi"}))
	for _, on := range []bool{false, true, false, true} {
		w.marking(on)
		if rep := w.mustApply(); len(rep.Results) != len(w.want) {
			t.Errorf("marks %v: %d changes, want %d", on, len(rep.Results), len(w.want))
		}
		w.check()
		w.checkMarks()
		w.refresh = true // nor is a mark drift
		w.check()
		w.refresh = false
	}
	w.want[4].Fields["tags"] = []any{"hr", "new"}
	w.mustApply()
	w.check()
	w.checkMarks()
}

// What the manifest does not name stays as it is when the mark comes and goes.
func TestMarksLeaveAloneWhatNobodyNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a"), concierge("b")}
		w.mustApply()
		live := map[agent.AppID]any{mind: []any{"theirs"}, comet: map[string]any{"greetingMessage": "Theirs"}}
		fields := map[agent.AppID]string{mind: "tags", comet: "metaData"}
		for id, v := range live {
			w.memory[id].Set(w.memory[id].Agents()[0].UID, fields[id], v)
		}
		w.seeAgain()
		for _, step := range []struct{ on, lost bool }{{on: true}, {}, {on: true, lost: true}, {lost: true}} {
			w.marking(step.on)
			if step.lost {
				w.ending(true)
			}
			w.mustApply()
			w.check()
			w.checkMarks()
			for id, want := range live {
				got, _ := platform.TakeMark(w.schemas[id.Platform], w.memory[id].Agents()[0].Content.Fields())
				if diff := cmp.Diff(want, got[fields[id]]); diff != "" {
					t.Errorf("%+v: %s (-want +got):\n%s", step, fields[id], diff)
				}
			}
		}
	})
}

// seeAgain records what is live as observed, as an import does.
func (w *world) seeAgain() {
	w.t.Helper()
	f := w.file()
	if err := f.Edit(w.t.Context(), w.load(f), func(s *state.State) error {
		for a, rec := range s.Agents {
			for _, r := range w.memory[a.ID()].Agents() {
				if r.UID == rec.UID {
					rec.Observed, _ = agent.Encode(r.Content.Fields())
				}
			}
			s.Agents[a] = rec
		}
		return nil
	}); err != nil {
		w.t.Fatalf("%v", err)
	}
}

func TestALostStateIsFoundAgainByItsMarks(t *testing.T) {
	w := newWorld(t)
	w.opts.Parallelism = 1
	w.want = fleet(3)
	names := map[string]string{"cometchat": "name", "mindset": "agentName"}
	for _, d := range w.want { // all alike: their content does not tell them apart
		d.Fields[names[d.Address.Platform]] = "Twin"
	}
	w.marking(true)
	w.mustApply()
	before := w.uids()
	w.state += ".lost" // a new one
	changed := map[string]string{"cometchat": "icon", "mindset": "agentPurpose"}
	w.want = append(w.want, coach("new", "agentName", "Twin"))
	w.marking(true)
	for _, d := range w.want { // and the manifests went on
		d.Fields[changed[d.Address.Platform]] = "https://cdn.example.com/" + d.Address.Key
	}
	w.mustApply()
	w.check()
	w.checkMarks()
	after := w.uids()
	delete(after, w.want[len(w.want)-1].Address)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("other agents than before (-before +after):\n%s", diff)
	}
	for id, m := range w.memory {
		for _, r := range m.Agents() {
			if s, _ := r.Content.Fields()[changed[id.Platform]].(string); !strings.HasPrefix(s,
				"https://cdn.example.com/") {
				t.Errorf("%s was adopted and not brought up to date: %v", r.UID, r.Content.Fields())
			}
		}
	}
}

func TestTwoAgentsWithOneMarkStop(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.marking(true)
	w.mustApply()
	first := w.memory[mind].Agents()[0]
	copied := w.memory[mind].Put(first.Content.Fields()) // as a button "duplicate" does
	w.state += ".lost"                                   // a new one
	rep, err := w.apply(t.Context())
	if err != nil || len(rep.Results) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) {
		t.Fatalf("%v %s", err, describe(rep))
	}
	for _, uid := range []string{first.UID, copied.UID} {
		if !strings.Contains(rep.Results[0].Hint, uid) {
			t.Errorf("the hint does not name %s: %s", uid, rep.Results[0].Hint)
		}
	}
	if n := w.memory[mind].Made(); n != 2 {
		t.Errorf("%d agents were made, want 2", n)
	}
}

func TestAnAgentWithAnotherMarkIsNotAdopted(t *testing.T) {
	w := newWorld(t)
	theirs := coach("theirs")
	w.want = []agent.Desired{coach("a")}
	fields := w.want[0].Fields.Clone()
	w.memory[mind].Put(platform.AddMark(w.schemas["mindset"], fields, theirs.Address.Mark()))
	for _, on := range []bool{false, true} {
		w.marking(on)
		rep, err := w.apply(t.Context())
		if err != nil || len(rep.Results) != 1 || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) {
			t.Fatalf("marks %v: %v %s", on, err, describe(rep))
		}
	}
	w.opts.AllowDuplicateNames = true
	w.mustApply()
	w.checkMarks()
	if n := w.memory[mind].Made(); n != 2 {
		t.Errorf("%d agents were made, want 2", n)
	}
}

func TestAReplaceIsMarked(t *testing.T) {
	w := newWorld(t)
	w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
	w.marking(true)
	w.mustApply()
	w.want[0].Fields["externalTenantId"] = "t2"
	if rep := w.mustApply(); rep.Results[0].Action != plan.Replace {
		t.Errorf("a %s, want a replace", rep.Results[0].Action)
	}
	w.check()
	w.checkMarks()

	// Found again by its mark, but not what is wanted any more, and beyond change.
	w.state += ".lost" // a new one
	w.want[0].Fields["externalTenantId"] = "t3"
	rep, err := w.apply(t.Context())
	if err != nil || !errors.Is(rep.Results[0].Err, apply.ErrBlocked) {
		t.Errorf("%v %s", err, describe(rep))
	}
	if n := len(w.memory[mind].Agents()); n != 1 {
		t.Errorf("%d agents, want 1", n)
	}
}

// A platform that does not keep the mark is reported, and causes no lasting difference.
func TestAMarkThatIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.marking(true)
	w.client[mind] = altered{Client: w.memory[mind],
		create: func(ctx context.Context, f agent.Fields) (platform.Remote, error) {
			rest, _ := platform.TakeMark(w.schemas["mindset"], f.Clone())
			return w.memory[mind].Create(ctx, agent.ContentOf(rest))
		}}
	rep := w.mustApply()
	if !strings.Contains(rep.Results[0].Warning, "marker") {
		t.Errorf("the warning is %q", rep.Results[0].Warning)
	}
	w.check()
}

// uids are the uids by address, as state knows them.
func (w *world) uids() map[agent.Address]string {
	w.t.Helper()
	uids := map[agent.Address]string{}
	for a, rec := range w.load(w.file()).State.Agents {
		uids[a] = rec.UID
	}
	return uids
}
