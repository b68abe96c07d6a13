package validate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/yamltext"
	"agentsync/schema"
)

// Sentence says what is wrong and what would be right. subject is the value's name ("name",
// "tags[3]"), owner what holds it where that has no name of its own ("the agent"), shown the value as
// it may be shown.
func (f Fault) Sentence(subject, owner, shown string) string {
	// The schema's own words say what is meant, where the rule alone would not.
	if m, ok := f.rule["errorMessage"].(string); ok {
		return m
	}
	whole := cmp.Or(subject, owner)
	switch f.Keyword {
	case "type":
		return f.typeSentence(whole, shown)
	case "enum", "const":
		return f.enumSentence(whole, shown)
	case "required":
		return fmt.Sprintf("%s has no %s%s", whole, diag.Ticked(f.Name), f.hint(subject, owner))
	case "additionalProperties":
		return f.unknownSentence(subject)
	case "propertyNames":
		return fmt.Sprintf("%s does not belong to %s, whose %s holds %s", dottedName(subject, f.Name), f.because,
			subject, diag.And(f.knownMembers()))
	case "pattern", "format":
		if shown == "" {
			shown = "not as it has to be" // a value that is not shown
		}
		return fmt.Sprintf("%s is %s; %s", whole, shown, f.form()) + f.meantForm(shown)
	case "uniqueItems":
		return f.uniqueSentence(whole)
	default:
		return f.lengthSentence(whole)
	}
}

func dottedName(subject, name string) string {
	if subject == "" {
		return diag.Clip(name)
	}
	return subject + "." + diag.Clip(name)
}

// hint says where a missing member is written.
func (f Fault) hint(subject, owner string) string {
	switch {
	case f.Name == "version":
		return "; begin the file with `version: 1`"
	case f.Name == "key":
		return "; give it one, which no other agent of the app has"
	case subject == "" && strings.HasPrefix(owner, "agent"):
		return "; write it here or in the section's defaults"
	default:
		return "; add it"
	}
}

var typeWords = map[string]string{
	"string": "a string", "boolean": "true or false", "array": "a list", "object": "an object",
	"number": "a number", "integer": "a whole number", "null": "null",
}

func (f Fault) typeSentence(whole, shown string) string {
	if f.Value == nil && f.rule["type"] == "object" {
		return whole + " is empty; write its fields below it, or leave it out"
	}
	wanted, _ := f.rule["type"].(string)
	types := []string{wanted}
	if wanted == "" {
		types = wordList(f.rule["type"])
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = typeWords[t]
		if members, ok := f.rule["additionalProperties"].(map[string]any); ok && t == "object" &&
			members["type"] == "string" {
			names[i] = "an object of strings"
		}
	}
	s := fmt.Sprintf("%s must be %s", whole, diag.Or(names))
	if f.because != "" {
		s += " for " + f.because
	}
	return s + ", not " + f.got(shown) + f.meantType(types)
}

// got says what kind of value there is instead.
func (f Fault) got(shown string) string {
	switch v := f.Value.(type) {
	case nil:
		return "null"
	case bool:
		return fmt.Sprint(v)
	case json.Number:
		if f.Secret {
			return "a number"
		}
		return "the number " + diag.Clip(v.String())
	case string:
		if shown == "" {
			return "a string"
		}
		return "the string " + shown
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

func (f Fault) enumSentence(whole, shown string) string {
	choices := wordList(f.rule["enum"])
	if f.Keyword == "const" {
		choices = []string{wordOf(f.rule["const"])}
	}
	switch v := f.Value.(type) {
	case json.Number:
		shown = diag.Clip(v.String())
	case string:
		// A number or a boolean in quotes: it looks right, and only its type is wrong.
		if slices.Contains(choices, v) {
			return fmt.Sprintf("%s is the string %s; write %s without quotes", whole, shown, v)
		}
	default:
		shown = f.got(shown)
	}
	if len(choices) == 1 {
		return fmt.Sprintf("%s is %s; it must be %s", whole, shown, choices[0])
	}
	s := fmt.Sprintf("%s is %s; it must be one of %s", whole, shown, diag.Or(choices))
	if v, ok := f.Value.(string); ok {
		if best := f.meantChoice(v, choices); best != "" && !f.Secret {
			s += fmt.Sprintf(" (did you mean %s?)", best)
		}
	}
	return s
}

// unknownSentence lists the fields there are where none is close.
func (f Fault) unknownSentence(subject string) string {
	known := f.knownMembers()
	what := "field"
	if f.rule["patternProperties"] != nil {
		what = "section" // the root of a manifest
	}
	s := "unknown " + what + " " + diag.Ticked(dottedName(subject, f.Name))
	for _, r := range f.Name {
		if odd := yamltext.OddSpaceName(r); odd != "" {
			return s + "; its name holds " + odd + ", which is no blank to YAML; write plain spaces"
		}
	}
	// A slip of the pen before another platform's field: it is the likelier of the two.
	if best := f.meantMember(); best != "" {
		return s + "; did you mean " + diag.Ticked(dottedName(subject, best)) + "?"
	}
	if f.Home != "" {
		return s + "; it is a field of " + f.Home
	}
	return s + "; there are " + diag.And(known)
}

func (f Fault) form() string {
	if m, ok := f.rule["patternErrorMessage"].(string); ok {
		return m
	}
	if f.Keyword == "format" && f.rule["format"] == "uri" {
		return "it must be a complete URL"
	}
	return fmt.Sprintf("it must have the form %v", f.rule[f.Keyword])
}

func (f Fault) uniqueSentence(whole string) string {
	items, _ := f.Value.([]any)
	if _, j := Repeat(items); j > 0 {
		return fmt.Sprintf("%s holds %s twice; each may stand once", whole, diag.Quoted(wordOf(items[j])))
	}
	return whole + " holds a value twice; each may stand once"
}

// Repeat returns the first two places in a list that hold the same word, or 0, 0.
func Repeat(items []any) (int, int) {
	first := map[string]int{}
	for j, e := range items {
		w := wordOf(e)
		if i, ok := first[w]; ok {
			return i, j
		}
		first[w] = j
	}
	return 0, 0
}

func (f Fault) lengthSentence(whole string) string {
	limit, _ := schema.Whole(f.rule, f.Keyword)
	least, _ := schema.Whole(f.rule, "minLength")
	most, _ := schema.Whole(f.rule, "maxLength")
	n := lengthOf(f.Value)
	long, bound := diag.Plural(n, "character"), diag.Count(limit)
	isText := f.Keyword == "minLength" || f.Keyword == "maxLength"
	switch {
	case isText && least == most:
		return fmt.Sprintf("%s is %s long; exactly %s are required", whole, long, bound)
	case f.Keyword == "minLength" && n == 0:
		return fmt.Sprintf("%s is empty; at least %s required", whole, atLeast(limit))
	case f.Keyword == "minLength":
		return fmt.Sprintf("%s is %s long; at least %s are required", whole, long, bound)
	case f.Keyword == "maxLength":
		return fmt.Sprintf("%s is %s long; at most %s are allowed", whole, long, bound)
	case f.Keyword == "maxItems":
		return fmt.Sprintf("%s has %s; at most %s are allowed", whole, diag.Plural(n, "item"), bound)
	case f.Keyword == "minItems":
		return fmt.Sprintf("%s has %s; at least %s are required", whole, diag.Plural(n, "item"), bound)
	default:
		return fmt.Sprintf("%s is not as the schema asks for (%s)", whole, f.Keyword)
	}
}

func atLeast(n int) string {
	if n == 1 {
		return "1 character is"
	}
	return diag.Count(n) + " characters are"
}

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

// EachText calls visit for each text at or below v, with its JSON pointer below at.
func EachText(at string, v any, visit func(at string, t *Text)) {
	switch v := v.(type) {
	case *Text:
		visit(at, v)
	case map[string]any:
		for name, e := range v {
			EachText(at+"/"+agent.EscapePointer(name), e, visit)
		}
	case []any:
		for i, e := range v {
			EachText(at+"/"+strconv.Itoa(i), e, visit)
		}
	}
}
