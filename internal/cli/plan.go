package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/report"
)

const planLong = `Shows what apply would do, from the manifests and the state alone: no network, no keys, no secrets needed.

A change of a manifest is a difference from what was last applied. With --refresh, what is live is read
first, and changes that someone else made there show as drift.

Nothing is deleted without --prune: an agent that left the manifests is shown as kept. With it, name the
whole fleet: an agent of an app that the files name, and that stands in none of them, has left.`

// planOutputs are the flags that say what becomes of a plan.
type planOutputs struct {
	format   *choice
	detailed bool
	out      string
	files    planFiles
	check    string
}

func (a *app) planCommand() *cobra.Command {
	var flags planFlags
	var o planOutputs
	cmd := &cobra.Command{
		Use:   "plan [PATH…]",
		Short: "Show what apply would do",
		Long:  planLong,
		Example: `  agentsync plan
  agentsync plan --format markdown > comment.md
  agentsync plan --out plan.bin && agentsync apply --plan plan.bin
  agentsync plan --target 'mindset/acme/*' --detailed-exitcode`,
		Args: cobra.ArbitraryArgs,
	}
	flags.add(cmd)
	a.completeTargets(cmd, &flags.state)
	o.format = addFormat(cmd)
	cmd.Flags().BoolVar(&o.detailed, "detailed-exitcode", false, "exit with 2 where there are changes")
	cmd.Flags().StringVar(&o.out, "out", "", "save the plan to `FILE`, for apply --plan")
	o.files.add(cmd)
	cmd.Flags().StringVar(&o.check, "check", "", "say whether the plan saved in `FILE` is still true, and make no other")
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		if flags.refreshOnly {
			return a.planRefresh(cmd.Context(), flags, o, paths)
		}
		if o.check == "" {
			return a.plan(cmd.Context(), flags, o, paths)
		}
		if len(paths) > 0 || o.out != "" || o.files.any() {
			return usageError("--check takes everything from the saved plan and writes no file: no PATH, --out, --html, --json, --markdown or --comment beside it")
		}
		return a.checkPlan(cmd.Context(), flags, o.check, o.format.value)
	}
	return cmd
}

// plan runs the whole of 'agentsync plan'.
func (a *app) plan(ctx context.Context, flags planFlags, o planOutputs, paths []string) error {
	w, err := a.openWorkspace(ctx, flags, paths)
	if err != nil {
		return err
	}
	defer w.close()
	if o.out != "" {
		w.nameLineage()
	}
	p, err := w.plan(ctx)
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := w.savePlan(o.out, p, paths); err != nil {
			return err
		}
	}
	if err := o.files.write(p, w); err != nil {
		return err
	}
	if err := a.writeMarkedPlan(o.format.value, o.files.marker, p, w); err != nil {
		return err
	}
	a.noteOpen(w)
	if o.detailed && p.Summary.Changes() > 0 {
		return &Failure{Code: ExitChanges}
	}
	return nil
}

// plan makes the plan, after reading what is live where --refresh asks for it.
func (w *workspace) plan(ctx context.Context) (*plan.Plan, error) {
	if !w.flags.refresh {
		return w.build(nil)
	}
	if err := w.startSandbox(); err != nil {
		return nil, err
	}
	apps, err := w.app.connect(w.fleet, w.platforms, w.flags.connectFlags, w.sandbox)
	if err != nil {
		return nil, err
	}
	return w.planWith(ctx, apps)
}

// planWith makes the plan with apps that are connected already.
func (w *workspace) planWith(ctx context.Context, apps map[agent.AppID]apply.App) (*plan.Plan, error) {
	if !w.flags.refresh {
		return w.build(nil)
	}
	live, err := w.live(ctx, apps)
	if err != nil {
		return nil, err
	}
	return w.build(live)
}

// writePlan writes the plan as the result of the command.
func (a *app) writePlan(format string, p *plan.Plan, w *workspace) error {
	return a.writeMarkedPlan(format, "", p, w)
}

// writeMarkedPlan is writePlan with another marker than the plan's own, where it is Markdown.
func (a *app) writeMarkedPlan(format, marker string, p *plan.Plan, w *workspace) error {
	a.answered = true
	return writePlanTo(a.streams.Out, format, marker, p, w, a.style(a.streams.Out))
}

func writePlanTo(out io.Writer, format, marker string, p *plan.Plan, w *workspace, s report.Style) error {
	switch format {
	case formatJSON:
		return report.PlanJSON(out, p, w.warnings)
	case formatMarkdown:
		return report.PlanMarkdown(out, p, report.MarkdownOptions{Marker: marker})
	default:
		return report.PlanText(out, p, s)
	}
}

// noteOpen says that an earlier run left requests open, which apply settles before anything else.
func (a *app) noteOpen(w *workspace) {
	if n := len(w.snap.Open); n > 0 {
		report.Warning(a.streams.Err, a.style(a.streams.Err),
			fmt.Sprintf("an earlier run left %s without an answer; the plan may change when apply has settled them", count(n, "request")),
			"settle them:\n  agentsync apply")
	}
}
