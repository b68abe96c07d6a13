package format

import "strings"

// splitFirst gives the pending comments to the first entry of a block: those that a blank line parts
// from it stay at the top of the block.
func (p *parser) splitFirst(b *block, e *entry) {
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
func (p *parser) splitBetween(before, e *entry) {
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
func (p *parser) takeAll() []comment {
	cs := p.pending
	p.pending = nil
	return cs
}

// takeDeeper returns the pending comments before the first that is indented less than column.
func (p *parser) takeDeeper(column int) []comment {
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
func (b *block) keepModelines() {
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
