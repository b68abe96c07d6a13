package format

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/manifest"
	"agentsync/internal/yamltext"
	"agentsync/schema"
)

// Formatter formats manifests. It is safe for concurrent use.
type Formatter struct {
	order   *schema.Order
	options manifest.Options
}

// New returns a formatter for manifests with sections of the platforms in o. Of o's other fields only
// Limits matter: no variable is filled in.
func New(o manifest.Options) (*Formatter, error) {
	order, err := schema.LoadOrder("manifest")
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	return &Formatter{order: order, options: o}, nil
}

// Format returns src in canonical form. Problems, each at its place in the file called name, say why
// a file cannot be formatted: it is no YAML, or is written in a way that cannot be kept. The error is
// for a fault of this package: the form that it found would not mean the same.
func (f *Formatter) Format(name string, src []byte) ([]byte, diag.List, error) {
	text := withNewlines(string(yamltext.Ended(src)))
	doc, problems := f.read(name, text)
	if problems != nil {
		return nil, problems, nil
	}
	doc.arrange(f.order)
	out := doc.print()
	// Nothing to verify: the bytes are the same. Most files of a formatted fleet end here.
	if out == text {
		return []byte(out), nil, nil
	}
	if err := f.verify(name, doc, out); err != nil {
		return nil, nil,
			fmt.Errorf("%s: formatting would change what the file means, so it is left as it is; this is a "+
				"fault in agentsync: %w", name, err)
	}
	return []byte(out), nil, nil
}

// read takes a manifest apart.
func (f *Formatter) read(name, text string) (*document, diag.List) {
	root, problems := manifest.Tree(name, []byte(text), f.options)
	if problems != nil {
		return nil, problems
	}
	doc, r := parse(text, root)
	if r != nil {
		problems.Errorf(yamltext.NewLines([]byte(text)).Pos(name, r.at), "%s", r.why)
		return nil, problems
	}
	return doc, nil
}

// verify compares a document with what was made of it.
func (f *Formatter) verify(name string, doc *document, out string) error {
	again, problems := f.read(name, out)
	if problems != nil {
		return fmt.Errorf("the result cannot be read: %s", problems[0])
	}
	if err := sameValue(doc.root, again.root); err != nil {
		return err
	}
	// Sorted, because comments move with their members.
	slices.Sort(doc.comments)
	slices.Sort(again.comments)
	if !slices.Equal(doc.comments, again.comments) {
		return fmt.Errorf("%d comments became %d, or others", len(doc.comments), len(again.comments))
	}
	return nil
}

// withNewlines returns text with the line ends that canonical form has, and without a byte order mark.
func withNewlines(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
}

// sameValue returns an error unless two trees mean the same: equal tags, values and anchors, equal
// members in any order, equal elements in the same order, and each alias with the same target.
func sameValue(a, b *yaml.Node) error {
	c := treeComparison{counterpart: map[*yaml.Node]*yaml.Node{}}
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

type treeComparison struct {
	// counterpart holds the second tree's node for each anchored node of the first.
	counterpart map[*yaml.Node]*yaml.Node
	aliases     [][2]*yaml.Node
}

func (c *treeComparison) compare(a, b *yaml.Node) error {
	if a.Anchor != "" {
		// Aliases are held against this at the end: an anchor may stand behind the alias once members have moved.
		c.counterpart[a] = b
	}
	switch {
	case a.Kind != b.Kind || a.Tag != b.Tag || a.Anchor != b.Anchor || len(a.Content) != len(b.Content):
		return differsAt(a)
	case a.Kind == yaml.AliasNode:
		c.aliases = append(c.aliases, [2]*yaml.Node{a, b})
		return nil
	case a.Kind == yaml.ScalarNode:
		if a.Value != b.Value {
			return differsAt(a)
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
func (c *treeComparison) members(a, b *yaml.Node) error {
	index := make(map[string][]int, len(b.Content)/2)
	for i := 0; i+1 < len(b.Content); i += 2 {
		id := memberID(b.Content[i])
		index[id] = append(index[id], i)
	}
	for i := 0; i+1 < len(a.Content); i += 2 {
		id := memberID(a.Content[i])
		at := index[id]
		if len(at) == 0 {
			return differsAt(a.Content[i])
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

func differsAt(n *yaml.Node) error {
	return fmt.Errorf("line %d: the value would be another", n.Line)
}
