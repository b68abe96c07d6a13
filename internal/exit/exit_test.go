package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"agentsync/internal/apply"
	"agentsync/internal/platform"
	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// TestOf: which code and which hint an error leads to, also where other errors wrap it.
func TestOf(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	locked := &state.LockedError{}
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		code int
		hint string // begins with it
	}{
		{"a failure keeps its code", t.Context(), With(Stale, "old").Hinted("plan again"), Stale, "plan again"},
		{"also after an interrupt", over, Usagef("wrong"), Usage, ""},
		{"the lock of a file", t.Context(), locked, Locked, "wait for it with --lock-timeout"},
		{"the lock of a shared state", t.Context(), &state.LockedError{Holder: state.Holder{Lease: shared.Duration(time.Minute)}}, Locked,
			"wait for it with --lock-timeout"},
		{"waiting for a lock was interrupted", over, locked, Interrupted, ""},
		{"a damaged state", t.Context(), &state.FormatError{Hint: "take it from git"}, Usage, "take it from git"},
		{"a refused key", t.Context(), platform.ErrKeyRefused, KeyRefused, "check the key's value"},
		{"an interrupt", over, context.Canceled, Interrupted, ""},
		{"what cobra refuses", t.Context(), errors.New(`required flag(s) "x" not set`), Usage, "see what there is"},
		{"anything else", t.Context(), errors.New("boom"), Failed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.err
			if c.name != "what cobra refuses" {
				err = fmt.Errorf("read it: %w", err)
			}
			f := Of(c.ctx, err)
			if f.Code != c.code || !strings.HasPrefix(f.Hint, c.hint) || c.hint == "" && f.Hint != "" {
				t.Errorf("code %d, hint %q", f.Code, f.Hint)
			}
		})
	}
}

// TestOfState: what the state's rooms return leads to the codes of the contract, with the way on.
func TestOfState(t *testing.T) {
	if err := OfState(nil); err != nil {
		t.Errorf("nil became %v", err)
	}
	for err, want := range map[error]string{
		state.ErrNoSpace: "4 make room",
		state.ErrStale:   "4 run the command again",
		fs.ErrPermission: "4 nothing was sent; the state and its folder must be",
		syscall.EROFS:    "4 nothing was sent; the state and its folder must be",
		&state.FormatError{Hint: "take it from git"}: "4 take it from git",
		&shared.DamageError{Hint: "go back"}:         "4 go back",
		shared.ErrNoSuchState:                        "4 see which there are",
		shared.ErrLost:                               "1 see who has the state now",
		shared.ErrNotInitialised:                     "4 make it",
		store.ErrDenied:                              "4 nothing was sent; reading needs",
		store.ErrNoPlace:                             "4 nothing was sent; make the bucket",
		store.ErrUnreachable:                         "4 nothing was sent; see whether",
		store.ErrConnection:                          "4 nothing was sent; see whether",
		&store.ConnectError{Hint: "trust it"}:        "4 nothing was sent; trust it",
		&store.AnswerError{}:                         "4 nothing was sent; the store has a reason",
		&store.AnswerError{Foreign: true}:            "4 nothing was sent; this is not how",
		&store.UnfitError{}:                          "4 nothing was written; which places",
		errors.New("boom"):                           "4 ",
	} {
		t.Run(fmt.Sprint(err), func(t *testing.T) {
			f := Of(t.Context(), OfState(fmt.Errorf("state: %w", err)))
			if got := fmt.Sprintf("%d %s", f.Code, f.Hint); !strings.HasPrefix(got, want) {
				t.Errorf("%v: %s, want %s", err, got, want)
			}
		})
	}
}

// TestOfReport: the worst of a run decides, and what is worst.
func TestOfReport(t *testing.T) {
	done := apply.Result{Status: apply.StatusDone}
	failed := apply.Result{Status: apply.StatusFailed, Err: errors.New("boom")}
	unknown := apply.Result{Status: apply.StatusUnknown, Err: errors.New("no answer")}
	blocked := apply.Result{Status: apply.StatusFailed, Err: fmt.Errorf("in the way: %w", apply.ErrBlocked)}
	noKey := apply.Result{Status: apply.StatusFailed, Err: apply.ErrKeyRefused}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		rep  apply.Report
		want int
	}{
		{"nothing to do", t.Context(), apply.Report{}, OK},
		{"all done", t.Context(), apply.Report{Results: []apply.Result{done, done}}, OK},
		{"all done although it was interrupted", over, apply.Report{Results: []apply.Result{done}}, OK},
		{"one failed", t.Context(), apply.Report{Results: []apply.Result{done, failed}}, Partial},
		{"all failed", t.Context(), apply.Report{Results: []apply.Result{failed}}, Failed},
		{"nobody knows", t.Context(), apply.Report{Results: []apply.Result{unknown}}, Partial},
		{"one refused", t.Context(), apply.Report{Results: []apply.Result{done, blocked}}, Refused},
		{"one refused, one failed", t.Context(), apply.Report{Results: []apply.Result{blocked, failed}}, Failed},
		{"a refused key", t.Context(), apply.Report{Results: []apply.Result{done, noKey, failed}}, KeyRefused},
		{"an app that could not be listed", t.Context(), apply.Report{Results: []apply.Result{done}, Unread: 1},
			Partial},
		{"interrupted", t.Context(), apply.Report{Outcome: apply.OutcomeInterrupted, Results: []apply.Result{noKey}},
			Interrupted},
		{"interrupted while one failed", over, apply.Report{Results: []apply.Result{done, failed}}, Interrupted},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := OfReport(c.ctx, &c.rep); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// TestMeanings: each code is explained once.
func TestMeanings(t *testing.T) {
	all := Meanings()
	for _, code := range []int{OK, Failed, Changes, Partial, Usage, Stale, Refused, Locked, KeyRefused, Interrupted} {
		if strings.Count("\n"+all+"\n", fmt.Sprintf("\n  %3d  ", code)) != 1 {
			t.Errorf("%d is not explained once in\n%s", code, all)
		}
	}
}
