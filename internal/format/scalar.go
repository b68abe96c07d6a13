package format

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// scalar reads an alias or a scalar that is no block scalar and returns it as it is written.
func (p *parser) scalar(n *yaml.Node) string {
	if p.refused != nil {
		return ""
	}
	start, end := p.at, -1
	switch {
	case n.Kind == yaml.AliasNode:
		if strings.HasPrefix(p.src[start:], "*"+n.Value) {
			end = start + 1 + len(n.Value)
		}
	case n.Style&yaml.DoubleQuotedStyle != 0:
		end = quotedEnd(p.src, start, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		end = quotedEnd(p.src, start, '\'')
	default:
		end = plainEnd(p.src, start, n.Value)
	}
	if end < 0 {
		p.refuse(start, puzzled)
		return ""
	}
	p.at = end
	return p.src[start:end]
}

// quotedEnd returns where a quoted scalar ends that begins at start, -1 where none does.
func quotedEnd(src string, start int, quote byte) int {
	if start >= len(src) || src[start] != quote {
		return -1
	}
	for i := start + 1; i < len(src); i++ {
		switch {
		case src[i] == '\\' && quote == '"':
			i++
		case src[i] == quote && quote == '\'' && i+1 < len(src) && src[i+1] == quote:
			i++
		case src[i] == quote:
			return i + 1
		}
	}
	return -1
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

// blockScalar reads a block scalar in a block whose entries begin at column, the cursor on its | or >.
// The cursor is left at the end of its last line.
func (p *parser) blockScalar(l *leaf, column int) {
	header, ok := p.blockHeader()
	if !ok {
		p.refuse(p.at, puzzled)
		return
	}
	l.note = p.note()
	p.lineEnd()
	lines := p.blockLines(header, column)
	l.open = header.chomp == '+'
	l.first = header.String()
	l.rest = lines
}

// blockHeader is | or >, with how many columns its text is indented where that is said, and what
// happens to the line ends behind it.
type blockHeader struct {
	style string
	digit int
	chomp byte
	// digitFirst keeps the order in which they were written.
	digitFirst bool
}

// String returns the header as YAML.
func (h blockHeader) String() string {
	digit, chomp := "", ""
	if h.digit > 0 {
		digit = string(rune('0' + h.digit))
	}
	if h.chomp != 0 {
		chomp = string(rune(h.chomp))
	}
	if h.digitFirst {
		return h.style + digit + chomp
	}
	return h.style + chomp + digit
}

func (p *parser) blockHeader() (h blockHeader, ok bool) {
	if c := p.peek(); c != '|' && c != '>' {
		return h, false
	}
	h.style = p.src[p.at : p.at+1]
	for p.at++; p.at < len(p.src); p.at++ {
		switch c := p.peek(); {
		case c == '+' || c == '-':
			h.chomp = c
		case c >= '1' && c <= '9':
			h.digit, h.digitFirst = int(c-'0'), h.chomp == 0
		default:
			return h, true
		}
	}
	return h, true
}

// blockLines reads the lines of a block scalar. Blank lines at its end belong to it only where it
// keeps them.
func (p *parser) blockLines(h blockHeader, column int) []restLine {
	indent, base := column+h.digit, h.digit
	if h.digit == 0 {
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
		if text != "" || deep > indent || h.chomp == '+' {
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
