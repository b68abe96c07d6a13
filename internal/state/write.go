package state

import (
	"errors"
	"strconv"
	"strings"

	"agentsync/internal/agent"

	"github.com/go-json-experiment/json/jsontext"
)

// indent is how much deeper each level stands where a document is pretty.
const indent = "  "

// writer appends JSON, on one line or indented. Its caller keeps to the grammar.
type writer struct {
	buf    []byte
	pretty bool
	level  int
	fresh  bool // nothing was written since the last open
}

func (w *writer) raw(b []byte) { w.buf = append(w.buf, b...) }

func (w *writer) open(c byte) {
	w.buf = append(w.buf, c)
	w.level++
	w.fresh = true
}

func (w *writer) end(c byte) {
	w.level--
	if !w.fresh {
		w.newline()
	}
	w.fresh = false
	w.buf = append(w.buf, c)
}

// item starts the next item of the list that is open.
func (w *writer) item() {
	if !w.fresh {
		w.buf = append(w.buf, ',')
	}
	w.fresh = false
	w.newline()
}

func (w *writer) newline() {
	if !w.pretty {
		return
	}
	w.buf = append(w.buf, '\n')
	for range w.level {
		w.buf = append(w.buf, indent...)
	}
}

// rawKey starts a member whose name is quoted already.
func (w *writer) rawKey(quoted []byte) {
	w.item()
	w.raw(quoted)
	w.colon()
}

func (w *writer) key(name string) {
	w.item()
	w.text(name)
	w.colon()
}

func (w *writer) colon() {
	w.buf = append(w.buf, ':')
	if w.pretty {
		w.buf = append(w.buf, ' ')
	}
}

func (w *writer) uint(n uint64) { w.buf = strconv.AppendUint(w.buf, n, 10) }

// text writes a string, as documents have it.
func (w *writer) text(s string) { w.buf = agent.AppendString(w.buf, s) }

// textMember writes a member unless its value is empty.
func (w *writer) textMember(name, value string) {
	if value != "" {
		w.key(name)
		w.text(value)
	}
}

// textsMember writes a member unless its list is empty.
func (w *writer) textsMember(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.key(name)
	w.open('[')
	for _, v := range values {
		w.item()
		w.text(v)
	}
	w.end(']')
}

// docMember writes a document unless it is nil. It fails on what is no object.
func (w *writer) docMember(name string, d agent.Doc) error {
	if d == nil {
		return nil
	}
	w.key(name)
	if !w.pretty {
		w.raw(d) // compact and checked when it came in
		return nil
	}
	if jsontext.Value(d).Kind() != '{' {
		return errors.New("a document is no JSON object")
	}
	prefix := jsontext.WithIndentPrefix(strings.Repeat(indent, w.level))
	buf, err := jsontext.AppendFormat(w.buf, d, prefix, jsontext.WithIndent(indent), jsontext.PreserveRawStrings(true))
	if err != nil {
		return err
	}
	w.buf = buf
	return nil
}

func (w *writer) origin(o agent.Origin) {
	w.open('{')
	w.textMember("baseUrl", o.BaseURL)
	w.textMember("keyEnv", o.KeyEnv)
	w.end('}')
}

// record writes what state keeps of one agent.
func (w *writer) record(r agent.Record) error {
	w.open('{')
	w.key("uid")
	w.text(r.UID)
	if err := w.docMember("applied", r.Applied); err != nil {
		return err
	}
	if err := w.docMember("observed", r.Observed); err != nil {
		return err
	}
	w.textMember("api", r.API)
	w.textMember("mark", r.Mark)
	w.textsMember("obsolete", r.Obsolete)
	w.textsMember("formerKeys", r.FormerKeys)
	if r.Protect {
		w.key("protect")
		w.raw([]byte("true"))
	}
	w.end('}')
	return nil
}
