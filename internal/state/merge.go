package state

import (
	"fmt"
	"maps"
	"slices"

	"agentsync/internal/agent"
)

// merge returns the state with the journal's results in it. s may be the state that the journal was
// begun for, one that holds some or all of the results already (a crash after the rename), or an
// older or newer one that git put there; nil stands for none. The rules, none of which loses a uid:
//
//   - a uid that the journal removed is gone, wherever it stands;
//   - a record for an address that s does not have is added;
//   - where both have the same uid, the journal's record counts if s is no newer than the state that
//     the journal was begun for, else that of s;
//   - where the one lists the other's uid as obsolete, the one counts;
//   - else the two name different agents, and the error says so.
//   - of an app's two origins that of the newer counts, by the same rule.
//
// So merging twice is merging once.
func (p *replay) merge(s *State) (*State, error) {
	if s == nil {
		s = &State{Serial: p.header.serial, Lineage: p.header.lineage}
	}
	if p.results == 0 {
		return s.Clone(), nil
	}
	m := merger{into: s.Clone(), journal: p, newer: s.Serial <= p.header.serial}
	m.into.Serial = max(s.Serial, p.header.serial)
	if err := m.cleanState(); err != nil {
		return nil, err
	}
	for app, o := range p.apps {
		m.locate(app, o)
	}
	for _, a := range slices.SortedFunc(maps.Keys(p.records), agent.Address.Compare) {
		if err := m.add(a, p.records[a]); err != nil {
			return nil, err
		}
	}
	if _, err := m.into.owners(); err != nil {
		return nil, p.conflict(place{}, err.Error())
	}
	return m.into, nil
}

type merger struct {
	into    *State
	journal *replay
	newer   bool                     // the journal is the newer of the two
	stateOf map[handle]agent.Address // where into has each uid
}

// cleanState takes out of the state what the journal removed, and, where the journal is the newer,
// what it has at another address.
func (m *merger) cleanState() error {
	at := make(map[handle]agent.Address, len(m.journal.records))
	for a, r := range m.journal.records {
		for _, h := range handles(a, r) {
			if err := own(at, h, a); err != nil {
				return m.journal.conflict(m.journal.lines[a], err.Error())
			}
		}
	}
	m.stateOf = make(map[handle]agent.Address, len(m.into.Agents))
	for a, r := range m.into.Agents {
		rest, ok := without(r, func(uid string) bool {
			h := handle{a.ID(), uid}
			other, moved := at[h]
			return m.journal.removed[h] || m.newer && moved && other != a
		})
		if !ok {
			delete(m.into.Agents, a)
			continue
		}
		m.into.Agents[a] = rest
		for _, h := range handles(a, rest) {
			m.stateOf[h] = a
		}
	}
	return nil
}

// locate adds an app's origin as the journal has it; a zero one says that the app was forgotten.
func (m *merger) locate(app agent.AppID, o agent.Origin) {
	if _, known := m.into.Apps[app]; !known || m.newer {
		m.into.Apps = located(m.into.Apps, app, o)
	}
}

func (m *merger) add(a agent.Address, r agent.Record) error {
	r, ok := without(r, func(uid string) bool {
		other, taken := m.stateOf[handle{a.ID(), uid}]
		return taken && other != a // only where the state is the newer: it moved the agent on
	})
	if !ok {
		return nil
	}
	x, there := m.into.Agents[a]
	switch {
	case !there:
	case x.UID == r.UID && m.newer, slices.Contains(r.Obsolete, x.UID):
		r = withObsolete(r, x.Obsolete...)
	case x.UID == r.UID, slices.Contains(x.Obsolete, r.UID):
		r = withObsolete(x, r.Obsolete...)
	default:
		return m.journal.conflict(m.journal.lines[a],
			fmt.Sprintf("%s is the agent %s by this journal and the agent %s by the state file", a, r.UID, x.UID))
	}
	m.into.Agents[a] = r
	return nil
}

// conflict is the error of a journal and a state that cannot both be right.
func (p *replay) conflict(at place, detail string) error {
	return &FormatError{Name: p.name, Reason: Conflict, Line: at.line, Offset: at.offset, Detail: detail,
		Hint: fmt.Sprintf("put back the state file that the journal was begun for, serial %d of lineage %s, and apply; or find out at the platform which agent is the right one, and delete the other there: if it is the state file's,\n", p.header.serial, p.header.lineage) +
			"  mv " + quote(p.name) + " " + quote(p.name+".damaged") + "\n" +
			"if it is the journal's, the same, and then: agentsync import ADDRESS UID"}
}

// foreign is the error of a journal that belongs to another state.
func (p *replay) foreign(state string, s *State) error {
	return &FormatError{Name: p.name, Reason: Foreign, Line: 1,
		Detail: fmt.Sprintf("the journal belongs to the state with lineage %s, and %s has lineage %s", p.header.lineage, state, s.Lineage),
		Hint:   "put back the state file that the journal belongs to, and apply; or give this journal up: " + journalHint(p.name)}
}

// Merge takes over what other knows and s does not: the way back for a rescued state. Records of the
// same agent are taken from the one with the higher serial. The error names the two uids where an
// address is another agent in each; s is then as it was.
func (s *State) Merge(other *State) error {
	if s.Lineage != "" && other.Lineage != s.Lineage {
		return fmt.Errorf("the states are of different fleets: lineage %s and %s", s.Lineage, other.Lineage)
	}
	m := merger{into: s.Clone(), newer: other.Serial >= s.Serial, journal: &replay{records: other.Agents}}
	if err := m.cleanState(); err != nil {
		return err
	}
	for app, o := range other.Apps {
		m.locate(app, o)
	}
	for _, a := range other.Addresses() {
		r, x := other.Agents[a], m.into.Agents[a]
		if err := m.add(a, r); err != nil {
			return fmt.Errorf("%s is the agent %s in one state and the agent %s in the other", a, x.UID, r.UID)
		}
	}
	if _, err := m.into.owners(); err != nil {
		return err
	}
	m.into.Lineage, m.into.Serial = other.Lineage, max(s.Serial, other.Serial)
	*s = *m.into
	return nil
}
