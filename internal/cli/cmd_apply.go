package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/apply"
	"agentsync/internal/checkout"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
)

const applyLong = `Carries out what plan shows, concurrently, and writes the uids into the state file.

For each agent at most one is ever made, and its uid is on disk from the moment the platform's answer
arrives, whatever happens: a kill, a lost answer, a full disk. If a run ended early, the next one goes on
without a question.

Asks before it changes anything; without a terminal it needs --auto-approve. Nothing is deleted without
--prune. With --prune, name all manifests of an app: an agent of that app that is in none of them is deleted.`

// applyFlags are the flags of apply.
type applyFlags struct {
	flags.Work
	autoApprove   bool
	maxDeletes    string
	onError       flags.Choice
	report        string
	noRefresh     bool
	lockTimeout   time.Duration
	settleTimeout time.Duration
	plan          string
	allowPartial  bool
	resend        []string
	format        *flags.Choice
}

func (a *app) applyCommand() *cobra.Command {
	f := &applyFlags{onError: flags.Choice{Value: "continue", Allowed: []string{"continue", "stop"}}}
	cmd := &cobra.Command{
		Use:   "apply [PATH… | --plan FILE]",
		Short: "Carry out what plan shows",
		Long:  applyLong,
		Example: `  agentsync apply
  agentsync apply --auto-approve --report report.json
  agentsync apply --plan plan.bin --auto-approve
  agentsync apply --prune --max-deletes 5
  agentsync apply --resend cometchat/2754abc/analyst
  agentsync apply --refresh-only`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: flags.CompleteManifests,
	}
	f.Plan(cmd, a.UI)
	f.format = flags.Format(cmd, flags.Text, flags.JSON, flags.Markdown)
	flags.AutoApprove(cmd, &f.autoApprove)
	flags.LockTimeout(cmd, &f.lockTimeout)
	flags.ChoiceVar(cmd, &f.onError, "on-error", "what to do after an agent failed: continue with the others, or stop")
	set := cmd.Flags()
	set.StringVar(&f.maxDeletes, "max-deletes", "",
		"refuse the run if it would delete or replace more than `N` agents, or N% of those in the state")
	set.StringVar(&f.report, "report", "", "write a report of the run to `FILE` as JSON, also if the run fails")
	set.DurationVar(&f.settleTimeout, "settle-timeout", 0,
		"how long to wait before a create without an answer is sent again (default 30s, or --timeout if that is longer)")
	set.BoolVar(&f.noRefresh, "no-refresh", false, "do not read what is live first; changes made elsewhere then stay")
	set.BoolVar(&f.NoAdopt, "no-adopt", false, "do not adopt unmanaged agents, not even one that equals its manifest")
	set.BoolVar(&f.DuplicateNames, "allow-duplicate-names", false,
		"create an agent even if an unmanaged agent has the same name")
	set.StringVar(&f.plan, "plan", "", "carry out the plan saved in `FILE`; agents that changed since then are refused")
	set.BoolVar(&f.allowPartial, "allow-partial", false,
		"with --plan: skip the agents that changed since then, and apply the rest")
	set.StringArrayVar(&f.resend, "resend", nil,
		"send the secrets of agents that match `GLOB` again, where the platform does not show that it has them; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("resend", flags.CompleteAddresses(a.UI, &f.State, 0))
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		if f.RefreshOnly {
			return applyRefresh(cmd.Context(), a.UI, f, paths)
		}
		// The report is begun before anything else: a run of which nobody can be told is not begun.
		var file *outfile.File
		if f.report != "" {
			err := f.CheckOutput("--report", f.report, paths)
			if err != nil {
				return err
			}
			if file, err = outfile.Create(f.report, 0o644); err != nil {
				return exit.Usagef("--report: %w; nothing was sent", err)
			}
		}
		rep, err := a.apply(cmd.Context(), f, paths)
		return finishApply(cmd.Context(), a.UI, f, file, rep, err)
	}
	return cmd
}

// apply is the whole of 'agentsync apply', in the order in which it happens. The report is nil where the run ended
// before anything could be reported of an agent.
func (a *app) apply(ctx context.Context, f *applyFlags, paths []string) (*apply.Report, error) {
	saved, paths, err := a.savedPlan(f, paths)
	if err != nil {
		return nil, err
	}
	if f.settleTimeout < 0 || f.lockTimeout < 0 {
		return nil, exit.Usagef("--settle-timeout and --lock-timeout must not be less than 0")
	}
	if err := checkDeletes(f.maxDeletes, 0, 0); err != nil { // before anything is read: it may be a slip of the pen
		return nil, err
	}

	// Manifests and state are read without the lock. Most runs of a pipeline find nothing to do: they must neither wait
	// for another run nor write a byte.
	w, err := f.Open(ctx, a.UI, paths)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	w.Saved, w.Unbound = saved, saved == nil

	// App, host and state are named before anything is asked or refused: a wrong one of them is the reason of most
	// refusals.
	w.Sayf("Applying to %s", w.Target())
	if second := w.SecondApp(); second != nil {
		return nil, second
	}
	if err := w.Resend(f.resend); err != nil {
		return nil, err
	}
	if err := w.RequireSecrets(); err != nil {
		return nil, err
	}

	// The plan as it is offline tells what needs no connection to be refused. With a saved plan it tells nothing yet:
	// what was reviewed is held against what is true under the lock.
	offline, err := w.OfflinePlan()
	if err != nil {
		return nil, err
	}
	idle := !offline.Summary.Any() && len(offline.RecordUpdates) == 0 && len(w.Snap.Open) == 0 && !w.Snap.Pending
	nothing := &apply.Report{Outcome: apply.OutcomeComplete}
	if saved == nil && idle && !f.Refresh {
		return nothing, f.showPlan(w, offline)
	}
	if saved == nil {
		if err := f.refuseProtected(w, offline); err != nil {
			return apply.NotStarted(offline, err), err
		}
	}
	if saved != nil || !idle { // before the connection: what nobody could say yes to is not begun
		if err := canAsk(a.UI, f.autoApprove, f.format.Value); err != nil {
			return nil, err
		}
	}

	apps, err := w.Connect(ctx)
	if err != nil {
		return nil, err
	}
	run := &applyRun{Workspace: w, f: f, show: a.NewProgress()}
	defer run.show.End()
	engine, err := w.Engine(apps, run.options())
	if err != nil {
		return nil, err
	}
	run.show.Begin(0)
	if saved == nil && idle {
		// What is live may differ from what state says: somebody changed it, or state and manifests were reverted
		// together. That is looked at without the lock as well.
		live, err := engine.Plan(ctx, run.session(ctx))
		if err != nil {
			return nil, err
		}
		if live.Summary.Changes() == 0 && len(live.RecordUpdates) == 0 {
			run.show.End()
			return nothing, f.showPlan(w, live)
		}
		if err := canAsk(a.UI, f.autoApprove, f.format.Value); err != nil {
			return nil, err
		}
	}

	// There is something to do. From here on nobody else changes the state. What another run changed before the lock
	// was free is read now, and what was listed before that change counts no more.
	before, asked := w.Snap, time.Now()
	unlock, err := w.Lock(ctx, "apply", f.lockTimeout)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if w.Snap != before || time.Since(asked) > soon || w.Snap.Grace > 0 {
		if engine, err = w.Engine(apps, run.options()); err != nil {
			return nil, err
		}
	}

	// The engine recovers, lists, plans (run.plan), has the plan reviewed (run.review), opens the journal (run.begin),
	// sends, and folds the journal into the state (run.end).
	defer context.AfterFunc(ctx, func() {
		defer crash.Guard()
		run.show.Interrupted()
	})()
	rep, err := engine.Apply(ctx, run.session(ctx))
	if stale, ok := errors.AsType[*apply.StaleError](err); ok {
		for _, st := range stale.Changes {
			w.Warn(st.Address.String()+": "+st.Reason, "")
		}
		err = exit.With(exit.Stale, "while the plan was read, it stopped being true for %s; nothing was sent",
			diag.Plural(len(stale.Changes), "agent")).
			Hinted("look at what is to be done now:\n  agentsync apply")
	}
	return rep, err
}

// soon is how long a list that was read before the lock is as good as one that is read under it.
const soon = 5 * time.Second

// savedPlan reads the saved plan that --plan names, nil for none, and returns the paths that the manifests are at:
// those that it was made from, or those that were given. What it brings takes the place of flags.
func (a *app) savedPlan(f *applyFlags, paths []string) (*plan.Saved, []string, error) {
	if f.plan == "" {
		if f.Refresh && f.noRefresh {
			return nil, nil, exit.Usagef("--refresh and --no-refresh exclude each other")
		}
		f.Refresh = !f.noRefresh // nothing is to do only where what is live says so as well
		return nil, paths, nil
	}
	if err := a.onlySaved("--plan", "target", "prune", "refresh", "resend"); err != nil {
		return nil, nil, err
	}
	if len(paths) > 0 {
		return nil, nil, exit.Usagef("--plan takes everything from the saved plan: no PATH beside it")
	}
	saved, err := workspace.ReadSaved(f.plan, thisBuild().id())
	if err != nil {
		return nil, nil, err
	}
	f.Targets, f.Prune, f.Refresh = saved.Targets, saved.Prune, saved.Refresh
	return saved, saved.Paths, nil
}

// refuseProtected refuses a plan that would delete or replace a protected agent, as a whole and before anything is
// sent: that such an agent is missing is a sign that the wrong folder or the wrong app was named, and then the other
// deletes are wrong as well.
func (f *applyFlags) refuseProtected(w *workspace.Workspace, p *plan.Plan) error {
	n := p.Summary.Protected
	if n == 0 {
		return nil
	}
	if err := f.showPlan(w, p); err != nil {
		return err
	}
	return exit.With(exit.Refused, "%s would be deleted or replaced; nothing was sent",
		diag.Plural(n, "protected agent")).
		Hinted("see whether the right folder and the right app are named; if this is meant, apply lifecycle.protect: " +
			"false first")
}

// checkDeletes holds the number of agents that would be deleted or replaced against --max-deletes.
func checkDeletes(limit string, deletes, known int) error {
	if limit == "" {
		return nil
	}
	digits, percent := strings.CutSuffix(limit, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || percent && n > 100 {
		return exit.Usagef("--max-deletes is %q; it must be a number or a percentage, for example 5 or 10%%", limit)
	}
	if percent {
		n = (known*n + 99) / 100 // rounded up: 10% of five agents is one agent
	}
	if deletes > n {
		return exit.With(exit.Refused,
			"%s would be deleted or replaced, more than --max-deletes %s allows (%d); nothing "+
				"was sent",
			diag.Plural(deletes, "agent"), limit, n).
			Hinted("look at the plan, and raise the limit if that is meant:\n  agentsync plan --prune")
	}
	return nil
}

// canAsk refuses to begin what could not be approved later.
func canAsk(u *ui.UI, approved bool, format string) error {
	if u.CanAsk() && !approved && format != flags.Text {
		return exit.Usagef("--format %s shows no plan before the run, so there is nothing to say yes to", format).
			Hinted("look at the plan, then apply it without a question:\n  agentsync plan\n  agentsync apply --auto-approve " +
				"--format " + format)
	}
	return u.NeedTerminal(approved, "there are changes, and ",
		"look at the plan, then apply it without a question:\n  agentsync plan\n  agentsync apply --auto-approve")
}

// showPlan writes a plan before the question, in text form only: the other formats report the run.
func (f *applyFlags) showPlan(w *workspace.Workspace, p *plan.Plan) error {
	if f.format.Value != flags.Text {
		return nil
	}
	return report.PlanText(w.Out, p, w.Style(w.Out))
}

// applyRun is one apply under way: what the engine asks for, in the order in which it does.
type applyRun struct {
	*workspace.Workspace
	f    *applyFlags
	show *ui.Progress
	run  *state.Run
	told bool // what is stale of a saved plan was told
	last bool // the journal that was opened last is the plan's, and not recovery's
}

// options are those of the flags, and what the state says of earlier runs.
func (r *applyRun) options() apply.Options {
	f := r.f
	return apply.Options{
		Parallelism: f.Parallelism, RequestTimeout: f.Timeout, Grace: f.settleTimeout, EarlierGrace: r.Snap.Grace,
		StopOnError: f.onError.Value == "stop", AllowDuplicateNames: f.DuplicateNames, NoRefresh: !f.Refresh,
		Lookup: r.Secret, Observe: r.show.Event,
	}
}

func (r *applyRun) session(ctx context.Context) apply.Session {
	return apply.Session{
		Plan: r.plan, Review: r.review, Pending: r.Snap.Pending, Apps: r.Apps(),
		Begin: func(p *plan.Plan) (apply.Ledger, error) { return r.begin(ctx, p) },
		End:   func() error { return r.end(ctx) },
	}
}

// plan makes the plan of what is known now.
func (r *applyRun) plan(k apply.Known) (*plan.Plan, error) {
	known := r.Input(k)
	in := known
	if !r.f.Refresh {
		in.Live = known.LiveNeeded()
	}
	p, err := plan.Build(in)
	if err != nil {
		return nil, err
	}
	if r.Saved != nil && !k.Again {
		// What was reviewed bounds the plan, but for what is carried out again because it had no answer. It comes
		// before agents are adopted: a plan that was saved without --refresh creates them.
		if p, err = r.Hold(r.Saved, p, r.f.allowPartial, !r.told); err != nil {
			return nil, err
		}
		r.told = true
	}
	if !r.f.Refresh {
		p.Adopt(known)
	}
	return p, r.CheckPlan(p)
}

// review shows the plan, refuses what the limits refuse, and asks. Nothing was sent but reads.
func (r *applyRun) review(ctx context.Context, p *plan.Plan) (asked bool, err error) {
	f := r.f
	r.show.End()
	if err := f.refuseProtected(r.Workspace, p); err != nil {
		return false, err
	}
	deletes := 0
	for _, ch := range p.Changes {
		if ch.Blocked == "" && (ch.Action == plan.Delete || ch.Action == plan.Replace) {
			deletes++
		}
	}
	if err := checkDeletes(f.maxDeletes, deletes, len(r.Snap.State.Agents)); err != nil {
		return false, err
	}
	// Behind the last list and before the first write: what does not exist stops the run while nothing has been done.
	if err := r.CheckReferences(ctx, p); err != nil {
		return false, err
	}
	if err := f.showPlan(r.Workspace, p); err != nil {
		return false, err
	}
	if n := p.Summary.Changes() + p.Summary.Origins; n > 0 || len(p.RecordUpdates) > 0 {
		if err := r.Ask(ctx, f.autoApprove, "Apply "+diag.Plural(n, "change")+" to "+r.Target()); err != nil {
			return false, err
		}
		asked = !f.autoApprove
	}
	r.ForgetPlan() // shown by now
	r.show.Begin(p.Summary.Changes())
	return asked, nil
}

// begin opens the journal.
func (r *applyRun) begin(ctx context.Context, p *plan.Plan) (apply.Ledger, error) {
	err := r.Load(ctx) // what recovery wrote
	if err != nil {
		return nil, err
	}
	if r.run, err = r.BeginRun(ctx, p); err != nil {
		return nil, err
	}
	if r.last = p != nil; r.last { // a person, or a flag, agreed to where requests go
		err = r.run.Commit(r.Located(r.Apps()...)...)
	}
	return r.run, err
}

// end folds what was done into the state file. What recovery did there is read again, for the plan is made of it; what
// comes after the plan asks the state nothing more.
func (r *applyRun) end(ctx context.Context) error {
	if err := r.EndRun(ctx, r.run); err != nil || r.last {
		return err
	}
	return r.Load(ctx)
}

// finishApply writes the report, whatever happened, and finds the exit code.
func finishApply(ctx context.Context, u *ui.UI, f *applyFlags, file *outfile.File, rep *apply.Report, err error) error {
	var unreported error
	if file != nil {
		unreported = writeReport(file, rep, err)
	}
	if unreported != nil && err != nil {
		u.Warn(unreported.Error(), "")
	}
	if rep == nil || err != nil && rep.Count(apply.StatusNotStarted) == len(rep.Results) {
		return err // nothing was begun: the error says it all
	}
	// What was done is said also where the run ended with an error: a journal that broke, say.
	var told error
	switch f.format.Value {
	case flags.JSON:
		told = report.ReportJSON(u.Result(), rep)
	case flags.Markdown:
		told = report.ReportMarkdown(u.Result(), rep, report.MarkdownOptions{Link: checkout.Links(u.Getenv)})
	default:
		told = report.ReportText(u.Result(), rep, u.Style(u.Out))
	}
	if err != nil || told != nil {
		return cmp.Or(err, told)
	}
	if code := exit.OfReport(ctx, rep); code != exit.OK {
		return &exit.Failure{Code: code, Err: unreported}
	}
	return unreported
}

// writeReport writes the file of --report for a run, or for one that ended before it began.
func writeReport(file *outfile.File, rep *apply.Report, cause error) error {
	defer file.Discard()
	if rep == nil {
		rep = &apply.Report{Outcome: apply.OutcomeFailed}
	}
	if cause != nil {
		rep.Warnings = append(rep.Warnings, cause.Error())
		if f, ok := errors.AsType[*exit.Failure](cause); ok {
			for _, p := range f.Problems {
				rep.Warnings = append(rep.Warnings, p.String())
			}
		}
	}
	if err := report.ReportJSON(file, rep); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return file.Commit()
}

// applyRefresh is 'apply --refresh-only': it records what is live and sends nothing but reads. An agent
// that is gone leaves the state.
func applyRefresh(ctx context.Context, u *ui.UI, f *applyFlags, paths []string) error {
	if f.plan != "" || f.Prune || f.report != "" {
		return exit.Usagef("--refresh-only carries nothing out: no --plan, --prune or --report beside it")
	}
	w, err := f.Open(ctx, u, paths)
	if err != nil {
		return err
	}
	defer w.Close()
	w.Sayf("Recording what is live of %s", w.Target())
	if err := canAsk(u, f.autoApprove, f.format.Value); err != nil {
		return err
	}
	// Before the lists: what they show must not be older than the state that it is compared with.
	unlock, err := w.Lock(ctx, "apply --refresh-only", f.lockTimeout)
	if err != nil {
		return err
	}
	defer unlock()
	apps, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	run := &applyRun{Workspace: w, f: f, show: u.NewProgress()}
	engine, err := w.Engine(apps, run.options())
	if err != nil {
		return err
	}
	// What earlier runs left open comes first, or an agent that one of them made would not be known.
	if err := engine.Recover(ctx, run.session(ctx)); err != nil {
		return err
	}
	behind, doubted, err := w.Behind(ctx, apps)
	if err != nil {
		return err
	}
	if err := writeBehind(u, f.format.Value, behind, doubted); err != nil {
		return err
	}
	behind = slices.DeleteFunc(behind, func(b plan.Refreshed) bool { return b.Unlisted })
	if len(behind) == 0 {
		return nil
	}
	if err := w.Ask(ctx, f.autoApprove, "Record "+diag.Plural(len(behind), "change")+" in the state"); err != nil {
		return err
	}
	text, results := 0, w.Located(w.Apps()...)
	for _, b := range behind {
		result := state.Result{Kind: state.Recorded, Address: b.Address, Record: b.Record}
		if b.Vanished {
			result = state.Result{Kind: state.Removed, Address: b.Address, UID: b.UID}
		}
		results = append(results, result)
		text += len(b.Record.Applied) + len(b.Record.Observed)
	}
	if err := w.Record(ctx, len(behind), text, func(string) ([]state.Result, error) {
		return results, nil
	}); err != nil {
		return err
	}
	w.Sayf("%s recorded", diag.Plural(len(behind), "change"))
	return nil
}
