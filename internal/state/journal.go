package state

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
)

// A journal is lines of text:
//
//	1c291ca3 0 {"journal":1,"lineage":"4f…","serial":7}
//	8a9136aa 58 {"intent":1,"address":"mindset/acme/coach","action":"create","fields":{…},"at":"2025-…Z"}
//	f3e16e9c 212 {"leaving":1}
//	5bd2ccf9 212 {"results":[{"intent":1,"address":"mindset/acme/coach","kind":"recorded","record":{…}}]}
//
// Each is a checksum (CRC-32C of what follows the first blank, in hexadecimal), the offset in the file up to
// which everything was on the disk when the line was written, and one JSON object. So a line proves that
// everything before that offset was synced; damage there is damage to what was acknowledged. Lines that name
// the same offset are a batch. Damage after the last batch's start is what a crash leaves of writes that were
// never acknowledged, in whatever order the disk took their blocks.
//
// A leaving line is synced by chance, with a later batch: see Intent.NeverLeft.
//
// The file ends with zeros where space was reserved and not used.

// journalVersion is the version of the lines that this package reads and writes.
const journalVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendLine appends the line that holds payload; batch is up to where the file is synced.
func appendLine(dst, payload []byte, batch int64) []byte {
	start := len(dst)
	dst = append(dst, "00000000 "...)
	dst = strconv.AppendInt(dst, batch, 10)
	dst = append(dst, ' ')
	dst = append(dst, payload...)
	sum := crc32.Checksum(dst[start+9:], castagnoli)
	const digits = "0123456789abcdef"
	for i := range 8 {
		dst[start+i] = digits[sum>>(28-4*i)&0xf]
	}
	return append(dst, '\n')
}

// parseLine returns what appendLine put in, without the line's end. ok is false if anything at all
// is wrong with it.
func parseLine(line []byte) (payload []byte, batch int64, ok bool) {
	if len(line) < 12 || line[8] != ' ' {
		return nil, 0, false
	}
	if string(line[:8]) != fmt.Sprintf("%08x", crc32.Checksum(line[9:], castagnoli)) {
		return nil, 0, false
	}
	number, payload, found := bytes.Cut(line[9:], []byte(" "))
	batch, err := strconv.ParseInt(string(number), 10, 64)
	return payload, batch, found && err == nil && batch >= 0
}

// journalHeader is the journal's first line.
type journalHeader struct {
	Version uint64 `json:"journal"`
	Lineage string `json:"lineage"`
	Serial  uint64 `json:"serial"` // that the state file had when the journal was begun
	// Instance is the Handle.Instance of the file that the header was written into, often empty.
	Instance string `json:"instance,omitzero"`
}

// intentText is the line of an intent.
type intentText struct {
	ID      uint64       `json:"intent"`
	Address string       `json:"address"`
	Action  string       `json:"action"`
	UID     string       `json:"uid,omitzero"`
	Fields  documentText `json:"fields,omitzero"`
	At      string       `json:"at"`
}

func textOfIntent(i Intent) intentText {
	return intentText{i.ID, i.Address.String(), i.Action, i.UID, documentText(i.Fields),
		i.At.UTC().Format(time.RFC3339Nano)}
}

// leavingText is the line of an intent whose request is about to leave.
type leavingText struct {
	Intent uint64 `json:"leaving"`
}

// resultsText is the line of results that belong together.
type resultsText struct {
	Results []resultText `json:"results"`
}

type resultText struct {
	Intent  uint64      `json:"intent,omitzero"`
	Address string      `json:"address,omitzero"`
	Kind    string      `json:"kind"`
	UID     string      `json:"uid,omitzero"`
	From    string      `json:"from,omitzero"`
	App     string      `json:"app,omitzero"`
	Origin  *originText `json:"origin,omitzero"`
	Record  *recordText `json:"record,omitzero"`
}

func textOfResults(results []Result) resultsText {
	all := resultsText{make([]resultText, len(results))}
	for i, r := range results {
		text := resultText{Intent: r.Intent, Kind: r.Kind.String(), UID: r.UID}
		if !r.Address.IsZero() {
			text.Address = r.Address.String()
		}
		if !r.From.IsZero() {
			text.From = r.From.String()
		}
		if r.Kind == Located {
			origin := originText(r.Origin)
			text.App, text.Origin = r.App.String(), &origin
		}
		if r.Record.UID != "" {
			record := textOfRecord(r.Record)
			text.Record = &record
		}
		all.Results[i] = text
	}
	return all
}

// appendPayload appends one of these as the payload of a line.
func appendPayload(dst []byte, line any) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	err := json.MarshalWrite(b, line, inText)
	return b.Bytes(), err
}

// journalEntry is a line's payload, read: one of its members is set.
type journalEntry struct {
	header  *journalHeader
	intent  *Intent
	leaving uint64 // an intent
	results []Result
}

// entryReader returns what reads payloads whose checksums are right, each entry being of use until the next one. Its
// errors mean that another version wrote a line, or that somebody made the checksum fit.
func entryReader() func(payload []byte) (journalEntry, error) {
	var e journalEntry
	var h journalHeader
	var i Intent
	d := newDecoder(nil)
	readAddress := parsed(d, agent.ParseAddress)
	members := []objectMember{
		{"journal", func(int) (err error) {
			e.header = &h
			h.Version, err = d.readUint()
			return err
		}},
		{"lineage", into(&h.Lineage, d.readText)},
		{"serial", into(&h.Serial, d.readUint)},
		{"instance", into(&h.Instance, d.readText)},
		{"leaving", into(&e.leaving, d.readUint)},
		{"results", into(&e.results, listOf(d, d.resultReader()))},
		{"intent", func(int) (err error) {
			e.intent = &i
			i.ID, err = d.readUint()
			return err
		}},
		{"address", into(&i.Address, readAddress)},
		{"action", into(&i.Action, d.readText)},
		{"uid", into(&i.UID, d.readText)},
		{"fields", into(&i.Fields, d.readDocument)},
		{"at", into(&i.At, parsed(d, parseTime))},
	}
	return func(payload []byte) (journalEntry, error) {
		e, h, i = journalEntry{}, journalHeader{}, Intent{}
		d.resetTo(payload)
		seen, err := d.readObject("%q is not part of a journal of version %d", journalVersion, members)
		if err == nil {
			err = d.expectEnd()
		}
		if err == nil {
			err = d.checkEntry(seen)
		}
		return e, err
	}
}

func parseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339Nano, text) }

// entryMembers are what each kind of line has: first the one that it is known by, then others that it needs, then
// those that it may have.
var entryMembers = [...]struct{ needs, may memberNames }{
	{needs: memberNames{"journal", "lineage", "serial"}, may: memberNames{"instance"}},
	{needs: memberNames{"intent", "address", "action", "at"}, may: memberNames{"uid", "fields"}},
	{needs: memberNames{"leaving"}},
	{needs: memberNames{"results"}},
}

// checkEntry refuses a line that mixes kinds, or lacks what its kind needs.
func (d *decoder) checkEntry(seen memberNames) error {
	for _, kind := range entryMembers {
		if !seen.has(kind.needs[0]) {
			continue
		}
		for _, name := range seen {
			if !kind.needs.has(name) && !kind.may.has(name) {
				return d.failAt(0, "%q does not belong into a line with %q", name, kind.needs[0])
			}
		}
		for _, name := range kind.needs {
			if !seen.has(name) {
				return d.failAt(0, "%q is missing", name)
			}
		}
		return nil
	}
	return d.failAt(0, "the line is of no known kind")
}

// resultReader returns what reads a result, again and again.
func (d *decoder) resultReader() func() (Result, error) {
	var r Result
	readAddress := parsed(d, agent.ParseAddress)
	members := []objectMember{
		{"intent", into(&r.Intent, d.readUint)},
		{"address", into(&r.Address, readAddress)},
		{"kind", into(&r.Kind, parsed(d, parseKind))},
		{"uid", into(&r.UID, d.readText)},
		{"from", into(&r.From, readAddress)},
		{"app", into(&r.App, parsed(d, agent.ParseAppID))},
		{"origin", into(&r.Origin, d.readOrigin)},
		{"record", into(&r.Record, d.recordReader())},
	}
	return func() (Result, error) {
		r = Result{}
		_, err := d.readObject("%q is not part of a journal of version %d", journalVersion, members)
		return r, err
	}
}

func parseKind(text string) (ResultKind, error) {
	if k := slices.Index(kindNames[:], text); k >= 0 {
		return ResultKind(k), nil
	}
	return 0, fmt.Errorf("%q is no kind of result", text)
}

// journal is a journal that is open for writing. One goroutine writes: what callers hand in while
// it waits for the disk goes to the disk together, with one fsync.
type journal struct {
	tape journalTape
	wake chan struct{} // holds one token while next is not empty or closing is set
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	next    *batch     // what is written next
	closing bool
	err     error // the first failure; nothing is written after it

	end    sync.Mutex // guards what follows; it is not held while the disk syncs
	offset int64      // where the next line goes
	synced int64      // what stands before it is on the disk
	buf    []byte

	rest time.Duration // the goroutine's own: how long to wait before the next batch, see gather
}

// batch is payloads that become durable together.
type batch struct {
	payloads []byte        // one behind the other
	ends     []int         // where each ends
	done     chan struct{} // closed when err is set
	err      error
}

// newBatch returns an empty batch in the room of one that was written, if any.
func newBatch(written *batch) *batch {
	b := &batch{done: make(chan struct{})}
	if written != nil {
		b.payloads, b.ends = written.payloads[:0], written.ends[:0]
	}
	return b
}

// openJournal goes on with a journal of which end bytes are durable.
func openJournal(ctx context.Context, t journalTape, end int64) *journal {
	j := &journal{
		tape: t, offset: end, synced: end, next: newBatch(nil),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go j.writeBatches(ctx)
	return j
}

// submitPayload hands in a payload, which write appends to what it is given, and returns what will say when it
// is durable. A payload that was submitted before another never stands after it. Where write fails
// nothing was submitted.
func (j *journal) submitPayload(write func(dst []byte) ([]byte, error)) (*batch, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err // what is submitted after a failure may never be written behind a gap
	}
	b := j.next
	payloads, err := write(b.payloads)
	if err != nil {
		return nil, err
	}
	b.payloads, b.ends = payloads, append(b.ends, len(payloads))
	j.wakeUp()
	return b, nil
}

func (b *batch) wait() error {
	<-b.done
	return b.err
}

func (j *journal) wakeUp() {
	select {
	case j.wake <- struct{}{}:
	default: // the goroutine will look anyway
	}
}

// close waits until everything that was submitted is written, then ends the goroutine.
func (j *journal) close() {
	j.mu.Lock()
	j.closing = true
	j.wakeUp()
	j.mu.Unlock()
	<-j.done
	_ = j.tape.Close() // everything that counts was synced
}

func (j *journal) writeBatches(ctx context.Context) {
	defer crash.Guard()
	defer close(j.done)
	var written *batch
	for range j.wake {
		time.Sleep(j.rest)
		// Taken at once and written without the lock: what comes meanwhile goes into the next batch, not into this one,
		// whose end is already said to be durable.
		j.mu.Lock()
		b, closing, err := j.next, j.closing, j.err
		j.next = newBatch(written)
		j.mu.Unlock()
		written = nil
		if len(b.ends) > 0 {
			if err == nil {
				err = j.writeBatch(ctx, b)
				written = b
			}
			if err != nil {
				err = j.failWith(err)
			}
			b.err = err
			close(b.done) // last: whoever waits reads err, and sends or reports on the strength of it
		}
		if closing {
			return
		}
	}
}

func (j *journal) writeBatch(ctx context.Context, b *batch) error {
	end, err := j.appendLines(b.payloads, b.ends)
	if err != nil {
		return err
	}
	start := time.Now()
	// Without j.end: a leaving line does not wait for the disk.
	if err := j.tape.sync(ctx); err != nil {
		return err
	}
	j.end.Lock()
	j.synced = end // not j.offset: what was written since Sync was called may be on the disk or not
	j.end.Unlock()
	j.rest = restAfter(len(b.ends), time.Since(start))
	return nil
}

// appendLines writes the payloads, one line each, and returns where they end. It syncs nothing.
func (j *journal) appendLines(payloads []byte, ends []int) (end int64, err error) {
	j.end.Lock()
	defer j.end.Unlock()
	j.buf = j.buf[:0]
	start := 0
	for _, end := range ends {
		j.buf = appendLine(j.buf, payloads[start:end], j.synced)
		start = end
	}
	// At the offset and not at the file's end, behind which space is reserved.
	if _, err := j.tape.WriteAt(j.buf, j.offset); err != nil {
		return 0, err
	}
	j.offset += int64(len(j.buf))
	return j.offset, nil
}

// noteLeaving says whether a request may leave, as the last thing before it does. It writes the line of it, where that
// can be of use, at once and beside the goroutine, which may be waiting for the disk.
func (j *journal) noteLeaving(id uint64) error {
	j.mu.Lock()
	err := j.err
	j.mu.Unlock()
	if err != nil {
		return err
	}
	// As late as this, since a lease runs out while a request waits for its turn.
	if err := j.tape.mayLeave(); err != nil {
		return j.failWith(err)
	}
	if !j.tape.notesLeaving() {
		return nil
	}
	payload, err := appendPayload(nil, leavingText{id})
	if err != nil {
		return j.failWith(err)
	}
	if _, err := j.appendLines(payload, []int{len(payload)}); err != nil {
		return j.failWith(err)
	}
	return nil
}

const (
	// restShare is how much longer than for an fsync the journal waits for company before the next one.
	restShare = 16
	maxRest   = 2 * time.Millisecond
)

// restAfter returns how long the next batch is left open for others to join, after one of so many
// payloads whose fsync took so long. Where many requests are in flight, an fsync for every few lines
// would cost more processor time than the lines; who writes alone waits for nobody.
func restAfter(payloads int, fsync time.Duration) time.Duration {
	if payloads == 1 {
		return 0
	}
	return min(restShare*fsync, maxRest)
}

// failWith keeps the first error. What the disk holds after a failed write or fsync nobody knows, and
// asking again may succeed without the data being there; so this is final.
func (j *journal) failWith(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return j.err
}

// openLines returns the first lines of a journal of open intents, nil without any.
func openLines(s *State, open []Intent) firstLines {
	if len(open) == 0 {
		return nil
	}
	return func(instance string) []byte { return journalContent(s, open, instance) }
}

// journalContent is what a journal starts with: its header and the intents that are still open, with their
// leaving lines: what an earlier journal could not exclude, this one must not. What was answered stays so.
func journalContent(s *State, open []Intent, instance string) []byte {
	var b []byte
	add := func(line any) {
		payload, _ := appendPayload(nil, line) // each was a line before
		b = appendLine(b, payload, 0)
	}
	add(journalHeader{journalVersion, s.Lineage, s.Serial, instance})
	for _, i := range open {
		add(textOfIntent(i))
		if !i.NeverLeft {
			add(leavingText{i.ID})
		}
		if i.Answered {
			add(textOfResults([]Result{{Intent: i.ID, Address: i.Address, Kind: Answered}}))
		}
	}
	return b
}
