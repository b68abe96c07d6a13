package state

import (
	"bytes"

	"agentsync/internal/agent"
)

// copyValue reads any value and writes it to w, laid out as w wants it.
func (s *scanner) copyValue(w *writer) error {
	switch c := s.peek(); {
	case c == '"':
		raw, _, err := s.rawString()
		w.raw(raw)
		return err
	case c == '{':
		return s.copyObject(w)
	case c == '[':
		w.open('[')
		err := s.list('[', ']', func() error {
			w.item()
			return s.copyValue(w)
		})
		w.end(']')
		return err
	case c == '-' || c >= '0' && c <= '9':
		raw, err := s.rawNumber()
		w.raw(raw)
		return err
	default:
		raw, err := s.literal()
		w.raw(raw)
		return err
	}
}

func (s *scanner) copyObject(w *writer) error {
	var last []byte
	w.open('{')
	err := s.list('{', '}', func() error {
		name, escaped, err := s.rawString()
		if err != nil {
			return err
		}
		if escaped || last != nil && bytes.Compare(last, name) >= 0 {
			s.plain = false
		}
		last = name
		s.members++
		if err := s.expect(':'); err != nil {
			return err
		}
		w.rawKey(name)
		return s.copyValue(w)
	})
	w.end('}')
	return err
}

// doc reads an object as a document in canonical form and appends it to dst. A document that a
// person edited comes out canonical too; one with a repeated member is refused.
func (s *scanner) doc(dst []byte) ([]byte, error) {
	if s.peek() != '{' {
		return dst, s.unexpected("an object")
	}
	at, start := s.pos, len(dst)
	s.members, s.plain = 0, true
	w := writer{buf: dst}
	if err := s.copyValue(&w); err != nil || s.plain {
		return w.buf, err
	}
	f, err := agent.Doc(w.buf[start:]).Fields()
	if err != nil {
		return dst, s.fail(at, "%v", err)
	}
	d, err := agent.Encode(f)
	if err != nil {
		return dst, s.fail(at, "%v", err)
	}
	again := scanner{b: d}
	if err := again.copyValue(&writer{}); err != nil {
		return dst, s.fail(at, "%v", err)
	}
	if again.members != s.members {
		return dst, s.fail(at, "a member stands twice in this object or in one inside it")
	}
	return append(w.buf[:start], d...), nil
}
