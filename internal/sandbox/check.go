package sandbox

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"unicode/utf8"
)

// field is what a platform takes as one field of an agent.
type field struct {
	name     string
	required bool // on create
	fixed    bool // refused on update
	// check returns what is wrong with v, or "".
	check func(v any, update bool) string
}

// checkFields refuses unknown fields, missing ones and wrong values, the first in the order of the
// body's sorted names.
func checkFields(known []field, body map[string]any, update bool) *problem {
	for _, name := range slices.Sorted(maps.Keys(body)) {
		i := slices.IndexFunc(known, func(f field) bool { return f.name == name })
		switch {
		case i < 0:
			return badRequest("property %s should not exist", name)
		case update && known[i].fixed:
			return badRequest("%s cannot be changed", name)
		}
		if wrong := known[i].check(body[name], update); wrong != "" {
			return badRequest("%s %s", name, wrong)
		}
	}
	for _, f := range known {
		if _, ok := body[f.name]; f.required && !update && !ok {
			return badRequest("%s is required", f.name)
		}
	}
	if update && len(body) == 0 {
		return badRequest("there is nothing to change")
	}
	return nil
}

// text takes a string of least to most code points; without bound where most is 0.
func text(least, most int) func(any, bool) string { return textOf(least, most, nil) }

// eased takes a string that may be shorter than least on update, as Mindset's update does.
func eased(least, most int) func(any, bool) string {
	create, change := text(least, most), text(0, most)
	return func(v any, update bool) string {
		if update {
			return change(v, update)
		}
		return create(v, update)
	}
}

func textOf(least, most int, form *regexp.Regexp) func(any, bool) string {
	return func(v any, _ bool) string {
		s, ok := v.(string)
		n := utf8.RuneCountInString(s)
		switch {
		case !ok:
			return "must be a string"
		case n < least:
			return fmt.Sprintf("must be at least %d characters long", least)
		case most > 0 && n > most:
			return fmt.Sprintf("must be at most %d characters long, not %d", most, n)
		case form != nil && !form.MatchString(s):
			return "must match " + form.String()
		}
		return ""
	}
}

func oneOf(values ...string) func(any, bool) string {
	return func(v any, _ bool) string {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			return fmt.Sprintf("must be one of %v", values)
		}
		return ""
	}
}

func boolean(v any, _ bool) string {
	if _, ok := v.(bool); !ok {
		return "must be true or false"
	}
	return ""
}

func object(v any, _ bool) string {
	if _, ok := v.(map[string]any); !ok {
		return "must be an object"
	}
	return ""
}

// list takes an array of at most most items (without bound where most is 0), each as item takes it.
func list(most int, item func(any, bool) string) func(any, bool) string {
	return func(v any, update bool) string {
		items, ok := v.([]any)
		switch {
		case !ok:
			return "must be an array"
		case most > 0 && len(items) > most:
			return fmt.Sprintf("must hold at most %d items, not %d", most, len(items))
		}
		for i, e := range items {
			if wrong := item(e, update); wrong != "" {
				return fmt.Sprintf("item %d %s", i, wrong)
			}
		}
		return ""
	}
}

// onlyQuery refuses query parameters that the call does not know.
func onlyQuery(c *call, known ...string) *problem {
	for _, name := range slices.Sorted(maps.Keys(c.query)) {
		if !slices.Contains(known, name) {
			return badRequest("unknown query parameter %s", name)
		}
	}
	return nil
}
