package apply

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"agentsync/internal/agent"
	"agentsync/internal/state"
)

// errLedger is wrapped by every error of the ledger: from then on nothing more is sent.
var errLedger = errors.New("the journal could not be written")

// book is the ledger and, beside it, what it amounts to: which record each address has and which
// address owns each uid. Whatever changes one changes the other.
type book struct {
	ledger Ledger

	mu      sync.Mutex // guards what follows
	records map[agent.Address]agent.Record
	owners  map[agent.AppID]map[string]agent.Address
	made    map[handle]bool // uids recorded since the book was opened
	leaving map[handle]bool // uids that a request leaves behind, see leave, be its outcome known or not
	broken  error
}

// handle is a uid where it is unique.
type handle struct {
	app agent.AppID
	uid string
}

// newBook returns a book of the records and open intents, with room for so many records.
func newBook(prior map[agent.Address]agent.Record, open []state.Intent, room int) *book {
	b := &book{
		records: make(map[agent.Address]agent.Record, max(room, len(prior))),
		owners:  map[agent.AppID]map[string]agent.Address{}, made: map[handle]bool{}, leaving: map[handle]bool{},
	}
	maps.Copy(b.records, prior)
	for a, r := range b.records {
		b.own(a, r.UID)
		for _, uid := range r.Obsolete {
			b.own(a, uid)
		}
	}
	for _, i := range open {
		// An agent that an open request is about is not free for adoption, but a record says better
		// whose it is: the agent may have been renamed since.
		if _, owned := b.owners[i.Address.ID()][i.UID]; !owned {
			b.own(i.Address, i.UID)
		}
		b.leave(i)
	}
	return b
}

// vanish notes an agent that a list did not show, as the plan says.
func (b *book) vanish(id agent.AppID, uid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaving[handle{id, uid}] = true
}

// leave notes the agent that a request leaves behind: the one that it deletes, or the one that vanished and
// that it makes anew. A listing may show it or not.
func (b *book) leave(i state.Intent) {
	uid := ""
	switch {
	case i.Action == intentDelete:
		uid = i.UID
	case i.Action == intentCreate && i.UID == "": // one that replaces an agent names it, and does not leave it behind
		uid = b.records[i.Address].UID
	}
	if uid != "" {
		b.leaving[handle{i.Address.ID(), uid}] = true
	}
}

func (b *book) own(a agent.Address, uid string) {
	if uid == "" {
		return
	}
	app := b.owners[a.ID()]
	if app == nil {
		app = map[string]agent.Address{}
		b.owners[a.ID()] = app
	}
	app[uid] = a
}

// owner returns the address that the uid belongs to, if any.
func (b *book) owner(id agent.AppID, uid string) (agent.Address, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.owners[id][uid]
	return a, ok
}

func (b *book) record(a agent.Address) (agent.Record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.records[a]
	return r, ok
}

// uids returns the uids of the app's agents that have a record and that a listing must therefore show.
func (b *book) uids(id agent.AppID) []string {
	return b.choose(id, func(uid string) bool { return !b.leaving[handle{id, uid}] })
}

// doubtful returns the uids of the app's agents that a request leaves behind, and that may be there or not.
func (b *book) doubtful(id agent.AppID) []string {
	return b.choose(id, func(uid string) bool { return b.leaving[handle{id, uid}] })
}

// choose returns the uids of agents with a record that ok likes, sorted.
func (b *book) choose(id agent.AppID, ok func(uid string) bool) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var uids []string
	for uid, a := range b.owners[id] {
		if b.records[a].UID == uid && ok(uid) {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	return uids
}

// madeHere reports whether the uid was recorded since the book was opened.
func (b *book) madeHere(id agent.AppID, uid string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.made[handle{id, uid}]
}

// fault returns the ledger's first error.
func (b *book) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

func (b *book) fail(err error) error {
	err = fmt.Errorf("%w: %w", errLedger, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken == nil {
		b.broken = err
	}
	return b.broken
}

func (b *book) intend(i state.Intent) (uint64, error) {
	if err := b.fault(); err != nil {
		return 0, err
	}
	id, err := b.ledger.Intend(i)
	if err != nil {
		return 0, b.fail(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave(i)
	return id, nil
}

// commit stores results. What they say is true of the platform even where storing it fails, so the
// records follow in any case: the rescue of a run whose disk died needs them.
func (b *book) commit(results ...state.Result) error {
	b.mu.Lock()
	for _, r := range results {
		b.follow(r)
	}
	b.mu.Unlock()
	if err := b.ledger.Commit(results...); err != nil {
		return b.fail(err)
	}
	return nil
}

// follow does to the records what state does with the result.
func (b *book) follow(r state.Result) {
	old := b.records[r.Address]
	rec, left := state.After(old, r)
	switch r.Kind {
	case state.Recorded:
		b.own(r.Address, rec.UID)
		b.made[handle{r.Address.ID(), rec.UID}] = true
	case state.Removed:
		delete(b.owners[r.Address.ID()], cmp.Or(r.UID, old.UID))
	default:
		return
	}
	if left {
		b.records[r.Address] = rec
	} else {
		delete(b.records, r.Address)
	}
}
