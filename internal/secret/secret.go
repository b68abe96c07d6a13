// Package secret holds strings that must never be shown. A Text is a secret as a manifest or a
// platform has it; it prints as a placeholder through every verb of fmt, log/slog, encoding/json
// and yaml, and gives its value to one method only. A Sealed is what state and plans keep of it:
// keyed hashes, enough to see that it changed.
package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Placeholder is what stands for a secret wherever a person reads.
const Placeholder = "(secret)"

// Lookup returns the value of the environment variable name, and whether it is set.
type Lookup func(name string) (string, bool)

// Text is a secret string: a template that may hold ${secret:NAME} references. The zero Text is the
// empty string. It compares with ==, and it never prints itself.
type Text struct {
	template string
	refs     bool // the template holds references that Resolve must fill
}

// Literal returns a Text whose value is s as it stands: "${secret:" in it is no reference.
func Literal(s string) Text { return Text{template: s} }

// refOpen opens a reference; escOpen is a literal "${".
const (
	refOpen = "${secret:"
	escOpen = "$${"
)

// Template returns a Text that is resolved later. In template, ${secret:NAME} stands for a
// variable's value and $${ for a literal ${. Call Names to see what it needs. The caller has checked
// the template's form: an unclosed or empty reference is kept as it is written.
func Template(template string) Text { return Text{template: template, refs: true} }

// Names returns the variables that the template refers to, in order of first use, without repeats.
func (t Text) Names() []string {
	if !t.refs {
		return nil
	}
	var names []string
	seen := map[string]bool{}
	t.expand(func(name string) string {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
		return ""
	})
	return names
}

// expand walks the template and fills each reference by fill.
func (t Text) expand(fill func(name string) string) string {
	var b strings.Builder
	rest := t.template
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			return b.String()
		}
		if i > 0 && rest[i-1] == '$' { // $${ is a literal ${
			b.WriteString(rest[:i-1])
			b.WriteString("${")
			rest = rest[i+2:]
			continue
		}
		b.WriteString(rest[:i])
		rest = rest[i:]
		name, after, ok := strings.Cut(strings.TrimPrefix(rest, refOpen), "}")
		if !strings.HasPrefix(rest, refOpen) || !ok {
			b.WriteString("${")
			rest = rest[2:]
			continue
		}
		b.WriteString(fill(name))
		rest = after
	}
}

// ErrUnset is wrapped by the error of Resolve when a variable is not set.
var ErrUnset = errors.New("the environment variable is not set")

// Resolve fills the references from lookup and returns a literal Text. The error wraps ErrUnset and
// names every variable that is missing, never a value.
func (t Text) Resolve(lookup Lookup) (Text, error) {
	if !t.refs {
		return t, nil
	}
	var missing []string
	v := t.expand(func(name string) string {
		s, ok := lookup(name)
		if !ok {
			missing = append(missing, name)
		}
		return s
	})
	if missing != nil {
		return Text{}, fmt.Errorf("${secret:%s}: %w", strings.Join(missing, "}, ${secret:"), ErrUnset)
	}
	return Literal(v), nil
}

// Reveal returns the value, for the one place where a request's body is written. It fails on a Text
// that was not resolved.
func (t Text) Reveal() (string, error) {
	if t.refs {
		return "", errors.New("a secret was not resolved before it was needed")
	}
	return t.template, nil
}

// String returns the placeholder.
func (t Text) String() string { return Placeholder }

// GoString returns the placeholder.
func (t Text) GoString() string { return Placeholder }

// Format writes the placeholder whatever the verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Placeholder)) }

// LogValue returns the placeholder.
func (t Text) LogValue() slog.Value { return slog.StringValue(Placeholder) }

// MarshalText returns the placeholder, so that no encoder writes a secret by accident.
func (t Text) MarshalText() ([]byte, error) { return []byte(Placeholder), nil }

// Sealed is what may be stored of a secret: a keyed hash of its value and one of its template, each
// 32 hexadecimal digits. Value is empty where the value was not known when it was sealed (an
// offline plan without the variables). A Sealed is safe to print and to commit.
type Sealed struct {
	Value    string `json:"value,omitempty"`
	Template string `json:"template,omitempty"`
}

// Equal reports whether two sealed secrets are the same as far as can be known: by value where both
// values are known, by template otherwise.
func (s Sealed) Equal(t Sealed) bool {
	if s.Value != "" && t.Value != "" {
		return s.Value == t.Value
	}
	return s.Template == t.Template
}

// String returns the placeholder.
func (s Sealed) String() string { return Placeholder }

// Sealer makes Sealed values under one key. Lookup may be nil: then references stay unknown.
type Sealer struct {
	// Key is the state's lineage: hashes of different fleets cannot be compared.
	Key    []byte
	Lookup Lookup
}

// Seal hashes t, which stands at the JSON pointer path inside its agent. The path is part of the
// hash, the address is not: an agent may be renamed.
func (s Sealer) Seal(path string, t Text) Sealed {
	sealed := Sealed{Template: s.mac("template", path, t.template)}
	lookup := s.Lookup
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	if v, err := t.Resolve(lookup); err == nil {
		sealed.Value = s.mac("value", path, v.template)
	}
	return sealed
}

// mac returns the first 128 bits of HMAC-SHA-256 over the length-prefixed parts, in hexadecimal.
func (s Sealer) mac(parts ...string) string {
	h := hmac.New(sha256.New, s.Key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
