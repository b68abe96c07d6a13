package state

import (
	"fmt"
	"maps"
	"slices"

	"agentsync/internal/agent"
)

// book is a state that results are entered into, and the intents that are open beside it. It keeps
// every uid at one address, so that what is written can always be read again.
type book struct {
	state   *State
	owner   map[handle]agent.Address
	open    map[uint64]Intent
	changed bool // the state differs from what it was
}

func newBook(s *State, open []Intent) (*book, error) {
	b := &book{state: s.Clone(), open: make(map[uint64]Intent, len(open))}
	for _, i := range open {
		b.open[i.ID] = i
	}
	var err error
	b.owner, err = s.owners()
	return b, err
}

// enter enters all results or, with an error, none. It completes them in place, so that they can be
// replayed without knowing the state that they were made for.
func (b *book) enter(results []Result) error {
	var before map[agent.Address]agent.Record
	if len(results) > 1 || results[0].Kind == Moved { // any other alone, where it fails, did nothing
		before = map[agent.Address]agent.Record{}
	}
	changed := b.changed
	for i, r := range results {
		if before != nil {
			for _, a := range [...]agent.Address{r.Address, r.From} {
				if _, known := before[a]; !known {
					before[a] = b.state.Agents[a]
				}
			}
		}
		var err error
		if results[i], err = b.enterOne(r); err != nil {
			b.restore(before)
			b.changed = changed
			return err
		}
	}
	for _, r := range results {
		delete(b.open, r.Intent)
	}
	return nil
}

// restore puts records back; one without a uid stands for none.
func (b *book) restore(before map[agent.Address]agent.Record) {
	for a := range before {
		b.drop(a)
	}
	for a, r := range before {
		if r.UID != "" {
			_ = b.put(a, r) // it stood there before
		}
	}
}

func (b *book) enterOne(r Result) (Result, error) {
	if r.Address.IsZero() && r.Kind != Voided {
		return r, fmt.Errorf("a result without an address: %s", r.Kind)
	}
	old, had := b.state.Agents[r.Address]
	switch r.Kind {
	case Voided:
		return Result{Intent: r.Intent, Address: r.Address, Kind: Voided}, nil
	case Recorded:
		r.Record, _ = After(old, r)
		return Result{Intent: r.Intent, Address: r.Address, Kind: Recorded, Record: r.Record}, b.put(r.Address, r.Record)
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
			b.drop(r.Address)
			b.changed = true
			return r, nil
		}
		return r, b.put(r.Address, rest)
	case Moved:
		return b.move(r, had)
	default:
		return r, fmt.Errorf("%s: a result of no known kind: %d", r.Address, r.Kind)
	}
}

func (b *book) move(r Result, taken bool) (Result, error) {
	from, ok := b.state.Agents[r.From]
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
	b.drop(r.From)
	b.changed = true
	return Result{Intent: r.Intent, Address: r.Address, Kind: Moved, From: r.From, Record: rec}, b.put(r.Address, rec)
}

// put makes r the record at a. It fails, having done nothing, where a uid belongs elsewhere.
func (b *book) put(a agent.Address, r agent.Record) error {
	for i, h := range handles(a, r) {
		other, taken := b.owner[h]
		switch {
		case h.uid == "":
			return errNoUID(a)
		case taken && other != a:
			return errShared(h, a, other)
		case i > 0 && (h.uid == r.UID || slices.Contains(r.Obsolete[:i-1], h.uid)):
			return errShared(h, a, a)
		}
	}
	old, had := b.state.Agents[a]
	if had && equalRecord(old, r) {
		return nil
	}
	if had {
		b.drop(a)
	}
	for _, h := range handles(a, r) {
		b.owner[h] = a
	}
	b.state.Agents[a] = r
	b.changed = true
	return nil
}

func (b *book) drop(a agent.Address) {
	old, had := b.state.Agents[a]
	if !had {
		return
	}
	for _, h := range handles(a, old) {
		delete(b.owner, h)
	}
	delete(b.state.Agents, a)
}

// intents returns what is open, oldest first.
func (b *book) intents() []Intent {
	return sortedIntents(b.open)
}

func sortedIntents(open map[uint64]Intent) []Intent {
	var list []Intent
	for _, id := range slices.Sorted(maps.Keys(open)) {
		list = append(list, open[id])
	}
	return list
}
