package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/state"
)

// The exit codes. They are part of the contract: see 'agentsync help exit-codes'.
const (
	ExitOK          = 0   // done, or nothing to do
	ExitFailed      = 1   // failed
	ExitChanges     = 2   // there are changes (plan --detailed-exitcode alone)
	ExitPartial     = 3   // applied in part: some agents failed or are unknown
	ExitUsage       = 4   // bad usage, manifest or state file; nothing was sent
	ExitStale       = 5   // the saved plan is no longer true
	ExitRefused     = 6   // refused by a safety limit
	ExitLocked      = 7   // the state is locked by another run
	ExitKeyRefused  = 8   // the platform refused the API key
	ExitInterrupted = 130 // interrupted
)

// exitCodes are the meanings, as 'help exit-codes' prints them.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{ExitOK, "done; or nothing to do"},
	{ExitFailed, "failed"},
	{ExitChanges, "there are changes (plan --detailed-exitcode alone)"},
	{ExitPartial, "applied in part: some agents failed or are unknown"},
	{ExitUsage, "bad usage, manifest or state file; nothing was sent"},
	{ExitStale, "the saved plan is no longer true"},
	{ExitRefused, "refused by a safety limit (protect, --max-deletes, an unmanaged agent in the way)"},
	{ExitLocked, "the state is locked by another run"},
	{ExitKeyRefused, "the platform refused the API key"},
	{ExitInterrupted, "interrupted"},
}

// Failure is an error with the exit code that it leads to and a hint for the user. Err is nil where
// everything that there is to say was said: a report with failed agents, a list of problems.
type Failure struct {
	Code int
	Err  error
	Hint string
	// Told is the error where it was told already; JSON has it all the same.
	Told error
	// Problems are those of the manifests that are the reason, shown on stderr already.
	Problems diag.List
}

// Error returns the cause.
func (f *Failure) Error() string {
	if f.Told != nil {
		return f.Told.Error()
	}
	if f.Err == nil {
		return fmt.Sprintf("exit code %d", f.Code)
	}
	return f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

func usageError(format string, args ...any) *Failure {
	return &Failure{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// stateError gives an error of the state room its exit code; nil for nil.
func stateError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, state.ErrNoSpace):
		return &Failure{Code: ExitUsage, Err: err, Hint: "make room on the disk; nothing was sent"}
	case errors.Is(err, state.ErrStale):
		return &Failure{Code: ExitUsage, Err: err, Hint: "run the command again"}
	}
	var format *state.FormatError
	if errors.As(err, &format) {
		return err
	}
	if f := sharedError(err); f != nil {
		return f
	}
	return &Failure{Code: ExitUsage, Err: err}
}

func unknownAddress(addr agent.Address, path string) error {
	return &Failure{Code: ExitUsage, Err: fmt.Errorf("%s has no agent %s", path, addr), Hint: "see which there are:\n  agentsync state list"}
}

// unknownPattern is the error for a pattern that selects nothing in where.
func unknownPattern(where, pattern string, known []agent.Address) error {
	hint := "see which there are:\n  agentsync state list"
	if near := nearestAddress(pattern, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &Failure{Code: ExitUsage, Err: fmt.Errorf("%s has no agent %s", where, pattern), Hint: hint}
}

// nearestAddress returns the address that was probably meant by pattern, empty where none is near.
func nearestAddress(pattern string, known []agent.Address) string {
	meant := pattern[strings.LastIndex(pattern, "/")+1:]
	best, found := len(meant)/3+1, ""
	for _, addr := range known {
		if d := editDistance(meant, addr.Key); d <= best && (d < best || found == "") {
			best, found = d, addr.String()
		}
	}
	return found
}

// editDistance counts the letters to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// finish reports the error that a command ended with and returns the exit code.
func (a *app) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return ExitOK
	}
	f := a.classify(ctx, cmd, err)
	if f.Err != nil {
		report.Error(a.streams.Err, a.style(a.streams.Err), f.Err.Error(), f.Hint)
	}
	if a.wantsMarkdown(cmd) && !a.answered {
		_ = a.writeFailure(f) // stdout is gone: the exit code tells
	}
	if a.wantsJSON(cmd) && !a.answered {
		_ = report.ErrorJSON(a.streams.Out, f.Error(), f.Hint, f.Code, f.Problems) // stdout is gone: the exit code tells
	}
	return f.Code
}

// classify finds the exit code and the hint for an error.
func (a *app) classify(ctx context.Context, cmd *cobra.Command, err error) *Failure {
	var f *Failure
	var format *state.FormatError
	var locked *state.LockedError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &locked) && ctx.Err() == nil && locked.Lease > 0:
		return &Failure{Code: ExitLocked, Err: err, Hint: fmt.Sprintf("wait for it with --lock-timeout, for example --lock-timeout 5m; a run that died is taken over from %s after its last sign of life, or, where you know that it did, at once by:\n  agentsync state unlock",
			locked.Lease+10*time.Second)}
	case errors.As(err, &locked) && ctx.Err() == nil:
		return &Failure{Code: ExitLocked, Err: err, Hint: "wait for it with --lock-timeout, for example --lock-timeout 5m; a run that was killed holds nothing"}
	case errors.As(err, &format):
		return &Failure{Code: ExitUsage, Err: err, Hint: format.Hint}
	case errors.Is(err, platform.ErrKeyRefused):
		return &Failure{Code: ExitKeyRefused, Err: err, Hint: "check the key's value, and that it belongs to this app"}
	case errors.Is(context.Cause(ctx), crash.ErrMemory):
		return &Failure{Code: ExitFailed, Err: context.Cause(ctx), Hint: crash.MemoryHint}
	case ctx.Err() != nil:
		return &Failure{Code: ExitInterrupted, Err: errors.New("interrupted")}
	case strings.HasPrefix(err.Error(), "unknown command"), strings.HasPrefix(err.Error(), "required flag"):
		return &Failure{Code: ExitUsage, Err: err, Hint: "see what there is:\n  agentsync help"}
	default:
		return &Failure{Code: ExitFailed, Err: err}
	}
}

// wantsMarkdown reports whether the command was asked for Markdown.
func (a *app) wantsMarkdown(cmd *cobra.Command) bool {
	f := cmd.Flags().Lookup("format")
	return f != nil && f.Changed && f.Value.String() == formatMarkdown
}

// writeFailure writes a failed run as Markdown: the problems of the manifests where they are the reason.
func (a *app) writeFailure(f *Failure) error {
	if f.Problems.HasErrors() {
		return report.DiagMarkdown(a.streams.Out, f.Problems, report.MarkdownOptions{Link: a.sourceLinks()})
	}
	return report.FailureMarkdown(a.streams.Out, f.Error(), f.Hint)
}

// wantsJSON reports whether the command was asked for JSON, even where its arguments were refused
// before the flags were read.
func (a *app) wantsJSON(cmd *cobra.Command) bool {
	if f := cmd.Flags().Lookup("format"); f != nil && f.Changed {
		return f.Value.String() == formatJSON
	}
	for i, arg := range a.args {
		if arg == "--format="+formatJSON || arg == formatJSON && i > 0 && a.args[i-1] == "--format" {
			return true
		}
	}
	return a.env[envName("format")] == formatJSON
}
