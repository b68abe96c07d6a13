package apply_test

import (
	"context"
	"errors"
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

// apply is one whole run as the command does it: load, settle, plan, prepare, run, fold.
func (w *world) apply(ctx context.Context) (*apply.Report, error) {
	w.t.Helper()
	f := w.file()
	snap, err := f.Load()
	if err != nil {
		return nil, err
	}
	if len(snap.Open) > 0 || snap.Pending {
		run, err := f.Begin(snap, 0)
		if err != nil {
			return nil, err
		}
		settled, err := w.engine(snap).Settle(ctx, snap.Open, run)
		w.t.Logf("settled:\n%s", describe(settled))
		if err := errors.Join(err, run.Close()); err != nil {
			return nil, err
		}
		if snap, err = f.Load(); err != nil {
			return nil, err
		}
	}
	engine := w.engine(snap)
	ready, err := engine.Prepare(ctx, w.plan(snap))
	if err != nil {
		return nil, err
	}
	run, err := f.Begin(snap, 0)
	if err != nil {
		return nil, err
	}
	rep, err := engine.Run(ctx, ready, run)
	if cerr := run.Close(); err == nil {
		err = cerr
	}
	return rep, err
}

func (w *world) file() *state.File {
	if w.disk != nil {
		return state.NewFile(w.state, state.WithFS(w.disk))
	}
	return state.NewFile(w.state)
}

func (w *world) load(f *state.File) *state.Snapshot {
	w.t.Helper()
	snap, err := f.Load()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return snap
}

func (w *world) engine(snap *state.Snapshot) *apply.Engine {
	apps := map[agent.AppID]apply.App{}
	for id, c := range w.client {
		apps[id] = apply.App{Client: c, Schema: w.schemas[id.Platform]}
	}
	opts := w.opts
	opts.Observe = func(e apply.Event) { w.events = append(w.events, e) }
	return apply.New(apps, w.want, snap.State.Agents, snap.Open, opts)
}

func (w *world) plan(snap *state.Snapshot) *plan.Plan {
	w.t.Helper()
	p, err := plan.Build(plan.Input{
		Live: w.live(), Desired: w.want, Apps: map[agent.AppID]bool{comet: true, mind: true}, Prior: snap.State.Agents,
		Sealer:    secret.Sealer{Key: []byte(snap.State.Lineage), Lookup: w.opts.Lookup},
		Platforms: w.schemas, Prune: w.prune,
	})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return p
}

// live is what the clients list, nil offline.
func (w *world) live() map[agent.AppID][]plan.Live {
	if !w.refresh {
		return nil
	}
	live := map[agent.AppID][]plan.Live{}
	for id, c := range w.client {
		remotes, err := c.List(w.t.Context())
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		for _, r := range remotes {
			live[id] = append(live[id], plan.Live{UID: r.UID, Content: r.Content, Mark: r.Mark})
		}
	}
	return live
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
