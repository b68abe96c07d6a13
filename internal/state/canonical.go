package state

import (
	"bytes"
	"unicode/utf8"
)

// canonical reports whether b certainly is a document in canonical form, as nearly all are: an object
// without spaces, names in order and none twice, nothing that could be written in another way. It may
// say no of one that is: the scanner then has the word, which takes several times as long.
func canonical(b []byte) bool {
	return len(b) > 0 && b[0] == '{' && canonicalEnd(b, 0, 0) == len(b) && utf8.Valid(b)
}

// canonicalEnd returns the index behind the value at i, or -1.
func canonicalEnd(b []byte, i, depth int) int {
	if i >= len(b) || depth >= maxDepth {
		return -1
	}
	switch c := b[i]; {
	case c == '"':
		return stringEnd(b, i)
	case c == '{':
		return objectEnd(b, i, depth)
	case c == '[':
		return listEnd(b, i, depth)
	case c == '-' || c >= '0' && c <= '9':
		return numberEnd(b, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(b[i:], []byte(word)) {
			return i + len(word)
		}
	}
	return -1
}

func objectEnd(b []byte, i, depth int) int {
	if i++; byteAt(b, i) == '}' {
		return i + 1
	}
	var last []byte
	for {
		if byteAt(b, i) != '"' {
			return -1
		}
		end := stringEnd(b, i)
		if byteAt(b, end) != ':' {
			return -1
		}
		name := b[i+1 : end-1]
		if last != nil && bytes.Compare(last, name) >= 0 || bytes.IndexByte(name, '\\') >= 0 {
			return -1
		}
		last = name
		i = canonicalEnd(b, end+1, depth+1)
		switch byteAt(b, i) {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

func listEnd(b []byte, i, depth int) int {
	if i++; byteAt(b, i) == ']' {
		return i + 1
	}
	for {
		i = canonicalEnd(b, i, depth+1)
		switch byteAt(b, i) {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// stringEnd knows the escapes that have a letter.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		c := b[i]
		if ordinary[c] {
			continue
		}
		if c == '"' {
			return i + 1
		}
		if i++; c != '\\' || bytes.IndexByte([]byte(`"\nrtbf`), byteAt(b, i)) < 0 {
			return -1
		}
	}
	return -1
}

// numberEnd knows whole numbers.
func numberEnd(b []byte, i int) int {
	start := i
	if b[i] == '-' {
		i++
	}
	first := i
	for c := byteAt(b, i); c >= '0' && c <= '9'; c = byteAt(b, i) {
		i++
	}
	c := byteAt(b, i)
	if i == first || b[first] == '0' && i > start+1 || c == '.' || c|0x20 == 'e' {
		return -1
	}
	return i
}

// byteAt is 0 where there is none; no document holds that.
func byteAt(b []byte, i int) byte {
	if i < 0 || i >= len(b) {
		return 0
	}
	return b[i]
}

// indent writes a canonical document over several lines.
func (w *writer) indent(doc []byte) {
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; c {
		case '"':
			end := stringEnd(doc, i)
			w.raw(doc[i:end])
			i = end - 1
		case '{', '[':
			w.open(c)
			if next := doc[i+1]; next != '}' && next != ']' {
				w.fresh = false
				w.newline()
			}
		case '}', ']':
			w.end(c)
		case ',':
			w.buf = append(w.buf, c)
			w.newline()
		case ':':
			w.colon()
		default:
			w.buf = append(w.buf, c)
		}
	}
}
