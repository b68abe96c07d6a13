package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"agentsync/internal/secret"
)

// Fields are an agent's fields by the platform's own names. A value is nil, bool, json.Number in
// canonical form (see Number), string, []any, map[string]any, secret.Text (as wanted or as answered)
// or secret.Sealed (as stored and as planned), and nothing else.
type Fields map[string]any

// Number returns the canonical form of a JSON number: the shortest text of the same value, integers
// without point or exponent. It fails on text that is no finite number or has an exponent beyond ±400.
func Number(text string) (json.Number, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return json.Number(strconv.FormatInt(n, 10)), nil
	}
	r, ok := bigNumber(text)
	if !ok {
		return "", fmt.Errorf("%q is not a finite number", text)
	}
	if r.IsInt() && len(r.Num().String()) <= 40 {
		return json.Number(r.Num().String()), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", fmt.Errorf("%q is out of range", text)
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
}

// bigNumber reads a decimal number exactly, refusing exponents large enough to cost memory.
func bigNumber(text string) (*big.Rat, bool) {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if e, err := strconv.Atoi(strings.TrimPrefix(text[i+1:], "+")); err != nil || e > 400 || e < -400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(text)
}

// Clone returns a deep copy.
func (f Fields) Clone() Fields {
	if f == nil {
		return nil
	}
	return Fields(CloneValue(map[string]any(f)).(map[string]any))
}

// CloneValue returns a deep copy of one value.
func CloneValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = CloneValue(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = CloneValue(e)
		}
		return c
	default:
		return v
	}
}

// Equal reports whether two values are the same: maps without regard to order, numbers by canonical
// text, sealed secrets by secret.Sealed.Equal. A nil equals only nil.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, Equal)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, Equal)
	case secret.Sealed:
		b, ok := b.(secret.Sealed)
		return ok && a.Equal(b)
	default:
		switch b.(type) {
		case map[string]any, []any:
			return false
		}
		return a == b
	}
}

// Walk calls visit for each leaf of v (a value that is no map and no list) with its JSON pointer
// below path, in sorted order, and puts what visit returns in the leaf's place. v is changed in place.
func Walk(path string, v any, visit func(path string, leaf any) any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			v[k] = Walk(path+"/"+EscapePointer(k), v[k], visit)
		}
		return v
	case []any:
		for i := range v {
			v[i] = Walk(path+"/"+strconv.Itoa(i), v[i], visit)
		}
		return v
	default:
		return visit(path, v)
	}
}

// EscapePointer escapes one token of a JSON pointer (RFC 6901).
func EscapePointer(token string) string {
	if !strings.ContainsAny(token, "~/") {
		return token
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// Seal returns a copy of f in which every secret.Text is sealed.
func (f Fields) Seal(s secret.Sealer) Fields {
	return f.mapLeaves(func(path string, leaf any) any {
		if t, ok := leaf.(secret.Text); ok {
			return s.Seal(path, t)
		}
		return leaf
	})
}

// Resolve returns a copy of f in which every secret.Text is literal. The error wraps
// secret.ErrUnset and names the first field whose variable is missing.
func (f Fields) Resolve(lookup secret.Lookup) (Fields, error) {
	var first error
	resolved := f.mapLeaves(func(path string, leaf any) any {
		t, ok := leaf.(secret.Text)
		if !ok {
			return leaf
		}
		r, err := t.Resolve(lookup)
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", path, err)
		}
		return r
	})
	return resolved, first
}

// HasSecrets reports whether any leaf is a secret.Text.
func (f Fields) HasSecrets() bool {
	found := false
	for _, v := range f {
		found = found || hasSecret(v)
	}
	return found
}

func hasSecret(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if hasSecret(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasSecret)
	case secret.Text:
		return true
	}
	return false
}

func (f Fields) mapLeaves(visit func(path string, leaf any) any) Fields {
	if f == nil {
		return nil
	}
	return Fields(Walk("", map[string]any(f.Clone()), visit).(map[string]any))
}

// Doc is the canonical form of Fields as bytes: JSON without spaces, keys sorted, secrets sealed. Two
// Docs with equal bytes hold equal fields; the reverse holds but for secrets sealed without a value.
// A nil Doc stands for "not known".
type Doc []byte

// sealedKey marks a sealed secret in a Doc: {"$secret": {"value": "…", "template": "…"}}. Manifests
// may not use it as a field name.
const sealedKey = "$secret"

// ReservedKey is the map key that manifests may not use, because a Doc marks sealed secrets with it.
const ReservedKey = sealedKey

// HasSecrets reports whether the document holds a sealed secret. It may report one where a text only
// looks like it.
func (d Doc) HasSecrets() bool { return bytes.Contains(d, []byte(`{"`+sealedKey+`":`)) }

// Encode returns the canonical form of f. It fails on a secret that is not sealed and on a value of
// a type that Fields does not list.
func Encode(f Fields) (Doc, error) {
	doc, err := AppendDoc(make([]byte, 0, usualDoc), f)
	return bytes.Clone(doc), err // documents are kept for long: no room to spare in them
}

// usualDoc is the room that most agents need, in bytes, and usualKeys how many members the maps of most
// agents have at most. More is no harm.
const (
	usualDoc  = 1024
	usualKeys = 24
)

// AppendDoc appends the canonical form of f to dst, as Encode does.
func AppendDoc(dst []byte, f Fields) ([]byte, error) {
	dst, err := appendMap(dst, f)
	if err != nil {
		return nil, err
	}
	return dst, nil
}

func appendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case json.Number:
		return append(dst, v...), nil
	case string:
		return appendString(dst, v), nil
	case secret.Sealed:
		dst = appendString(append(dst, `{"`+sealedKey+`":{"template":`...), v.Template)
		dst = appendString(append(dst, `,"value":`...), v.Value)
		return append(dst, "}}"...), nil
	case map[string]any:
		return appendMap(dst, v)
	case []any:
		return appendList(dst, v)
	default:
		return nil, fmt.Errorf("encode agent: a %T has no canonical form", v)
	}
}

func appendList(dst []byte, list []any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, e); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, m map[string]any) (_ []byte, err error) {
	var room [usualKeys]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		if dst, err = appendValue(dst, m[k]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// Fields decodes the document. A nil Doc gives nil Fields. The error says at which byte it is damaged.
func (d Doc) Fields() (Fields, error) {
	if d == nil {
		return nil, nil
	}
	m, err := d.members()
	if err != nil {
		return nil, fmt.Errorf("decode agent: %w", err)
	}
	v, err := Canonical(m)
	if err != nil {
		return nil, fmt.Errorf("decode agent: %w", err)
	}
	return Fields(v.(map[string]any)), nil
}

// members decodes the document as JSON.
func (d Doc) members() (m map[string]any, err error) {
	if v, ok := ReadJSON(d); ok {
		if m, ok = v.(map[string]any); ok {
			return m, nil
		}
	}
	dec := json.NewDecoder(bytes.NewReader(d))
	dec.UseNumber()
	return m, dec.Decode(&m)
}

// Canonical turns a value that encoding/json decoded with UseNumber into the values that Fields
// lists: numbers in canonical form, sealed secrets recognised. v is changed in place.
func Canonical(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		return Number(v.String())
	case map[string]any:
		if s, ok := sealed(v); ok {
			return s, nil
		}
		for k, e := range v {
			c, err := Canonical(e)
			if err != nil {
				return nil, err
			}
			v[k] = c
		}
		return v, nil
	case []any:
		for i, e := range v {
			c, err := Canonical(e)
			if err != nil {
				return nil, err
			}
			v[i] = c
		}
		return v, nil
	default:
		return v, nil
	}
}

func sealed(m map[string]any) (secret.Sealed, bool) {
	inner, ok := m[sealedKey].(map[string]any)
	if !ok || len(m) != 1 {
		return secret.Sealed{}, false
	}
	value, _ := inner["value"].(string)
	template, _ := inner["template"].(string)
	return secret.Sealed{Value: value, Template: template}, true
}
