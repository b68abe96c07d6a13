package agent

import (
	"math/bits"
	"unicode/utf8"
)

// appendString appends s as a JSON string, byte for byte as encoding/json does without escaping <, >
// and &: the file is read by people. It is by far the most called part of Encode, and an Encoder for
// each string would be most of its cost.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0 // of what is not written yet
	for i := 0; i < len(s); {
		if i = SkipPlain(s, i); i == len(s) {
			break
		}
		c, size := utf8.DecodeRuneInString(s[i:])
		if !special(c, size) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, c)
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// SkipPlain returns the index of the first byte of text, from i on, that is not one plain character of a
// JSON string: a quote, a backslash, a control character, or a part of a character beyond ASCII. It is
// the length of text where there is none. It looks at eight bytes at a time, since most of what
// agentsync reads and writes is such characters.
func SkipPlain[T ~string | ~[]byte](text T, i int) int {
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

// special reports whether a character of size bytes cannot stand for itself. The line separators
// U+2028 and U+2029 cannot, since encoding/json escapes them; neither can a byte that is no UTF-8.
func special(c rune, size int) bool {
	switch {
	case c < ' ', c == '"', c == '\\', c == '\u2028', c == '\u2029':
		return true
	}
	return c == utf8.RuneError && size == 1
}

func appendEscaped(dst []byte, c rune) []byte {
	const short = "\"\"\\\\\nn\rr\tt\bb\ff" // pairs of a character and its letter
	for i := 0; i < len(short); i += 2 {
		if c == rune(short[i]) {
			return append(dst, '\\', short[i+1])
		}
	}
	const hex = "0123456789abcdef"
	dst = append(dst, `\u`...)
	for shift := 12; shift >= 0; shift -= 4 {
		dst = append(dst, hex[c>>shift&0xf])
	}
	return dst
}
