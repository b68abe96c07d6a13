package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// sendRequest stores the intent, calls do once, and says what is known: on nil and on an unknown outcome the intent
// stays open, for the caller or for recovery to close; else it is closed. While the platform asks to wait, it
// waits and begins anew with a fresh intent, since a request answered so was not processed; so it does, at once, where
// the server had just closed an idle connection. What is in flight is not cut short by ctx; the waiting is.
func (r *appRun) sendRequest(ctx context.Context, ch plan.Change, intent state.Intent,
	do func(context.Context) error) (id uint64, err error) {
	if err := r.countRequest(intent); err != nil {
		return 0, err
	}
	start := time.Now()
	for n, stale := 0, 0; ; n++ {
		// After a failed write to the disk nobody knows what of the journal is left: what is sent now could be lost.
		if err := r.ledgerFault(); err != nil {
			return 0, err
		}
		// The intent is on disk before the first byte leaves. Without it, a crash during the request leaves an agent
		// that nobody looks for, and the next apply makes a second one.
		intent.At = time.Now().UTC()
		if id, err = r.ledger.Intend(intent); err != nil {
			return 0, r.breakLedger(err)
		}
		if err = r.callInSlot(ctx, ch, id, do); err == nil {
			return id, nil
		}
		if isUnknown(err) {
			r.giveUp(id, intent, err) // it stays open: sent again now, it could be carried out twice
			return id, err
		}
		// Certainly not carried out: without a result the next apply would look for what was never made, and wait for
		// it.
		voided := r.commitResults(state.Result{Kind: state.Voided, Intent: id, Address: intent.Address})
		if voided == nil && isStale(err) && stale < maxSent-1 {
			stale++ // no byte of it left, and each such connection is met once
			continue
		}
		if voided != nil || platform.ClassOf(err) != platform.Throttled {
			return 0, cmp.Or(voided, err)
		}
		wait := throttlePause(err, n)
		// At once, not after the wait: what cannot end well must not hold the lock for hours.
		if time.Since(start)+wait > maxThrottled {
			return 0, r.stopWaiting(wait, err)
		}
		if !sleep(ctx, wait) {
			return 0, fmt.Errorf("%w: %w", errInterrupted, err)
		}
		if why := r.whyStopped(ctx); why != nil {
			return 0, &notSentError{why}
		}
	}
}

// callInSlot calls do once a request may be in flight, or not at all where the run ends before.
func (r *appRun) callInSlot(ctx context.Context, ch plan.Change, id uint64, do func(context.Context) error) error {
	r.slots <- struct{}{} // soon: a request ends in time, whatever happens
	defer func() { <-r.slots }()
	if why := r.whyStopped(ctx); why != nil {
		return &notSentError{why}
	}
	// Told only now that it has its slot: what waits for one is not in flight.
	r.emitEvent(Event{Kind: EventStarted, App: r.id, Result: Result{Address: ch.Address, Action: ch.Action,
		UID: ch.UID}})
	var kept error
	err := do(platform.BeforeSend(platform.Detach(ctx), func() error {
		// The last thing before the first byte: it may have waited for the pace since it was asked. Noted any earlier,
		// a request that never left would count as one that did, and be waited for.
		if kept = r.whyStopped(ctx); kept == nil {
			kept = r.ledger.Leaving(id)
		}
		return kept
	}))
	if e, ok := errors.AsType[*platform.Error](err); ok && e.NeverSent && (kept != nil || ctx.Err() != nil) {
		return &notSentError{cmp.Or(kept, errInterrupted)}
	}
	if platform.ClassOf(err) == platform.Refused && !errors.Is(err, platform.ErrNotFound) && !isStale(err) {
		// While the slot is still held: whoever takes it next would send what is not to be started any more. A 404 may
		// yet be what was wanted (see isGone), and what met a stale connection goes out again.
		r.stopAfter(err)
	}
	return err
}

// giveUp notes that a request of this apply ended without a usable answer. Its connection is closed by now, so
// nothing more of it leaves, and the grace period begins.
func (r *appRun) giveUp(id uint64, intent state.Intent, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteCause(intent, cause)
	r.requests[id] = &openRequest{since: time.Now(), before: r.lists[r.id], cause: cause}
}

// isUnknown reports whether err leaves open what became of a request.
func isUnknown(err error) bool {
	_, kept := errors.AsType[*notSentError](err)
	return platform.ClassOf(err) == platform.Unknown && !kept && !errors.Is(err, errLedger)
}

// isStale reports whether a request met a connection that its server had just closed.
func isStale(err error) bool {
	e, ok := errors.AsType[*platform.Error](err)
	return ok && e.Stale
}

// notSentError is why a request was not sent although its intent was stored.
type notSentError struct{ why error }

func (e *notSentError) Error() string { return e.why.Error() }

func (e *notSentError) Unwrap() error { return e.why }

// throttlePause is how long to wait before asking again: what the platform says, else 0.25 s
// doubling up to 8 s.
func throttlePause(err error, n int) time.Duration {
	var e *platform.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return 250 * time.Millisecond << min(n, 5)
}

// errSentOften is of a request that is not sent once more.
var errSentOften = errors.New("it was sent often enough, and never carried out")

// requestKey is what a request is about: the same one sent again counts, another one for the same agent does
// not.
type requestKey struct {
	address     agent.Address
	action, uid string
}

// sendCount is how often a request was sent, and how it ended last without an outcome.
type sendCount struct {
	n     int
	cause error
	// enough reports that the platform would give the same answer once more.
	enough bool
}

// countRequest refuses a request that this apply has sent often enough.
func (e *Engine) countRequest(i state.Intent) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	tries := e.sends[requestKey{i.Address, i.Action, i.UID}]
	if tries.n >= maxSent || tries.enough {
		return &oftenError{tries.n, tries.cause}
	}
	tries.n++
	e.sends[requestKey{i.Address, i.Action, i.UID}] = tries
	return nil
}

// noteCause notes how a request ended that has no outcome. The caller holds mu.
func (e *Engine) noteCause(i state.Intent, cause error) {
	key := requestKey{i.Address, i.Action, i.UID}
	t := e.sends[key]
	was, _ := errors.AsType[*platform.Error](t.cause)
	is, ok := errors.AsType[*platform.Error](cause)
	// Where the platform says in its own words that the request conflicts with what is there, one look at what is there
	// tells the rest. Any other trouble may pass: that it is there to stay, the same words twice say.
	twice := ok && was != nil && is.Status == was.Status && is.Code == was.Code && is.Message == was.Message
	t.enough = ok && is.OwnWords && (errors.Is(cause, platform.ErrConflict) || twice)
	t.cause = cause
	e.sends[key] = t
}

// oftenError matches errSentOften and says how the last try ended.
type oftenError struct {
	n     int
	cause error
}

func (e *oftenError) Error() string {
	if e.n == 1 {
		return fmt.Sprintf("sent, and not carried out: %v", e.cause)
	}
	return fmt.Sprintf("sent %d times, and never carried out: %v", e.n, e.cause)
}

func (e *oftenError) Is(target error) bool { return target == errSentOften }

func (e *oftenError) Unwrap() error { return e.cause }
