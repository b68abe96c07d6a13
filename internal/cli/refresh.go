package cli

import (
	"context"
	"errors"
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// refreshed is what 'refresh only' would bring into the state.
type refreshed struct {
	behind  []plan.Refreshed
	doubted []agent.AppID
}

// planRefresh is 'plan --refresh-only': what recording what is live would change in the state.
func (a *app) planRefresh(ctx context.Context, flags planFlags, o planOutputs, paths []string) error {
	if o.out != "" || o.files.any() || flags.prune {
		return usageError("--refresh-only makes no plan: no --out, --html, --json, --markdown, --comment or --prune beside it")
	}
	w, err := a.openWorkspace(ctx, flags, paths)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.startSandbox(); err != nil {
		return err
	}
	apps, err := a.connect(w.fleet, w.platforms, flags.connectFlags, w.sandbox)
	if err != nil {
		return err
	}
	r, err := w.refreshed(ctx, apps)
	if err != nil {
		return err
	}
	if err := a.writeRefreshed(o.format.value, r); err != nil {
		return err
	}
	a.noteOpen(w)
	if o.detailed && len(r.behind) > 0 {
		return &Failure{Code: ExitChanges}
	}
	return nil
}

// applyRefresh is 'apply --refresh-only': it records what is live and sends nothing but reads. An agent
// that is gone leaves the state.
func (a *app) applyRefresh(ctx context.Context, f *applyFlags, paths []string) error {
	if f.plan != "" || f.prune || f.report != "" {
		return usageError("--refresh-only carries nothing out: no --plan, --prune or --report beside it")
	}
	w, err := a.openWorkspace(ctx, f.planFlags, paths)
	if err != nil {
		return err
	}
	defer w.close()
	if err := a.canAsk(f); err != nil {
		return err
	}
	unlock, err := a.lock(ctx, w.file, "apply --refresh-only", f.lockTimeout)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the kernel frees it at the latest when the process ends
	if err := w.startSandbox(); err != nil {
		return err
	}
	apps, err := a.connect(w.fleet, w.platforms, f.connectFlags, w.sandbox)
	if err != nil {
		return err
	}
	if err := w.load(); err != nil {
		return err
	}
	if _, err := a.settleOpen(ctx, f, w, apps); err != nil {
		return err
	}
	r, err := w.refreshed(ctx, apps)
	if err != nil {
		return err
	}
	if err := a.writeRefreshed(f.format.value, r); err != nil || len(r.behind) == 0 {
		return err
	}
	if err := a.ask(ctx, f, "Record "+count(len(r.behind), "change")+" in the state"); err != nil {
		return err
	}
	return a.recordRefreshed(w, r)
}

// refreshed lists the apps and compares the records with what is live.
func (w *workspace) refreshed(ctx context.Context, apps map[agent.AppID]apply.App) (r refreshed, err error) {
	live, err := w.live(ctx, apps)
	if err != nil {
		return r, err
	}
	r.behind, r.doubted, err = plan.Refresh(plan.Input{
		Prior: w.snap.State.Agents, Live: live, Platforms: schemas(w.platforms), Targets: w.targets,
		Sealer: secret.Sealer{Key: []byte(w.snap.State.Lineage), Lookup: w.app.lookup()},
	})
	return r, err
}

func (a *app) writeRefreshed(format string, r refreshed) error {
	a.answered = true
	switch format {
	case formatJSON:
		return report.RefreshJSON(a.streams.Out, r.behind, r.doubted)
	case formatMarkdown:
		a.answered = false
		return usageError("--refresh-only writes text or json")
	default:
		return report.RefreshText(a.streams.Out, r.behind, r.doubted, a.style(a.streams.Out))
	}
}

// recordRefreshed brings what is live into the state.
func (a *app) recordRefreshed(w *workspace, r refreshed) error {
	results := make([]state.Result, len(r.behind))
	text := 0
	for i, b := range r.behind {
		results[i] = state.Result{Kind: state.Recorded, Address: b.Address, Record: b.Record}
		if b.Vanished {
			results[i] = state.Result{Kind: state.Removed, Address: b.Address, UID: b.UID}
		}
		text += len(b.Record.Applied) + len(b.Record.Observed)
	}
	run, err := w.file.Begin(w.snap, reserveFor(len(results), text))
	if err != nil {
		return stateError(err)
	}
	err = run.Commit(results...)
	if err := errors.Join(err, a.closeRun(w, run)); err != nil {
		return err
	}
	if !a.common.quiet {
		fmt.Fprintf(a.streams.Err, "%s recorded\n", count(len(results), "change"))
	}
	return nil
}
