package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"agentsync/internal/agent"
)

// Encode returns the state file's content: sorted by address, indented by two spaces, one agent per
// block, a newline at the end. The same state gives the same bytes. It fails on an agent without a
// uid, on a uid that stands at two addresses, and on a document that is no JSON object; such a file
// could not be read again.
func (s *State) Encode() ([]byte, error) {
	if _, err := s.ownersByUID(); err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	size := 256
	for _, r := range s.Agents {
		size += 256 + (len(r.Applied)+len(r.Observed))*5/4
	}
	// The library grows a buffer of which less than a fifth is free.
	b := bytes.NewBuffer(make([]byte, 0, size*5/4))
	err := json.MarshalWrite(b, struct {
		Version uint64                                 `json:"version"`
		Serial  uint64                                 `json:"serial"`
		Lineage string                                 `json:"lineage"`
		Apps    orderedText[agent.AppID, originText]   `json:"apps,omitempty"`
		Agents  orderedText[agent.Address, recordText] `json:"agents"`
	}{
		Version, s.Serial, s.Lineage,
		orderedText[agent.AppID, originText]{
			slices.SortedFunc(maps.Keys(s.Apps), agent.AppID.Compare),
			func(app agent.AppID) originText { return originText(s.Apps[app]) },
		},
		orderedText[agent.Address, recordText]{s.Addresses(),
			func(a agent.Address) recordText { return textOfRecord(s.Agents[a]) }},
	}, inText, jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// inText is how texts stand in state files and journals: as agent.AppendString writes them. That no name stands twice
// is not looked for once more: documents come out of checkDoc or Decode, which refuse that, and the other names are
// those of members and of the keys of maps.
var inText = json.JoinOptions(jsontext.EscapeForJS(true), jsontext.PreserveRawStrings(true),
	jsontext.AllowDuplicateNames(true))

// orderedText is an object whose members stand in the order of keys.
type orderedText[K fmt.Stringer, V any] struct {
	keys  []K
	value func(K) V
}

// MarshalJSONTo writes the object.
func (o orderedText[K, V]) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, k := range o.keys {
		if err := enc.WriteToken(jsontext.String(k.String())); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, o.value(k)); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// recordText is a record as it is written, its members in this order.
type recordText struct {
	UID        string       `json:"uid"`
	Applied    documentText `json:"applied,omitzero"`
	Observed   documentText `json:"observed,omitzero"`
	API        string       `json:"api,omitzero"`
	Mark       string       `json:"mark,omitzero"`
	Obsolete   []string     `json:"obsolete,omitempty"`
	FormerKeys []string     `json:"formerKeys,omitempty"`
	Protect    bool         `json:"protect,omitzero"`
}

func textOfRecord(r agent.Record) recordText {
	return recordText{
		UID: r.UID, Applied: documentText(r.Applied), Observed: documentText(r.Observed), API: r.API, Mark: r.Mark,
		Obsolete: r.Obsolete, FormerKeys: r.FormerKeys, Protect: r.Protect,
	}
}

type originText struct {
	BaseURL string `json:"baseUrl,omitzero"`
	KeyEnv  string `json:"keyEnv,omitzero"`
}

// documentText is a document, which is JSON already.
type documentText agent.Doc

// MarshalJSONTo writes the document. It fails on what is no object.
func (d documentText) MarshalJSONTo(enc *jsontext.Encoder) error {
	if jsontext.Value(d).Kind() != '{' {
		return errors.New("a document is no JSON object")
	}
	return enc.WriteValue(jsontext.Value(d))
}

// Decode reads a state file's content; name stands in errors. Every error is a *FormatError.
// Nothing is passed over: a member that version 1 does not have is refused, because it would be gone
// after the next write.
func Decode(name string, b []byte) (*State, error) {
	s, err := newDecoder(b).readState()
	if err != nil {
		return nil, diagnoseState(name, b, err)
	}
	return s, nil
}

func (d *decoder) readState() (*State, error) {
	s := &State{Agents: make(map[agent.Address]agent.Record, len(d.input)/1024)}
	var version uint64
	seen, err := d.readObject("%q is not part of a state file of version %d", Version, []objectMember{
		{"version", func(at int) (err error) {
			if version, err = d.readUint(); err == nil && version != Version {
				err = d.failAt(at, "the version is %d, and only %d is known", version, Version)
			}
			return err
		}},
		{"serial", into(&s.Serial, d.readUint)},
		{"lineage", into(&s.Lineage, d.readText)},
		{"apps", func(int) error { return d.readApps(s) }},
		{"agents", func(int) error { return d.readAgents(s) }},
	})
	if err == nil {
		err = d.expectEnd()
	}
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"version", "serial", "lineage", "agents"} {
		if !seen.has(name) {
			return nil, d.failAt(0, "%q is missing", name)
		}
	}
	if s.Lineage == "" {
		return nil, d.failAt(0, "the lineage is empty")
	}
	return s, nil
}

func (d *decoder) readApps(s *State) error {
	s.Apps = map[agent.AppID]agent.Origin{}
	return d.readMembers(func(name string, at int) error {
		app, err := agent.ParseAppID(name)
		if err != nil {
			return d.failAt(at, "%v", err)
		}
		if _, twice := s.Apps[app]; twice {
			return d.failAt(at, "%s stands twice", app)
		}
		s.Apps[app], err = d.readOrigin()
		return err
	})
}

func (d *decoder) readOrigin() (o agent.Origin, err error) {
	_, err = d.readObject("%q is not part of an app in a state file of version %d", Version, []objectMember{
		{"baseUrl", into(&o.BaseURL, d.readText)},
		{"keyEnv", into(&o.KeyEnv, d.readText)},
	})
	return o, err
}

func (d *decoder) readAgents(s *State) error {
	owner, readRecord := make(map[platformUID]agent.Address, len(d.input)/1024), d.recordReader()
	return d.readMembers(func(name string, at int) error {
		a, err := agent.ParseAddress(name)
		if err != nil {
			return d.failAt(at, "%v", err)
		}
		if _, twice := s.Agents[a]; twice {
			return d.failAt(at, "%s stands twice", a)
		}
		r, err := readRecord()
		if err != nil {
			return err
		}
		for _, h := range uidsOf(a, r) {
			if err := claimUID(owner, h, a); err != nil {
				return d.failAt(at, "%v", err)
			}
		}
		s.Agents[a] = r
		return nil
	})
}

// recordReader returns what reads a record, again and again.
func (d *decoder) recordReader() func() (agent.Record, error) {
	var r agent.Record
	texts := listOf(d, d.readText)
	members := []objectMember{
		{"uid", into(&r.UID, d.readText)},
		{"applied", into(&r.Applied, d.readDocument)},
		{"observed", into(&r.Observed, d.readDocument)},
		{"obsolete", into(&r.Obsolete, texts)},
		{"formerKeys", func(at int) (err error) {
			r.FormerKeys, err = texts()
			for _, key := range r.FormerKeys {
				if err == nil && !agent.ValidKey(key) {
					err = d.failAt(at, "%q is no key", key)
				}
			}
			return err
		}},
		{"api", into(&r.API, d.readText)},
		{"mark", into(&r.Mark, d.readText)},
		{"protect", into(&r.Protect, d.readBool)},
	}
	return func() (agent.Record, error) {
		r = agent.Record{}
		_, err := d.readObject("%q is not part of an agent in a state file of version %d", Version, members)
		return r, err
	}
}

// decoder reads JSON in one pass and says where something is wrong. Documents are cut from one arena: there are two per
// agent.
type decoder struct {
	*jsontext.Decoder
	input  []byte
	arena  []byte
	around int // how many levels are to be around what is read
}

func newDecoder(input []byte) *decoder {
	d := &decoder{Decoder: new(jsontext.Decoder)}
	d.resetTo(input)
	return d
}

// resetTo begins to read another input. What was read before stays as it is.
func (d *decoder) resetTo(input []byte) {
	// Names that stand twice are found below: the library would keep those of every document to compare them.
	d.Reset(bytes.NewBuffer(input), jsontext.AllowDuplicateNames(true))
	d.input, d.arena = input, make([]byte, 0, len(input))
}

// syntaxError is what is wrong at a byte.
type syntaxError struct {
	offset    int
	truncated bool
	text      string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s (byte %d)", e.text, e.offset) }

func (d *decoder) failAt(at int, format string, args ...any) error {
	return &syntaxError{offset: at, text: fmt.Sprintf(format, args...)}
}

// syntaxErrorOf returns an error of the library as one of this package.
func (d *decoder) syntaxErrorOf(err error) error {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return &syntaxError{offset: len(d.input), truncated: true, text: "the text ends in the middle"}
	case ok:
		return d.failAt(int(syntax.ByteOffset), "%v", syntax.Err)
	}
	return err
}

// expectEnd returns an error unless all is read.
func (d *decoder) expectEnd() error {
	at := int(d.InputOffset())
	switch _, err := d.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return d.syntaxErrorOf(err)
	}
	return d.failAt(at, "there is more behind the end")
}

// jsonKinds are what can stand where something else should, for a person.
var jsonKinds = map[jsontext.Kind]string{
	'{': "an object", '[': "a list", '"': "a string", '0': "a number", 'n': "null", 't': "true", 'f': "false",
}

// readScalar reads the next value, a scalar of one of the kinds, as it is written, and returns where it begins. It is
// of use until the next read.
func (d *decoder) readScalar(wanted string, kinds ...jsontext.Kind) (raw jsontext.Value, at int, err error) {
	kind := d.PeekKind()
	for _, k := range kinds {
		if k != kind {
			continue
		}
		if raw, err = d.ReadValue(); err != nil {
			return nil, 0, d.syntaxErrorOf(err)
		}
		return raw, int(d.InputOffset()) - len(raw), nil
	}
	return nil, 0, d.unexpectedKind(kind, wanted)
}

// unexpectedKind is the error of a value of a kind that cannot stand where it stands, or of what is no value at all.
func (d *decoder) unexpectedKind(kind jsontext.Kind, wanted string) error {
	what, known := jsonKinds[kind]
	if !known {
		_, err := d.ReadToken()
		return d.syntaxErrorOf(err)
	}
	return d.failAt(d.nextOffset(), "%s stands where %s should stand", what, wanted)
}

// nextOffset returns where the next value stands: behind what was read last come white space and a colon or a comma.
func (d *decoder) nextOffset() int {
	rest := d.input[d.InputOffset():]
	return len(d.input) - len(bytes.TrimLeft(rest, " \t\r\n:,"))
}

// openValue reads the start of an object or a list.
func (d *decoder) openValue(start jsontext.Kind) error {
	if kind := d.PeekKind(); kind != start {
		return d.unexpectedKind(kind, jsonKinds[start])
	}
	if _, err := d.ReadToken(); err != nil {
		return d.syntaxErrorOf(err)
	}
	if d.around+d.StackDepth() > agent.MaxTextDepth { // no file can exhaust the stack
		return d.failAt(int(d.InputOffset()), "values nest deeper than %d", agent.MaxTextDepth)
	}
	return nil
}

// closeValue reads the end of an object or a list.
func (d *decoder) closeValue() error {
	if _, err := d.ReadToken(); err != nil {
		return d.syntaxErrorOf(err)
	}
	return nil
}

// readMembers reads an object and calls member for each, with the name and where it stands; member reads the value.
func (d *decoder) readMembers(member func(name string, at int) error) error {
	if err := d.openValue('{'); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		raw, at, err := d.readScalar("a name", '"')
		if err != nil {
			return err
		}
		name, err := unquoteText(raw)
		if err != nil {
			return d.syntaxErrorOf(err)
		}
		if err := member(name, at); err != nil {
			return err
		}
	}
	return d.closeValue()
}

// objectMember is a member that an object may have. read reads its value, and gets where its name stands.
type objectMember struct {
	name string
	read func(at int) error
}

// into returns what puts a value where to points.
func into[T any](to *T, read func() (T, error)) func(int) error {
	return func(int) (err error) {
		*to, err = read()
		return err
	}
}

// readObject reads an object of the members, none of which stands twice, and returns the names that it has. unknown is
// the error of another name, with the version.
//
//nolint:unparam // the versions of state files and of journals are equal today
func (d *decoder) readObject(unknown string, version int, members []objectMember) (seen memberNames, err error) {
	err = d.readMembers(func(name string, at int) error {
		if seen.has(name) {
			return d.failAt(at, "%q stands twice", name)
		}
		seen = append(seen, name)
		for _, m := range members {
			if m.name == name {
				return m.read(at)
			}
		}
		return d.failAt(at, unknown, name, version)
	})
	return seen, err
}

// listOf returns what reads a list of items.
func listOf[T any](d *decoder, item func() (T, error)) func() ([]T, error) {
	return func() (list []T, err error) {
		if err := d.openValue('['); err != nil {
			return nil, err
		}
		for d.PeekKind() != ']' {
			one, err := item()
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		return list, d.closeValue()
	}
}

// parsed returns what reads a text that parse takes.
func parsed[T any](d *decoder, parse func(string) (T, error)) func() (T, error) {
	return func() (v T, err error) {
		at := d.nextOffset()
		text, err := d.readText()
		if err != nil {
			return v, err
		}
		if v, err = parse(text); err != nil {
			err = d.failAt(at, "%v", err)
		}
		return v, err
	}
}

// readText reads a string.
func (d *decoder) readText() (string, error) {
	raw, _, err := d.readScalar("a string", '"')
	if err != nil {
		return "", err
	}
	text, err := unquoteText(raw)
	if err != nil {
		return "", d.syntaxErrorOf(err)
	}
	return text, nil
}

func unquoteText(raw jsontext.Value) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	return string(text), err
}

// readUint reads a whole number that is not negative.
func (d *decoder) readUint() (uint64, error) {
	raw, at, err := d.readScalar("a number", '0')
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, d.failAt(at, "%s stands where a whole number from 0 to 18446744073709551615 should stand", raw)
	}
	return n, nil
}

// readBool reads true or false.
func (d *decoder) readBool() (bool, error) {
	raw, _, err := d.readScalar("true or false", 't', 'f')
	return err == nil && raw[0] == 't', err
}

// readDocument reads an object as a document in canonical form.
func (d *decoder) readDocument() (agent.Doc, error) {
	start := len(d.arena)
	err := d.appendDocument()
	end := len(d.arena)
	return agent.Doc(d.arena[start:end:end]), err
}

// appendDocument appends the next object to the arena. A document that a person edited comes out canonical too; one
// with a member that stands twice is refused.
func (d *decoder) appendDocument() error {
	if kind := d.PeekKind(); kind != '{' {
		return d.unexpectedKind(kind, "an object")
	}
	at, start := d.nextOffset(), len(d.arena)
	canonical, err := d.appendValue()
	if err != nil || canonical {
		return err
	}
	f, err := agent.Doc(d.arena[start:]).Fields() // which refuses a member that stands twice
	if err == nil {
		d.arena, err = agent.AppendDoc(d.arena[:start], f)
	}
	if err != nil {
		return d.failAt(at, "%v", err)
	}
	return nil
}

// appendValue appends the next value to the arena without the spaces between its parts, and reports whether it
// certainly is in canonical form then: members in order, each once, and nothing written in a way that could be shorter.
func (d *decoder) appendValue() (canonical bool, err error) {
	canonical = true
	switch kind := d.PeekKind(); kind {
	case '{', '[':
		if err := d.openValue(kind); err != nil {
			return false, err
		}
		start := len(d.arena)
		d.arena = append(d.arena, byte(kind))
		end := kind + 2 // as in ASCII
		var last []byte // in the arena
		for d.PeekKind() != end {
			if len(d.arena) > start+1 {
				d.arena = append(d.arena, ',')
			}
			if kind == '{' {
				from := len(d.arena)
				plain, err := d.appendScalar()
				if err != nil {
					return false, err
				}
				name := d.arena[from:]
				canonical = canonical && plain && bytes.IndexByte(name, '\\') < 0 && bytes.Compare(last, name) < 0
				last = name
				d.arena = append(d.arena, ':')
			}
			plain, err := d.appendValue()
			if err != nil {
				return false, err
			}
			canonical = canonical && plain
		}
		d.arena = append(d.arena, byte(end))
		return canonical, d.closeValue()
	}
	return d.appendScalar()
}

// appendScalar does so with a value that has no parts.
func (d *decoder) appendScalar() (canonical bool, err error) {
	raw, err := d.ReadValue()
	if err != nil {
		return false, d.syntaxErrorOf(err)
	}
	d.arena = append(d.arena, raw...)
	switch raw.Kind() {
	case '0':
		return !bytes.ContainsAny(raw, ".eE"), nil
	case '"':
		for i := bytes.IndexByte(raw, '\\'); i >= 0; {
			if c := raw[i+1]; c == 'u' || c == '/' {
				return false, nil // perhaps not the shortest way to write it
			}
			next := bytes.IndexByte(raw[i+2:], '\\')
			if next < 0 {
				break
			}
			i += 2 + next
		}
	}
	return true, nil
}

// memberNames are those that stand in one object, a handful.
type memberNames []string

func (n memberNames) has(name string) bool { return slices.Contains(n, name) }
