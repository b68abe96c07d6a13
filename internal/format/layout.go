package format

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// document is a manifest taken apart into pieces of its source.
type document struct {
	// before are the comments above the document mark.
	before []lineComment
	// marked reports that the document begins with ---, markNote is the comment behind it.
	marked   bool
	markNote string
	root     *yaml.Node
	value    *entryValue
	// comments are the texts of all comments, in the order in which they stand in the source.
	comments []string
}

// lineComment is a comment on a line of its own.
type lineComment struct {
	text string
	// blank reports that a blank line stands above it.
	blank bool
	// column is where it stood, counted from 0.
	column int
}

// blockNode is a mapping or a list in block style.
type blockNode struct {
	seq    bool
	column int
	// head are the comments that stay at the top, whatever comes first; headGap is the blank line
	// below them.
	head    []lineComment
	headGap bool
	entries []*blockEntry
	// tail are the comments behind the last entry.
	tail []lineComment
	// spaced blocks have a blank line between entries that are longer than a line.
	spaced bool
}

// blockEntry is a member of a mapping or an element of a list, with the comments that go where it goes.
type blockEntry struct {
	// blank reports that a blank line stands above the entry and its comments.
	blank bool
	// lead are the comments above the entry, gap the blank line between them and the entry.
	lead []lineComment
	gap  bool
	// key is a member's key as it is written, empty in a list; name is what it says.
	key, name string
	value     *entryValue
	// foot are comments right below the entry, with a blank line below them.
	foot []lineComment
	// nodes are what the entry is made of: key and value, or the element alone.
	nodes []*yaml.Node
}

// entryValue is what stands behind a key or a dash. Without block and leaf it is empty.
type entryValue struct {
	// properties are the anchor and the tag.
	properties string
	// note is the comment on the line of the key or dash where the value begins further down.
	note string
	// between are the comments on lines of their own above a leaf, gap is the blank line below them,
	// which only that of a whole document has.
	between []lineComment
	gap     bool
	block   *blockNode
	leaf    *leafNode
	// tail are the comments below an empty value that are indented deeper than its key.
	tail []lineComment
}

// leafNode is a scalar, an alias or a flow collection.
type leafNode struct {
	// first is its first line, rest are the others.
	first string
	rest  []restLine
	// flow is set for a flow collection on one line, which is printed from its parts.
	flow *flowPart
	// note is the comment behind it.
	note string
	// open reports a block scalar whose last blank lines belong to its value: none may be added
	// behind it.
	open bool
}

// restLine is a line of a leaf but the first. Indent is relative to the column of the key or dash;
// a line without text has none.
type restLine struct {
	indent int
	text   string
}

// long reports whether an entry takes more than one line.
func (e *blockEntry) long() bool {
	v := e.value
	return v.block != nil || v.leaf != nil && len(v.leaf.rest) > 0
}

// indentStep is how much deeper each level stands, in columns.
const indentStep = 2

// printer writes a document.
type printer struct {
	out strings.Builder
	// open is the start of a line that ends with a dash: what comes next goes behind it.
	open string
	// full reports that no blank line may come next: the last line belongs to a text that keeps the
	// line ends behind it.
	full bool
}

// print returns the document as text.
func (d *document) print() string {
	p := &printer{}
	p.writeComments(d.before, 0)
	if d.marked {
		p.writeLine(0, "---", d.markNote)
	}
	v := d.value
	p.writeComments(v.between, 0)
	switch {
	case v.block != nil:
		p.writeBlock(v.block, 0)
	case v.leaf != nil:
		if v.gap && len(v.between) > 0 {
			p.writeBlank()
		}
		p.writeLeaf(v.leaf, 0, "")
		if len(v.tail) > 0 && v.tail[0].blank {
			p.writeBlank()
		}
		p.writeComments(v.tail, 0)
	}
	return p.out.String()
}

// writeLine writes one line, its comment two blanks behind it.
func (p *printer) writeLine(indent int, text, note string) {
	if p.open != "" {
		p.out.WriteString(p.open)
		p.open = ""
	} else if text != "" || note != "" {
		p.out.WriteString(strings.Repeat(" ", indent))
	}
	p.out.WriteString(text)
	if note != "" {
		if text != "" {
			p.out.WriteString("  ")
		}
		p.out.WriteString(note)
	}
	p.out.WriteByte('\n')
	p.full = false
}

// writeBlank writes a blank line where one may stand.
func (p *printer) writeBlank() {
	if !p.full {
		p.out.WriteByte('\n')
	}
}

// writeComments writes comments; the caller decides on the blank line above the first.
func (p *printer) writeComments(cs []lineComment, indent int) {
	for i, c := range cs {
		if i > 0 && c.blank {
			p.writeBlank()
		}
		p.writeLine(indent, c.text, "")
	}
}

func (p *printer) writeBlock(b *blockNode, indent int) {
	p.writeComments(b.head, indent)
	if b.headGap {
		p.writeBlank()
	}
	for i, e := range b.entries {
		if i > 0 && b.parted(b.entries[i-1], e) {
			p.writeBlank()
		}
		p.writeComments(e.lead, indent)
		if e.gap && len(e.lead) > 0 {
			p.writeBlank()
		}
		p.writeEntry(e, indent, b.seq)
		p.writeComments(e.foot, indent)
	}
	if len(b.tail) > 0 {
		if last := b.entries[len(b.entries)-1]; b.tail[0].blank || len(last.foot) > 0 {
			p.writeBlank()
		}
		p.writeComments(b.tail, indent)
	}
}

// parted reports whether a blank line stands between two entries.
func (b *blockNode) parted(before, e *blockEntry) bool {
	return e.blank || len(before.foot) > 0 || b.spaced && (before.long() || e.long())
}

func (p *printer) writeEntry(e *blockEntry, indent int, seq bool) {
	v := e.value
	header := "-"
	if !seq {
		header = e.key + ":"
	}
	header = joinWords(header, v.properties)
	below := indent + indentStep
	switch {
	case v.block != nil && seq && v.properties == "":
		// Dashes of lists in lists share the line of what they hold at last.
		if p.open == "" {
			p.open = strings.Repeat(" ", indent)
		}
		p.open += "- "
		p.writeBlock(v.block, below)
	case v.block != nil:
		p.writeLine(indent, header, v.note)
		p.writeBlock(v.block, below)
	case v.leaf == nil:
		p.writeLine(indent, header, v.note)
		if len(v.tail) > 0 && v.tail[0].blank {
			p.writeBlank()
		}
		p.writeComments(v.tail, below)
	case v.note == "" && len(v.between) == 0:
		p.writeLeaf(v.leaf, indent, header)
	default:
		p.writeLine(indent, header, v.note)
		p.writeComments(v.between, below)
		p.out.WriteString(strings.Repeat(" ", below))
		p.writeLeaf(v.leaf, indent, "")
	}
}

// writeLeaf writes a leaf of a block whose entries stand at indent, behind header.
func (p *printer) writeLeaf(l *leafNode, indent int, header string) {
	first, last := l.first, len(l.rest)-1
	if l.flow != nil {
		first = l.flow.String()
	}
	note := l.note
	isBlockScalar := strings.HasPrefix(first, "|") || strings.HasPrefix(first, ">")
	// Behind a quoted or plain text the comment stands on the last line; behind | and > on the first, or it is text.
	if last >= 0 && !isBlockScalar {
		note = ""
	}
	at := indent
	if header == "" {
		at = 0
	}
	p.writeLine(at, joinWords(header, first), note)
	for i, r := range l.rest {
		if i == last && !isBlockScalar {
			note = l.note
		} else {
			note = ""
		}
		p.writeLine(indent+r.indent, r.text, note)
	}
	// Behind the lines, each of which says that a blank line may follow.
	p.full = l.open
}
