package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// maxDepth bounds how deep a body may nest.
	maxDepth = 32
)

// decode reads the body of a create or update: exactly one JSON object in UTF-8, no key twice.
func (c *call) decode() *problem {
	if t, _, err := mime.ParseMediaType(c.header.Get("Content-Type")); err != nil || t != "application/json" {
		return refused(415, "", "the body must be application/json")
	}
	if !utf8.Valid(c.body) {
		return badRequest("the body is not UTF-8")
	}
	v, err := decodeJSON(c.body)
	if err != nil {
		return badRequest("the body is not JSON as it should be: %v", err)
	}
	var ok bool
	if c.sent, ok = v.(map[string]any); !ok {
		return badRequest("the body must be a JSON object")
	}
	return nil
}

// decodeJSON reads exactly one value, whose objects hold no key twice. Numbers stay as they are
// written.
func decodeJSON(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	switch err := dec.Decode(&v); err {
	case nil:
	case io.EOF:
		return nil, io.ErrUnexpectedEOF
	default:
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("data after the end of the object")
	}
	return v, checkShape(body)
}

// nest is one object or list that is open while a body is looked through.
type nest struct {
	keys map[string]bool // nil in a list
	key  string          // the one whose value is being looked at
}

// checkShape refuses keys that stand twice, which encoding/json lets pass, and deep nesting. The
// body is known to be JSON, so that brackets, commas and strings are all there is to look at.
func checkShape(body []byte) error {
	var open []nest
	expectKey := false
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			if len(open) > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
			n := nest{}
			if expectKey = body[i] == '{'; expectKey {
				n.keys = map[string]bool{}
			}
			open = append(open, n)
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			expectKey = open[len(open)-1].keys != nil
		case '"':
			end := endOfString(body, i)
			if expectKey {
				if err := note(open, body[i:end+1]); err != nil {
					return err
				}
				expectKey = false
			}
			i = end
		}
	}
	return nil
}

// endOfString returns where the string that begins at i ends.
func endOfString(body []byte, i int) int {
	for i++; body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}

// note enters a key, still quoted, into the innermost object.
func note(open []nest, quoted []byte) error {
	key := string(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(quoted, '\\') >= 0 {
		if err := json.Unmarshal(quoted, &key); err != nil {
			return err
		}
	}
	n := &open[len(open)-1]
	n.key = key
	if !n.keys[key] {
		n.keys[key] = true
		return nil
	}
	var path []string
	for _, n := range open {
		if n.keys != nil {
			path = append(path, n.key)
		}
	}
	return fmt.Errorf("%s stands twice", strings.Join(path, "."))
}

// encode writes v, which holds only what JSON can hold, without escaping <, > and &.
func encode(v any) []byte { return appendJSON(nil, v) }

// appendJSON appends v. The values that agents are made of are written here, because each answer and
// each line of the file is one; encoding/json does the rest.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendString(b, v)
	case json.Number:
		return append(b, v...)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(appendString(b, k), ':'), v[k])
		}
		return append(b, '}')
	}
	return appendOther(b, v)
}

// appendString writes s as it is where nothing in it needs escaping.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return appendOther(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendOther(b []byte, v any) []byte {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Appendf(b, "%q", err.Error()) // no value of this package comes here
	}
	return append(b, bytes.TrimSuffix(w.Bytes(), []byte("\n"))...)
}
