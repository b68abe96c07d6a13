package plan

import (
	"agentsync/internal/agent"
)

// renamer decides which records previousKeys moves. A key stays in previousKeys after it did its
// work, so each case must come to rest: planned again after it was carried out, it moves nothing.
type renamer struct {
	prior  map[agent.Address]agent.Record
	wanted map[agent.Address]*agent.Desired
	// from holds the record that each address takes over, taker its reverse.
	from, taker map[agent.Address]agent.Address
	visiting    map[agent.Address]bool
}

// renames returns, by new address, the address whose record it takes over; nil where there is none.
//
// An address without a record takes over the first previous key that has one, if that key left the
// manifests or is itself handed on by previousKeys (a to b, b to c). An address with a record has been
// renamed before or needs nothing, so its previousKeys are stale; the exception is a ring (a and b
// swap), which is carried out where each agent wants exactly what the other's record holds.
func renames(in *Input, desired []*agent.Desired) (map[agent.Address]agent.Address, error) {
	var movers []*agent.Desired
	for _, d := range desired {
		if len(d.PreviousKeys) > 0 {
			movers = append(movers, d)
		}
	}
	if len(movers) == 0 || len(in.Prior) == 0 {
		return nil, nil
	}
	r := renamer{
		prior: in.Prior, wanted: make(map[agent.Address]*agent.Desired, len(desired)),
		from: map[agent.Address]agent.Address{}, taker: map[agent.Address]agent.Address{},
		visiting: map[agent.Address]bool{},
	}
	for _, d := range desired {
		r.wanted[d.Address] = d
	}
	for _, d := range movers {
		if _, known := r.prior[d.Address]; !known {
			r.takeOver(d)
		}
	}
	return r.from, r.turnRings(in, movers)
}

// takeOver gives d the first record that its previous keys offer, and reports whether there was one.
// Where the record belongs to another wanted agent, that one must get a record of its own first.
func (r *renamer) takeOver(d *agent.Desired) bool {
	r.visiting[d.Address] = true
	defer delete(r.visiting, d.Address)
	for _, old := range r.offers(d) {
		owner := r.wanted[old]
		if owner == nil || !r.visiting[old] && r.from[old].IsZero() && r.takeOver(owner) || !r.from[old].IsZero() {
			r.take(d.Address, old)
			return true
		}
	}
	return false
}

// offers returns the addresses of d's previous keys whose records nobody took over yet.
func (r *renamer) offers(d *agent.Desired) []agent.Address {
	var old []agent.Address
	for _, key := range d.PreviousKeys {
		a := agent.Address{Platform: d.Address.Platform, App: d.Address.App, Key: key}
		_, known := r.prior[a]
		if known && a != d.Address && r.taker[a].IsZero() {
			old = append(old, a)
		}
	}
	return old
}

func (r *renamer) take(to, from agent.Address) {
	r.from[to], r.taker[from] = from, to
}

// turnRings moves the records of addresses that hand their keys on in a ring.
func (r *renamer) turnRings(in *Input, movers []*agent.Desired) error {
	wish := map[agent.Address]agent.Address{}
	for _, d := range movers {
		if _, known := r.prior[d.Address]; !known || !r.from[d.Address].IsZero() || !r.taker[d.Address].IsZero() {
			continue
		}
		old, err := r.prefers(d, in)
		if err != nil {
			return err
		}
		if !old.IsZero() {
			wish[d.Address] = old
		}
	}
	for _, a := range onRings(movers, wish) {
		r.take(a, wish[a])
	}
	return nil
}

// prefers returns the previous key whose record is what d wants, if d's own record is not.
func (r *renamer) prefers(d *agent.Desired, in *Input) (agent.Address, error) {
	offers := r.offers(d)
	if len(offers) == 0 {
		return agent.Address{}, nil
	}
	p := in.schema(d.Address.ID())
	sealed, _ := seal(d, in.Sealer)
	holds := func(a agent.Address) (bool, error) {
		applied, err := decode(a, "applied", r.prior[a].Applied)
		return applied != nil && sameFields(p, applied, sealed), err
	}
	if own, err := holds(d.Address); own || err != nil {
		return agent.Address{}, err
	}
	for _, old := range offers {
		if ok, err := holds(old); ok || err != nil {
			return old, err
		}
	}
	return agent.Address{}, nil
}

// onRings follows the wishes of the movers and returns the addresses from which they lead back to the
// same address. Each wish is followed once.
func onRings(movers []*agent.Desired, wish map[agent.Address]agent.Address) []agent.Address {
	var found []agent.Address
	seen := make(map[agent.Address]int, len(wish)) // in which walk, counted from 1
	for i, d := range movers {
		at := d.Address
		for !wish[at].IsZero() && seen[at] == 0 {
			seen[at] = i + 1
			at = wish[at]
		}
		if wish[at].IsZero() || seen[at] != i+1 {
			continue // it ends, or runs into an earlier walk
		}
		for first := at; ; {
			found = append(found, at)
			if at = wish[at]; at == first {
				break
			}
		}
	}
	return found
}
