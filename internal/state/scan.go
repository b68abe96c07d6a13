package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"unicode/utf8"

	"agentsync/internal/agent"
)

// scanner reads JSON in one pass, strictly. It exists because encoding/json takes several times as
// long for a state of 10,000 agents (it scans each document twice, and compacting is a third time),
// and because it lets a repeated member through, which here would be a lost uid.
type scanner struct {
	b     []byte
	pos   int
	depth int

	// members counts the members of all objects, and plain stays true as long as what was copied is
	// in canonical form already; both since the caller last reset them.
	members int
	plain   bool
}

// syntaxError is what is wrong at a byte.
type syntaxError struct {
	offset    int
	truncated bool
	text      string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s (byte %d)", e.text, e.offset) }

func (s *scanner) fail(at int, format string, args ...any) error {
	return &syntaxError{offset: at, text: fmt.Sprintf(format, args...)}
}

// unexpected is the error of a byte that cannot stand where it stands, or of the end.
func (s *scanner) unexpected(wanted string) error {
	if s.pos >= len(s.b) {
		return &syntaxError{offset: len(s.b), truncated: true, text: "the file ends where " + wanted + " should stand"}
	}
	if c := s.b[s.pos]; c < 0x20 || c >= 0x7f {
		return s.fail(s.pos, "the byte 0x%02x stands where %s should stand", c, wanted)
	}
	return s.fail(s.pos, "%q stands where %s should stand", s.b[s.pos], wanted)
}

func (s *scanner) space() {
	for s.pos < len(s.b) {
		switch s.b[s.pos] {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return
		}
	}
}

// peek skips space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos >= len(s.b) {
		return 0
	}
	return s.b[s.pos]
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return s.unexpected(fmt.Sprintf("%q", c))
	}
	s.pos++
	return nil
}

// list reads what stands between open and end, calling item before each item.
func (s *scanner) list(open, end byte, item func() error) error {
	if err := s.expect(open); err != nil {
		return err
	}
	if s.depth++; s.depth > agent.MaxTextDepth { // no file can exhaust the stack
		return s.fail(s.pos, "values nest deeper than %d", agent.MaxTextDepth)
	}
	defer func() { s.depth-- }()
	if s.peek() == end {
		s.pos++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case end:
			s.pos++
			return nil
		default:
			return s.unexpected(fmt.Sprintf("a comma or %q", end))
		}
	}
}

// object reads an object and calls member for each, with the name and where it stands; member reads
// the value.
func (s *scanner) object(member func(name string, at int) error) error {
	return s.list('{', '}', func() error {
		s.space()
		at := s.pos
		name, err := s.text()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return member(name, at)
	})
}

// text reads a string and returns its value.
func (s *scanner) text() (string, error) {
	raw, escaped, err := s.rawString()
	if err != nil {
		return "", err
	}
	if !escaped {
		return string(raw[1 : len(raw)-1]), nil
	}
	var v string
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", s.fail(s.pos, "%v", err)
	}
	return v, nil
}

// rawString reads a string and returns it as it is written, quotes included.
func (s *scanner) rawString() (raw []byte, escaped bool, err error) {
	if s.peek() != '"' {
		return nil, false, s.unexpected("a string")
	}
	start := s.pos
	for i := skipPlain(s.b, start+1); i < len(s.b); i = skipPlain(s.b, i+1) {
		switch c := s.b[i]; {
		case c == '"':
			s.pos = i + 1
			return s.b[start:s.pos], escaped, nil
		case c == '\\':
			s.pos = i + 1
			if err := s.escape(); err != nil {
				return nil, false, err
			}
			escaped = true
			i = s.pos - 1
		case c < 0x20:
			return nil, false, s.fail(i, "a control character stands in a string")
		}
	}
	s.pos = len(s.b)
	return nil, false, s.unexpected("the end of a string")
}

// escape reads what follows a backslash.
func (s *scanner) escape() error {
	if s.pos >= len(s.b) {
		return s.unexpected("an escape")
	}
	switch s.b[s.pos] {
	case '"', '\\', 'n', 't', 'r', 'b', 'f':
		s.pos++
		return nil
	case '/':
		s.plain = false
		s.pos++
		return nil
	case 'u':
		s.plain = false // perhaps not the shortest way to write it
		for range 4 {
			if s.pos++; s.pos >= len(s.b) || !isHex(s.b[s.pos]) {
				return s.unexpected("a hexadecimal digit")
			}
		}
		s.pos++
		return nil
	}
	return s.unexpected("an escape")
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// uint reads a whole number that is not negative.
func (s *scanner) uint() (uint64, error) {
	s.space()
	at := s.pos
	raw, err := s.rawNumber()
	if err != nil {
		return 0, err
	}
	var n uint64
	if json.Unmarshal(raw, &n) != nil {
		return 0, s.fail(at, "%s stands where a whole number from 0 to 18446744073709551615 should stand", raw)
	}
	return n, nil
}

// digits moves over at least one digit.
func (s *scanner) digits() error {
	start := s.pos
	for s.pos < len(s.b) && s.b[s.pos] >= '0' && s.b[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == start {
		return s.unexpected("a digit")
	}
	return nil
}

func (s *scanner) rawNumber() ([]byte, error) {
	start := s.pos
	if s.pos < len(s.b) && s.b[s.pos] == '-' {
		s.pos++
	}
	first := s.pos
	if err := s.digits(); err != nil {
		return nil, err
	}
	if s.b[first] == '0' && s.pos > first+1 {
		return nil, s.fail(first, "a number starts with 0")
	}
	if s.pos < len(s.b) && s.b[s.pos] == '.' {
		s.plain = false
		s.pos++
		if err := s.digits(); err != nil {
			return nil, err
		}
	}
	if s.pos < len(s.b) && s.b[s.pos]|0x20 == 'e' {
		s.plain = false
		if s.pos++; s.pos < len(s.b) && (s.b[s.pos] == '+' || s.b[s.pos] == '-') {
			s.pos++
		}
		if err := s.digits(); err != nil {
			return nil, err
		}
	}
	return s.b[start:s.pos], nil
}

// literal reads one of null, true and false.
func (s *scanner) literal() ([]byte, error) {
	for _, word := range [...]string{"null", "true", "false"} {
		if bytes.HasPrefix(s.b[s.pos:], []byte(word)) {
			s.pos += len(word)
			return s.b[s.pos-len(word) : s.pos], nil
		}
		if rest := s.b[s.pos:]; len(rest) > 0 && bytes.HasPrefix([]byte(word), rest) {
			s.pos = len(s.b)
		}
	}
	return nil, s.unexpected("a value")
}

// boolean reads true or false.
func (s *scanner) boolean() (bool, error) {
	if c := s.peek(); c != 't' && c != 'f' {
		return false, s.unexpected("true or false")
	}
	word, err := s.literal()
	return err == nil && word[0] == 't', err
}

// skipPlain returns the index of the first byte of text, from i on, that is not one plain character of a
// JSON string: a quote, a backslash, a control character, or a part of a character beyond ASCII. It is
// the length of text where there is none. It looks at eight bytes at a time, since most of what
// agentsync reads and writes is such characters.
func skipPlain(text []byte, i int) int {
	const each = 0x0101010101010101 // of a byte in all eight
	for ; i+8 <= len(text); i += 8 {
		b := text[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// The highest bit of a byte is set where it was before, or where a subtraction goes below zero. What is
		// borrowed from the bytes above can only be wrong there, and the lowest one counts.
		found := (w | (w - ' '*each) | (w ^ '"'*each - each) | (w ^ '\\'*each - each)) & (0x80 * each)
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return i
}
