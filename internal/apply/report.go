package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	// StatusUnknown: nobody can say yet whether it was carried out; the next run settles it.
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

// Event tells an observer what happens while a run goes on. Events of different agents may come from
// different goroutines, one at a time.
type Event struct {
	// Kind says which of the other fields hold something.
	Kind EventKind
	// Result is the agent concerned; of an EventStarted it holds Address, Action and UID only.
	Result Result
	// App is the app concerned.
	App agent.AppID
	// Left is how many changes of the app are still to be finished after an EventFinished.
	Left int
	// Rate is how many requests a second the platform lets through, as far as is known at an
	// EventFinished or EventThrottled; 0 where nothing has set a bound.
	Rate float64
	// Message says in a few words what is being waited for (EventThrottled, EventSettling).
	Message string
}

// EventKind is the kind of an Event.
type EventKind int

const (
	// EventStarted: a request for the agent is about to be sent.
	EventStarted EventKind = iota
	// EventFinished: Result is final and on disk.
	EventFinished
	// EventListing: the app's agents are being listed.
	EventListing
	// EventThrottled: the platform asked to wait.
	EventThrottled
	// EventSettling: the run is finding out what became of a request without a usable answer.
	EventSettling
)

var (
	// ErrBlocked is wrapped by the result of a change that a safety limit refuses.
	ErrBlocked = errors.New("refused")
	// ErrKeyRefused is wrapped by the results of an app whose platform refused the API key.
	ErrKeyRefused  = platform.ErrKeyRefused
	errInterrupted = errors.New("the run was interrupted first")
	errStopOnError = errors.New("another agent of the app failed first (--on-error stop)")
)

// resultOf is what all results of a change have in common.
func resultOf(ch plan.Change, s Status) Result {
	return Result{Address: ch.Address, Action: ch.Action, Status: s, UID: ch.UID, Name: ch.Name, Source: ch.Source}
}

func done(ch plan.Change, uid string) Result {
	res := resultOf(ch, StatusDone)
	res.UID = uid
	return res
}

func failed(ch plan.Change, err error) Result {
	if kept, ok := errors.AsType[*notSentError](err); ok {
		return notStarted(ch, kept.why)
	}
	res := resultOf(ch, StatusFailed)
	res.Err = err
	return res
}

func unknownResult(ch plan.Change, err error) Result {
	res := resultOf(ch, StatusUnknown)
	res.Err, res.Hint = err, "the next apply finds out what became of it; nothing is created twice"
	return res
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
	res := resultOf(ch, StatusNotStarted)
	res.Err = err
	return res
}

// withoutRequest is the result of a change for which nothing is sent: kept, moved in the ledger, or refused.
func withoutRequest(ch plan.Change) Result {
	if ch.Blocked == "" {
		return done(ch, ch.UID)
	}
	res := resultOf(ch, StatusNotStarted)
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
	case plan.BlockedByAPI:
		res.Err = fmt.Errorf("%w: the version of the API that the section asks for does not show the agent, which another version made", ErrBlocked)
		res.Hint = "go back to the other version of the API; if the agent is really gone:\n  agentsync state rm " + ch.Address.String()
	case plan.BlockedByRename:
		res.Err = fmt.Errorf("%w: %s may be %s under another key, whose uid would be lost: %s", ErrBlocked, ch.Likely.To, ch.Likely.From, ch.Likely.Why())
		res.Hint = ch.Likely.Ways()
	case plan.BlockedByNamesake:
		res.Err = fmt.Errorf("%w: an agent of the same name that agentsync does not manage is in the way", ErrBlocked)
		res.Hint = importHint(ch)
	default:
		res.Err = fmt.Errorf("%w: %s", ErrBlocked, ch.Blocked)
	}
	return res
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

// Again returns, of a run that did a part, how many agents the next apply sends: those that were not carried out, but for the
// ones that a safety limit refuses.
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

// importHint is what to do about agents that are in the way of a create.
func importHint(ch plan.Change) string {
	var b strings.Builder
	b.WriteString("take the existing agent over, which updates it to the manifest at the next apply:\n")
	for _, uid := range ch.InTheWay {
		fmt.Fprintf(&b, "  agentsync import %s %s\n", ch.Address, uid)
	}
	b.WriteString("or create another one of the same name with --allow-duplicate-names")
	return b.String()
}
