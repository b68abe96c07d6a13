package state

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
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

// platformUID is a uid where it is unique: uids of different apps have nothing to do with each other.
type platformUID struct {
	app agent.AppID
	uid string
}

// uidsOf yields every uid that the record at a stands for: the agent's own, and from 1 on the
// obsolete ones.
func uidsOf(a agent.Address, r agent.Record) iter.Seq2[int, platformUID] {
	return func(yield func(int, platformUID) bool) {
		if !yield(0, platformUID{a.ID(), r.UID}) {
			return
		}
		for i, uid := range r.Obsolete {
			if !yield(i+1, platformUID{a.ID(), uid}) {
				return
			}
		}
	}
}

// ownersByUID returns which address each uid belongs to. The error names a uid that stands twice.
func (s *State) ownersByUID() (map[platformUID]agent.Address, error) {
	m := make(map[platformUID]agent.Address, len(s.Agents))
	for a, r := range s.Agents {
		for _, h := range uidsOf(a, r) {
			if err := claimUID(m, h, a); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func claimUID(m map[platformUID]agent.Address, h platformUID, a agent.Address) error {
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
func errShared(h platformUID, a, b agent.Address) error {
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

// After returns the record that r leaves at its address, where old stood before (the zero Record for
// none), and whether one is left. It is for Recorded and Removed; the other kinds leave old.
func After(old agent.Record, r Result) (agent.Record, bool) {
	switch {
	case r.Kind == Recorded:
		if r.Record.FormerKeys == nil { // they belong to the address: who records an agent need not know them
			r.Record.FormerKeys = old.FormerKeys
		}
		return withObsolete(r.Record, append(slices.Clip(old.Obsolete), old.UID)...), true
	case r.Kind == Removed && old.UID != "":
		gone := cmp.Or(r.UID, old.UID)
		return withoutUIDs(old, func(uid string) bool { return uid == gone })
	default:
		return old, old.UID != ""
	}
}

// withoutUIDs returns what is left of r once the uids that gone reports have left it, and whether
// anything is. An obsolete agent takes the place of the current one: it may still be live, and a
// uid leaves the state only when somebody says so.
func withoutUIDs(r agent.Record, gone func(uid string) bool) (agent.Record, bool) {
	if slices.ContainsFunc(r.Obsolete, gone) {
		r.Obsolete = slices.DeleteFunc(slices.Clone(r.Obsolete), gone)
	}
	if !gone(r.UID) {
		return trimObsolete(r), true
	}
	n := len(r.Obsolete)
	if n == 0 {
		return agent.Record{}, false
	}
	// What is known of the content and the mark is the other agent's.
	return trimObsolete(agent.Record{UID: r.Obsolete[n-1], Obsolete: r.Obsolete[: n-1 : n-1], Protect: r.Protect,
		API: r.API, FormerKeys: r.FormerKeys}), true
}

// trimObsolete makes an empty list of obsolete uids nil, so that equal records are equal in every respect.
func trimObsolete(r agent.Record) agent.Record {
	if len(r.Obsolete) == 0 {
		r.Obsolete = nil
	}
	return r
}

// withObsolete returns r with more obsolete uids: each once, and never r's own.
func withObsolete(r agent.Record, more ...string) agent.Record {
	if len(r.Obsolete) == 0 && !slices.ContainsFunc(more, func(uid string) bool { return uid != "" && uid != r.UID }) {
		return trimObsolete(r) // the usual case
	}
	list := make([]string, 0, len(r.Obsolete)+len(more))
	for _, uid := range append(slices.Clip(more), r.Obsolete...) {
		if uid != r.UID && uid != "" && !slices.Contains(list, uid) {
			list = append(list, uid)
		}
	}
	r.Obsolete = list
	return trimObsolete(r)
}

func equalRecord(a, b agent.Record) bool {
	return a.UID == b.UID && a.API == b.API && a.Mark == b.Mark && a.Protect == b.Protect &&
		equalDoc(a.Applied, b.Applied) &&
		equalDoc(a.Observed, b.Observed) && slices.Equal(a.Obsolete, b.Obsolete) &&
		slices.Equal(a.FormerKeys, b.FormerKeys)
}

func equalDoc(a, b agent.Doc) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}

// equalContent reports whether two states say the same, serial and lineage aside.
func equalContent(a, b *State) bool {
	if len(a.Agents) != len(b.Agents) || !maps.Equal(a.Apps, b.Apps) {
		return false
	}
	for addr, r := range a.Agents {
		if other, ok := b.Agents[addr]; !ok || !equalRecord(r, other) {
			return false
		}
	}
	return true
}

// nextWritten returns s as it is written next, serial and lineage seen to, and its content.
func (s *State) nextWritten() (*State, []byte, error) {
	next := *s
	next.Serial++
	if next.Lineage == "" {
		next.Lineage = NewLineage()
	}
	content, err := next.Encode()
	return &next, content, err
}

// PublicLineage is the lineage of a state that Public made.
const PublicLineage = "public"

// errPublic: see State.Public.
var errPublic = errors.New("this state was made by 'agentsync state pull --public', for plans alone: it lacks what an apply needs")

// Public returns a copy without the lineage and the hashes of secrets, for those who may plan and not apply. No File
// writes it.
func (s *State) Public() (*State, error) {
	p := s.Clone()
	p.Lineage = PublicLineage
	for a, r := range p.Agents {
		for _, doc := range []*agent.Doc{&r.Applied, &r.Observed} {
			if *doc == nil {
				continue
			}
			fields, err := doc.Fields()
			if err == nil {
				agent.Walk("", map[string]any(fields), func(_ string, leaf any) any {
					if _, isSecret := leaf.(secret.Sealed); isSecret {
						return secret.Sealed{}
					}
					return leaf
				})
				*doc, err = agent.Encode(fields)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a, err)
			}
		}
		p.Agents[a] = r
	}
	return p, nil
}
