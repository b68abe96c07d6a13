package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/report"
)

const applyLong = `Carries out what plan shows, concurrently, and writes the uids into the state file.

For each agent at most one is ever made, and its uid is on disk from the moment the platform's answer
arrives, whatever happens: a kill, a lost answer, a full disk. A run that ended early is taken up by the
next one without a question.

Asks before it changes anything; without a terminal it needs --auto-approve. Nothing is deleted without
--prune. With it, name the whole fleet: an agent of an app that the files name, and that stands in none of
them, has left the manifests.`

// applyFlags are the flags of apply beyond those that it shares with plan.
type applyFlags struct {
	planFlags
	autoApprove    bool
	maxDeletes     string
	onError        choice
	report         string
	lockTimeout    time.Duration
	settleTimeout  time.Duration
	noAdopt        bool
	duplicateNames bool
	plan           string
	allowPartial   bool
	saved          *plan.Saved // what --plan names
	format         *choice
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
  agentsync apply --refresh-only`,
		Args: cobra.ArbitraryArgs,
	}
	f.add(cmd)
	a.completeTargets(cmd, &f.state)
	f.format = addFormat(cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&f.autoApprove, "auto-approve", "y", false, "do not ask")
	flags.StringVar(&f.maxDeletes, "max-deletes", "", "refuse to delete or replace more than `N` agents, or N% of those in state")
	flags.Var(&f.onError, "on-error", "after an agent failed, continue with the others or stop")
	flags.StringVar(&f.report, "report", "", "write a report to `FILE` as JSON, whatever happens")
	flags.DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long to wait for another run's lock")
	flags.DurationVar(&f.settleTimeout, "settle-timeout", 0, "how long after a create without an answer it may still be executed (default 30s, or --timeout if longer)")
	flags.BoolVar(&f.noAdopt, "no-adopt", false, "never take an existing agent over that equals a wanted one")
	flags.BoolVar(&f.duplicateNames, "allow-duplicate-names", false, "create an agent although an unmanaged one has the same name")
	flags.StringVar(&f.plan, "plan", "", "do what the plan saved in `FILE` says, as far as it is still true")
	flags.BoolVar(&f.allowPartial, "allow-partial", false, "with --plan: leave out what is stale and do the rest")
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		if f.refreshOnly {
			return a.applyRefresh(cmd.Context(), f, paths)
		}
		rep, err := a.apply(cmd.Context(), f, paths)
		return a.finishApply(cmd.Context(), f, rep, err)
	}
	return cmd
}

// finishApply writes the report, whatever happened, and finds the exit code.
func (a *app) finishApply(ctx context.Context, f *applyFlags, rep *apply.Report, err error) error {
	if f.report != "" {
		if werr := writeReportFile(f.report, rep, err); werr != nil {
			report.Warning(a.streams.Err, a.style(a.streams.Err), werr.Error(), "")
		}
	}
	if rep == nil || err != nil && rep.Count(apply.StatusNotStarted) == len(rep.Results) {
		return err // nothing was begun: the error says it all
	}
	// What was done is said also where the run ended with an error: a journal that broke, say.
	if werr := a.writeReport(f.format.value, rep); err != nil || werr != nil {
		return cmp.Or(err, werr)
	}
	if code := exitCodeOf(ctx, rep); code != ExitOK {
		return &Failure{Code: code}
	}
	return nil
}

// writeReport writes what the run did as the result of the command.
func (a *app) writeReport(format string, rep *apply.Report) error {
	a.answered = true
	switch format {
	case formatJSON:
		return report.ReportJSON(a.streams.Out, rep)
	case formatMarkdown:
		return report.ReportMarkdown(a.streams.Out, rep, report.MarkdownOptions{})
	default:
		return report.ReportText(a.streams.Out, rep, a.style(a.streams.Out))
	}
}

// writeReportFile writes the report of a run, or of one that ended before it began.
func writeReportFile(path string, rep *apply.Report, cause error) (err error) {
	if rep == nil {
		rep = &apply.Report{Outcome: apply.OutcomeFailed}
	}
	if cause != nil {
		rep.Warnings = append(rep.Warnings, cause.Error())
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return report.ReportJSON(f, rep)
}

// exitCodeOf maps a report to the exit code of the worst that is in it. A refused key says most about
// what to do next; a refusal by a safety limit counts only where nothing failed.
func exitCodeOf(ctx context.Context, rep *apply.Report) int {
	var done, failed, refused int
	keyRefused := false
	for _, r := range rep.Results {
		switch {
		case r.Status == apply.StatusDone:
			done++
		case errors.Is(r.Err, apply.ErrBlocked):
			refused++
		default:
			failed++
			keyRefused = keyRefused || errors.Is(r.Err, apply.ErrKeyRefused)
		}
	}
	unknown := rep.Count(apply.StatusUnknown)
	switch {
	case rep.Outcome == apply.OutcomeInterrupted || ctx.Err() != nil && failed > 0:
		return ExitInterrupted
	case keyRefused:
		return ExitKeyRefused
	case failed > 0 && (done > 0 || unknown > 0):
		return ExitPartial
	case failed > 0:
		return ExitFailed
	case refused > 0:
		return ExitRefused
	default:
		return ExitOK
	}
}

// checkDeletes holds the number of agents that would be deleted or replaced against --max-deletes.
func checkDeletes(limit string, deletes, known int) error {
	if limit == "" {
		return nil
	}
	digits, percent := strings.CutSuffix(limit, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || percent && n > 100 {
		return usageError("--max-deletes is %q; it must be a number or a percentage, for example 5 or 10%%", limit)
	}
	if percent {
		n = known * n / 100
	}
	if deletes > n {
		return &Failure{Code: ExitRefused,
			Err:  fmt.Errorf("%s would be deleted or replaced, more than --max-deletes %s allows (%d); nothing was sent", count(deletes, "agent"), limit, n),
			Hint: "look at the plan, and raise the limit if that is meant:\n  agentsync plan --prune"}
	}
	return nil
}
