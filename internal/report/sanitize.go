package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sanitize makes a string that came from a platform, a manifest or a file name safe to print on one
// line: control characters (escape sequences, newlines), bidirectional controls, invisible characters
// and broken UTF-8 become visible escapes such as \x1b and \u202e. Joiners stay, since scripts and
// emoji need them. It also breaks the form of a CI runner's command that works in mid-line ("##[").
func Sanitize(s string) string {
	return neutralise(s, false)
}

// sanitizeLine is Sanitize for one line of a text that is shown line by line: tabs stay.
func sanitizeLine(s string) string {
	return neutralise(s, true)
}

// lineStart is Sanitize for data that stands first on a line or after white space alone: a CI runner
// takes such a line that starts with "::" for a command to itself.
func lineStart(s string) string {
	return breakCommand(Sanitize(s))
}

// breakCommand spells the first colon of a leading "::" as an escape.
func breakCommand(s string) string {
	body := strings.TrimLeftFunc(s, unicode.IsSpace)
	if !strings.HasPrefix(body, "::") {
		return s
	}
	return s[:len(s)-len(body)] + `\x3a` + body[1:]
}

func neutralise(s string, keepTabs bool) string {
	if isClean(s, keepTabs) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t' && keepTabs:
			b.WriteByte('\t')
		case unsafe(r):
			writeEscape(&b, r)
		case r == '[' && strings.HasSuffix(s[:i], "##"):
			b.WriteString(`\x5b`)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// isClean reports whether s needs no change; most strings do not.
func isClean(s string, keepTabs bool) bool {
	if strings.Contains(s, "##[") {
		return false
	}
	for i, r := range s {
		if r < utf8.RuneSelf && r >= ' ' && r != 0x7f {
			continue
		}
		if r == '\t' && keepTabs {
			continue
		}
		if unsafe(r) {
			return false
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return false
			}
		}
	}
	return true
}

// unsafe reports whether r moves the cursor, changes the direction of what follows, starts an escape
// sequence or cannot be seen at all. Tag characters and the variation selectors of plane 14 are among
// them: they can hide a whole text inside a prompt.
func unsafe(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0:
		return true
	case r < 0xad:
		return false
	case r == 0x200c, r == 0x200d: // joiners: Persian, Indic scripts and emoji need them
		return false
	case r == 0x2028, r == 0x2029: // line and paragraph separators
		return true
	case r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0: // fillers: letters without a shape
		return true
	case r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// writeEscape writes r as a person reads it in source code.
func writeEscape(b *strings.Builder, r rune) {
	switch {
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r == '\t':
		b.WriteString(`\t`)
	case r < 0x80:
		fmt.Fprintf(b, `\x%02x`, r)
	case r > 0xffff:
		fmt.Fprintf(b, `\U%08x`, r)
	default:
		fmt.Fprintf(b, `\u%04x`, r)
	}
}
