package agent

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep the values of an agent's fields may be nested, in manifests and in answers alike. What
// is written of an agent, and what is written around it, is then never too deep for a reader.
const MaxDepth = 100

// MaxTextDepth is how deep a text with agents in it may be nested: an answer, a state file, a line of the journal. It
// leaves room for what is written around an agent.
const MaxTextDepth = MaxDepth + 10

// Raw is one JSON value as it is written, known to be right; nil is none. What is in it is read when it is
// asked for: of most answers little is. Nobody may change it.
type Raw []byte

// ReadRaw returns b, one JSON document, and keeps it. It is false for anything else, broken UTF-8 included. A name may
// stand twice in an object, as servers do it.
func ReadRaw(b []byte) (Raw, bool) {
	b = bytes.TrimSpace(b)
	return b, jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true))
}

// IsNull reports whether there is no value, or a null.
func (r Raw) IsNull() bool { return len(r) == 0 || r.Is("null") }

// Is reports whether the value is of the JSON type: "string", "boolean", "number", "array", "object" or
// "null".
func (r Raw) Is(jsonType string) bool {
	switch jsontext.Value(r).Kind() {
	case '"':
		return jsonType == "string"
	case '{':
		return jsonType == "object"
	case '[':
		return jsonType == "array"
	case 't', 'f':
		return jsonType == "boolean"
	case 'n':
		return jsonType == "null"
	case '0':
		return jsonType == "number"
	}
	return false
}

// rawReader reads one document. Readers are used again: a new one for each value was most of the cost of a list.
type rawReader struct {
	*jsontext.Decoder
	text bytes.Buffer
}

var readers = sync.Pool{New: func() any { return &rawReader{Decoder: new(jsontext.Decoder)} }}

// readWith calls do with a decoder of r, in which a name may stand twice if often is true. Nothing of the decoder may
// be kept.
func (r Raw) readWith(often bool, do func(*jsontext.Decoder) error) error {
	in := readers.Get().(*rawReader)
	defer readers.Put(in)
	in.text = *bytes.NewBuffer(r)
	in.Reset(&in.text, jsontext.AllowDuplicateNames(often))
	return do(in.Decoder)
}

// Value reads the value: nil, bool, string, []any, map[string]any, and json.Number with the text that the number
// has. None is nil.
func (r Raw) Value() (v any) {
	switch {
	case r.IsNull():
		return nil
	case r.Is("string"):
		b, _ := jsontext.AppendUnquote(nil, r) // known to be right
		return string(b)
	}
	_ = r.readWith(true, func(dec *jsontext.Decoder) (err error) {
		v, err = readValue(dec)
		return err
	})
	return v
}

// readValue reads the next value.
func readValue(dec *jsontext.Decoder) (any, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		m := map[string]any{}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String() // before the next read: the token is part of what is read
			if m[key], err = readValue(dec); err != nil {
				return nil, err
			}
		}
		_, err = dec.ReadToken()
		return m, err
	case '[':
		list := []any{}
		for dec.PeekKind() != ']' {
			e, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		_, err = dec.ReadToken()
		return list, err
	case '"':
		return token.String(), nil
	case '0':
		return json.Number(token.String()), nil
	case 'n':
		return nil, nil
	default:
		return token.Bool(), nil
	}
}

// nextValue cuts the next value out of r, which dec reads.
func (r Raw) nextValue(dec *jsontext.Decoder) (Raw, error) {
	v, err := dec.ReadValue()
	end := dec.InputOffset()
	return r[end-int64(len(v)) : end : end], err
}

// Object returns the value's members; it is false for what is no object.
func (r Raw) Object() (Object, bool) {
	if !r.Is("object") {
		return nil, false
	}
	var room [usualKeys]Member
	o := Object(room[:0])
	err := r.readWith(true, func(dec *jsontext.Decoder) error {
		_, _ = dec.ReadToken() // {
		for dec.PeekKind() == '"' {
			token, _ := dec.ReadToken() // all is known to be right
			name := token.String()
			value, err := r.nextValue(dec)
			if err != nil {
				return err
			}
			o = append(o, Member{name, value})
		}
		return nil
	})
	return slices.Clone(o), err == nil
}

// List returns the value's elements; it is false for what is no array.
func (r Raw) List() (list []Raw, ok bool) {
	if !r.Is("array") {
		return nil, false
	}
	err := r.readWith(true, func(dec *jsontext.Decoder) error {
		_, _ = dec.ReadToken() // [
		for dec.PeekKind() != ']' {
			e, err := r.nextValue(dec)
			if err != nil {
				return err
			}
			list = append(list, e)
		}
		return nil
	})
	return list, err == nil
}

// Object is a JSON object, its members in the order of the text.
type Object []Member

// Member is a member of an Object.
type Member struct {
	Name  string
	Value Raw
}

// Get returns the value of the member, nil where there is none. Of several the last counts.
func (o Object) Get(name string) Raw {
	for _, m := range slices.Backward(o) {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// Value reads the value of the member; nil where there is none.
func (o Object) Value(name string) any {
	if v := o.Get(name); v != nil {
		return v.Value()
	}
	return nil
}

// Map reads the whole object.
func (o Object) Map() map[string]any {
	m := make(map[string]any, len(o))
	for _, e := range o {
		m[e.Name] = e.Value.Value()
	}
	return m
}

// AppendCanonical appends the canonical form of the value, as Encode writes it, null members of objects left
// out. It is false, and dst is then of no use, for what needs a closer look: a member that stands twice, the
// reserved key, a number that is out of range, or no value.
func (r Raw) AppendCanonical(dst []byte) ([]byte, bool) {
	if r.Is("string") {
		dst, err := jsontext.AppendFormat(dst, r, jsontext.EscapeForJS(true))
		return dst, err == nil
	}
	err := r.readWith(false, func(dec *jsontext.Decoder) error {
		v, err := readValue(dec)
		if err == nil {
			v, err = canonicalValue(v, true)
		}
		if err == nil {
			dst, err = appendValue(dst, v)
		}
		return err
	})
	return dst, err == nil
}
