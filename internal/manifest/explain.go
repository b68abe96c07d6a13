package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"agentsync/internal/agent"
)

// fault is one thing that a schema finds wrong with a value.
type fault struct {
	// at is the JSON pointer of the value.
	at string
	// keyword is the schema's keyword that it fails: maxLength, enum.
	keyword string
	// rule is the schema that holds the keyword.
	rule map[string]any
	// name is the member concerned by required, additionalProperties and propertyNames.
	name string
	// because names what decided that the rule holds ("langgraph"), or is empty.
	because string
	// value is the value at at.
	value any
	// home is the platform that knows the unknown member name, or empty.
	home string
	// secret says that the value must not be shown.
	secret bool
}

// onKey reports whether the fault concerns a member's name and not its value.
func (f fault) onKey() bool {
	return f.keyword == "additionalProperties" || f.keyword == "propertyNames"
}

// faults validates instance, which may hold texts, and returns what is wrong, without what follows
// from something worse.
func (r *rules) faults(s *jsonschema.Schema, instance any) []fault {
	if accepts(s, instance) {
		return nil
	}
	instance = plain(instance)
	err := s.Validate(instance)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []fault{{keyword: "", rule: map[string]any{}}}
	}
	var all []fault
	r.collect(invalid, instance, "", &all)
	// The validator walks maps, so what it finds comes in any order.
	slices.SortFunc(all, fault.compare)
	return worthTelling(all)
}

// worthTelling leaves out the faults that another of the same value hides. Those of one value stand next to
// each other and are few: one for each keyword.
func worthTelling(sorted []fault) []fault {
	var kept []fault
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].sameSubject(sorted[0]) {
			n++
		}
		group := sorted[:n]
		for _, f := range group {
			if !slices.ContainsFunc(group, func(g fault) bool { return g.hides(f) }) {
				kept = append(kept, f)
			}
		}
		sorted = sorted[n:]
	}
	return kept
}

// sameSubject reports whether f and g are about the same value, or the same member's name.
func (f fault) sameSubject(g fault) bool {
	return f.at == g.at && f.onKey() == g.onKey() && (!f.onKey() || f.name == g.name)
}

func (f fault) compare(g fault) int {
	return cmp.Or(comparePointers(f.at, g.at), compareBools(f.onKey(), g.onKey()), cmp.Compare(f.name, g.name),
		cmp.Compare(f.keyword, g.keyword), cmp.Compare(f.because, g.because))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// comparePointers orders JSON pointers, elements of one list by their number.
func comparePointers(a, b string) int {
	for a != "" && b != "" {
		s, t := firstToken(a), firstToken(b)
		if s != t {
			i, errA := strconv.Atoi(s)
			j, errB := strconv.Atoi(t)
			if errA == nil && errB == nil {
				return cmp.Or(cmp.Compare(i, j), cmp.Compare(s, t))
			}
			return cmp.Compare(s, t)
		}
		a, b = a[1+len(s):], b[1+len(t):]
	}
	return cmp.Compare(len(a), len(b))
}

// firstToken returns the first part of a pointer as it is written.
func firstToken(pointer string) string {
	token, _, _ := strings.Cut(pointer[1:], "/")
	return token
}

// rank orders the keywords of which only the first is worth telling of one value.
var rank = map[string]int{"type": 1, "enum": 2, "const": 2, "minLength": 3, "pattern": 4, "format": 5}

// hides reports whether f is not worth telling beside g, which is about the same.
func (g fault) hides(f fault) bool {
	if f.onKey() {
		return f.keyword == "propertyNames" && g.keyword == "additionalProperties"
	}
	if f.keyword == g.keyword && f.because != "" && g.because == "" {
		return true // wrong in any case, not only in this one
	}
	first, second := rank[g.keyword], rank[f.keyword]
	return first > 0 && second > 0 && first < second
}

// collect adds the leaves of a validation error.
func (r *rules) collect(e *jsonschema.ValidationError, instance any, because string, all *[]fault) {
	location, fragment, _ := strings.Cut(e.AbsoluteKeywordLocation, "#")
	path := unescapeAll(fragment)
	if len(path) > 0 && path[len(path)-1] == "then" {
		parent, _ := r.rule(location, path[:len(path)-1]).(map[string]any)
		because = deciding(parent["if"], lookup(instance, unescapeAll(e.InstanceLocation)))
	}
	for _, c := range e.Causes {
		r.collect(c, instance, because, all)
	}
	if len(e.Causes) > 0 || len(path) == 0 {
		return
	}
	at := unescapeAll(e.InstanceLocation)
	f := fault{keyword: path[len(path)-1], because: because}
	f.rule, _ = r.rule(location, path[:len(path)-1]).(map[string]any)
	if f.keyword == "enum" && len(path) > 1 && path[len(path)-2] == "propertyNames" {
		f.keyword, f.name = "propertyNames", at[len(at)-1]
		at = at[:len(at)-1]
	}
	f.at, f.value = pointer(at), lookup(instance, at)
	*all = append(*all, f.spread()...)
}

// spread makes one fault of each member that a fault is about.
func (f fault) spread() []fault {
	var names []string
	object, _ := f.value.(map[string]any)
	switch f.keyword {
	case "required":
		required, _ := f.rule["required"].([]any)
		for _, n := range required {
			if name, _ := n.(string); !has(object, name) {
				names = append(names, name)
			}
		}
	case "additionalProperties":
		known := f.known()
		for name := range object {
			if !slices.Contains(known, name) && !(f.rule["patternProperties"] != nil && strings.HasPrefix(name, "x-")) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		names = names[:min(len(names), maxFaults)]
	default:
		return []fault{f}
	}
	all := make([]fault, len(names))
	for i, name := range names {
		all[i] = f
		all[i].name = name
	}
	return all
}

// maxFaults bounds how many unknown members of one mapping are looked at: one more than are ever told of one file.
const maxFaults = 1001

func has(m map[string]any, name string) bool {
	_, ok := m[name]
	return ok
}

// known returns the member names that the rule knows, sorted.
func (f fault) known() []string {
	if f.keyword == "propertyNames" {
		return words(f.rule["enum"])
	}
	properties, _ := f.rule["properties"].(map[string]any)
	var names []string
	for n, p := range properties {
		if p, ok := p.(map[string]any); !ok || p["doNotSuggest"] == nil {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// rule returns the part of a schema at a path.
func (r *rules) rule(location string, path []string) any { return lookup(r.raw[location], path) }

// deciding names the values that an if looks at, as far as they are words.
func deciding(condition, instance any) string {
	c, _ := condition.(map[string]any)
	properties, _ := c["properties"].(map[string]any)
	object, _ := instance.(map[string]any)
	var values []string
	for name := range properties {
		if v, ok := object[name].(string); ok {
			values = append(values, clip(v))
		}
	}
	slices.Sort(values)
	return list(values)
}

// lookup follows a path through maps and lists; nil where it leads nowhere.
func lookup(v any, path []string) any {
	for _, token := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[token]
		case []any:
			i := index(token, len(c))
			if i < 0 {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

func index(token string, length int) int {
	var i int
	if _, err := fmt.Sscanf(token, "%d", &i); err != nil || i < 0 || i >= length {
		return -1
	}
	return i
}

// unescapeAll splits a pointer as jsonschema writes it: percent-encoded, then escaped.
func unescapeAll(p string) []string {
	path := tokens(p)
	for i, t := range path {
		if u, err := url.PathUnescape(t); err == nil {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(u)
		}
	}
	return path
}

func pointer(path []string) string {
	var b strings.Builder
	for _, t := range path {
		b.WriteString("/" + agent.EscapePointer(t))
	}
	return b.String()
}

// words returns the strings of a list, other values as JSON.
func words(v any) []string {
	items, _ := v.([]any)
	w := make([]string, len(items))
	for i, e := range items {
		w[i] = word(e)
	}
	return w
}

func word(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func length(v any) int {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v)
	case []any:
		return len(v)
	}
	return 0
}
