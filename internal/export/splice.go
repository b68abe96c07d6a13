package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
	"agentsync/internal/yamltext"
	"agentsync/schema"
)

// ErrSplice is wrapped by the error of Splice where a file is written in a way that leaves no safe place
// for another agent.
var ErrSplice = errors.New("the agent cannot be put into the file")

// Splice returns src, a manifest, with one more agent at the end of its section for app; the section is
// added where there is none. Every byte that is there stays as it is, comments included. It does not
// check what it made: the caller reads it back and compares. src has been validated.
func Splice(src []byte, p *schema.Platform, app agent.App, a Agent) ([]byte, error) {
	src = yamltext.Ended(src)
	var problems diag.List
	root := yamltext.Parse("", src, yamltext.Options{Values: math.MaxInt32, Nothing: "the file is empty"}, &problems)
	switch {
	case root == nil:
		return nil, fmt.Errorf("%w: %s", ErrSplice, problems[0].Summary)
	case root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0:
		return nil, fmt.Errorf("%w: its root is no mapping over several lines", ErrSplice)
	}
	// Places are of src as it is now, with its last line ended.
	s := agentSplicer{src: src, lines: yamltext.NewLines(src), p: p, app: app, agent: a}
	_, section := s.findMember(root, p.Name)
	if section == nil {
		return s.addSection(), nil
	}
	if section.Kind != yaml.MappingNode || section.Style&yaml.FlowStyle != 0 || len(section.Content) == 0 {
		return nil, fmt.Errorf("%w: its section %s is no mapping over several lines", ErrSplice, p.Name)
	}
	return s.addAgent(section)
}

// agentSplicer puts one agent into one file.
type agentSplicer struct {
	src   []byte
	lines *yamltext.Lines
	p     *schema.Platform
	app   agent.App
	agent Agent
}

// findMember returns the key and the value called name of a mapping, nil where it has none.
func (s *agentSplicer) findMember(m *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// addSection puts a section at the file's end.
func (s *agentSplicer) addSection() []byte {
	w := newWriter(s.p)
	w.section(s.p, Section{App: s.app, Agents: []Agent{s.agent}})
	return slices.Concat(bytes.TrimRight(s.src, "\n"), []byte("\n\n"), w.b.Bytes())
}

func (s *agentSplicer) addAgent(section *yaml.Node) ([]byte, error) {
	key, agents := s.findMember(section, "agents")
	switch {
	case agents == nil:
		last := section.Content[len(section.Content)-1]
		at := s.endOf(last, section.Column-1)
		lead := strings.Repeat(" ", section.Column-1) + "agents:\n"
		return s.insertAgent(at, lead, section.Column-1+indentStep), nil
	case agents.Kind == yaml.ScalarNode && agents.Tag == "!!null" && agents.Value == "":
		return s.insertAgent(s.lineEnd(key.Line), "", key.Column-1+indentStep), nil
	case agents.Kind == yaml.SequenceNode && len(agents.Content) == 0:
		return s.fillEmpty(key, agents)
	case agents.Kind != yaml.SequenceNode || agents.Style&yaml.FlowStyle != 0:
		return nil, fmt.Errorf("%w: the agents of its section %s do not each stand on lines of their own", ErrSplice,
			s.p.Name)
	}
	last := agents.Content[len(agents.Content)-1]
	dash := s.dashColumn(last)
	if dash < 0 {
		return nil, fmt.Errorf("%w: the dash of its last agent in section %s does not begin a line; write `- key: …`",
			ErrSplice, s.p.Name)
	}
	lead := ""
	// As the ones above it are written: a blank line between agents goes on.
	if n := len(agents.Content); n > 1 && s.blankBefore(last) && !s.keepsBlankLines(last) {
		lead = "\n"
	}
	return s.insertAgent(s.endOf(last, dash+1), lead, dash), nil
}

// dashColumn returns the column of the dash before an element of a list, counted from 0, -1 where it does not begin
// its line. An anchor of the list has a place of its own, so the list's column does not say.
func (s *agentSplicer) dashColumn(element *yaml.Node) int {
	start := s.lineStart(element.Line)
	line := s.src[start:s.lineEnd(element.Line)]
	column := len(line) - len(bytes.TrimLeft(line, " "))
	if !bytes.HasPrefix(line[column:], []byte("-")) {
		return -1
	}
	return column
}

// keepsBlankLines reports whether the blank lines below a node belong to its last text.
func (s *agentSplicer) keepsBlankLines(n *yaml.Node) bool {
	n = lastNode(n)
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return false
	}
	head, _, _ := bytes.Cut(s.lines.Rest(s.lines.Offset(n.Line, n.Column)), []byte("#"))
	return bytes.ContainsRune(head, '+')
}

// lastNode returns the node below n that is written last.
func lastNode(n *yaml.Node) *yaml.Node {
	for len(n.Content) > 0 {
		n = n.Content[len(n.Content)-1]
	}
	return n
}

// fillEmpty puts the agent in place of [].
func (s *agentSplicer) fillEmpty(key, agents *yaml.Node) ([]byte, error) {
	start := s.lineStart(agents.Line)
	line := string(s.src[start:s.lineEnd(agents.Line)])
	before, after, ok := strings.Cut(line, "[]")
	if !ok || agents.Line != key.Line {
		return nil, fmt.Errorf("%w: write the empty list of agents as []", ErrSplice)
	}
	return slices.Concat(s.src[:start], []byte(strings.TrimRight(before, " ")+after),
		Item(s.p, s.agent, key.Column-1+indentStep), s.src[s.lineEnd(key.Line):]), nil
}

// insertAgent puts the agent at the start of a line, behind lead.
func (s *agentSplicer) insertAgent(at int, lead string, indent int) []byte {
	return slices.Concat(s.src[:at], []byte(lead), Item(s.p, s.agent, indent), s.src[at:])
}

// endOf returns where the lines of a node end: behind the last line that is indented by margin columns or
// more and that begins after the node, blank lines and comments at its end left aside. Blank lines that belong to a
// text at its end are the node's own, and the lines of a quoted text may be indented less.
func (s *agentSplicer) endOf(n *yaml.Node, margin int) int {
	last := lastNode(n)
	// A quoted text may end below the line on which the last node begins.
	end := s.lineEnd(max(lastLine(n), s.closingLine(last)))
	keeps := s.keepsBlankLines(n)
	for at := end; at < len(s.src); {
		next := s.nextLine(at)
		line := strings.TrimRight(string(s.src[at:next]), "\r\n")
		text := strings.TrimLeft(line, " ")
		switch {
		case strings.TrimSpace(text) == "":
			if keeps {
				end = next
			}
		case len(line)-len(text) < margin:
			return end
		default:
			end = next
		}
		at = next
	}
	return end
}

// closingLine returns the line on which the quotes of a node close, its first line where it has none.
func (s *agentSplicer) closingLine(n *yaml.Node) int {
	quote := byte('"')
	switch {
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0:
		return n.Line
	case n.Style&yaml.SingleQuotedStyle != 0:
		quote = '\''
	}
	at := s.lines.Offset(n.Line, n.Column)
	open := bytes.IndexByte(s.src[at:], quote) // an anchor or a tag may stand before it
	if open < 0 {
		return n.Line
	}
	end := yamltext.QuotedEnd(string(s.src), at+open)
	if end < 0 {
		return n.Line
	}
	return s.lines.Pos("", end-1).Line
}

// lastLine returns the highest line on which anything below n begins.
func lastLine(n *yaml.Node) int {
	line := n.Line
	for _, c := range n.Content {
		line = max(line, lastLine(c))
	}
	return line
}

// blankBefore reports whether a blank line stands above the element of a list, its comments left aside.
func (s *agentSplicer) blankBefore(n *yaml.Node) bool {
	for line := n.Line - 1; line > 0; line-- {
		text := strings.TrimSpace(string(s.src[s.lineStart(line):s.lineEnd(line)]))
		if !strings.HasPrefix(text, "#") {
			return text == ""
		}
	}
	return false
}

// lineStart returns the offset of a line, counted from 1.
func (s *agentSplicer) lineStart(line int) int { return s.lines.Offset(line, 1) }

// lineEnd returns the offset behind a line's newline.
func (s *agentSplicer) lineEnd(line int) int { return s.nextLine(s.lineStart(line)) }

// nextLine returns the offset of the line below the one that holds at.
func (s *agentSplicer) nextLine(at int) int {
	if i := bytes.IndexByte(s.src[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(s.src)
}

// OtherAppError says that a manifest's section of the platform is that of another app.
type OtherAppError struct{ App agent.AppID }

// Error names the other app.
func (e *OtherAppError) Error() string {
	return fmt.Sprintf("the section %s is that of %s", e.App.Platform, e.App)
}

// Add returns a manifest with the draft's first agent in it, or what keeps the manifest from being read. What is
// made is read back: nothing but the new agent may differ, or the error wraps ErrSplice.
func (d *Draft) Add(ctx context.Context, src manifest.Source) ([]byte, diag.List, error) {
	was, problems, err := d.parser.Parse(ctx, src)
	if err != nil || problems.HasErrors() {
		return nil, problems, err
	}
	for id := range was.Apps {
		if id.Platform == d.App.ID.Platform && id != d.App.ID {
			return nil, nil, &OtherAppError{App: id}
		}
	}
	after, err := Splice(src.Content, d.Platform, d.App, d.Agents[0])
	if err != nil {
		return nil, nil, err
	}
	is, problems, err := d.parser.Parse(ctx, manifest.Source{Path: src.Path, Content: after})
	if err != nil {
		return nil, nil, err
	}
	addr := agent.Address{Platform: d.App.ID.Platform, App: d.App.ID.App, Key: d.Agents[0].Key}
	kept, added := withoutAgent(is.Agents, addr)
	old, before := withoutAgent(was.Agents, addr)
	if added != 1 || before != 0 || !reflect.DeepEqual(kept, old) {
		return nil, nil, ErrSplice
	}
	for _, p := range problems {
		if p.Severity == diag.Error && p.Address != addr.String() {
			return nil, nil, ErrSplice
		}
	}
	return after, nil, nil
}

// withoutAgent returns the agents but those at addr, which it counts, and takes no notice of where they are written.
func withoutAgent(agents []agent.Desired, addr agent.Address) (others []agent.Desired, at int) {
	for _, d := range agents {
		if d.Address == addr {
			at++
			continue
		}
		d.Source = diag.Pos{}
		others = append(others, d)
	}
	return others, at
}
