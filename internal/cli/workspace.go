package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// planFlags are the flags that decide what a plan holds; plan and apply share them.
type planFlags struct {
	state   string
	targets []string
	prune   bool
	refresh bool
	// refreshOnly asks for what is live to be recorded, and for nothing else.
	refreshOnly bool
	connectFlags
}

func (f *planFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	addState(cmd, &f.state)
	flags.StringArrayVar(&f.targets, "target", nil, "only agents whose address matches `GLOB` (platform/app/key, * for any text); repeatable")
	flags.BoolVar(&f.prune, "prune", false, "delete agents that left the manifests, and replace where a field cannot be updated")
	flags.BoolVar(&f.refresh, "refresh", false, "read what is live first, so that changes made elsewhere (drift) show")
	flags.BoolVar(&f.refreshOnly, "refresh-only", false, "bring what is live into the state and change nothing at the platforms")
	flags.BoolVar(&f.sandbox, "sandbox", false, "use the embedded sandbox, kept in "+sandboxFile+", instead of the platforms")
	flags.IntVar(&f.parallelism, "parallelism", 10, "requests in flight per app, 1 to 1000")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "time limit of one request")
}

func (f *planFlags) check() error {
	if f.parallelism < 1 || f.parallelism > 1000 {
		return usageError("--parallelism is %d; it must be from 1 to 1000", f.parallelism)
	}
	if f.timeout <= 0 {
		return usageError("--timeout is %s; it must be more than 0", f.timeout)
	}
	return nil
}

func addState(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "state", "state.json", "the state `FILE`")
	_ = cmd.MarkFlagFilename("state", "json")
}

// workspace is what plan and apply work on: the manifests, the state, and a way to the platforms.
type workspace struct {
	app       *app
	flags     planFlags
	platforms map[string]platform.Platform
	fleet     *manifest.Fleet
	warnings  diag.List
	targets   []agent.Glob
	file      *state.File
	snap      *state.Snapshot
	sandbox   *localSandbox
	saved     *plan.Saved // what apply --plan carries out, or nil
	unbound   bool        // no saved plan is made, or held against one
	offline   offlinePlan
}

// offlinePlan is the last plan that was made offline, and of what.
type offlinePlan struct {
	plan    *plan.Plan
	snap    *state.Snapshot
	lineage string // which names a new state only after its snapshot was taken
}

// openWorkspace reads manifests and state and starts the sandbox where it is asked for. The caller
// must close it.
func (a *app) openWorkspace(ctx context.Context, flags planFlags, paths []string) (*workspace, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	targets, err := parseTargets(flags.targets)
	if err != nil {
		return nil, err
	}
	all, err := platforms()
	if err != nil {
		return nil, err
	}
	if flags.sandbox { // the state may be kept beside what the sandbox keeps
		if err := os.MkdirAll(filepath.Dir(sandboxFile), 0o700); err != nil {
			return nil, &Failure{Code: ExitUsage, Err: fmt.Errorf("make the sandbox's folder: %w", err)}
		}
	}
	w := &workspace{app: a, flags: flags, platforms: all, targets: targets, file: state.NewFile(flags.state)}
	var reading errgroup.Group // the state is read while the manifests are
	var snap *state.Snapshot
	reading.Go(func() (err error) {
		snap, err = w.file.Load()
		return err
	})
	w.fleet, w.warnings, err = a.loadFleet(ctx, all, paths)
	stateErr := reading.Wait()
	switch {
	case err != nil:
		return nil, err // what is wrong with the manifests is told first
	case stateErr != nil:
		return nil, stateError(stateErr)
	}
	if err := w.take(snap); err != nil {
		return nil, err
	}
	return w, w.checkTargets()
}

// checkTargets refuses a target that selects nothing: it is a slip of the pen, and an empty plan would
// hide it.
func (w *workspace) checkTargets() error {
	for _, t := range w.targets {
		found := slices.ContainsFunc(w.fleet.Agents, func(d agent.Desired) bool { return t.Match(d.Address) })
		for addr := range w.snap.State.Agents {
			found = found || t.Match(addr)
		}
		if !found {
			return &Failure{Code: ExitUsage, Err: fmt.Errorf("--target %s selects no agent of the manifests or the state", t),
				Hint: "an address is platform/app/key, as the plan shows it"}
		}
	}
	return nil
}

// load brings the workspace's state up to date with its file.
func (w *workspace) load() error {
	if w.snap != nil {
		fresh, err := w.file.Fresh(w.snap)
		if err != nil {
			return stateError(err)
		}
		if fresh {
			return w.take(w.snap)
		}
	}
	snap, err := w.file.Load()
	if err != nil {
		return stateError(err)
	}
	return w.take(snap)
}

// take makes snap the state that the workspace works on.
func (w *workspace) take(snap *state.Snapshot) error {
	w.snap = snap
	if w.saved != nil {
		w.bind(w.saved)
	}
	return w.checkSandboxState()
}

// startSandbox starts the embedded sandbox if the flags ask for it and it does not run yet.
func (w *workspace) startSandbox() error {
	if !w.flags.sandbox || w.sandbox != nil {
		return nil
	}
	local, err := w.app.startSandbox(sandboxFile)
	w.sandbox = local
	return err
}

func (w *workspace) close() {
	if w.sandbox != nil {
		_ = w.sandbox.close() // everything answered is on its file already
	}
}

// build makes the plan. live is nil offline: apply asks for that plan before it takes the lock and
// again under it, and gets the same one as long as the state is the same.
func (w *workspace) build(live map[agent.AppID][]plan.Live) (*plan.Plan, error) {
	lineage := w.snap.State.Lineage
	if live == nil && w.offline.plan != nil && w.offline.snap == w.snap && w.offline.lineage == lineage {
		return w.offline.plan, nil
	}
	apps := make(map[agent.AppID]bool, len(w.fleet.Apps))
	for id := range w.fleet.Apps {
		apps[id] = true
	}
	p, err := plan.Build(plan.Input{
		Desired: w.fleet.Agents, Apps: apps, Prior: w.snap.State.Agents, Live: live,
		Sealer:    secret.Sealer{Key: []byte(lineage), Lookup: w.app.secrets()},
		Platforms: schemas(w.platforms), Targets: w.targets, Prune: w.flags.prune, Unbound: w.unbound,
	})
	if err == nil && live == nil {
		w.offline = offlinePlan{p, w.snap, lineage}
	}
	return p, err
}

// requireSecrets fails where a secret is not set that a selected agent needs.
func (w *workspace) requireSecrets() error {
	return w.app.reportProblems(w.selected(w.fleet.MissingSecrets(w.app.secrets())))
}

// selected leaves out the problems of agents that --target does not select.
func (w *workspace) selected(problems diag.List) diag.List {
	if len(w.targets) == 0 {
		return problems
	}
	return slices.DeleteFunc(problems, func(p diag.Problem) bool {
		a, err := agent.ParseAddress(p.Address)
		return err == nil && !slices.ContainsFunc(w.targets, func(g agent.Glob) bool { return g.Match(a) })
	})
}
