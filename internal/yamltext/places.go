package yamltext

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
)

// Places finds where the values of one file stand, in their nodes and in the text. It is for one goroutine.
type Places struct {
	// Path is how problems name the file, Src is its content.
	Path string
	Src  []byte

	index   *Lines                        // built by Index
	members map[*yaml.Node]map[string]int // of long mappings, by ownMember
}

// Pos returns where a node's value begins: where an alias points, behind an anchor or a tag.
func (p *Places) Pos(n *yaml.Node) diag.Pos {
	n = Deref(n)
	pos := p.Start(n)
	if n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 {
		return pos
	}
	index := p.Index()
	line := index.Rest(index.Offset(pos.Line, pos.Column))
	skipped := propertiesLength(line)
	pos.Column += utf8.RuneCount(line[:skipped])
	return pos
}

// Start returns where a node begins as it is written: an alias itself, an anchor, a tag.
func (p *Places) Start(n *yaml.Node) diag.Pos {
	return diag.Pos{File: p.Path, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

// Index returns the index of the file's lines, built when it is first needed.
func (p *Places) Index() *Lines {
	if p.index == nil {
		p.index = NewLines(p.Src)
	}
	return p.index
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

// Place is what a JSON pointer leads to in the YAML.
type Place struct {
	// Key is the member's key, nil for an element of a list and for the root.
	Key *yaml.Node
	// Value is the value; where the pointer leads nowhere, the last value on the way.
	Value *yaml.Node
	// Found reports whether the pointer was followed to its end.
	Found bool
}

// Locate follows a JSON pointer from root through aliases and merge keys.
func (p *Places) Locate(root *yaml.Node, pointer string) Place {
	at := Place{Value: Deref(root), Found: true}
	for _, token := range agent.SplitPointer(pointer) {
		var key, value *yaml.Node
		switch n := Deref(at.Value); n.Kind {
		case yaml.MappingNode:
			key, value = p.member(n, token, map[*yaml.Node]bool{})
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Content) {
				value = n.Content[i]
			}
		}
		if value == nil {
			at.Found = false
			return at
		}
		at.Key, at.Value = key, value
	}
	return at
}

// member finds a mapping's member as entries would: its own, then those of merged mappings, each of
// which is asked once.
func (p *Places) member(n *yaml.Node, name string, asked map[*yaml.Node]bool) (key, value *yaml.Node) {
	if asked[n] {
		return nil, nil
	}
	if i, ok := p.ownMember(n, name); ok {
		return n.Content[i], n.Content[i+1]
	}
	i, ok := p.ownMember(n, mergeKey)
	if !ok || !IsMergeKey(Deref(n.Content[i])) {
		return nil, nil
	}
	asked[n] = true
	merge := Deref(n.Content[i+1])
	sources := []*yaml.Node{merge}
	if merge.Kind == yaml.SequenceNode {
		sources = merge.Content
	}
	for _, s := range sources {
		if s = Deref(s); s.Kind == yaml.MappingNode {
			if key, value = p.member(s, name, asked); value != nil {
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
func (p *Places) ownMember(n *yaml.Node, name string) (int, bool) {
	if len(n.Content) < manyMembers {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := Deref(n.Content[i]); k.Value == name && k.Kind == yaml.ScalarNode {
				return i, true
			}
		}
		return 0, false
	}
	index, ok := p.members[n]
	if !ok {
		index = make(map[string]int, len(n.Content)/2)
		for i := len(n.Content)/2*2 - 2; i >= 0; i -= 2 {
			if k := Deref(n.Content[i]); k.Kind == yaml.ScalarNode {
				index[k.Value] = i
			}
		}
		if p.members == nil {
			p.members = map[*yaml.Node]map[string]int{}
		}
		p.members[n] = index
	}
	i, ok := index[name]
	return i, ok
}

// Deref returns what a node stands for: itself, or an alias's target.
func Deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// IsMergeKey reports whether a key merges other mappings into its own.
func IsMergeKey(n *yaml.Node) bool { return n.Tag == "!!merge" && n.Value == mergeKey }

// HasMerge reports whether a mapping has a merge key.
func HasMerge(n *yaml.Node) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if IsMergeKey(n.Content[i]) {
			return true
		}
	}
	return false
}

// KindName says in words what a node is.
func KindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + diag.Clip(n.Value)
	case n.Tag == "!!bool":
		return diag.Clip(n.Value)
	case n.Tag == "!!null":
		return "null"
	case n.Tag == "!!timestamp":
		return "the date " + diag.Clip(n.Value)
	default:
		return "the string " + diag.Quoted(n.Value)
	}
}

// Lines turns byte offsets of a text into lines and columns and back. It is built only where
// something is wrong with a file, and used by one goroutine.
type Lines struct {
	src    []byte
	starts []int // where each line begins
	// last is the place that was asked for last. Places are mostly asked for in the order of the text, and
	// counting goes on from there: a file may be one line of 32 MiB.
	last knownPlace
}

// knownPlace is an offset with its line and column, both counted from 0.
type knownPlace struct{ line, offset, column int }

// utf8Mark may begin a UTF-8 file; it is not counted as a column.
const utf8Mark = "\ufeff"

// NewLines returns the Lines of src.
func NewLines(src []byte) *Lines {
	x := &Lines{src: src, starts: []int{0}, last: knownPlace{line: -1}}
	if bytes.HasPrefix(src, []byte(utf8Mark)) {
		x.starts[0] = len(utf8Mark)
	}
	for i := 0; ; {
		n := bytes.IndexByte(src[i:], '\n')
		if n < 0 {
			return x
		}
		i += n + 1
		x.starts = append(x.starts, i)
	}
}

// Pos returns the place of the byte at offset.
func (x *Lines) Pos(path string, offset int) diag.Pos {
	offset = min(offset, len(x.src))
	line, found := slices.BinarySearch(x.starts, offset)
	if !found {
		line = max(line-1, 0)
	}
	from := x.last
	if from.line != line || from.offset > offset {
		from = knownPlace{line: line, offset: min(x.starts[line], offset)}
	}
	x.last = knownPlace{line: line, offset: offset, column: from.column + utf8.RuneCount(x.src[from.offset:offset])}
	return diag.Pos{File: path, Line: line + 1, Column: 1 + x.last.column}
}

// Offset returns where a place is, the end of its line or of the text where there is no such place.
func (x *Lines) Offset(line, column int) int {
	if line > len(x.starts) {
		return len(x.src)
	}
	at := x.last
	if line, column = max(line-1, 0), column-1; at.line != line || at.column > column {
		at = knownPlace{line: line, offset: x.starts[line]}
	}
	for ; at.column < column && at.offset < len(x.src) && x.src[at.offset] != '\n'; at.column++ {
		_, n := utf8.DecodeRune(x.src[at.offset:])
		at.offset += n
	}
	x.last = at
	return at.offset
}

// Rest returns the line from offset on, without its end.
func (x *Lines) Rest(offset int) []byte {
	line := x.src[offset:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		return line[:i]
	}
	return line
}
