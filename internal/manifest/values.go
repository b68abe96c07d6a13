package manifest

import (
	"maps"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// mergeDefaults puts defaults under an agent's own values: maps deep, everything else replaced. A
// null takes the default's value away. own is changed in place; defaults and what is below them are
// shared and never changed.
func mergeDefaults(own, defaults map[string]any) {
	for name, def := range defaults {
		v, ok := own[name]
		if !ok {
			own[name] = def
			continue
		}
		below, isMap := v.(map[string]any)
		if d, ok := def.(map[string]any); ok && isMap {
			mergeDefaults(below, d)
		}
	}
}

// dropNulls takes nulls out of m and the maps in it. A null in a list stays: it has a place.
func dropNulls(m map[string]any) {
	for name, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, name)
		case map[string]any:
			dropNulls(v)
		}
	}
}

// cost is what a value costs where it is repeated.
type cost struct{ values, bytes int }

func costOf(v any) cost {
	total := cost{values: 1}
	add := func(c cost) { total.values, total.bytes = total.values+c.values, total.bytes+c.bytes }
	switch v := v.(type) {
	case string:
		total.bytes = len(v)
	case *text:
		total.bytes = len(v.value)
	case map[string]any:
		for _, e := range v {
			add(costOf(e))
		}
	case []any:
		for _, e := range v {
			add(costOf(e))
		}
	}
	return total
}

// plain returns v with each text as the string that it is, copying only where there are texts.
func plain(v any) any {
	w, _ := mapTexts(v, func(t *text) any { return t.value })
	return w
}

// mapTexts replaces each text in v by what visit returns. It copies only the maps and lists on the way
// to a text, and reports whether there was one.
func mapTexts(v any, visit func(*text) any) (any, bool) {
	switch v := v.(type) {
	case *text:
		return visit(v), true
	case map[string]any:
		var copied map[string]any
		for name, e := range v {
			if w, ok := mapTexts(e, visit); ok {
				if copied == nil {
					copied = maps.Clone(v)
				}
				copied[name] = w
			}
		}
		if copied != nil {
			return copied, true
		}
	case []any:
		var copied []any
		for i, e := range v {
			if w, ok := mapTexts(e, visit); ok {
				if copied == nil {
					copied = slices.Clone(v)
				}
				copied[i] = w
			}
		}
		if copied != nil {
			return copied, true
		}
	}
	return v, false
}

// eachText calls visit for each text in v.
func eachText(v any, visit func(*text)) {
	switch v := v.(type) {
	case *text:
		visit(v)
	case map[string]any:
		for _, e := range v {
			eachText(e, visit)
		}
	case []any:
		for _, e := range v {
			eachText(e, visit)
		}
	}
}

// seal makes every string at the platform's secret paths a secret.Text, and every text a string or,
// where it refers to secrets, a secret.Text. m is changed in place; what is below it may be shared
// with other agents and is copied where it changes.
func seal(m map[string]any, p *platformRules, hasTexts bool) agent.Fields {
	for _, path := range p.secretPaths {
		if v, ok := m[path[0]]; ok {
			m[path[0]] = sealAt(v, path[1:])
		}
	}
	if !hasTexts {
		return m
	}
	for name, v := range m {
		if w, ok := mapTexts(v, fill); ok {
			m[name] = w
		}
	}
	return m
}

// fill returns what a text is outside of the secret paths.
func fill(t *text) any {
	if t.names == nil {
		return t.value
	}
	return secret.Template(t.value)
}

// sealAt returns v with the strings at and below path as secrets, copying the maps on the way.
func sealAt(v any, path []string) any {
	if len(path) == 0 {
		return sealStrings(v)
	}
	m, _ := v.(map[string]any)
	below, ok := m[path[0]]
	if !ok {
		return v
	}
	c := maps.Clone(m)
	c[path[0]] = sealAt(below, path[1:])
	return c
}

func sealStrings(v any) any {
	switch v := v.(type) {
	case string:
		return secret.Literal(v)
	case *text:
		if v.names == nil {
			return secret.Literal(v.value)
		}
		return secret.Template(v.value)
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, e := range v {
			c[name] = sealStrings(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = sealStrings(e)
		}
		return c
	default:
		return v
	}
}
