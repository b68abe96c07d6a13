package apply

import (
	"agentsync/internal/agent"
	"agentsync/internal/plan"
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
