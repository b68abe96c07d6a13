package format

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// flowPart is a node inside a flow collection, or one itself, in parts.
type flowPart struct {
	// text is what is written of a scalar or an alias; of a collection it is its properties.
	text string
	// open is '{' or '[' for a collection, ':' for a pair without braces in a list, 0 otherwise.
	open  byte
	items []flowItem
}

// flowItem is an element of a list, or a member of a mapping.
type flowItem struct {
	key, value *flowPart
	name       string
	nodes      []*yaml.Node
}

// flowLeaf reads a flow collection. On one line it is taken apart; on several it stays as it is written,
// but for its indentation: each bracket that is open is a step, and the whole is a step deeper than
// the key or dash before it, because strict readers want a closing bracket there too.
func (p *parser) flowLeaf(l *leafNode, n *yaml.Node, root bool) {
	f := &flowPart{}
	start := p.at
	p.depth, p.depths = 0, nil
	p.flowBody(f, n, false)
	raw := p.src[start:p.at]
	if !strings.Contains(raw, "\n") {
		l.flow = f
		return
	}
	depths := p.depths
	l.setLines(raw, func(i int, text string) int {
		depth := depths[i] - countClosers(text)
		if root {
			return indentStep * depth
		}
		return indentStep * (1 + depth)
	})
}

// countClosers returns how many brackets a line closes before it holds anything else.
func countClosers(text string) int {
	rest := strings.TrimLeft(text, "]} ")
	return len(text) - len(rest) - strings.Count(text[:len(text)-len(rest)], " ")
}

// flowNode reads one node. bare allows a pair without braces.
func (p *parser) flowNode(n *yaml.Node, bare bool) *flowPart {
	f := &flowPart{}
	if p.refused != nil {
		return f
	}
	if !isNothing(n) || propertyCount(n) > 0 {
		f.text = p.readProperties(n)
		if f.text != "" && !isNothing(n) {
			p.flowGap()
		}
	}
	p.flowBody(f, n, bare)
	return f
}

// flowBody reads what stands behind a node's properties.
func (p *parser) flowBody(f *flowPart, n *yaml.Node, bare bool) {
	switch {
	case p.refused != nil:
	case n.Kind == yaml.MappingNode && p.peek() == '{', n.Kind == yaml.SequenceNode && p.peek() == '[':
		f.open = p.peek()
		p.flowItems(f, n)
	case n.Kind == yaml.MappingNode && bare && len(n.Content) == 2:
		f.open = ':'
		f.items = []flowItem{p.flowItem(n, 0)}
	case n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode:
		p.refuse(p.at, puzzledReason)
	case !isNothing(n):
		raw := p.readScalar(n)
		p.countLines(raw)
		f.text = joinWords(f.text, requoted(n, raw))
	}
}

// flowItems reads what stands between brackets, and these.
func (p *parser) flowItems(f *flowPart, n *yaml.Node) {
	step, closing := 1, byte(']')
	if f.open == '{' {
		step, closing = 2, '}'
	}
	p.at++
	p.depth++
	defer func() { p.depth-- }()
	p.flowGap()
	for i := 0; i < len(n.Content) && p.refused == nil; i += step {
		f.items = append(f.items, p.flowItem(n, i))
		if p.flowGap(); p.peek() == ',' {
			p.at++
			p.flowGap()
		} else if p.peek() != closing {
			p.refuse(p.at, puzzledReason)
		}
	}
	if p.peek() != closing {
		p.refuse(p.at, puzzledReason)
		return
	}
	p.at++
}

// flowItem reads the element or member that begins with the i-th node of n.
func (p *parser) flowItem(n *yaml.Node, i int) flowItem {
	if n.Kind == yaml.SequenceNode {
		e := n.Content[i]
		if isNothing(e) {
			p.refuse(p.at, "fmt does not keep an element that is not written; write null")
		}
		return flowItem{value: p.flowNode(e, true), nodes: n.Content[i : i+1]}
	}
	key, value := n.Content[i], n.Content[i+1]
	item := flowItem{name: key.Value, nodes: n.Content[i : i+2]}
	if p.checkKey(key); p.refused != nil {
		return item
	}
	start := p.at
	item.key = p.flowNode(key, false)
	if propertyCount(key) == 0 {
		item.key.text = plainKey(key, p.src[start:p.at])
	}
	p.flowGap()
	switch {
	case p.peek() == ':':
		p.at++
		p.flowGap()
		item.value = p.flowNode(value, false)
	case !isNothing(value):
		p.refuse(p.at, puzzledReason)
	}
	return item
}

// flowGap goes over white space, line breaks and comments.
func (p *parser) flowGap() {
	for p.refused == nil && p.at < len(p.src) {
		switch {
		case isSpace(p.peek()):
			p.countLines(p.src[p.at : p.at+1])
			p.at++
		case p.peek() == '#' && p.at > 0 && isSpace(p.src[p.at-1]):
			p.readComment()
		default:
			return
		}
	}
}

// countLines notes how many brackets are open where the lines in text end.
func (p *parser) countLines(text string) {
	for range strings.Count(text, "\n") {
		p.depths = append(p.depths, p.depth)
	}
}

// String returns the node on one line.
func (f *flowPart) String() string {
	var b strings.Builder
	f.print(&b)
	return b.String()
}

func (f *flowPart) print(b *strings.Builder) {
	b.WriteString(f.text)
	if f.open == 0 {
		return
	}
	if f.text != "" {
		b.WriteByte(' ')
	}
	if f.open != ':' {
		b.WriteByte(f.open)
	}
	for i, item := range f.items {
		if i > 0 {
			b.WriteString(", ")
		}
		item.print(b)
	}
	switch f.open {
	case '{':
		b.WriteByte('}')
	case '[':
		b.WriteByte(']')
	}
}

func (i flowItem) print(b *strings.Builder) {
	if i.key != nil {
		i.key.print(b)
		if i.value == nil {
			return
		}
		if i.nodes[0].Kind == yaml.AliasNode || i.nodes[0].Value == "" {
			b.WriteByte(' ') // what ends here could be read on into the colon
		}
		b.WriteString(": ") // the blank stays without a value: a colon that touches a comma ends no key
	}
	i.value.print(b)
}
