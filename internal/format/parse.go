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
	pending  []comment
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
	p.run()
	if p.peek() == '%' {
		p.refuse(p.at, "fmt does not keep YAML directives; take this line out")
	}
	if p.isMark("---") {
		doc.marked, doc.before = true, p.takeAll()
		p.at += len("---")
		doc.markNote = p.note()
		p.lineEnd()
		p.run()
	}
	doc.value = p.rootValue(root)
	if p.at < len(p.src) {
		p.refuse(p.at, "fmt does not keep what stands behind the manifest's end; take it out")
	}
	doc.comments = p.comments
	return doc, p.refused
}

func (p *parser) rootValue(root *yaml.Node) *value {
	switch {
	case p.refused != nil:
		return &value{}
	case root.Kind != yaml.MappingNode && root.Kind != yaml.SequenceNode:
		p.refuse(p.at, "a manifest is a mapping that begins with `version: 1`")
		return &value{}
	case root.Anchor != "" || root.Style&yaml.TaggedStyle != 0:
		p.refuse(p.at, "fmt does not keep an anchor or a tag of the whole manifest; take it out")
		return &value{}
	case root.Style&yaml.FlowStyle != 0:
		v := &value{between: p.takeAll(), gap: p.blank}
		v.leaf = p.leaf(root, 0, true)
		v.tail = p.takeAll()
		return v
	}
	b := p.block(root, false)
	b.tail = append(b.tail, p.takeAll()...)
	if len(b.entries) > 0 {
		b.keepModelines()
	}
	return &value{block: b}
}

// checkBreaks refuses the line break that YAML knows and editors do not.
func (p *parser) checkBreaks() {
	if i := strings.IndexByte(p.src, '\r'); i >= 0 {
		p.refuse(i, "fmt does not keep the line break U+000D; write it as an escape in double quotes")
	}
}

// block reads a mapping or list in block style, the cursor on its first key or dash.
func (p *parser) block(n *yaml.Node, indentless bool) *block {
	b := &block{seq: n.Kind == yaml.SequenceNode, column: p.column()}
	step := 2
	if b.seq {
		step = 1
	}
	for i := 0; i+step <= len(n.Content) && p.refused == nil; i += step {
		e := &entry{nodes: n.Content[i : i+step]}
		if i == 0 {
			p.splitFirst(b, e)
		} else {
			p.splitBetween(b.entries[len(b.entries)-1], e)
		}
		b.entries = append(b.entries, e)
		if p.column() != b.column {
			p.refuse(p.at, "fmt cannot tell what this line belongs to; line it up with the lines above")
			break
		}
		p.header(b, e)
		e.value = p.value(e.nodes[step-1], b)
	}
	if indentless {
		b.tail = p.takeDeeper(b.column + 1)
	} else {
		b.tail = p.takeDeeper(b.column)
	}
	return b
}

// header reads a dash, or a key and its colon.
func (p *parser) header(b *block, e *entry) {
	if b.seq {
		p.expect('-')
		return
	}
	key := e.nodes[0]
	if p.refused == nil && p.peek() == '?' && !strings.HasPrefix(key.Value, "?") {
		p.refuse(p.at, "fmt does not keep keys behind a question mark; write `key: value`")
		return
	}
	if key.Kind != yaml.ScalarNode && key.Kind != yaml.AliasNode || isNothing(key) && propertyCount(key) > 0 {
		p.refuse(p.at, "a key must be a string; write it in quotes if it is one")
		return
	}
	start := p.at
	properties := p.properties(key)
	p.blanks()
	raw := p.scalar(key)
	if strings.Contains(p.src[start:p.at], "\n") {
		p.refuse(start, "fmt does not keep a key on several lines")
		return
	}
	e.key, e.name = joinWords(properties, plainKey(key, raw)), key.Value
	if key.Kind == yaml.AliasNode {
		e.key, e.name = e.key+" ", "*"+key.Value
	}
	p.blanks()
	p.expect(':')
}

// value reads what stands behind a key or a dash of b, and the comments down to what comes next.
func (p *parser) value(n *yaml.Node, b *block) *value {
	v := &value{}
	v.note = p.note()
	want := propertyCount(n)
	if want == 0 && isNothing(n) {
		p.lineEnd()
		p.run()
		v.tail = p.takeDeeper(b.column + 1)
		return v
	}
	between := p.gap()
	if want > 0 {
		v.properties = p.properties(n)
		if note := p.note(); v.note == "" {
			v.note = note
		} else if note != "" {
			between = append(between, comment{text: note})
		}
		if isNothing(n) {
			p.lineEnd()
			p.run()
			v.tail = append(between, p.takeDeeper(b.column+1)...)
			return v
		}
		between = append(between, p.gap()...)
	}
	if isBlock(n) {
		p.pending = between
		v.block = p.block(n, n.Kind == yaml.SequenceNode && !b.seq && p.column() == b.column)
		return v
	}
	v.between = between
	v.leaf = p.leaf(n, b.column, false)
	return v
}

// leaf reads a scalar, an alias or a flow collection and what stands behind it on its line. It stands
// in a block whose entries begin at column, or is the root.
func (p *parser) leaf(n *yaml.Node, column int, root bool) *leaf {
	l := &leaf{}
	switch {
	case p.refused != nil:
		return l
	case n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		p.blockScalar(l, column)
		p.run()
		return l
	case n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode:
		p.flowLeaf(l, n, root)
	default:
		raw := p.scalar(n)
		if strings.Contains(raw, "\n") {
			l.setLines(raw, func(int, string) int { return indentStep })
		} else {
			l.first = quote(n, raw)
		}
	}
	l.note = p.note()
	p.lineEnd()
	p.run()
	return l
}

// setLines takes the lines of raw; indent says how far the line behind the i-th is indented.
func (l *leaf) setLines(raw string, indent func(i int, text string) int) {
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
