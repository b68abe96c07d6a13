package format

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"agentsync/internal/yamltext"

	"gopkg.in/yaml.v3"
)

// readScalar reads an alias or a scalar that is no block scalar and returns it as it is written.
func (p *parser) readScalar(n *yaml.Node) string {
	if p.refused != nil {
		return ""
	}
	start, end := p.at, -1
	switch {
	case n.Kind == yaml.AliasNode:
		if strings.HasPrefix(p.src[start:], "*"+n.Value) {
			end = start + 1 + len(n.Value)
		}
	case n.Style&yaml.DoubleQuotedStyle != 0 && p.peek() == '"', n.Style&yaml.SingleQuotedStyle != 0 &&
		p.peek() == '\'':
		end = yamltext.QuotedEnd(p.src, start)
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0: // refused below
	default:
		end = plainEnd(p.src, start, n.Value)
	}
	if end < 0 {
		p.refuse(start, puzzledReason)
		return ""
	}
	p.at = end
	return p.src[start:end]
}

// plainEnd returns where the plain scalar ends that begins at start and says value, -1 where none
// does. A line break is written as more white space than it says.
func plainEnd(src string, start int, value string) int {
	i := start
	for v := 0; v < len(value); {
		if i >= len(src) {
			return -1
		}
		if broken := breakEnd(src, i); broken > i {
			if value[v] != ' ' && value[v] != '\n' {
				return -1
			}
			v += max(1, countPrefix(value[v:], '\n'))
			i = broken
			continue
		}
		if src[i] != value[v] {
			return -1
		}
		i, v = i+1, v+1
	}
	return i
}

// breakEnd returns where the white space at i ends if there is a line break in it, i otherwise.
func breakEnd(src string, i int) int {
	end := i
	for end < len(src) && isSpace(src[end]) {
		end++
	}
	if strings.IndexByte(src[i:end], '\n') < 0 {
		return i
	}
	return end
}

func countPrefix(s string, c byte) int {
	n := 0
	for n < len(s) && s[n] == c {
		n++
	}
	return n
}

// blockHeader is the head of a block scalar: how it is folded, how far its text is indented, and what happens to the
// line ends behind it.
var blockHeader = regexp.MustCompile(`^[|>][-+0-9]*`)

// blockScalar reads a block scalar in a block whose entries begin at column, the cursor on its | or >.
// The cursor is left at the end of its last line.
func (p *parser) blockScalar(l *leafNode, column int) {
	if l.first = blockHeader.FindString(p.src[p.at:]); l.first == "" {
		p.refuse(p.at, puzzledReason)
		return
	}
	p.at += len(l.first)
	l.note = p.readNote()
	p.lineEnd()
	l.open = strings.Contains(l.first, "+")
	digit, _ := strconv.Atoi(strings.Trim(l.first, "|>+-"))
	l.rest = p.blockLines(column, digit, l.open)
}

// blockLines reads the lines of a block scalar, indented by digit columns, or as its first line is where digit is 0.
// Blank lines at its end belong to it only if it keeps them.
func (p *parser) blockLines(column, digit int, keeps bool) []restLine {
	indent, base := column+digit, digit
	if digit == 0 {
		indent, base = p.blockIndent(column), 2
	}
	var lines []restLine
	used, end := 0, p.at
	for at := p.at + 1; at < len(p.src); {
		line, _, _ := strings.Cut(p.src[at:], "\n")
		text := strings.TrimLeft(line, " ")
		deep := len(line) - len(text)
		if text != "" && deep < indent {
			break
		}
		at += len(line) + 1
		if text == "" && deep <= indent {
			lines = append(lines, restLine{})
		} else {
			lines = append(lines, restLine{indent: base, text: line[indent:]})
		}
		if text != "" || deep > indent || keeps {
			used, end = len(lines), at-1
		}
	}
	p.at = end
	return lines[:used]
}

// blockIndent returns how far the first line of a block scalar with text is indented; where no text
// belongs to it, more than any line.
func (p *parser) blockIndent(column int) int {
	deepest := 0
	for at := p.at + 1; at < len(p.src); {
		line, _, _ := strings.Cut(p.src[at:], "\n")
		text := strings.TrimLeft(line, " ")
		deep := len(line) - len(text)
		if text != "" && deep > column {
			return deep
		}
		if text != "" {
			break
		}
		deepest = max(deepest, deep)
		at += len(line) + 1
	}
	return max(deepest, column+1)
}

// requoted returns a scalar as it is written, on one line: single quotes become double ones where the
// text needs no escape for that. Whether there are quotes at all is the writer's to say.
func requoted(n *yaml.Node, raw string) string {
	if n.Kind != yaml.ScalarNode || n.Style&yaml.SingleQuotedStyle == 0 || strings.ContainsAny(n.Value, `"\`) {
		return raw
	}
	return `"` + n.Value + `"`
}

// bareKey is a key that no YAML reads as anything but a string.
var bareKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// notStrings are words that some YAML reads as something else.
var notStrings = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

// plainKey returns a key as it is written, without quotes that it does not need.
func plainKey(n *yaml.Node, raw string) string {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle
	if n.Kind == yaml.ScalarNode && n.Style&quoted != 0 && n.Style&yaml.TaggedStyle == 0 &&
		bareKey.MatchString(n.Value) && !slices.Contains(notStrings, strings.ToLower(n.Value)) {
		return n.Value
	}
	return requoted(n, raw)
}
