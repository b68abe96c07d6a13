package yamltext

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// textSpan is a stretch of a text, in bytes.
type textSpan struct{ from, to int }

// Hidden are the stretches of a text that may hold credentials: what is below a name that says so, however it is
// reached, and what looks like one by itself. They are found generously, for a message can do without a value: the
// text may be no YAML at all, and where a value ends is then anybody's guess.
type Hidden []textSpan

// HiddenIn finds what may hold credentials in src. root is its tree, nil where it is no YAML. members are the names
// whose values are secret whatever they hold.
func HiddenIn(src []byte, root *yaml.Node, members ...string) Hidden {
	f := hiddenFinder{src: src, lines: NewLines(src), members: members, seen: map[seenNode]bool{}}
	if root != nil {
		f.walk(root, false)
	}
	// A tree does not have what comments hold, and misses nothing that stands below a name.
	for at := 0; at < len(src); {
		end := at + bytes.IndexByte(src[at:], '\n') + 1
		if end == at {
			end = len(src)
		}
		for _, m := range nameForm.FindAllSubmatchIndex(src[at:end], -1) {
			if f.isSecretName(string(src[at+m[2] : at+m[3]])) {
				f.hide(at+m[1], at)
			}
		}
		for _, m := range credentialForm.FindAllIndex(src[at:end], -1) {
			f.found = append(f.found, textSpan{at + m[0], at + m[1]})
		}
		at = end
	}
	slices.SortFunc(f.found, func(a, b textSpan) int { return a.from - b.from })
	return f.found
}

// Has reports whether the byte at offset is hidden.
func (h Hidden) Has(offset int) bool {
	return slices.ContainsFunc(h, func(s textSpan) bool { return s.from <= offset && offset < s.to })
}

// In returns what is hidden of the stretch from one offset to another, as pairs of offsets that begin there, in order
// and apart from each other.
func (h Hidden) In(from, to int) [][2]int {
	var parts [][2]int
	for _, s := range h {
		a, b := max(s.from, from)-from, min(s.to, to)-from
		switch last := len(parts) - 1; {
		case a >= b:
		case last >= 0 && a <= parts[last][1]:
			parts[last][1] = max(parts[last][1], b)
		default:
			parts = append(parts, [2]int{a, b})
		}
	}
	return parts
}

var (
	// nameForm is a name with its colon, with or without quotes.
	nameForm = regexp.MustCompile(`([A-Za-z][A-Za-z0-9_.-]*)["']?[ \t]*:`)
	// secretName is what names of credentials have in them, written as one word.
	secretName = regexp.MustCompile(`authoriz|token|secret|passw|apikey|accesskey|privatekey|credential|cookie`)
	// credentialForm is a credential by its own look.
	credentialForm = regexp.MustCompile(`\b(?i:bearer)[ \t]+[^\s"',\]}$]{6,}|` +
		`\b(?i:basic)[ \t]+[a-z]*[A-Z0-9+/=][A-Za-z0-9+/=]{6,}|` +
		`\b(?:sk|pk|ghp|gho|ghs|xox[abp]|glpat)[-_][A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)
)

type hiddenFinder struct {
	src     []byte
	lines   *Lines
	members []string
	seen    map[seenNode]bool
	found   Hidden
}

// seenNode is a node and whether a secret name led there: aliases may lead to it often.
type seenNode struct {
	node   *yaml.Node
	secret bool
}

// isSecretName reports whether what a name holds is a credential. A variable's name is none: apiKeyEnv.
func (f *hiddenFinder) isSecretName(name string) bool {
	if slices.Contains(f.members, name) {
		return true
	}
	folded := strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
	return secretName.MatchString(folded) && !strings.HasSuffix(folded, "env")
}

// walk hides every value below a secret name, through aliases and merge keys: the value may stand at an anchor
// far from the name.
func (f *hiddenFinder) walk(n *yaml.Node, secret bool) {
	n = Deref(n)
	at := seenNode{n, secret}
	if f.seen[at] {
		return
	}
	f.seen[at] = true
	switch n.Kind {
	case yaml.ScalarNode:
		start := f.lines.Offset(n.Line, n.Column)
		switch plain := n.Value != "" && bytes.HasPrefix(f.src[start:], []byte(n.Value)); {
		case secret && plain:
			f.found = append(f.found, textSpan{start, start + len(n.Value)})
		case secret:
			f.hide(start, f.lines.Offset(n.Line, 1))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.walk(n.Content[i+1], secret || f.isSecretName(n.Content[i].Value))
		}
	default:
		for _, c := range n.Content {
			f.walk(c, secret)
		}
	}
}

// hide hides the value that begins at or behind an offset, on a line that begins at lineStart: to the end of the line
// on which its quotes and brackets close, and on over every line that is indented deeper.
func (f *hiddenFinder) hide(from, lineStart int) {
	first := from
	for first < len(f.src) && isBlank(f.src[first]) {
		first++
	}
	opens := first < len(f.src) && bytes.IndexByte([]byte("\"'{["), f.src[first]) >= 0
	if opens || bytes.IndexByte(f.src[from:first], '\n') < 0 {
		from = first
	}
	close := Closing(f.src, from)
	if after := bytes.TrimLeft(f.src[min(close, len(f.src)):f.lineEnd(close)], " \t\r\n"); opens &&
		close < len(f.src) &&
		(len(after) == 0 || bytes.IndexByte([]byte(",}]#"), after[0]) >= 0) {
		f.found = append(f.found, textSpan{from, close}) // it ends where it is closed
		return
	}
	end := f.lineEnd(close)
	indent := f.indentation(lineStart)
	for end < len(f.src) {
		next := f.lineEnd(end)
		line := bytes.TrimSpace(f.src[end:next])
		if len(line) > 0 && line[0] != '#' && f.indentation(end) <= indent {
			break
		}
		end = next
	}
	for end > from && isBlank(f.src[end-1]) {
		end--
	}
	if end > from {
		f.found = append(f.found, textSpan{from, end})
	}
}

// indentation returns the column of the first character of the line at start that is neither a blank nor a dash.
func (f *hiddenFinder) indentation(start int) int {
	line := f.src[start:]
	return len(line) - len(bytes.TrimLeft(line, " \t-"))
}

// lineEnd returns the offset behind the line that holds offset.
func (f *hiddenFinder) lineEnd(offset int) int {
	if i := bytes.IndexByte(f.src[offset:], '\n'); i >= 0 {
		return offset + i + 1
	}
	return len(f.src)
}

// Closing returns where the quotes and brackets that open behind offset are closed: behind the last of them, at the end
// of the line where none opens, and at the end of the text where they are not closed.
func Closing(src []byte, offset int) int {
	depth, quote := 0, byte(0)
	for i := offset; i < len(src); i++ {
		switch c := src[i]; {
		case quote == '"' && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' && (i == 0 || !isWordByte(src[i-1])):
			quote = c
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == '\n' && depth <= 0:
			return i
		}
		if depth <= 0 && quote == 0 && bytes.IndexByte([]byte("\"'}]"), src[i]) >= 0 {
			return i + 1
		}
	}
	return len(src)
}

// isWordByte reports whether an apostrophe behind c belongs to a word.
func isWordByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c >= 0x80
}

// TokenLength returns how many bytes of a line belong to what begins at offset: a quoted text to its closing quote, a
// key or a plain value to where YAML ends it, a bracket or another mark alone. It is at least 1 where the line goes on.
func TokenLength(line string, offset int) int {
	if offset >= len(line) {
		return 0
	}
	rest := line[offset:]
	switch rest[0] {
	case '"', '\'':
		if end := QuotedEnd(rest, 0); end > 0 {
			return end
		}
		return len(strings.TrimRight(rest, " \t\r"))
	case '[', ']', '{', '}', ',', '|', '>', '?', '`', '@', '%', '#', ':':
		return 1
	case '-':
		if len(rest) == 1 || rest[1] == ' ' {
			return 1
		}
	case ' ', '\t':
		_, size := utf8.DecodeRuneInString(rest)
		return size
	}
	end := len(rest)
	for _, mark := range []string{": ", " #"} {
		if i := strings.Index(rest, mark); i >= 0 {
			end = min(end, i)
		}
	}
	if inFlow(line[:offset]) {
		if i := strings.IndexAny(rest, ",]}"); i >= 0 {
			end = min(end, i)
		}
	}
	token := strings.TrimSuffix(strings.TrimRight(rest[:end], " \t\r"), ":")
	_, size := utf8.DecodeRuneInString(rest)
	return max(len(token), size)
}

// QuotedEnd returns where the quoted scalar ends that begins at offset, behind its closing quote; -1 where it is not
// closed.
func QuotedEnd(text string, offset int) int {
	quote := text[offset]
	for i := offset + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return -1
}

// inFlow reports whether a bracket that a line opens is still open at its end.
func inFlow(line string) bool {
	depth, quote := 0, byte(0)
	for i := range len(line) {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' && (i == 0 || !isWordByte(line[i-1])):
			quote = c
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return depth > 0
}
