package validate

import (
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// acceptsValue reports whether v certainly is as the compiled schema wants it. It walks the validator's own
// compiled form without building what the validator builds to explain itself, which makes it more
// than ten times as quick. It may say false of a value that is right, where the schema uses what it
// does not know: the validator then has the word. A text that refers to secrets has any
// length and form; what it holds is known only when it is sent. A test holds the two against each other.
func acceptsValue(s *jsonschema.Schema, v any) bool {
	if s.Always != nil {
		return *s.Always
	}
	return knowsKeywords(s) && acceptsType(s, v) && acceptsWord(s, v) && acceptsParts(s, v)
}

// knowsKeywords reports whether s uses nothing that accepts leaves aside.
func knowsKeywords(s *jsonschema.Schema) bool {
	return s.OneOf == nil && s.RecursiveRef == nil && s.DynamicRef == nil && s.Dependencies == nil &&
		s.DependentRequired == nil && s.DependentSchemas == nil && s.UnevaluatedProperties == nil &&
		s.Contains == nil && s.PrefixItems == nil && s.Items2020 == nil && s.UnevaluatedItems == nil &&
		s.ContentEncoding == "" && s.ContentMediaType == "" && s.Minimum == nil && s.Maximum == nil &&
		s.ExclusiveMinimum == nil && s.ExclusiveMaximum == nil && s.MultipleOf == nil && !s.RegexProperties
}

// acceptsType checks a value by its kind.
func acceptsType(s *jsonschema.Schema, v any) bool {
	kind := ""
	ok := true
	switch v := v.(type) {
	case nil:
		kind = "null"
	case bool:
		kind = "boolean"
	case json.Number:
		kind = "number"
	case string:
		kind, ok = "string", acceptsString(s, v)
	case *Text:
		kind, ok = "string", v.Names != nil || acceptsString(s, v.Value)
	case []any:
		kind, ok = "array", acceptsList(s, v)
	case map[string]any:
		kind, ok = "object", acceptsMap(s, v)
	default:
		return false
	}
	return ok && (len(s.Types) == 0 || slices.Contains(s.Types, kind))
}

// acceptsWord checks what constrains the very value: enum, const and format.
func acceptsWord(s *jsonschema.Schema, v any) bool {
	if t, ok := v.(*Text); ok {
		if t.Names != nil {
			return len(s.Enum) == 0 && len(s.Constant) == 0
		}
		v = t.Value
	}
	if s.Format != "" {
		if check, ok := jsonschema.Formats[s.Format]; ok && !check(v) {
			return false
		}
	}
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(e any) bool { return sameScalar(e, v) }) {
		return false
	}
	return len(s.Constant) == 0 || sameScalar(s.Constant[0], v)
}

// sameScalar compares two scalars; it is false for lists and maps, which the validator compares.
func sameScalar(a, b any) bool {
	switch a.(type) {
	case nil, bool, string, json.Number:
		switch b.(type) {
		case nil, bool, string, json.Number:
			return a == b
		}
	}
	return false
}

func acceptsString(s *jsonschema.Schema, v string) bool {
	// Counting characters walks the text, and most schemas set no length.
	if s.MinLength != -1 || s.MaxLength != -1 {
		n := utf8.RuneCountInString(v)
		if s.MinLength != -1 && n < s.MinLength || s.MaxLength != -1 && n > s.MaxLength {
			return false
		}
	}
	return s.Pattern == nil || s.Pattern.MatchString(v)
}

func acceptsList(s *jsonschema.Schema, v []any) bool {
	if s.MinItems != -1 && len(v) < s.MinItems || s.MaxItems != -1 && len(v) > s.MaxItems {
		return false
	}
	if s.UniqueItems && len(v) > 1 && !allDistinct(v) {
		return false
	}
	items, one := s.Items.(*jsonschema.Schema)
	if !one {
		return s.Items == nil
	}
	for _, e := range v {
		if !acceptsValue(items, e) {
			return false
		}
	}
	return true
}

// allDistinct reports whether v holds strings only, and none twice.
func allDistinct(v []any) bool {
	if len(v) > 64 {
		return false // the validator has an index
	}
	for i, e := range v {
		if _, ok := e.(string); !ok || slices.Contains(v[:i], e) {
			return false
		}
	}
	return true
}

func acceptsMap(s *jsonschema.Schema, v map[string]any) bool {
	if s.MinProperties != -1 && len(v) < s.MinProperties || s.MaxProperties != -1 && len(v) > s.MaxProperties {
		return false
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return false
		}
	}
	// The shell alone has them, once in a file: the validator may have it.
	if len(s.PatternProperties) > 0 {
		return false
	}
	if s.AdditionalProperties == nil && s.PropertyNames == nil && len(s.Properties) < len(v) {
		return acceptsSome(s, v)
	}
	additional, single := s.AdditionalProperties.(*jsonschema.Schema)
	for name, e := range v {
		member, ok := s.Properties[name]
		switch {
		case ok && !acceptsValue(member, e), s.PropertyNames != nil && !acceptsValue(s.PropertyNames, name):
			return false
		case !ok && single && !acceptsValue(additional, e), !ok && s.AdditionalProperties == false:
			return false
		}
	}
	return true
}

// acceptsSome checks the few members that a schema says something of: the conditions of a schema are
// about one or two members of an agent that has many.
func acceptsSome(s *jsonschema.Schema, v map[string]any) bool {
	for name, member := range s.Properties {
		if e, ok := v[name]; ok && !acceptsValue(member, e) {
			return false
		}
	}
	return true
}

// acceptsParts checks the schemas that s is put together from.
func acceptsParts(s *jsonschema.Schema, v any) bool {
	if s.Ref != nil && !acceptsValue(s.Ref, v) {
		return false
	}
	for _, part := range s.AllOf {
		if !acceptsValue(part, v) {
			return false
		}
	}
	if len(s.AnyOf) > 0 && !slices.ContainsFunc(s.AnyOf, func(a *jsonschema.Schema) bool {
		return acceptsValue(a, v)
	}) {
		return false
	}
	if s.If == nil && s.Not == nil {
		return true
	}
	return acceptsNegated(s, v)
}

// acceptsNegated checks not and if, where a "no" of accepts is no proof: a condition counts as not met
// only where that is certain, and where neither is known both ways must hold.
func acceptsNegated(s *jsonschema.Schema, v any) bool {
	// That v is not accepted by it is no proof that it is refused.
	if s.Not != nil {
		return false
	}
	then := func() bool { return s.Then == nil || acceptsValue(s.Then, v) }
	otherwise := func() bool { return s.Else == nil || acceptsValue(s.Else, v) }
	switch {
	case s.If == nil:
		return true
	case rejectsValue(s.If, v):
		return otherwise()
	case acceptsValue(s.If, v):
		return then()
	default:
		return then() && otherwise()
	}
}

// rejectsValue reports whether v certainly is not as a condition wants it, for conditions on members that
// must be there and have one of some words.
func rejectsValue(s *jsonschema.Schema, v any) bool {
	object, ok := v.(map[string]any)
	if !ok {
		return false
	}
	for _, name := range s.Required {
		if _, ok := object[name]; !ok {
			return true
		}
	}
	for name, member := range s.Properties {
		word, ok := Plain(object[name]).(string)
		// A condition of another kind is not judged here: unknown is neither met nor missed.
		if !ok || len(member.Enum) == 0 && len(member.Constant) == 0 {
			continue
		}
		if !slices.Contains(member.Enum, any(word)) && !slices.Contains(member.Constant, any(word)) {
			return true
		}
	}
	return false
}
