package export

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/yamltext"
	"agentsync/schema"
)

// Edit is one value of an agent that is to be another in its manifest. Path are the names that lead to it; a nil Value
// takes it out.
type Edit struct {
	Path  []string
	Value any
	// Null writes null where Value is nil: it takes away what is a default.
	Null bool
}

// TextFileError says that a value is the text of a file, which is to be changed in its place.
type TextFileError struct{ Path string }

// Error names the file as the manifest does.
func (e *TextFileError) Error() string { return "it is the text of " + e.Path }

// ErrReference is wrapped by the error of Change where a value is written with a variable: what stands in its place
// would be the same for nobody else.
var ErrReference = errors.New("it is written with a variable")

// Change returns src, a manifest that was validated, with one value of the agent called key replaced, added or taken
// out. Every other byte stays as it is, comments included. It does not check what it made: the caller reads it back and
// compares. A value that the agent does not write itself (it is a default, or merged in) is written into the agent.
func Change(src []byte, p *schema.Platform, key string, e Edit) ([]byte, error) {
	if n := bytes.Count(src, []byte("\n")); n > 0 && n == bytes.Count(src, []byte("\r\n")) { // it stays so
		after, err := Change(bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")), p, key, e)
		return bytes.ReplaceAll(after, []byte("\n"), []byte("\r\n")), err
	}
	// What is added goes behind a line, so the last one needs its end.
	src = yamltext.Ended(src)
	var problems diag.List
	root := yamltext.Parse("", src, yamltext.Options{Values: math.MaxInt32, Nothing: "the file is empty"}, &problems)
	if root == nil {
		return nil, fmt.Errorf("%w: %s", ErrSplice, problems[0].Summary)
	}
	c := valueChanger{agentSplicer{src: src, lines: yamltext.NewLines(src), p: p}}
	at := c.agentNode(root, key)
	if at == nil {
		return nil, fmt.Errorf("%w: it does not stand by itself in the list of its section", ErrSplice)
	}
	return c.changeValue(at, e)
}

// valueChanger changes one value in one file.
type valueChanger struct{ agentSplicer }

// agentNode returns the mapping of the agent called key, nil where it is not written in the list of its section.
func (c *valueChanger) agentNode(root *yaml.Node, key string) *yaml.Node {
	_, section := c.findMember(root, c.p.Name)
	if section == nil {
		return nil
	}
	_, agents := c.findMember(section, "agents")
	if agents == nil || agents.Kind != yaml.SequenceNode {
		return nil
	}
	for _, n := range agents.Content {
		if _, v := c.findMember(n, "key"); n.Kind == yaml.MappingNode && v != nil && yamltext.Deref(v).Value == key {
			return n
		}
	}
	return nil
}

// referenceForm is a text that is not what it says.
var referenceForm = regexp.MustCompile(`(?:^|[^$])\$\{(env|secret|file):([^}]*)\}`)

// changeValue follows the path as far as the agent writes it, and changes or adds what is left of it.
func (c *valueChanger) changeValue(at *yaml.Node, e Edit) ([]byte, error) {
	order := newWriter(c.p).order
	for i, name := range e.Path {
		if at.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%w: %s is an alias or no mapping", ErrSplice, strings.Join(e.Path[:i], "."))
		}
		key, value := c.findMember(at, name)
		// A default, or merged in: to take it out here would change it for others.
		if key == nil && e.Value == nil && !e.Null {
			return nil, fmt.Errorf("%w: it does not write the value itself", ErrSplice)
		}
		if key == nil {
			return c.insertMember(at, name, nestValue(e.Path[i+1:], e.Value), order.Member(name), order)
		}
		order = order.Member(name)
		if i < len(e.Path)-1 {
			at = value
			continue
		}
		// Before anything is written over: a reference is what the next reader needs, and its value what this one has.
		if err := checkReferences(value); err != nil {
			return nil, err
		}
		if at.Style&yaml.FlowStyle != 0 {
			return c.replaceFlow(value, e.Value)
		}
		return c.replaceBlock(key, value, e, order), nil
	}
	return nil, fmt.Errorf("%w: nothing is named", ErrSplice)
}

// nestValue returns a value below names.
func nestValue(names []string, v any) any {
	for _, name := range slices.Backward(names) {
		v = map[string]any{name: v}
	}
	return v
}

// checkReferences refuses a value that is written with a variable, or is the text of a file.
func checkReferences(n *yaml.Node) error {
	n = yamltext.Deref(n)
	if n.Kind == yaml.ScalarNode {
		switch m := referenceForm.FindStringSubmatch(n.Value); {
		case m == nil:
			return nil
		case m[1] == "file":
			return &TextFileError{Path: m[2]}
		default:
			return fmt.Errorf("%w, ${%s:%s}", ErrReference, m[1], m[2])
		}
	}
	for _, below := range n.Content {
		if err := checkReferences(below); err != nil {
			var text *TextFileError
			if errors.As(err, &text) {
				return fmt.Errorf("%w, ${file:%s}", ErrReference, text.Path)
			}
			return err
		}
	}
	return nil
}

// replaceBlock writes a member anew that stands on lines of its own.
func (c *valueChanger) replaceBlock(key, value *yaml.Node, e Edit, order *schema.Order) []byte {
	indent := key.Column - 1
	from, to := c.lines.Offset(key.Line, key.Column), c.endOf(value, key.Column)
	if value.Kind == yaml.AliasNode {
		to = c.lineEnd(value.Line) // what it stands for is elsewhere
	}
	// The whole line goes only where the key begins it: behind a dash, the dash is the list's.
	if start := c.lineStart(key.Line); e.Value == nil && !e.Null && len(bytes.TrimSpace(c.src[start:from])) == 0 {
		return slices.Concat(c.src[:start], c.src[to:])
	}
	text := c.member(indent, key.Value, e.Value, order)
	if list, ok := e.Value.([]any); ok {
		if kept := c.keepItems(key, value, list, to); kept != nil {
			return slices.Concat(c.src[:from], kept, c.src[to:])
		}
	}
	if comment := c.commentBehind(key, value); comment != "" {
		head, rest, _ := bytes.Cut(text, []byte("\n"))
		text = slices.Concat(head, []byte(comment+"\n"), rest)
	}
	return slices.Concat(c.src[:from], text, c.src[to:])
}

// commentBehind returns the comment on the line of a key, with the blanks before it: two at the least, or it would
// look like a part of a text.
func (c *valueChanger) commentBehind(key, value *yaml.Node) string {
	comment := value.LineComment
	if comment == "" {
		comment = key.LineComment
	}
	line := string(c.lines.Rest(c.lines.Offset(key.Line, 1)))
	if block := value.Style & (yaml.LiteralStyle | yaml.FoldedStyle); block != 0 && comment == "" {
		if i := strings.LastIndex(line, " #"); i >= 0 {
			comment = strings.TrimSpace(line[i:])
		}
	}
	if comment == "" {
		return ""
	}
	before, _, _ := strings.Cut(line, comment)
	blanks := len(before) - len(strings.TrimRight(before, " "))
	return strings.Repeat(" ", max(blanks, 2)) + comment
}

// member returns a member of a mapping whose keys stand at column indent, without the indentation of its first line.
func (c *valueChanger) member(indent int, name string, v any, order *schema.Order) []byte {
	w := yamlWriter{}
	w.member(indent, name, v, order)
	return w.b.Bytes()[indent:]
}

// keepItems returns a member that is a list over several lines with the lines of the items that it keeps, comments
// included; nil where its items do not each stand on lines of their own. end is where it ends.
func (c *valueChanger) keepItems(key, old *yaml.Node, list []any, end int) []byte {
	if old.Kind != yaml.SequenceNode || old.Style&yaml.FlowStyle != 0 || len(old.Content) == 0 || len(list) == 0 {
		return nil
	}
	lines := map[string][]byte{}
	for i, item := range old.Content {
		from, to := c.lineStart(item.Line), end
		if i+1 < len(old.Content) {
			to = c.lineStart(old.Content[i+1].Line)
		}
		if item.Kind != yaml.ScalarNode || from >= to || c.dashColumn(item) < 0 {
			return nil
		}
		// An item brings the comments below it, up to the next one.
		lines[item.Value] = c.src[from:to]
	}
	text := slices.Clone(c.src[c.lines.Offset(key.Line, key.Column):c.lineStart(old.Content[0].Line)])
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			return nil
		}
		line, kept := lines[s]
		if !kept {
			w := yamlWriter{}
			w.scalar(c.dashColumn(old.Content[0]), "- ", s)
			line = w.b.Bytes()
		}
		text = append(text, line...)
	}
	return text
}

// replaceFlow writes a value anew that stands among others on a line.
func (c *valueChanger) replaceFlow(value *yaml.Node, v any) ([]byte, error) {
	from := c.lines.Offset(value.Line, value.Column)
	to, err := c.flowEnd(value, from)
	if err != nil {
		return nil, err
	}
	return slices.Concat(c.src[:from], []byte(flowText(v)), c.src[to:]), nil
}

// flowText writes a value on one line, texts in double quotes.
func flowText(v any) string {
	switch v := v.(type) {
	case string:
		return quotedText(escapeReferences(v))
	case []any:
		items := make([]string, len(v))
		for i, e := range v {
			items[i] = flowText(e)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case map[string]any:
		var members []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			members = append(members, flowText(k)+": "+flowText(v[k]))
		}
		return "{" + strings.Join(members, ", ") + "}"
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

// flowEnd returns where a value that begins at from ends, among others on a line.
func (c *valueChanger) flowEnd(value *yaml.Node, from int) (int, error) {
	line := string(c.lines.Rest(from))
	switch {
	case value.Kind == yaml.ScalarNode || value.Kind == yaml.AliasNode:
		before := c.lines.Rest(c.lines.Offset(value.Line, 1))
		at := from - c.lines.Offset(value.Line, 1)
		if n := yamltext.TokenLength(string(before), at); n > 0 && c.closingLine(value) == value.Line {
			return from + n, nil
		}
	case strings.HasPrefix(line, "{"), strings.HasPrefix(line, "["):
		if end := yamltext.Closing(c.src, from); end <= len(c.src) {
			return end, nil
		}
	}
	return 0, fmt.Errorf("%w: the value goes over several lines among others", ErrSplice)
}

// insertMember adds a member to a mapping, behind the last one that comes before it in the schema's order.
func (c *valueChanger) insertMember(at *yaml.Node, name string, v any, order, siblings *schema.Order) ([]byte, error) {
	if at.Style&yaml.FlowStyle != 0 || len(at.Content) == 0 {
		return c.insertFlow(at, name, v)
	}
	rank, known := siblings.Rank(name)
	behind := 0
	for i := 0; i+1 < len(at.Content); i += 2 {
		other, named := siblings.Rank(at.Content[i].Value)
		if !known || !named || other < rank {
			behind = i
		}
	}
	key, value := at.Content[behind], at.Content[behind+1]
	end := c.endOf(value, key.Column)
	if value.Kind == yaml.AliasNode {
		end = c.lineEnd(value.Line)
	}
	indent := key.Column - 1
	text := append([]byte(strings.Repeat(" ", indent)), c.member(indent, name, v, order)...)
	return slices.Concat(c.src[:end], text, c.src[end:]), nil
}

// insertFlow adds a member at the end of a mapping in braces.
func (c *valueChanger) insertFlow(at *yaml.Node, name string, v any) ([]byte, error) {
	from := c.lines.Offset(at.Line, at.Column)
	end := yamltext.Closing(c.src, from) - 1
	if end < from || c.src[end] != '}' {
		return nil, fmt.Errorf("%w: the braces of its mapping do not close", ErrSplice)
	}
	lead := ", "
	if len(at.Content) == 0 {
		lead = ""
	}
	body := bytes.TrimRight(c.src[:end], " ")
	if !isWord(name) || len(at.Content) > 0 && at.Content[0].Style&yaml.DoubleQuotedStyle != 0 {
		name = flowText(name)
	}
	return slices.Concat(body, []byte(lead+name+": "+flowText(v)), c.src[end:]), nil
}
