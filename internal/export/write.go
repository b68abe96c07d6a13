package export

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/schema"
)

// Section is one app and its agents, to be written as a section of a manifest.
type Section struct {
	App      agent.App
	Defaults agent.Fields
	Agents   []Agent
	// Names, if known, are written as comments beside the names that agents refer to.
	Names DisplayNames
}

// DisplayNames are what people call that which agents refer to by name: by kind (schema.Field.RefersTo), then by name.
// They come from the platform: any text.
type DisplayNames map[string]map[string]string

// File returns a whole manifest with one section. schemaRef is what the modeline points editors to, a
// path relative to the file or a URL; without one there is no modeline.
func File(p *schema.Platform, schemaRef string, s Section) []byte {
	w := newWriter(p)
	if schemaRef != "" {
		w.line(0, "# yaml-language-server: $schema="+schemaRef)
	}
	w.line(0, "version: 1")
	w.b.WriteByte('\n')
	w.names = s.Names
	w.section(p, s)
	return w.b.Bytes()
}

// Item returns one agent as an element of a section's agents, its dash at column indent, which counts
// from 0. It ends with a newline.
func Item(p *schema.Platform, a Agent, indent int) []byte {
	w := newWriter(p)
	w.item(p, a, indent)
	return w.b.Bytes()
}

// yamlWriter builds YAML. Columns count from 0.
type yamlWriter struct {
	b bytes.Buffer
	// order is in which order an agent's fields, and what is below them, are written.
	order *schema.Order
	// kept reports that a blank line would belong to the scalar before it.
	kept  bool
	names DisplayNames
}

// newWriter returns a writer of p's agents. Without an order, which a test of the schemas rules out, names
// are sorted.
func newWriter(p *schema.Platform) *yamlWriter {
	section, _ := schema.LoadOrder(p.File)
	return &yamlWriter{order: section.Member("agents").Items()}
}

func (w *yamlWriter) line(indent int, s string) {
	w.b.WriteString(strings.Repeat(" ", indent) + s + "\n")
	w.kept = false
}

// blank separates what follows, where that can be done without changing what is above.
func (w *yamlWriter) blank() {
	if !w.kept {
		w.b.WriteByte('\n')
	}
}

func (w *yamlWriter) section(p *schema.Platform, s Section) {
	w.line(0, p.Name+":")
	w.appSettings(p, s.App)
	if len(s.Defaults) > 0 {
		w.b.WriteByte('\n')
		w.line(indentStep, "defaults:")
		w.fields(p, s.Defaults, 2*indentStep)
	}
	if len(s.Agents) == 0 {
		return
	}
	w.blank()
	w.line(indentStep, "agents:")
	for i, a := range s.Agents {
		if i > 0 {
			w.blank()
		}
		w.item(p, a, 2*indentStep)
	}
}

// appSettings writes how the app is reached, as far as it is not the platform's default.
func (w *yamlWriter) appSettings(p *schema.Platform, app agent.App) {
	put := func(name, value, def string) {
		if value != def {
			w.scalar(indentStep, name+": ", value)
		}
	}
	put(p.AppField, app.ID.App, "")
	for _, s := range p.Settings {
		if v := app.Settings[s.Name]; v != "" {
			put(s.Name, v, s.Default)
		}
	}
	put("apiKeyEnv", app.APIKeyEnv, p.APIKeyEnv)
	put("endpoint", app.Endpoint, "")
	if app.Marker {
		w.scalar(indentStep, "marker: ", true)
	}
}

func (w *yamlWriter) item(p *schema.Platform, a Agent, indent int) {
	w.dash(indent, func(w *yamlWriter) {
		w.scalar(indent+indentStep, "key: ", a.Key)
		w.fields(p, a.Fields, indent+indentStep)
	})
}

// dash writes what write puts at column indent+step as one element of a list.
func (w *yamlWriter) dash(indent int, write func(*yamlWriter)) {
	element := yamlWriter{order: w.order, names: w.names}
	write(&element)
	w.b.WriteString(strings.Repeat(" ", indent) + "- ")
	// Written as if it stood alone; the dash takes the place of the first line's indentation.
	w.b.Write(element.b.Bytes()[indent+indentStep:])
	w.kept = element.kept
}

// fields writes an agent's fields in the schema's order.
func (w *yamlWriter) fields(p *schema.Platform, fields agent.Fields, indent int) {
	for _, f := range p.Fields {
		v, ok := fields[f.Name]
		if !ok {
			continue
		}
		if labels := w.labels(f, v); labels != nil {
			w.labelledList(indent, f.Name, v.([]any), labels)
			continue
		}
		w.member(indent, f.Name, v, w.order.Member(f.Name))
	}
}

// labels returns the display name of each item of a list of references, "" where it is not known or says nothing new;
// nil where there is none at all.
func (w *yamlWriter) labels(f schema.Field, v any) []string {
	known := w.names[f.RefersTo]
	list, ok := v.([]any)
	if !ok || f.RefersTo == "" {
		return nil
	}
	labels := make([]string, len(list))
	for i, e := range list {
		name, _ := e.(string)
		if label := commentText(known[name]); label != name {
			labels[i] = label
		}
	}
	if strings.Join(labels, "") == "" {
		return nil
	}
	return labels
}

// labelledList writes a list with a comment behind each item that has a label: an item a line, as no line has two
// comments.
func (w *yamlWriter) labelledList(indent int, key string, list []any, labels []string) {
	w.line(indent, key+":")
	for i, e := range list {
		element := yamlWriter{order: w.order}
		element.scalar(indent+indentStep, "- ", e)
		item, single := bytes.CutSuffix(element.b.Bytes(), []byte("\n"))
		w.b.Write(item)
		if labels[i] != "" && single && !bytes.Contains(item, []byte("\n")) { // a block text takes no comment
			w.b.WriteString("  # " + labels[i])
		}
		w.line(0, "")
		w.kept = element.kept
	}
}

// maxLabel is how many characters of a display name are written.
const maxLabel = 60

// commentText returns s as it can stand in a comment: on one line, of printable characters.
func commentText(s string) string {
	printable := strings.Map(func(r rune) rune {
		if !isPrintable(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	text := []rune(strings.Join(strings.Fields(printable), " "))
	if len(text) > maxLabel {
		text = append(text[:maxLabel-1], '…')
	}
	return string(text)
}

// member writes key and value of a mapping whose keys stand at column indent.
func (w *yamlWriter) member(indent int, key string, v any, o *schema.Order) {
	if !isWord(key) {
		key = quotedText(key)
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 {
			w.line(indent, key+":")
			w.members(indent+indentStep, v, o)
			return
		}
	case []any:
		// Short lists of words stay on one line, as people write tags.
		if flow, ok := oneLine(v); ok {
			w.line(indent, key+": "+flow)
			return
		}
		if len(v) > 0 {
			w.line(indent, key+":")
			w.elements(indent+indentStep, v, o.Items())
			return
		}
	}
	w.scalar(indent, key+": ", v)
}

// members writes a mapping: what the schema names first, in its order, the rest sorted.
func (w *yamlWriter) members(indent int, m map[string]any, o *schema.Order) {
	rank := func(name string) int {
		if i, named := o.Rank(name); named {
			return i
		}
		return math.MaxInt
	}
	byRank := func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) }
	for _, k := range slices.SortedFunc(maps.Keys(m), byRank) {
		w.member(indent, k, m[k], o.Member(k))
	}
}

func (w *yamlWriter) elements(indent int, list []any, o *schema.Order) {
	for _, e := range list {
		switch v := e.(type) {
		case map[string]any:
			if len(v) > 0 {
				w.dash(indent, func(w *yamlWriter) { w.members(indent+indentStep, v, o) })
				continue
			}
		case []any:
			if len(v) > 0 {
				w.dash(indent, func(w *yamlWriter) { w.elements(indent+indentStep, v, o.Items()) })
				continue
			}
		}
		w.scalar(indent, "- ", e)
	}
}

// scalar writes a value that is no map and no list, or an empty one, behind its lead.
func (w *yamlWriter) scalar(indent int, lead string, v any) {
	s := ""
	switch v := v.(type) {
	case string:
		s = scalarText(escapeReferences(v), indent)
	case Reference:
		s = scalarText(string(v), indent)
	case bool:
		s = strconv.FormatBool(v)
	case json.Number:
		s = v.String()
	case nil:
		s = "null"
	case map[string]any:
		s = "{}"
	case []any:
		s = "[]"
	default:
		s = quotedText(fmt.Sprint(v)) // a secret prints as its placeholder
	}
	w.line(indent, lead+s)
	w.kept = keepsBlankLines(s)
}

// maxOneLine is how long a list may be that stands on one line.
const maxOneLine = 60

// oneLine returns a list of a few words on one line.
func oneLine(list []any) (string, bool) {
	words := make([]string, len(list))
	for i, e := range list {
		s, ok := e.(string)
		if !ok || !isWord(s) {
			return "", false
		}
		words[i] = s
	}
	line := "[" + strings.Join(words, ", ") + "]"
	return line, len(list) > 0 && len(line) <= maxOneLine
}

// Value returns one member of a mapping as a manifest has it: its name and its value, in canonical order. Strings stand
// as they are: ${secret:NAME} in them is a reference.
func Value(name string, v any, o *schema.Order) []byte {
	w := yamlWriter{order: o}
	w.member(0, name, asReferences(v), o)
	return w.b.Bytes()
}

// asReferences returns a copy of v whose strings are written without a change.
func asReferences(v any) any {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "${") {
			return Reference(v)
		}
	case map[string]any:
		copied := make(map[string]any, len(v))
		for name, e := range v {
			copied[name] = asReferences(e)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, e := range v {
			copied[i] = asReferences(e)
		}
		return copied
	}
	return v
}

// maxWidth is how wide a line of text may become before it is folded, in characters.
const maxWidth = 100

// indentStep is how much deeper each level is indented.
const indentStep = 2

// escapeReferences makes text that holds ${ read as it stands.
func escapeReferences(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// scalarText returns s as a YAML scalar behind a key, or behind a dash, that stands at column indent; more
// lines follow where it is a block. Each style is taken only where it reads back as exactly s.
func scalarText(s string, indent int) string {
	long := len([]rune(s)) > maxWidth
	switch {
	case !long && isPlain(s):
		return s
	case strings.Contains(s, "\n") && isBlock(s):
		return literalText(s, indent)
	case long && isFoldable(s):
		if lines := foldText(s, maxWidth-indent); len(lines) > 1 {
			return ">-\n" + indentLines(lines, indent+indentStep)
		}
	}
	if isPlain(s) {
		return s
	}
	return quotedText(s)
}

// literalText returns s as a literal block. The indentation is given in digits where the text's beginning
// would be taken for part of it.
func literalText(s string, indent int) string {
	head := "|"
	if strings.ContainsRune(" \t\n", rune(s[0])) {
		head += fmt.Sprint(indentStep)
	}
	body, ends := strings.CutSuffix(s, "\n")
	switch {
	case !ends:
		head += "-"
	case strings.HasSuffix(body, "\n"):
		head += "+"
	}
	return head + "\n" + indentLines(strings.Split(body, "\n"), indent+indentStep)
}

// keepsBlankLines reports whether a scalar that text returned takes the blank lines below it for its own.
func keepsBlankLines(scalar string) bool {
	head, _, block := strings.Cut(scalar, "\n")
	return block && strings.HasSuffix(head, "+")
}

func indentLines(lines []string, indent int) string {
	margin := strings.Repeat(" ", indent)
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if l != "" {
			b.WriteString(margin + l)
		}
	}
	return b.String()
}

// foldText breaks s at single spaces into lines of at most n characters where that can be done.
func foldText(s string, n int) []string {
	var lines []string
	words := strings.Split(s, " ")
	line, size := words[0], len([]rune(words[0]))
	for i := 1; i < len(words); i++ {
		more := len([]rune(words[i])) + 1
		mayBreak := words[i] != "" && words[i-1] != ""
		if mayBreak && size+more > max(n, maxWidth/2) {
			lines = append(lines, line)
			line, size = words[i], more-1
			continue
		}
		line += " " + words[i]
		size += more
	}
	return append(lines, line)
}

// isBlock reports whether s can stand in a block: some of it is no white space, nothing in it would be lost, taken for
// a line's end or be invisible, and no line of it is a command to a CI runner.
func isBlock(s string) bool {
	return strings.TrimSpace(s) != "" && !runnerCommand.MatchString(s) &&
		strings.IndexFunc(s, func(r rune) bool { return r != '\n' && !isPrintable(r) }) < 0
}

// runnerCommand finds what a CI runner takes for a command to itself where it stands first on a line, or anywhere
// ("##["). A manifest that is printed in a job must not be one; in double quotes it is none.
var runnerCommand = regexp.MustCompile(`(^|\s)::|##\[`)

func isFoldable(s string) bool {
	return isBlock(s) && !strings.ContainsAny(s, "\n\t") && s == strings.TrimSpace(s)
}

// isPrintable reports whether r may stand for itself: what YAML calls printable, but for line ends and
// for the marks that turn the direction of text around, which would hide from a reviewer what is there.
func isPrintable(r rune) bool {
	switch {
	case r == '\t', r >= 0x20 && r <= 0x7e:
		return true
	case r == 0x2028, r == 0x2029, r == 0xfeff, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return false
	}
	return r >= 0xa0 && r <= 0xfffd || r >= 0x10000
}

// reservedWords are the words that some reader of YAML takes for something else than a string.
var reservedWords = map[string]bool{
	"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true,
}

// isPlain reports whether s can stand without quotes: it begins with a letter or a reference, so that it
// is no number, date or mark of YAML's, and holds nothing that ends a plain scalar.
func isPlain(s string) bool {
	for i, r := range s {
		if i == 0 && r != '$' && !unicode.IsLetter(r) || !unicode.IsPrint(r) {
			return false
		}
	}
	return s != "" && !reservedWords[strings.ToLower(s)] && !runnerCommand.MatchString(s) &&
		!strings.Contains(s, ": ") &&
		!strings.Contains(s, " #") &&
		!strings.HasSuffix(s, ":") && !strings.HasSuffix(s, " ")
}

// isWord reports whether s can stand without quotes anywhere, as a key and in a list on one line too.
func isWord(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789_-.", rune(c))) {
			return false
		}
	}
	return s != "" && !reservedWords[strings.ToLower(s)]
}

// quotedText returns s in double quotes.
func quotedText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '[' && strings.HasSuffix(s[:i], "##"):
			b.WriteString(`\x5b`)
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case isPrintable(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
