package format

import "strings"

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
	p.comments(d.before, 0)
	if d.marked {
		p.line(0, "---", d.markNote)
	}
	v := d.value
	p.comments(v.between, 0)
	switch {
	case v.block != nil:
		p.block(v.block, 0)
	case v.leaf != nil:
		if v.gap && len(v.between) > 0 {
			p.blank()
		}
		p.leaf(v.leaf, 0, "")
		if len(v.tail) > 0 && v.tail[0].blank {
			p.blank()
		}
		p.comments(v.tail, 0)
	}
	return p.out.String()
}

// line writes one line, its comment two blanks behind it.
func (p *printer) line(indent int, text, note string) {
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

// blank writes a blank line where one may stand.
func (p *printer) blank() {
	if !p.full {
		p.out.WriteByte('\n')
	}
}

// comments writes comments; the caller decides on the blank line above the first.
func (p *printer) comments(cs []comment, indent int) {
	for i, c := range cs {
		if i > 0 && c.blank {
			p.blank()
		}
		p.line(indent, c.text, "")
	}
}

func (p *printer) block(b *block, indent int) {
	p.comments(b.head, indent)
	if b.headGap {
		p.blank()
	}
	for i, e := range b.entries {
		if i > 0 && b.parted(b.entries[i-1], e) {
			p.blank()
		}
		p.comments(e.lead, indent)
		if e.gap && len(e.lead) > 0 {
			p.blank()
		}
		p.entry(e, indent, b.seq)
		p.comments(e.foot, indent)
	}
	if len(b.tail) > 0 {
		if last := b.entries[len(b.entries)-1]; b.tail[0].blank || len(last.foot) > 0 {
			p.blank()
		}
		p.comments(b.tail, indent)
	}
}

// parted reports whether a blank line stands between two entries.
func (b *block) parted(before, e *entry) bool {
	return e.blank || len(before.foot) > 0 || b.spaced && (before.long() || e.long())
}

func (p *printer) entry(e *entry, indent int, seq bool) {
	v := e.value
	header := "-"
	if !seq {
		header = e.key + ":"
	}
	header = joinWords(header, v.properties)
	below := indent + indentStep
	switch {
	case v.block != nil && seq && v.properties == "":
		if p.open == "" {
			p.open = strings.Repeat(" ", indent)
		}
		p.open += "- "
		p.block(v.block, below)
	case v.block != nil:
		p.line(indent, header, v.note)
		p.block(v.block, below)
	case v.leaf == nil:
		p.line(indent, header, v.note)
		if len(v.tail) > 0 && v.tail[0].blank {
			p.blank()
		}
		p.comments(v.tail, below)
	case v.note == "" && len(v.between) == 0:
		p.leaf(v.leaf, indent, header)
	default:
		p.line(indent, header, v.note)
		p.comments(v.between, below)
		p.out.WriteString(strings.Repeat(" ", below))
		p.leaf(v.leaf, indent, "")
	}
}

// leaf writes a leaf of a block whose entries stand at indent, behind header.
func (p *printer) leaf(l *leaf, indent int, header string) {
	first, last := l.first, len(l.rest)-1
	if l.flow != nil {
		first = l.flow.String()
	}
	note := l.note
	isBlockScalar := strings.HasPrefix(first, "|") || strings.HasPrefix(first, ">")
	if last >= 0 && !isBlockScalar {
		note = ""
	}
	at := indent
	if header == "" {
		at = 0
	}
	p.line(at, joinWords(header, first), note)
	for i, r := range l.rest {
		if i == last && !isBlockScalar {
			note = l.note
		} else {
			note = ""
		}
		p.line(indent+r.indent, r.text, note)
	}
	p.full = l.open
}
