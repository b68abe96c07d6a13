package apply

import (
	"context"
	"errors"
	"fmt"

	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// deleteObsolete deletes what replaces of the agent left over. A delete may be repeated without harm
// and the record names the uids until they are gone, so an unknown outcome is only a failure here.
func (r *appRun) deleteObsolete(ctx context.Context, ch plan.Change) (Result, *pending) {
	rec, _ := r.book.record(ch.Address)
	res := done(ch, rec.UID)
	for _, uid := range rec.Obsolete {
		if res.Err = r.deleteOld(ctx, ch, uid); res.Err != nil {
			res.Status = StatusFailed
			res.Err = fmt.Errorf("the old agent %s is not deleted yet: %w", uid, res.Err)
			res.Hint = "the next apply deletes it:\n  agentsync apply --prune"
			return res, nil
		}
	}
	return res, nil
}

// deleteOnce deletes one agent by one request. One that is already gone is deleted.
func (r *appRun) deleteOnce(ctx context.Context, uid string) error {
	err := r.app.Client.Delete(ctx, uid)
	if errors.Is(err, platform.ErrNotFound) {
		return nil
	}
	return err
}

// deleteOld deletes one agent that was replaced, and takes its uid out of the record.
func (r *appRun) deleteOld(ctx context.Context, ch plan.Change, uid string) error {
	a := ch.Address
	var results []state.Result // what the tries leave to be closed
	for try := 1; ; try++ {
		if why := r.stopped(ctx); why != nil {
			return why
		}
		intent := state.Intent{Address: a, Action: intentDelete, UID: uid}
		id, _, err := r.send(ctx, ch, intent, func(ctx context.Context) error { return r.deleteOnce(ctx, uid) })
		if err == nil {
			return r.book.commit(append(results, state.Result{Kind: state.Removed, Intent: id, Address: a, UID: uid})...)
		}
		if !isUnknown(err) || try == maxRepeats || !sleep(ctx, repeatPause(try)) {
			return err
		}
		results = append(results, state.Result{Kind: state.Voided, Intent: id, Address: a})
	}
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
	id, at, err := r.send(ctx, ch, intent, func(ctx context.Context) error { return r.deleteOnce(ctx, ch.UID) })
	switch {
	case err == nil:
		res := done(ch, ch.UID)
		if err := r.book.commit(state.Result{Kind: state.Removed, Intent: id, Address: ch.Address}); err != nil {
			res.Status, res.Err = StatusUnknown, err
		}
		return res, nil
	case isUnknown(err):
		intent.At = at
		return unknownResult(ch, err), newPending(id, intent, nil, err)
	default:
		return failed(ch, err), nil
	}
}
