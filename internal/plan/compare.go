package plan

import (
	"encoding/json"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// normal returns the value of a top-level field as it is compared: nil where it is missing, null, the
// platform's default or, in a field without a default, empty. Everything else is v itself.
func normal(f *schema.Field, v any) any {
	switch {
	case v == nil:
		return nil
	case f.Default != nil:
		if same(f, v, f.Default) {
			return nil
		}
	case isEmpty(v):
		return nil
	}
	return v
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// sameFields reports whether two agents hold the same, both secrets sealed.
func sameFields(p *schema.Platform, a, b agent.Fields) bool {
	for i := range p.Fields {
		f := &p.Fields[i]
		if !same(f, normal(f, a[f.Name]), normal(f, b[f.Name])) {
			return false
		}
	}
	return true
}

// same reports whether two values of a top-level field are the same: exactly, but for the order of an
// unordered list and the spelling of numbers.
func same(f *schema.Field, a, b any) bool {
	if f.Unordered {
		if a, ok := a.([]any); ok {
			if b, ok := b.([]any); ok {
				return sameSet(a, b)
			}
		}
	}
	return equal(a, b)
}

// sameSet compares two lists without regard to order. Strings, the common case, are sorted; a list
// with anything else is searched, and no such list of a platform is long.
func sameSet(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	s, sOK := sortedStrings(a)
	t, tOK := sortedStrings(b)
	if sOK && tOK {
		return slices.Equal(s, t)
	}
	return len(without(a, b)) == 0
}

func sortedStrings(list []any) ([]string, bool) {
	texts := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		texts[i] = s
	}
	slices.Sort(texts)
	return texts, true
}

// without returns the members of a that b does not hold, counting repeats.
func without(a, b []any) []any {
	rest := slices.Clone(b)
	return slices.DeleteFunc(slices.Clone(a), func(v any) bool {
		i := slices.IndexFunc(rest, func(w any) bool { return equal(v, w) })
		if i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		}
		return i >= 0
	})
}

// arranged returns the members of list in another order: those that like holds as well in like's
// order, the others after them, so that a diff of the two shows only what differs.
func arranged(list, like []any) []any {
	extra := without(list, like)
	shared := without(like, without(like, list))
	return append(shared, extra...)
}

// equal is agent.Equal, but for numbers, which are equal where their canonical forms are.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || sameNumber(a, b))
	default:
		return agent.Equal(a, b)
	}
}

func sameNumber(a, b json.Number) bool {
	m, err := agent.Number(a.String())
	n, err2 := agent.Number(b.String())
	return err == nil && err2 == nil && m == n
}

// renamedSecret reports whether a secret in a stands under another variable in b and has the same
// value: nothing is to be sent, but an offline plan would take it for a change.
func renamedSecret(a, b any) bool {
	switch a := a.(type) {
	case secret.Sealed:
		b, ok := b.(secret.Sealed)
		return ok && a.Value != "" && a.Value == b.Value && a.Template != b.Template
	case map[string]any:
		b, _ := b.(map[string]any)
		for k, v := range a {
			if renamedSecret(v, b[k]) {
				return true
			}
		}
	case []any:
		b, _ := b.([]any)
		for i, v := range a {
			if i < len(b) && renamedSecret(v, b[i]) {
				return true
			}
		}
	}
	return false
}
