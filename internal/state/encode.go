package state

import (
	"fmt"
	"maps"
	"slices"

	"agentsync/internal/agent"
)

// Encode returns the state file's content: sorted by address, indented by two spaces, one agent per
// block, a newline at the end. The same state gives the same bytes. It fails on an agent without a
// uid, on a uid that stands at two addresses, and on a document that is no JSON object; such a file
// could not be read again.
func (s *State) Encode() ([]byte, error) {
	if _, err := s.owners(); err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	w := writer{pretty: true, buf: make([]byte, 0, s.size())}
	w.open('{')
	w.key("version")
	w.uint(Version)
	w.key("serial")
	w.uint(s.Serial)
	w.key("lineage")
	w.text(s.Lineage)
	if len(s.Apps) > 0 {
		w.key("apps")
		w.open('{')
		for _, app := range slices.SortedFunc(maps.Keys(s.Apps), agent.AppID.Compare) {
			w.key(app.String())
			w.origin(s.Apps[app])
		}
		w.end('}')
	}
	w.key("agents")
	w.open('{')
	for _, a := range s.Addresses() {
		w.key(a.String())
		if err := w.record(s.Agents[a]); err != nil {
			return nil, fmt.Errorf("encode state: %s: %w", a, err)
		}
	}
	w.end('}')
	w.end('}')
	return append(w.buf, '\n'), nil
}

// size estimates the encoded length, so that the buffer seldom grows.
func (s *State) size() int {
	n := 256
	for _, r := range s.Agents {
		n += 256 + (len(r.Applied)+len(r.Observed))*5/4
	}
	return n
}
