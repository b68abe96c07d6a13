package show

import (
	"html"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Units counts s as GitHub does: in UTF-16 units.
func Units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// Code shows data on one line as code, where nothing in it is markup, a mention, a reference or a
// link. Its delimiters are longer than any run of backticks inside. A bar would end a table's cell even
// inside code, and no escape of it is read alike by all renderers, so it is drawn as a broken one.
func Code(s string) string {
	s = strings.ReplaceAll(Line(s), "|", "¦")
	if strings.TrimSpace(s) == "" {
		s = Quote(s)
	}
	fence := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") ||
		strings.HasPrefix(s, " ") && strings.HasSuffix(s, " ") {
		s = " " + s + " " // one space at each end is taken off when it is shown
	}
	return fence + s + fence
}

// Fence puts lines into a fenced block that they cannot end: its fence is longer than any run of
// backticks in them. The lines must be sanitised.
func Fence(language, body string) string {
	mark := strings.Repeat("`", max(3, longestRun(body)+1))
	return mark + language + "\n" + body + mark + "\n"
}

// longestRun returns the length of the longest run of backticks.
func longestRun(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// HTML makes data safe inside an HTML element of a Markdown document.
func HTML(s string) string { return html.EscapeString(Line(s)) }

// Prose makes a sentence that may hold data safe as Markdown text: punctuation that could be markup is
// escaped, and an invisible space keeps mentions, references, addresses and emoji from being linked.
// It stands after @, # and GH-, and after a colon or a point that no space follows. A backslash would not do: GitHub
// looks for mentions and references in what has been rendered.
func Prose(s string) string {
	var b strings.Builder
	s = Line(s)
	for i, r := range s {
		switch {
		case r == '@' || r == '#':
			b.WriteString(string(r) + "\u200b")
		case r == ':' || r == '.':
			b.WriteRune(r)
			if i+1 < len(s) && s[i+1] != ' ' {
				b.WriteString("\u200b")
			}
		case r < utf8.RuneSelf && strings.ContainsRune("\\`*_{}[]()<>+-!|~&=\"'$^", r):
			b.WriteByte('\\')
			b.WriteRune(r)
			if r == '-' && i >= 2 && strings.EqualFold(s[i-2:i], "GH") {
				b.WriteString("\u200b")
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ClipLines keeps whole lines of body within budget UTF-16 units and says how many were left out.
func ClipLines(body string, budget int) (kept string, left int) {
	if Units(body) <= budget {
		return body, 0
	}
	var b strings.Builder
	lines := strings.SplitAfter(strings.TrimSuffix(body, "\n"), "\n")
	for i, l := range lines {
		if budget -= Units(l); budget < 0 {
			return b.String(), len(lines) - i
		}
		b.WriteString(l)
	}
	return b.String(), 0
}
