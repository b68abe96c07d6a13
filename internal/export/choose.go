package export

import (
	"fmt"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/schema"
)

// Known is what the state and the manifests say of one app before its live agents are looked at.
type Known struct {
	App      agent.AppID
	Platform *schema.Platform
	// Prior are the state's records. Those of other apps do not count.
	Prior map[agent.Address]agent.Record
	// Desired are the agents of the manifests. Those of other apps do not count.
	Desired []agent.Desired
}

// Live is a live agent with the key that it has in manifests, or will have.
type Live struct {
	Key string
	plan.Live
}

// Unmanaged returns the live agents that the state does not know, each with a key that nothing else has.
// An agent is left out, and counted in namesakes, where the manifests want one of the same name that the
// state does not know either: apply finds out whether it is the same, and a second manifest for it would
// make a second agent.
func (k Known) Unmanaged(live []plan.Live) (free []Live, namesakes int) {
	owned := map[string]bool{}
	for addr, rec := range k.Prior {
		if addr.ID() == k.App {
			owned[rec.UID] = true
			for _, uid := range rec.Obsolete {
				// The old half of a replace: it is to be deleted, and must not be taken in as an agent of its own.
				owned[uid] = true
			}
		}
	}
	waiting := map[string]bool{}
	for _, d := range k.Desired {
		if _, known := k.Prior[d.Address]; d.Address.ID() != k.App || known {
			continue
		}
		if name, known := plan.Identity(k.Platform, d.Fields); known {
			waiting[name] = true
		}
	}
	keys := k.takenKeys()
	for _, l := range live {
		fields := l.Content.Fields()
		name, _ := plan.Identity(k.Platform, fields) // no secret is live
		switch {
		case owned[l.UID]:
		case waiting[name]:
			namesakes++
		default:
			free = append(free, Live{keys.Name(k.Platform, fields, l.UID), l})
		}
	}
	return free, namesakes
}

// Managed returns the live agents that the state knows, under the keys that they have there, and counts the
// records that no live agent answers to.
func (k Known) Managed(live []plan.Live) (known []Live, unseen int) {
	keyOf := map[string]string{}
	for addr, rec := range k.Prior {
		if addr.ID() == k.App {
			keyOf[rec.UID] = addr.Key
		}
	}
	for _, l := range live {
		if key := keyOf[l.UID]; key != "" {
			known = append(known, Live{key, l})
		}
	}
	return known, len(keyOf) - len(known)
}

// takenKeys are the app's keys that must not be given again: those in use, and those that a manifest says
// an agent had before, which would make the new one take the place of the old.
func (k Known) takenKeys() Keys {
	taken := Keys{}
	for addr := range k.Prior {
		if addr.ID() == k.App {
			taken[addr.Key] = true
		}
	}
	for _, d := range k.Desired {
		if d.Address.ID() == k.App {
			for _, key := range append(slices.Clone(d.PreviousKeys), d.Address.Key) {
				taken[key] = true
			}
		}
	}
	return taken
}

// maxKey is the length of the longest key; see agent.KeyPattern.
const maxKey = 63

// Keys gives agents of one app their keys, and holds those that were given: none is given twice.
type Keys map[string]bool

// Name makes a key from the fields by which a person tells agents apart: the name, with what else there
// is (a tenant) in front of it and a dot between. Keys are readable and unique: a second agent of the
// same name gets -2. An agent whose name leaves no letter that a key may hold is named by its uid.
func (k Keys) Name(p *schema.Platform, fields agent.Fields, uid string) string {
	base := ""
	for _, f := range p.Fields {
		text, _ := fields[f.Name].(string)
		if slug := agent.Slug(text); f.Identity && slug != "" {
			if base != "" {
				slug += "." + base
			}
			base = slug
		}
	}
	if base == "" {
		base = strings.TrimSuffix("agent-"+agent.Slug(uid), "-")
	}
	key := fitKey(base, "")
	for n := 2; k[key]; n++ {
		key = fitKey(base, fmt.Sprintf("-%d", n))
	}
	k[key] = true
	return key
}

// fitKey cuts base so that it makes a key together with suffix.
func fitKey(base, suffix string) string {
	if len(base)+len(suffix) > maxKey {
		base = strings.TrimRight(base[:maxKey-len(suffix)], "-._")
	}
	return base + suffix
}
