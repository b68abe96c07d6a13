package report_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// parseMarkdown reads a document as GitHub-flavoured Markdown.
func parseMarkdown(doc []byte) ast.Node {
	return goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(doc))
}

// markdownTree is what a renderer makes of a document: a line for each node, indented below its parent.
func markdownTree(t *testing.T, doc []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	walkMarkdown(t, doc, func(n ast.Node, depth int) {
		b.WriteString(strings.Repeat("  ", depth) + n.Kind().String())
		if content := markdownContent(n, doc); content != "" {
			fmt.Fprintf(&b, " %q", content)
		}
		b.WriteByte('\n')
	})
	return b.Bytes()
}

// walkMarkdown visits each node of a document but its root, parents first. What stands in a code span is the span's.
func walkMarkdown(t *testing.T, doc []byte, visit func(n ast.Node, depth int)) {
	t.Helper()
	depth := -1
	err := ast.Walk(parseMarkdown(doc), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			depth--
			return ast.WalkContinue, nil
		}
		_, continued := n.PreviousSibling().(*ast.Text)
		if n.Kind() != ast.KindDocument && !(continued && n.Kind() == ast.KindText) {
			visit(n, depth)
		}
		depth++
		if n.Kind() == ast.KindCodeSpan {
			return ast.WalkSkipChildren, nil
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// markdownContent is what a node holds itself, as it is written in the document.
func markdownContent(n ast.Node, doc []byte) string {
	switch n := n.(type) {
	case *ast.Text: // the parser cuts a text where something could have begun
		content := string(n.Segment.Value(doc))
		if next, ok := n.NextSibling().(*ast.Text); ok {
			content += markdownContent(next, doc)
		}
		return content
	case *ast.CodeSpan:
		var code strings.Builder
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			code.Write(c.(*ast.Text).Segment.Value(doc))
		}
		return code.String()
	case *ast.Link:
		return string(n.Destination)
	case *ast.AutoLink:
		return string(n.URL(doc))
	case *ast.RawHTML:
		return string(n.Segments.Value(doc))
	case *ast.FencedCodeBlock:
		return string(n.Lines().Value(doc))
	case *ast.HTMLBlock:
		return string(n.Lines().Value(doc)) + closingLine(n, doc)
	}
	return ""
}

func closingLine(n *ast.HTMLBlock, doc []byte) string {
	if !n.HasClosure() {
		return ""
	}
	return string(n.ClosureLine.Value(doc))
}

// ownHTML is all the HTML that our documents are made of.
var ownHTML = regexp.MustCompile(`^(<!-- agentsync:[A-Za-z0-9._/-]+ -->|` +
	`<details>(<summary><code>[^<>]*</code>[^<>]*</summary>)?|</details>)\n*$`)

// forbiddenText is what GitHub makes more of than text.
var forbiddenText = map[string]*regexp.Regexp{
	"a mention":   regexp.MustCompile(`@[A-Za-z0-9]`),
	"a reference": regexp.MustCompile(`#[0-9]|GH-[0-9]`),
	"an address":  regexp.MustCompile(`://|www\.[a-z]`),
	"an emoji":    regexp.MustCompile(`:[a-z]+:`),
}

// checkMarkdown fails where something in a document that is none of ours is more than text or code. It returns how many
// rows the document's tables have.
func checkMarkdown(t *testing.T, doc []byte) (rows int) {
	t.Helper()
	walkMarkdown(t, doc, func(n ast.Node, _ int) {
		content := markdownContent(n, doc)
		switch n := n.(type) {
		case *ast.HTMLBlock, *ast.RawHTML:
			for line := range strings.Lines(content) {
				if !ownHTML.MatchString(line) {
					t.Errorf("HTML that is not ours: %q", line)
				}
			}
		case *ast.Link, *ast.AutoLink, *ast.Image:
			t.Errorf("a %s to %q", n.Kind(), content)
		case *ast.FencedCodeBlock:
			if last := n.Lines().Len() - 1; last >= 0 && !bytes.HasPrefix(doc[n.Lines().At(last).Stop:],
				[]byte("```")) {
				t.Errorf("a fence is not closed: %q", content)
			}
		case *east.TableRow:
			rows++
		case *ast.Text:
			for what, pattern := range forbiddenText {
				if m := pattern.FindString(strings.ReplaceAll(content, `\`, "")); m != "" {
					t.Errorf("%s, %q, in the text %q", what, m, content)
				}
			}
		}
	})
	return rows
}

// TestMarkdownHostile: whatever a platform or a manifest holds stays text.
func TestMarkdownHostile(t *testing.T) {
	for _, name := range []string{"plan markdown", "diagnostics markdown", "report markdown"} {
		t.Run(name, func(t *testing.T) {
			if checkMarkdown(t, []byte(hostileOutputs(t)[name])) == 0 {
				t.Error("no table with a row")
			}
		})
	}
}

// TestMarkdownTable holds each row of a table to the cells of its head: a bar in a value ends no cell.
func TestMarkdownTable(t *testing.T) {
	for _, name := range []string{"plan markdown", "diagnostics markdown", "report markdown"} {
		doc := []byte(hostileOutputs(t)[name])
		walkMarkdown(t, doc, func(n ast.Node, _ int) {
			if n.Kind() != east.KindTableRow {
				return
			}
			line := n.Lines().Value(doc)
			if n.Lines().Len() == 0 { // a row has the place of its first cell alone
				line = lineAround(doc, n.FirstChild().Lines().At(0).Start)
			}
			// A renderer drops the cells that a row has beyond its head's.
			if bars := len(unescapedBar.FindAll(line, -1)); bars != n.ChildCount()+1 {
				t.Errorf("%s: a row has %d bars for %d cells: %s", name, bars, n.ChildCount(), line)
			}
		})
	}
}

// unescapedBar is a bar that ends a cell: in a table code spans do not protect it.
var unescapedBar = regexp.MustCompile(`(?:^|[^\\])\|`)

func lineAround(doc []byte, at int) []byte {
	start := bytes.LastIndexByte(doc[:at], '\n') + 1
	line, _, _ := bytes.Cut(doc[start:], []byte("\n"))
	return line
}
