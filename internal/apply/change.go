package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// The actions of an intent.
const (
	intentCreate = "create"
	intentUpdate = "update"
	intentDelete = "delete"
)

// create makes a new agent: intent on disk, one POST, result on disk.
func (r *appRun) create(ctx context.Context, ch plan.Change) (Result, *pending) {
	if r.noCreates != nil {
		res := failed(ch, fmt.Errorf("nothing is created before the app was listed: %w", r.noCreates))
		if errors.Is(r.noCreates, ErrSuspiciousList) {
			res.Hint = fmt.Sprintf("if those agents are really gone, take them out of state, then apply again:\n  agentsync state rm '%s/*'", r.id)
		}
		return res, nil
	}
	if ch.Vanished && r.listed[r.id].has(ch.UID) {
		return failed(ch, fmt.Errorf("agent %s is there after all: the list that did not show it lagged", ch.UID)), nil
	}
	want, err := r.wanted(ch.Address)
	if err != nil {
		return failed(ch, err), nil
	}
	doc, err := agent.Encode(r.want[ch.Address].Fields.Seal(r.sealer()))
	if err != nil {
		return failed(ch, err), nil
	}
	intent := state.Intent{Address: ch.Address, Action: intentCreate, UID: ch.UID, Fields: doc}
	var made platform.Remote
	id, at, err := r.send(ctx, intent, func(ctx context.Context) error {
		var err error
		made, err = r.app.Client.Create(ctx, want)
		if err == nil && made.UID == "" {
			err = errors.New("the answer names no uid")
		}
		return err
	})
	switch {
	case err == nil:
		return r.made(ctx, ch, id, made)
	case isUnknown(err):
		p := &pending{intent: id, address: ch.Address, action: intentCreate, sent: want, at: at, cause: err}
		return unknownResult(ch, err), p
	default:
		return failed(ch, err), nil
	}
}

// isUnknown reports whether err leaves open what became of a request.
func isUnknown(err error) bool {
	return platform.ClassOf(err) == platform.Unknown && !errors.Is(err, errLedger)
}

// send stores the intent, calls do once, and says what is known: on nil and on an unknown outcome the
// intent stays open for the caller to close; else it is closed. While the platform asks to wait, send
// waits and begins anew with a fresh intent, since a request answered so was not processed. What is
// in flight is not cut short by ctx; the waiting is.
func (r *appRun) send(ctx context.Context, intent state.Intent, do func(context.Context) error) (id uint64, at time.Time, err error) {
	start := time.Now()
	for n := 0; ; n++ {
		intent.At = time.Now().UTC()
		if id, err = r.book.intend(intent); err != nil {
			return 0, intent.At, err
		}
		err = do(context.WithoutCancel(ctx))
		if err == nil || isUnknown(err) {
			return id, intent.At, err
		}
		voided := r.book.commit(state.Result{Kind: state.Voided, Intent: id, Address: intent.Address})
		if voided != nil || platform.ClassOf(err) != platform.Throttled {
			return 0, intent.At, cmp.Or(voided, err)
		}
		wait := throttlePause(err, n)
		r.observe(Event{Kind: EventThrottled, App: r.id, Message: fmt.Sprintf("%s asks to wait %s", r.id, wait.Round(100*time.Millisecond))})
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

// throttlePause is how long to wait before asking again: what the platform says, else 0.25 s
// doubling up to 8 s.
func throttlePause(err error, n int) time.Duration {
	var e *platform.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter
	}
	return 250 * time.Millisecond << min(n, 5)
}

// made stores the record of an agent that a create of this plan made; of a replace it then deletes
// the old one, whose uid stays in the record until that is done.
func (r *appRun) made(ctx context.Context, ch plan.Change, intent uint64, made platform.Remote) (Result, *pending) {
	rec, err := r.newRecord(ch.Address, made)
	if err != nil {
		return failed(ch, err), nil
	}
	// Of a replace the ledger keeps the old uid as obsolete, in the same line as the new one.
	results := append(r.gone(ch), state.Result{Kind: state.Recorded, Intent: intent, Address: ch.Address, Record: rec})
	err = r.book.commit(results...)
	res := done(ch, made.UID)
	if err != nil {
		res.Status, res.Err = StatusUnknown, err
		return res, nil
	}
	if ch.Action == plan.Replace {
		return r.deleteObsolete(ctx, ch)
	}
	return res, nil
}

// gone takes the old agent of a vanished one out of the ledger.
func (r *appRun) gone(ch plan.Change) []state.Result {
	rec, known := r.book.record(ch.Address)
	if !ch.Vanished || !known {
		return nil
	}
	return []state.Result{{Kind: state.Removed, Address: ch.Address, UID: rec.UID}}
}

// newRecord is the record of an agent whose every wanted field was sent.
func (r *appRun) newRecord(a agent.Address, live platform.Remote) (agent.Record, error) {
	want := r.want[a]
	applied, err := plan.AppliedDoc(want, agent.Record{}, r.sealer())
	if err != nil {
		return agent.Record{}, err
	}
	observed, err := r.observed(live, want.Fields)
	return agent.Record{UID: live.UID, Applied: applied, Observed: observed, Protect: want.Protect}, err
}

// observed seals what a platform answered; like tells where secrets stand. Nil fields, which were not
// shown, stay nil.
func (e *Engine) observed(live platform.Remote, like agent.Fields) (agent.Doc, error) {
	if live.Fields == nil {
		return nil, nil
	}
	return agent.Encode(plan.SealAnswer(live.Fields, like, e.sealer()))
}

// adopt takes an agent that equals the wanted one into the ledger. Secrets cannot be compared where
// the platform masks them, so fields that hold any are sent once.
func (r *appRun) adopt(ctx context.Context, ch plan.Change, live platform.Remote) (Result, *pending) {
	rec, err := r.newRecord(ch.Address, live)
	if err != nil {
		return failed(ch, err), nil
	}
	var send []string
	for name, v := range r.want[ch.Address].Fields {
		if (agent.Fields{name: v}).HasSecrets() {
			send = append(send, name)
		}
	}
	slices.Sort(send)
	applied, err := rec.Applied.Fields()
	if err != nil {
		return failed(ch, err), nil
	}
	for _, name := range send {
		delete(applied, name) // not known to be there before it is sent
	}
	if rec.Applied, err = agent.Encode(applied); err != nil {
		return failed(ch, err), nil
	}
	results := append(r.gone(ch), state.Result{Kind: state.Recorded, Address: ch.Address, Record: rec})
	if err := r.book.commit(results...); err != nil {
		return failed(ch, err), nil
	}
	if len(send) == 0 {
		return done(ch, live.UID), nil
	}
	ch.Send = send
	return r.update(ctx, ch)
}

// update sends the changed top-level fields, each whole.
func (r *appRun) update(ctx context.Context, ch plan.Change) (Result, *pending) {
	want, err := r.wanted(ch.Address)
	if err != nil {
		return failed(ch, err), nil
	}
	payload := plan.Payload(r.app.Schema, want, ch.Send)
	doc, err := agent.Encode(payload.Seal(r.sealer()))
	if err != nil {
		return failed(ch, err), nil
	}
	intent := state.Intent{Address: ch.Address, Action: intentUpdate, UID: ch.UID, Fields: doc}
	var answer platform.Remote
	id, at, err := r.send(ctx, intent, func(ctx context.Context) error {
		var err error
		answer, err = r.app.Client.Update(ctx, ch.UID, payload)
		return err
	})
	switch {
	case err == nil:
		return r.updated(ch, id, answer), nil
	case isUnknown(err):
		p := &pending{intent: id, address: ch.Address, action: intentUpdate, send: ch.Send, sent: payload, at: at, cause: err}
		return unknownResult(ch, err), p
	default:
		res := failed(ch, err)
		if errors.Is(err, platform.ErrNotFound) {
			res.Hint = fmt.Sprintf("the agent was deleted by someone else; to make it again:\n  agentsync state rm %s\n  agentsync apply", ch.Address)
		}
		return res, nil
	}
}

// updated stores what an update sent.
func (r *appRun) updated(ch plan.Change, intent uint64, answer platform.Remote) Result {
	rec, _ := r.book.record(ch.Address)
	want := r.want[ch.Address]
	var err error
	if rec.Applied, err = plan.AppliedDoc(want, rec, r.sealer()); err != nil {
		return failed(ch, err)
	}
	if rec.Observed, err = r.observed(answer, want.Fields); err != nil {
		return failed(ch, err)
	}
	rec.UID, rec.Protect = ch.UID, want.Protect
	res := done(ch, ch.UID)
	if err := r.book.commit(state.Result{Kind: state.Recorded, Intent: intent, Address: ch.Address, Record: rec}); err != nil {
		res.Status, res.Err = StatusUnknown, err
	}
	return res
}

// replace makes the new agent before the old one goes. A replace without fields finishes an earlier
// one: only its deletes are left.
func (r *appRun) replace(ctx context.Context, ch plan.Change) (Result, *pending) {
	if len(ch.Fields) == 0 && len(ch.Obsolete) > 0 {
		return r.deleteObsolete(ctx, ch)
	}
	if live, ok := r.adopting[ch.Address]; ok {
		return r.made(ctx, ch, 0, live)
	}
	return r.create(ctx, ch)
}

// deleteObsolete deletes what replaces of the agent left over. A delete may be repeated without harm
// and the record names the uids until they are gone, so an unknown outcome is only a failure here.
func (r *appRun) deleteObsolete(ctx context.Context, ch plan.Change) (Result, *pending) {
	rec, _ := r.book.record(ch.Address)
	res := done(ch, rec.UID)
	for _, uid := range rec.Obsolete {
		intent := state.Intent{Address: ch.Address, Action: intentDelete, UID: uid}
		for try := 1; ; try++ {
			id, err := r.deleteOnce(ctx, intent)
			if err == nil {
				res.Err = r.book.commit(state.Result{Kind: state.Removed, Intent: id, Address: ch.Address, UID: uid})
				break
			}
			if !isUnknown(err) || try == maxRepeats || !sleep(ctx, repeatPause(try)) {
				res.Err = err
				break
			}
		}
		if res.Err != nil {
			res.Status = StatusFailed
			res.Err = fmt.Errorf("the old agent %s is not deleted yet: %w", uid, res.Err)
			res.Hint = "the next apply deletes it:\n  agentsync apply --prune"
			return res, nil
		}
	}
	return res, nil
}

func (r *appRun) deleteOnce(ctx context.Context, intent state.Intent) (uint64, error) {
	if why := r.stopped(ctx); why != nil {
		return 0, why
	}
	id, _, err := r.send(ctx, intent, func(ctx context.Context) error { return r.app.Client.Delete(ctx, intent.UID) })
	return id, err
}

// delete removes the agent, and whatever earlier replaces of it left over.
func (r *appRun) delete(ctx context.Context, ch plan.Change) (Result, *pending) {
	rec, _ := r.book.record(ch.Address)
	if len(rec.Obsolete) > 0 {
		if res, _ := r.deleteObsolete(ctx, ch); res.Status != StatusDone {
			return res, nil
		}
	}
	intent := state.Intent{Address: ch.Address, Action: intentDelete, UID: ch.UID}
	id, at, err := r.send(ctx, intent, func(ctx context.Context) error { return r.app.Client.Delete(ctx, ch.UID) })
	switch {
	case err == nil:
		res := done(ch, ch.UID)
		if err := r.book.commit(state.Result{Kind: state.Removed, Intent: id, Address: ch.Address}); err != nil {
			res.Status, res.Err = StatusUnknown, err
		}
		return res, nil
	case isUnknown(err):
		p := &pending{intent: id, address: ch.Address, action: intentDelete, at: at, cause: err}
		return unknownResult(ch, err), p
	default:
		return failed(ch, err), nil
	}
}

// hasSecrets reports whether reading the agent back cannot show that what was sent arrived.
func hasSecrets(sent agent.Fields) bool {
	if sent.HasSecrets() {
		return true
	}
	return slices.ContainsFunc(slices.Collect(maps.Values(sent)), hasSealed)
}

func hasSealed(v any) bool {
	switch v := v.(type) {
	case secret.Sealed:
		return true
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasSealed)
	case []any:
		return slices.ContainsFunc(v, hasSealed)
	}
	return false
}
