package state

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"agentsync/internal/agent"
)

// replay is what a journal amounts to, without the state that it was written for.
type replay struct {
	name   string
	header header
	// apps is what each app's origin came to.
	apps map[agent.AppID]agent.Origin
	// records are what each address came to; lines says where, for messages.
	records map[agent.Address]agent.Record
	lines   map[agent.Address]place
	// removed are the uids that left the state.
	removed map[handle]bool
	open    map[uint64]Intent
	left    map[uint64]bool // the intents that have a leaving line
	lastID  uint64
	results int
	torn    *place // where a line is that a crash tore, nil for none
}

type place struct{ line, offset int }

// readJournal replays a journal's lines, read from a file with the given Handle.Instance. An empty file, and a
// tail that a crash tore, are normal. Every error is a *FormatError.
func readJournal(name string, b []byte, instance string) (*replay, error) {
	p := &replay{
		name: name, records: map[agent.Address]agent.Record{}, lines: map[agent.Address]place{},
		apps: map[agent.AppID]agent.Origin{}, removed: map[handle]bool{}, open: map[uint64]Intent{}, left: map[uint64]bool{},
	}
	var torn *place    // where the first damage is
	var starts []int64 // of the lines so far
	batch := int64(-1) // up to where the file was synced when the last line was written
	for at := (place{line: 1}); at.offset < len(b); at.line++ {
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
		case torn != nil && p.header.version == 0:
			return nil, p.damage(b, *torn, "the first line is damaged")
		case torn != nil && start > int64(torn.offset):
			return nil, p.damage(b, *torn, "the line is damaged, and what follows it shows that it was whole on the disk")
		case start < batch || !startsLine(starts, start):
			return nil, p.damage(b, here, fmt.Sprintf("the line was not written at this place but after byte %d: lines were added or taken out", start))
		}
		batch = start
		if err := p.enter(payload, here); err != nil {
			return nil, err
		}
	}
	if len(b) > 0 && p.header.version == 0 { // it was synced before the file got its name
		return nil, p.damage(b, place{line: 1}, "this is not a journal of agentsync, or its first line is damaged")
	}
	// A process that was killed tears at most the line that it was writing, and did not send on the strength of it.
	// But a torn line is no longer a file in which every write is found: nothing is believed of it.
	p.torn = torn
	neverLeft := torn == nil && instance != "" && instance == p.header.instance
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

// damage says what is wrong with the journal at a place. A file whose first line is wrong may be
// anything at all; b is nil where the line is sound.
func (p *replay) damage(b []byte, at place, detail string) error {
	reason := Corrupt
	if b != nil && p.header.version == 0 && !bytes.Contains(b, []byte(`"journal"`)) {
		reason = Foreign
	}
	return &FormatError{Name: p.name, Reason: reason, Line: at.line, Offset: at.offset, Detail: detail, Hint: journalHint(p.name)}
}

func (p *replay) enter(payload []byte, at place) error {
	e, err := parseEntry(payload)
	var syntax *syntaxError
	switch {
	case errors.As(err, &syntax):
		err = p.damage(nil, at, syntax.text)
	case err != nil:
		err = p.damage(nil, at, err.Error())
	case (e.header == nil) == (p.header.version == 0):
		err = p.damage(nil, at, "a journal has one header, in its first line")
	case e.header != nil && e.header.version != journalVersion:
		err = &FormatError{Name: p.name, Reason: Newer, Line: at.line, Offset: at.offset,
			Detail: fmt.Sprintf("written by a newer agentsync: its version is %d, and this agentsync knows %d", e.header.version, journalVersion),
			Hint:   "use the agentsync that wrote it, or a later one: its next apply takes the journal in"}
	case e.header != nil && e.header.lineage == "":
		err = p.damage(nil, at, "the lineage is empty")
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
		if err := p.result(r, at); err != nil {
			return err
		}
	}
	return nil
}

func (p *replay) result(r Result, at place) error {
	if r.Kind == Answered {
		if i, isOpen := p.open[r.Intent]; isOpen {
			i.Answered = true
			p.open[r.Intent] = i
		}
		return nil
	}
	delete(p.open, r.Intent)
	p.lastID = max(p.lastID, r.Intent)
	if r.Kind == Voided {
		return nil
	}
	p.results++
	if r.Kind == Located {
		if r.App == (agent.AppID{}) {
			return p.damage(nil, at, "a result lacks its app")
		}
		p.apps[r.App] = r.Origin
		return nil
	}
	p.lines[r.Address] = at
	switch {
	case r.Address.IsZero(), r.Kind != Removed && r.Record.UID == "", r.Kind == Moved && r.From.IsZero():
		return p.damage(nil, at, "a result lacks its address or its uid")
	case r.Kind == Removed:
		p.removed[handle{r.Address.ID(), r.UID}] = true
		rec, ok := p.records[r.Address]
		if !ok {
			return nil
		}
		delete(p.records, r.Address)
		if rest, ok := without(rec, func(uid string) bool { return uid == r.UID }); ok {
			p.records[r.Address] = rest
		}
		return nil
	case r.Kind == Moved:
		delete(p.records, r.From)
	}
	p.records[r.Address] = r.Record
	for _, h := range handles(r.Address, r.Record) {
		delete(p.removed, h)
	}
	return nil
}
