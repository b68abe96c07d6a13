package format

import (
	"cmp"
	"slices"

	"gopkg.in/yaml.v3"

	"agentsync/schema"
)

// mapMember is a member of a mapping, as far as the order needs it.
type mapMember struct {
	name  string
	nodes []*yaml.Node
}

// canonicalOrder returns the order in which members are to stand: members that the schema names in its
// order, with `<<` at the top but behind the key of an agent; then the others in the order in which
// they stand. No alias comes before its anchor, and none comes to mean another.
func canonicalOrder(members []mapMember, o *schema.Order) []int {
	ranks := make([]int, len(members))
	order := make([]int, len(members))
	for i, m := range members {
		ranks[i], order[i] = m.rank(o), i
	}
	// The usual case: no anchors need be looked for.
	if slices.IsSorted(ranks) {
		return order
	}
	return readyOrder(ranks, anchorOrder(members))
}

// readyOrder returns the members with those of the lowest rank first, each as soon as those that it waits
// for are there; of equal rank, as they stand.
func readyOrder(ranks []int, waits [][]int) []int {
	before := func(a, b int) int { return cmp.Or(cmp.Compare(ranks[a], ranks[b]), cmp.Compare(a, b)) }
	missing := make([]int, len(ranks))
	frees := make([][]int, len(ranks))
	var ready []int // in the order in which they are to stand
	for i, others := range waits {
		missing[i] = len(others)
		for _, j := range others {
			frees[j] = append(frees[j], i)
		}
		if missing[i] == 0 {
			ready = append(ready, i)
		}
	}
	slices.SortFunc(ready, before)
	order := make([]int, 0, len(ranks))
	for len(ready) > 0 {
		next := ready[0]
		ready, order = ready[1:], append(order, next)
		for _, i := range frees[next] {
			if missing[i]--; missing[i] == 0 {
				at, _ := slices.BinarySearchFunc(ready, i, before)
				ready = slices.Insert(ready, at, i)
			}
		}
	}
	return order
}

// rank says how far up a member belongs.
func (m mapMember) rank(o *schema.Order) int {
	names := len(o.Names())
	i, ok := o.Rank(m.name)
	_, hasVersion := o.Rank("version")
	key, hasKey := o.Rank("key")
	switch {
	case names == 0:
		return 0 // nothing is known of this mapping: it stays as it is
	case ok:
		return 2 * (i + 1)
	case m.merges() && hasKey:
		return 2*(key+1) + 1
	case m.merges():
		return 0
	case hasVersion && len(m.name) > 2 && m.name[:2] == "x-":
		return 3 // behind version
	default:
		return 2 * (names + 1)
	}
}

// merges reports whether the member is a merge key.
func (m mapMember) merges() bool { return m.name == "<<" && m.nodes[0].Tag == "!!merge" }

// below returns the order of what stands in the member of a mapping of order o: what is merged into a
// mapping has its order.
func (m mapMember) below(o *schema.Order) *schema.Order {
	if m.merges() {
		return o
	}
	return o.Member(m.name)
}

// textOf returns a lookup of the members' texts.
func textOf(members []mapMember) func(name string) string {
	return func(name string) string {
		i := slices.IndexFunc(members, func(m mapMember) bool { return m.name == name })
		if i < 0 || len(members[i].nodes) == 0 {
			return ""
		}
		n := members[i].nodes[len(members[i].nodes)-1]
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		return n.Value
	}
}

// anchorOrder returns, for each member, the members that must come before it: an alias stays behind
// the anchor that it means and before the next of that name.
func anchorOrder(members []mapMember) [][]int {
	waits := make([][]int, len(members))
	type use struct {
		anchor int
		since  []int
	}
	seen := map[string]*use{}
	for i, m := range members {
		eachAnchor(m.nodes, func(name string, isAlias bool) {
			u := seen[name]
			if u == nil {
				u = &use{anchor: -1}
				seen[name] = u
			}
			if u.anchor >= 0 && u.anchor != i {
				waits[i] = append(waits[i], u.anchor)
			}
			if isAlias {
				u.since = append(u.since, i)
				return
			}
			// An anchor of the same name again: what means the one before stays before this one.
			for _, j := range u.since {
				if j != i {
					waits[i] = append(waits[i], j)
				}
			}
			u.anchor, u.since = i, nil
		})
	}
	return waits
}

// eachAnchor calls visit for each anchor and alias in nodes, in the order of the text.
func eachAnchor(nodes []*yaml.Node, visit func(name string, isAlias bool)) {
	for _, n := range nodes {
		if n.Anchor != "" {
			visit(n.Anchor, false)
		}
		if n.Kind == yaml.AliasNode {
			visit(n.Value, true)
			continue
		}
		eachAnchor(n.Content, visit)
	}
}

// arrange puts the document into canonical order.
func (d *document) arrange(o *schema.Order) {
	d.value.arrange(o)
	if b := d.value.block; b != nil {
		b.spaced = true
	}
}

func (v *entryValue) arrange(o *schema.Order) {
	switch {
	case v.block != nil:
		v.block.arrange(o)
	case v.leaf != nil && v.leaf.flow != nil:
		v.leaf.flow.arrange(o)
	}
}

func (b *blockNode) arrange(o *schema.Order) {
	if b.seq {
		_, b.spaced = o.Items().Rank("key") // a list of agents
		for _, e := range b.entries {
			e.value.arrange(o.Items())
			e.hoist()
		}
		return
	}
	b.entries = arrangeMembers(b.entries, o, func(e *blockEntry) (mapMember, func(*schema.Order)) {
		return mapMember{name: e.name, nodes: e.nodes}, e.value.arrange
	})
}

func (f *flowPart) arrange(o *schema.Order) {
	switch {
	case f == nil: // a member without a value
	case f.open == '{':
		f.items = arrangeMembers(f.items, o, func(item flowItem) (mapMember, func(*schema.Order)) {
			return mapMember{name: item.name, nodes: item.nodes}, item.value.arrange
		})
	default:
		for _, item := range f.items {
			item.value.arrange(o.Items())
		}
	}
}

// arrangeMembers returns the members of a mapping in canonical order, what stands in them arranged as well.
func arrangeMembers[T any](items []T, o *schema.Order,
	memberOf func(T) (m mapMember, arrange func(*schema.Order))) []T {
	members, arrange := make([]mapMember, len(items)), make([]func(*schema.Order), len(items))
	for i, item := range items {
		members[i], arrange[i] = memberOf(item)
	}
	// Some members decide what the others are: the fields of integrationMeta depend on integrateWith.
	o = o.For(textOf(members))
	for i, m := range members {
		arrange[i](m.below(o))
	}
	out := make([]T, len(items))
	for place, i := range canonicalOrder(members, o) {
		out[place] = items[i]
	}
	return out
}

// hoist moves the comments between a dash and what stands behind it above the dash, so that the
// value can begin on the dash's line. An anchor or a tag keeps them where they are.
func (e *blockEntry) hoist() {
	v := e.value
	if v.properties != "" || v.block == nil && v.leaf == nil {
		return
	}
	var up []lineComment
	if v.note != "" {
		up = append(up, lineComment{text: v.note})
	}
	up = append(up, v.between...)
	gap := false
	if b := v.block; b != nil {
		first := b.entries[0]
		up = append(up, b.head...)
		// The blank line below the head now parts two comments above the same dash.
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
