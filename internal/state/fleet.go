package state

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"agentsync/internal/agent"
)

// Intent is a request that is about to be sent. It is open until a Result closes it; while it is
// open, nobody knows whether the platform carried it out.
type Intent struct {
	// ID is given by Run.Intend, unique in the journal.
	ID uint64
	// Address is the agent concerned.
	Address agent.Address
	// Action is "create", "update" or "delete".
	Action string
	// UID is the agent that an update or a delete is about; for a create that replaces, the old one.
	UID string
	// Fields are what is to be made (create) or the changed top-level fields (update), secrets sealed.
	Fields agent.Doc
	// At is when the request was about to be sent, by this machine's clock. The journal keeps it in
	// UTC to the nanosecond.
	At time.Time
	// NeverLeft reports that no byte of the request left this machine: the intent has no Leaving, and the
	// journal is the very file that the run wrote, on the same machine, which was not started anew since
	// (Handle.Instance). It is only true of a run that called Leaving for each request, and that has ended: so
	// ask under the lock. Where it is false, nothing is known.
	NeverLeft bool
	// Answered reports that the platform said that a delete is done, of an agent that a whole list had shown
	// before it. See the result Answered.
	Answered bool
}

// ResultKind says what a Result enters into the state.
type ResultKind int

const (
	// Recorded: Record is what is now known of the agent at Address. Where another uid stood there,
	// and Removed did not say before that it is gone, it becomes obsolete: the old half of a replace
	// survives a crash without the caller's doing. Obsolete uids of before stay in any case.
	Recorded ResultKind = iota
	// Removed: the agent UID of Address leaves the state, because it is gone or nobody's any more. An
	// empty UID stands for the one that the record has. Where the record has obsolete uids besides,
	// the last of them takes its place, without documents, since it may still be live.
	Removed
	// Moved: the record of From is now that of Address, where no agent stood before. Record replaces
	// it if it has a UID, which is then the same. The key of From
	// becomes one of its former keys.
	Moved
	// Voided: the request certainly had no effect. Nothing changes but that the intent is closed.
	Voided
	// Answered: the platform said that the delete of the intent is done, and no list has shown yet that the agent is
	// gone. The intent stays open and becomes Intent.Answered; the state does not change.
	Answered
	// Located: App is from now on reached at Origin. A zero Origin stands for none: the app is forgotten.
	Located
)

var kindNames = [...]string{Recorded: "recorded", Removed: "removed", Moved: "moved", Voided: "voided",
	Answered: "answered", Located: "located"}

// String returns the kind in lower case, as the journal spells it.
func (k ResultKind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "invalid"
	}
	return kindNames[k]
}

// Result is what became of an agent.
type Result struct {
	// Intent is the intent that this closes, 0 for none. One that is not open is no error. Answered closes none.
	Intent uint64
	// Address is the agent concerned. Voided and Answered do without, and Located has an App instead.
	Address agent.Address
	Kind    ResultKind
	// UID is the agent that Removed is about.
	UID string
	// From is where Moved takes the record from.
	From agent.Address
	// Record is what Recorded, and Moved if it likes, puts at Address.
	Record agent.Record
	// App and Origin are what Located is about.
	App    agent.AppID
	Origin agent.Origin
}

// Fleet is what is known of all agents at one moment of a run: the records, which address each uid belongs
// to, and the intents that are open. It keeps every uid at one address, so that what is written can always
// be read again. It is safe for concurrent use.
type Fleet struct {
	mu      sync.RWMutex // guards what follows
	state   *State
	owner   map[platformUID]agent.Address
	open    map[uint64]Intent
	claims  map[platformUID]uidClaim // by the uids that open intents name
	changed bool                     // the state differs from what it was
}

// uidClaim is how many open intents are about an agent, and at which address.
type uidClaim struct {
	intents int
	address agent.Address
}

// NewFleet returns the fleet of a state, which it copies, and of the intents that are open beside it. It
// fails where a uid stands at two addresses.
func NewFleet(s *State, open []Intent) (*Fleet, error) {
	owner, err := s.ownersByUID()
	if err != nil {
		return nil, err
	}
	f := &Fleet{state: s.Clone(), owner: owner, open: make(map[uint64]Intent, len(open)),
		claims: map[platformUID]uidClaim{}}
	for _, i := range open {
		f.addIntent(i)
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
	h := platformUID{app, uid}
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
	_, claimed := f.claims[platformUID{app, uid}]
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

// stateNow returns a copy of the state, and whether it differs from what the fleet was made of.
func (f *Fleet) stateNow() (*State, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.state.Clone(), f.changed
}

// noteSaved notes the serial under which the state was written.
func (f *Fleet) noteSaved(serial uint64) {
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
			f.restoreRecords(before)
			f.state.Apps = apps
			f.changed = changed
			return err
		}
	}
	// Only when all are entered: an intent that is closed for a result that was refused would be forgotten, and its
	// agent lost.
	for _, r := range results {
		if r.Kind == Answered {
			i := f.open[r.Intent]
			i.Answered = true
			f.open[r.Intent] = i
			continue
		}
		f.closeIntent(r.Intent)
	}
	return nil
}

// addIntent notes an open intent; the caller holds mu where others use the fleet.
func (f *Fleet) addIntent(i Intent) {
	f.open[i.ID] = i
	if i.UID != "" {
		h := platformUID{i.Address.ID(), i.UID}
		f.claims[h] = uidClaim{f.claims[h].intents + 1, i.Address}
	}
}

// closeIntent forgets an intent, if it is open; the caller holds mu.
func (f *Fleet) closeIntent(id uint64) {
	i, open := f.open[id]
	if !open {
		return
	}
	delete(f.open, id)
	h := platformUID{i.Address.ID(), i.UID}
	switch c := f.claims[h]; {
	case c.intents > 1: // another request is about the agent: it stays nobody else's to adopt
		f.claims[h] = uidClaim{c.intents - 1, c.address}
	default:
		delete(f.claims, h)
	}
}

// noteOpened notes that an intent is on disk, and forgotten that it will not be after all.
func (f *Fleet) noteOpened(i Intent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addIntent(i)
}

func (f *Fleet) forgetIntent(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeIntent(id)
}

// noteLeaving notes that the request of an intent may have left, and reports whether the intent is open.
func (f *Fleet) noteLeaving(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, isOpen := f.open[id]
	if isOpen {
		i.NeverLeft = false
		f.open[id] = i
	}
	return isOpen
}

// sentFields returns the document of an open intent.
func (f *Fleet) sentFields(id uint64) agent.Doc {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.open[id].Fields
}

// restoreRecords puts records back; one without a uid stands for none.
func (f *Fleet) restoreRecords(before map[agent.Address]agent.Record) {
	// All go before any comes back: where two agents swapped addresses, each uid would still be the other's.
	for a := range before {
		f.dropRecord(a)
	}
	for a, r := range before {
		if r.UID != "" {
			_ = f.putRecord(a, r) // it stood there before
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
		r = Result{Intent: r.Intent, Address: r.Address, Kind: Recorded, Record: r.Record}
		return r, f.putRecord(r.Address, r.Record)
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
			f.dropRecord(r.Address)
			f.changed = true
			return r, nil
		}
		return r, f.putRecord(r.Address, rest)
	case Moved:
		return f.moveRecord(r, had)
	case Located:
		if _, err := agent.ParseAppID(r.App.String()); err != nil {
			return r, err
		}
		if f.state.Apps[r.App] != r.Origin {
			// A copy: Enter goes back to the old one where a later result is refused.
			f.state.Apps = withOrigin(f.state.Apps, r.App, r.Origin)
			f.changed = true
		}
		return Result{Intent: r.Intent, Kind: Located, App: r.App, Origin: r.Origin}, nil
	default:
		return r, fmt.Errorf("%s: a result of no known kind: %d", r.Address, r.Kind)
	}
}

// withOrigin returns a copy of apps where app is at o, or, where o is zero, is not.
func withOrigin(apps map[agent.AppID]agent.Origin, app agent.AppID, o agent.Origin) map[agent.AppID]agent.Origin {
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

func (f *Fleet) moveRecord(r Result, taken bool) (Result, error) {
	from, ok := f.state.Agents[r.From]
	if !ok || taken {
		return r, fmt.Errorf("%s cannot become %s: there is no agent at the one or already one at the other", r.From,
			r.Address)
	}
	rec := from
	if r.Record.UID != "" {
		rec = withObsolete(r.Record, from.Obsolete...)
	}
	if rec.UID != from.UID {
		return r, fmt.Errorf("%s has the uid %s and cannot become %s with the uid %s", r.From, from.UID, r.Address,
			rec.UID)
	}
	rec = rec.Moved(r.From.Key, r.Address.Key)
	f.dropRecord(r.From)
	f.changed = true
	r = Result{Intent: r.Intent, Address: r.Address, Kind: Moved, From: r.From, Record: rec}
	return r, f.putRecord(r.Address, rec)
}

// putRecord makes r the record at a. It fails, having done nothing, where a uid belongs elsewhere.
func (f *Fleet) putRecord(a agent.Address, r agent.Record) error {
	for i, h := range uidsOf(a, r) {
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
		f.dropRecord(a)
	}
	for _, h := range uidsOf(a, r) {
		f.owner[h] = a
	}
	f.state.Agents[a] = r
	f.changed = true
	return nil
}

func (f *Fleet) dropRecord(a agent.Address) {
	old, had := f.state.Agents[a]
	if !had {
		return
	}
	for _, h := range uidsOf(a, old) {
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
