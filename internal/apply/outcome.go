package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
)

var (
	// ErrBlocked is wrapped by the result of a change that a safety limit refuses.
	ErrBlocked = errors.New("refused")
	// ErrKeyRefused is wrapped by the results of an app whose platform refused the API key.
	ErrKeyRefused = platform.ErrKeyRefused
)

func done(ch plan.Change, uid string) Result {
	return Result{Address: ch.Address, Action: ch.Action, Status: StatusDone, UID: uid}
}

func failed(ch plan.Change, err error) Result {
	if kept, ok := errors.AsType[*notSentError](err); ok {
		return notStarted(ch, kept.why)
	}
	return Result{Address: ch.Address, Action: ch.Action, Status: StatusFailed, UID: ch.UID, Err: err}
}

func unknownResult(ch plan.Change, err error) Result {
	return Result{Address: ch.Address, Action: ch.Action, Status: StatusUnknown, UID: ch.UID, Err: err,
		Hint: "the next apply finds out what became of it; nothing is created twice"}
}

// NotStarted is the report of a plan that was refused as a whole, because of why.
func NotStarted(p *plan.Plan, why error) *Report {
	rep := &Report{Outcome: OutcomeFailed}
	for _, ch := range p.Changes {
		if ch.Action != plan.Kept {
			rep.Results = append(rep.Results, notStarted(ch, why))
		}
	}
	return rep
}

func notStarted(ch plan.Change, err error) Result {
	if ch.Action == plan.Kept {
		return done(ch, ch.UID)
	}
	return Result{Address: ch.Address, Action: ch.Action, Status: StatusNotStarted, UID: ch.UID, Err: err}
}

// standing is the result of a change for which nothing is sent: kept, moved in the ledger, or refused.
func standing(ch plan.Change) Result {
	if ch.Blocked == "" {
		return done(ch, ch.UID)
	}
	res := Result{Address: ch.Address, Action: ch.Action, Status: StatusNotStarted, UID: ch.UID}
	switch ch.Blocked {
	case plan.BlockedByProtect:
		res.Err = fmt.Errorf("%w: lifecycle.protect forbids to %s it", ErrBlocked, ch.Action)
		res.Hint = "take lifecycle.protect out of its manifest and apply that first"
		if ch.Action == plan.Delete {
			res.Hint = "put it back into the manifests without lifecycle.protect, apply that, then take it out"
		}
	case plan.BlockedByPrune:
		res.Err = fmt.Errorf("%w: replacing it deletes the old agent, and deletes were not asked for", ErrBlocked)
		res.Hint = "allow deletes:\n  agentsync apply --prune"
	case plan.BlockedByApp:
		res.Err = fmt.Errorf("%w: no manifest has a section for %s any more, so nothing says how to reach it", ErrBlocked, ch.Address.ID())
		res.Hint = "put the section back without the agent; or, to leave the agent at the platform:\n  agentsync state rm " + ch.Address.String()
	case plan.BlockedByNamesake:
		res.Err = fmt.Errorf("%w: an agent of the same name that agentsync does not manage is in the way", ErrBlocked)
		res.Hint = importHint(ch)
	default:
		res.Err = fmt.Errorf("%w: %s", ErrBlocked, ch.Blocked)
	}
	return res
}

// newReport sums results up; those of kept agents are no results.
func newReport(ctx context.Context, all []Result, warnings []string) *Report {
	rep := &Report{Outcome: OutcomeComplete, Warnings: warnings, Results: make([]Result, 0, len(all))}
	doneCount := 0
	for _, res := range all {
		if res.Action == plan.Kept {
			continue
		}
		rep.Results = append(rep.Results, res)
		if res.Status == StatusDone {
			doneCount++
		}
	}
	switch {
	case ctx.Err() != nil && doneCount < len(rep.Results):
		rep.Outcome = OutcomeInterrupted
	case doneCount == len(rep.Results):
	case doneCount == 0:
		rep.Outcome = OutcomeFailed
	default:
		rep.Outcome = OutcomePartial
	}
	return rep
}

// Include adds what Settle could not find out of agents that r says nothing of: an apply is not complete
// while a request is open, also where the plan asks nothing of its agent. A nil settled adds nothing.
func (r *Report) Include(settled *Report) {
	if settled == nil {
		return
	}
	told := make(map[agent.Address]bool, len(r.Results))
	for _, res := range r.Results {
		told[res.Address] = true
	}
	for _, res := range settled.Results {
		if res.Status != StatusUnknown || told[res.Address] {
			continue
		}
		told[res.Address] = true
		r.Results = append(r.Results, res)
		if r.Outcome == OutcomeComplete {
			r.Outcome = OutcomePartial
		}
	}
	if r.Outcome == OutcomePartial && r.Count(StatusDone) == 0 {
		r.Outcome = OutcomeFailed
	}
	slices.SortStableFunc(r.Results, func(a, b Result) int { return a.Address.Compare(b.Address) })
}

// Count returns how many results have the status.
func (r *Report) Count(s Status) int {
	n := 0
	for _, res := range r.Results {
		if res.Status == s {
			n++
		}
	}
	return n
}
