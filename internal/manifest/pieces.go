package manifest

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"runtime"

	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"
)

// pieceLeast is how many bytes of a file are worth a goroutine of their own.
const pieceLeast = 128 << 10

// parsePieces parses a large file on all processors. It is false for any file that it is not sure of,
// one with an error in it among them: the caller then parses it whole.
func parsePieces(src []byte) (root *yaml.Node, ok bool) {
	return parseCut(src, min(runtime.GOMAXPROCS(0), len(src)/pieceLeast))
}

// parseCut cuts the file before agents, parses the pieces side by side and puts the trees together. A
// fuzz test holds it against parsing the file whole.
//
// A line of that form may as well stand inside a text. The parser says which: a piece that ends in the
// middle of a quoted text or of a flow collection is an error, a block text inside an agent is
// indented deeper than the line, and any other leaves a tree whose end is not a list of agents. So the
// first piece that was cut at a wrong place gives it away.
func parseCut(src []byte, n int) (root *yaml.Node, ok bool) {
	if n < 2 || isOdd(src) {
		return nil, false
	}
	l, ok := findList(src)
	if !ok {
		return nil, false
	}
	cuts := l.cuts(src, n)
	roots := make([]*yaml.Node, len(cuts)+1)
	var g errgroup.Group
	for i := range roots {
		g.Go(func() (err error) {
			roots[i], err = parseAll(l.piece(src, cuts, i))
			return err
		})
	}
	if len(cuts) == 0 || g.Wait() != nil {
		return nil, false
	}
	root, lines, counted := roots[0], 0, 0
	for i, cut := range cuts {
		lines += bytes.Count(src[counted:cut], []byte("\n"))
		counted = cut
		if end(root).Line > lines || !l.join(root, roots[i+1], lines-headLines) {
			return nil, false // a value that is left out may stand where the next line begins
		}
	}
	return root, true
}

// isOdd reports whether a line may end with something else than a line feed, or a line may end the
// document.
func isOdd(src []byte) bool {
	for _, b := range []string{"\r", "\u0085", "\u2028", "\u2029", "\n..."} {
		if bytes.Contains(src, []byte(b)) {
			return true
		}
	}
	return false
}

// agentList is the form of the lists of agents of one file: what stands before `agents:` and before the
// dashes of agents. A list of another form is not cut.
type agentList struct{ key, dash []byte }

var agentsLine = regexp.MustCompile(`(?m)^( +)agents:[ \t]*(?:#.*)?\n(?:[ \t]*(?:#.*)?\n)*( +)- `)

// findList looks at the beginning of the file alone.
func findList(src []byte) (agentList, bool) {
	m := agentsLine.FindSubmatch(src[:min(len(src), pieceLeast)])
	if m == nil || len(m[2]) < len(m[1]) {
		return agentList{}, false
	}
	return agentList{key: m[1], dash: m[2]}, true
}

// cuts returns where to cut the file into n pieces, or fewer, about as long as each other.
func (l agentList) cuts(src []byte, n int) (cuts []int) {
	line := append(append([]byte("\n"), l.dash...), "- "...)
	last := 0
	for i := 1; i < n; i++ {
		at := max(last, i*len(src)/n)
		next := bytes.Index(src[at:], line)
		if next >= 0 && bytes.HasSuffix(src[:at+next], []byte("agents:")) {
			at += next + 1 // before its first agent a list is no list yet
			next = bytes.Index(src[at:], line)
		}
		if next < 0 {
			break
		}
		last = at + next + 1
		cuts = append(cuts, last)
	}
	return cuts
}

// head stands before every piece but the first, so that what follows its agents has its place. It has
// headLines lines.
func (l agentList) head() []byte {
	return append(append([]byte("x:\n"), l.key...), "agents:\n"...)
}

const headLines = 2

func (l agentList) piece(src []byte, cuts []int, i int) []byte {
	end := len(src)
	if i < len(cuts) {
		end = cuts[i]
	}
	if i == 0 {
		return src[:end]
	}
	return append(l.head(), src[cuts[i-1]:end]...)
}

// join puts the tree of the next piece, its lines moved down by so many, behind that of what stands
// before it. It is false where that does not end inside a list of this form.
func (l agentList) join(root, next *yaml.Node, lines int) bool {
	section := lastOf(root, yaml.MappingNode, 0)
	agents := lastOf(section, yaml.MappingNode, len(l.key))
	if lastOf(agents, yaml.SequenceNode, len(l.dash)) == nil {
		return false
	}
	shift(next, lines)
	more := next.Content[1] // below the head's x
	agents.Content = append(agents.Content, more.Content[1].Content...)
	section.Content = append(section.Content, more.Content[2:]...)
	root.Content = append(root.Content, next.Content[2:]...)
	return true
}

// lastOf returns the last node in a block of the kind that is so far indented, nil for any other node.
func lastOf(n *yaml.Node, kind yaml.Kind, indent int) *yaml.Node {
	if n == nil || n.Kind != kind || n.Style&yaml.FlowStyle != 0 || n.Column != indent+1 {
		return nil
	}
	return n.Content[len(n.Content)-1]
}

// end returns the last node of a tree.
func end(n *yaml.Node) *yaml.Node {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	return n
}

func shift(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		shift(c, lines)
	}
}

// parseAll returns the root of the one document in src.
func parseAll(src []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	doc, err := nextDocument(dec)
	if err != nil {
		return nil, err
	}
	if _, err := nextDocument(dec); !errors.Is(err, io.EOF) || len(doc.Content) != 1 {
		return nil, errManyDocuments
	}
	return doc.Content[0], nil
}

var errManyDocuments = errors.New("not one document")
