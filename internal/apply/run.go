package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
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

	state sync.Mutex // guards what follows, and the doubt of the app's list
	stop  error      // why nothing more is started, or nil
	cut   error      // why the list is known to lack agents that are there, or nil
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
			r.each(len(first), func(i int) { r.change(ctx, first[i], t) })
			rest := slices.Concat(middle, last)
			r.each(len(rest), func(i int) { r.change(ctx, rest[i], t) })
		})
	}
	g.Wait()
}

// ahead is how many changes are under way for each request that may be in flight: while one is answered,
// others wait for the disk, so that the journal costs disk time and not the platform's.
const ahead = 3

// each calls do for 0 to n-1, some at a time, and waits for all. Requests are bounded by their slots. It keeps
// its goroutines: their stacks grow deep once, not once for each agent.
func (r *appRun) each(n int, do func(i int)) {
	workers := 1 // one at a time is also one after the other
	if r.opts.Parallelism > 1 {
		workers = min(n, r.opts.Parallelism*ahead)
	}
	var next atomic.Int64
	var g sync.WaitGroup
	for range workers {
		g.Go(func() {
			defer crash.Guard()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	g.Wait()
}

// change carries out one change and enters its result.
func (r *appRun) change(ctx context.Context, ch plan.Change, t *tally) {
	if why := r.stopped(ctx); why != nil {
		t.enter(r, notStarted(ch, why))
		return
	}
	if ch.Action == plan.Kept || ch.Action == plan.Move || ch.Blocked != "" {
		t.enter(r, withoutRequest(ch))
		return
	}
	if ch.OtherAPI && !r.lists[r.id].has(ch.UID) {
		// Another version of the API made the agent. What this one does not show is not written to: it might answer
		// that there is no such agent, and the next run would make a second one.
		ch.Blocked = plan.BlockedByAPI
		t.enter(r, withoutRequest(ch))
		return
	}
	if _, waits := r.waiting[ch.Address]; waits {
		t.enter(r, unknownResult(ch, errors.New("an earlier run sent a request for it whose outcome is still unknown")))
		return
	}
	if ch.Unlisted && (ch.Action == plan.Create || ch.Action == plan.Adopt) {
		res, gone := r.ask(ctx, ch)
		if !gone {
			t.enter(r, res)
			return
		}
	} else if ch.Vanished && ch.Action != plan.Delete {
		// The platform said itself that there is no such agent: its uid goes before another takes its place.
		if err := r.commit(state.Result{Kind: state.Removed, Address: ch.Address, UID: r.recordedUID(ch.Address)}); err != nil {
			t.enter(r, failed(ch, err))
			return
		}
	}
	t.enter(r, r.carryOutOne(ctx, ch))
}

func (r *appRun) carryOutOne(ctx context.Context, ch plan.Change) Result {
	switch ch.Action {
	case plan.Create:
		return r.create(ctx, ch)
	case plan.Adopt:
		return r.adopt(ctx, ch)
	case plan.Update:
		return r.update(ctx, ch)
	case plan.Replace:
		return r.replace(ctx, ch)
	case plan.Delete:
		return r.delete(ctx, ch)
	default:
		return failed(ch, fmt.Errorf("apply does not know the action %q", ch.Action))
	}
}

func (r *appRun) recordedUID(a agent.Address) string {
	rec, _ := r.fleet.Record(a)
	return rec.UID
}

// stopped says why nothing more may be started, or nil.
func (r *appRun) stopped(ctx context.Context) error {
	if err := r.fault(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	r.state.Lock()
	defer r.state.Unlock()
	return r.stop
}

// stopAfter stops the app after a result that says that nothing more of it can go well, or that nothing more is
// wanted.
func (r *appRun) stopAfter(res Result) {
	if res.Status != StatusFailed {
		return
	}
	r.state.Lock()
	defer r.state.Unlock()
	switch {
	case r.stop != nil:
	case errors.Is(res.Err, platform.ErrKeyRefused):
		r.stop = ErrKeyRefused
	case r.opts.StopOnError:
		r.stop = errStopOnError
	}
}

// stopWaiting stops the app because its platform asks to wait for longer than anybody would: what is in line
// would be asked to wait as well, one after the other.
func (r *appRun) stopWaiting(wait time.Duration, cause error) error {
	err := fmt.Errorf("the platform asks to wait %s, and nothing is waited for longer than %s: %w", wait.Round(time.Second), maxThrottled, cause)
	r.state.Lock()
	defer r.state.Unlock()
	if r.stop == nil {
		r.stop = err
	}
	return err
}

// errSentOften is of a request that is not sent once more.
var errSentOften = errors.New("it was sent often enough, and never carried out")

// countRequest refuses a request that this apply has sent often enough.
func (e *Engine) countRequest(i state.Intent) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	tries := e.sent[requestKey{i.Address, i.Action, i.UID}]
	if tries.n >= maxSent || tries.enough {
		return &oftenError{tries.n, tries.cause}
	}
	tries.n++
	e.sent[requestKey{i.Address, i.Action, i.UID}] = tries
	return nil
}

// tries is how often a request was sent, and how it ended last without an outcome.
type tries struct {
	n     int
	cause error
	// enough reports that the platform would give the same answer once more.
	enough bool
}

// oftenError matches errSentOften and says how the last try ended.
type oftenError struct {
	n     int
	cause error
}

func (e *oftenError) Error() string {
	if e.n == 1 {
		return fmt.Sprintf("sent, and not carried out: %v", e.cause)
	}
	return fmt.Sprintf("sent %d times, and never carried out: %v", e.n, e.cause)
}
func (e *oftenError) Is(target error) bool { return target == errSentOften }
func (e *oftenError) Unwrap() error        { return e.cause }

// noteCause notes how a request ended that has no outcome. The caller holds mu.
func (e *Engine) noteCause(i state.Intent, cause error) {
	key := requestKey{i.Address, i.Action, i.UID}
	t := e.sent[key]
	was, _ := errors.AsType[*platform.Error](t.cause)
	is, ok := errors.AsType[*platform.Error](cause)
	// Where the platform says in its own words that the request conflicts with what is there, one look at what is there
	// tells the rest. Any other trouble may pass: that it is there to stay, the same words twice say.
	twice := ok && was != nil && is.Status == was.Status && is.Code == was.Code && is.Message == was.Message
	t.enough = ok && is.OwnWords && (errors.Is(cause, platform.ErrConflict) || twice)
	t.cause = cause
	e.sent[key] = t
}

// mayCreate says why nothing can be made in the app, or nil.
func (r *appRun) mayCreate() error {
	if err := r.mayDelete(); err != nil {
		return err
	}
	r.state.Lock()
	defer r.state.Unlock()
	if r.cut != nil {
		return r.cut
	}
	return r.lists[r.id].doubt
}

// mayDelete says why nothing can be deleted in the app, or nil.
func (r *appRun) mayDelete() error {
	if err := r.unlisted[r.id]; err != nil {
		return err
	}
	switch l := r.lists[r.id]; {
	case l == nil:
		return errors.New("the app was not listed")
	case l.foreign:
		return l.doubt
	}
	return nil
}

// cutShort says why the list is known to be a cut one, or nil.
func (r *appRun) cutShort() error {
	r.state.Lock()
	defer r.state.Unlock()
	return r.cut
}

// foundUnlisted notes that an agent is there that the list does not show.
func (r *appRun) foundUnlisted(uid string) {
	r.state.Lock()
	defer r.state.Unlock()
	if r.cut == nil {
		r.cut = fmt.Errorf("%w: it lacks agent %s of %s, which is there", ErrSuspiciousList, uid, r.id)
	}
}

// foundGone notes that an agent is gone. A list that lacked it and no other is a whole one.
func (r *appRun) foundGone(uid string) {
	r.state.Lock()
	defer r.state.Unlock()
	l := r.lists[r.id]
	l.lacking = slices.DeleteFunc(l.lacking, func(u string) bool { return u == uid })
	if len(l.lacking) == 0 && errors.Is(l.doubt, errLacking) {
		l.doubt = nil
	}
}

// notFoundHint says what a 404 may mean before anybody throws a uid away.
func (r *appRun) notFoundHint() string {
	return "a wrong region, host or endpoint answers 404 as well; agentsync asked\n  " + r.app.Where + "\n"
}

// listHint is what to do about a list that stops creates or deletes.
func (e *Engine) listHint(id agent.AppID, err error) string {
	where := e.apps[id].Where
	switch {
	case errors.Is(err, platform.ErrNotFound):
		return "a wrong region, host or endpoint answers 404; agentsync asked\n  " + where
	case errors.Is(err, errLacking) && e.opts.NoRefresh:
		return "let apply ask for them, and make again what is gone, by leaving out --no-refresh; or, if one is really gone:\n  agentsync state rm ADDRESS"
	case errors.Is(err, errLacking):
		return "if one of them is really gone, take it out of the state, then apply again:\n  agentsync state rm ADDRESS"
	case errors.Is(err, ErrSuspiciousList) && e.lists[id] != nil && e.lists[id].foreign:
		return fmt.Sprintf("see first whether this is the right app:\n  %s\nif those agents are really gone, take them out of the state, then apply again:\n  agentsync state rm '%s/*'", where, id)
	}
	return ""
}

func (r *appRun) listHint(err error) string { return r.Engine.listHint(r.id, err) }
