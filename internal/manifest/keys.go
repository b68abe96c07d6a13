package manifest

import (
	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
)

// checkKeys reports keys that are no strings, that stand twice, or that are reserved.
func (d *decoder) checkKeys(n *yaml.Node) {
	var index map[string]*yaml.Node
	if len(n.Content) > 32 {
		index = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		node := n.Content[i]
		key := deref(node)
		if !d.checkKey(node, key) {
			continue
		}
		if first := findKey(index, n.Content[:i], key.Value); first != nil {
			d.duplicate(node, key, first)
		} else if index != nil {
			index[key.Value] = node
		}
	}
}

// findKey returns the earlier key called name. Short mappings are searched, which is quicker than an
// index; with an index the search is in it alone.
func findKey(index map[string]*yaml.Node, earlier []*yaml.Node, name string) *yaml.Node {
	if index != nil {
		return index[name]
	}
	for i := 0; i+1 < len(earlier); i += 2 {
		if k := deref(earlier[i]); k.Value == name && k.Kind == yaml.ScalarNode {
			return earlier[i]
		}
	}
	return nil
}

func (d *decoder) duplicate(node, key, first *yaml.Node) {
	if isMergeKey(key) {
		d.errorf(node, "`<<` stands twice in this mapping; merge several with one list: `<<: [*a, *b]`")
		return
	}
	d.errorf(node, "the key %s stands twice in this mapping, first on line %d; keep one", ticked(key.Value), first.Line)
}

func (d *decoder) checkKey(node, key *yaml.Node) bool {
	switch {
	case key.Kind != yaml.ScalarNode:
		d.errorf(node, "a key must be a string, not %s", kindName(key))
	case isMergeKey(key):
		return true
	case key.Tag == "!!null" && key.Value == "":
		d.errorf(node, "a key is missing before this colon")
	case key.Tag != "!!str":
		d.errorf(node, "a key must be a string, not %s; put it in quotes: %q", kindName(key), clip(key.Value))
	case key.Value == agent.ReservedKey:
		d.errorf(node, "the key `%s` is reserved for agentsync's own files; choose another", agent.ReservedKey)
	default:
		return true
	}
	return false
}
