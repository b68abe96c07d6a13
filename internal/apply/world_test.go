package apply_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
	"agentsync/schema"
)

// tester is what a world needs of a *testing.T.
type tester interface {
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// world is one app on each platform, a state file, and the manifests of the moment.
type world struct {
	t     tester
	state string
	// disk keeps the state, the real one where it is nil.
	disk    *statetest.FS
	schemas map[string]*schema.Platform
	memory  map[agent.AppID]*platformtest.Memory
	// client is what the engine talks to, the memory itself unless a test puts a decorator there.
	client map[agent.AppID]platform.Client
	want   []agent.Desired
	prune  bool
	// refresh makes plans hold the clients' lists against the state.
	refresh bool
	opts    apply.Options
	events  []apply.Event
	observe func(apply.Event) // is told of events, if it is not nil
	noAdopt bool
	// guess makes plans guess which agent that arrives is one that left under another key, as a person sees them.
	guess bool
	// ledger, where it is not nil, stands between the engine and the state.
	ledger func(apply.Ledger) apply.Ledger
	// answer is what a person says to a plan, nil for yes.
	answer func(context.Context, *plan.Plan) (bool, error)
}

var (
	comet = agent.AppID{Platform: "cometchat", App: "app1"}
	mind  = agent.AppID{Platform: "mindset", App: "acme"}
)

func newWorld(t *testing.T) *world {
	return newWorldAt(t, filepath.Join(t.TempDir(), "state.json"))
}

func newWorldAt(t tester, path string) *world {
	w := &world{t: t, state: path, schemas: map[string]*schema.Platform{},
		memory: map[agent.AppID]*platformtest.Memory{}, client: map[agent.AppID]platform.Client{}}
	for _, id := range []agent.AppID{comet, mind} {
		s, err := schema.Load(id.Platform)
		if err != nil {
			t.Fatalf("%v", err)
		}
		w.schemas[id.Platform] = s
		var opts []platformtest.MemoryOption
		if id == comet {
			opts = append(opts, platformtest.SilentUpdates(), platformtest.NoRead())
		}
		w.memory[id] = platformtest.NewMemory(s, opts...)
		w.client[id] = w.memory[id]
	}
	w.opts.Lookup = func(name string) (string, bool) { return "value of " + name, true }
	return w
}

// coach is a Mindset agent.
func coach(key string, more ...any) agent.Desired {
	return desired(mind, key, append([]any{"agentName", "Coach " + key}, more...)...)
}

// concierge is a CometChat agent.
func concierge(key string, more ...any) agent.Desired {
	return desired(comet, key, append([]any{
		"name", "Concierge " + key, "icon", "https://cdn.example.com/bot.png", "integrateWith", "langgraph",
		"integrationType", "agent", "integrationMeta", map[string]any{"baseUrl": "https://agents.example.com"},
	}, more...)...)
}

func desired(id agent.AppID, key string, pairs ...any) agent.Desired {
	d := agent.Desired{Address: agent.Address{Platform: id.Platform, App: id.App, Key: key}, Fields: agent.Fields{}}
	for i := 0; i < len(pairs); i += 2 {
		d.Fields[pairs[i].(string)] = pairs[i+1]
	}
	return d
}

// fleet returns n agents on each platform.
func fleet(n int) []agent.Desired {
	var all []agent.Desired
	for i := range n {
		all = append(all, concierge(fmt.Sprintf("c%03d", i)), coach(fmt.Sprintf("m%03d", i)))
	}
	return all
}

// apply is one whole apply as the command does it.
func (w *world) apply(ctx context.Context) (*apply.Report, error) {
	w.t.Helper()
	f := w.file()
	snap, err := f.Load(ctx)
	if err != nil {
		return nil, err
	}
	fleet, err := state.NewFleet(snap.State, snap.Open)
	if err != nil {
		return nil, err
	}
	var run *state.Run
	return w.engine(fleet).Apply(ctx, apply.Session{
		Pending: snap.Pending, Plan: w.planOf, Review: w.review,
		Begin: func(*plan.Plan) (apply.Ledger, error) {
			snap, err := f.Load(ctx)
			if err == nil {
				run, err = f.Begin(ctx, snap, 0)
			}
			if w.ledger != nil {
				return w.ledger(run), err
			}
			return run, err
		},
		End: func() error { return run.Close(ctx) },
	})
}

// review approves every plan, unless a test has another answer.
func (w *world) review(ctx context.Context, p *plan.Plan) (bool, error) {
	if w.answer == nil {
		return false, nil
	}
	return w.answer(ctx, p)
}

func (w *world) file() *state.File {
	if w.disk != nil {
		return state.NewFile(w.state, state.WithFS(w.disk))
	}
	return state.NewFile(w.state)
}

func (w *world) load(f *state.File) *state.Snapshot {
	w.t.Helper()
	snap, err := f.Load(context.Background())
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return snap
}

func (w *world) engine(fleet *state.Fleet) *apply.Engine {
	apps := map[agent.AppID]apply.App{}
	for id, c := range w.client {
		apps[id] = apply.App{Client: c, Schema: w.schemas[id.Platform], Where: "https://" + id.App + ".example.com"}
	}
	opts := w.opts
	opts.NoRefresh = !w.refresh
	opts.Observe = func(e apply.Event) {
		w.events = append(w.events, e)
		if w.observe != nil {
			w.observe(e)
		}
	}
	return apply.New(apps, w.want, fleet, opts)
}

// plan is the plan that is made offline.
func (w *world) plan(snap *state.Snapshot) *plan.Plan {
	w.t.Helper()
	p, err := plan.Build(w.input(apply.Known{Prior: snap.State.Agents, Lineage: snap.State.Lineage}))
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return p
}

// planOf is the plan of an apply: with what is live where the world refreshes, else with the lists for creates alone.
func (w *world) planOf(k apply.Known) (*plan.Plan, error) {
	in := w.input(k)
	if w.refresh {
		return plan.Build(in)
	}
	offline := in
	offline.Live = in.LiveNeeded()
	p, err := plan.Build(offline)
	if err == nil {
		p.Adopt(in)
	}
	return p, err
}

func (w *world) input(k apply.Known) plan.Input {
	return plan.Input{
		Reviewed: !w.guess, // else what leaves and what arrives is meant
		Live:     k.Live, Gone: k.Gone, Open: k.Open, Claimed: k.Claimed, Desired: w.want, Prior: k.Prior,
		Apps:      map[agent.AppID]bool{comet: true, mind: true},
		Sealer:    secret.Sealer{Key: []byte(k.Lineage), Lookup: w.opts.Lookup},
		Platforms: w.schemas, Prune: w.prune, AllowDuplicates: w.opts.AllowDuplicateNames, NoAdopt: w.noAdopt,
	}
}

// mustApply runs until the end and expects every change to be done.
func (w *world) mustApply() *apply.Report {
	w.t.Helper()
	rep, err := w.apply(w.t.Context())
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	if rep.Outcome != apply.OutcomeComplete {
		w.t.Fatalf("outcome %s:\n%s", rep.Outcome, describe(rep))
	}
	return rep
}

func describe(rep *apply.Report) string {
	var b strings.Builder
	for _, r := range rep.Results {
		fmt.Fprintf(&b, "%s %s %s %s: %v\n", r.Address, r.Action, r.Status, r.UID, r.Err)
	}
	return b.String()
}

// check holds the world against the guarantee: one live agent per wanted address, every live uid in
// state, nothing open, and an empty plan.
func (w *world) check() {
	w.t.Helper()
	snap := w.load(w.file())
	if len(snap.Open) > 0 || snap.Pending {
		w.t.Errorf("%d intents are open, pending %v", len(snap.Open), snap.Pending)
	}
	known := map[agent.AppID]map[string]agent.Address{comet: {}, mind: {}}
	for a, r := range snap.State.Agents {
		known[a.ID()][r.UID] = a
	}
	for id, m := range w.memory {
		live := m.Agents()
		for _, r := range live {
			if _, ok := known[id][r.UID]; !ok {
				w.t.Errorf("%s: agent %s %v is live and not in state", id, r.UID, r.Content.Fields())
			}
		}
		if len(live) != len(known[id]) {
			w.t.Errorf("%s: %d agents are live, %d in state", id, len(live), len(known[id]))
		}
	}
	if len(snap.State.Agents) != len(w.want) {
		w.t.Errorf("%d agents in state, %d wanted", len(snap.State.Agents), len(w.want))
	}
	if p := w.plan(snap); p.Summary.Changes() > 0 {
		w.t.Errorf("the plan after apply is not empty: %+v\n%+v", p.Summary, p.Changes)
	}
}
