package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// adopt takes an agent that equals the wanted one, or carries its mark, into the ledger. What differs
// is sent, and once the fields that hold secrets, since these cannot be compared where the platform
// masks them.
func (r *appRun) adopt(ctx context.Context, ch plan.Change, live platform.Remote) (Result, *pending) {
	rec, err := r.newRecord(ch, live)
	if err != nil {
		return failed(ch, err), nil
	}
	send := slices.Clone(ch.Send)
	for name, v := range r.wants(ch.Address).Fields {
		if (agent.Fields{name: v}).HasSecrets() {
			send = append(send, name)
		}
	}
	if name := r.remark(ch.Address, live); name != "" {
		send = append(send, name)
	}
	slices.Sort(send)
	send = slices.Compact(send)
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
	payload, marked, err := r.withMark(ch, plan.Payload(r.app.Schema, want, ch.Send))
	if err != nil {
		return failed(ch, err), nil
	}
	doc, err := agent.Encode(payload.Seal(r.sealer()))
	if err != nil {
		return failed(ch, err), nil
	}
	intent := state.Intent{Address: ch.Address, Action: intentUpdate, UID: ch.UID, Fields: doc}
	var answer platform.Remote
	id, at, err := r.send(ctx, ch, intent, func(ctx context.Context) error {
		var err error
		answer, err = r.app.Client.Update(ctx, ch.UID, marked)
		return err
	})
	switch {
	case err == nil:
		return r.updated(ch, id, answer), nil
	case isUnknown(err):
		intent.At = at
		p := newPending(id, intent, payload, err)
		p.send = ch.Send
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
	want := r.wants(ch.Address)
	rec.Mark = plan.MarkOf(r.app.Schema, *want, rec, ch.Send)
	var err error
	if rec.Applied, err = plan.AppliedDoc(*want, rec, r.sealer()); err != nil {
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
