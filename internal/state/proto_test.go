package state

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"agentsync/internal/agent"
)

type docText []byte

func (d *docText) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*d, err = jsontext.AppendFormat(make([]byte, 0, len(v)), v, jsontext.EscapeForJS(true), jsontext.ReorderRawObjects(true))
	return err
}

type recordText struct {
	UID        string   `json:"uid"`
	Applied    docText  `json:"applied,omitzero"`
	Observed   docText  `json:"observed,omitzero"`
	API        string   `json:"api,omitzero"`
	Mark       string   `json:"mark,omitzero"`
	Obsolete   []string `json:"obsolete,omitempty"`
	FormerKeys []string `json:"formerKeys,omitempty"`
	Protect    bool     `json:"protect,omitzero"`
}

type stateText struct {
	Version uint64                `json:"version"`
	Serial  uint64                `json:"serial"`
	Lineage string                `json:"lineage"`
	Agents  map[string]recordText `json:"agents"`
}

func decodeStruct(b []byte) (*State, error) {
	var t stateText
	if err := json.Unmarshal(b, &t, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	s := &State{Serial: t.Serial, Lineage: t.Lineage, Agents: make(map[agent.Address]agent.Record, len(t.Agents))}
	for name, r := range t.Agents {
		a, err := agent.ParseAddress(name)
		if err != nil {
			return nil, err
		}
		s.Agents[a] = agent.Record{UID: r.UID, Applied: agent.Doc(r.Applied), Observed: agent.Doc(r.Observed)}
	}
	_, err := s.owners()
	return s, err
}

func decodeTokens(b []byte) (*State, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(b), jsontext.AllowDuplicateNames(true))
	s := &State{Agents: make(map[agent.Address]agent.Record, len(b)/1024)}
	arena := make([]byte, 0, len(b))
	doc := func() (agent.Doc, error) {
		v, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		start := len(arena)
		arena, err = jsontext.AppendFormat(arena, v, jsontext.EscapeForJS(true))
		return agent.Doc(arena[start:]), err
	}
	dec.ReadToken()
	for dec.PeekKind() == '"' {
		tok, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		if tok.String() != "agents" {
			dec.ReadValue()
			continue
		}
		dec.ReadToken()
		for dec.PeekKind() == '"' {
			tok, _ := dec.ReadToken()
			a, err := agent.ParseAddress(tok.String())
			if err != nil {
				return nil, err
			}
			var r agent.Record
			dec.ReadToken()
			for dec.PeekKind() == '"' {
				tok, _ := dec.ReadToken()
				switch tok.String() {
				case "uid":
					tok, err = dec.ReadToken()
					r.UID = tok.String()
				case "applied":
					r.Applied, err = doc()
				case "observed":
					r.Observed, err = doc()
				}
				if err != nil {
					return nil, err
				}
			}
			dec.ReadToken()
			s.Agents[a] = r
		}
		dec.ReadToken()
	}
	_, err := s.owners()
	return s, err
}

func BenchmarkProto(b *testing.B) {
	content, _ := fleet(10_000).Encode()
	for name, f := range map[string]func([]byte) (*State, error){"scanner": func(b []byte) (*State, error) { return Decode("x", b) }, "struct": decodeStruct, "tokens": decodeTokens} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := f(content)
				if err != nil || len(s.Agents) != 10_000 {
					b.Fatal(err)
				}
			}
		})
	}
	fmt.Println(len(content))
}
