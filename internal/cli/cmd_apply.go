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

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/checkout"
	"agentsync/internal/exit"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/state"
	"agentsync/internal/ui"
)

const applyLong = `Carries out what plan shows, concurrently, and writes the uids into the state file.

For each agent at most one is ever made, and its uid is on disk from the moment the platform's answer
arrives, whatever happens: a kill, a lost answer, a full disk. If a run ended early, the next one goes on
without a question.

Asks before it changes anything; without a terminal it needs --auto-approve. Nothing is deleted without
--prune. With --prune, name all manifests of an app: an agent of that app that is in none of them is deleted.`

// applyFlags are the flags of apply beyond those that it shares with plan.
type applyFlags struct {
	planFlags
	autoApprove   bool
	maxDeletes    string
	onError       choice
	report        string
	noRefresh     bool
	lockTimeout   time.Duration
	settleTimeout time.Duration
	plan          string
	allowPartial  bool
	resend        []string
	saved         *plan.Saved // what --plan names
	format        *choice
}

func (a *app) applyCommand() *cobra.Command {
	f := &applyFlags{onError: choice{value: "continue", allowed: []string{"continue", "stop"}}}
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
		Args: cobra.ArbitraryArgs,
	}
	f.add(cmd)
	a.completeTargets(cmd, &f.state)
	cmd.ValidArgsFunction = completeManifests
	f.format = addFormat(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&f.autoApprove, "auto-approve", "y", false, "do not ask")
	flags.StringVar(&f.maxDeletes, "max-deletes", "", "refuse the run if it would delete or replace more than `N` agents, or N% of those in the state")
	flags.Var(&f.onError, "on-error", "what to do after an agent failed: continue with the others, or stop")
	_ = cmd.RegisterFlagCompletionFunc("on-error", cobra.FixedCompletions(f.onError.allowed, cobra.ShellCompDirectiveNoFileComp))
	flags.StringVar(&f.report, "report", "", "write a report of the run to `FILE` as JSON, also if the run fails")
	flags.DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long to wait for another run's lock")
	flags.DurationVar(&f.settleTimeout, "settle-timeout", 0, "how long to wait before a create without an answer is sent again (default 30s, or --timeout if that is longer)")
	flags.BoolVar(&f.noRefresh, "no-refresh", false, "do not read what is live first; changes made elsewhere then stay")
	flags.BoolVar(&f.noAdopt, "no-adopt", false, "do not adopt unmanaged agents, not even one that equals its manifest")
	flags.BoolVar(&f.duplicateNames, "allow-duplicate-names", false, "create an agent even if an unmanaged agent has the same name")
	flags.StringVar(&f.plan, "plan", "", "carry out the plan saved in `FILE`; agents that changed since then are refused")
	flags.BoolVar(&f.allowPartial, "allow-partial", false, "with --plan: skip the agents that changed since then, and apply the rest")
	flags.StringArrayVar(&f.resend, "resend", nil, "send the secrets of agents that match `GLOB` again, where the platform does not show that it has them; repeatable")
	a.completeAddressFlag(cmd, "resend", &f.state)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		if f.refreshOnly {
			return a.applyRefresh(cmd.Context(), f, paths)
		}
		// The report is begun before anything else: a run of which nobody can be told is not begun.
		file, err := openReport(f.report)
		if err != nil {
			return err
		}
		rep, err := a.apply(cmd.Context(), f, paths)
		return a.finishApply(cmd.Context(), f, file, rep, err)
	}
	return cmd
}

// takeSaved reads the saved plan that --plan names, and returns the paths that it was made from.
func (f *applyFlags) takeSaved(paths []string) ([]string, error) {
	if f.plan == "" {
		if f.refresh && f.noRefresh {
			return nil, exit.Usagef("--refresh and --no-refresh exclude each other")
		}
		f.refresh = !f.noRefresh // nothing is to do only where what is live says so as well
		return paths, nil
	}
	if len(paths) > 0 {
		return nil, exit.Usagef("--plan takes everything from the saved plan: no PATH beside it")
	}
	saved, err := readPlan(f.plan)
	if err != nil {
		return nil, err
	}
	f.saved = saved
	f.adopt(saved)
	return saved.Paths, nil
}

// apply runs the whole of 'agentsync apply'. The report is nil where the run ended before anything
// could be reported of an agent.
func (a *app) apply(ctx context.Context, f *applyFlags, paths []string) (*apply.Report, error) {
	if f.plan != "" {
		if err := a.onlySaved("--plan", "target", "prune", "refresh", "resend"); err != nil {
			return nil, err
		}
	}
	paths, err := f.takeSaved(paths)
	if err != nil {
		return nil, err
	}
	if f.settleTimeout < 0 || f.lockTimeout < 0 {
		return nil, exit.Usagef("--settle-timeout and --lock-timeout must not be less than 0")
	}
	if err := checkDeletes(f.maxDeletes, 0, 0); err != nil {
		return nil, err
	}
	w, err := a.openWorkspace(ctx, f.planFlags, paths)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a.nameTarget(w, "Applying to")
	if f := w.secondApp(); f != nil {
		return nil, f
	}
	if w.resend, err = parseGlobs("--resend", f.resend); err != nil {
		return nil, err
	}
	if err := w.checkResend(); err != nil {
		return nil, err
	}
	if err := w.requireSecrets(); err != nil {
		return nil, err
	}
	w.saved, w.unbound = f.saved, f.saved == nil
	offline, idle, err := w.idle()
	if err != nil {
		return nil, err
	}
	if f.saved == nil { // a saved plan is held against what is true now first
		if idle && !f.refresh {
			return &apply.Report{Outcome: apply.OutcomeComplete}, a.showPlan(f, offline, w)
		}
		if err := a.refuseProtected(f, offline, w); err != nil {
			return apply.NotStarted(offline, err), err
		}
	}
	if !idle || f.saved != nil {
		if err := a.canAsk(f); err != nil {
			return nil, err
		}
	}
	if err := w.startSandbox(); err != nil {
		return nil, err
	}
	apps, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	run := &applyRun{workspace: w, f: f, show: a.NewProgress()}
	defer run.show.End()
	if run.engine, err = w.engine(apps, run.options()); err != nil {
		return nil, err
	}
	run.show.Begin(0)
	if idle && f.saved == nil {
		// What is live may differ from what state says: somebody changed it, or state and manifests were reverted together.
		live, err := run.engine.Plan(ctx, run.session())
		if err != nil {
			return nil, err
		}
		if live.Summary.Changes() == 0 && len(live.RecordUpdates) == 0 {
			run.show.End()
			return &apply.Report{Outcome: apply.OutcomeComplete}, a.showPlan(f, live, w)
		}
		if err := a.canAsk(f); err != nil {
			return nil, err
		}
	}
	return a.applyLocked(ctx, run, apps)
}

// idle returns the plan as it is offline and without a lock, and whether there is nothing at all to do, so that a no-op
// writes and sends nothing.
func (w *workspace) idle() (p *plan.Plan, idle bool, err error) {
	if p, err = w.build(); err != nil {
		return nil, false, err
	}
	return p, !p.Summary.Any() && len(p.RecordUpdates) == 0 && len(w.snap.Open) == 0 && !w.snap.Pending, nil
}

// refuseProtected refuses a plan that would delete or replace a protected agent, as a whole and before anything is sent:
// that such an agent is missing is a sign that the wrong folder or the wrong app was named, and then the other deletes are
// wrong as well.
func (a *app) refuseProtected(f *applyFlags, p *plan.Plan, w *workspace) error {
	n := p.Summary.Protected
	if n == 0 {
		return nil
	}
	if err := a.showPlan(f, p, w); err != nil {
		return err
	}
	return exit.With(exit.Refused, "%s would be deleted or replaced; nothing was sent", ui.Count(n, "protected agent")).
		Hinted("see whether the right folder and the right app are named; if this is meant, apply lifecycle.protect: false first")
}

// canAsk refuses to begin what could not be approved later.
func (a *app) canAsk(f *applyFlags) error {
	if a.CanAsk() && !f.autoApprove && f.format.value != formatText {
		return exit.Usagef("--format %s shows no plan before the run, so there is nothing to say yes to", f.format.value).
			Hinted("look at the plan, then apply it without a question:\n  agentsync plan\n  agentsync apply --auto-approve --format " + f.format.value)
	}
	return a.NeedTerminal(f.autoApprove, "there are changes, and ",
		"look at the plan, then apply it without a question:\n  agentsync plan\n  agentsync apply --auto-approve")
}

// applyLocked takes the lock and carries out what is to be done.
func (a *app) applyLocked(ctx context.Context, run *applyRun, apps map[agent.AppID]apply.App) (*apply.Report, error) {
	w, asked := run.workspace, time.Now()
	unlock, err := a.lock(ctx, w.file, "apply", run.f.lockTimeout)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unlock() }() // the kernel frees it at the latest when the process ends
	before := w.snap
	if err := w.load(); err != nil {
		return nil, err
	}
	if w.snap != before || time.Since(asked) > soon || w.snap.Grace > 0 {
		// Another run changed something meanwhile: what was listed before it counts no more.
		if run.engine, err = w.engine(apps, run.options()); err != nil {
			return nil, err
		}
	}
	defer context.AfterFunc(ctx, run.show.Interrupted)()
	rep, err := run.engine.Apply(ctx, run.session())
	if stale, ok := errors.AsType[*apply.StaleError](err); ok {
		for _, st := range stale.Changes {
			a.Warn(st.Address.String()+": "+st.Reason, "")
		}
		err = exit.With(exit.Stale, "while the plan was read, it stopped being true for %s; nothing was sent", ui.Count(len(stale.Changes), "agent")).
			Hinted("look at what is to be done now:\n  agentsync apply")
	}
	return rep, err
}

// soon is how long a list that was read before the lock is as good as one that is read under it.
const soon = 5 * time.Second

// engine returns an engine for what the state knows.
func (w *workspace) engine(apps map[agent.AppID]apply.App, o apply.Options) (*apply.Engine, error) {
	fleet, err := state.NewFleet(w.snap.State, w.snap.Open)
	if err != nil {
		return nil, exit.OfState(err)
	}
	return apply.New(apps, w.fleet.Agents, fleet, o), nil
}

// applyRun is one apply under way: what the engine asks for.
type applyRun struct {
	*workspace
	f      *applyFlags
	show   *ui.Progress
	engine *apply.Engine
	run    *state.Run
	told   bool // what is stale of a saved plan was told
}

func (r *applyRun) session() apply.Session {
	return apply.Session{Plan: r.plan, Review: r.review, Begin: r.begin, End: r.end, Pending: r.snap.Pending, Apps: r.apps()}
}

// plan makes the plan of what is known now. What was reviewed in a saved plan bounds it, but for what is carried out again
// because it had no answer.
func (r *applyRun) plan(k apply.Known) (p *plan.Plan, err error) {
	in := r.input(k)
	if r.f.refresh {
		p, err = plan.Build(in)
	} else {
		offline := in
		offline.Live = in.LiveOfOtherAPIs()
		p, err = plan.Build(offline)
	}
	if err == nil && r.f.saved != nil && !k.Again {
		p, err = r.hold(r.f.saved, p, r.f.allowPartial, !r.told)
		r.told = true
	}
	if err == nil && !r.f.refresh {
		p.Adopt(in)
	}
	if err == nil {
		err = r.app.Problems(plan.CannotEmpty(p, r.workspace.fleet.Agents, r.schemaOf))
	}
	return p, err
}

// review shows the plan, refuses what the limits refuse, and asks.
func (r *applyRun) review(ctx context.Context, p *plan.Plan) (asked bool, err error) {
	a, f := r.app, r.f
	r.show.End()
	if err := a.refuseProtected(f, p, r.workspace); err != nil {
		return false, err
	}
	if err := checkDeletes(f.maxDeletes, deletes(p), len(r.snap.State.Agents)); err != nil {
		return false, err
	}
	// Behind the last list and before the first write: what does not exist stops the run while nothing has been done.
	if err := r.checkReferences(ctx, p); err != nil {
		return false, err
	}
	if err := a.showPlan(f, p, r.workspace); err != nil {
		return false, err
	}
	if n := p.Summary.Changes() + p.Summary.Origins; n > 0 || len(p.RecordUpdates) > 0 {
		if err := a.Ask(ctx, f.autoApprove, "Apply "+ui.Count(n, "change")+" to "+r.target()); err != nil {
			return false, err
		}
		asked = !f.autoApprove
	}
	r.offline = offlinePlan{} // shown by now, and as large as the fleet
	r.show.Begin(p.Summary.Changes())
	return asked, nil
}

// begin opens the journal.
func (r *applyRun) begin(p *plan.Plan) (apply.Ledger, error) {
	err := r.load()
	if err != nil {
		return nil, err
	}
	room := reserveFor(2*len(r.snap.Open), 0)
	if p != nil {
		room += reserve(p)
	}
	located := r.located(r.apps()...)
	if r.run, err = r.file.Begin(r.snap, room); err != nil {
		return nil, exit.OfState(err)
	}
	if p != nil { // a person, or a flag, agreed to where requests go
		err = r.run.Commit(located...)
	}
	return r.run, err
}

// end folds what was done into the state file.
func (r *applyRun) end() error {
	if err := r.app.closeRun(r.workspace, r.run); err != nil {
		return err
	}
	return r.load()
}

// options are those of the flags, and what the state says of earlier runs.
func (r *applyRun) options() apply.Options {
	o := r.f.options(r.app, r.show.Event)
	o.EarlierGrace = r.snap.Grace
	return o
}

func (f *applyFlags) options(a *app, observe func(apply.Event)) apply.Options {
	return apply.Options{
		Parallelism: f.parallelism, RequestTimeout: f.timeout, Grace: f.settleTimeout,
		StopOnError: f.onError.value == "stop", AllowDuplicateNames: f.duplicateNames, NoRefresh: !f.refresh,
		Lookup: a.Secret, Observe: observe,
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
		return exit.With(exit.Refused, "%s would be deleted or replaced, more than --max-deletes %s allows (%d); nothing was sent", ui.Count(deletes, "agent"), limit, n).
			Hinted("look at the plan, and raise the limit if that is meant:\n  agentsync plan --prune")
	}
	return nil
}

// showPlan writes the plan before the question, in text form only: the other formats report the run.
func (a *app) showPlan(f *applyFlags, p *plan.Plan, w *workspace) error {
	if f.format.value != formatText {
		return nil
	}
	return a.writePlanTo(a.Out, formatText, "", p, w.warnings, a.Style(a.Out))
}

// closeRun writes the state file. Where that fails, the state goes to a file of its own, so that no uid
// is lost with the machine.
func (a *app) closeRun(w *workspace, run *state.Run) error {
	err := run.Close()
	if err == nil {
		return nil
	}
	saved, rescueErr := w.file.Rescue(run.State())
	if rescueErr != nil {
		a.lastResort(run.State())
		return &exit.Failure{Code: exit.Failed, Err: errors.Join(err, rescueErr), Hint: "the uids are listed above; take each back with: agentsync import ADDRESS UID"}
	}
	how := "merge"
	if isShared(w.flags.state) {
		how = "push"
	}
	return &exit.Failure{Code: exit.Failed, Err: err,
		Hint: fmt.Sprintf("every uid is in %s; when the cause is mended, take them back:\n  agentsync state %s %s", saved, how, saved)}
}

// lastResort prints what could be stored nowhere.
func (a *app) lastResort(s *state.State) {
	for _, addr := range s.Addresses() {
		fmt.Fprintf(a.Err, "%s %s\n", addr, report.Sanitize(s.Agents[addr].UID))
	}
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
	return reserveFor(len(p.Changes)+len(p.RecordUpdates), text)
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

// finishApply writes the report, whatever happened, and finds the exit code.
func (a *app) finishApply(ctx context.Context, f *applyFlags, file *outfile.File, rep *apply.Report, err error) error {
	var unreported error
	if file != nil {
		unreported = writeReportFile(file, rep, err)
	}
	if unreported != nil && err != nil {
		a.Warn(unreported.Error(), "")
	}
	if rep == nil || err != nil && rep.Count(apply.StatusNotStarted) == len(rep.Results) {
		return err // nothing was begun: the error says it all
	}
	// What was done is said also where the run ended with an error: a journal that broke, say.
	if werr := a.writeReport(f.format.value, rep); err != nil || werr != nil {
		return cmp.Or(err, werr)
	}
	if code := exit.OfReport(ctx, rep); code != exit.OK {
		return &exit.Failure{Code: code, Err: unreported}
	}
	return unreported
}

// writeReport writes what the run did as the result of the command.
func (a *app) writeReport(format string, rep *apply.Report) error {
	a.Answered = true
	switch format {
	case formatJSON:
		return report.ReportJSON(a.Out, rep)
	case formatMarkdown:
		return report.ReportMarkdown(a.Out, rep, report.MarkdownOptions{Link: checkout.Links(a.Getenv)})
	default:
		return report.ReportText(a.Out, rep, a.Style(a.Out))
	}
}

// openReport begins the file of --report, nil where there is none.
func openReport(path string) (*outfile.File, error) {
	if path == "" {
		return nil, nil
	}
	file, err := outfile.Create(path, 0o644)
	if err != nil {
		return nil, exit.Usagef("--report: %w; nothing was sent", err)
	}
	return file, nil
}

// writeReportFile writes the report of a run, or of one that ended before it began.
func writeReportFile(file *outfile.File, rep *apply.Report, cause error) error {
	defer file.Discard()
	if rep == nil {
		rep = &apply.Report{Outcome: apply.OutcomeFailed}
	}
	if cause != nil {
		rep.Warnings = append(rep.Warnings, cause.Error())
		var f *exit.Failure
		if errors.As(cause, &f) {
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
func (a *app) applyRefresh(ctx context.Context, f *applyFlags, paths []string) error {
	if f.plan != "" || f.prune || f.report != "" {
		return exit.Usagef("--refresh-only carries nothing out: no --plan, --prune or --report beside it")
	}
	w, err := a.openWorkspace(ctx, f.planFlags, paths)
	if err != nil {
		return err
	}
	defer w.close()
	a.nameTarget(w, "Recording what is live of")
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
	apps, err := w.connect(ctx)
	if err != nil {
		return err
	}
	if err := w.load(); err != nil {
		return err
	}
	options := f.options(a, nil)
	options.EarlierGrace = w.snap.Grace
	engine, err := w.engine(apps, options)
	if err != nil {
		return err
	}
	if err := engine.Recover(ctx, (&applyRun{workspace: w, f: f}).session()); err != nil {
		return err
	}
	r, err := w.refreshed(ctx, apps)
	if err != nil {
		return err
	}
	if err := a.writeRefreshed(f.format.value, r); err != nil {
		return err
	}
	r.behind = slices.DeleteFunc(r.behind, func(b plan.Refreshed) bool { return b.Unlisted })
	if len(r.behind) == 0 {
		return nil
	}
	if err := a.Ask(ctx, f.autoApprove, "Record "+ui.Count(len(r.behind), "change")+" in the state"); err != nil {
		return err
	}
	return a.recordRefreshed(w, r)
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
		return exit.OfState(err)
	}
	err = run.Commit(append(w.located(w.apps()...), results...)...)
	if err := errors.Join(err, a.closeRun(w, run)); err != nil {
		return err
	}
	if !a.Quiet {
		fmt.Fprintf(a.Err, "%s recorded\n", ui.Count(len(results), "change"))
	}
	return nil
}
