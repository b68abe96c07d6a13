package sandbox

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// appKey names one app on one platform.
type appKey struct{ platform, app string }

// agent is one agent as the platform keeps it. Its app's mutex guards it; the map in fields is
// replaced, never changed in place.
type agent struct {
	uid     string
	fields  map[string]any
	created time.Time
	updated time.Time
	deleted time.Time // zero while it lives
	doc     []byte    // as the platform answers it

	hiddenUntil time.Time // lists do not show it before
	hiddenLists int       // nor up to this list of the app
}

// app is the agents of one app. Requests of different apps do not wait for each other.
type app struct {
	key appKey

	mu     sync.Mutex // guards the rest
	agents []*agent   // by created, then by order of arrival; removed ones stay until a sweep
	byUID  map[string]*agent
	dead   int // how many of agents are no longer in byUID
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
	s.mu.RLock()
	a := s.apps[key]
	s.mu.RUnlock()
	if a != nil {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a = s.apps[key]; a == nil {
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
		i, _ = slices.BinarySearchFunc(a.agents, g.created, func(have *agent, t time.Time) int {
			if have.created.After(t) {
				return 1
			}
			return -1
		})
	}
	a.agents = slices.Insert(a.agents, i, g)
	a.byUID[g.uid] = g
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
func (a *app) remove(g *agent, at time.Time) {
	g.deleted = at
	delete(a.byUID, g.uid)
	if a.dead++; a.dead > 64 && a.dead > len(a.agents)/2 {
		a.agents = slices.DeleteFunc(a.agents, func(g *agent) bool { return a.byUID[g.uid] == nil })
		a.dead = 0
	}
}

// after returns the agents that were created later than t; all of them for the zero time.
func (a *app) after(t time.Time) []*agent {
	if t.IsZero() {
		return a.agents
	}
	i, _ := slices.BinarySearchFunc(a.agents, t, func(g *agent, t time.Time) int {
		if g.created.After(t) {
			return 1
		}
		return -1
	})
	return a.agents[i:]
}

// shown reports whether a list that is answered now shows g.
func (a *app) shown(g *agent, now time.Time) bool {
	return a.lists > g.hiddenLists && !now.Before(g.hiddenUntil)
}

func (k appKey) compare(o appKey) int {
	return cmp.Or(cmp.Compare(k.platform, o.platform), cmp.Compare(k.app, o.app))
}
