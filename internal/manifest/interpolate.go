package manifest

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/internal/validate"
)

// interpolate fills ${env:NAME} into a string that holds "${" and returns a *validate.Text, or a string where
// no variable is named. What a variable holds is never read as a reference again.
func (d *valueDecoder) interpolate(n *yaml.Node) any {
	parts, ok := d.split(n)
	if !ok {
		return ""
	}
	for i, p := range parts {
		if p.kind != partFile {
			continue
		}
		if n.Value != p.raw {
			d.errorAt(n, d.placesOf(n, parts)()[i],
				"%s must be the whole value: a text comes from the manifest or from a file",
				diag.Clip(p.raw))
			return ""
		}
		return d.textOf(n, p.text)
	}
	t := &validate.Text{Pos: d.Pos(n)}
	named := map[variableUse]bool{}
	var b, literal strings.Builder
	places := d.placesOf(n, parts)
	for i, p := range parts {
		if p.kind != partText {
			use := variableUse{name: p.text, secret: p.kind == partSecret}
			// Refused before the variable is read: no later error can show its value.
			if secret.IsCIToken(p.text) {
				d.errorAt(n, places()[i], "%s would hand a credential of the CI to an agent; take it out", use)
				return ""
			}
			if !named[use] {
				named[use] = true
				d.uses = append(d.uses, variableUse{use.name, use.secret, places()[i]})
				if use.secret {
					t.Names = append(t.Names, p.text)
				}
			}
		}
		v := p.text
		switch p.kind {
		case partEnv:
			if v, ok = d.variable(n, p, places, i); !ok {
				return ""
			}
			if !d.countText(n, b.Len()+literal.Len(), len(v)) {
				return ""
			}
			literal.WriteString(v)
		case partText:
			literal.WriteString(v)
		case partSecret:
			// The template escapes a literal ${ as $${, and $ before a reference would read as one.
			if strings.HasSuffix(literal.String(), "$") {
				d.errorAt(n, places()[i],
					"a variable that ends in $ stands right before %s, which cannot be told from $${; put something between them",
					p.raw)
				return ""
			}
			b.WriteString(escapeLiteral(literal.String()))
			b.WriteString(p.raw)
			literal.Reset()
		}
	}
	// Only a template is read again, when a request is sent: elsewhere an escape would stay.
	if t.Names == nil {
		b.WriteString(literal.String())
	} else {
		b.WriteString(escapeLiteral(literal.String()))
	}
	if t.Value = b.String(); len(named) == 0 {
		return t.Value
	}
	d.hasTexts = true
	return t
}

// escapeLiteral keeps literal text literal inside a template.
func escapeLiteral(literal string) string { return strings.ReplaceAll(literal, "${", "$${") }

// variable returns what a variable holds, or false after a problem.
func (d *valueDecoder) variable(n *yaml.Node, p textPart, places func() []diag.Pos, i int) (string, bool) {
	v, ok := d.env(p.text)
	switch {
	case !ok:
		d.errorAt(n, places()[i], "the environment variable %s is not set; set it where agentsync runs", p.text)
	case !utf8.ValidString(v) || strings.ContainsRune(v, 0):
		ok = false
		d.errorAt(n, places()[i], "the environment variable %s does not hold UTF-8 text", p.text)
	}
	return v, ok
}

type partKind int

const (
	partText partKind = iota
	partEnv
	partSecret
	partFile
)

// textPart is a piece of a string: literal text, or a reference to the variable text.
type textPart struct {
	kind partKind
	text string
	raw  string // as written, empty for text that holds no ${
}

// split cuts a string at its references. It is false where one of them has no right form.
func (d *valueDecoder) split(n *yaml.Node) ([]textPart, bool) {
	var parts []textPart
	var bad []int
	for rest := n.Value; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			parts = append(parts, textPart{text: rest})
			break
		}
		// Before anything is taken for a reference: $${env:A} names no variable.
		if i > 0 && rest[i-1] == '$' {
			parts = append(parts, textPart{text: rest[:i-1] + "${", raw: "$${"})
			rest = rest[i+2:]
			continue
		}
		p, isRef := readReference(rest[i:])
		parts = append(parts, textPart{text: rest[:i]}, p)
		if !isRef {
			bad = append(bad, len(parts)-1)
		}
		rest = rest[i+len(p.raw):]
	}
	places := d.placesOf(n, parts)
	for _, i := range bad {
		d.badReference(n, parts[i], places()[i])
	}
	return parts, len(bad) == 0
}

// readReference reads the reference at the start of s. Where it has no right form, raw is what stands
// there, up to the closing brace if there is one nearby.
func readReference(s string) (textPart, bool) {
	end := strings.IndexAny(s, "}\n")
	if end < 0 || s[end] != '}' {
		return textPart{raw: "${"}, false
	}
	raw := s[:end+1]
	kind, name, _ := strings.Cut(raw[2:end], ":")
	p := textPart{text: name, raw: raw}
	switch kind {
	case "env":
		p.kind = partEnv
	case "secret":
		p.kind = partSecret
	case "file":
		p.kind = partFile
		return p, true
	default:
		return p, false
	}
	return p, isVariable(name)
}

// isVariable reports whether name can be an environment variable's.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

func (d *valueDecoder) badReference(n *yaml.Node, p textPart, pos diag.Pos) {
	if p.raw == "${" {
		d.errorAt(n, pos,
			"`${` begins a reference that is not closed; write ${env:NAME}, ${secret:NAME}, ${file:PATH}, or $${ for a "+
				"literal ${")
		return
	}
	raw := diag.Clip(p.raw)
	if d.hidden().Has(d.Index().Offset(pos.Line, pos.Column)) {
		raw = "${…}"
	}
	d.errorAt(n, pos, "`%s` is no reference; write ${env:NAME}, ${secret:NAME}, ${file:PATH}, or $${ for a literal ${",
		raw)
}

// placesOf returns the places of the parts of a scalar, found when they are first asked for, all in one
// pass: a text may hold as many references as it has room for. A part on the first line of what is no
// block text has the scalar's own place, and so has one that is spelt otherwise than it reads (an escape).
func (d *valueDecoder) placesOf(n *yaml.Node, parts []textPart) func() []diag.Pos {
	return sync.OnceValue(func() []diag.Pos {
		pos := d.Pos(n)
		index := d.Index()
		at := index.Offset(pos.Line, pos.Column)
		first := at + len(index.Rest(at))
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			at = first // what the comment behind the | says is no text
		}
		end := len(d.Src)
		if n.Style&yaml.DoubleQuotedStyle != 0 {
			end = closingQuote(d.Src, at)
		}
		places := slices.Repeat([]diag.Pos{pos}, len(parts))
		for i, p := range parts {
			if p.raw == "" {
				continue
			}
			// From where the last one ended: the same reference may stand twice.
			found := bytes.Index(d.Src[at:end], []byte(p.raw))
			if found < 0 {
				break
			}
			if at += found; at >= first {
				places[i] = index.Pos(d.Path, at)
			}
			at += len(p.raw)
		}
		return places
	})
}

// closingQuote returns where the double quote is that closes the one at start.
func closingQuote(src []byte, start int) int {
	for i := start + 1; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(src)
}
