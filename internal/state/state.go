package state

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
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
	// Apps says where each app was reached when something was last sent to it. An app that is not in it was
	// never reached, or by an agentsync that did not record it.
	Apps map[agent.AppID]agent.Origin
}

// Clone returns a copy that can be changed without changing s. Documents are shared: they are never
// changed in place.
func (s *State) Clone() *State {
	c := *s
	c.Agents = maps.Clone(s.Agents)
	if c.Agents == nil {
		c.Agents = map[agent.Address]agent.Record{}
	}
	c.Apps = maps.Clone(s.Apps)
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

// handles yields every uid that the record at a stands for: the agent's own, and from 1 on the
// obsolete ones.
func handles(a agent.Address, r agent.Record) iter.Seq2[int, handle] {
	return func(yield func(int, handle) bool) {
		if !yield(0, handle{a.ID(), r.UID}) {
			return
		}
		for i, uid := range r.Obsolete {
			if !yield(i+1, handle{a.ID(), uid}) {
				return
			}
		}
	}
}

// owners returns which address each uid belongs to. The error names a uid that stands twice.
func (s *State) owners() (map[handle]agent.Address, error) {
	m := make(map[handle]agent.Address, len(s.Agents))
	for a, r := range s.Agents {
		for _, h := range handles(a, r) {
			if err := own(m, h, a); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func own(m map[handle]agent.Address, h handle, a agent.Address) error {
	if h.uid == "" {
		return errNoUID(a)
	}
	if other, taken := m[h]; taken {
		return errShared(h, a, other)
	}
	m[h] = a
	return nil
}

func errNoUID(a agent.Address) error {
	return fmt.Errorf("%s: an agent without a uid cannot be kept in state", a)
}

// errShared is the error of a uid that stands at two addresses, or twice at one.
func errShared(h handle, a, b agent.Address) error {
	if a == b {
		return fmt.Errorf("%s: the uid %s stands twice", a, h.uid)
	}
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return fmt.Errorf("%s and %s both have the uid %s: an agent has one address", a, b, h.uid)
}

// NewLineage returns 128 random bits in hexadecimal.
func NewLineage() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program where there is no randomness
	return hex.EncodeToString(b[:])
}
