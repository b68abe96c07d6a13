package plan

import (
	"fmt"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Input is everything that a plan depends on. Build changes none of it.
type Input struct {
	// Desired are the agents of the manifests, in any order, secrets unresolved.
	Desired []agent.Desired
	// Apps are the apps that the manifests name, also those without agents; the apps of Desired count
	// as named. In other apps nothing can be deleted, for nothing says how to reach them.
	Apps map[agent.AppID]bool
	// Places say where the requests of each app go now, Origins where they went, as state has it. Without Places the plan
	// says nothing of that.
	Places  map[agent.AppID]Place
	Origins map[agent.AppID]agent.Origin
	// Prior are the state's records.
	Prior map[agent.Address]agent.Record
	// Live holds a complete list of each app that was looked at. An app that is missing was not looked
	// at: never put a list here that failed or was cut short.
	Live map[agent.AppID][]Live
	// Gone holds, by app, uids of records that the list of Live does not show and of which the platform said
	// itself that there is no such agent. Others that a list does not show are merely unlisted.
	Gone map[agent.AppID]map[string]bool
	// Open are the addresses for which a request without an answer stands in the way of a create: true where it may
	// have made their agent, false where it is about an agent that they have.
	Open map[agent.Address]bool
	// Claimed are, by app, the uids that requests without an answer are about.
	Claimed map[agent.AppID][]string
	// NoAdopt leaves unmanaged agents that equal a wanted one alone: they are then in the way.
	NoAdopt bool
	// AllowDuplicates creates an agent although an unmanaged one of the same identity is there.
	AllowDuplicates bool
	// Sealer seals secrets under the state's lineage. Without its Lookup the values of secrets are
	// unknown, and they are compared by the variables that they are taken from.
	Sealer secret.Sealer
	// Platforms are the platforms' traits by name; each platform of Desired must be there.
	Platforms map[string]*schema.Platform
	// Versions are the versions of the platforms' APIs that the apps are managed by; the first where an app is missing.
	Versions map[agent.AppID]string
	// Targets select agents by address, or by the address that they had before; empty means all.
	Targets []agent.Glob
	// Prune asks for deletes, those that a replace needs included.
	Prune bool
	// Reviewed reports that the plan is for the rest of one that was reviewed: no renames are guessed any more.
	Reviewed bool
	// Unbound leaves each Change's Basis out: the plan can then neither be saved nor be held against a
	// saved one.
	Unbound bool
}

// Live is an agent as its platform shows it now.
type Live struct {
	UID string
	// Content is as an adapter gives it; secrets may be sealed already.
	Content agent.Content
	// Mark is the mark that the agent carries, for whoever takes it over: plans do not look at it.
	Mark string
}

// sorted returns the desired agents by address. It fails on an address that is used twice and on a
// platform without a schema; both are refused with a place before a plan is made.
func (in *Input) sorted() ([]*agent.Desired, error) {
	wanted := make([]*agent.Desired, len(in.Desired))
	for i := range in.Desired {
		wanted[i] = &in.Desired[i]
	}
	byAddress := func(a, b *agent.Desired) int { return a.Address.Compare(b.Address) }
	if !slices.IsSortedFunc(wanted, byAddress) {
		slices.SortFunc(wanted, byAddress)
	}
	for i, d := range wanted {
		if i > 0 && wanted[i-1].Address == d.Address {
			return nil, fmt.Errorf("plan: the address %s is used twice", d.Address)
		}
		if in.Platforms[d.Address.Platform] == nil {
			return nil, fmt.Errorf("plan: no schema describes the platform of %s", d.Address)
		}
	}
	return wanted, nil
}

// schema returns the schema of an app's agents, nil for a platform that is not known.
func (in *Input) schema(id agent.AppID) *schema.Platform {
	p := in.Platforms[id.Platform]
	if p == nil {
		return nil
	}
	return p.Version(in.Versions[id])
}

// LiveOfOtherAPIs returns the lists of the apps in which state knows agents by another version of the API than their
// sections ask for: without them nothing could be said of such an agent, not even that the version knows it.
func (in *Input) LiveOfOtherAPIs() map[agent.AppID][]Live {
	lists := map[agent.AppID][]Live{}
	for a, rec := range in.Prior {
		if s := in.schema(a.ID()); s != nil && rec.API != s.Recorded() && in.Live[a.ID()] != nil {
			lists[a.ID()] = in.Live[a.ID()]
		}
	}
	return lists
}

// targets reports whether any of the addresses is selected.
func (in *Input) targets(addresses ...agent.Address) bool {
	if len(in.Targets) == 0 {
		return true
	}
	for _, g := range in.Targets {
		if slices.ContainsFunc(addresses, g.Match) {
			return true
		}
	}
	return false
}
