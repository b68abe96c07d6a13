package manifest

import (
	"maps"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/internal/validate"
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

// valueCost is what a value costs where it is repeated.
type valueCost struct{ values, bytes int }

func costOf(v any) valueCost {
	total := valueCost{values: 1}
	add := func(c valueCost) { total.values, total.bytes = total.values+c.values, total.bytes+c.bytes }
	switch v := v.(type) {
	case string:
		total.bytes = len(v)
	case *validate.Text:
		total.bytes = len(v.Value)
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

// sealSecrets makes every string at the platform's secret paths a secret.Text, and every text a string or,
// where it refers to secrets, a secret.Text. m is changed in place; what is below it may be shared
// with other agents and is copied where it changes.
func sealSecrets(m map[string]any, p *validate.Platform, hasTexts bool) agent.Fields {
	// Secret paths before texts: what is there stays secret, also without a reference.
	for _, path := range p.SecretPaths {
		if v, ok := m[path[0]]; ok {
			m[path[0]] = sealAt(v, path[1:])
		}
	}
	if !hasTexts {
		return m
	}
	for name, v := range m {
		if w, ok := validate.MapTexts(v, filledText); ok {
			m[name] = w
		}
	}
	return m
}

// filledText returns what a text is outside of the secret paths.
func filledText(t *validate.Text) any {
	if t.Names == nil {
		return t.Value
	}
	return secret.Template(t.Value)
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
	// Defaults and anchors put one map into many agents.
	c := maps.Clone(m)
	c[path[0]] = sealAt(below, path[1:])
	return c
}

func sealStrings(v any) any {
	switch v := v.(type) {
	case string:
		return secret.Literal(v)
	case *validate.Text:
		if v.Names == nil {
			return secret.Literal(v.Value)
		}
		return secret.Template(v.Value)
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
