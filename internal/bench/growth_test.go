package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/schema"
)

// TestCostPerAgent fails where an agent of a large fleet costs more than one of a small fleet: by
// allocations, which are the same on every machine, not by seconds.
func TestCostPerAgent(t *testing.T) {
	const small, large = 1_000, 10_000
	less, more := measure(t, small), measure(t, large)
	for i, step := range less {
		a, b := step.allocations/small, more[i].allocations/large
		t.Logf("%-12s %7.2f allocations an agent of %d, %7.2f of %d", step.name, a, small, b, large)
		// What a run costs as a whole is shared by more agents, so the large fleet may well be cheaper. A
		// step that allocates next to nothing per agent is compared by what it allocates at all.
		if b > 1.2*a+0.05 {
			t.Errorf("%s: %.2f allocations for each agent of %d, %.2f of %d", step.name, a, small, b, large)
		}
	}
}

// step is one part of the work, and what it allocated.
type step struct {
	name        string
	allocations float64
}

// measure takes a fleet of n agents through everything that is done with one.
func measure(t *testing.T, n int) []step {
	t.Helper()
	var steps []step
	do := func(name string, work func() error) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := work()
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		steps = append(steps, step{name, float64(after.Mallocs - before.Mallocs)})
	}
	p := &pipeline{t: t, dir: write(t, n, 20, mindset, cometchat), state: filepath.Join(t.TempDir(), "state.json")}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	do("load", p.load)
	do("plan creates", p.plan)
	do("report text", func() error { return report.PlanText(io.Discard, p.made, report.Style{}) })
	do("report JSON", func() error { return report.PlanJSON(io.Discard, p.made, nil) })
	do("report Markdown", func() error { return report.PlanMarkdown(io.Discard, p.made, report.MarkdownOptions{}) })
	do("apply", p.apply)
	do("read state", p.read)
	do("plan nothing", p.plan)
	do("write state", func() error { _, err := p.snap.State.Encode(); return err })
	if p.made.Summary.Unchanged != n {
		t.Fatalf("after an apply %+v", p.made.Summary)
	}
	return steps
}

// pipeline is a run of the whole house, the network left out.
type pipeline struct {
	dir, state string
	schemas    map[string]*schema.Platform
	fleet      *manifest.Fleet
	snap       *state.Snapshot
	made       *plan.Plan
	t          *testing.T
}

func (p *pipeline) open() error {
	p.schemas = map[string]*schema.Platform{}
	for _, name := range []string{"cometchat", "mindset"} {
		s, err := schema.Load(name)
		if err != nil {
			return err
		}
		p.schemas[name] = s
	}
	return p.read()
}

func (p *pipeline) read() (err error) {
	p.snap, err = state.NewFile(p.state).Load(p.t.Context())
	return err
}

func (p *pipeline) load() error {
	o := manifest.Options{
		Env:       func(string) (string, bool) { return "", false },
		Platforms: []*schema.Platform{p.schemas["cometchat"], p.schemas["mindset"]},
	}
	fleet, problems, err := manifest.Load(p.t.Context(), []string{p.dir}, o)
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("%v", problems[0])
	}
	p.fleet = fleet
	return err
}

func (p *pipeline) plan() (err error) {
	p.made, err = plan.Build(plan.Input{
		Desired: p.fleet.Agents, Prior: p.snap.State.Agents, Platforms: p.schemas,
		Sealer: secret.Sealer{Key: []byte(p.snap.State.Lineage)},
	})
	return err
}

func (p *pipeline) apply() error {
	apps := map[agent.AppID]apply.App{}
	for id := range p.fleet.Apps {
		s := p.schemas[id.Platform]
		apps[id] = apply.App{Client: platformtest.NewMemory(s), Schema: s}
	}
	fleet, err := state.NewFleet(p.snap.State, nil)
	if err != nil {
		return err
	}
	var run *state.Run
	engine := apply.New(apps, p.fleet.Agents, fleet, apply.Options{Parallelism: 64, NoRefresh: true})
	rep, err := engine.Apply(p.t.Context(), apply.Session{
		Plan:   func(apply.Known) (*plan.Plan, error) { return p.made, nil },
		Review: func(context.Context, *plan.Plan) (bool, error) { return false, nil },
		Begin: func(*plan.Plan) (_ apply.Ledger, err error) {
			run, err = state.NewFile(p.state).Begin(p.t.Context(), p.snap, 0)
			return run, err
		},
		End: func() error { return run.Close(p.t.Context()) },
	})
	if err == nil && rep.Outcome != apply.OutcomeComplete {
		err = fmt.Errorf("the outcome is %s", rep.Outcome)
	}
	return err
}
