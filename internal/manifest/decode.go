package manifest

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/secret"
)

// decoder turns the nodes of one file into values in one walk: nil, bool, json.Number, string, []any,
// map[string]any, and *text where a string referred to a variable. It looks up no place unless
// something is wrong. A value that is wrong becomes an empty string and is remembered in bad, so
// that nothing further is said of it.
type decoder struct {
	path     string
	src      []byte
	env      secret.Lookup
	limits   Limits
	problems *diag.List

	index    *lineIndex                    // built by lineIndex
	members  map[*yaml.Node]map[string]int // of long mappings, by ownMember
	values   int                           // decoded so far, aliases followed
	aliases  []*yaml.Node                  // the aliases that are being followed, outermost first
	stopped  bool                          // a limit was passed: the rest of the file is not read
	hasTexts bool                          // some string referred to a variable
	bad      map[*yaml.Node]bool
}

// text is a string that refers to variables. ${env:} is filled in already.
type text struct {
	// value is the string; where names is not empty it is a template as secret.Template takes it.
	value string
	// names are the variables of its ${secret:NAME}, in order of first use.
	names []string
	pos   diag.Pos
}

// errorf reports a problem at a node and marks the node, so that the schema says nothing more of it.
func (d *decoder) errorf(n *yaml.Node, format string, args ...any) {
	d.errorAt(n, d.pos(n), format, args...)
}

func (d *decoder) errorAt(n *yaml.Node, pos diag.Pos, format string, args ...any) {
	d.problems.Errorf(pos, format, args...)
	if d.bad == nil {
		d.bad = map[*yaml.Node]bool{}
	}
	d.bad[n] = true
}

// stop ends the reading of the file with one problem, at the alias that was followed to get there.
func (d *decoder) stop(n *yaml.Node, format string, args ...any) {
	if len(d.aliases) > 0 {
		n = d.aliases[0]
	}
	if !d.stopped {
		d.errorAt(n, d.start(n), format, args...)
	}
	d.stopped = true
}

// enter counts a value and reports whether it may be decoded.
func (d *decoder) enter(n *yaml.Node, depth int) bool {
	d.values++
	switch {
	case d.stopped:
	case d.values > d.limits.Values:
		d.stop(n, "the file holds more than %s values once its aliases are followed; split it into several files", count(d.limits.Values))
	case depth > d.limits.Depth:
		d.stop(n, "values are nested more than %d levels deep here", d.limits.Depth)
	case len(*d.problems) > d.limits.Problems:
		d.stopped = true // enough is wrong; load says that there is more
	}
	return !d.stopped
}

// value decodes one node and what is below it.
func (d *decoder) value(n *yaml.Node, depth int) any {
	if !d.enter(n, depth) {
		return nil
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return d.scalar(n)
	case yaml.MappingNode:
		return d.mapping(n, depth)
	case yaml.SequenceNode:
		return d.sequence(n, depth)
	case yaml.AliasNode:
		return d.alias(n, func(target *yaml.Node) any { return d.value(target, depth+1) })
	default:
		d.errorf(n, "this YAML cannot be read as a value")
		return ""
	}
}

// alias calls follow with what the alias stands for, unless the alias stands inside that.
func (d *decoder) alias(n *yaml.Node, follow func(target *yaml.Node) any) any {
	if slices.ContainsFunc(d.aliases, func(a *yaml.Node) bool { return a.Alias == n.Alias }) {
		d.aliases = nil
		d.stop(n, "the alias *%s stands inside the value that it refers to; a value cannot hold itself", n.Value)
		return nil
	}
	d.aliases = append(d.aliases, n)
	v := follow(n.Alias)
	if !d.stopped {
		d.aliases = d.aliases[:len(d.aliases)-1]
	}
	return v
}

func (d *decoder) sequence(n *yaml.Node, depth int) any {
	if n.Tag != "!!seq" {
		d.unknownTag(n)
	}
	list := make([]any, len(n.Content))
	for i, e := range n.Content {
		list[i] = d.value(e, depth+1)
	}
	return list
}

func (d *decoder) mapping(n *yaml.Node, depth int) any {
	m := make(map[string]any, len(n.Content)/2)
	d.entries(n, depth, func(name string, _, value *yaml.Node) {
		m[name] = d.value(value, depth+1)
	})
	return m
}

// entries calls visit for each member that the mapping has once its merge keys are followed: its own
// first, then those of merged mappings that it does not have itself.
func (d *decoder) entries(n *yaml.Node, depth int, visit func(name string, key, value *yaml.Node)) {
	if !hasMerge(n) {
		d.ownEntries(n, visit)
		return
	}
	seen := map[string]bool{}
	once := func(name string, key, value *yaml.Node) {
		if !seen[name] {
			seen[name] = true
			visit(name, key, value)
		}
	}
	d.ownEntries(n, once)
	d.mergedEntries(n, depth, once)
}

// ownEntries visits the members that the mapping itself spells out, merge keys left aside.
func (d *decoder) ownEntries(n *yaml.Node, visit func(name string, key, value *yaml.Node)) {
	if n.Tag != "!!map" {
		d.unknownTag(n)
	}
	d.checkKeys(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := deref(n.Content[i])
		if d.stopped {
			return
		}
		if isMergeKey(key) || d.bad[n.Content[i]] {
			continue
		}
		visit(key.Value, key, n.Content[i+1])
	}
}

// mergedEntries visits what the merge key of the mapping brings in, in YAML 1.1's order: of several
// mappings the earlier one wins.
func (d *decoder) mergedEntries(n *yaml.Node, depth int, visit func(name string, key, value *yaml.Node)) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMergeKey(n.Content[i]) {
			continue
		}
		value := n.Content[i+1]
		if target := deref(value); target.Kind == yaml.SequenceNode {
			for _, e := range target.Content {
				d.mergeOne(e, depth, visit)
			}
		} else {
			d.mergeOne(value, depth, visit)
		}
		return // a second merge key was reported by checkKeys
	}
}

func (d *decoder) mergeOne(n *yaml.Node, depth int, visit func(name string, key, value *yaml.Node)) {
	if !d.enter(n, depth) {
		return
	}
	switch {
	case n.Kind == yaml.MappingNode:
		d.entries(n, depth+1, visit)
	case n.Kind == yaml.AliasNode && deref(n).Kind == yaml.MappingNode:
		d.alias(n, func(target *yaml.Node) any {
			d.entries(target, depth+1, visit)
			return nil
		})
	default:
		d.errorf(n, "`<<` merges a mapping or a list of mappings, not %s", kindName(deref(n)))
	}
}

// deref returns what a node stands for: itself, or an alias's target.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isMergeKey(n *yaml.Node) bool { return n.Tag == "!!merge" && n.Value == mergeKey }

func hasMerge(n *yaml.Node) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMergeKey(n.Content[i]) {
			return true
		}
	}
	return false
}

// kindName says in words what a node is.
func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + clip(n.Value)
	case n.Tag == "!!bool":
		return clip(n.Value)
	case n.Tag == "!!null":
		return "null"
	case n.Tag == "!!timestamp":
		return "the date " + clip(n.Value)
	default:
		return "the string " + quoted(n.Value)
	}
}

func (d *decoder) unknownTag(n *yaml.Node) {
	d.errorAt(n, d.start(n), "the tag %s is not known here; leave it out", clip(strings.TrimSpace(n.Tag)))
}
