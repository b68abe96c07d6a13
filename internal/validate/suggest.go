package validate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/schema"
)

// What people probably meant, for sentences about a value or a name that is wrong. A suggestion is made only where
// it would be right, and never of a value that must not be shown.

// meantForm ends a sentence about the form of a value with one that has it: "Sales Coach" as a key is sales-coach.
func (f Fault) meantForm(shown string) string {
	value, ok := f.Value.(string)
	pattern, _ := f.rule["pattern"].(string)
	form, err := regexp.Compile(pattern)
	if !ok || f.Secret || err != nil || shown != diag.Quoted(value) {
		return ""
	}
	dashed := strings.Join(strings.Fields(value), "-")
	_, address, hasScheme := strings.Cut(value, "://")
	if !hasScheme {
		address = value
	}
	candidates := []string{dashed, agent.Slug(value), strings.Map(onlyWord, dashed)}
	isAddress := strings.Count(address, ".") > 1 || strings.Contains(address, "/")
	switch {
	case f.rule["x-app-id"] != nil:
		return "" // only the platform knows it
	case isAddress && !strings.ContainsAny(address, " \t") && strings.Contains(pattern, "://"):
		candidates = []string{"https://" + address}
	}
	for _, c := range candidates {
		if c != "" && c != value && form.MatchString(c) && utf8.RuneCountInString(c) <= longestText(f.rule) {
			return "; did you mean " + c + "?"
		}
	}
	return ""
}

func onlyWord(r rune) rune {
	if r < utf8.RuneSelf && (r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r|0x20 >= 'a' &&
		r|0x20 <= 'z') {
		return r
	}
	return -1
}

// longestText is how long a text may be, and bounds what is suggested.
func longestText(rule map[string]any) int {
	if most, ok := schema.Whole(rule, "maxLength"); ok {
		return min(most, maxSuggested)
	}
	return maxSuggested
}

// maxSuggested is how long a suggestion may be, in characters.
const maxSuggested = 80

// meantChoice returns the one of choices that value stands for: another spelling of it, a part of it, it with more
// around it, or what other tools call it; empty where there is none, or more than one.
func (f Fault) meantChoice(value string, choices []string) string {
	spell := strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace
	folded := strings.ToLower(spell(value))
	others, _ := f.rule["x-values-known-as"].(map[string]any)
	for _, reads := range []func(choice, spelt string) bool{
		func(_, spelt string) bool { return spelt == folded },
		func(choice, _ string) bool { return slices.Contains(wordList(others[choice]), strings.ToLower(value)) },
		func(_, spelt string) bool { return len(folded) > 1 && strings.HasPrefix(spelt, folded) },
		func(_, spelt string) bool { return len(spelt) > 1 && strings.HasPrefix(folded, spelt) },
		func(choice, _ string) bool { return len(choice) > 4 && strings.Contains(value, choice) },
	} {
		var found []string
		for _, c := range choices {
			if reads(c, strings.ToLower(spell(c))) {
				found = append(found, c)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
	}
	return diag.Nearest(value, choices)
}

// meantType says how a value of another type is written as one of the types that are wanted.
func (f Fault) meantType(types []string) string {
	wants := func(t string) bool { return slices.Contains(types, t) }
	switch v := f.Value.(type) {
	case bool:
		if wants("string") {
			return "; put it in quotes"
		}
	case json.Number:
		switch {
		case wants("string"):
			return "; put it in quotes"
		case wants("boolean") && v == "1":
			return "; write true"
		case wants("boolean") && v == "0":
			return "; write false"
		}
	case []any:
		if !wants("string") || len(v) == 0 || !allTexts(v) {
			break
		}
		if text := wordOf(v[0]); len(v) == 1 && !f.Secret && plainItem.MatchString(text) {
			return "; write " + diag.Clip(text)
		}
		return "; write one text, with | for several lines"
	case string:
		return f.meantText(v, wants)
	}
	return ""
}

// meantText is meantType of a text.
func (f Fault) meantText(text string, wants func(string) bool) string {
	switch strings.ToLower(text) {
	case "yes", "on", "y", "true", "enabled", "1":
		if wants("boolean") {
			return "; write true"
		}
	case "no", "off", "n", "false", "disabled", "0":
		if wants("boolean") {
			return "; write false"
		}
	}
	if list := listOf(text); wants("array") && list != "" && !f.Secret {
		return "; write " + list
	}
	properties, _ := f.rule["properties"].(map[string]any)
	if member, _ := properties[text].(map[string]any); wants("object") && member["type"] == "boolean" {
		return fmt.Sprintf("; write {%s: true}", text)
	}
	return ""
}

func allTexts(list []any) bool {
	return !slices.ContainsFunc(list, func(e any) bool { _, ok := e.(string); return !ok })
}

// plainItem is an item of a list on one line that needs no quotes.
var plainItem = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9 _./-]*$`)

// listOf writes a text that holds several words with commas as the list that was meant; empty where it would be too
// long to be read.
func listOf(text string) string {
	text = strings.Trim(strings.TrimSpace(text), "[]")
	var items []string
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
		item = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(item), "- "))
		switch item = strings.Trim(item, `"'`); {
		case item == "":
			continue
		case !plainItem.MatchString(item):
			item = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(item) + `"`
		}
		items = append(items, item)
	}
	if list := "[" + strings.Join(items, ", ") + "]"; len(items) > 0 && utf8.RuneCountInString(list) <= maxSuggested {
		return diag.Clip(list)
	}
	return ""
}

// meantMember returns the member that a name which is not known stands for, or "".
func (f Fault) meantMember() string {
	if known := schema.KnownAs(f.rule, f.Name); known != "" {
		return known
	}
	return diag.Nearest(f.Name, f.knownMembers())
}
