package platform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Answer is what was answered to a request.
type Answer struct {
	Status int
	// Body is what came of the answer's body. Nobody may keep it.
	Body []byte
	// Cut says why Body is not all of it, or is nil.
	Cut error
}

// cutError returns an error where the answer is not whole.
func (a Answer) cutError() error { return a.Cut }

// IsEmpty reports whether the whole body is nothing, or white space.
func (a Answer) IsEmpty() bool { return a.Cut == nil && len(withoutByteOrderMark(a.Body)) == 0 }

// JSON reads the body as one JSON document. Anything but white space behind it is an error: two documents are not
// the one that was asked for.
func (a Answer) JSON() (agent.Raw, error) {
	if a.Cut != nil {
		return nil, a.Cut
	}
	return Decode(a.Body)
}

// NotDone returns an error where the answer is one to a request that was not carried out, whatever its status says:
// an error envelope, no JSON, or less than all of it.
func (a Answer) NotDone() error {
	_, err := a.JSON()
	if err == nil && isRefusal(withoutByteOrderMark(a.Body)) {
		return errNotDone
	}
	return err
}

// errNotDone is an answer that says the opposite of its status.
var errNotDone = errors.New("the answer says that it was not done")

// Shape is how a platform writes agents down. All adapters read theirs by it, so that no answer loses a uid and no
// mark is ever seen in an agent's content.
type Shape struct {
	Schema *schema.Platform
	// UID and CreatedAt are the members of an agent that are not among the schema's fields.
	UID, CreatedAt string
	// Wrappers are the members that an answered agent may be wrapped in, from the outside in; each may be missing.
	Wrappers []string
	// Lists are the members that a list may be wrapped in.
	Lists []string
	// Secrets finds the secrets of this run; nil finds none. A string that holds one becomes a secret itself,
	// whatever member it stands in: a platform may repeat what it was sent where nobody expects it.
	Secrets *secret.Finder
}

// Agent reads the agent of an answer that holds one. Where a usable uid can be read there is no error, whatever
// the rest is, or how little of it came: see Remote.Unreadable.
func (s Shape) Agent(a Answer) (Remote, error) {
	answer, err := a.JSON()
	if err != nil {
		// The uid first: an answer that names the new agent says that it was made, also where it breaks off behind it.
		if uid := s.looseUID(a.Body); uid != "" {
			return Remote{UID: uid, Unreadable: fmt.Errorf("agent %s: %w", uid, err)}, nil
		}
		return Remote{}, err
	}
	r, err := s.remoteOf(s.unwrap(answer))
	if err != nil && a.NotDone() != nil {
		return Remote{}, errNotDone
	}
	return r, err
}

// HasAgent reports whether the answer, a whole one, holds an agent with a usable uid.
func (s Shape) HasAgent(a Answer) bool {
	answer, err := a.JSON()
	return err == nil && UIDOf(s.unwrap(answer).Value(s.UID)) != ""
}

// unwrap goes down the wrappers to an object that has a uid.
func (s Shape) unwrap(answer agent.Raw) agent.Object {
	o, _ := answer.Object()
	for _, wrapper := range s.Wrappers {
		if !o.Get(s.UID).IsNull() {
			break
		}
		if inner, ok := o.Get(wrapper).Object(); ok {
			o = inner
		}
	}
	return o
}

// remoteOf returns the agent that o describes. The error says that o has no usable uid.
func (s Shape) remoteOf(o agent.Object) (Remote, error) {
	return newRemote(s.Schema, s.Secrets, o.Value(s.UID), o.Value(s.CreatedAt), o)
}

// maxListed bounds how many agents one answer may list.
const maxListed = 500_000

// Elements reads a list of agents: a bare array, or an object that holds it. Each element is an object; what an
// odd one is, its reader finds out. Null in place of the list is no list: it is not known to mean "none".
func (s Shape) Elements(answer agent.Raw) ([]agent.Raw, error) {
	list, ok := answer.List()
	if envelope, isObject := answer.Object(); isObject {
		for _, name := range s.Lists {
			if !ok {
				list, ok = envelope.Get(name).List()
			}
		}
	}
	switch {
	case !ok:
		return nil, errors.New("the answer is no list of agents")
	case len(list) > maxListed:
		return nil, fmt.Errorf("the list holds more than %d agents", maxListed)
	}
	return list, nil
}

// Listed reads the agents of a list, those left out for which skip, which may be nil, is true. An agent whose rest
// is odd is in the list all the same, see Remote.Unreadable. One without a usable uid makes the whole list an
// error: nobody could tell whether it is one that is looked for. So does a uid that is there twice.
func (s Shape) Listed(elements []agent.Raw, skip func(agent.Object) bool) ([]Remote, error) {
	list := make([]Remote, 0, len(elements))
	seen := make(map[string]bool, len(elements))
	for i, e := range elements {
		o, _ := e.Object()
		if skip != nil && skip(o) {
			continue
		}
		r, err := s.remoteOf(o)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the list's element %d is an agent without a usable uid%s", i+1,
				unusable(o.Value(s.UID)))
		case seen[r.UID]:
			return nil, fmt.Errorf("the list holds agent %s twice", r.UID)
		}
		seen[r.UID] = true
		list = append(list, r)
	}
	return list, nil
}

// looseUID returns the uid that stands in body, which is no whole JSON document: it is cut, nested too deep, or goes
// wrong behind the uid. Only a whole string or number counts, and only a member of the outermost object or of a
// wrapper in it: a uid further in is another's.
func (s Shape) looseUID(body []byte) string {
	body = cutDeep(body)
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), lenient...)
	outer, name := 0, "" // how deep the innermost object that counts is, and the member of it that was read last
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return ""
		}
		// Where a value stands, not where it leads to.
		depth, kind := dec.StackDepth(), token.Kind()
		if kind == '{' || kind == '[' {
			depth--
		}
		_, read := dec.StackIndex(depth)
		switch isName := kind == '"' && depth > 0 && read%2 == 1; {
		case kind == '}' || kind == ']':
			outer = min(outer, dec.StackDepth())
		case depth != outer:
		case kind == '{' && (depth == 0 || slices.Contains(s.Wrappers, name)):
			outer++
		case isName:
			name = token.String()
		case depth > 0 && name == s.UID && kind == '"':
			return UIDOf(token.String())
		case depth > 0 && name == s.UID && kind == '0' && dec.InputOffset() < int64(len(body)):
			return UIDOf(json.Number(token.String())) // where the text goes on, the number is whole
		}
	}
}
