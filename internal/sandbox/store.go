package sandbox

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// appKey names one app on one platform.
type appKey struct{ platform, app string }

func (k appKey) compare(o appKey) int {
	return cmp.Or(cmp.Compare(k.platform, o.platform), cmp.Compare(k.app, o.app))
}

// agent is one agent as the platform keeps it. Its app's mutex guards it; the map in fields is
// replaced, never changed in place.
type agent struct {
	uid     string
	fields  map[string]any
	version string // of the API that made it
	created time.Time
	updated time.Time
	deleted time.Time // zero while it lives
	gone    bool      // deleted where nothing is kept of it

	lag  lag
	docs map[string][]byte // as each version answers it; made when it is asked for
}

// lag is what lists show in an agent's place for a while after a change.
type lag struct {
	until  time.Time
	lists  int    // up to this list of the app
	before *agent // as it was; nil where it was not there
}

// app is the agents of one app. Requests of different apps do not wait for each other.
type app struct {
	key appKey

	mu     sync.Mutex // guards the rest
	agents []*agent   // by created, then by order of arrival; those that are gone stay until a sweep
	byUID  map[string]*agent
	dead   int // how many of agents are gone
	lists  int // lists answered so far
}

// store is all apps, and the file that they are kept in.
type store struct {
	log *oplog // nil where there is no file

	mu   sync.RWMutex // guards apps, not what is in them
	apps map[appKey]*app
}

func newStore() *store { return &store{apps: map[appKey]*app{}} }

// app returns the app called key, new where there is none.
func (s *store) app(key appKey) *app {
	if a := s.peek(key); a != nil {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[key]
	if a == nil {
		a = &app{key: key, byUID: map[string]*agent{}}
		s.apps[key] = a
	}
	return a
}

// peek returns the app called key, or nil: a look must not make an app.
func (s *store) peek(key appKey) *app {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.apps[key]
}

// find returns a live agent with its app locked, and the function that unlocks it; nil where there is none.
func (s *store) find(key appKey, uid string) (*agent, func()) {
	a := s.peek(key)
	if a == nil {
		return nil, nil
	}
	a.mu.Lock()
	if g := a.live(uid); g != nil {
		return g, a.mu.Unlock
	}
	a.mu.Unlock()
	return nil, nil
}

// all returns the apps in the order of their keys.
func (s *store) all() []*app {
	s.mu.RLock()
	defer s.mu.RUnlock()
	apps := make([]*app, 0, len(s.apps))
	for _, a := range s.apps {
		apps = append(apps, a)
	}
	slices.SortFunc(apps, func(a, b *app) int { return a.key.compare(b.key) })
	return apps
}

// reset forgets everything, in the file too.
func (s *store) reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.log.rewrite(nil); err != nil {
		return err
	}
	s.apps = map[appKey]*app{}
	return nil
}

// insert puts g at its place by creation. Clocks that stand still or go back are allowed.
func (a *app) insert(g *agent) {
	i := len(a.agents)
	if i > 0 && g.created.Before(a.agents[i-1].created) {
		i = a.firstAfter(g.created)
	}
	a.agents = slices.Insert(a.agents, i, g)
	a.byUID[g.uid] = g
}

// firstAfter returns where the agents begin that were created later than t; 0 for the zero time.
func (a *app) firstAfter(t time.Time) int {
	i, _ := slices.BinarySearchFunc(a.agents, t, func(g *agent, t time.Time) int {
		if g.created.After(t) {
			return 1
		}
		return -1
	})
	return i
}

// live returns the agent with this uid unless it is deleted.
func (a *app) live(uid string) *agent {
	if g := a.byUID[uid]; g != nil && g.deleted.IsZero() {
		return g
	}
	return nil
}

// remove takes g out for good. The list is swept only now and then, so that deleting costs the same
// in an app of any size.
func (a *app) remove(g *agent) {
	g.gone = true
	delete(a.byUID, g.uid)
	if a.dead++; a.dead > 64 && a.dead > len(a.agents)/2 {
		now := time.Now()
		a.agents = slices.DeleteFunc(a.agents, func(g *agent) bool { return g.gone && !g.lag.holds(a, now) })
		a.dead = 0
	}
}

// holds reports whether lists that are answered now still show what was before the change.
func (l lag) holds(a *app, now time.Time) bool {
	return l.lists > 0 && a.lists <= l.lists || now.Before(l.until)
}

// shown returns g as a list shows it now; nil where it does not.
func (a *app) shown(g *agent, now time.Time, withDeleted bool) *agent {
	if g.lag.holds(a, now) {
		g = g.lag.before
	}
	if g == nil || g.gone || !g.deleted.IsZero() && !withDeleted {
		return nil
	}
	return g
}

// record is the agent as the file keeps it.
func (a *app) record(g *agent) record {
	if g.gone {
		return record{Platform: a.key.platform, App: a.key.app, UID: g.uid, Gone: true}
	}
	return record{
		Platform: a.key.platform, App: a.key.app, UID: g.uid, Version: g.version, Fields: g.fields,
		Created: g.created, Updated: g.updated, Deleted: g.deleted,
	}
}

// restore takes one line of the file in. Nobody else uses the store yet.
func (s *store) restore(rec record) {
	a := s.app(appKey{rec.Platform, rec.App})
	g := a.byUID[rec.UID]
	switch {
	case rec.Gone && g != nil:
		a.remove(g)
		return
	case rec.Gone:
		return
	case g == nil:
		g = &agent{uid: rec.UID, version: rec.Version, created: rec.Created}
		a.insert(g)
	}
	g.fields, g.updated, g.deleted = rec.Fields, rec.Updated, rec.Deleted
	if g.fields == nil {
		g.fields = map[string]any{}
	}
}

// compact rewrites the file where most of it no longer matters. It runs before the first request: a
// change that came in between would be lost.
func (s *store) compact() error {
	var records []record
	for _, a := range s.all() {
		for _, g := range a.agents {
			if !g.gone {
				records = append(records, a.record(g))
			}
		}
	}
	if !s.log.wasteful(len(records)) {
		return nil
	}
	return s.log.rewrite(records)
}
