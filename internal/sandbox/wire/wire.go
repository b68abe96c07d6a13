// Package wire reads and writes the sandbox's JSON with the standard library alone, so that it shares no fault with the
// library that the adapters read and write with. It is strict in what it reads.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep a body may nest.
const maxDepth = 32

// Decode reads exactly one value in UTF-8, whose objects hold no key twice. Numbers are json.Number, as they are
// written.
func Decode(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := readValue(dec, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("data after the end of the object")
	}
	return v, nil
}

// readValue reads one value, which is below path and inside of depth others. It goes from token to token, because
// Decoder.Decode lets a key pass that stands twice.
func readValue(dec *json.Decoder, path string, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, unexpectedEnd(err)
	}
	open, nests := token.(json.Delim)
	switch {
	case !nests:
		return token, nil
	case depth > maxDepth:
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	list, object := []any{}, map[string]any{}
	for dec.More() {
		key, below := "", path
		if open == '{' {
			token, err := dec.Token()
			if err != nil {
				return nil, unexpectedEnd(err)
			}
			key = token.(string) // the decoder takes nothing else for a key
			if _, twice := object[key]; twice {
				return nil, fmt.Errorf("%s stands twice", path+key)
			}
			below += key + "."
		}
		v, err := readValue(dec, below, depth+1)
		if err != nil {
			return nil, err
		}
		if open == '{' {
			object[key] = v
		} else {
			list = append(list, v)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, unexpectedEnd(err)
	}
	if open == '{' {
		return object, nil
	}
	return list, nil
}

func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Encode writes v, which holds only what JSON can hold, without escaping <, > and &.
func Encode(v any) []byte { return appendJSON(nil, v) }

// appendJSON appends v. The values that agents are made of are written here: encoding/json takes some 2 KB of stack for
// each level, and the fault odd-agents=deep has 20,000 of them. It does the rest.
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
