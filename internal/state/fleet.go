package state

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"agentsync/internal/agent"
)

// Fleet is what is known of all agents at one moment of a run: the records, which address each uid belongs
// to, and the intents that are open. It keeps every uid at one address, so that what is written can always
// be read again. It is safe for concurrent use.
type Fleet struct {
	mu      sync.RWMutex // guards what follows
	state   *State
	owner   map[handle]agent.Address
	open    map[uint64]Intent
	claims  map[handle]claim // by the uids that open intents name
	changed bool             // the state differs from what it was
}

// claim is how many open intents are about an agent, and at which address.
type claim struct {
	intents int
	address agent.Address
}

// NewFleet returns the fleet of a state, which it copies, and of the intents that are open beside it. It
// fails where a uid stands at two addresses.
func NewFleet(s *State, open []Intent) (*Fleet, error) {
	owner, err := s.owners()
	if err != nil {
		return nil, err
	}
	f := &Fleet{state: s.Clone(), owner: owner, open: make(map[uint64]Intent, len(open)), claims: map[handle]claim{}}
	for _, i := range open {
		f.intend(i)
	}
	return f, nil
}

// Record returns what is known of the agent at a.
func (f *Fleet) Record(a agent.Address) (agent.Record, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	r, known := f.state.Agents[a]
	return r, known
}

// Records returns a copy of all records. Their documents are shared, and never change.
func (f *Fleet) Records() map[agent.Address]agent.Record {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return maps.Clone(f.state.Agents)
}

// Owner returns the address that an agent belongs to: by its record or, where no record names it, by an
// open intent. What has an owner is nobody else's to adopt.
func (f *Fleet) Owner(app agent.AppID, uid string) (agent.Address, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	h := handle{app, uid}
	if a, owned := f.owner[h]; owned {
		return a, true
	}
	c, claimed := f.claims[h]
	return c.address, claimed
}

// Claimed reports whether an open intent is about the agent.
func (f *Fleet) Claimed(app agent.AppID, uid string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, claimed := f.claims[handle{app, uid}]
	return claimed
}

// Open returns the intents that nothing closed yet, oldest first.
func (f *Fleet) Open() []Intent {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return sortedIntents(f.open)
}

// State returns a copy of the state.
func (f *Fleet) State() *State {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.state.Clone()
}

// result returns a copy of the state, and whether it differs from what the fleet was made of.
func (f *Fleet) result() (*State, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.state.Clone(), f.changed
}

// saved notes the serial under which the state was written.
func (f *Fleet) saved(serial uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Serial = serial
}

// Enter enters all results or, with an error, none. It completes them in place, so that they can be
// replayed without knowing the state that they were made for.
func (f *Fleet) Enter(results []Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var before map[agent.Address]agent.Record
	apps := f.state.Apps
	if len(results) > 1 || results[0].Kind == Moved { // any other alone, where it fails, did nothing
		before = map[agent.Address]agent.Record{}
	}
	changed := f.changed
	for i, r := range results {
		if before != nil {
			for _, a := range [...]agent.Address{r.Address, r.From} {
				if _, known := before[a]; !known {
					before[a] = f.state.Agents[a]
				}
			}
		}
		var err error
		if results[i], err = f.enterOne(r); err != nil {
			f.restore(before)
			f.state.Apps = apps
			f.changed = changed
			return err
		}
	}
	for _, r := range results {
		if r.Kind == Answered {
			i := f.open[r.Intent]
			i.Answered = true
			f.open[r.Intent] = i
			continue
		}
		f.close(r.Intent)
	}
	return nil
}

// intend notes an open intent; the caller holds mu where others use the fleet.
func (f *Fleet) intend(i Intent) {
	f.open[i.ID] = i
	if i.UID != "" {
		h := handle{i.Address.ID(), i.UID}
		f.claims[h] = claim{f.claims[h].intents + 1, i.Address}
	}
}

// close forgets an intent, if it is open; the caller holds mu.
func (f *Fleet) close(id uint64) {
	i, open := f.open[id]
	if !open {
		return
	}
	delete(f.open, id)
	h := handle{i.Address.ID(), i.UID}
	switch c := f.claims[h]; {
	case c.intents > 1:
		f.claims[h] = claim{c.intents - 1, c.address}
	default:
		delete(f.claims, h)
	}
}

// opened notes that an intent is on disk, and forgotten that it will not be after all.
func (f *Fleet) opened(i Intent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intend(i)
}

func (f *Fleet) forgotten(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close(id)
}

// leaving notes that the request of an intent may have left, and reports whether the intent is open.
func (f *Fleet) leaving(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, isOpen := f.open[id]
	if isOpen {
		i.NeverLeft = false
		f.open[id] = i
	}
	return isOpen
}

// sent returns the document of an open intent.
func (f *Fleet) sent(id uint64) agent.Doc {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.open[id].Fields
}

// restore puts records back; one without a uid stands for none.
func (f *Fleet) restore(before map[agent.Address]agent.Record) {
	for a := range before {
		f.drop(a)
	}
	for a, r := range before {
		if r.UID != "" {
			_ = f.put(a, r) // it stood there before
		}
	}
}

func (f *Fleet) enterOne(r Result) (Result, error) {
	if r.Address.IsZero() && r.Kind != Voided && r.Kind != Answered && r.Kind != Located {
		return r, fmt.Errorf("a result without an address: %s", r.Kind)
	}
	old, had := f.state.Agents[r.Address]
	switch r.Kind {
	case Voided:
		return Result{Intent: r.Intent, Address: r.Address, Kind: Voided}, nil
	case Answered:
		if _, isOpen := f.open[r.Intent]; !isOpen {
			return r, fmt.Errorf("%s: the intent %d is not open", r.Kind, r.Intent)
		}
		return Result{Intent: r.Intent, Address: r.Address, Kind: Answered}, nil
	case Recorded:
		r.Record, _ = After(old, r)
		return Result{Intent: r.Intent, Address: r.Address, Kind: Recorded, Record: r.Record}, f.put(r.Address, r.Record)
	case Removed:
		if r.UID == "" {
			r.UID = old.UID
		}
		r = Result{Intent: r.Intent, Address: r.Address, Kind: Removed, UID: r.UID}
		if !had {
			return r, nil
		}
		rest, ok := After(old, r)
		if !ok {
			f.drop(r.Address)
			f.changed = true
			return r, nil
		}
		return r, f.put(r.Address, rest)
	case Moved:
		return f.move(r, had)
	case Located:
		if _, err := agent.ParseAppID(r.App.String()); err != nil {
			return r, err
		}
		if f.state.Apps[r.App] != r.Origin {
			// A copy: Enter goes back to the old one where a later result is refused.
			f.state.Apps = located(f.state.Apps, r.App, r.Origin)
			f.changed = true
		}
		return Result{Intent: r.Intent, Kind: Located, App: r.App, Origin: r.Origin}, nil
	default:
		return r, fmt.Errorf("%s: a result of no known kind: %d", r.Address, r.Kind)
	}
}

// located returns a copy of apps where app is at o, or, where o is zero, is not.
func located(apps map[agent.AppID]agent.Origin, app agent.AppID, o agent.Origin) map[agent.AppID]agent.Origin {
	apps = maps.Clone(apps)
	if o == (agent.Origin{}) {
		delete(apps, app)
		return apps
	}
	if apps == nil {
		apps = map[agent.AppID]agent.Origin{}
	}
	apps[app] = o
	return apps
}

func (f *Fleet) move(r Result, taken bool) (Result, error) {
	from, ok := f.state.Agents[r.From]
	if !ok || taken {
		return r, fmt.Errorf("%s cannot become %s: there is no agent at the one or already one at the other", r.From, r.Address)
	}
	rec := from
	if r.Record.UID != "" {
		rec = withObsolete(r.Record, from.Obsolete...)
	}
	if rec.UID != from.UID {
		return r, fmt.Errorf("%s has the uid %s and cannot become %s with the uid %s", r.From, from.UID, r.Address, rec.UID)
	}
	rec = rec.Moved(r.From.Key, r.Address.Key)
	f.drop(r.From)
	f.changed = true
	return Result{Intent: r.Intent, Address: r.Address, Kind: Moved, From: r.From, Record: rec}, f.put(r.Address, rec)
}

// put makes r the record at a. It fails, having done nothing, where a uid belongs elsewhere.
func (f *Fleet) put(a agent.Address, r agent.Record) error {
	for i, h := range handles(a, r) {
		other, taken := f.owner[h]
		switch {
		case h.uid == "":
			return errNoUID(a)
		case taken && other != a:
			return errShared(h, a, other)
		case i > 0 && (h.uid == r.UID || slices.Contains(r.Obsolete[:i-1], h.uid)):
			return errShared(h, a, a)
		}
	}
	old, had := f.state.Agents[a]
	if had && equalRecord(old, r) {
		return nil
	}
	if had {
		f.drop(a)
	}
	for _, h := range handles(a, r) {
		f.owner[h] = a
	}
	f.state.Agents[a] = r
	f.changed = true
	return nil
}

func (f *Fleet) drop(a agent.Address) {
	old, had := f.state.Agents[a]
	if !had {
		return
	}
	for _, h := range handles(a, old) {
		delete(f.owner, h)
	}
	delete(f.state.Agents, a)
}

func sortedIntents(open map[uint64]Intent) []Intent {
	var list []Intent
	for _, id := range slices.Sorted(maps.Keys(open)) {
		list = append(list, open[id])
	}
	return list
}
