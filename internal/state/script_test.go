package state_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"agentsync/internal/agent"
	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// statePath is the state file on the disks of statetest.
const statePath = "d/state.json"

// agents is a state as a test thinks of it.
type agents map[agent.Address]agent.Record

// appKey stands for an app among the agents: its record's uid is the app's origin.
func appKey(app agent.AppID) agent.Address {
	return agent.Address{Platform: app.Platform, App: app.App}
}

// agentsOf returns what a state holds.
func agentsOf(s *state.State) agents {
	m := agents(maps.Clone(s.Agents))
	for app, o := range s.Apps {
		m[appKey(app)] = agent.Record{UID: o.BaseURL + " " + o.KeyEnv}
	}
	return m
}

// after is what a result does to agents, by the words of its documentation and nothing else.
func (m agents) after(r state.Result) agents {
	next := maps.Clone(m)
	old, had := m[r.Address]
	switch r.Kind {
	case state.Recorded:
		rec := r.Record
		rec.FormerKeys = old.FormerKeys
		rec.Obsolete = slices.Clone(old.Obsolete)
		if had && old.UID != rec.UID {
			rec.Obsolete = append(rec.Obsolete, old.UID)
		}
		rec.Obsolete = slices.DeleteFunc(rec.Obsolete, func(uid string) bool { return uid == rec.UID })
		next[r.Address] = rec
	case state.Removed:
		if !had {
			return next
		}
		if r.UID != "" && r.UID != old.UID {
			old.Obsolete = slices.DeleteFunc(slices.Clone(old.Obsolete), func(uid string) bool { return uid == r.UID })
			next[r.Address] = old
			return next
		}
		delete(next, r.Address)
		if n := len(old.Obsolete); n > 0 {
			next[r.Address] = agent.Record{UID: old.Obsolete[n-1], Obsolete: old.Obsolete[:n-1], Protect: old.Protect,
				FormerKeys: old.FormerKeys}
		}
	case state.Located:
		next[appKey(r.App)] = agent.Record{UID: r.Origin.BaseURL + " " + r.Origin.KeyEnv}
		if r.Origin == (agent.Origin{}) {
			delete(next, appKey(r.App))
		}
	case state.Moved:
		next[r.Address] = m[r.From].Moved(r.From.Key, r.Address.Key)
		delete(next, r.From)
	}
	return next
}

// step is one request of a script and what became of it: an intent where request is not empty,
// then the results. A step without results leaves its intent open; a step that ends the run closes
// it and begins another.
type step struct {
	request string
	about   agent.Address
	results []state.Result
	endRun  bool
}

// outcome is what a script got told, and so what has to be true whatever happens.
type outcome struct {
	history []agents // after each Commit that was called; [0] is the beginning
	acked   int      // index in history of the last one that returned nil
	// open are the intents that Intend returned nil for and no Commit was called for, by their time;
	// maybe are those that a Commit was called for that did not return nil.
	open, maybe map[time.Time]bool
	// answered are the intents that a Commit was called for that says Answered, by their time: true where it returned
	// nil.
	answered map[time.Time]bool
	err      error // the first error
	closeErr error
	saved    bool // the last Close returned nil
	run      *state.Run
}

// play plays a script until its end or the first error, after which it closes the run, as a
// program would.
func play(fsys state.FS, script []step) *outcome {
	o := &outcome{history: []agents{{}}, open: map[time.Time]bool{}, maybe: map[time.Time]bool{},
		answered: map[time.Time]bool{}}
	f := state.NewFile(statePath, state.WithFS(fsys))
	for i := 0; i < len(script); {
		snap, err := f.Load(context.Background())
		if err == nil {
			o.run, err = f.Begin(context.Background(), snap, 512)
		}
		if err != nil {
			o.err = err
			return o
		}
		o.saved = false
		i, o.err = o.steps(script, i)
		o.closeErr = o.run.Close(context.Background())
		o.saved = o.closeErr == nil
		if o.err == nil {
			o.err = o.closeErr
		}
		if o.err != nil {
			return o
		}
	}
	return o
}

// steps plays from script[i] to the end of the run and returns where the next run starts.
func (o *outcome) steps(script []step, i int) (int, error) {
	for ; i < len(script); i++ {
		s := script[i]
		if s.endRun {
			return i + 1, nil
		}
		at := time.Unix(int64(i), 0).UTC()
		var id uint64
		if s.request != "" {
			var err error
			id, err = o.run.Intend(state.Intent{Address: s.about, Action: s.request, Fields: doc(s.about.Key), At: at})
			if err != nil {
				return i, err
			}
			o.open[at] = true
		}
		if len(s.results) == 0 {
			continue
		}
		m := o.history[len(o.history)-1]
		results := slices.Clone(s.results)
		for k := range results {
			m = m.after(results[k])
		}
		results[len(results)-1].Intent = id
		o.history = append(o.history, m)
		switch {
		case results[len(results)-1].Kind == state.Answered: // which closes nothing
			o.answered[at] = false
		case o.open[at]:
			delete(o.open, at)
			o.maybe[at] = true
		}
		if err := o.run.Commit(results...); err != nil {
			return i, err
		}
		if _, said := o.answered[at]; said {
			o.answered[at] = true
		}
		delete(o.maybe, at)
		o.acked = len(o.history) - 1
	}
	return i, nil
}

var sameAgents = cmp.Options{cmpopts.EquateEmpty()}

// same is cmp.Equal with sameAgents, which is too slow for a hundred thousand crashes.
func same(a, b agents) bool {
	return maps.EqualFunc(a, b, func(r, q agent.Record) bool {
		return r.UID == q.UID && r.Mark == q.Mark && r.Protect == q.Protect && slices.Equal(r.Obsolete, q.Obsolete) &&
			slices.Equal(r.FormerKeys, q.FormerKeys) && string(r.Applied) == string(q.Applied) &&
			string(r.Observed) == string(q.Observed)
	})
}

// check loads the state from a disk and compares it with what was promised. It returns the problem.
func (o *outcome) check(fsys state.FS) (*state.Snapshot, error) {
	snap, err := state.NewFile(statePath, state.WithFS(fsys)).Load(context.Background())
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	possible := o.history[o.acked:]
	if !slices.ContainsFunc(possible, func(m agents) bool { return same(m, agentsOf(snap.State)) }) {
		return nil, fmt.Errorf("the state is not what was acknowledged (-promised +found):\n%s",
			cmp.Diff(possible[0], agentsOf(snap.State), sameAgents))
	}
	found := map[time.Time]bool{}
	for _, i := range snap.Open {
		found[i.At] = true
		if stored, said := o.answered[i.At]; i.Answered && !said || stored && !i.Answered {
			return nil, fmt.Errorf("the intent of step %d is answered: %v", i.At.Unix(), i.Answered)
		}
	}
	for at := range o.open {
		if !found[at] {
			return nil, fmt.Errorf("the intent of step %d is lost; open are %v", at.Unix(), snap.Open)
		}
	}
	return snap, nil
}

// recoverOn does what the next run does first, and checks that it ends with a state file that
// needs no journal for what was done.
func (o *outcome) recoverOn(fsys *statetest.FS) error {
	snap, err := o.check(fsys)
	if err != nil {
		return err
	}
	f := state.NewFile(statePath, state.WithFS(fsys))
	run, err := f.Begin(context.Background(), snap, 0)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := run.Close(context.Background()); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	again, err := o.check(fsys)
	if err != nil {
		return fmt.Errorf("after the recovery: %w", err)
	}
	if !same(agentsOf(snap.State), agentsOf(again.State)) {
		return fmt.Errorf("the recovery changed the state:\n%s", cmp.Diff(snap.State.Agents, again.State.Agents,
			sameAgents))
	}
	if again.Pending || len(again.Open) != len(snap.Open) {
		return fmt.Errorf("the recovery left something pending, or lost an intent: %v, before %v", again.Open,
			snap.Open)
	}
	return checkStateFile(fsys, again.State)
}

// checkStateFile checks that the state file alone holds the state.
func checkStateFile(fsys *statetest.FS, want *state.State) error {
	b, err := fsys.ReadFile(statePath)
	if err != nil {
		if len(want.Agents)+len(want.Apps) == 0 {
			return nil
		}
		return err
	}
	s, err := state.Decode(statePath, b)
	if err != nil {
		return err
	}
	if !same(agentsOf(want), agentsOf(s)) || want.Serial != s.Serial || want.Lineage != s.Lineage {
		return fmt.Errorf("the state file differs from the state:\n%s", cmp.Diff(want, s, sameAgents))
	}
	return nil
}

// script is a run, and another, with everything that can happen to an agent.
func script() []step {
	create := func(key, uid string) step {
		return step{request: "create", about: addr(key), results: []state.Result{
			{Address: addr(key), Kind: state.Recorded, Record: agent.Record{UID: uid, Applied: doc(key),
				Protect: key == "b"}}}}
	}
	locate := func(o agent.Origin) step {
		return step{results: []state.Result{{Kind: state.Located, App: addr("a").ID(), Origin: o}}}
	}
	answered := func(key string) step {
		return step{request: "delete", about: addr(key), results: []state.Result{{Address: addr(key),
			Kind: state.Answered}}}
	}
	return []step{
		locate(agent.Origin{BaseURL: "https://one.example.com", KeyEnv: "KEY"}),
		create("a", "a1"),
		create("b", "b1"),
		{request: "update", about: addr("a"), results: []state.Result{
			{Address: addr("a"), Kind: state.Recorded,
				Record: agent.Record{UID: "a1", Applied: doc("a again"), Observed: doc("seen")}}}},
		create("a", "a2"), // replaces a1
		{request: "create", about: addr("void"), results: []state.Result{{Address: addr("void"), Kind: state.Voided}}},
		{request: "create", about: addr("open")},
		answered("b"),
		{endRun: true},
		{request: "delete", about: addr("a"), results: []state.Result{{Address: addr("a"), Kind: state.Removed,
			UID: "a1"}}},
		{results: []state.Result{{Address: addr("c"), Kind: state.Moved, From: addr("b")}}},
		{request: "delete", about: addr("a"), results: []state.Result{
			{Address: addr("a"), Kind: state.Removed},
			{Address: addr("a"), Kind: state.Recorded, Record: agent.Record{UID: "a3", Applied: doc("third")}}}},
		locate(agent.Origin{BaseURL: "https://two.example.com", KeyEnv: "KEY"}),
		create("b", "b2"),
		{request: "delete", about: addr("b"), results: []state.Result{{Address: addr("b"), Kind: state.Removed}}},
		{request: "delete", about: addr("c")},
		answered("a"),
	}
}

func TestScript(t *testing.T) {
	disk := statetest.New()
	o := play(disk, script())
	if o.err != nil {
		t.Fatal(o.err)
	}
	snap, err := o.check(disk)
	if err != nil {
		t.Fatal(err)
	}
	want := agents{
		addr("a"): {UID: "a3", Applied: doc("third")},
		addr("c"): {UID: "b1", Applied: doc("b"), Protect: true, FormerKeys: []string{"b"}},

		appKey(addr("a").ID()): {UID: "https://two.example.com KEY"},
	}
	if diff := cmp.Diff(want, agentsOf(snap.State), sameAgents); diff != "" {
		t.Errorf("agents (-want +got):\n%s", diff)
	}
	if snap.State.Serial != 2 || len(snap.Open) != 4 || !snap.Open[1].Answered || snap.Open[2].Answered {
		t.Errorf("serial %d, open %v; want 2 and four intents", snap.State.Serial, snap.Open)
	}
	if got := disk.Names(); !slices.Equal(got, []string{statePath, statePath + ".journal"}) {
		t.Errorf("files are left: %v", got)
	}
}
