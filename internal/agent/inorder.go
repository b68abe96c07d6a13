package agent

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Canonical reports whether d certainly is in canonical form, as nearly all documents are: an object
// without spaces, names in order and none twice, nothing that could be written in another way. It may
// say no of one that is: whoever asks then takes the longer way.
func (d Doc) Canonical() bool {
	return len(d) > 0 && d[0] == '{' && inOrderEnd(d, 0, 0) == len(d) && utf8.Valid(d)
}

// Holds reports whether d certainly has each field of other with the same value, byte for byte. Both are
// canonical. It may say no where values are written in ways that are not compared.
func (d Doc) Holds(other Doc) bool {
	has, _ := Raw(d).Object()
	wanted, _ := Raw(other).Object()
	for _, m := range wanted {
		if v := has.Get(m.Name); v == nil || !bytes.Equal(v, m.Value) {
			return false
		}
	}
	return len(wanted) > 0
}

const (
	// inOrderDepth and inOrderDigits bound what is certain.
	inOrderDepth  = 500
	inOrderDigits = 15
	// canonicalEscapes are what Encode writes behind a backslash, but for the u of a number.
	canonicalEscapes = `"\bfnrt`
)

// text is what can be looked at without a copy.
type text interface{ Doc }

// inOrderEnd returns the index behind the value at i, or -1 where it is not certainly canonical.
func inOrderEnd[T text](t T, i, depth int) int {
	if i >= len(t) || depth >= inOrderDepth {
		return -1
	}
	switch c := t[i]; {
	case c == '"':
		return StringEnd(t, i)
	case c == '{':
		return membersInOrderEnd(t, i, depth)
	case c == '[':
		return elementsInOrderEnd(t, i, depth)
	case c == '-' || c >= '0' && c <= '9':
		return wholeNumberEnd(t, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(t)-i >= len(word) && string(t[i:i+len(word)]) == word {
			return i + len(word)
		}
	}
	return -1
}

func membersInOrderEnd[T text](t T, i, depth int) int {
	if i++; byteAt(t, i) == '}' {
		return i + 1
	}
	from, to := 0, -1 // of the name before
	for {
		if byteAt(t, i) != '"' {
			return -1
		}
		end := StringEnd(t, i)
		if byteAt(t, end) != ':' || hasEscape(t[i:end]) || to >= 0 && string(t[from:to]) >= string(t[i+1:end-1]) {
			return -1
		}
		from, to = i+1, end-1
		i = inOrderEnd(t, end+1, depth+1)
		switch byteAt(t, i) {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

func elementsInOrderEnd[T text](t T, i, depth int) int {
	if i++; byteAt(t, i) == ']' {
		return i + 1
	}
	for {
		i = inOrderEnd(t, i, depth+1)
		switch byteAt(t, i) {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// hasEscape reports whether a string that was looked at holds an escape.
func hasEscape[T text](t T) bool {
	for i := range len(t) {
		if t[i] == '\\' {
			return true
		}
	}
	return false
}

// StringEnd returns the index behind the string that starts at i, or -1 where it is not written as Encode
// writes it, or may not be: it knows the escapes that have a letter.
func StringEnd[T text](t T, i int) int {
	for i = SkipPlain(t, i+1); i < len(t); i = SkipPlain(t, i+1) {
		switch c := t[i]; {
		case c == '"':
			return i + 1
		case c == '\\' && strings.IndexByte(canonicalEscapes, byteAt(t, i+1)) >= 0:
			i++
		case c < utf8.RuneSelf, c == 0xe2: // which U+2028 and U+2029 begin with
			return -1
		}
	}
	return -1
}

// wholeNumberEnd knows whole numbers that are not long.
func wholeNumberEnd[T text](t T, i int) int {
	start := i
	if t[i] == '-' {
		i++
	}
	first := i
	for isDigitAt(t, i) {
		i++
	}
	c := byteAt(t, i)
	if i == first || i-first > inOrderDigits || t[first] == '0' && i > start+1 || c == '.' || c|0x20 == 'e' {
		return -1
	}
	return i
}

// byteAt is 0 where there is none; no document holds that.
func byteAt[T text](t T, i int) byte {
	if i < 0 || i >= len(t) {
		return 0
	}
	return t[i]
}

func isDigitAt[T text](t T, i int) bool {
	c := byteAt(t, i)
	return c >= '0' && c <= '9'
}
