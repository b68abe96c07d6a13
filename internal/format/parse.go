package format

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// refusal is why a file cannot be formatted, and where.
type refusal struct {
	at  int
	why string
}

// parser goes through the source once, led by the nodes: it knows what comes next and looks only for
// where it ends. After the first refusal it does nothing more.
type parser struct {
	src string
	at  int
	// pending are the comments between what was read last and what comes next; blank reports a blank
	// line behind them.
	pending  []lineComment
	blank    bool
	comments []string
	// depth is how many brackets of a flow collection are open; depths is what it was at the end of
	// each of its lines.
	depth   int
	depths  []int
	refused *refusal
}

// parse takes a document apart. root is its root node.
func parse(text string, root *yaml.Node) (*document, *refusal) {
	p := &parser{src: text}
	p.checkBreaks()
	doc := &document{root: root}
	p.skipComments()
	if p.peek() == '%' {
		p.refuse(p.at, "fmt does not keep YAML directives; take this line out")
	}
	if p.isMark("---") {
		doc.marked, doc.before = true, p.takeAll()
		p.at += len("---")
		doc.markNote = p.readNote()
		p.lineEnd()
		p.skipComments()
	}
	doc.value = p.rootValue(root)
	if p.at < len(p.src) {
		p.refuse(p.at, "fmt does not keep what stands behind the manifest's end; take it out")
	}
	doc.comments = p.comments
	return doc, p.refused
}

func (p *parser) rootValue(root *yaml.Node) *entryValue {
	switch {
	case p.refused != nil:
		return &entryValue{}
	case root.Kind != yaml.MappingNode && root.Kind != yaml.SequenceNode:
		p.refuse(p.at, "a manifest is a mapping that begins with `version: 1`")
		return &entryValue{}
	case root.Anchor != "" || root.Style&yaml.TaggedStyle != 0:
		p.refuse(p.at, "fmt does not keep an anchor or a tag of the whole manifest; take it out")
		return &entryValue{}
	case root.Style&yaml.FlowStyle != 0:
		v := &entryValue{between: p.takeAll(), gap: p.blank}
		v.leaf = p.readLeaf(root, 0, true)
		v.tail = p.takeAll()
		return v
	}
	b := p.readBlock(root, false)
	b.tail = append(b.tail, p.takeAll()...)
	if len(b.entries) > 0 {
		b.keepModelines()
	}
	return &entryValue{block: b}
}

// checkBreaks refuses the line break that YAML knows and editors do not.
func (p *parser) checkBreaks() {
	if i := strings.IndexByte(p.src, '\r'); i >= 0 {
		p.refuse(i, "fmt does not keep the line break U+000D; write it as an escape in double quotes")
	}
}

// readBlock reads a mapping or list in block style, the cursor on its first key or dash.
func (p *parser) readBlock(n *yaml.Node, indentless bool) *blockNode {
	b := &blockNode{seq: n.Kind == yaml.SequenceNode, column: p.column()}
	step := 2
	if b.seq {
		step = 1
	}
	for i := 0; i+step <= len(n.Content) && p.refused == nil; i += step {
		e := &blockEntry{nodes: n.Content[i : i+step]}
		if i == 0 {
			p.splitFirst(b, e)
		} else {
			p.splitBetween(b.entries[len(b.entries)-1], e)
		}
		b.entries = append(b.entries, e)
		// An entry elsewhere than its siblings: from here on every comment could be given to the wrong one.
		if p.column() != b.column {
			p.refuse(p.at, "fmt cannot tell what this line belongs to; line it up with the lines above")
			break
		}
		p.readHeader(b, e)
		e.value = p.readValue(e.nodes[step-1], b)
	}
	// A list at its key's own column: a comment in that column belongs to what comes behind the list.
	if indentless {
		b.tail = p.takeDeeper(b.column + 1)
	} else {
		b.tail = p.takeDeeper(b.column)
	}
	return b
}

// readHeader reads a dash, or a key and its colon.
func (p *parser) readHeader(b *blockNode, e *blockEntry) {
	if b.seq {
		p.expect('-')
		return
	}
	key := e.nodes[0]
	if p.checkKey(key); p.refused != nil {
		return
	}
	start := p.at
	properties := p.readProperties(key)
	p.skipBlanks()
	raw := p.readScalar(key)
	if strings.Contains(p.src[start:p.at], "\n") {
		p.refuse(start, "fmt does not keep a key on several lines")
		return
	}
	e.key, e.name = joinWords(properties, plainKey(key, raw)), key.Value
	if key.Kind == yaml.AliasNode {
		e.key, e.name = e.key+" ", "*"+key.Value
	}
	p.skipBlanks()
	p.expect(':')
}

// checkKey refuses a key that cannot be kept, the cursor on it.
func (p *parser) checkKey(key *yaml.Node) {
	switch {
	case p.peek() == '?' && !strings.HasPrefix(key.Value, "?"):
		p.refuse(p.at, "fmt does not keep keys behind a question mark; write `key: value`")
	case key.Kind != yaml.ScalarNode && key.Kind != yaml.AliasNode, isNothing(key) && propertyCount(key) > 0:
		p.refuse(p.at, "a key must be a string; write it in quotes if it is one")
	}
}

// readValue reads what stands behind a key or a dash of b, and the comments down to what comes next.
func (p *parser) readValue(n *yaml.Node, b *blockNode) *entryValue {
	v := &entryValue{}
	v.note = p.readNote()
	want := propertyCount(n)
	if want == 0 && isNothing(n) {
		p.lineEnd()
		p.skipComments()
		v.tail = p.takeDeeper(b.column + 1)
		return v
	}
	// What stands above the value is read before it is known what the value is: an anchor may come first.
	between := p.readGap()
	if want > 0 {
		v.properties = p.readProperties(n)
		if note := p.readNote(); v.note == "" {
			v.note = note
		} else if note != "" {
			between = append(between, lineComment{text: note})
		}
		if isNothing(n) {
			p.lineEnd()
			p.skipComments()
			v.tail = append(between, p.takeDeeper(b.column+1)...)
			return v
		}
		between = append(between, p.readGap()...)
	}
	if isBlock(n) {
		// A block has entries, which comments belong to; only a leaf keeps them itself.
		p.pending = between
		v.block = p.readBlock(n, n.Kind == yaml.SequenceNode && !b.seq && p.column() == b.column)
		return v
	}
	v.between = between
	v.leaf = p.readLeaf(n, b.column, false)
	return v
}

// readLeaf reads a scalar, an alias or a flow collection and what stands behind it on its line. It stands
// in a block whose entries begin at column, or is the root.
func (p *parser) readLeaf(n *yaml.Node, column int, root bool) *leafNode {
	l := &leafNode{}
	switch {
	case p.refused != nil:
		return l
	case n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		p.blockScalar(l, column)
		p.skipComments()
		return l
	case n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode:
		p.flowLeaf(l, n, root)
	default:
		raw := p.readScalar(n)
		if strings.Contains(raw, "\n") {
			l.setLines(raw, func(int, string) int { return indentStep })
		} else {
			l.first = requoted(n, raw)
		}
	}
	l.note = p.readNote()
	p.lineEnd()
	p.skipComments()
	return l
}

// setLines takes the lines of raw; indent says how far the line behind the i-th is indented.
func (l *leafNode) setLines(raw string, indent func(i int, text string) int) {
	lines := strings.Split(raw, "\n")
	l.first = trimEnd(lines[0])
	for i, line := range lines[1:] {
		text := trimEnd(strings.TrimLeft(line, " \t"))
		l.rest = append(l.rest, restLine{indent: indent(i, text), text: text})
	}
}

// trimEnd takes blanks off a line's end, but for one that is escaped.
func trimEnd(line string) string {
	t := strings.TrimRight(line, " \t")
	if strings.HasSuffix(t, `\`) {
		return line
	}
	return t
}

// isBlock reports whether a node is a collection in block style.
func isBlock(n *yaml.Node) bool {
	return (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) && n.Style&yaml.FlowStyle == 0
}

// isNothing reports whether a node is a value that is not written at all.
func isNothing(n *yaml.Node) bool {
	const written = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&written == 0
}

func joinWords(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

// refuse stops the parser. The first reason stands.
func (p *parser) refuse(at int, why string) {
	if p.refused == nil {
		p.refused = &refusal{at: at, why: why}
	}
}

// puzzledReason refuses what the nodes did not announce.
const puzzledReason = "fmt cannot tell how this is written, so it leaves the file alone; write it in a plainer way"

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

// skipBlanks goes over spaces and tabs.
func (p *parser) skipBlanks() {
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
		p.refuse(p.at, puzzledReason)
		return
	}
	p.at++
}

// lineEnd refuses text that is left on a line.
func (p *parser) lineEnd() {
	if p.skipBlanks(); p.at < len(p.src) && p.peek() != '\n' {
		p.refuse(p.at, puzzledReason)
	}
}

// isMark reports whether the cursor is on a document mark.
func (p *parser) isMark(mark string) bool {
	rest, ok := strings.CutPrefix(p.src[p.at:], mark)
	return ok && p.column() == 0 && (rest == "" || isSpace(rest[0]))
}

// readNote reads the comment on the rest of the line.
func (p *parser) readNote() string {
	start := p.at
	p.skipBlanks()
	if p.peek() != '#' {
		return ""
	}
	// Taken for a comment it would be cut off the value.
	if p.at == start && p.at > 0 && p.src[p.at-1] != '\n' {
		p.refuse(p.at, puzzledReason) // a # that touches what stands before it begins no comment
		return ""
	}
	return p.readComment()
}

// readComment reads a comment, the cursor on its #.
func (p *parser) readComment() string {
	text, _, _ := strings.Cut(p.src[p.at:], "\n")
	p.at += len(text)
	text = strings.TrimRight(text, " \t")
	p.comments = append(p.comments, text)
	return text
}

// skipComments goes over the lines of white space and comments down to the next token and adds the comments
// to the pending ones.
func (p *parser) skipComments() {
	p.pending, p.blank = nil, false
	if p.refused != nil {
		return
	}
	newlines := 1 // at the start of the file there is no line to end
	if p.at > 0 {
		newlines = 0
	}
	for p.at < len(p.src) {
		switch p.skipBlanks(); p.peek() {
		case '\n':
			p.at++
			newlines++
		case '#':
			column := p.column()
			p.pending = append(p.pending, lineComment{blank: newlines > 1, column: column, text: p.readComment()})
			newlines = 0
		default:
			p.blank = newlines > 1
			return
		}
	}
	p.blank = false // blank lines at the end of the file belong to nothing
}

// readGap goes to the next token, on this line or further down, and returns the comments on the way.
func (p *parser) readGap() []lineComment {
	p.skipBlanks()
	if p.blank = false; p.peek() != '\n' {
		return nil
	}
	p.skipComments()
	comments := p.pending
	p.pending = nil
	if len(comments) > 0 {
		comments[0].blank = false
	}
	return comments
}

// readProperties reads the anchor and the tag that n has, and stops right behind them.
func (p *parser) readProperties(n *yaml.Node) string {
	var words []string
	for want := propertyCount(n); p.refused == nil && len(words) < want; {
		p.skipBlanks()
		if c := p.peek(); c != '&' && c != '!' {
			p.refuse(p.at, "fmt does not keep an anchor and a tag on several lines; write them on one")
			break
		}
		words = append(words, p.readWord())
	}
	return strings.Join(words, " ")
}

// readWord reads an anchor or a tag.
func (p *parser) readWord() string {
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

// splitFirst gives the pending comments to the first entry of a block: those that a blank line parts
// from it stay at the top of the block.
func (p *parser) splitFirst(b *blockNode, e *blockEntry) {
	cs := p.takeAll()
	if p.blank {
		b.head, b.headGap = cs, len(cs) > 0
		return
	}
	for i := len(cs) - 1; i > 0; i-- {
		if cs[i].blank {
			b.head, b.headGap, cs = cs[:i:i], true, cs[i:]
			break
		}
	}
	e.lead = cs
}

// splitBetween gives the pending comments to the entry that comes next, but for those that stand
// right below the one before it with a blank line below them.
func (p *parser) splitBetween(before, e *blockEntry) {
	cs, blank := p.takeAll(), p.blank
	if len(cs) > 0 && !cs[0].blank {
		n := 1
		for n < len(cs) && !cs[n].blank {
			n++
		}
		if n < len(cs) || blank {
			before.foot, cs = cs[:n:n], cs[n:]
		}
	}
	e.lead = cs
	if len(cs) == 0 {
		e.blank = blank
		return
	}
	e.blank, e.gap = cs[0].blank, blank
}

// takeAll returns the pending comments, and leaves none.
func (p *parser) takeAll() []lineComment {
	cs := p.pending
	p.pending = nil
	return cs
}

// takeDeeper returns the pending comments before the first that is indented less than column.
func (p *parser) takeDeeper(column int) []lineComment {
	n := 0
	for n < len(p.pending) && p.pending[n].column >= column {
		n++
	}
	cs := p.pending[:n:n]
	p.pending = p.pending[n:]
	return cs
}

// keepModelines leaves the lines above the first entry at the top of the file, down to the last one
// that speaks to an editor.
func (b *blockNode) keepModelines() {
	first := b.entries[0]
	for i := len(first.lead) - 1; i >= 0; i-- {
		if isModeline(first.lead[i].text) {
			b.head, b.headGap = append(b.head, first.lead[:i+1]...), false
			first.lead = first.lead[i+1:]
			return
		}
	}
}

func isModeline(text string) bool {
	for _, mark := range []string{"yaml-language-server:", "$schema:", "vim:", "-*-", "yamllint "} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	return false
}
