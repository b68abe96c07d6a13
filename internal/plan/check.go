package plan

import (
	"bytes"
	"encoding/json"
	"slices"

	"agentsync/internal/agent"
)

// Stale is a change that is not what was reviewed.
type Stale struct {
	Address agent.Address
	// Reason says in a clause what is different now.
	Reason string
	// New reports that the reviewed plan does not hold the change at all: apply leaves it out, and
	// nothing that was reviewed is missing for it.
	New bool
}

// The reasons of a Stale.
const (
	reasonLineage = "the plan was made for another state file"
	reasonNothing = "nothing is left to do for it"
	reasonRecord  = "state's record of it changed since"
	reasonDesired = "its manifest changed since"
	reasonChange  = "what would be done is different now"
	reasonNew     = "it was not in the reviewed plan"
	reasonRename  = "its new address is still taken, because the change that would free it is stale"
)

// Check compares what was reviewed with a plan that was made just now, with the saved options, from
// the manifests and the state as they are. It returns what of current may be carried out, and why the
// rest may not, ordered by address. Agents that are merely kept are no change and never stale.
func (s *Saved) Check(current *Plan, lineage string) (holds *Plan, stale []Stale) {
	now := make(map[agent.Address]*Change, len(current.Changes))
	for i := range current.Changes {
		now[current.Changes[i].Address] = &current.Changes[i]
	}
	reviewed := make(map[agent.Address]bool, len(s.Plan.Changes))
	for i := range s.Plan.Changes {
		was := &s.Plan.Changes[i]
		reviewed[was.Address] = was.Action != Kept
		if reason := outdated(was, now[was.Address], s.Lineage == lineage); reason != "" && was.Action != Kept {
			stale = append(stale, Stale{Address: was.Address, Reason: reason})
		}
	}
	for _, ch := range current.Changes {
		if ch.Action != Kept && !reviewed[ch.Address] {
			stale = append(stale, Stale{Address: ch.Address, Reason: reasonNew, New: true})
		}
	}
	stale = append(stale, stuck(current, stale)...)
	slices.SortFunc(stale, func(a, b Stale) int { return a.Address.Compare(b.Address) })
	return current.without(stale), stale
}

// outdated says why a reviewed change does not hold any more, empty if it does.
func outdated(was, is *Change, sameState bool) string {
	switch {
	case !sameState:
		return reasonLineage
	case is == nil:
		return reasonNothing
	case is.Basis == Basis{}:
		return reasonChange // nothing says that it is the same
	case was.Basis.Record != is.Basis.Record:
		return reasonRecord
	case was.Basis.Desired != is.Basis.Desired:
		return reasonDesired
	case !sameChange(was, is):
		return reasonChange
	}
	return ""
}

// sameChange compares what a reviewer saw. Where the agent stands in the manifests does not count.
func sameChange(was, is *Change) bool {
	a, b := was.document(), is.document()
	a.Source, b.Source = nil, nil
	for _, fields := range [][]FieldDocument{a.Fields, b.Fields} {
		for i := range fields {
			fields[i].File = ""
		}
	}
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// Since returns what of p is not as in before, a plan that was reviewed a moment ago, ordered by address.
func (p *Plan) Since(before *Plan) []Stale {
	was := make(map[agent.Address]*Change, len(before.Changes))
	for i := range before.Changes {
		was[before.Changes[i].Address] = &before.Changes[i]
	}
	var stale []Stale
	for i := range p.Changes {
		ch := &p.Changes[i]
		old, reviewed := was[ch.Address]
		delete(was, ch.Address)
		switch {
		case !reviewed && ch.Action != Kept:
			stale = append(stale, Stale{Address: ch.Address, Reason: reasonNew, New: true})
		case reviewed && !sameChange(old, ch):
			stale = append(stale, Stale{Address: ch.Address, Reason: reasonChange})
		}
	}
	for a, ch := range was {
		if ch.Action != Kept {
			stale = append(stale, Stale{Address: a, Reason: reasonNothing})
		}
	}
	slices.SortFunc(stale, func(a, b Stale) int { return a.Address.Compare(b.Address) })
	return stale
}

// stuck returns the renames onto an address whose record a stale rename would have moved away.
func stuck(current *Plan, stale []Stale) []Stale {
	onto := map[agent.Address]*Change{} // renames by their new address
	for i, ch := range current.Changes {
		if !ch.From.IsZero() {
			onto[ch.Address] = &current.Changes[i]
		}
	}
	out := make(map[agent.Address]bool, len(stale))
	for _, s := range stale {
		out[s.Address] = true
	}
	var more []Stale
	for _, s := range stale {
		for ch := onto[s.Address]; ch != nil; {
			ch = onto[ch.From]
			if ch == nil || out[ch.Address] {
				break
			}
			out[ch.Address] = true
			more = append(more, Stale{Address: ch.Address, Reason: reasonRename})
		}
	}
	return more
}

// without returns p without the changes and touches of stale agents. It leaves p alone.
func (p *Plan) without(stale []Stale) *Plan {
	out := make(map[agent.Address]bool, len(stale))
	for _, s := range stale {
		out[s.Address] = true
	}
	rest := *p
	rest.Changes, rest.Touches = nil, nil
	rest.Summary = p.Summary.WithoutChanges()
	for _, ch := range p.Changes {
		if !out[ch.Address] {
			rest.Changes = append(rest.Changes, ch)
			rest.Summary.Count(ch)
		}
	}
	for _, t := range p.Touches {
		if !out[t.Address] {
			rest.Touches = append(rest.Touches, t)
		}
	}
	return &rest
}
