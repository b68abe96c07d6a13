package apply

import (
	"context"
	"errors"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
)

// Status is how one agent came out of a run.
type Status string

const (
	// StatusDone: carried out, and on disk.
	StatusDone Status = "done"
	// StatusFailed: certainly not carried out.
	StatusFailed Status = "failed"
	// StatusUnknown: nobody can say yet whether it was carried out; the next run finds it out.
	StatusUnknown Status = "unknown"
	// StatusNotStarted: the run ended before its turn; nothing was sent for it.
	StatusNotStarted Status = "not-started"
)

// Result is what became of one change.
type Result struct {
	Address agent.Address
	Action  plan.Action
	Status  Status
	// UID is the agent's handle where it is known.
	UID string
	// Name and Source are plan.Change's.
	Name   string
	Source diag.Pos
	// Err says why Status is not done, nil if it is.
	Err error
	// Hint is what the user can do about Err, or empty; a command to type stands alone on an
	// indented line.
	Hint string
	// Warning is what the user should know although Status is done, or empty.
	Warning string
}

// Outcome sums up a run.
type Outcome string

const (
	// OutcomeComplete: every change was carried out.
	OutcomeComplete Outcome = "complete"
	// OutcomePartial: some changes were carried out and some were not.
	OutcomePartial Outcome = "partial"
	// OutcomeFailed: no change was carried out.
	OutcomeFailed Outcome = "failed"
	// OutcomeInterrupted: the run was told to stop.
	OutcomeInterrupted Outcome = "interrupted"
)

// Report is what a run did, results ordered by address.
type Report struct {
	Outcome Outcome
	Results []Result
	// Warnings concern a whole app, not one agent: a list that failed after the writes, say.
	Warnings []string
	// Unread counts the apps that could not be listed although no result says so: what is live there is not known.
	Unread int
}

var (
	// ErrBlocked is wrapped by the result of a change that a safety limit refuses.
	ErrBlocked = errors.New("refused")
	// ErrKeyRefused is wrapped by the results of an app whose platform refused the API key.
	ErrKeyRefused  = platform.ErrKeyRefused
	errInterrupted = errors.New("the run was interrupted first")
	errStopOnError = errors.New("another agent of the app failed first (--on-error stop)")
)

// NotStarted is the report of a plan that was refused as a whole, because of why.
func NotStarted(p *plan.Plan, why error) *Report {
	rep := &Report{Outcome: OutcomeFailed}
	for _, ch := range p.Changes {
		if ch.Action != plan.Kept {
			rep.Results = append(rep.Results, notStartedResult(ch, why))
		}
	}
	return rep
}

// newReport sums results up; those of kept agents are no results. unread are the apps that could not be
// listed although nothing else says so.
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

// Again returns, of a run that did a part, how many agents the next apply sends: those that were not carried out, but
// for the ones that a safety limit refuses.
func (r *Report) Again() int {
	n := 0
	if r.Outcome != OutcomePartial && r.Outcome != OutcomeInterrupted {
		return 0
	}
	for _, res := range r.Results {
		if res.Status != StatusDone && !errors.Is(res.Err, ErrBlocked) {
			n++
		}
	}
	return n
}
