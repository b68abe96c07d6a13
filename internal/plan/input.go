package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	// Places say where the requests of each app go now, Origins where they went, as state has it. Without Places the
	// plan says nothing of that.
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
	// Mark is the mark that the agent carries, empty for none.
	Mark string
}

// byAddress indexes agents of the manifests.
func byAddress(desired []agent.Desired) map[agent.Address]*agent.Desired {
	wanted := make(map[agent.Address]*agent.Desired, len(desired))
	for i := range desired {
		wanted[desired[i].Address] = &desired[i]
	}
	return wanted
}

// sortedAgents returns the desired agents by address. It fails on an address that is used twice and on a
// platform without a schema; both are refused with a place before a plan is made.
func (in *Input) sortedAgents() ([]*agent.Desired, error) {
	wanted := make([]*agent.Desired, len(in.Desired))
	for i := range in.Desired {
		wanted[i] = &in.Desired[i]
	}
	slices.SortFunc(wanted, func(a, b *agent.Desired) int { return a.Address.Compare(b.Address) })
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

// schemaOf returns the schema of an app's agents, nil for a platform that is not known.
func (in *Input) schemaOf(id agent.AppID) *schema.Platform {
	p := in.Platforms[id.Platform]
	if p == nil {
		return nil
	}
	return p.Version(in.Versions[id])
}

// LiveNeeded returns the lists of the apps with agents of which the state says too little to make a plan of it: those
// that it knows by another version of the API than their sections ask for, where not even that the version knows them
// is certain, and those of which it knows the uid alone.
func (in *Input) LiveNeeded() map[agent.AppID][]Live {
	lists := map[agent.AppID][]Live{}
	for a, rec := range in.Prior {
		s := in.schemaOf(a.ID())
		if s != nil && in.Live[a.ID()] != nil && (rec.API != s.Recorded() || isBare(&rec)) {
			lists[a.ID()] = in.Live[a.ID()]
		}
	}
	return lists
}

// isBare reports whether no more is known of an agent than its uid.
func isBare(rec *agent.Record) bool { return rec.Applied == nil && rec.Observed == nil }

// isTarget reports whether any of the addresses is selected.
func (in *Input) isTarget(addresses ...agent.Address) bool {
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

// listings are the lists of the apps that were looked at.
type listings map[agent.AppID]listing

// listing is what one list shows.
type listing struct {
	agents map[string]*Live // by uid
	// doubted reports that the list shows none of the agents that state knows: it is more likely cut short, or of
	// another app, than true.
	doubted bool
}

// indexLists reads the lists of the input. It returns as well the agents that no record owns and the apps
// whose list is doubted.
func indexLists(in *Input) (l listings, unmanaged []Unmanaged, doubted []agent.AppID) {
	if len(in.Live) == 0 {
		return nil, nil, nil
	}
	owned, known := in.ownedUIDs(), map[agent.AppID]bool{}
	for a := range in.Prior {
		known[a.ID()] = true
	}
	l = make(listings, len(in.Live))
	for id, list := range in.Live {
		one := listing{agents: make(map[string]*Live, len(list)), doubted: known[id]}
		for i := range list {
			live := &list[i]
			one.agents[live.UID] = live
			if owned[id][live.UID] {
				one.doubted = false
				continue
			}
			unmanaged = append(unmanaged, Unmanaged{App: id, UID: live.UID,
				Name: identityFields(in.schemaOf(id), live.Content)})
		}
		if l[id] = one; one.doubted {
			doubted = append(doubted, id)
		}
	}
	slices.SortFunc(unmanaged, func(a, b Unmanaged) int {
		return cmp.Or(a.App.Compare(b.App), cmp.Compare(a.UID, b.UID))
	})
	slices.SortFunc(doubted, agent.AppID.Compare)
	return l, unmanaged, doubted
}

// identityFields returns the fields by which a person tells agents apart.
func identityFields(p *schema.Platform, c agent.Content) agent.Fields {
	name := agent.Fields{}
	if p == nil {
		return name
	}
	for _, field := range p.Fields {
		if !field.Identity {
			continue
		}
		if v, ok := c.Value(field.Name).(string); ok {
			name[field.Name] = v
		}
	}
	return name
}

// isListed reports whether there is a list of the app that is believed.
func (l listings) isListed(id agent.AppID) bool {
	list, listed := l[id]
	return listed && !list.doubted
}

// notListed reports whether the app was listed and the list, believed or not, does not show the uid.
func (l listings) notListed(id agent.AppID, uid string) bool {
	list, listed := l[id]
	return listed && list.agents[uid] == nil
}

// hasVanished is notListed of a list that is believed.
func (l listings) hasVanished(id agent.AppID, uid string) bool {
	return l.isListed(id) && l.notListed(id, uid)
}

// shown returns what the list of the app says of an agent, the zero Live where that is nothing or not believed.
func (l listings) shown(id agent.AppID, uid string) Live {
	if live := l[id].agents[uid]; live != nil && !l[id].doubted {
		return *live
	}
	return Live{}
}

// isUnchanged reports whether the agent is certainly as it was observed, or nothing says what it is. It may report
// false for an agent that did not change. wanted is what was applied.
func (l listings) isUnchanged(id agent.AppID, rec *agent.Record, wanted agent.Fields, s secret.Sealer) bool {
	content := l.shown(id, rec.UID).Content
	if content.IsZero() {
		return true // what is not listed, or cannot be read, is not known
	}
	if rec.Observed == nil {
		return false
	}
	doc, _ := ObservedDoc(content, wanted, s) // with an error it is nil
	return bytes.Equal(doc, rec.Observed)
}

// shownFields returns the live agent's fields, sealed, with what the platform hides of its secrets put in
// as it was observed; nil where the app was not listed. like is what was applied.
func (l listings) shownFields(p *schema.Platform, id agent.AppID, uid string, observed, like agent.Fields,
	s secret.Sealer) agent.Fields {
	content := l.shown(id, uid).Content
	if content.IsZero() { // what cannot be read is not known
		return nil
	}
	raw := content.Fields()
	sealed := SealAnswer(raw, like, s)
	for _, f := range p.Fields {
		for _, pointer := range f.Secret {
			sealed = agent.Fields(unhideAt(agent.SplitPointer(pointer), map[string]any(raw), map[string]any(sealed),
				map[string]any(observed)).(map[string]any))
		}
	}
	return sealed
}

// unhideAt returns sealed with the secret at the path replaced by what was observed, as far as raw hides it. Maps on
// the way are copied.
func unhideAt(path []string, raw, sealed, observed any) any {
	if len(path) == 0 {
		return unhideValue(raw, sealed, observed)
	}
	token := path[0]
	r, _ := raw.(map[string]any)
	o, _ := observed.(map[string]any)
	s, ok := sealed.(map[string]any)
	if !ok {
		return sealed
	}
	v := unhideAt(path[1:], r[token], s[token], o[token])
	if v == nil {
		return sealed
	}
	filled := make(map[string]any, len(s)+1)
	maps.Copy(filled, s)
	filled[token] = v
	return filled
}

// unhideValue decides for one secret, or a map of them. A list that leaves secrets out, or masks them, says
// nothing about them; once it shows one in clear, those that are missing are gone.
func unhideValue(raw, sealed, observed any) any {
	if hidesSecret(raw) && observed != nil {
		return observed
	}
	r, ok := raw.(map[string]any)
	o, ok2 := observed.(map[string]any)
	if !ok || !ok2 {
		return sealed
	}
	s := sealed.(map[string]any)
	filled := make(map[string]any, len(s))
	for k, v := range s {
		filled[k] = unhideValue(r[k], v, o[k])
	}
	if allHide(r) {
		for k, v := range o {
			if _, ok := r[k]; !ok {
				filled[k] = v
			}
		}
	}
	return filled
}

func allHide(m map[string]any) bool {
	for _, v := range m {
		if !hidesSecret(v) {
			return false
		}
	}
	return true
}

// hidesSecret reports whether a value that stands in a secret field is none: missing, empty or masked.
func hidesSecret(v any) bool {
	if text, ok := v.(secret.Text); ok {
		s, err := text.Reveal()
		return err == nil && isMask(s)
	}
	return v == nil || isEmpty(v)
}

// isMask reports whether a platform answered a mask in place of a secret: stars or dots in a row, or a
// word that says so. A real credential holds none of these.
func isMask(s string) bool {
	s = strings.ToLower(s)
	return s == "" || strings.Contains(s, "***") || strings.Contains(s, "•••") ||
		slices.Contains([]string{"redacted", "[redacted]", "<redacted>", "(redacted)", "hidden", "masked"}, s)
}

// Masked reports whether what a platform answered in a secret field is a mask in place of the secret,
// or empty, so that it says nothing of the secret's value.
func Masked(t secret.Text) bool { return hidesSecret(t) }
