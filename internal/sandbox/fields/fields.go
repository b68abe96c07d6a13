// Package fields says what a platform takes as the fields of an agent, and what is wrong with what it was sent.
package fields

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Field is what a platform takes as one field of an agent.
type Field struct {
	Name     string
	Required bool // on create
	Fixed    bool // refused on update
	Check    Check
}

// Check returns what is wrong with a value of a create or an update, as the rest of a sentence, or "".
type Check func(v any, update bool) string

// CheckAll returns what is wrong with a body: unknown fields, missing ones and wrong values, the first in the order of
// its sorted names; "" for nothing.
func CheckAll(known []Field, body map[string]any, update bool) string {
	for _, name := range slices.Sorted(maps.Keys(body)) {
		i := slices.IndexFunc(known, func(f Field) bool { return f.Name == name })
		switch {
		case i < 0:
			return "property " + name + " should not exist"
		case update && known[i].Fixed:
			return name + " cannot be changed"
		}
		if wrong := known[i].Check(body[name], update); wrong != "" {
			return name + " " + wrong
		}
	}
	for _, f := range known {
		if _, ok := body[f.Name]; f.Required && !update && !ok {
			return f.Name + " is required"
		}
	}
	if update && len(body) == 0 {
		return "there is nothing to change"
	}
	return ""
}

// Text takes a string of least to most code points; without bound where most is 0.
func Text(least, most int) Check { return Pattern(least, most, nil) }

// Eased takes a string that may be shorter than least on update, as the update of Mindset's v1 does.
func Eased(least, most int) Check {
	create, change := Text(least, most), Text(0, most)
	return func(v any, update bool) string {
		if update {
			return change(v, update)
		}
		return create(v, update)
	}
}

// Pattern is Text for a string that must also match form, if there is one.
func Pattern(least, most int, form *regexp.Regexp) Check {
	return func(v any, _ bool) string {
		s, ok := v.(string)
		n := len([]rune(s))
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

// OneOf takes one of these strings.
func OneOf(values ...string) Check {
	return func(v any, _ bool) string {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			return fmt.Sprintf("must be one of %v", values)
		}
		return ""
	}
}

// Bool takes true or false.
func Bool(v any, _ bool) string {
	if _, ok := v.(bool); !ok {
		return "must be true or false"
	}
	return ""
}

// Object takes any object.
func Object(v any, _ bool) string {
	if _, ok := v.(map[string]any); !ok {
		return "must be an object"
	}
	return ""
}

// ObjectOf takes an object of these members and no others, none of them required.
func ObjectOf(members map[string]Check) Check { return objectOf(members, false) }

// OpenObject is ObjectOf for an object that may have other members as well.
func OpenObject(members map[string]Check) Check { return objectOf(members, true) }

func objectOf(members map[string]Check, others bool) Check {
	return func(v any, update bool) string {
		m, ok := v.(map[string]any)
		if !ok {
			return "must be an object"
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			check, known := members[name]
			if !known && !others {
				return "must not hold " + name
			}
			if known {
				if wrong := check(m[name], update); wrong != "" {
					return name + " " + wrong
				}
			}
		}
		return ""
	}
}

// List takes an array of at most most items (without bound where most is 0), each as item takes it.
func List(most int, item Check) Check {
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

// URL takes an absolute URL of one of these schemes.
func URL(schemes ...string) Check {
	return func(v any, _ bool) string {
		s, _ := v.(string)
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) || strings.ContainsAny(s, " \t\r\n") {
			return "must be a URL of " + strings.Join(schemes, " or ")
		}
		return ""
	}
}
