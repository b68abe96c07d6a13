package manifest

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
)

// pos returns where a node's value begins: where an alias points, behind an anchor or a tag.
func (d *decoder) pos(n *yaml.Node) diag.Pos {
	n = deref(n)
	pos := d.start(n)
	if n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 {
		return pos
	}
	index := d.lineIndex()
	line := index.rest(index.offset(pos.Line, pos.Column))
	skipped := propertiesLength(line)
	pos.Column += utf8.RuneCount(line[:skipped])
	return pos
}

// start returns where a node begins as it is written: an alias itself, an anchor, a tag.
func (d *decoder) start(n *yaml.Node) diag.Pos {
	return diag.Pos{File: d.path, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

// lineIndex returns the index of the file's lines, built when it is first needed.
func (d *decoder) lineIndex() *lineIndex {
	if d.index == nil {
		d.index = newLineIndex(d.src)
	}
	return d.index
}

// propertiesLength returns the length of the anchor and tag at the start of line with the blanks
// behind them, 0 where the value stands on a later line.
func propertiesLength(line []byte) int {
	i := 0
	for i < len(line) && (line[i] == '&' || line[i] == '!') {
		for i < len(line) && !isBlank(line[i]) {
			i++
		}
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
	}
	if i >= len(line) || line[i] == '\n' || line[i] == '\r' || line[i] == '#' {
		return 0
	}
	return i
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// place is what a JSON pointer leads to in the YAML.
type place struct {
	// key is the member's key, nil for an element of a list and for the root.
	key *yaml.Node
	// value is the value; where the pointer leads nowhere, the last value on the way.
	value *yaml.Node
	// found reports whether the pointer was followed to its end.
	found bool
}

// locate follows a JSON pointer from root through aliases and merge keys.
func (d *decoder) locate(root *yaml.Node, pointer string) place {
	p := place{value: deref(root), found: true}
	for _, token := range tokens(pointer) {
		var key, value *yaml.Node
		switch n := deref(p.value); n.Kind {
		case yaml.MappingNode:
			key, value = d.member(n, token, map[*yaml.Node]bool{})
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Content) {
				value = n.Content[i]
			}
		}
		if value == nil {
			p.found = false
			return p
		}
		p.key, p.value = key, value
	}
	return p
}

// member finds a mapping's member as entries would: its own, then those of merged mappings, each of
// which is asked once.
func (d *decoder) member(n *yaml.Node, name string, asked map[*yaml.Node]bool) (key, value *yaml.Node) {
	if asked[n] {
		return nil, nil
	}
	if i, ok := d.ownMember(n, name); ok {
		return n.Content[i], n.Content[i+1]
	}
	i, ok := d.ownMember(n, mergeKey)
	if !ok || !isMergeKey(deref(n.Content[i])) {
		return nil, nil
	}
	asked[n] = true
	merge := deref(n.Content[i+1])
	sources := []*yaml.Node{merge}
	if merge.Kind == yaml.SequenceNode {
		sources = merge.Content
	}
	for _, s := range sources {
		if s = deref(s); s.Kind == yaml.MappingNode {
			if key, value = d.member(s, name, asked); value != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

// mergeKey is the key that merges other mappings into its own.
const mergeKey = "<<"

// manyMembers is how many keys and values a mapping holds before an index of them pays.
const manyMembers = 128

// ownMember returns where the first key called name stands in a mapping's content.
func (d *decoder) ownMember(n *yaml.Node, name string) (int, bool) {
	if len(n.Content) < manyMembers {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := deref(n.Content[i]); k.Value == name && k.Kind == yaml.ScalarNode {
				return i, true
			}
		}
		return 0, false
	}
	index, ok := d.members[n]
	if !ok {
		index = make(map[string]int, len(n.Content)/2)
		for i := len(n.Content)/2*2 - 2; i >= 0; i -= 2 {
			if k := deref(n.Content[i]); k.Kind == yaml.ScalarNode {
				index[k.Value] = i
			}
		}
		if d.members == nil {
			d.members = map[*yaml.Node]map[string]int{}
		}
		d.members[n] = index
	}
	i, ok := index[name]
	return i, ok
}

// tokens splits a JSON pointer.
func tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i, p := range parts {
		if strings.Contains(p, "~") {
			parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
		}
	}
	return parts
}
