package format

import "agentsync/schema"

// arrange puts the document into canonical order.
func (d *document) arrange(o *schema.Order) {
	d.value.arrange(o)
	if b := d.value.block; b != nil {
		b.spaced = true
	}
}

func (v *value) arrange(o *schema.Order) {
	switch {
	case v.block != nil:
		v.block.arrange(o)
	case v.leaf != nil && v.leaf.flow != nil:
		v.leaf.flow.arrange(o)
	}
}

func (b *block) arrange(o *schema.Order) {
	if b.seq {
		_, b.spaced = o.Items().Rank("key") // a list of agents
		for _, e := range b.entries {
			e.value.arrange(o.Items())
			e.hoist()
		}
		return
	}
	members := make([]member, len(b.entries))
	for i, e := range b.entries {
		members[i] = member{name: e.name, nodes: e.nodes}
	}
	o = o.For(textOf(members))
	for i, e := range b.entries {
		e.value.arrange(members[i].below(o))
	}
	b.entries = permute(b.entries, canonical(members, o))
}

func (f *flow) arrange(o *schema.Order) {
	if f.open != '{' {
		for _, item := range f.items {
			item.value.arrange(o.Items())
		}
		return
	}
	members := make([]member, len(f.items))
	for i, item := range f.items {
		members[i] = member{name: item.name, nodes: item.nodes}
	}
	o = o.For(textOf(members))
	for i, item := range f.items {
		if item.value != nil {
			item.value.arrange(members[i].below(o))
		}
	}
	f.items = permute(f.items, canonical(members, o))
}

// hoist moves the comments between a dash and what stands behind it above the dash, so that the
// value can begin on the dash's line. An anchor or a tag keeps them where they are.
func (e *entry) hoist() {
	v := e.value
	if v.properties != "" || v.block == nil && v.leaf == nil {
		return
	}
	var up []comment
	if v.note != "" {
		up = append(up, comment{text: v.note})
	}
	up = append(up, v.between...)
	gap := false
	if b := v.block; b != nil {
		first := b.entries[0]
		up = append(up, b.head...)
		if b.headGap && len(first.lead) > 0 {
			first.lead[0].blank = true
		}
		up = append(up, first.lead...)
		gap = first.gap && len(first.lead) > 0 || b.headGap && len(first.lead) == 0
		b.head, b.headGap, first.lead, first.gap = nil, false, nil, false
	}
	if v.note, v.between = "", nil; len(up) == 0 {
		return
	}
	up[0].blank = e.gap && len(e.lead) > 0
	e.lead, e.gap = append(e.lead, up...), gap
}

// permute returns items in the order given.
func permute[T any](items []T, order []int) []T {
	out := make([]T, len(items))
	for place, i := range order {
		out[place] = items[i]
	}
	return out
}
