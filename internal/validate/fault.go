package validate

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
	"agentsync/internal/diag"
)

// Fault is one thing that a schema finds wrong with a value.
type Fault struct {
	// At is the JSON pointer of the value.
	At string
	// Keyword is the schema's keyword that it fails: maxLength, enum.
	Keyword string
	// rule is the schema that holds the keyword.
	rule map[string]any
	// Name is the member concerned by required, additionalProperties and propertyNames.
	Name string
	// because names what decided that the rule holds ("langgraph"), or is empty.
	because string
	// Value is the value at At.
	Value any
	// Home is the platform that knows the unknown member name, or empty.
	Home string
	// Secret says that the value must not be shown.
	Secret bool
}

// OnKey reports whether the fault concerns a member's name and not its value.
func (f Fault) OnKey() bool {
	return f.Keyword == "additionalProperties" || f.Keyword == "propertyNames"
}

// AboutText reports whether the fault is about the very text of a string.
func (f Fault) AboutText() bool {
	switch f.Keyword {
	case "minLength", "maxLength", "pattern", "format":
		return true
	}
	return false
}

// Faults validates instance, which may hold texts, and returns what is wrong, without what follows
// from something worse.
func (r *Rules) Faults(s *jsonschema.Schema, instance any) []Fault {
	if acceptsValue(s, instance) {
		return nil
	}
	instance = Plain(instance)
	err := s.Validate(instance)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	// The validator gave up for a reason of its own: some fault, or the manifest would pass.
	if !errors.As(err, &invalid) {
		return []Fault{{Keyword: "", rule: map[string]any{}}}
	}
	var all []Fault
	r.collect(invalid, instance, "", &all)
	// The validator walks maps, so what it finds comes in any order.
	slices.SortFunc(all, Fault.compare)
	return withoutEchoes(worthTelling(all))
}

// worthTelling leaves out the faults that another of the same value hides. Those of one value stand next to
// each other and are few: one for each keyword.
func worthTelling(sorted []Fault) []Fault {
	var kept []Fault
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].sameSubject(sorted[0]) {
			n++
		}
		group := sorted[:n]
		for _, f := range group {
			if !slices.ContainsFunc(group, func(g Fault) bool { return g.hides(f) }) {
				kept = append(kept, f)
			}
		}
		sorted = sorted[n:]
	}
	return kept
}

// withoutEchoes leaves out the missing members that an unknown one is a slip of: mended, it is there.
func withoutEchoes(all []Fault) []Fault {
	meant := map[string]bool{}
	for _, f := range all {
		if f.Keyword == "additionalProperties" {
			meant[f.At+"/"+f.meantMember()] = true
		}
	}
	return slices.DeleteFunc(all, func(f Fault) bool { return f.Keyword == "required" && meant[f.At+"/"+f.Name] })
}

// sameSubject reports whether f and g are about the same value, or the same member's name.
func (f Fault) sameSubject(g Fault) bool {
	return f.At == g.At && f.OnKey() == g.OnKey() && (!f.OnKey() || f.Name == g.Name)
}

func (f Fault) compare(g Fault) int {
	return cmp.Or(comparePointers(f.At, g.At), compareBools(f.OnKey(), g.OnKey()), cmp.Compare(f.Name, g.Name),
		cmp.Compare(f.Keyword, g.Keyword), cmp.Compare(f.because, g.because))
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
func (g Fault) hides(f Fault) bool {
	if f.OnKey() {
		return f.Keyword == "propertyNames" && g.Keyword == "additionalProperties"
	}
	// The same rule may stand in the schema and, stricter, in one of its conditions.
	if f.Keyword == g.Keyword && f.because != "" && g.because == "" {
		return true // wrong in any case, not only in this one
	}
	first, second := rank[g.Keyword], rank[f.Keyword]
	return first > 0 && second > 0 && first < second
}

// collect adds the leaves of a validation error.
func (r *Rules) collect(e *jsonschema.ValidationError, instance any, because string, all *[]Fault) {
	location, fragment, _ := strings.Cut(e.AbsoluteKeywordLocation, "#")
	path := splitEncoded(fragment)
	if len(path) > 0 && path[len(path)-1] == "then" {
		parent, _ := r.rule(location, path[:len(path)-1]).(map[string]any)
		because = decidingValues(parent["if"], Lookup(instance, splitEncoded(e.InstanceLocation)))
	}
	for _, c := range e.Causes {
		r.collect(c, instance, because, all)
	}
	// Only leaves say what is wrong; what is above them says that something below is.
	if len(e.Causes) > 0 || len(path) == 0 {
		return
	}
	at := splitEncoded(e.InstanceLocation)
	f := Fault{Keyword: path[len(path)-1], because: because}
	f.rule, _ = r.rule(location, path[:len(path)-1]).(map[string]any)
	// The validator gives the name of a member as if it were a value of its own.
	if f.Keyword == "enum" && len(path) > 1 && path[len(path)-2] == "propertyNames" {
		f.Keyword, f.Name = "propertyNames", at[len(at)-1]
		at = at[:len(at)-1]
	}
	f.At, f.Value = agent.JoinPointer(at), Lookup(instance, at)
	*all = append(*all, f.perMember()...)
}

// perMember makes one fault of each member that a fault is about.
func (f Fault) perMember() []Fault {
	var names []string
	object, _ := f.Value.(map[string]any)
	switch f.Keyword {
	case "required":
		required, _ := f.rule["required"].([]any)
		for _, n := range required {
			if name, _ := n.(string); !hasMember(object, name) {
				names = append(names, name)
			}
		}
	case "additionalProperties":
		known := f.knownMembers()
		for name := range object {
			if !slices.Contains(known, name) && !(f.rule["patternProperties"] != nil && strings.HasPrefix(name, "x-")) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		// Behind the sort, so that the same ones are told each time.
		names = names[:min(len(names), maxFaults)]
	default:
		return []Fault{f}
	}
	all := make([]Fault, len(names))
	for i, name := range names {
		all[i] = f
		all[i].Name = name
	}
	return all
}

// maxFaults bounds how many unknown members of one mapping are looked at: one more than are ever told of one file.
const maxFaults = 1001

func hasMember(m map[string]any, name string) bool {
	_, ok := m[name]
	return ok
}

// knownMembers returns the member names that the rule knows, sorted.
func (f Fault) knownMembers() []string {
	if f.Keyword == "propertyNames" {
		return wordList(f.rule["enum"])
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
func (r *Rules) rule(location string, path []string) any { return Lookup(r.raw[location], path) }

// decidingValues names the values that an if looks at, as far as they are words.
func decidingValues(condition, instance any) string {
	c, _ := condition.(map[string]any)
	properties, _ := c["properties"].(map[string]any)
	object, _ := instance.(map[string]any)
	var values []string
	for name := range properties {
		if v, ok := object[name].(string); ok {
			values = append(values, diag.Clip(v))
		}
	}
	slices.Sort(values)
	return diag.And(values)
}

// Lookup follows a path through maps and lists; nil where it leads nowhere.
func Lookup(v any, path []string) any {
	for _, token := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(c) {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

// splitEncoded splits a pointer as jsonschema writes it: escaped, then percent-encoded. A slash inside a name is
// written as ~1 in it, so decoding the whole adds none.
func splitEncoded(pointer string) []string {
	if plain, err := url.PathUnescape(pointer); err == nil {
		pointer = plain
	}
	return agent.SplitPointer(pointer)
}

// wordList returns the strings of a list, other values as JSON.
func wordList(v any) []string {
	items, _ := v.([]any)
	w := make([]string, len(items))
	for i, e := range items {
		w[i] = wordOf(e)
	}
	return w
}

func wordOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func lengthOf(v any) int {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v)
	case []any:
		return len(v)
	}
	return 0
}

// FieldName writes a JSON pointer as a user would: integrationMeta.headers, tags[3].
func FieldName(pointer string) string {
	var b strings.Builder
	for _, t := range agent.SplitPointer(pointer) {
		if _, err := strconv.Atoi(t); err == nil && b.Len() > 0 {
			b.WriteString("[" + t + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(diag.Clip(t))
	}
	return b.String()
}
