package validate

import (
	"maps"
	"slices"

	"agentsync/internal/diag"
)

// Text is a string that refers to variables. ${env:} is filled in already.
type Text struct {
	// Value is the string; where Names is not empty it is a template as secret.Template takes it.
	Value string
	// Names are the variables of its ${secret:NAME}, in order of first use.
	Names []string
	// Pos is where it begins.
	Pos diag.Pos
	// File is the file that ${file:} takes the text from, as problems call it; empty for any other.
	File string
}

// Plain returns v with each text as the string that it is, copying only where there are texts.
func Plain(v any) any {
	w, _ := MapTexts(v, func(t *Text) any { return t.Value })
	return w
}

// MapTexts replaces each text in v by what visit returns. It copies only the maps and lists on the way
// to a text, and reports whether there was one.
func MapTexts(v any, visit func(*Text) any) (any, bool) {
	switch v := v.(type) {
	case *Text:
		return visit(v), true
	case map[string]any:
		var copied map[string]any
		for name, e := range v {
			if w, ok := MapTexts(e, visit); ok {
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
			if w, ok := MapTexts(e, visit); ok {
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

// EachText calls visit for each text in v.
func EachText(v any, visit func(*Text)) {
	switch v := v.(type) {
	case *Text:
		visit(v)
	case map[string]any:
		for _, e := range v {
			EachText(e, visit)
		}
	case []any:
		for _, e := range v {
			EachText(e, visit)
		}
	}
}
