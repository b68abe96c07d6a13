package format

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// refuse stops the parser. The first reason stands.
func (p *parser) refuse(at int, why string) {
	if p.refused == nil {
		p.refused = &refusal{at: at, why: why}
	}
}

// puzzled refuses what the nodes did not announce.
const puzzled = "fmt cannot tell how this is written, so it leaves the file alone; write it in a plainer way"

// column returns the cursor's column in bytes, counted from 0. Before a key or a dash of a block there
// are only spaces and dashes, so that bytes are characters.
func (p *parser) column() int {
	return p.at - (strings.LastIndexByte(p.src[:p.at], '\n') + 1)
}

// peek returns the byte at the cursor, 0 at the end.
func (p *parser) peek() byte {
	if p.at >= len(p.src) {
		return 0
	}
	return p.src[p.at]
}

// blanks goes over spaces and tabs.
func (p *parser) blanks() {
	for p.peek() == ' ' || p.peek() == '\t' {
		p.at++
	}
}

// expect goes over an indicator, which white space must follow.
func (p *parser) expect(c byte) {
	if p.refused != nil {
		return
	}
	if p.peek() != c || p.at+1 < len(p.src) && !isSpace(p.src[p.at+1]) {
		p.refuse(p.at, puzzled)
		return
	}
	p.at++
}

// lineEnd refuses text that is left on a line.
func (p *parser) lineEnd() {
	if p.blanks(); p.at < len(p.src) && p.peek() != '\n' {
		p.refuse(p.at, puzzled)
	}
}

// isMark reports whether the cursor is on a document mark.
func (p *parser) isMark(mark string) bool {
	rest, ok := strings.CutPrefix(p.src[p.at:], mark)
	return ok && p.column() == 0 && (rest == "" || isSpace(rest[0]))
}

// note reads the comment on the rest of the line.
func (p *parser) note() string {
	start := p.at
	p.blanks()
	if p.peek() != '#' {
		return ""
	}
	if p.at == start && p.at > 0 && p.src[p.at-1] != '\n' {
		p.refuse(p.at, puzzled) // a # that touches what stands before it begins no comment
		return ""
	}
	return p.comment()
}

// comment reads a comment, the cursor on its #.
func (p *parser) comment() string {
	text, _, _ := strings.Cut(p.src[p.at:], "\n")
	p.at += len(text)
	text = strings.TrimRight(text, " \t")
	p.comments = append(p.comments, text)
	return text
}

// run goes over the lines of white space and comments down to the next token and adds the comments
// to the pending ones.
func (p *parser) run() {
	p.pending, p.blank = nil, false
	if p.refused != nil {
		return
	}
	newlines := 1 // at the start of the file there is no line to end
	if p.at > 0 {
		newlines = 0
	}
	for p.at < len(p.src) {
		switch p.blanks(); p.peek() {
		case '\n':
			p.at++
			newlines++
		case '#':
			column := p.column()
			p.pending = append(p.pending, comment{blank: newlines > 1, column: column, text: p.comment()})
			newlines = 0
		default:
			p.blank = newlines > 1
			return
		}
	}
	p.blank = false // blank lines at the end of the file belong to nothing
}

// gap goes to the next token, on this line or further down, and returns the comments on the way.
func (p *parser) gap() []comment {
	p.blanks()
	if p.blank = false; p.peek() != '\n' {
		return nil
	}
	p.run()
	comments := p.pending
	p.pending = nil
	if len(comments) > 0 {
		comments[0].blank = false
	}
	return comments
}

// properties reads the anchor and the tag that n has, and stops right behind them.
func (p *parser) properties(n *yaml.Node) string {
	var words []string
	for want := propertyCount(n); p.refused == nil && len(words) < want; {
		p.blanks()
		if c := p.peek(); c != '&' && c != '!' {
			p.refuse(p.at, "fmt does not keep an anchor and a tag on several lines; write them on one")
			break
		}
		words = append(words, p.word())
	}
	return strings.Join(words, " ")
}

// word reads an anchor or a tag.
func (p *parser) word() string {
	start, ends := p.at, ",[]{}"
	if p.peek() == '!' {
		ends = ",]}"
	}
	for p.at < len(p.src) && !isSpace(p.peek()) && strings.IndexByte(ends, p.peek()) < 0 {
		p.at++
	}
	return p.src[start:p.at]
}

func propertyCount(n *yaml.Node) int {
	count := 0
	if n.Anchor != "" {
		count++
	}
	if n.Style&yaml.TaggedStyle != 0 {
		count++
	}
	return count
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }
