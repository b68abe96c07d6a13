package format

import "gopkg.in/yaml.v3"

// document is a manifest taken apart into pieces of its source.
type document struct {
	// before are the comments above the document mark.
	before []comment
	// marked reports that the document begins with ---, markNote is the comment behind it.
	marked   bool
	markNote string
	root     *yaml.Node
	value    *value
	// comments are the texts of all comments, in the order in which they stand in the source.
	comments []string
}

// comment is a comment on a line of its own.
type comment struct {
	text string
	// blank reports that a blank line stands above it.
	blank bool
	// column is where it stood, counted from 0.
	column int
}

// block is a mapping or a list in block style.
type block struct {
	seq    bool
	column int
	// head are the comments that stay at the top, whatever comes first; headGap is the blank line
	// below them.
	head    []comment
	headGap bool
	entries []*entry
	// tail are the comments behind the last entry.
	tail []comment
	// spaced blocks have a blank line between entries that are longer than a line.
	spaced bool
}

// entry is a member of a mapping or an element of a list, with the comments that go where it goes.
type entry struct {
	// blank reports that a blank line stands above the entry and its comments.
	blank bool
	// lead are the comments above the entry, gap the blank line between them and the entry.
	lead []comment
	gap  bool
	// key is a member's key as it is written, empty in a list; name is what it says.
	key, name string
	value     *value
	// foot are comments right below the entry, with a blank line below them.
	foot []comment
	// nodes are what the entry is made of: key and value, or the element alone.
	nodes []*yaml.Node
}

// value is what stands behind a key or a dash. Without block and leaf it is empty.
type value struct {
	// properties are the anchor and the tag.
	properties string
	// note is the comment on the line of the key or dash where the value begins further down.
	note string
	// between are the comments on lines of their own above a leaf, gap is the blank line below them,
	// which only that of a whole document has.
	between []comment
	gap     bool
	block   *block
	leaf    *leaf
	// tail are the comments below an empty value that are indented deeper than its key.
	tail []comment
}

// leaf is a scalar, an alias or a flow collection.
type leaf struct {
	// first is its first line, rest are the others.
	first string
	rest  []restLine
	// flow is set for a flow collection on one line, which is printed from its parts.
	flow *flow
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
func (e *entry) long() bool {
	v := e.value
	return v.block != nil || v.leaf != nil && len(v.leaf.rest) > 0
}
