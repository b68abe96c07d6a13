package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"agentsync/internal/agent"
)

// journalReplay is what a journal amounts to, without the state that it was written for.
type journalReplay struct {
	name   string
	header journalHeader
	// apps is what each app's origin came to.
	apps map[agent.AppID]agent.Origin
	// records are what each address came to; lines says where, for messages.
	records map[agent.Address]agent.Record
	lines   map[agent.Address]linePlace
	// removed are the uids that left the state.
	removed map[platformUID]bool
	open    map[uint64]Intent
	left    map[uint64]bool // the intents that have a leaving line
	parse   func(payload []byte) (journalEntry, error)
	lastID  uint64
	results int
	torn    *linePlace // where a line is that a crash tore, nil for none
}

type linePlace struct{ line, offset int }

// readJournal replays a journal's lines, read from a file with the given Handle.Instance. An empty file, and a
// tail that a crash tore, are normal. Every error is a *FormatError.
func readJournal(name string, b []byte, instance string) (*journalReplay, error) {
	p := &journalReplay{
		name: name, records: map[agent.Address]agent.Record{}, lines: map[agent.Address]linePlace{},
		apps: map[agent.AppID]agent.Origin{}, removed: map[platformUID]bool{}, open: map[uint64]Intent{},
		left: map[uint64]bool{}, parse: entryReader(),
	}
	var torn *linePlace // where the first damage is
	var starts []int64  // of the lines so far
	batch := int64(-1)  // up to where the file was synced when the last line was written
	for at := (linePlace{line: 1}); at.offset < len(b); at.line++ {
		line, next := cutLine(b, at.offset)
		here := at
		at.offset = next
		starts = append(starts, int64(here.offset))
		payload, start, ok := parseLine(line)
		switch {
		case !ok && torn == nil && len(bytes.Trim(line, "\x00")) > 0, !ok && torn == nil && next < len(b):
			torn = &here
			continue
		case !ok:
			continue
		case torn != nil && p.header.Version == 0:
			return nil, p.damageError(b, *torn, "the first line is damaged")
		// A line says up to where everything was synced when it was written. Where that lies behind the damage, the
		// damage is not what a crash left of lines that nobody relied on.
		case torn != nil && start > int64(torn.offset):
			return nil, p.damageError(b, *torn,
				"the line is damaged, and what follows it shows that it was whole on the disk")
		case start < batch || !startsLine(starts, start):
			return nil, p.damageError(b, here,
				fmt.Sprintf("the line was not written at this place but after byte %d: lines were added or taken out",
					start))
		}
		batch = start
		if err := p.enterLine(payload, here); err != nil {
			return nil, err
		}
	}
	if len(b) > 0 && p.header.Version == 0 { // it was synced before the file got its name
		return nil, p.damageError(b, linePlace{line: 1},
			"this is not a journal of agentsync, or its first line is damaged")
	}
	// A process that was killed tears at most the line that it was writing, and did not send on the strength of it.
	// But a torn line is no longer a file in which every write is found: nothing is believed of it.
	p.torn = torn
	neverLeft := torn == nil && instance != "" && instance == p.header.Instance
	for id, i := range p.open {
		i.NeverLeft = neverLeft && !p.left[id]
		p.open[id] = i
	}
	return p, nil
}

// startsLine reports whether a line starts at the offset.
func startsLine(starts []int64, offset int64) bool {
	_, found := slices.BinarySearch(starts, offset)
	return found
}

// cutLine returns the line at the offset without its end, and where the next one starts.
func cutLine(b []byte, offset int) (line []byte, next int) {
	if i := bytes.IndexByte(b[offset:], '\n'); i >= 0 {
		return b[offset : offset+i], offset + i + 1
	}
	return b[offset:], len(b)
}

// damageError says what is wrong with the journal at a place. A file whose first line is wrong may be
// anything at all; b is nil where the line is sound.
func (p *journalReplay) damageError(b []byte, at linePlace, detail string) error {
	reason := Corrupt
	if b != nil && p.header.Version == 0 && !bytes.Contains(b, []byte(`"journal"`)) {
		reason = Foreign
	}
	return &FormatError{Name: p.name, Reason: reason, Line: at.line, Offset: at.offset, Detail: detail,
		Hint: journalHint(p.name)}
}

func (p *journalReplay) enterLine(payload []byte, at linePlace) error {
	e, err := p.parse(payload)
	var syntax *syntaxError
	switch {
	case errors.As(err, &syntax):
		err = p.damageError(nil, at, syntax.text)
	case err != nil:
		err = p.damageError(nil, at, err.Error())
	case (e.header == nil) == (p.header.Version == 0):
		err = p.damageError(nil, at, "a journal has one header, in its first line")
	case e.header != nil && e.header.Version != journalVersion:
		err = &FormatError{Name: p.name, Reason: Newer, Line: at.line, Offset: at.offset,
			Detail: fmt.Sprintf("written by a newer agentsync: its version is %d, and this agentsync knows %d",
				e.header.Version, journalVersion),
			Hint: "use the agentsync that wrote it, or a later one: its next apply takes the journal in"}
	case e.header != nil && e.header.Lineage == "":
		err = p.damageError(nil, at, "the lineage is empty")
	}
	if err != nil {
		return err
	}
	if e.header != nil {
		p.header = *e.header
	}
	if e.intent != nil {
		p.open[e.intent.ID] = *e.intent
		p.lastID = max(p.lastID, e.intent.ID)
	}
	if e.leaving != 0 {
		p.left[e.leaving] = true
	}
	for _, r := range e.results {
		if err := p.enterResult(r, at); err != nil {
			return err
		}
	}
	return nil
}

func (p *journalReplay) enterResult(r Result, at linePlace) error {
	if r.Kind == Answered {
		if i, isOpen := p.open[r.Intent]; isOpen {
			i.Answered = true
			p.open[r.Intent] = i
		}
		return nil
	}
	delete(p.open, r.Intent)
	p.lastID = max(p.lastID, r.Intent) // also of an intent that an earlier journal held: an id is never given twice
	if r.Kind == Voided {
		return nil
	}
	p.results++
	if r.Kind == Located {
		if r.App == (agent.AppID{}) {
			return p.damageError(nil, at, "a result lacks its app")
		}
		p.apps[r.App] = r.Origin
		return nil
	}
	p.lines[r.Address] = at
	switch {
	case r.Address.IsZero(), r.Kind != Removed && r.Record.UID == "", r.Kind == Moved && r.From.IsZero():
		return p.damageError(nil, at, "a result lacks its address or its uid")
	case r.Kind == Removed:
		p.removed[platformUID{r.Address.ID(), r.UID}] = true
		rec, ok := p.records[r.Address]
		if !ok {
			return nil
		}
		delete(p.records, r.Address)
		if rest, ok := withoutUIDs(rec, func(uid string) bool { return uid == r.UID }); ok {
			p.records[r.Address] = rest
		}
		return nil
	case r.Kind == Moved:
		delete(p.records, r.From)
	}
	p.records[r.Address] = r.Record
	for _, h := range uidsOf(r.Address, r.Record) {
		delete(p.removed, h)
	}
	return nil
}

// mergeInto returns the state with the journal's results in it. s may be the state that the journal was
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
func (p *journalReplay) mergeInto(s *State) (*State, error) {
	if s == nil {
		s = &State{Serial: p.header.Serial, Lineage: p.header.Lineage}
	}
	if p.results == 0 {
		return s.Clone(), nil
	}
	m := stateMerger{into: s.Clone(), journal: p, newer: s.Serial <= p.header.Serial}
	m.into.Serial = max(s.Serial, p.header.Serial)
	if err := m.cleanState(); err != nil {
		return nil, err
	}
	for app, o := range p.apps {
		m.addOrigin(app, o)
	}
	for _, a := range slices.SortedFunc(maps.Keys(p.records), agent.Address.Compare) {
		if err := m.addRecord(a, p.records[a]); err != nil {
			return nil, err
		}
	}
	if _, err := m.into.ownersByUID(); err != nil {
		return nil, p.conflictError(linePlace{}, err.Error())
	}
	return m.into, nil
}

type stateMerger struct {
	into    *State
	journal *journalReplay
	newer   bool                          // the journal is the newer of the two
	stateOf map[platformUID]agent.Address // where into has each uid
}

// cleanState takes out of the state what the journal removed, and, where the journal is the newer,
// what it has at another address.
func (m *stateMerger) cleanState() error {
	at := make(map[platformUID]agent.Address, len(m.journal.records))
	for a, r := range m.journal.records {
		for _, h := range uidsOf(a, r) {
			if err := claimUID(at, h, a); err != nil {
				return m.journal.conflictError(m.journal.lines[a], err.Error())
			}
		}
	}
	m.stateOf = make(map[platformUID]agent.Address, len(m.into.Agents))
	for a, r := range m.into.Agents {
		rest, ok := withoutUIDs(r, func(uid string) bool {
			h := platformUID{a.ID(), uid}
			other, moved := at[h]
			return m.journal.removed[h] || m.newer && moved && other != a
		})
		if !ok {
			delete(m.into.Agents, a)
			continue
		}
		m.into.Agents[a] = rest
		for _, h := range uidsOf(a, rest) {
			m.stateOf[h] = a
		}
	}
	return nil
}

// addOrigin adds an app's origin as the journal has it; a zero one says that the app was forgotten.
func (m *stateMerger) addOrigin(app agent.AppID, o agent.Origin) {
	if _, known := m.into.Apps[app]; !known || m.newer {
		m.into.Apps = withOrigin(m.into.Apps, app, o)
	}
}

func (m *stateMerger) addRecord(a agent.Address, r agent.Record) error {
	r, ok := withoutUIDs(r, func(uid string) bool {
		other, taken := m.stateOf[platformUID{a.ID(), uid}]
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
		return m.journal.conflictError(m.journal.lines[a],
			fmt.Sprintf("%s is the agent %s by this journal and the agent %s by the state file", a, r.UID, x.UID))
	}
	m.into.Agents[a] = r
	return nil
}

// conflictError is the error of a journal and a state that cannot both be right.
func (p *journalReplay) conflictError(at linePlace, detail string) error {
	return &FormatError{Name: p.name, Reason: Conflict, Line: at.line, Offset: at.offset, Detail: detail,
		Hint: fmt.Sprintf("put back the state file that the journal was begun for, serial %d of lineage %s, and apply; or find out at the platform which agent is the right one, and delete the other there: if it is the state file's,\n", p.header.Serial, p.header.Lineage) +
			"  mv " + quotePath(p.name) + " " + quotePath(p.name+".damaged") + "\n" +
			"if it is the journal's, the same, and then: agentsync import ADDRESS UID"}
}

// foreignError is the error of a journal that belongs to another state.
func (p *journalReplay) foreignError(state string, s *State) error {
	return &FormatError{Name: p.name, Reason: Foreign, Line: 1,
		Detail: fmt.Sprintf("the journal belongs to the state with lineage %s, and %s has lineage %s", p.header.Lineage,
			state, s.Lineage),
		Hint: "put back the state file that the journal belongs to, and apply; or give this journal up: " +
			journalHint(p.name)}
}

// Merge takes over what other knows and s does not: the way back for a rescued state. Records of the
// same agent are taken from the one with the higher serial. The error names the two uids where an
// address is another agent in each; s is then as it was.
func (s *State) Merge(other *State) error {
	if s.Lineage != "" && other.Lineage != s.Lineage {
		return fmt.Errorf("the states are of different fleets: lineage %s and %s", s.Lineage, other.Lineage)
	}
	m := stateMerger{into: s.Clone(), newer: other.Serial >= s.Serial, journal: &journalReplay{records: other.Agents}}
	if err := m.cleanState(); err != nil {
		return err
	}
	for app, o := range other.Apps {
		m.addOrigin(app, o)
	}
	for _, a := range other.Addresses() {
		r, x := other.Agents[a], m.into.Agents[a]
		if err := m.addRecord(a, r); err != nil {
			return fmt.Errorf("%s is the agent %s in one state and the agent %s in the other", a, x.UID, r.UID)
		}
	}
	if _, err := m.into.ownersByUID(); err != nil {
		return err
	}
	m.into.Lineage, m.into.Serial = other.Lineage, max(s.Serial, other.Serial)
	*s = *m.into
	return nil
}
