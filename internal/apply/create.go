package apply

import (
	"context"
	"errors"
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// create makes a new agent: intent on disk, one POST, result on disk.
func (r *appRun) create(ctx context.Context, ch plan.Change) (Result, *pending) {
	if r.noCreates != nil {
		res := failed(ch, fmt.Errorf("nothing is created before the app was listed: %w", r.noCreates))
		switch {
		case errors.Is(r.noCreates, errLacking):
			res.Hint = goneHint(r.noCreates)
		case errors.Is(r.noCreates, ErrSuspiciousList):
			res.Hint = fmt.Sprintf("if those agents are really gone, take them out of state, then apply again:\n  agentsync state rm '%s/*'", r.id)
		}
		return res, nil
	}
	if ch.Vanished {
		if err := r.confirmGone(ctx, ch.UID); err != nil {
			return failed(ch, err), nil
		}
	}
	wanted := r.wants(ch.Address)
	want, send, err := r.sending(&ch, wanted)
	if err != nil {
		return failed(ch, err), nil
	}
	intent := state.Intent{Address: ch.Address, Action: intentCreate, Fields: ch.Wanted}
	if !ch.Vanished {
		intent.UID = ch.UID // of a replace: the agent that goes when the new one is there
	}
	var made platform.Remote
	id, at, err := r.send(ctx, ch, intent, func(ctx context.Context) error {
		var err error
		made, err = r.app.Client.Create(ctx, send)
		return r.checkMade(made, err)
	})
	switch {
	case err == nil:
		made.Mark = wanted.Mark // also where the answer leaves it out
		return r.made(ctx, ch, id, made)
	case isUnknown(err):
		intent.At = at
		return unknownResult(ch, err), newPending(id, intent, want, err)
	default:
		return failed(ch, err), nil
	}
}

// sending returns what a create wants, secrets filled in, and what it sends: that with the mark. It makes
// sure that the change has its document, which is sent as it is where nothing has to be put in.
func (r *appRun) sending(ch *plan.Change, wanted *agent.Desired) (want agent.Fields, send agent.Content, err error) {
	if ch.Wanted != nil && wanted.Mark == "" { // it holds no secret
		return wanted.Fields, agent.ContentOfDoc(ch.Wanted), nil
	}
	if want, err = r.wanted(ch.Address); err == nil {
		err = r.encode(ch)
	}
	return want, agent.ContentOf(platform.AddMark(r.app.Schema, want, wanted.Mark)), err
}

// confirmGone makes sure that an agent that a list did not show is gone, before another one is made in
// its place: by a second list, and by asking for it where the platform can be asked.
func (r *appRun) confirmGone(ctx context.Context, uid string) error {
	if r.listed[r.id].has(uid) {
		return fmt.Errorf("agent %s is there after all: the list that did not show it lagged", uid)
	}
	return r.readMissing(ctx, r.id, []string{uid})
}

// checkMade doubts the answer to a create that cannot be its own: one without a uid, or with a uid that
// an address has already.
func (r *appRun) checkMade(made platform.Remote, err error) error {
	if err != nil {
		return err
	}
	if made.UID == "" {
		return errors.New("the answer names no uid")
	}
	if owner, taken := r.book.owner(r.id, made.UID); taken {
		return fmt.Errorf("the answer names agent %s, which is %s", made.UID, owner)
	}
	return nil
}

// made stores the record of an agent that a create of this plan made; of a replace it then deletes
// the old one, whose uid stays in the record until that is done.
func (r *appRun) made(ctx context.Context, ch plan.Change, intent uint64, made platform.Remote) (Result, *pending) {
	rec, err := r.newRecord(ch, made)
	if err != nil { // whatever is wrong with the documents, the uid must not be lost
		rec = agent.Record{UID: made.UID, Protect: r.wants(ch.Address).Protect}
	}
	// Of a replace the ledger keeps the old uid as obsolete, in the same line as the new one.
	results := append(r.gone(ch), state.Result{Kind: state.Recorded, Intent: intent, Address: ch.Address, Record: rec})
	res := done(ch, made.UID)
	if err != nil {
		res.Warning = fmt.Sprintf("what the platform answered could not be kept: %v", err)
	}
	err = r.book.commit(results...)
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
	if !ch.Vanished {
		return nil
	}
	rec, known := r.book.record(ch.Address)
	if !known {
		return nil
	}
	return []state.Result{{Kind: state.Removed, Address: ch.Address, UID: rec.UID}}
}

// newRecord is the record of an agent whose every wanted field was sent.
func (r *appRun) newRecord(ch plan.Change, live platform.Remote) (agent.Record, error) {
	if err := r.encode(&ch); err != nil {
		return agent.Record{}, err
	}
	want := r.wants(ch.Address)
	observed, err := r.observed(live, likeIn(ch.Wanted, want))
	return agent.Record{UID: live.UID, Applied: ch.Wanted, Observed: observed, Protect: want.Protect, Mark: live.Mark}, err
}

// encode makes sure that the change has the document of what is wanted, secrets sealed.
func (r *appRun) encode(ch *plan.Change) (err error) {
	if ch.Wanted == nil {
		ch.Wanted, err = plan.AppliedDoc(*r.wants(ch.Address), agent.Record{}, r.sealer())
	}
	return err
}

// likeIn returns what tells where the secrets of doc stand, which is of what is wanted; nil where it holds
// none.
func likeIn(doc agent.Doc, want *agent.Desired) agent.Fields {
	if !doc.HasSecrets() {
		return nil
	}
	return want.Fields
}

// observed seals what a platform answered; like tells where secrets stand.
func (e *Engine) observed(live platform.Remote, like agent.Fields) (agent.Doc, error) {
	return plan.ObservedDoc(live.Content, like, e.sealer())
}
