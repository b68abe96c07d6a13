package state

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"agentsync/internal/agent"
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

// header is the journal's first line.
type header struct {
	version uint64
	lineage string
	serial  uint64 // that the state file had when the journal was begun
	// instance is the Handle.Instance of the file that the header was written into, often empty.
	instance string
}

func (h header) payload() []byte {
	w := writer{}
	w.open('{')
	w.key("journal")
	w.uint(h.version)
	w.key("lineage")
	w.text(h.lineage)
	w.key("serial")
	w.uint(h.serial)
	w.textMember("instance", h.instance)
	w.end('}')
	return w.buf
}

// append appends the intent's payload to dst.
func (i Intent) append(dst []byte) []byte {
	w := writer{buf: dst}
	w.open('{')
	w.key("intent")
	w.uint(i.ID)
	w.key("address")
	w.text(i.Address.String())
	w.key("action")
	w.text(i.Action)
	w.textMember("uid", i.UID)
	if i.Fields != nil {
		w.key("fields")
		w.raw(i.Fields)
	}
	w.key("at")
	w.text(i.At.UTC().Format(time.RFC3339Nano))
	w.end('}')
	return w.buf
}

// leavingPayload is the line of an intent whose request is about to leave.
func leavingPayload(id uint64) []byte {
	return append(strconv.AppendUint([]byte(`{"leaving":`), id, 10), '}')
}

// answeredPayload is the line of an open intent that was answered.
func answeredPayload(i Intent) []byte {
	b, _ := appendResults(nil, []Result{{Intent: i.ID, Address: i.Address, Kind: Answered}}) // it holds no document
	return b
}

// appendResults appends the payload of results that belong together to dst.
func appendResults(dst []byte, results []Result) ([]byte, error) {
	w := writer{buf: dst}
	w.open('{')
	w.key("results")
	w.open('[')
	for _, r := range results {
		w.item()
		if err := w.result(r); err != nil {
			return nil, err
		}
	}
	w.end(']')
	w.end('}')
	return w.buf, nil
}

func (w *writer) result(r Result) error {
	w.open('{')
	if r.Intent != 0 {
		w.key("intent")
		w.uint(r.Intent)
	}
	if !r.Address.IsZero() {
		w.key("address")
		w.text(r.Address.String())
	}
	w.key("kind")
	w.text(r.Kind.String())
	w.textMember("uid", r.UID)
	if !r.From.IsZero() {
		w.key("from")
		w.text(r.From.String())
	}
	if r.Kind == Located {
		w.key("app")
		w.text(r.App.String())
		w.key("origin")
		w.origin(r.Origin)
	}
	if r.Record.UID != "" {
		w.key("record")
		if err := w.record(r.Record); err != nil {
			return err
		}
	}
	w.end('}')
	return nil
}

// entry is a line's payload, read: one of its members is set.
type entry struct {
	header  *header
	intent  *Intent
	leaving uint64 // an intent
	results []Result
}

// parseEntry reads a payload whose checksum is right. Its errors mean that another version wrote it,
// or that somebody made the checksum fit.
func parseEntry(payload []byte) (e entry, err error) {
	d := newDecoder(payload)
	var h header
	var i Intent
	seen, err := d.object(func(name string, at int) (err error) {
		switch name {
		case "journal":
			e.header = &h
			h.version, err = d.uint()
		case "lineage":
			h.lineage, err = d.text()
		case "serial":
			h.serial, err = d.uint()
		case "instance":
			h.instance, err = d.text()
		case "leaving":
			e.leaving, err = d.uint()
		case "intent":
			e.intent = &i
			i.ID, err = d.uint()
		case "results":
			err = d.list(func() error {
				r, err := d.result()
				e.results = append(e.results, r)
				return err
			})
		default:
			err = d.intentMember(&i, name, at)
		}
		return err
	})
	if err == nil {
		err = d.end()
	}
	if err == nil {
		err = d.checkEntry(seen)
	}
	return e, err
}

// entryMembers are what each kind of line has: first the one that it is known by, then others that it needs, then
// those that it may have.
var entryMembers = [...]struct{ needs, may names }{
	{needs: names{"journal", "lineage", "serial"}, may: names{"instance"}},
	{needs: names{"intent", "address", "action", "at"}, may: names{"uid", "fields"}},
	{needs: names{"leaving"}},
	{needs: names{"results"}},
}

// checkEntry refuses a line that mixes kinds, or lacks what its kind needs.
func (d *decoder) checkEntry(seen names) error {
	for _, kind := range entryMembers {
		if !seen.has(kind.needs[0]) {
			continue
		}
		for _, name := range seen {
			if !kind.needs.has(name) && !kind.may.has(name) {
				return d.fail(0, "%q does not belong into a line with %q", name, kind.needs[0])
			}
		}
		for _, name := range kind.needs {
			if !seen.has(name) {
				return d.fail(0, "%q is missing", name)
			}
		}
		return nil
	}
	return d.fail(0, "the line is of no known kind")
}

func (d *decoder) intentMember(i *Intent, name string, at int) (err error) {
	switch name {
	case "address":
		i.Address, err = d.address()
	case "action":
		i.Action, err = d.text()
	case "uid":
		i.UID, err = d.text()
	case "fields":
		i.Fields, err = d.document()
	case "at":
		var s string
		if s, err = d.text(); err == nil {
			i.At, err = time.Parse(time.RFC3339Nano, s)
		}
	default:
		err = d.fail(at, "%q is not part of a journal of version %d", name, journalVersion)
	}
	return err
}

func (d *decoder) result() (r Result, err error) {
	_, err = d.object(func(name string, at int) (err error) {
		switch name {
		case "intent":
			r.Intent, err = d.uint()
		case "address":
			r.Address, err = d.address()
		case "kind":
			r.Kind, err = d.kind()
		case "uid":
			r.UID, err = d.text()
		case "from":
			r.From, err = d.address()
		case "app":
			r.App, err = d.app()
		case "origin":
			r.Origin, err = d.origin()
		case "record":
			r.Record, err = d.record()
		default:
			err = d.fail(at, "%q is not part of a journal of version %d", name, journalVersion)
		}
		return err
	})
	return r, err
}

func (d *decoder) address() (agent.Address, error) {
	at := d.next()
	s, err := d.text()
	if err != nil {
		return agent.Address{}, err
	}
	a, err := agent.ParseAddress(s)
	if err != nil {
		return a, d.fail(at, "%v", err)
	}
	return a, nil
}

func (d *decoder) app() (agent.AppID, error) {
	at := d.next()
	s, err := d.text()
	if err != nil {
		return agent.AppID{}, err
	}
	app, err := agent.ParseAppID(s)
	if err != nil {
		return app, d.fail(at, "%v", err)
	}
	return app, nil
}

func (d *decoder) kind() (ResultKind, error) {
	at := d.next()
	s, err := d.text()
	if err != nil {
		return 0, err
	}
	for k, name := range kindNames {
		if s == name {
			return ResultKind(k), nil
		}
	}
	return 0, d.fail(at, "%q is no kind of result", s)
}
