package cli

import (
	"context"
	"errors"
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/state"
)

// apply runs the whole of 'agentsync apply'. The report is nil where the run ended before anything
// could be reported of an agent.
func (a *app) apply(ctx context.Context, f *applyFlags, paths []string) (*apply.Report, error) {
	paths, err := f.takeSaved(paths)
	if err != nil {
		return nil, err
	}
	if f.settleTimeout < 0 || f.lockTimeout < 0 {
		return nil, usageError("--settle-timeout and --lock-timeout must not be less than 0")
	}
	if err := checkDeletes(f.maxDeletes, 0, 0); err != nil {
		return nil, err
	}
	w, err := a.openWorkspace(ctx, f.planFlags, paths)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.requireSecrets(); err != nil {
		return nil, err
	}
	w.saved, w.unbound = f.saved, f.saved == nil
	if idle, err := w.idle(); err != nil || idle != nil && !f.refresh && f.saved == nil {
		if err != nil {
			return nil, err
		}
		return &apply.Report{Outcome: apply.OutcomeComplete}, a.showPlan(f, idle, w)
	}
	if err := a.canAsk(f); err != nil {
		return nil, err
	}
	unlock, err := a.lock(ctx, w.file, "apply", f.lockTimeout)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unlock() }() // the kernel frees it at the latest when the process ends
	if err := w.startSandbox(); err != nil {
		return nil, err
	}
	apps, err := a.connect(w.fleet, w.platforms, f.connectFlags, w.sandbox)
	if err != nil {
		return nil, err
	}
	return a.applyLocked(ctx, f, w, apps)
}

// takeSaved reads the saved plan that --plan names, and returns the paths that it was made from.
func (f *applyFlags) takeSaved(paths []string) ([]string, error) {
	if f.plan == "" {
		return paths, nil
	}
	if len(paths) > 0 || len(f.targets) > 0 || f.prune || f.refresh {
		return nil, usageError("--plan takes everything from the saved plan: no PATH, --target, --prune or --refresh beside it")
	}
	saved, err := readPlan(f.plan)
	if err != nil {
		return nil, err
	}
	f.saved = saved
	f.adopt(saved)
	return saved.Paths, nil
}

// idle returns the plan if there is nothing at all to do, offline and without a lock, so that a no-op
// writes and sends nothing; nil otherwise.
func (w *workspace) idle() (*plan.Plan, error) {
	p, err := w.build(nil)
	if err != nil {
		return nil, err
	}
	busy := p.Summary.Changes() > 0 || len(p.Touches) > 0 || len(w.snap.Open) > 0 || w.snap.Pending
	if busy {
		return nil, nil
	}
	return p, nil
}

// applyLocked is the part of apply that holds the lock.
func (a *app) applyLocked(ctx context.Context, f *applyFlags, w *workspace, apps map[agent.AppID]apply.App) (*apply.Report, error) {
	if err := w.load(); err != nil {
		return nil, err
	}
	settled, err := a.settleOpen(ctx, f, w, apps)
	if err != nil {
		return settled, err
	}
	rep, err := a.applyPlan(ctx, f, w, apps)
	if rep != nil {
		rep.Include(settled)
	}
	return rep, err
}

// applyPlan makes the plan, shows it, asks, and carries it out.
func (a *app) applyPlan(ctx context.Context, f *applyFlags, w *workspace, apps map[agent.AppID]apply.App) (*apply.Report, error) {
	p, err := w.planWith(ctx, apps)
	if err != nil {
		return nil, err
	}
	if f.saved != nil {
		if p, err = w.hold(f.saved, p, f.allowPartial); err != nil {
			return nil, err
		}
	}
	if err := checkDeletes(f.maxDeletes, deletes(p), len(w.snap.State.Agents)); err != nil {
		return apply.NotStarted(p, err), err
	}
	show := &display{app: a}
	defer show.end()
	engine := apply.New(apps, w.fleet.Agents, w.snap.State.Agents, w.snap.Open, f.options(a, show.event))
	show.begin(p.Summary.Changes())
	ready, err := engine.Prepare(ctx, p)
	show.end()
	if err != nil {
		return apply.NotStarted(p, err), err
	}
	if err := a.showPlan(f, ready.Plan, w); err != nil {
		return nil, err
	}
	if ready.Plan.Summary.Changes() == 0 && len(p.Touches) == 0 {
		return &apply.Report{Outcome: apply.OutcomeComplete}, nil
	}
	if err := a.confirm(ctx, f, ready.Plan); err != nil {
		return nil, err
	}
	w.offline = offlinePlan{} // shown by now, and as large as the fleet
	show.begin(ready.Plan.Summary.Changes())
	defer context.AfterFunc(ctx, show.interrupted)()
	return a.carryOut(ctx, w, engine, ready)
}

func (f *applyFlags) options(a *app, observe func(apply.Event)) apply.Options {
	return apply.Options{
		Parallelism: f.parallelism, RequestTimeout: f.timeout, SettleTimeout: f.settleTimeout,
		StopOnError: f.onError.value == "stop", NoAdopt: f.noAdopt, AllowDuplicateNames: f.duplicateNames,
		Lookup: a.secrets(), Observe: observe,
	}
}

// deletes counts the agents that the plan would really delete.
func deletes(p *plan.Plan) int {
	n := 0
	for _, ch := range p.Changes {
		if ch.Blocked == "" && (ch.Action == plan.Delete || ch.Action == plan.Replace) {
			n++
		}
	}
	return n
}

// settleOpen finds out what became of the requests that an earlier run left open, and brings what its
// journal holds into the state file.
func (a *app) settleOpen(ctx context.Context, f *applyFlags, w *workspace, apps map[agent.AppID]apply.App) (*apply.Report, error) {
	open := w.snap.Open
	if len(open) == 0 && !w.snap.Pending {
		return nil, nil
	}
	run, err := w.file.Begin(w.snap, reserveFor(len(open)*2, 0))
	if err != nil {
		return nil, stateError(err)
	}
	var rep *apply.Report
	if len(open) > 0 {
		show := &display{app: a}
		show.begin(len(open))
		engine := apply.New(apps, w.fleet.Agents, w.snap.State.Agents, open, f.options(a, show.event))
		rep, err = engine.Settle(ctx, open, run)
		show.end()
		a.sayUnsettled(rep)
	}
	if err := errors.Join(err, a.closeRun(w, run)); err != nil {
		return rep, err
	}
	if err := ctx.Err(); err != nil {
		return rep, err
	}
	return rep, w.load()
}

func (a *app) sayUnsettled(rep *apply.Report) {
	for _, r := range rep.Results {
		if r.Status == apply.StatusUnknown {
			report.Warning(a.streams.Err, a.style(a.streams.Err), fmt.Sprintf("%s: %v", r.Address, r.Err), r.Hint)
		}
	}
}

// carryOut opens the journal, runs the engine, and folds what it did into the state file.
func (a *app) carryOut(ctx context.Context, w *workspace, engine *apply.Engine, ready *apply.Prepared) (*apply.Report, error) {
	run, err := w.file.Begin(w.snap, reserve(ready.Plan))
	if err != nil {
		return nil, stateError(err)
	}
	rep, err := engine.Run(ctx, ready, run)
	return rep, errors.Join(err, a.closeRun(w, run))
}

// closeRun writes the state file. Where that fails, the state goes to a file of its own, so that no uid
// is lost with the machine.
func (a *app) closeRun(w *workspace, run *state.Run) error {
	err := run.Close()
	if err == nil {
		return nil
	}
	saved, rescueErr := state.Rescue(w.flags.state, run.State())
	if rescueErr != nil {
		a.lastResort(run.State())
		return &Failure{Code: ExitFailed, Err: errors.Join(err, rescueErr), Hint: "the uids are listed above; take each back with: agentsync import ADDRESS UID"}
	}
	return &Failure{Code: ExitFailed, Err: err,
		Hint: fmt.Sprintf("every uid is in %s; when the cause is mended, take them back:\n  agentsync state merge %s", saved, saved)}
}

// lastResort prints what could be stored nowhere.
func (a *app) lastResort(s *state.State) {
	for _, addr := range s.Addresses() {
		fmt.Fprintf(a.streams.Err, "%s %s\n", addr, report.Sanitize(s.Agents[addr].UID))
	}
}

// stateError gives an error of the state room its exit code.
func stateError(err error) error {
	switch {
	case errors.Is(err, state.ErrNoSpace):
		return &Failure{Code: ExitUsage, Err: err, Hint: "make room on the disk; nothing was sent"}
	case errors.Is(err, state.ErrStale):
		return &Failure{Code: ExitUsage, Err: err, Hint: "run the command again"}
	}
	var format *state.FormatError
	if errors.As(err, &format) {
		return err
	}
	return &Failure{Code: ExitUsage, Err: err}
}

// reserve is a generous guess at the journal's size for a plan: each string may stand in the intent,
// in what was applied and in what was observed.
func reserve(p *plan.Plan) int64 {
	text := 0
	for _, ch := range p.Changes {
		text += len(ch.Wanted)
		for _, fc := range ch.Fields {
			text += textLen(fc.After)
		}
	}
	return reserveFor(len(p.Changes)+len(p.Touches), text)
}

func reserveFor(changes, text int) int64 { return int64(1<<16 + changes*2048 + text*4) }

// textLen is how many bytes the strings in v hold.
func textLen(v any) (n int) {
	switch v := v.(type) {
	case string:
		return len(v)
	case map[string]any:
		for _, e := range v {
			n += textLen(e)
		}
	case []any:
		for _, e := range v {
			n += textLen(e)
		}
	}
	return n
}
