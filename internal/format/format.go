package format

import (
	"fmt"
	"slices"
	"strings"

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
	text := newlines(string(yamltext.Ended(src)))
	doc, problems := f.read(name, text)
	if problems != nil {
		return nil, problems, nil
	}
	doc.arrange(f.order)
	out := doc.print()
	if out == text {
		return []byte(out), nil, nil
	}
	if err := f.verify(name, doc, out); err != nil {
		return nil, nil, fmt.Errorf("%s: formatting would change what the file means, so it is left as it is; this is a fault in agentsync: %w", name, err)
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
		problems.Errorf(position(name, text, r.at), "%s", r.why)
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
	slices.Sort(doc.comments)
	slices.Sort(again.comments)
	if !slices.Equal(doc.comments, again.comments) {
		return fmt.Errorf("%d comments became %d, or others", len(doc.comments), len(again.comments))
	}
	return nil
}

// newlines returns text with the line ends that canonical form has, and without a byte order mark.
func newlines(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
}

// position returns the place of the byte at offset.
func position(name, text string, offset int) diag.Pos {
	before := text[:min(offset, len(text))]
	start := strings.LastIndexByte(before, '\n') + 1
	return diag.Pos{File: name, Line: 1 + strings.Count(before, "\n"), Column: 1 + len([]rune(before[start:]))}
}
