// Package secret holds strings that must never be shown. A Text is a secret as a manifest or a
// platform has it; it prints as a placeholder through every verb of fmt, log/slog, encoding/json
// and yaml, and gives its value to one method only. A Sealed is what state and plans keep of it:
// keyed hashes, enough to see that it changed.
package secret

import (
	"bytes"
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
	t.expandWith(func(name string) string {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
		return ""
	})
	return names
}

// expandWith walks the template and fills each reference by fill.
func (t Text) expandWith(fill func(name string) string) string {
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
	v := t.expandWith(func(name string) string {
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
// 32 hexadecimal digits, and four more in front where the key is not the lineage alone (StateKeyEnv).
// Value is empty where the value was not known when it was sealed (an offline plan without the variables). A
// Sealed is safe to print and to commit, as long as whoever reads it cannot guess the secret.
type Sealed struct {
	Value    string `json:"value,omitempty"`
	Template string `json:"template,omitempty"`
}

// Is reports whether v is a secret, sealed or not.
func Is(v any) bool {
	switch v.(type) {
	case Text, Sealed:
		return true
	}
	return false
}

// Equal reports whether two sealed secrets are the same as far as can be known: by value where both
// values are known, by template otherwise. Hashes under different keys are different.
func (s Sealed) Equal(t Sealed) bool {
	if s.Value != "" && t.Value != "" {
		return s.Value == t.Value
	}
	return s.Template == t.Template
}

// HasStateKey reports whether a document holds the hash of a value under a key of its own (StateKeyEnv). Whoever has
// not that key cannot know whether the value changed.
func HasStateKey(doc []byte) bool {
	const member = `"value":"`
	for rest := doc; ; {
		i := bytes.Index(rest, []byte(member))
		if i < 0 {
			return false
		}
		rest = rest[i+len(member):]
		if hash, _, _ := bytes.Cut(rest, []byte(`"`)); len(hash) == markLength+2*macLength {
			return true // or a text that looks like it: then the key is asked for in vain
		}
	}
}

const (
	macLength  = 16 // bytes of a hash
	markLength = 4  // digits of the key before a hash, by which HasStateKey tells it
)

// String returns the placeholder.
func (s Sealed) String() string { return Placeholder }

// StateKeyEnv names a variable that, where it is set, becomes part of the key of all hashes of values. The
// lineage alone lies beside them in the state: whoever reads that can try values until one fits.
const StateKeyEnv = "AGENTSYNC_STATE_KEY"

// guessable is below how many characters a value can be found by trying, with the state at hand: eight letters
// and digits take minutes on a graphics card, sixteen longer than anybody has.
const guessable = 16

// Guessable reports whether a secret is so short that its hash gives it away to whoever reads the state, which it
// does not where lookup has a key of its own for the state.
func Guessable(value string, lookup Lookup) bool {
	key, _ := lookup(StateKeyEnv)
	return len(value) < guessable && key == ""
}

// Sealer makes Sealed values under one key. Lookup may be nil: then references stay unknown.
type Sealer struct {
	// Key is the state's lineage: hashes of different fleets cannot be compared.
	Key []byte
	// Blind seals every secret alike, for a state that holds no hashes: nobody can tell then whether one changed.
	Blind bool
	// Lookup has the variables that secrets refer to, and StateKeyEnv.
	Lookup Lookup
}

// Seal hashes t, which stands at the JSON pointer path inside its agent. The path is part of the
// hash, the address is not: an agent may be renamed.
func (s Sealer) Seal(path string, t Text) Sealed {
	if s.Blind {
		return Sealed{}
	}
	lookup := s.Lookup
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	key, mark := s.Key, ""
	if own, _ := lookup(StateKeyEnv); own != "" {
		key = []byte(keyedHash([]byte(own), "key", string(s.Key)))
		mark = keyedHash(key, "mark")[:markLength]
	}
	var sealed Sealed
	if t.refs { // the manifest has it in clear, and without the state's own key it must still be comparable
		sealed.Template = keyedHash(s.Key, "template", path, t.template)
	} else {
		sealed.Template = mark + keyedHash(key, "template", path, t.template)
	}
	if v, err := t.Resolve(lookup); err == nil {
		sealed.Value = mark + keyedHash(key, "value", path, v.template)
	}
	return sealed
}

// keyedHash returns the first 128 bits of HMAC-SHA-256 over the length-prefixed parts, in hexadecimal.
func keyedHash(key []byte, parts ...string) string {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:macLength])
}
