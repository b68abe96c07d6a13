package agent

import (
	"encoding/json"
	"slices"
	"strings"
)

// AppendCanonical appends the canonical form of the value, as Encode writes it, null members of
// objects left out. It is false, and dst is then of no use, for what needs a closer look: a member that
// stands twice, the reserved key, a number that is out of range, or no value.
func (r Raw) AppendCanonical(dst []byte) ([]byte, bool) {
	if r.inOrder() {
		return append(dst, r...), true
	}
	reader := jsonReader{text: string(r)}
	return reader.canonical(dst, 0)
}

func (r *jsonReader) canonical(dst []byte, depth int) ([]byte, bool) {
	switch c := r.next(); {
	case depth > jsonDepth:
		return dst, false
	case c == '"':
		return r.canonicalString(dst)
	case c == '{':
		return r.canonicalObject(dst, depth)
	case c == '[':
		return r.canonicalList(dst, depth)
	}
	v, ok := r.value(depth)
	if n, isNumber := v.(json.Number); isNumber {
		var err error
		v, err = Number(n.String())
		ok = ok && err == nil
	}
	if !ok {
		return dst, false
	}
	dst, err := appendValue(dst, v)
	return dst, err == nil
}

func (r *jsonReader) canonicalString(dst []byte) ([]byte, bool) {
	// A slash stands for itself in the canonical form; the other letters are as Encode writes them.
	if end := plainEnd(r.text, r.at, canonicalEscapes); end > 0 {
		dst, r.at = append(dst, r.text[r.at:end]...), end
		return dst, true
	}
	s, ok := r.str()
	return appendString(dst, s), ok
}

func (r *jsonReader) canonicalList(dst []byte, depth int) ([]byte, bool) {
	start := len(dst)
	ok := r.elements(func() (ok bool) {
		dst, ok = r.canonical(append(dst, ','), depth+1)
		return ok
	})
	if len(dst) == start {
		return append(dst, "[]"...), ok
	}
	dst[start] = '['
	return append(dst, ']'), ok
}

// piece is where a member stands in what is written.
type piece struct {
	name     string
	from, to int
}

// canonicalObject writes the members as they come, and puts them in order where they are not.
func (r *jsonReader) canonicalObject(dst []byte, depth int) ([]byte, bool) {
	start := len(dst)
	var room [usualKeys]piece
	pieces := room[:0]
	ok := r.members(func(name string) (ok bool) {
		switch {
		case name == ReservedKey:
			return false
		case r.next() == 'n': // left out, but for its name, which may stand twice
			pieces = append(pieces, piece{name, len(dst), len(dst)})
			return r.word("null")
		}
		from := len(dst)
		dst, ok = r.canonical(append(appendString(append(dst, ','), name), ':'), depth+1)
		pieces = append(pieces, piece{name, from, len(dst)})
		return ok
	})
	if !ok {
		return dst, false
	}
	return arrange(dst, start, pieces)
}

// arrange makes an object of the members that stand in dst from start on, a comma before each. It is
// false where a name stands twice.
func arrange(dst []byte, start int, pieces []piece) ([]byte, bool) {
	byName := func(a, b piece) int { return strings.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(pieces, byName) {
		slices.SortFunc(pieces, byName)
		sorted := make([]byte, 0, len(dst)-start)
		for _, p := range pieces {
			sorted = append(sorted, dst[p.from:p.to]...)
		}
		copy(dst[start:], sorted)
	}
	for i := 1; i < len(pieces); i++ {
		if pieces[i-1].name == pieces[i].name {
			return dst, false
		}
	}
	if len(dst) == start {
		return append(dst, "{}"...), true
	}
	dst[start] = '{'
	return append(dst, '}'), true
}
