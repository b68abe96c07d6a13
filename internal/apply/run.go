package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
)

// appRun carries out the changes of one app.
type appRun struct {
	*Engine
	id  agent.AppID
	app App
	// slots holds a token for each request in flight.
	slots chan struct{}
	// left counts the changes without a final result.
	left atomic.Int64

	trust sync.Mutex // guards what follows, and the doubt of the app's list
	stop  error      // why nothing more is started, or nil
	cut   error      // why the list is known to miss agents that are there, or nil
}

func (e *Engine) runOf(id agent.AppID) *appRun {
	r := e.runs[id]
	if r == nil {
		r = &appRun{Engine: e, id: id, app: e.apps[id], slots: make(chan struct{}, e.opts.Parallelism)}
		e.runs[id] = r
	}
	return r
}

// carryOut carries out changes, all apps at once and several agents of each, and enters what became of them
// into t.
func (e *Engine) carryOut(ctx context.Context, changes []plan.Change, t *tally) {
	byApp := map[agent.AppID][]plan.Change{}
	for _, ch := range changes {
		byApp[ch.Address.ID()] = append(byApp[ch.Address.ID()], ch)
	}
	for id := range byApp {
		e.runOf(id).cut = nil // of an earlier list
	}
	var g sync.WaitGroup
	for id, mine := range byApp {
		r := e.runs[id]
		g.Go(func() {
			defer crash.Guard()
			// An unlisted agent is asked for first: whether anything may be made depends on the answer. Deletes come
			// last, when all that is to be made is there.
			var first, middle, last []plan.Change
			for _, ch := range mine {
				switch {
				case ch.Unlisted && ch.Action != plan.Kept:
					first = append(first, ch)
				case ch.Action == plan.Delete:
					last = append(last, ch)
				default:
					middle = append(middle, ch)
				}
			}
			r.carryOutSome(ctx, first, t)
			r.carryOutSome(ctx, slices.Concat(middle, last), t)
		})
	}
	g.Wait()
}

// workersPerSlot is how many changes are under way for each request that may be in flight: while one is answered,
// others wait for the disk, so that the journal costs disk time and not the platform's.
const workersPerSlot = 3

// carryOutSome carries out changes of the app, several at a time and started in order, and waits for all. Requests are
// bounded by their slots. It keeps its goroutines: their stacks grow deep once, not once for each agent.
func (r *appRun) carryOutSome(ctx context.Context, changes []plan.Change, t *tally) {
	workers := 1 // one at a time is also one after the other
	if r.opts.Parallelism > 1 {
		workers = min(len(changes), r.opts.Parallelism*workersPerSlot)
	}
	var next atomic.Int64
	var g sync.WaitGroup
	for range workers {
		g.Go(func() {
			defer crash.Guard()
			for i := int(next.Add(1)) - 1; i < len(changes); i = int(next.Add(1)) - 1 {
				if why := r.whyStopped(ctx); why != nil {
					t.enter(r, notStartedResult(changes[i], why))
				} else {
					t.enter(r, r.applyChange(ctx, changes[i]))
				}
			}
		})
	}
	g.Wait()
}

// whyStopped says why nothing more may be started, or nil.
func (r *appRun) whyStopped(ctx context.Context) error {
	if err := r.ledgerFault(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	r.trust.Lock()
	defer r.trust.Unlock()
	return r.stop
}

// stopAfter stops the app after a failure that says that nothing more of it can go well, or after which nothing more is
// wanted.
func (r *appRun) stopAfter(failure error) {
	r.trust.Lock()
	defer r.trust.Unlock()
	switch {
	case r.stop != nil:
	case errors.Is(failure, platform.ErrKeyRefused):
		r.stop = ErrKeyRefused
	case r.opts.StopOnError:
		r.stop = errStopOnError
	}
}

// stopWaiting stops the app because its platform asks to wait for longer than anybody would: what is in line
// would be asked to wait as well, one after the other.
func (r *appRun) stopWaiting(wait time.Duration, cause error) error {
	err := fmt.Errorf("the platform asks to wait %s, and nothing is waited for longer than %s: %w",
		wait.Round(time.Second), maxThrottled, cause)
	r.trust.Lock()
	defer r.trust.Unlock()
	if r.stop == nil {
		r.stop = err
	}
	return err
}

// tally is what became of the changes of a reviewed plan so far.
type tally struct {
	*Engine
	changes []plan.Change

	mu       sync.Mutex // guards what follows
	results  map[agent.Address]Result
	repeated map[agent.Address]int
	verified map[agent.Address]bool
	warnings []string
}

func newTally(e *Engine, p *plan.Plan) *tally {
	t := &tally{
		Engine: e, changes: p.Changes, results: make(map[agent.Address]Result, len(p.Changes)),
		repeated: map[agent.Address]int{},
		verified: map[agent.Address]bool{}}
	for _, ch := range p.Changes {
		if ch.Action != plan.Kept {
			e.runOf(ch.Address.ID()).left.Add(1)
		}
	}
	return t
}

// enter takes a result. One that is unknown may become another; any other is final, and told.
func (t *tally) enter(r *appRun, res Result) {
	t.mu.Lock()
	if was, sent := t.results[res.Address]; sent {
		if res.Status != StatusDone && res.Status != StatusUnknown && t.isOpen(res.Address) {
			res = was // nothing more can be sent, and nobody knows what became of what was
			t.repeated[res.Address] = maxSent
		}
	}
	t.results[res.Address] = res
	t.mu.Unlock()
	if res.Status == StatusFailed {
		r.stopAfter(res.Err)
	}
	if res.Status != StatusUnknown {
		r.tellFinished(res)
	}
}

func (r *appRun) tellFinished(res Result) {
	if res.Action != plan.Kept {
		r.emitEvent(Event{Kind: EventFinished, App: r.id, Result: res, Left: int(r.left.Add(-1)), Rate: r.app.rate()})
	}
}

// enterUndone enters that agents are listed still although the platform said that they are deleted. Their uids are in
// the state.
func (t *tally) enterUndone() {
	for a, uid := range t.undone {
		res := t.results[a]
		if res.Status != StatusDone || res.Action != plan.Delete && res.Action != plan.Replace {
			continue // it was sent for an earlier run, and this one's plan says what is to be done
		}
		res.Status, res.Err = StatusFailed, errors.New("the platform said that it is deleted, and still lists it")
		if uid != res.UID {
			res.Err = fmt.Errorf("the old agent %s is not deleted yet: %w", uid, res.Err)
		}
		t.results[a] = res.withHint("its uid stays in the state, and the next apply deletes it again:\n  agentsync apply --prune")
	}
}

// noneStarted enters that nothing was begun, because of why.
func (t *tally) noneStarted(why error) {
	for _, ch := range t.changes {
		t.results[ch.Address] = notStartedResult(ch, why)
	}
}

// toVerify reports whether the change wrote what the list after the writes is held against.
func (t *tally) toVerify(ch plan.Change) bool {
	res := t.results[ch.Address]
	switch ch.Action {
	case plan.Create, plan.Update, plan.Replace, plan.Adopt:
		return res.Status == StatusDone && !t.verified[ch.Address]
	}
	return false
}

// appsToList are the apps in which something was written or is open.
func (t *tally) appsToList() []agent.AppID {
	ids := map[agent.AppID]bool{}
	for _, id := range t.openApps() {
		ids[id] = true
	}
	for _, ch := range t.changes {
		if t.toVerify(ch) {
			ids[ch.Address.ID()] = true
		}
	}
	return slices.SortedFunc(maps.Keys(ids), agent.AppID.Compare)
}

// nextChanges returns what of a new plan is to be carried out for agents whose outcome was unknown, and how long to
// wait before. Of an agent for which nothing is open and nothing is planned any more, the request was carried out.
func (t *tally) nextChanges(p *plan.Plan) (changes []plan.Change, pause time.Duration) {
	planned := make(map[agent.Address]plan.Change, len(p.Changes))
	for _, ch := range p.Changes {
		planned[ch.Address] = ch
	}
	held := t.undecidedAgents()
	for _, ch := range t.changes {
		a := ch.Address
		res := t.results[a]
		if _, waits := held[a]; waits || res.Status != StatusUnknown {
			continue
		}
		next, due := planned[a]
		switch {
		case due && next.Action != plan.Kept:
			if n := t.repeated[a]; n >= maxSent {
				continue // it was sent often enough, and the last try is open
			} else if n > 0 || next.Action != plan.Create {
				pause = max(pause, time.Second<<n)
			}
			t.repeated[a]++
			changes = append(changes, next)
		case !t.isOpen(a):
			rec, _ := t.fleet.Record(a)
			r := t.runOf(a.ID())
			ch.Action = res.Action
			t.enter(r, doneResult(ch, cmp.Or(rec.UID, res.UID)))
		}
	}
	return changes, pause
}
