package agent

import "unicode/utf8"

// appendString appends s as a JSON string, byte for byte as encoding/json does without escaping <, >
// and &: the file is read by people. It is by far the most called part of Encode, and an Encoder for
// each string would be most of its cost.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0 // of what is not written yet
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
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

// plain holds the bytes that are a character and stand for themselves.
var plain = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

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
