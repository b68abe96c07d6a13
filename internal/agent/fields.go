package agent

import (
	"encoding/json"
	"fmt"
	"iter"
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
	for leaf := range Leaves(map[string]any(f)) {
		if _, is := leaf.(secret.Text); is {
			return true
		}
	}
	return false
}

// Leaves are the values at or below v that are no object and no list, in any order.
func Leaves(v any) iter.Seq[any] {
	return func(yield func(any) bool) { eachLeaf(v, yield) }
}

// eachLeaf calls yield for the leaves of v until it returns false, and reports whether it never did.
func eachLeaf(v any, yield func(any) bool) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if !eachLeaf(e, yield) {
				return false
			}
		}
	case []any:
		for _, e := range v {
			if !eachLeaf(e, yield) {
				return false
			}
		}
	default:
		return yield(v)
	}
	return true
}

func (f Fields) mapLeaves(visit func(path string, leaf any) any) Fields {
	if f == nil {
		return nil
	}
	return Fields(Walk("", map[string]any(f.Clone()), visit).(map[string]any))
}
