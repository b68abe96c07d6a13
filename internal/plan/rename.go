package plan

import (
	"slices"

	"agentsync/internal/agent"
	"agentsync/schema"
)

// renamer decides which records get another address. Manifests say it with previousKeys, and a key stays there after it did
// its work; the state says it with the keys that a record had before, so that the revert of a rename moves back. Each case must
// come to rest: planned again after it was carried out, it moves nothing.
type renamer struct {
	in     *Input
	wanted map[agent.Address]*agent.Desired
	// former holds, by a former address, the addresses of the records that had it, in order.
	former map[agent.Address][]agent.Address
	// from holds the record that each address takes over, taker its reverse.
	from, taker map[agent.Address]agent.Address
	visiting    map[agent.Address]bool
}

// renames returns, by new address, the address whose record it takes over; nil where there is none.
//
// An address without a record takes over the record of the first previous key that has one; where the manifest names no
// previous keys, the one record that had this address before. The record's own address must have left the manifests or be
// handed on itself (a to b, b to c). Where all addresses of a ring have records (a and b swap), each member must ask for the
// record of the next one: see turnRings. In every other case an address with a record keeps it: it was renamed before.
func renames(in *Input, desired []*agent.Desired) (map[agent.Address]agent.Address, error) {
	former := formerAddresses(in)
	var movers []*agent.Desired
	for _, d := range desired {
		if len(d.PreviousKeys) > 0 || d.PreviousKeys == nil && former[d.Address] != nil {
			movers = append(movers, d)
		}
	}
	if len(movers) == 0 || len(in.Prior) == 0 {
		return nil, nil
	}
	r := renamer{
		in: in, wanted: make(map[agent.Address]*agent.Desired, len(desired)), former: former,
		from: map[agent.Address]agent.Address{}, taker: map[agent.Address]agent.Address{},
		visiting: map[agent.Address]bool{},
	}
	for _, d := range desired {
		r.wanted[d.Address] = d
	}
	for _, d := range movers {
		if _, known := in.Prior[d.Address]; known {
			continue
		}
		if _, err := r.takeOver(d); err != nil {
			return nil, err
		}
	}
	return r.from, r.turnRings(movers)
}

// formerAddresses returns, by a former address, where the records stand that had it; nil where no record was renamed.
func formerAddresses(in *Input) map[agent.Address][]agent.Address {
	var former map[agent.Address][]agent.Address
	for a, rec := range in.Prior {
		for _, key := range rec.FormerKeys {
			if former == nil {
				former = map[agent.Address][]agent.Address{}
			}
			old := withKey(a, key)
			former[old] = append(former[old], a)
		}
	}
	for _, at := range former {
		slices.SortFunc(at, agent.Address.Compare)
	}
	return former
}

func withKey(a agent.Address, key string) agent.Address {
	a.Key = key
	return a
}

// takeOver gives d a record that it may have, and reports whether there was one. Where the record belongs to another wanted
// agent, that one must get a record of its own first.
func (r *renamer) takeOver(d *agent.Desired) (bool, error) {
	r.visiting[d.Address] = true
	defer delete(r.visiting, d.Address)
	for _, old := range r.offers(d) {
		owner := r.wanted[old]
		free := owner == nil || !r.from[old].IsZero()
		if !free && !r.visiting[old] {
			handsOn, err := r.handsOn(d, owner)
			if err != nil {
				return false, err
			}
			if handsOn {
				if free, err = r.takeOver(owner); err != nil {
					return false, err
				}
			}
		}
		if free {
			r.take(d.Address, old)
			return true, nil
		}
	}
	return false, nil
}

// handsOn reports whether the owner of a record may get another one so that d can have it. A manifest says so with
// previousKeys. Without, it is the revert of a chain, where the owner wants exactly what that other record holds: nobody
// else's new agent may send a known one through two addresses.
func (r *renamer) handsOn(d, owner *agent.Desired) (bool, error) {
	if len(d.PreviousKeys) > 0 && len(owner.PreviousKeys) > 0 {
		return true, nil
	}
	content := r.contentOf(owner)
	if own, err := content.in(owner.Address); own || err != nil {
		return false, err
	}
	meant, err := content.first(r.offers(owner))
	return !meant.IsZero(), err
}

// offers returns the addresses whose records d may take over and nobody took yet: those of its previous keys or, where it names
// none, that of the one agent which had d's address before and left the manifests or may be handed on. Of several, nobody can
// say which one is meant.
func (r *renamer) offers(d *agent.Desired) []agent.Address {
	var old []agent.Address
	offer := func(a agent.Address) {
		_, known := r.in.Prior[a]
		if known && a != d.Address && r.taker[a].IsZero() {
			old = append(old, a)
		}
	}
	for _, key := range d.PreviousKeys {
		offer(withKey(d.Address, key))
	}
	if d.PreviousKeys == nil {
		for _, a := range r.former[d.Address] {
			offer(a)
		}
		if len(old) > 1 {
			return nil
		}
	}
	return old
}

func (r *renamer) take(to, from agent.Address) {
	r.from[to], r.taker[from] = from, to
}

// turnRings moves the records of addresses that hand their keys on in a ring.
func (r *renamer) turnRings(movers []*agent.Desired) error {
	wish := map[agent.Address]agent.Address{}
	for _, d := range movers {
		rec, known := r.in.Prior[d.Address]
		if !known || !r.from[d.Address].IsZero() || !r.taker[d.Address].IsZero() {
			continue
		}
		offers := r.offers(d)
		if len(offers) == 0 {
			continue
		}
		content := r.contentOf(d)
		own, err := content.in(d.Address)
		if err != nil {
			return err
		}
		if own {
			continue // it has what it wants, also where a lost state forgot that it was renamed
		}
		asked := slices.IndexFunc(offers, func(a agent.Address) bool {
			return len(d.PreviousKeys) > 0 && !slices.Contains(rec.FormerKeys, a.Key)
		})
		if asked >= 0 {
			wish[d.Address] = offers[asked]
			continue
		}
		// What it asks for was done before, or it asks for nothing: a swap back is known by what the agents want.
		meant, err := content.first(offers)
		if err != nil {
			return err
		}
		if !meant.IsZero() {
			wish[d.Address] = meant
		}
	}
	for _, a := range onRings(movers, wish) {
		r.take(a, wish[a])
	}
	return nil
}

// wantedContent is what one agent wants, to be found in records.
type wantedContent struct {
	prior  map[agent.Address]agent.Record
	schema *schema.Platform
	fields agent.Fields // sealed
}

func (r *renamer) contentOf(d *agent.Desired) wantedContent {
	sealed, _ := seal(d, r.in.Sealer)
	return wantedContent{r.in.Prior, r.in.schema(d.Address.ID()), sealed}
}

// in reports whether the record at a holds exactly what is wanted.
func (c wantedContent) in(a agent.Address) (bool, error) {
	applied, err := decode(a, "applied", c.prior[a].Applied)
	return applied != nil && sameFields(c.schema, applied, c.fields), err
}

// first returns the first of the addresses whose record holds exactly what is wanted, zero for none.
func (c wantedContent) first(addresses []agent.Address) (agent.Address, error) {
	for _, a := range addresses {
		if ok, err := c.in(a); ok || err != nil {
			return a, err
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
