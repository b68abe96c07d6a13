package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// The actions of an intent.
const (
	intentCreate = "create"
	intentUpdate = "update"
	intentDelete = "delete"
)

// isUnknown reports whether err leaves open what became of a request.
func isUnknown(err error) bool {
	_, kept := errors.AsType[*notSentError](err)
	return platform.ClassOf(err) == platform.Unknown && !kept && !errors.Is(err, errLedger)
}

// send stores the intent, calls do once, and says what is known: on nil and on an unknown outcome the
// intent stays open for the caller to close; else it is closed. While the platform asks to wait, send
// waits and begins anew with a fresh intent, since a request answered so was not processed. What is
// in flight is not cut short by ctx; the waiting is.
func (r *appRun) send(ctx context.Context, ch plan.Change, intent state.Intent, do func(context.Context) error) (id uint64, at time.Time, err error) {
	start := time.Now()
	for n := 0; ; n++ {
		intent.At = time.Now().UTC()
		if id, err = r.book.intend(intent); err != nil {
			return 0, intent.At, err
		}
		if err = r.inSlot(ctx, ch, do); err == nil || isUnknown(err) {
			return id, intent.At, err
		}
		voided := r.book.commit(state.Result{Kind: state.Voided, Intent: id, Address: intent.Address})
		if voided != nil || platform.ClassOf(err) != platform.Throttled {
			return 0, intent.At, cmp.Or(voided, err)
		}
		wait := throttlePause(err, n)
		r.observe(Event{Kind: EventThrottled, App: r.id, Rate: r.app.rate(), Message: fmt.Sprintf("%s asks to wait %s", r.id, wait.Round(100*time.Millisecond))})
		if time.Since(start)+wait > maxThrottled {
			return 0, intent.At, fmt.Errorf("the platform kept asking to wait for %s: %w", maxThrottled, err)
		}
		if !sleep(ctx, wait) {
			return 0, intent.At, fmt.Errorf("%w: %w", errInterrupted, err)
		}
		if err := r.book.fault(); err != nil {
			return 0, intent.At, err
		}
	}
}

// notSentError is why a request was not sent although its intent was stored.
type notSentError struct{ why error }

func (e *notSentError) Error() string { return e.why.Error() }
func (e *notSentError) Unwrap() error { return e.why }

// inSlot calls do once a request may be in flight, or not at all where the run ends before.
func (r *appRun) inSlot(ctx context.Context, ch plan.Change, do func(context.Context) error) error {
	r.slots <- struct{}{} // soon: a request ends in time, whatever happens
	defer func() { <-r.slots }()
	if why := r.stopped(ctx); why != nil {
		return &notSentError{why}
	}
	r.observe(Event{Kind: EventStarted, App: r.id, Result: Result{Address: ch.Address, Action: ch.Action, UID: ch.UID}})
	err := do(platform.Detach(ctx))
	if e, ok := errors.AsType[*platform.Error](err); ok && e.NeverSent && ctx.Err() != nil {
		return &notSentError{errInterrupted}
	}
	return err
}

// throttlePause is how long to wait before asking again: what the platform says, else 0.25 s
// doubling up to 8 s.
func throttlePause(err error, n int) time.Duration {
	var e *platform.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return 250 * time.Millisecond << min(n, 5)
}
