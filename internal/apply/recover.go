package apply

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// Settle finds out what became of the requests that earlier runs left open, before a new plan is
// made. It only lists: an agent that was made is entered, one that was not is made by the new plan.
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
		p, err := pendingOf(i)
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
		applied, err := agent.Encode(p.sent)
		if err != nil {
			return failed(ch, err)
		}
		observed, err := e.observed(v.found, p.sent)
		if err != nil {
			return failed(ch, err)
		}
		rec := agent.Record{UID: v.found.UID, Applied: applied, Observed: observed, Protect: e.want[p.address].Protect}
		res := done(ch, v.found.UID)
		if err := e.book.commit(state.Result{Kind: state.Recorded, Intent: p.intent, Address: p.address, Record: rec}); err != nil {
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
		return unknownResult(ch, fmt.Errorf("%w; and it could not be settled: %w", p.cause, v.err))
	}
}

// settleWrites settles updates and deletes by reading what is there.
func (e *Engine) settleWrites(ctx context.Context, id agent.AppID, intents []state.Intent) []Result {
	l, err := e.listForCreates(ctx, id)
	if err != nil {
		return unsettled(intents, err)
	}
	var results []Result
	for _, i := range intents {
		result, err := e.settleWrite(l, i)
		if err == nil {
			err = e.book.commit(result)
		}
		res := Result{Address: i.Address, Action: plan.Action(i.Action), Status: StatusDone, UID: i.UID}
		if err != nil {
			res.Status, res.Err = StatusUnknown, err
		}
		results = append(results, res)
	}
	return results
}

// settleWrite decides one update or delete. A delete whose agent is still listed was not carried out,
// and one whose agent is not listed is left to the plan, which deletes it again without harm: a list
// alone is no proof that an agent is gone. Of an update, a field that the agent shows as it was sent
// counts as applied; one that cannot be read back is forgotten, and of one that is neither what was
// sent nor what was there before the live value counts, so that the next plan sends it again.
func (e *Engine) settleWrite(l *listing, i state.Intent) (state.Result, error) {
	voided := state.Result{Kind: state.Voided, Intent: i.ID, Address: i.Address}
	rec, known := e.book.record(i.Address)
	live, listed := l.byUID[i.UID]
	if i.Action != intentUpdate || !known || rec.UID != i.UID || !listed {
		return voided, nil
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
	shown := plan.SealAnswer(live.Fields, sent, e.sealer())
	changed := false
	for name, v := range sent {
		one := agent.Fields{name: v}
		switch {
		case hasSecrets(one):
			delete(applied, name)
		case holdsSent(l.schema, one, live.Fields):
			applied[name] = v
		case !holdsSent(l.schema, agent.Fields{name: applied[name]}, live.Fields):
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

func (e *Engine) recordAs(i state.Intent, rec agent.Record, applied agent.Fields, live platform.Remote) (state.Result, error) {
	var err error
	if rec.Applied, err = agent.Encode(applied); err != nil {
		return state.Result{}, err
	}
	if rec.Observed, err = e.observed(live, applied); err != nil {
		return state.Result{}, err
	}
	return state.Result{Kind: state.Recorded, Intent: i.ID, Address: i.Address, Record: rec}, nil
}

func unsettled(intents []state.Intent, err error) []Result {
	results := make([]Result, len(intents))
	for i, in := range intents {
		results[i] = unknownResult(plan.Change{Address: in.Address, Action: plan.Action(in.Action), UID: in.UID}, err)
	}
	return results
}
