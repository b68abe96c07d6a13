package state

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"agentsync/internal/agent"
)

// Version is the version of the state file that this package reads and writes.
const Version = 1

// State is what is known of all agents. The zero State is that of a fleet without a state file.
type State struct {
	// Serial rises by one each time the file is written. It is 0 before the first time.
	Serial uint64
	// Lineage is random, made once per state file: two files with the same lineage are two moments
	// of one fleet. It is also the key under which secrets are sealed. Empty before it was made.
	Lineage string
	// Agents holds one record per address. No uid stands at two addresses of one app.
	Agents map[agent.Address]agent.Record
}

// Clone returns a copy that can be changed without changing s. Documents are shared: they are never
// changed in place.
func (s *State) Clone() *State {
	c := *s
	c.Agents = maps.Clone(s.Agents)
	if c.Agents == nil {
		c.Agents = map[agent.Address]agent.Record{}
	}
	return &c
}

// Addresses returns the addresses of all agents, sorted.
func (s *State) Addresses() []agent.Address {
	list := slices.AppendSeq(make([]agent.Address, 0, len(s.Agents)), maps.Keys(s.Agents))
	slices.SortFunc(list, agent.Address.Compare)
	return list
}

// handle is a uid where it is unique: uids of different apps have nothing to do with each other.
type handle struct {
	app agent.AppID
	uid string
}

// handles yields every uid that the record at a stands for: the agent's own and the obsolete ones.
func handles(a agent.Address, r agent.Record) func(yield func(handle) bool) {
	return func(yield func(handle) bool) {
		if !yield(handle{a.ID(), r.UID}) {
			return
		}
		for _, uid := range r.Obsolete {
			if !yield(handle{a.ID(), uid}) {
				return
			}
		}
	}
}

// owners returns which address each uid belongs to. The error names a uid that stands twice.
func (s *State) owners() (map[handle]agent.Address, error) {
	m := make(map[handle]agent.Address, len(s.Agents))
	for a, r := range s.Agents {
		for h := range handles(a, r) {
			if err := own(m, h, a); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func own(m map[handle]agent.Address, h handle, a agent.Address) error {
	if h.uid == "" {
		return fmt.Errorf("%s: an agent without a uid cannot be kept in state", a)
	}
	other, taken := m[h]
	switch {
	case !taken:
		m[h] = a
		return nil
	case other == a:
		return fmt.Errorf("%s: the uid %s stands twice", a, h.uid)
	case other.Compare(a) > 0:
		other, a = a, other
	}
	return fmt.Errorf("%s and %s both have the uid %s: an agent has one address", other, a, h.uid)
}

// newLineage returns 128 random bits in hexadecimal.
func newLineage() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program where there is no randomness
	return hex.EncodeToString(b[:])
}
