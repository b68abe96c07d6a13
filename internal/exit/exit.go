// Package exit says how a command ends: each outcome has an exit code, and each error that a person can do something
// about has a hint. Both are part of the contract (docs/commands.md), so they stand here alone: the rooms below return
// errors of their own and know nothing of codes, and whoever adds an outcome sees all the others. It writes nothing.
package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"agentsync/internal/apply"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/platform"
	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// The exit codes: see 'agentsync help exit-codes'.
const (
	OK          = 0   // done, or nothing to do
	Failed      = 1   // failed
	Changes     = 2   // there are changes (plan --detailed-exitcode alone)
	Partial     = 3   // applied in part: some agents failed or are unknown
	Usage       = 4   // bad usage, manifest or state file; nothing was sent
	Stale       = 5   // the saved plan is no longer true
	Refused     = 6   // refused by a safety limit
	Locked      = 7   // the state is locked by another run
	KeyRefused  = 8   // the platform refused the API key
	Interrupted = 130 // interrupted
)

// Meanings returns what each code means, one a line, for a help text.
func Meanings() string {
	var b strings.Builder
	for _, e := range []struct {
		code    int
		meaning string
	}{
		{OK, "done; or nothing to do"},
		{Failed, "failed"},
		{Changes, "there are changes (plan --detailed-exitcode alone)"},
		{Partial, "applied in part: some agents failed or are unknown"},
		{Usage, "bad usage, manifest or state file; nothing was sent"},
		{Stale, "the saved plan is no longer true"},
		{Refused, "refused by a safety limit (protect, --max-deletes, an unmanaged agent in the way)"},
		{Locked, "the state is locked by another run"},
		{KeyRefused, "the platform refused the API key"},
		{Interrupted, "interrupted"},
	} {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Failure is an error with the exit code that it leads to and a hint for the user. Err is nil where
// everything that there is to say was said: a report with failed agents, a list of problems.
type Failure struct {
	Code int
	Err  error
	// Hint says what to do; a command to type stands alone on an indented line.
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

// Hinted adds what the user can do, and returns f.
func (f *Failure) Hinted(hint string) *Failure {
	f.Hint = hint
	return f
}

// With returns a failure with a code and a sentence as fmt.Errorf makes it.
func With(code int, format string, args ...any) *Failure {
	return &Failure{Code: code, Err: fmt.Errorf(format, args...)}
}

// Usagef returns a failure of what the user typed, wrote or keeps: nothing was sent.
func Usagef(format string, args ...any) *Failure { return With(Usage, format, args...) }

// OfState gives an error of the state its exit code; nil for nil.
func OfState(err error) error {
	if _, damaged := errors.AsType[*state.FormatError](err); err == nil || damaged {
		return err // it brings a hint of its own; see Of
	}
	if damage, ok := errors.AsType[*shared.DamageError](err); ok {
		return &Failure{Code: Usage, Err: err, Hint: damage.Hint}
	}
	f := &Failure{Code: Usage, Err: err}
	_, unfit := errors.AsType[*store.UnfitError](err)
	connect, unconnected := errors.AsType[*store.ConnectError](err)
	answer, answered := errors.AsType[*store.AnswerError](err)
	switch {
	case errors.Is(err, state.ErrNoSpace):
		f.Hint = "make room on the disk; nothing was sent"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		f.Hint = "nothing was sent; the state and its folder must be readable and, for apply, writable for this user"
	case errors.Is(err, state.ErrStale):
		f.Hint = "run the command again"
	case errors.Is(err, shared.ErrNoSuchState):
		f.Hint = "see which there are:\n  agentsync state history"
	case errors.Is(err, shared.ErrLost):
		f.Code, f.Hint = Failed, "see who has the state now:\n  agentsync state status"
	case errors.Is(err, shared.ErrNotInitialised):
		f.Hint = "make it, with what a state file holds or empty:\n  agentsync state migrate --state state.json --to " +
			"URL\n  agentsync state init --state URL"
	case errors.Is(err, store.ErrDenied):
		f.Hint = "nothing was sent; reading needs Get and List, and apply also Put and Delete: see what these credentials " +
			"may do:\n  agentsync state check"
	case errors.Is(err, store.ErrNoPlace):
		f.Hint = "nothing was sent; make the bucket or the database first, or name the right one, and its region"
	case unconnected:
		f.Hint = "nothing was sent; " + connect.Hint
	case errors.Is(err, store.ErrUnreachable), errors.Is(err, store.ErrConnection), errors.Is(err, shared.ErrNoAnswer):
		f.Hint = "nothing was sent; see whether the address is right, and whether it answers:\n  agentsync state check"
	case unfit:
		f.Hint = "nothing was written; which places keep what a shared state needs, says docs/team-state.md"
	case answered && answer.Foreign:
		f.Hint = "nothing was sent; this is not how a store answers: see whether endpoint, port and path-style are right, and " +
			"whether a proxy stands in between"
	case answered:
		f.Hint = "nothing was sent; the store has a reason of its own, which may pass: run the command again later"
	}
	return f
}

// Of finds the exit code and the hint for the error that a command ended with. ctx is the command's.
func Of(ctx context.Context, err error) *Failure {
	f, isFailure := errors.AsType[*Failure](err)
	locked, isLocked := errors.AsType[*state.LockedError](err)
	format, damaged := errors.AsType[*state.FormatError](err)
	switch {
	case isFailure:
		return f
	case isLocked && ctx.Err() == nil && locked.Watch > 0:
		return &Failure{Code: Locked, Err: err,
			Hint: fmt.Sprintf("it was silent for longer than its lease of %s, so it most likely died: "+
				"it is taken over from after %s more without a sign of life, by --lock-timeout 1m, or at once by:\n  agentsync state unlock",
				time.Duration(locked.Holder.Lease), locked.Watch)}
	case isLocked && ctx.Err() == nil && locked.Holder.Lease > 0:
		return &Failure{Code: Locked, Err: err,
			Hint: fmt.Sprintf("wait for it with --lock-timeout, for example --lock-timeout 5m; "+
				"a run that died is taken over from %s after its last sign of life, or, where you know that it did, at once "+
				"by:\n  agentsync state unlock",
				time.Duration(locked.Holder.Lease)+10*time.Second)}
	case isLocked && ctx.Err() == nil:
		return &Failure{Code: Locked, Err: err,
			Hint: "wait for it with --lock-timeout, for example --lock-timeout 5m; a run that was killed holds nothing"}
	case damaged:
		return &Failure{Code: Usage, Err: err, Hint: format.Hint}
	case errors.Is(err, platform.ErrKeyRefused):
		return &Failure{Code: KeyRefused, Err: err, Hint: "check the key's value, and that it belongs to this app; " +
			"a wrong id, region or host of the app is answered like a wrong key"}
	// Behind what the rooms say of themselves: an interrupt that came after such an error is not its reason.
	case errors.Is(context.Cause(ctx), crash.ErrMemory):
		return &Failure{Code: Failed, Err: context.Cause(ctx), Hint: crash.MemoryHint}
	case ctx.Err() != nil:
		return With(Interrupted, "interrupted")
	case strings.HasPrefix(err.Error(), "unknown command"), strings.HasPrefix(err.Error(), "required flag"):
		return &Failure{Code: Usage, Err: err, Hint: "see what there is:\n  agentsync help"}
	default:
		return &Failure{Code: Failed, Err: err}
	}
}

// OfReport maps a report to the exit code of the worst that is in it. A refused key says most about
// what to do next; a refusal by a safety limit counts only where nothing failed.
func OfReport(ctx context.Context, rep *apply.Report) int {
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
	failed += rep.Unread
	switch {
	case rep.Outcome == apply.OutcomeInterrupted || ctx.Err() != nil && failed > 0:
		return Interrupted
	case keyRefused:
		return KeyRefused
	case failed > 0 && (done > 0 || unknown > 0):
		return Partial
	case failed > 0:
		return Failed
	case refused > 0:
		return Refused
	default:
		return OK
	}
}
