package apply

import (
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

// Ledger is where intents and results become durable. It is safe for concurrent use. After a method
// returned an error, nothing more may be sent to a platform.
type Ledger interface {
	// Intend stores what is about to be sent and returns the intent's id. When it returns, the
	// intent survives a crash.
	Intend(state.Intent) (uint64, error)
	// Commit stores results, those of one call together or not at all. When it returns, they survive
	// a crash.
	Commit(...state.Result) error
	// Lineage is the state's lineage, under which secrets are sealed.
	Lineage() string
}

// App is one app as the engine sees it.
type App struct {
	Client platform.Client
	Schema *schema.Platform
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

// Options steer a run. The zero value of each field means what its comment says.
type Options struct {
	// Parallelism is how many requests may be in flight per app; below 1 means 10.
	Parallelism int
	// RequestTimeout bounds one request in the client; it is here because a create without an answer
	// may still be executed that long after it was sent. Zero means 30 seconds.
	RequestTimeout time.Duration
	// SettleTimeout is the grace period: how long after a create was sent without a usable answer
	// the platform may still execute it, or still not list it. Zero means 30 seconds; the request
	// timeout counts where it is longer, unless SettleTimeout was given.
	SettleTimeout time.Duration
	// StopOnError starts no further change of an app after one of its changes failed.
	StopOnError bool
	// NoAdopt leaves unmanaged agents that equal a wanted one alone: they are then in the way.
	NoAdopt bool
	// AllowDuplicateNames creates an agent although an unmanaged one has the same identity.
	AllowDuplicateNames bool
	// Lookup fills in secrets; nil means that there are none.
	Lookup secret.Lookup
	// Observe is told what happens, one event at a time; nil for nobody.
	Observe func(Event)
}

const (
	defaultParallelism = 10
	defaultGrace       = 30 * time.Second
	// maxCreates bounds how often one run sends a create for one address after each earlier one was
	// settled as certainly not executed.
	maxCreates = 4
	// maxRepeats bounds how often one run repeats an update or delete, which do no harm twice.
	maxRepeats = 4
	// maxThrottled bounds how long one change waits for a platform that keeps saying "later".
	maxThrottled = 15 * time.Minute
	// clockSkew is how far the platform's clock and this machine's may differ, truncation included.
	clockSkew = 2 * time.Minute
)

// Engine carries out plans against a set of apps. It keeps what it listed, so that Prepare and Run of
// one plan belong to one Engine. It is not safe for concurrent use; it works concurrently itself.
type Engine struct {
	apps map[agent.AppID]App
	want map[agent.Address]*agent.Desired
	opts Options
	book *book
	// listed holds what Prepare saw of each app, nil entries where no list was needed.
	listed map[agent.AppID]*listing
	// unsettled are the addresses that an earlier run may have made an agent for, or that had one when the
	// state was lost: nobody may make another before that is known.
	unsettled map[agent.Address]bool
	// holding are those of them that are known to have an agent, which is theirs by an open update or delete.
	holding map[agent.Address]bool
	// adopting holds the live agents that Prepare found for addresses that were to be created.
	adopting map[agent.Address]platform.Remote

	mu sync.Mutex // guards Observe
}

// New returns an engine. prior is what state keeps of each agent, open are the intents without a
// result; the engine keeps its own copy of both. desired must not change while it is in use.
func New(apps map[agent.AppID]App, desired []agent.Desired, prior map[agent.Address]agent.Record, open []state.Intent, opts Options) *Engine {
	if opts.Parallelism < 1 {
		opts.Parallelism = defaultParallelism
	}
	if opts.Lookup == nil {
		opts.Lookup = func(string) (string, bool) { return "", false }
	}
	if opts.RequestTimeout <= 0 {
		opts.RequestTimeout = defaultGrace
	}
	if opts.SettleTimeout <= 0 {
		opts.SettleTimeout = max(defaultGrace, opts.RequestTimeout)
	}
	want := make(map[agent.Address]*agent.Desired, len(desired))
	for i := range desired {
		want[desired[i].Address] = &desired[i]
	}
	unsettled, holding := map[agent.Address]bool{}, map[agent.Address]bool{}
	for _, i := range open {
		// A change of an agent that state does not know any more: the state was lost, the agent was not.
		_, known := prior[i.Address]
		unsettled[i.Address] = unsettled[i.Address] || i.Action == intentCreate || !known
		holding[i.Address] = holding[i.Address] || i.Action != intentCreate && !known
	}
	return &Engine{
		unsettled: unsettled, holding: holding, apps: apps, want: want, opts: opts,
		book:   newBook(prior, open, len(desired)),
		listed: map[agent.AppID]*listing{}, adopting: map[agent.Address]platform.Remote{},
	}
}

// Records returns what is known of every agent as of now. The caller must not use it while a method
// of the engine runs.
func (e *Engine) Records() map[agent.Address]agent.Record { return e.book.records }

func (e *Engine) observe(ev Event) {
	if e.opts.Observe == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opts.Observe(ev)
}

// wants returns what the manifests want of the agent; nothing of one that they do not name.
func (e *Engine) wants(a agent.Address) *agent.Desired {
	if d := e.want[a]; d != nil {
		return d
	}
	return &agent.Desired{}
}

// wanted returns what the manifests want of the agent, secrets filled in.
func (e *Engine) wanted(a agent.Address) (agent.Fields, error) {
	f := e.wants(a).Fields
	if !f.HasSecrets() {
		return f, nil
	}
	return f.Resolve(e.opts.Lookup)
}

// sealer seals secrets as the ledger's state keeps them.
func (e *Engine) sealer() secret.Sealer {
	return secret.Sealer{Key: []byte(e.book.ledger.Lineage()), Lookup: e.opts.Lookup}
}

// list reads the whole app and indexes it. A listing that cannot be told from one that was cut short
// is returned with its doubt.
func (e *Engine) list(ctx context.Context, id agent.AppID) (*listing, error) {
	e.observe(Event{Kind: EventListing, App: id})
	app := e.apps[id]
	remotes, err := app.Client.List(ctx)
	var doubtful *platform.DoubtfulList
	if errors.As(err, &doubtful) {
		l := newListing(app.Schema, doubtful.Agents)
		l.doubt = fmt.Errorf("%w: %w", ErrSuspiciousList, err)
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	return newListing(app.Schema, remotes), nil
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
