package export

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// maxWidth is how wide a line of text may become before it is folded, in characters.
const maxWidth = 100

// indentStep is how much deeper each level is indented.
const indentStep = 2

// escapeReferences makes text that holds ${ read as it stands.
func escapeReferences(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// scalarText returns s as a YAML scalar behind a key, or behind a dash, that stands at column indent; more
// lines follow where it is a block. Each style is taken only where it reads back as exactly s.
func scalarText(s string, indent int) string {
	long := len([]rune(s)) > maxWidth
	switch {
	case !long && isPlain(s):
		return s
	case strings.Contains(s, "\n") && isBlock(s):
		return literalText(s, indent)
	case long && isFoldable(s):
		if lines := foldText(s, maxWidth-indent); len(lines) > 1 {
			return ">-\n" + indentLines(lines, indent+indentStep)
		}
	}
	if isPlain(s) {
		return s
	}
	return quotedText(s)
}

// literalText returns s as a literal block. The indentation is given in digits where the text's beginning
// would be taken for part of it.
func literalText(s string, indent int) string {
	head := "|"
	if strings.ContainsRune(" \t\n", rune(s[0])) {
		head += fmt.Sprint(indentStep)
	}
	body, ends := strings.CutSuffix(s, "\n")
	switch {
	case !ends:
		head += "-"
	case strings.HasSuffix(body, "\n"):
		head += "+"
	}
	return head + "\n" + indentLines(strings.Split(body, "\n"), indent+indentStep)
}

// keepsBlankLines reports whether a scalar that text returned takes the blank lines below it for its own.
func keepsBlankLines(scalar string) bool {
	head, _, block := strings.Cut(scalar, "\n")
	return block && strings.HasSuffix(head, "+")
}

func indentLines(lines []string, indent int) string {
	margin := strings.Repeat(" ", indent)
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if l != "" {
			b.WriteString(margin + l)
		}
	}
	return b.String()
}

// foldText breaks s at single spaces into lines of at most n characters where that can be done.
func foldText(s string, n int) []string {
	var lines []string
	words := strings.Split(s, " ")
	line, size := words[0], len([]rune(words[0]))
	for i := 1; i < len(words); i++ {
		more := len([]rune(words[i])) + 1
		mayBreak := words[i] != "" && words[i-1] != ""
		if mayBreak && size+more > max(n, maxWidth/2) {
			lines = append(lines, line)
			line, size = words[i], more-1
			continue
		}
		line += " " + words[i]
		size += more
	}
	return append(lines, line)
}

// isBlock reports whether s can stand in a block: some of it is no white space, nothing in it would be lost, taken for
// a line's end or be invisible, and no line of it is a command to a CI runner.
func isBlock(s string) bool {
	return strings.TrimSpace(s) != "" && !runnerCommand.MatchString(s) && strings.IndexFunc(s, func(r rune) bool { return r != '\n' && !isPrintable(r) }) < 0
}

// runnerCommand finds what a CI runner takes for a command to itself where it stands first on a line, or anywhere
// ("##["). A manifest that is printed in a job must not be one; in double quotes it is none.
var runnerCommand = regexp.MustCompile(`(^|\s)::|##\[`)

func isFoldable(s string) bool {
	return isBlock(s) && !strings.ContainsAny(s, "\n\t") && s == strings.TrimSpace(s)
}

// isPrintable reports whether r may stand for itself: what YAML calls printable, but for line ends and
// for the marks that turn the direction of text around, which would hide from a reviewer what is there.
func isPrintable(r rune) bool {
	switch {
	case r == '\t', r >= 0x20 && r <= 0x7e:
		return true
	case r == 0x2028, r == 0x2029, r == 0xfeff, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return false
	}
	return r >= 0xa0 && r <= 0xfffd || r >= 0x10000
}

// reservedWords are the words that some reader of YAML takes for something else than a string.
var reservedWords = map[string]bool{
	"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true,
}

// isPlain reports whether s can stand without quotes: it begins with a letter or a reference, so that it
// is no number, date or mark of YAML's, and holds nothing that ends a plain scalar.
func isPlain(s string) bool {
	for i, r := range s {
		if i == 0 && r != '$' && !unicode.IsLetter(r) || !unicode.IsPrint(r) {
			return false
		}
	}
	return s != "" && !reservedWords[strings.ToLower(s)] && !runnerCommand.MatchString(s) && !strings.Contains(s, ": ") && !strings.Contains(s, " #") &&
		!strings.HasSuffix(s, ":") && !strings.HasSuffix(s, " ")
}

// isWord reports whether s can stand without quotes anywhere, as a key and in a list on one line too.
func isWord(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789_-.", rune(c))) {
			return false
		}
	}
	return s != "" && !reservedWords[strings.ToLower(s)]
}

// quotedText returns s in double quotes.
func quotedText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '[' && strings.HasSuffix(s[:i], "##"):
			b.WriteString(`\x5b`)
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case isPrintable(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
