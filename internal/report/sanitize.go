package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

// SanitizeText is Sanitize for a text of many lines, a diff for example: its line ends and tabs stay.
func SanitizeText(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		text, ended := strings.CutSuffix(line, "\n")
		b.WriteString(breakCommand(sanitizeLine(text)))
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
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

// FormatVersion is the version of the JSON documents. Its first number rises when a reader that
// follows the published schema could break; new members alone raise the second.
const FormatVersion = "1.0"

// JSON writes v as one indented document with a newline at its end. Characters that could steer
// a terminal, and those that cannot be seen, are written as \u escapes: the value stays the same.
func JSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	// "##[" can only stand inside a string; a CI runner would look for a command there.
	doc := bytes.ReplaceAll(escapeUnsafe(b.Bytes()), []byte("##["), []byte(`##\u005b`))
	_, err := w.Write(doc)
	return err
}

// escapeUnsafe escapes unsafe characters in a JSON document. Below U+0080 the encoder has done so
// already, but for DEL; beyond it they can only stand inside strings.
func escapeUnsafe(doc []byte) []byte {
	if !bytes.ContainsFunc(doc, needsEscape) {
		return doc
	}
	out := make([]byte, 0, len(doc)+64)
	for i := 0; i < len(doc); {
		r, size := utf8.DecodeRune(doc[i:])
		switch {
		case !needsEscape(r):
			out = append(out, doc[i:i+size]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

func needsEscape(r rune) bool { return r >= 0x7f && unsafe(r) }

// place is a diag.Pos in JSON.
type place struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}
