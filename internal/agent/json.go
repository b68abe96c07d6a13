package agent

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// ReadJSON reads b, one JSON document, as encoding/json does into an any with UseNumber: nil, bool,
// json.Number, string, []any and map[string]any. It is some four times as quick, since it looks at
// each byte once and does not copy strings: the value keeps b's text alive. It is false, and says no
// more, for what is no JSON or very deeply nested: encoding/json then has the word. A fuzz test holds
// the two against each other.
func ReadJSON(b []byte) (v any, ok bool) {
	if !utf8.Valid(b) {
		return nil, false
	}
	r := jsonReader{text: string(b)}
	v, ok = r.value(0)
	r.space()
	return v, ok && r.at == len(r.text)
}

// MaxDepth is how deep the values of an agent's fields may be nested, in manifests and in answers alike. What
// is written of an agent, and what is written around it, is then never too deep for a reader.
const MaxDepth = 100

// jsonDepth is how deep a document may be nested: as deep as encoding/json goes.
const jsonDepth = 10_000

// jsonReader reads text from the byte at on.
type jsonReader struct {
	text string
	at   int
}

func (r *jsonReader) space() { r.at = spaceEnd(r.text, r.at) }

// spaceEnd returns the index behind the white space at i.
func spaceEnd(text string, i int) int {
	for i < len(text) && text[i] <= ' ' && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}

// next skips white space and returns the byte behind it, 0 at the end.
func (r *jsonReader) next() byte {
	r.space()
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

// take moves over c, if it is next.
func (r *jsonReader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.at++
	return true
}

func (r *jsonReader) value(depth int) (v any, ok bool) {
	switch c := r.next(); {
	case depth > jsonDepth:
		return nil, false
	case c == '"':
		return r.str()
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == 't':
		return true, r.scalar()
	case c == 'f':
		return false, r.scalar()
	case c == 'n':
		return nil, r.scalar()
	default:
		start := r.at
		if !r.scalar() {
			return nil, false
		}
		return json.Number(r.text[start:r.at]), true
	}
}

// scalar moves over a number, true, false or null.
func (r *jsonReader) scalar() bool {
	switch c := r.next(); {
	case c == '-' || isDigit(c):
		return r.number()
	case c == 't':
		return r.word("true")
	case c == 'f':
		return r.word("false")
	default:
		return r.word("null")
	}
}

func (r *jsonReader) word(w string) bool {
	if !strings.HasPrefix(r.text[r.at:], w) {
		return false
	}
	r.at += len(w)
	return true
}

func (r *jsonReader) object(depth int) (v any, ok bool) {
	m := map[string]any{}
	ok = r.members(func(name string) (ok bool) {
		m[name], ok = r.value(depth + 1)
		return ok
	})
	return m, ok
}

func (r *jsonReader) array(depth int) (v any, ok bool) {
	list := []any{}
	ok = r.elements(func() bool {
		e, ok := r.value(depth + 1)
		list = append(list, e)
		return ok
	})
	return list, ok
}

// members moves over an object and calls read before each value, which moves over it.
func (r *jsonReader) members(read func(name string) bool) bool {
	r.at++
	if r.take('}') {
		return true
	}
	for {
		if r.next() != '"' {
			return false
		}
		name, ok := r.str()
		if !ok || !r.take(':') || !read(name) {
			return false
		}
		if !r.take(',') {
			return r.take('}')
		}
	}
}

// elements moves over an array and calls read before each value, which moves over it.
func (r *jsonReader) elements(read func() bool) bool {
	r.at++
	if r.take(']') {
		return true
	}
	for {
		if !read() {
			return false
		}
		if !r.take(',') {
			return r.take(']')
		}
	}
}

// str reads a string. Most hold no escape and are a piece of the text.
func (r *jsonReader) str() (s string, ok bool) {
	r.at++
	start := r.at
	for i := SkipPlain(r.text, start); i < len(r.text); i = SkipPlain(r.text, i+1) {
		switch c := r.text[i]; {
		case c == '"':
			r.at = i + 1
			return r.text[start:i], true
		case c == '\\':
			r.at = i
			return r.escaped(start)
		case c < ' ':
			return "", false
		}
	}
	r.at = len(r.text)
	return "", false
}

// escaped reads a string that starts at start and whose first escape is here.
func (r *jsonReader) escaped(start int) (s string, ok bool) {
	var b strings.Builder
	from := start // of what is not in b yet
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			b.WriteString(r.text[from:r.at])
			r.at++
			return b.String(), true
		case c < ' ':
			return "", false
		case c == '\\':
			b.WriteString(r.text[from:r.at])
			if r.at++; r.at == len(r.text) {
				return "", false
			}
			if r.text[r.at] == 'u' {
				return r.unicode(start)
			}
			i := strings.IndexByte(escapes, r.text[r.at])
			if i < 0 {
				return "", false
			}
			b.WriteByte(escaped[i])
			from = r.at + 1
		}
	}
	return "", false
}

// What may stand behind a backslash, and what it stands for.
const (
	escapes = `"\/bfnrt`
	escaped = "\"\\/\b\f\n\r\t"
)

// unicode leaves a string with a \u to encoding/json, which knows about surrogates.
func (r *jsonReader) unicode(start int) (s string, ok bool) {
	for r.at < len(r.text) && r.text[r.at] != '"' {
		if r.text[r.at] == '\\' {
			r.at++
		}
		r.at++
	}
	if r.at >= len(r.text) {
		return "", false
	}
	r.at++
	return s, json.Unmarshal([]byte(r.text[start-1:r.at]), &s) == nil
}

func (r *jsonReader) number() bool {
	if r.text[r.at] == '-' {
		r.at++
	}
	whole := r.at
	if !r.digits() || r.text[whole] == '0' && r.at > whole+1 {
		return false
	}
	if r.at < len(r.text) && r.text[r.at] == '.' {
		if r.at++; !r.digits() {
			return false
		}
	}
	if r.at < len(r.text) && r.text[r.at]|0x20 == 'e' {
		if r.at++; r.at < len(r.text) && (r.text[r.at] == '+' || r.text[r.at] == '-') {
			r.at++
		}
		if !r.digits() {
			return false
		}
	}
	return true
}

// digits moves over digits, and reports whether there was one.
func (r *jsonReader) digits() bool {
	start := r.at
	for r.at < len(r.text) && isDigit(r.text[r.at]) {
		r.at++
	}
	return r.at > start
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
