package format

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// sameValue returns an error unless two trees mean the same: equal tags, values and anchors, equal
// members in any order, equal elements in the same order, and each alias with the same target.
func sameValue(a, b *yaml.Node) error {
	c := comparison{counterpart: map[*yaml.Node]*yaml.Node{}}
	if err := c.compare(a, b); err != nil {
		return err
	}
	for _, pair := range c.aliases {
		if c.counterpart[pair[0].Alias] != pair[1].Alias {
			return fmt.Errorf("line %d: the alias *%s would mean something else", pair[0].Line, pair[0].Value)
		}
	}
	return nil
}

type comparison struct {
	// counterpart holds the second tree's node for each anchored node of the first.
	counterpart map[*yaml.Node]*yaml.Node
	aliases     [][2]*yaml.Node
}

func (c *comparison) compare(a, b *yaml.Node) error {
	if a.Anchor != "" {
		c.counterpart[a] = b
	}
	switch {
	case a.Kind != b.Kind || a.Tag != b.Tag || a.Anchor != b.Anchor || len(a.Content) != len(b.Content):
		return differ(a)
	case a.Kind == yaml.AliasNode:
		c.aliases = append(c.aliases, [2]*yaml.Node{a, b})
		return nil
	case a.Kind == yaml.ScalarNode:
		if a.Value != b.Value {
			return differ(a)
		}
		return nil
	case a.Kind == yaml.MappingNode:
		return c.members(a, b)
	}
	for i := range a.Content {
		if err := c.compare(a.Content[i], b.Content[i]); err != nil {
			return err
		}
	}
	return nil
}

// members compares mappings. A key that stands twice is compared in the order of its values.
func (c *comparison) members(a, b *yaml.Node) error {
	index := make(map[string][]int, len(b.Content)/2)
	for i := 0; i+1 < len(b.Content); i += 2 {
		id := memberID(b.Content[i])
		index[id] = append(index[id], i)
	}
	for i := 0; i+1 < len(a.Content); i += 2 {
		id := memberID(a.Content[i])
		at := index[id]
		if len(at) == 0 {
			return differ(a.Content[i])
		}
		index[id] = at[1:]
		for k := range 2 {
			if err := c.compare(a.Content[i+k], b.Content[at[0]+k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func memberID(key *yaml.Node) string { return fmt.Sprint(key.Kind, key.Tag, key.Value) }

func differ(n *yaml.Node) error {
	return fmt.Errorf("line %d: the value would be another", n.Line)
}
