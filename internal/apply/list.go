package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/schema"
)

// ErrSuspiciousList is wrapped where a list misses agents that are there: it was cut short, lags, or is of
// another app.
var ErrSuspiciousList = errors.New("the list is not to be trusted")

// listing is one answer to "which agents are there", and how far it is to be believed. What it shows is there,
// unless it is foreign; that it does not show an agent proves something only where doubt is nil.
type listing struct {
	schema *schema.Platform
	agents []platform.Remote
	byUID  map[string]platform.Remote
	asked  time.Time // when it was asked for
	// foreign reports that it shows none of the agents that state knows: it may be of another app, and
	// nothing that it shows counts.
	foreign bool
	// doubt is why it may miss agents that are there, nil for a whole list.
	doubt error
	// hides is why an agent that nobody knows may be hidden although all that are known are accounted for, or nil:
	// with it nothing proves that a request did not make one.
	hides error
	// hidden are the times of creation of agents that it may hide, nil where it may hide others as well.
	hidden map[int64]bool // in milliseconds
	// missing are the known agents that it does not show and that are not known to be gone.
	missing []string
	// gone are the agents of state that it does not show and of which the platform said, when it was asked
	// for them alone, that there is no such agent.
	gone map[string]bool
}

// shows reports whether the list shows the uid; a nil list shows nothing.
func (l *listing) shows(uid string) bool {
	if l == nil {
		return false
	}
	_, ok := l.byUID[uid]
	return ok
}

// isWhole reports whether nothing speaks against the list showing every agent of the app.
func (l *listing) isWhole() bool { return l.doubt == nil && l.hides == nil }

// listApps lists apps, all at once, each again a few times while it misses an agent that is known: lists lag. What
// came stands in e.lists; of an app that could not be listed the last list stays, and e.unlisted says why.
func (e *Engine) listApps(ctx context.Context, ids []agent.AppID) {
	lists, errs := make([]*listing, len(ids)), make([]error, len(ids))
	var g sync.WaitGroup
	for i, id := range ids {
		g.Go(func() {
			defer crash.Guard()
			for n := 0; ; n++ {
				lists[i], errs[i] = e.listApp(ctx, id)
				again := errs[i] == nil && !lists[i].foreign && len(lists[i].missing) > 0 && n < len(lagPauses)
				if !again || !sleep(ctx, lagPauses[n]) {
					return
				}
			}
		})
	}
	g.Wait()
	for i, id := range ids {
		delete(e.unlisted, id)
		if errs[i] != nil {
			e.unlisted[id] = errs[i]
			continue
		}
		e.lists[id] = lists[i]
	}
}

// lagPauses lie between the lists of an app that misses agents.
var lagPauses = [...]time.Duration{firstLagPause, 2 * firstLagPause, 4 * firstLagPause}

const firstLagPause = 500 * time.Millisecond

// listApp reads the whole app once and says how far the answer can be believed. This is the only place that says so.
func (e *Engine) listApp(ctx context.Context, id agent.AppID) (*listing, error) {
	e.emitEvent(Event{Kind: EventListing, App: id})
	app := e.apps[id]
	l := &listing{schema: app.Schema, asked: time.Now(), gone: map[string]bool{}}
	remotes, err := app.Client.List(ctx)
	if doubtful, ok := errors.AsType[*platform.DoubtfulList](err); ok {
		remotes, l.hides = doubtful.Agents, fmt.Errorf("%w: %w", ErrSuspiciousList, err)
		if doubtful.SameTime {
			l.hidden = make(map[int64]bool, len(remotes))
		}
		for _, r := range remotes {
			if l.hidden != nil {
				l.hidden[r.CreatedAt.UnixMilli()] = true
			}
		}
	} else if err != nil {
		return nil, err
	}
	l.agents, l.byUID = remotes, make(map[string]platform.Remote, len(remotes))
	for _, r := range remotes {
		l.byUID[r.UID] = r
	}
	known, deleting := e.knownAgents(id)
	missing := slices.DeleteFunc(slices.Sorted(maps.Keys(known)), l.shows)
	// What is new may not show yet.
	old := slices.ContainsFunc(missing, func(uid string) bool { return e.knownBefore[id][uid] })
	// An old agent of a replace is ours as well, and one whose delete is open.
	ours := func(r platform.Remote) bool {
		_, owned := e.fleet.Owner(id, r.UID)
		return owned
	}
	switch {
	case old && !slices.ContainsFunc(remotes, ours):
		l.foreign, l.missing = true, missing
		l.doubt = fmt.Errorf("%w: it shows %s of %s, and none of the %d that state knows", ErrSuspiciousList,
			countOf(len(remotes), "agent"), id, len(known))
		return l, nil
	case len(known) == 0, len(missing) > 0 && l.hidden == nil:
		l.doubt = l.hides // else it shows all that is known: nothing that matters to who makes a new agent is hidden
	}
	if app.Client.Properties().ReadsOne {
		for _, uid := range slices.Sorted(maps.Keys(deleting)) {
			// Of an agent that the platform said is deleted, this list says whether that is so, if it hides none.
			if answered := deleting[uid]; !l.shows(uid) && (!answered || l.hides != nil) {
				missing = append(missing, uid)
			}
		}
		e.askOneByOne(ctx, id, l, missing, known)
	} else {
		l.missing = missing
	}
	if len(l.missing) > 0 && l.doubt == nil {
		l.doubt = missingError(id, l.missing, known)
	}
	return l, nil
}

// askOneByOne asks the platform for agents that a list does not show. One that answers is there, and so the
// list is not whole: it is added to what the list shows. The others are then not asked for.
func (e *Engine) askOneByOne(ctx context.Context, id agent.AppID, l *listing, missing []string,
	known map[string]agent.Address) {
	var g errgroup.Group
	g.SetLimit(e.opts.Parallelism)
	var mu sync.Mutex // guards l and asked
	asked := map[string]bool{}
	for _, uid := range missing {
		g.Go(func() error {
			defer crash.Guard()
			mu.Lock()
			enough := l.doubt != nil
			mu.Unlock()
			if enough {
				return nil
			}
			live, err := e.apps[id].Client.Read(ctx, uid)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, platform.ErrNoSuchAgent):
				l.gone[uid], asked[uid] = true, true
			case err != nil:
				l.doubt = fmt.Errorf("%w: it lacks agent %s, and that could not be read: %w", ErrSuspiciousList, uid,
					err)
			default:
				asked[uid] = true
				l.agents, l.byUID[uid] = append(l.agents, live), live
				lacks := fmt.Errorf("%w: it lacks agent %s of %s, which is there", ErrSuspiciousList, uid, id)
				if l.hidden[live.CreatedAt.UnixMilli()] {
					l.hides = cmp.Or(l.hides, lacks)
					break // it hides agents of that time alone, and this one is found
				}
				l.doubt = lacks
				if _, isKnown := known[uid]; isKnown {
					l.missing = append(l.missing, uid)
				}
			}
			return nil
		})
	}
	_ = g.Wait() // what went wrong is in l.doubt
	for _, uid := range missing {
		if _, isKnown := known[uid]; !asked[uid] && isKnown {
			l.missing = append(l.missing, uid)
			l.agents = append(l.agents, platform.Remote{UID: uid, Unreadable: l.doubt}) // nobody knows: it is not gone
		}
	}
}

// knownAgents returns the agents of the app that a list must show, those that state knows, and those that it may
// show or not, because a delete of theirs is open: true where it was answered as done.
func (e *Engine) knownAgents(id agent.AppID) (known map[string]agent.Address, deleting map[string]bool) {
	known, deleting = map[string]agent.Address{}, map[string]bool{}
	for a, rec := range e.fleet.Records() {
		if a.ID() == id {
			known[rec.UID] = a
		}
	}
	for _, i := range e.fleet.Open() {
		if i.Action == actionDelete && i.Address.ID() == id {
			delete(known, i.UID)
			deleting[i.UID] = i.Answered
		}
	}
	return known, deleting
}

// errMissing is of a list that shows some of the agents that state knows, and not all.
var errMissing = fmt.Errorf("%w: it lacks agents that state knows", ErrSuspiciousList)

func missingError(id agent.AppID, lacking []string, known map[string]agent.Address) error {
	return fmt.Errorf("%w: %d of %s, such as %s (uid %s)", errMissing, len(lacking), id, known[lacking[0]], lacking[0])
}

// mayCreate says why nothing can be made in the app, or nil.
func (r *appRun) mayCreate() error {
	if err := r.mayDelete(); err != nil {
		return err
	}
	r.trust.Lock()
	defer r.trust.Unlock()
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

// showedWhole reports whether the last list is a whole one and shows the agent: only then does another one without it
// say that it is gone.
func (r *appRun) showedWhole(uid string) bool {
	r.trust.Lock()
	defer r.trust.Unlock()
	l := r.lists[r.id]
	return l.shows(uid) && l.isWhole()
}

// cutShort says why the list is known to be a cut one, or nil.
func (r *appRun) cutShort() error {
	r.trust.Lock()
	defer r.trust.Unlock()
	return r.cut
}

// foundUnlisted notes that an agent is there that the list does not show.
func (r *appRun) foundUnlisted(uid string) {
	r.trust.Lock()
	defer r.trust.Unlock()
	if r.cut == nil {
		r.cut = fmt.Errorf("%w: it lacks agent %s of %s, which is there", ErrSuspiciousList, uid, r.id)
	}
}

// foundGone notes that an agent is gone. A list that missed it and no other is a whole one.
func (r *appRun) foundGone(uid string) {
	r.trust.Lock()
	defer r.trust.Unlock()
	l := r.lists[r.id]
	l.missing = slices.DeleteFunc(l.missing, func(u string) bool { return u == uid })
	if len(l.missing) == 0 && errors.Is(l.doubt, errMissing) {
		l.doubt = nil
	}
}

// unlistedError is the error of a plan of which nothing can be done, or believed, because apps could not be listed.
func (e *Engine) unlistedError(p *plan.Plan) error {
	if len(e.unlisted) == 0 {
		return nil
	}
	ids := slices.SortedFunc(maps.Keys(e.unlisted), agent.AppID.Compare)
	first := fmt.Errorf("list the agents of %s: %w", ids[0], e.unlisted[ids[0]])
	if p.Summary.Changes() == 0 {
		if e.opts.NoRefresh || len(e.fleet.Open()) > 0 {
			return nil // it was listed for the sake of what is open, and the report says so
		}
		return first
	}
	for _, ch := range p.Changes {
		if ch.Action != plan.Kept && !errors.Is(e.unlisted[ch.Address.ID()], ErrKeyRefused) {
			return nil
		}
	}
	return first
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
	case errors.Is(err, errMissing) && e.opts.NoRefresh:
		return "let apply ask for them, and make again what is gone, by leaving out --no-refresh; or, if one is really gone:\n  agentsync state rm ADDRESS"
	case errors.Is(err, errMissing):
		return "if one of them is really gone, take it out of the state, then apply again:\n  agentsync state rm ADDRESS"
	case errors.Is(err, ErrSuspiciousList) && e.lists[id].foreign:
		return fmt.Sprintf("see first whether this is the right app:\n  %s\nif those agents are really gone, take them out of the state, then apply again:\n  agentsync state rm '%s/*'", where, id)
	}
	return ""
}

// liveAgents returns what the lists show in the form in which plans are made of it. An app that could not be listed was
// not looked at. A list that may be of another app is there as well: whoever makes a plan of it does not believe it,
// and says so.
func (e *Engine) liveAgents() (live map[agent.AppID][]plan.Live, gone map[agent.AppID]map[string]bool) {
	live, gone = map[agent.AppID][]plan.Live{}, map[agent.AppID]map[string]bool{}
	for id, l := range e.lists {
		if e.unlisted[id] == nil {
			live[id], gone[id] = liveOf(l.agents), l.gone
		}
	}
	return live, gone
}

func liveOf(remotes []platform.Remote) []plan.Live {
	live := make([]plan.Live, len(remotes))
	for i, r := range remotes {
		live[i] = plan.Live{UID: r.UID, Content: r.Content, Mark: r.Mark}
	}
	return live
}

// Lists lists apps, for who only reads, and returns what Apply would make its plan of. The error names every app that
// could not be listed.
func (e *Engine) Lists(ctx context.Context, ids []agent.AppID) (Known, error) {
	e.listApps(ctx, ids)
	var errs []error
	for _, id := range ids {
		if why := e.unlisted[id]; why != nil {
			errs = append(errs, fmt.Errorf("list the agents of %s: %w", id, why))
		}
	}
	return e.planInput(false), errors.Join(errs...)
}
