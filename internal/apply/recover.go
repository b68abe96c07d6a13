package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// Settle finds out what became of the requests that earlier runs left open, before a new plan is
// made. It reads, and at the most repeats a delete: an agent that was made is entered, one that was
// not is made by the new plan.
// Results are ordered by address; a request that could not be settled stays open and is reported as
// unknown. The error is not nil only where the ledger broke.
func (e *Engine) Settle(ctx context.Context, open []state.Intent, ledger Ledger) (*Report, error) {
	e.book.ledger = ledger
	byApp := map[agent.AppID][]state.Intent{}
	for _, i := range open {
		byApp[i.Address.ID()] = append(byApp[i.Address.ID()], i)
	}
	found := make(chan []Result, len(byApp))
	var g errgroup.Group
	for id, intents := range byApp {
		g.Go(func() error {
			defer crash.Guard()
			found <- e.settleApp(ctx, id, intents)
			return nil
		})
	}
	_ = g.Wait() // apps never cancel each other: what went wrong is in the results
	close(found)
	var results []Result
	for rs := range found {
		results = append(results, rs...)
	}
	slices.SortFunc(results, func(a, b Result) int { return a.Address.Compare(b.Address) })
	return newReport(ctx, results, nil), e.book.fault()
}

func (e *Engine) settleApp(ctx context.Context, id agent.AppID, intents []state.Intent) []Result {
	if _, ok := e.apps[id]; !ok {
		return unsettled(intents, fmt.Errorf("no manifest has a section for %s, so nothing says how to reach it", id))
	}
	var results []Result
	var creates []*pending
	var others []state.Intent
	for _, i := range intents {
		if i.Action != intentCreate {
			others = append(others, i)
			continue
		}
		p, err := e.pendingOf(i)
		if err != nil {
			results = append(results, unsettled([]state.Intent{i}, err)...)
			continue
		}
		creates = append(creates, p)
	}
	if len(others) > 0 {
		results = append(results, e.settleWrites(ctx, id, others)...)
	}
	for p, v := range e.settleCreates(ctx, id, creates, nil) {
		results = append(results, e.enter(p, v))
	}
	return results
}

// enter makes the verdict on a create of an earlier run durable.
func (e *Engine) enter(p *pending, v verdict) Result {
	ch := plan.Change{Address: p.address, Action: plan.Create}
	switch {
	case v.found.UID != "":
		rec := agent.Record{UID: v.found.UID, Applied: p.doc, Protect: e.wants(p.address).Protect, Mark: v.found.Mark}
		res := done(ch, v.found.UID)
		var err error
		if rec.Observed, err = e.observed(v.found, p.sent); err != nil {
			res.Warning = fmt.Sprintf("what the platform answered could not be kept: %v", err)
		}
		results := append(e.vanished(p, v.in), state.Result{Kind: state.Recorded, Intent: p.intent, Address: p.address, Record: rec})
		if err := e.book.commit(results...); err != nil {
			res.Status, res.Err = StatusUnknown, err
		}
		return res
	case v.absent:
		res := done(ch, "")
		if err := e.book.commit(state.Result{Kind: state.Voided, Intent: p.intent, Address: p.address}); err != nil {
			res.Status, res.Err = StatusUnknown, err
		}
		return res
	case len(v.several) > 0:
		res := unknownResult(ch, severalError(v))
		res.Hint = severalHint(p.address, v)
		return res
	default:
		return unsettledResult(ch, p.cause, v.err)
	}
}

// vanished takes the agent out of the record that the create was to make up for, not to replace: an
// intent that replaces names the old one, and what the list shows did not vanish.
func (e *Engine) vanished(p *pending, l *listing) []state.Result {
	rec, known := e.book.record(p.address)
	if !known || p.old != "" || l.has(rec.UID) {
		return nil
	}
	return []state.Result{{Kind: state.Removed, Address: p.address, UID: rec.UID}}
}

// settleWrites settles updates and deletes by reading what is there.
func (e *Engine) settleWrites(ctx context.Context, id agent.AppID, intents []state.Intent) []Result {
	l, err := e.listForCreates(ctx, id)
	if err != nil && !errors.Is(err, errLacking) { // of another app, perhaps: its answers say nothing of these agents
		return unsettled(intents, err)
	}
	var results []Result
	for _, i := range intents {
		result, err := e.settleWrite(ctx, l, i)
		if err == nil {
			err = e.book.commit(result)
		}
		res := Result{Address: i.Address, Action: plan.Action(i.Action), Status: StatusDone, UID: i.UID}
		if err != nil {
			res.Status, res.Err, res.Hint = StatusUnknown, err, goneHint(err)
		}
		results = append(results, res)
	}
	return results
}

// settleWrite decides one update or delete, for the address that its agent has now: it may have been
// renamed since the request was sent.
func (e *Engine) settleWrite(ctx context.Context, l *listing, i state.Intent) (state.Result, error) {
	if owner, owned := e.book.owner(i.Address.ID(), i.UID); owned {
		i.Address = owner
	}
	if i.Action == intentDelete {
		return e.settleDelete(ctx, l, i)
	}
	return e.settleUpdate(ctx, l, i)
}

// settleDelete decides one delete. An agent that is there was not deleted, and the plan decides anew. Where
// nobody can be asked about one that is not listed, the answer to a second delete tells, which does no harm.
func (e *Engine) settleDelete(ctx context.Context, l *listing, i state.Intent) (state.Result, error) {
	voided := state.Result{Kind: state.Voided, Intent: i.ID, Address: i.Address}
	owner, owned := e.book.owner(i.Address.ID(), i.UID)
	if _, known := e.book.record(i.Address); !known || !owned || owner != i.Address {
		return voided, nil
	}
	_, err := e.find(ctx, l, i.Address.ID(), i.UID)
	if errors.Is(err, errLacking) {
		if err = e.apps[i.Address.ID()].Client.Delete(context.WithoutCancel(ctx), i.UID); err == nil {
			err = platform.ErrNotFound
		}
	}
	switch {
	case err == nil:
		return voided, nil
	case !errors.Is(err, platform.ErrNotFound):
		return voided, err
	}
	return state.Result{Kind: state.Removed, Intent: i.ID, Address: i.Address, UID: i.UID}, nil
}

// settleUpdate decides one update. A field that the agent shows as it was sent counts as applied; one
// that cannot be read back is forgotten, and of one that is neither what was sent nor what was there
// before the live value counts, so that the next plan sends it again.
func (e *Engine) settleUpdate(ctx context.Context, l *listing, i state.Intent) (state.Result, error) {
	voided := state.Result{Kind: state.Voided, Intent: i.ID, Address: i.Address}
	rec, known := e.book.record(i.Address)
	if !known || rec.UID != i.UID {
		return voided, nil
	}
	live, err := e.find(ctx, l, i.Address.ID(), i.UID)
	if err != nil {
		if errors.Is(err, platform.ErrNotFound) {
			err = nil // nothing is left to be updated
		}
		return voided, err
	}
	sent, err := i.Fields.Fields()
	if err != nil {
		return voided, err
	}
	applied, err := rec.Applied.Fields()
	if err != nil {
		return voided, err
	}
	if applied == nil {
		applied = agent.Fields{}
	}
	before, err := rec.Observed.Fields()
	if err != nil {
		return voided, err
	}
	shown := plan.SealAnswer(live.Content.Fields(), sent, e.sealer())
	changed := false
	for name, v := range sent {
		one := agent.Fields{name: v}
		switch {
		case hasSecrets(one):
			delete(applied, name)
		case applied[name] == nil && agent.Equal(v, before[name]): // sent as it was, for the mark
		case holdsSent(l.schema, one, live.Content):
			applied[name] = v
		case !holdsSent(l.schema, agent.Fields{name: applied[name]}, live.Content):
			applied[name] = shown[name]
		default:
			continue
		}
		changed = true
	}
	if !changed {
		return voided, nil
	}
	return e.recordAs(i, rec, applied, live)
}

// find returns a live agent. A listing that lacks it is no proof that it is gone: the error matches
// ErrNotFound where the platform says so when it is asked for the agent alone.
func (e *Engine) find(ctx context.Context, l *listing, id agent.AppID, uid string) (platform.Remote, error) {
	if live, listed := l.byUID[uid]; listed {
		return live, nil
	}
	if !e.apps[id].Client.Properties().ReadsOne {
		return platform.Remote{}, fmt.Errorf("%w: agent %s of %s", errLacking, uid, id)
	}
	return e.apps[id].Client.Read(ctx, uid)
}

func (e *Engine) recordAs(i state.Intent, rec agent.Record, applied agent.Fields, live platform.Remote) (state.Result, error) {
	var err error
	if rec.Applied, err = agent.Encode(applied); err != nil {
		return state.Result{}, err
	}
	if rec.Observed, err = e.observed(live, applied); err != nil {
		return state.Result{}, err
	}
	rec.Mark = live.Mark
	return state.Result{Kind: state.Recorded, Intent: i.ID, Address: i.Address, Record: rec}, nil
}

func unsettled(intents []state.Intent, err error) []Result {
	results := make([]Result, len(intents))
	for i, in := range intents {
		results[i] = unknownResult(plan.Change{Address: in.Address, Action: plan.Action(in.Action), UID: in.UID}, err)
	}
	return results
}
