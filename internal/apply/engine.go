package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/schema"
)

// Ledger is where intents and results become durable. It is safe for concurrent use. After Intend returned
// an error, or Commit one that matches state.ErrBroken, nothing more may be sent to a platform.
type Ledger interface {
	// Intend stores what is about to be sent and returns the intent's id. When it returns, the intent
	// survives a crash.
	Intend(state.Intent) (uint64, error)
	// Leaving notes, without waiting for the disk, that the request of an intent is about to leave. A request
	// whose intent has no such note certainly never left.
	Leaving(id uint64) error
	// Commit stores results, those of one call together or not at all. When it returns, they survive
	// a crash. An error that does not match state.ErrBroken is about the results, and nothing was stored.
	Commit(...state.Result) error
	// Lineage is the state's lineage, under which secrets are sealed.
	Lineage() string
	// Fleet is what is known, with every result that Commit was given.
	Fleet() *state.Fleet
}

// App is one app as the engine sees it.
type App struct {
	Client platform.Client
	Schema *schema.Platform
	// Where says to a person where the app is asked: its URL and, where it has one, its region or host.
	Where string
	// Rate returns how many requests a second the platform lets through, as far as is known, and 0
	// where nothing has set a bound. It is told with events alone; nil stands for no bound.
	Rate func() float64
}

func (a App) rate() float64 {
	if a.Rate == nil {
		return 0
	}
	return a.Rate()
}

// Options steer an apply. The zero value of each field means what its comment says.
type Options struct {
	// Parallelism is how many requests may be in flight per app; below 1 means 10.
	Parallelism int
	// RequestTimeout bounds one request in the client; it is here because a platform that takes that long
	// for a request may take as long for one that was given up. Zero means 30 seconds.
	RequestTimeout time.Duration
	// Grace is the grace period: how long after a create was given up without a usable answer
	// the platform may still carry it out, or still not list it. Zero means 30 seconds; the request
	// timeout counts where it is longer, unless Grace was given.
	Grace time.Duration
	// EarlierGrace is how long requests of a run on another machine that was taken over from may still take effect: for
	// what an earlier run left open it counts where it is longer than Grace.
	EarlierGrace time.Duration
	// StopOnError starts no further change of an app after one of its changes failed.
	StopOnError bool
	// NoRefresh lists only the apps in which something is to be made or deleted, or in which a request is
	// open. Without it every app is listed before it is believed that nothing is to do.
	NoRefresh bool
	// AllowDuplicateNames creates an agent although an unmanaged one has the same identity, and holds no
	// agent that differs from what was sent for the one that an open request made.
	AllowDuplicateNames bool
	// Lookup fills in secrets; nil means that there are none.
	Lookup secret.Lookup
	// Observe is told what happens, one event at a time; nil for nobody.
	Observe func(Event)
}

const (
	defaultParallelism = 10
	defaultGrace       = 30 * time.Second
	// maxSent bounds how often one apply sends a request for one address: a create again after it was
	// certainly not carried out, an update or a delete again because that does no harm.
	maxSent = 4
	// maxThrottled bounds how long one change waits for a platform that keeps saying "later".
	maxThrottled = 15 * time.Minute
	// clockSkew is how far the platform's clock and this machine's may differ, truncation included.
	clockSkew = 2 * time.Minute
)

// Engine carries out one apply against a set of apps. It is not safe for concurrent use; it works
// concurrently itself.
type Engine struct {
	apps map[agent.AppID]App
	want map[agent.Address]*agent.Desired
	// renamed holds, by the address that previousKeys name, the wanted agent that takes it over.
	renamed map[agent.Address]agent.Address
	opts    Options
	fleet   *state.Fleet
	ledger  Ledger        // nil where nothing is to be written yet
	sealer  secret.Sealer // seals secrets as the ledger's state keeps them
	// lists holds the last list of each app that came, and unlisted why the last one did not.
	lists    map[agent.AppID]*listing
	unlisted map[agent.AppID]error
	// knownBefore are the agents that state knew before this apply, by app.
	knownBefore map[agent.AppID]map[string]bool
	// recoveryBegan is when this apply began to recover: the grace period of requests that an earlier run left open
	// begins here, since nobody knows when they were given up.
	recoveryBegan time.Time
	runs          map[agent.AppID]*appRun
	// undecided are the addresses for which nothing may be made or changed yet, see undecidedAgents.
	undecided map[agent.Address]bool

	observing sync.Mutex // so that observers are told one event at a time

	mu     sync.Mutex // guards what follows
	broken error      // why the ledger takes nothing more
	// requests holds what this apply knows of open intents, by their ids.
	requests map[uint64]*openRequest
	// sends counts the requests of each kind.
	sends map[requestKey]sendCount
	// lateUpdates is what updates without an answer sent, by uid: they may overwrite what is sent after them.
	lateUpdates map[string][]agent.Fields
	// answered are the updates that were answered and not verified yet.
	answered map[agent.Address]answeredUpdate
	// undone are the uids of agents whose delete was answered as done, and which the lists go on showing.
	undone map[agent.Address]string
}

// New returns an engine for one apply of the wanted agents, which must not change meanwhile. fleet is what
// state knows, with the intents that earlier runs left open.
func New(apps map[agent.AppID]App, desired []agent.Desired, fleet *state.Fleet, opts Options) *Engine {
	if opts.Parallelism < 1 {
		opts.Parallelism = defaultParallelism
	}
	if opts.Lookup == nil {
		opts.Lookup = func(string) (string, bool) { return "", false }
	}
	if opts.Grace <= 0 {
		opts.Grace = max(defaultGrace, opts.RequestTimeout)
	}
	e := &Engine{
		apps: apps, want: make(map[agent.Address]*agent.Desired, len(desired)),
		renamed: map[agent.Address]agent.Address{},
		opts:    opts, fleet: fleet, lists: map[agent.AppID]*listing{}, unlisted: map[agent.AppID]error{},
		runs: map[agent.AppID]*appRun{}, requests: map[uint64]*openRequest{}, sends: map[requestKey]sendCount{},
		lateUpdates: map[string][]agent.Fields{}, answered: map[agent.Address]answeredUpdate{},
		undone:      map[agent.Address]string{},
		knownBefore: map[agent.AppID]map[string]bool{},
	}
	for a, rec := range fleet.Records() {
		if e.knownBefore[a.ID()] == nil {
			e.knownBefore[a.ID()] = map[string]bool{}
		}
		e.knownBefore[a.ID()][rec.UID] = true
	}
	for i := range desired {
		e.want[desired[i].Address] = &desired[i]
	}
	for i := range desired {
		for _, key := range desired[i].PreviousKeys {
			old := desired[i].Address
			old.Key = key
			if e.want[old] == nil {
				e.renamed[old] = desired[i].Address
			}
		}
	}
	return e
}

// wantedAgent returns what the manifests want of the agent; nothing of one that they do not name.
func (e *Engine) wantedAgent(a agent.Address) *agent.Desired {
	if d := e.want[a]; d != nil {
		return d
	}
	return &agent.Desired{}
}

// wantedFields returns what the manifests want of the agent, secrets filled in.
func (e *Engine) wantedFields(a agent.Address) (agent.Fields, error) {
	f := e.wantedAgent(a).Fields
	if !f.HasSecrets() {
		return f, nil
	}
	return f.Resolve(e.opts.Lookup)
}

// errLedger is wrapped by every error of the ledger that ends the run: from then on nothing more is sent.
var errLedger = errors.New("the journal could not be written")

// ledgerFault returns why the ledger takes nothing more, or nil.
func (e *Engine) ledgerFault() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.broken
}

func (e *Engine) breakLedger(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken == nil {
		e.broken = fmt.Errorf("%w: %w", errLedger, err)
	}
	return e.broken
}

// commitResults stores results of requests and lists: what they record was seen by the version of the API that the
// app's section asks for.
func (e *Engine) commitResults(results ...state.Result) error {
	for i := range results {
		if results[i].Kind == state.Recorded {
			results[i].Record.API = e.apps[results[i].Address.ID()].Schema.Recorded()
		}
	}
	return e.storeResults(results...)
}

// commitUID stores the record of an agent whose uid must not be lost: it is the only handle. Documents that the ledger
// refuses are left out, the observed one first. refused is why, or nil.
func (e *Engine) commitUID(entry state.Result) (refused, err error) {
	err = e.commitResults(entry)
	for _, doc := range []*agent.Doc{&entry.Record.Observed, &entry.Record.Applied} {
		if err == nil || errors.Is(err, errLedger) {
			break
		}
		refused, *doc = cmp.Or(refused, err), nil
		err = e.commitResults(entry)
	}
	return refused, err
}

// comparableRecord returns a record without what was observed by another version of the API than the app's section asks
// for.
func (e *Engine) comparableRecord(id agent.AppID, rec agent.Record) agent.Record {
	if rec.API != e.apps[id].Schema.Recorded() {
		rec.Observed = nil
	}
	return rec
}

// storeResults stores results. An error that is about the results themselves, and not about the disk, is the
// caller's: nothing was stored, and other agents go on.
func (e *Engine) storeResults(results ...state.Result) error {
	err := e.ledger.Commit(results...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, state.ErrBroken), errors.Is(err, state.ErrClosed):
		return e.breakLedger(err)
	default:
		return err
	}
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
	// Message says in a few words what is being waited for (EventThrottled, EventRecovering).
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
	// EventRecovering: the run is finding out what became of a request without a usable answer.
	EventRecovering
)

func (e *Engine) emitEvent(ev Event) {
	if e.opts.Observe == nil {
		return
	}
	e.observing.Lock()
	defer e.observing.Unlock()
	e.opts.Observe(ev)
}

// sleep waits for d or until ctx is done, and reports whether the whole time passed.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
