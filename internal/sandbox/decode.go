package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
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
	dec := json.NewDecoder(bytes.NewReader(c.body))
	dec.UseNumber()
	v, err := decodeValue(dec, "", 0)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			err = nil
		} else if err == nil {
			err = errors.New("data after the end of the object")
		}
	}
	if err != nil {
		return badRequest("the body is not JSON as it should be: %v", err)
	}
	var ok bool
	if c.fields, ok = v.(map[string]any); !ok {
		return badRequest("the body must be a JSON object")
	}
	return nil
}

// decodeValue reads one value token by token, because encoding/json lets a key stand twice.
func decodeValue(dec *json.Decoder, path string, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(dec, path, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, path, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return token, nil
}

func decodeObject(dec *json.Decoder, path string, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string) // the decoder lets nothing else stand before a colon
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("%s stands twice", path+key)
		}
		if object[key], err = decodeValue(dec, path+key+".", depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}
