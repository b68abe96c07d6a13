package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// Run carries out a prepared plan and reports what became of every change in it. After ctx is done
// nothing new is started, and what is in flight is finished and stored. The error is not nil only
// where the ledger broke: then the report is still true, and Records says what has to be rescued.
func (e *Engine) Run(ctx context.Context, ready *Prepared, ledger Ledger) (*Report, error) {
	e.book.ledger = ledger
	changes := ready.Plan.Changes
	results := make([]Result, len(changes))
	if err := e.renameAndTouch(ready.Plan); err != nil {
		for i, ch := range changes {
			results[i] = notStarted(ch, err)
		}
		return newReport(ctx, results, nil), err
	}
	runs := map[agent.AppID]*appRun{}
	var ids []agent.AppID
	for i, ch := range changes {
		id := ch.Address.ID()
		if runs[id] == nil {
			runs[id] = &appRun{Engine: e, id: id, app: e.apps[id], noCreates: ready.Failed[id], results: results, changes: changes,
				slots: make(chan struct{}, e.opts.Parallelism)}
			ids = append(ids, id)
		}
		runs[id].mine = append(runs[id].mine, i)
		if ch.Action != plan.Kept {
			runs[id].left.Add(1)
		}
	}
	var g errgroup.Group
	for _, id := range ids {
		g.Go(func() error {
			defer crash.Guard()
			runs[id].run(ctx)
			return nil
		})
	}
	_ = g.Wait() // apps never cancel each other: what went wrong is in the results
	var warnings []string
	for _, id := range ids {
		warnings = append(warnings, runs[id].warnings...)
	}
	return newReport(ctx, results, warnings), e.book.fault()
}

// renameAndTouch carries out what concerns the ledger alone: renames, all together because keys may
// be handed on and swapped, and records that are behind although nothing is to be sent.
func (e *Engine) renameAndTouch(p *plan.Plan) error {
	var leave, arrive []state.Result
	for _, mv := range p.Renames() {
		rec, ok := e.book.record(mv.From)
		if !ok {
			return fmt.Errorf("rename %s to %s: state does not know it any more", mv.From, mv.To)
		}
		for _, uid := range append(slices.Clone(rec.Obsolete), rec.UID) {
			leave = append(leave, state.Result{Kind: state.Removed, Address: mv.From, UID: uid})
		}
		rec.Protect = e.wants(mv.To).Protect
		arrive = append(arrive, state.Result{Kind: state.Recorded, Address: mv.To, Record: rec})
	}
	for _, t := range p.Touches {
		arrive = append(arrive, state.Result{Kind: state.Recorded, Address: t.Address, Record: t.Record})
	}
	if len(arrive) == 0 {
		return nil
	}
	return e.book.commit(slices.Concat(leave, arrive)...)
}

// appRun carries out the changes of one app.
type appRun struct {
	*Engine
	id        agent.AppID
	app       App
	noCreates error // why nothing can be created here, or nil
	mine      []int // indexes into changes and results, ordered by address
	changes   []plan.Change
	results   []Result
	warnings  []string

	// slots holds a token for each request in flight.
	slots chan struct{}
	// left counts the changes without a final result, kept agents left aside.
	left atomic.Int64

	mu       sync.Mutex // guards what follows
	stop     error      // why nothing more is started, or nil
	unknowns []*unknown
}

func (r *appRun) run(ctx context.Context) {
	order := slices.Clone(r.mine)
	slices.SortStableFunc(order, func(a, b int) int { return deleteLast(r.changes[a]) - deleteLast(r.changes[b]) })
	r.each(ctx, len(order), func(i int) { r.change(ctx, order[i], 1, nil) })
	for len(r.unknowns) > 0 && ctx.Err() == nil && r.book.fault() == nil {
		if !r.settle(ctx) {
			break
		}
	}
	r.finishUnknowns()
	if ctx.Err() == nil && r.book.fault() == nil {
		r.verify(ctx)
	}
}

// deleteLast keeps the order of addresses but puts deletes after everything else.
func deleteLast(ch plan.Change) int {
	if ch.Action == plan.Delete {
		return 1
	}
	return 0
}

// ahead is how many changes are under way for each request that may be in flight: while one is answered,
// others wait for the disk, so that the journal costs disk time and not the platform's.
const ahead = 3

// each calls do for 0 to n-1, some at a time, and waits for all. Requests are bounded by send. It keeps
// its goroutines: their stacks grow deep once, not once for each agent.
func (r *appRun) each(_ context.Context, n int, do func(i int)) {
	workers := 1 // one at a time is also one after the other
	if r.opts.Parallelism > 1 {
		workers = min(n, r.opts.Parallelism*ahead)
	}
	var next atomic.Int64
	var g errgroup.Group
	for range workers {
		g.Go(func() error {
			defer crash.Guard()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
			return nil
		})
	}
	_ = g.Wait() // agents never cancel each other: what went wrong is in the results
}

// change carries out one change; try counts from 1, and earlier are the intents of tries that are still
// open.
func (r *appRun) change(ctx context.Context, index, try int, earlier []uint64) {
	ch := r.changes[index]
	if why := r.stopped(ctx); why != nil {
		if try == 1 {
			r.results[index] = notStarted(ch, why)
		}
		return
	}
	if ch.Action == plan.Kept || ch.Blocked != "" || ch.Action == plan.Move {
		r.settled(index, standing(ch))
		return
	}
	if r.unsettled[ch.Address] {
		r.settled(index, unknownResult(ch, errors.New("an earlier run sent a request for it whose outcome is still unknown")))
		return
	}
	res, open := r.carryOut(ctx, ch)
	if open == nil {
		r.close(ch.Address, earlier, res)
		r.settled(index, res)
		return
	}
	r.results[index] = res
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unknowns = append(r.unknowns, &unknown{index: index, pending: *open, tries: try, earlier: earlier})
}

// carryOut sends what the change needs. The pending is not nil where the outcome is unknown.
func (r *appRun) carryOut(ctx context.Context, ch plan.Change) (Result, *pending) {
	switch ch.Action {
	case plan.Create:
		return r.create(ctx, ch)
	case plan.Adopt:
		return r.adopt(ctx, ch, r.adopting[ch.Address])
	case plan.Update:
		return r.update(ctx, ch)
	case plan.Replace:
		return r.replace(ctx, ch)
	case plan.Delete:
		return r.delete(ctx, ch)
	default:
		return failed(ch, fmt.Errorf("apply does not know the action %q", ch.Action)), nil
	}
}

// stopped says why nothing more may be started, or nil.
func (r *appRun) stopped(ctx context.Context) error {
	if err := r.book.fault(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stop
}

var (
	errInterrupted = errors.New("the run was interrupted first")
	errStopOnError = errors.New("another agent of the app failed first (--on-error stop)")
)

// settled makes a result final.
func (r *appRun) settled(index int, res Result) {
	r.results[index] = res
	if res.Status != StatusDone {
		r.mu.Lock()
		switch {
		case r.stop != nil:
		case errors.Is(res.Err, platform.ErrKeyRefused):
			r.stop = ErrKeyRefused
		case r.opts.StopOnError && res.Status != StatusNotStarted:
			r.stop = errStopOnError
		}
		r.mu.Unlock()
	}
	if r.changes[index].Action != plan.Kept {
		r.observe(Event{Kind: EventFinished, App: r.id, Result: res, Left: int(r.left.Add(-1)), Rate: r.app.rate()})
	}
}
