package yamltext

import (
	"bytes"
	"encoding/hex"
	"regexp"
	"strings"
	"unicode/utf16"

	"gopkg.in/yaml.v3"
)

// The parser reads YAML 1.1. Two things are read as YAML 1.2 and JSON have them: U+0085, U+2028 and U+2029 are
// text and no line breaks, and \/ and pairs of surrogates are escapes in double quotes. The parser is given
// characters of the private use area in their place, as many as there were, so that lines and columns stay
// right; the values get back what was meant. A stand-in never occurs in the text itself.

// standIns are the characters that the parser is given.
type standIns struct {
	// for a backslash that begins an escape of JSON's, 0 where there is none.
	backslash rune
	// breaks are those for U+0085, U+2028 and U+2029; 0 where there is none.
	breaks [3]rune
}

var oddBreaks = [3]rune{0x85, 0x2028, 0x2029}

// jsonEscape is an escape that JSON has and YAML 1.1 has not.
var jsonEscape = regexp.MustCompile(`^(?:\\/|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})`)

// standInFor returns src as the parser gets it; src itself where nothing has to be replaced.
func standInFor(src []byte) ([]byte, standIns) {
	var s standIns
	next := rune(0xe000)
	free := func() rune {
		for ; next <= 0xf8ff; next++ {
			if !bytes.ContainsRune(src, next) {
				next++
				return next - 1
			}
		}
		return 0 // the text holds the whole private use area: it is read as YAML 1.1
	}
	out := src
	for i, r := range oddBreaks {
		if bytes.ContainsRune(src, r) {
			if s.breaks[i] = free(); s.breaks[i] != 0 {
				out = bytes.ReplaceAll(out, []byte(string(r)), []byte(string(s.breaks[i])))
			}
		}
	}
	if bytes.Contains(src, []byte(`\/`)) || bytes.Contains(src, []byte(`\ud`)) || bytes.Contains(src, []byte(`\uD`)) {
		if s.backslash = free(); s.backslash != 0 {
			out = s.replaceEscapes(out)
		}
	}
	return out, s
}

func (s standIns) replaceEscapes(src []byte) []byte {
	var out bytes.Buffer
	for {
		i := bytes.IndexByte(src, '\\')
		if i < 0 || i+1 >= len(src) {
			out.Write(src)
			return out.Bytes()
		}
		out.Write(src[:i])
		n := len(jsonEscape.Find(src[i:]))
		if n == 0 {
			out.Write(src[i : i+2]) // an escaped backslash begins no escape
			src = src[i+2:]
			continue
		}
		out.WriteString(strings.ReplaceAll(string(src[i:i+n]), `\`, string(s.backslash)))
		src = src[i+n:]
	}
}

// used reports whether anything was replaced.
func (s standIns) used() bool { return s != standIns{} }

// restore puts back what was meant, in the values of a tree.
func (s standIns) restore(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = s.meantText(n.Value, n.Style&yaml.DoubleQuotedStyle != 0)
	}
	for _, c := range n.Content {
		s.restore(c)
	}
}

// meantText returns a text with what was meant; in double quotes escapes are read, elsewhere they are text.
func (s standIns) meantText(text string, inQuotes bool) string {
	for i, r := range s.breaks {
		if r != 0 {
			text = strings.ReplaceAll(text, string(r), string(oddBreaks[i]))
		}
	}
	if s.backslash == 0 {
		return text
	}
	text = strings.ReplaceAll(text, string(s.backslash)+"/", map[bool]string{true: "/", false: `\/`}[inQuotes])
	if !inQuotes {
		return strings.ReplaceAll(text, string(s.backslash), `\`)
	}
	parts := strings.Split(text, string(s.backslash)+"u")
	var b strings.Builder
	b.WriteString(parts[0])
	for i := 1; i+1 < len(parts); i += 2 {
		b.WriteRune(utf16.DecodeRune(utf16Unit(parts[i]), utf16Unit(parts[i+1])))
		b.WriteString(parts[i+1][4:])
	}
	return b.String()
}

// utf16Unit returns the UTF-16 unit that four hexadecimal digits name.
func utf16Unit(digits string) rune {
	b, _ := hex.DecodeString(digits[:4])
	return rune(b[0])<<8 | rune(b[1])
}
