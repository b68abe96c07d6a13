package agent

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Raw is the text of one JSON value that is known to be right, white space around it left out; "" is
// none. What is in it is read when it is asked for: of most answers little is. It keeps the text alive
// that it was cut from.
type Raw string

// ReadRaw returns b, one JSON document. It is false for what ReadJSON is false for.
func ReadRaw(b []byte) (Raw, bool) {
	if !utf8.Valid(b) {
		return "", false
	}
	r := jsonReader{text: string(b)}
	raw, ok := r.raw(0)
	r.space()
	return raw, ok && r.at == len(r.text)
}

// IsNull reports whether there is no value, or a null.
func (r Raw) IsNull() bool { return r == "" || r == "null" }

// Is reports whether the value is of the JSON type: "string", "boolean", "number", "array", "object" or
// "null".
func (r Raw) Is(jsonType string) bool {
	if r == "" {
		return false
	}
	switch r[0] {
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
	default:
		return jsonType == "number"
	}
}

// Value reads the value as ReadJSON does. None is nil.
func (r Raw) Value() any {
	reader := jsonReader{text: string(r)}
	v, _ := reader.value(0) // known to be right
	return v
}

// Object returns the value's members; it is false for what is no object.
func (r Raw) Object() (Object, bool) {
	if !r.Is("object") {
		return nil, false
	}
	var room [usualKeys]Member
	o := Object(room[:0])
	reader := jsonReader{text: string(r)}
	ok := reader.members(func(name string) bool {
		value, ok := reader.raw(0)
		o = append(o, Member{name, value})
		return ok
	})
	return slices.Clone(o), ok
}

// List returns the value's elements; it is false for what is no array.
func (r Raw) List() (list []Raw, ok bool) {
	if !r.Is("array") {
		return nil, false
	}
	reader := jsonReader{text: string(r)}
	ok = reader.elements(func() bool {
		e, ok := reader.raw(0)
		list = append(list, e)
		return ok
	})
	return list, ok
}

// Object is a JSON object, its members in the order of the text.
type Object []Member

// Member is a member of an Object.
type Member struct {
	Name  string
	Value Raw
}

// Get returns the value of the member, "" where there is none. Of several the last counts.
func (o Object) Get(name string) Raw {
	for _, m := range slices.Backward(o) {
		if m.Name == name {
			return m.Value
		}
	}
	return ""
}

// Value reads the value of the member; nil where there is none.
func (o Object) Value(name string) any { return o.Get(name).Value() }

// Map reads the whole object.
func (o Object) Map() map[string]any {
	m := make(map[string]any, len(o))
	for _, e := range o {
		m[e.Name] = e.Value.Value()
	}
	return m
}

// raw moves over a value and returns its text.
func (r *jsonReader) raw(depth int) (Raw, bool) {
	r.space()
	end := valueEnd(r.text, r.at, depth)
	if end < 0 {
		return "", false
	}
	raw := Raw(r.text[r.at:end])
	r.at = end
	return raw, true
}

// valueEnd returns the index behind the value that starts at i, or -1 where there is none that is right.
func valueEnd(text string, i, depth int) int {
	if i >= len(text) || depth > jsonDepth {
		return -1
	}
	switch text[i] {
	case '"':
		return quotedEnd(text, i)
	case '{':
		return membersEnd(text, i, depth)
	case '[':
		return elementsEnd(text, i, depth)
	}
	r := jsonReader{text: text, at: i}
	if !r.scalar() {
		return -1
	}
	return r.at
}

func membersEnd(text string, i, depth int) int {
	if i = spaceEnd(text, i+1); i < len(text) && text[i] == '}' {
		return i + 1
	}
	for i < len(text) && text[i] == '"' {
		if i = quotedEnd(text, i); i < 0 {
			return -1
		}
		if i = spaceEnd(text, i); i == len(text) || text[i] != ':' {
			return -1
		}
		if i = valueEnd(text, spaceEnd(text, i+1), depth+1); i < 0 {
			return -1
		}
		if i = spaceEnd(text, i); i < len(text) && text[i] == '}' {
			return i + 1
		}
		if i == len(text) || text[i] != ',' {
			return -1
		}
		i = spaceEnd(text, i+1)
	}
	return -1
}

func elementsEnd(text string, i, depth int) int {
	if i = spaceEnd(text, i+1); i < len(text) && text[i] == ']' {
		return i + 1
	}
	for {
		if i = valueEnd(text, i, depth+1); i < 0 {
			return -1
		}
		if i = spaceEnd(text, i); i < len(text) && text[i] == ']' {
			return i + 1
		}
		if i == len(text) || text[i] != ',' {
			return -1
		}
		i = spaceEnd(text, i+1)
	}
}

// quotedEnd returns the index behind the string that starts at i, or -1. One of plain characters and
// escapes with a letter is not looked at further.
func quotedEnd(text string, i int) int {
	if end := plainEnd(text, i, escapes); end > 0 {
		return end
	}
	r := jsonReader{text: text, at: i}
	if _, ok := r.str(); !ok {
		return -1
	}
	return r.at
}

// plainEnd returns the index behind the string that starts at i, where it holds nothing but plain
// characters and escapes with one of the letters, and 0 for any other.
func plainEnd(text string, i int, letters string) int {
	for i = SkipPlain(text, i+1); i < len(text); i = SkipPlain(text, i) {
		switch c := text[i]; {
		case c == '"':
			return i + 1
		case c == '\\' && i+1 < len(text) && strings.IndexByte(letters, text[i+1]) >= 0:
			i += 2
		default:
			return 0
		}
	}
	return 0
}
