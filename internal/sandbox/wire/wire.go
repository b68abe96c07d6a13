// Package wire reads and writes the sandbox's JSON with the standard library alone, so that it shares no fault with the
// library that the adapters read and write with. It is strict in what it reads.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Encode writes v, which holds only what JSON can hold, without escaping <, > and &.
func Encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Appendf(nil, "%q", err.Error()) // no value of this package's users comes here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
