package manifest

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
)

// interpolate fills ${env:NAME} into a string that holds "${" and returns a *text, or a string where
// no variable is named. What a variable holds is never read as a reference again.
func (d *decoder) interpolate(n *yaml.Node) any {
	parts, ok := d.split(n)
	if !ok {
		return ""
	}
	t := &text{pos: d.pos(n)}
	for _, p := range parts {
		if p.kind == partSecret && !slices.Contains(t.names, p.text) {
			t.names = append(t.names, p.text)
		}
	}
	var b, literal strings.Builder
	usesEnv := false
	for _, p := range parts {
		v := p.text
		switch p.kind {
		case partEnv:
			usesEnv = true
			if v, ok = d.lookup(n, p); !ok {
				return ""
			}
			literal.WriteString(v)
		case partText:
			literal.WriteString(v)
		case partSecret:
			if strings.HasSuffix(literal.String(), "$") {
				d.errorAt(n, d.posInside(n, p), "a variable that ends in $ stands right before %s, which cannot be told from $${; put something between them", p.raw)
				return ""
			}
			b.WriteString(escape(literal.String()))
			b.WriteString(p.raw)
			literal.Reset()
		}
	}
	if t.names == nil {
		b.WriteString(literal.String())
	} else {
		b.WriteString(escape(literal.String()))
	}
	if t.value = b.String(); !usesEnv && t.names == nil {
		return t.value
	}
	d.hasTexts = true
	return t
}

// escape keeps literal text literal inside a template.
func escape(literal string) string { return strings.ReplaceAll(literal, "${", "$${") }

// lookup returns what a variable holds, or false after a problem.
func (d *decoder) lookup(n *yaml.Node, p part) (string, bool) {
	v, ok := d.env(p.text)
	switch {
	case !ok:
		d.errorAt(n, d.posInside(n, p), "the environment variable %s is not set; set it where agentsync runs", p.text)
	case !utf8.ValidString(v) || strings.ContainsRune(v, 0):
		ok = false
		d.errorAt(n, d.posInside(n, p), "the environment variable %s does not hold UTF-8 text", p.text)
	}
	return v, ok
}

type partKind int

const (
	partText partKind = iota
	partEnv
	partSecret
)

// part is a piece of a string: literal text, or a reference to the variable text.
type part struct {
	kind partKind
	text string
	raw  string // as written
	at   int    // byte offset in the string
}

// split cuts a string at its references. It is false where one of them has no right form.
func (d *decoder) split(n *yaml.Node) ([]part, bool) {
	var parts []part
	ok := true
	rest := n.Value
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			return append(parts, part{text: rest}), ok
		}
		if i > 0 && rest[i-1] == '$' {
			parts = append(parts, part{text: rest[:i-1] + "${"})
			rest = rest[i+2:]
			continue
		}
		parts = append(parts, part{text: rest[:i]})
		p, isRef := reference(rest[i:])
		p.at = len(n.Value) - len(rest) + i
		if !isRef {
			ok = false
			d.badReference(n, p)
		}
		if !ok && len(*d.problems) > d.limits.Problems {
			return nil, false
		}
		parts = append(parts, p)
		rest = rest[i+len(p.raw):]
	}
}

// reference reads the reference at the start of s. Where it has no right form, raw is what stands
// there, up to the closing brace if there is one nearby.
func reference(s string) (part, bool) {
	end := strings.IndexAny(s, "}\n")
	if end < 0 || s[end] != '}' {
		return part{raw: "${"}, false
	}
	raw := s[:end+1]
	kind, name, _ := strings.Cut(raw[2:end], ":")
	p := part{text: name, raw: raw}
	switch kind {
	case "env":
		p.kind = partEnv
	case "secret":
		p.kind = partSecret
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

func (d *decoder) badReference(n *yaml.Node, p part) {
	pos := d.posInside(n, p)
	if p.raw == "${" {
		d.errorAt(n, pos, "`${` begins a reference that is not closed; write ${env:NAME}, ${secret:NAME}, or $${ for a literal ${")
		return
	}
	d.errorAt(n, pos, "`%s` is no reference; write ${env:NAME}, ${secret:NAME}, or $${ for a literal ${", clip(p.raw))
}

// posInside returns the place of a reference inside a scalar that spans lines, and the scalar's own
// place where it stands on one line or is spelt otherwise than it reads (an escape, say).
func (d *decoder) posInside(n *yaml.Node, p part) diag.Pos {
	pos := d.pos(n)
	index := d.lineIndex()
	offset := index.offset(pos.Line, pos.Column)
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && bytes.Contains(index.rest(offset), []byte(p.raw)) {
		return pos
	}
	for before := strings.Count(n.Value[:p.at], p.raw); ; before-- {
		i := bytes.Index(d.src[offset:], []byte(p.raw))
		if i < 0 {
			return pos
		}
		if offset += i; before == 0 {
			return index.pos(d.path, offset)
		}
		offset += len(p.raw)
	}
}
