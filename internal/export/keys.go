package export

import (
	"fmt"
	"strings"

	"agentsync/internal/agent"
	"agentsync/schema"
)

// maxKey is the length of the longest key; see agent.KeyPattern.
const maxKey = 63

// Keys gives agents of one app their keys. The zero value is not ready: use NewKeys.
type Keys struct{ taken map[string]bool }

// NewKeys returns a Keys that never gives one of taken.
func NewKeys(taken map[string]bool) *Keys {
	k := &Keys{taken: make(map[string]bool, len(taken))}
	for key := range taken {
		k.taken[key] = true
	}
	return k
}

// Name makes a key from the fields by which a person tells agents apart: the name, with what else there
// is (a tenant) in front of it and a dot between. Keys are readable and unique: a second agent of the
// same name gets -2. An agent whose name leaves no letter that a key may hold is named by its uid.
func (k *Keys) Name(p *schema.Platform, fields agent.Fields, uid string) string {
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
	for n := 2; k.taken[key]; n++ {
		key = fitKey(base, fmt.Sprintf("-%d", n))
	}
	k.taken[key] = true
	return key
}

// fitKey cuts base so that it makes a key together with suffix.
func fitKey(base, suffix string) string {
	if len(base)+len(suffix) > maxKey {
		base = strings.TrimRight(base[:maxKey-len(suffix)], "-._")
	}
	return base + suffix
}
