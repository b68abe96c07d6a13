package plan

import (
	"maps"
	"slices"

	"agentsync/internal/agent"
)

// Place is where an app's requests and its API key go, by the manifests and the environment as they are.
type Place struct {
	agent.Origin
	// Foreign reports that the address is neither the platform's own, as it documents it, nor on this machine.
	Foreign bool
}

// Origin is what a plan says of where the requests of one app go.
type Origin struct {
	App agent.AppID
	// Before is where they went until now, zero where state does not know.
	Before agent.Origin
	// After is where they go from now on.
	After agent.Origin
	// Foreign reports that After is neither the platform's own address nor on this machine.
	Foreign bool
}

// Changed reports whether requests, or the key that goes with them, went somewhere else before.
func (o Origin) Changed() bool { return o.Before != (agent.Origin{}) && o.Before != o.After }

// origins compares where requests go with where they went. It returns the apps where that is another place now, and those
// whose address is a foreign one, ordered by app: a reviewer must see both, whatever else is in the plan.
func (in *Input) origins() []Origin {
	var all []Origin
	for _, id := range slices.SortedFunc(maps.Keys(in.Places), agent.AppID.Compare) {
		place := in.Places[id]
		o := Origin{App: id, Before: in.Origins[id], After: place.Origin, Foreign: place.Foreign}
		if o.Foreign || o.Changed() {
			all = append(all, o)
		}
	}
	return all
}

// Moved returns the apps of places whose requests would go elsewhere than when the plan was saved, ordered. Such a plan was
// made for another environment, and nothing in it holds.
func (s *Saved) Moved(places map[agent.AppID]Place) []Origin {
	var moved []Origin
	for id, place := range places {
		was, reviewed := s.origins[id]
		if reviewed && was != place.Origin { // the agents of an app that is new are not in the plan at all
			moved = append(moved, Origin{App: id, Before: was, After: place.Origin, Foreign: place.Foreign})
		}
	}
	slices.SortFunc(moved, func(a, b Origin) int { return a.App.Compare(b.App) })
	return moved
}
