package agent

import (
	"bytes"
	"math/bits"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// appendString appends s as a JSON string. Like encoding/json, whose documents are in states, it escapes the line
// separators of JavaScript; unlike it, not <, > and &: the file is read by people.
func appendString(dst []byte, s string) []byte {
	start := len(dst)
	dst, _ = jsontext.AppendQuote(dst, s) // what is no UTF-8 was refused when it was read
	if strings.Contains(s, "\u2028") || strings.Contains(s, "\u2029") {
		line := bytes.ReplaceAll(dst[start:], []byte("\u2028"), []byte(`\u2028`))
		dst = append(dst[:start], bytes.ReplaceAll(line, []byte("\u2029"), []byte(`\u2029`))...)
	}
	return dst
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
