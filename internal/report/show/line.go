package show

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line makes a string that came from a platform, a manifest or a file name safe to print on one
// line: control characters (escape sequences, newlines), bidirectional controls, invisible characters
// and broken UTF-8 become visible escapes such as \x1b and \u202e. Joiners stay, since scripts and
// emoji need them. It also breaks the form of a CI runner's command that works in mid-line ("##[").
func Line(s string) string {
	return escapeUnsafe(s, false)
}

// LineWithTabs is Line for one line of a text that is shown line by line: tabs stay.
func LineWithTabs(s string) string {
	return escapeUnsafe(s, true)
}

// Text is Line for a text of many lines, a diff for example: its line ends and tabs stay.
func Text(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		text, ended := strings.CutSuffix(line, "\n")
		b.WriteString(BreakCommand(LineWithTabs(text)))
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// LineStart is Line for data that stands first on a line or after white space alone: a CI runner
// takes such a line that starts with "::" for a command to itself.
func LineStart(s string) string {
	return BreakCommand(Line(s))
}

// BreakCommand spells the first colon of a leading "::" as an escape.
func BreakCommand(s string) string {
	body := strings.TrimLeftFunc(s, unicode.IsSpace)
	if !strings.HasPrefix(body, "::") {
		return s
	}
	return s[:len(s)-len(body)] + `\x3a` + body[1:]
}

func escapeUnsafe(s string, keepTabs bool) string {
	var b strings.Builder
	kept := 0 // what stands before it is in b; most strings need no change
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		escape := ""
		switch {
		case r == utf8.RuneError && size == 1:
			escape = fmt.Sprintf(`\x%02x`, s[i])
		case r == '\t' && keepTabs:
		case isUnsafe(r):
			escape = escapeOf(r)
		case r == '[' && strings.HasSuffix(s[:i], "##"):
			escape = `\x5b`
		}
		if escape != "" {
			b.WriteString(s[kept:i] + escape)
			kept = i + size
		}
		i += size
	}
	if kept == 0 {
		return s
	}
	return b.String() + s[kept:]
}

// isUnsafe reports whether r moves the cursor, changes the direction of what follows, starts an escape
// sequence or cannot be seen at all. Tag characters and the variation selectors of plane 14 are among
// them: they can hide a whole text inside a prompt.
func isUnsafe(r rune) bool {
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

// escapeOf returns r as a person reads it in source code.
func escapeOf(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	default:
		return fmt.Sprintf(`\u%04x`, r)
	}
}
