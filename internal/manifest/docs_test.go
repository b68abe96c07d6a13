package manifest

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/diag"
	"agentsync/internal/validate"
	"agentsync/schema"
)

// handbook is the reference for users.
const handbook = "../../docs/manifest.md"

// TestDocumentedFields holds the field tables of docs/manifest.md against the schemas, and writes them
// where AGENTSYNC_GOLDEN=1.
func TestDocumentedFields(t *testing.T) {
	b, err := os.ReadFile(handbook)
	if err != nil {
		t.Fatal(err)
	}
	want := string(b)
	r, err := validate.New(platforms(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range schemaFiles(r) {
		form := regexp.MustCompile(`(?s)(<!-- fields ` + regexp.QuoteMeta(name) + `: [^\n]*-->\n).*?(<!-- end -->)`)
		if !form.MatchString(want) {
			t.Fatalf("%s has no place for the fields of %s", handbook, name)
		}
		want = form.ReplaceAllString(want, "${1}"+strings.ReplaceAll(fieldTable(r, name), "$", "$$")+"${2}")
	}
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(handbook, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("%s does not say what the schemas say (-want +got):\n%s", handbook, diff)
	}
}

// schemaFiles are the platforms' schemas, each version of an API in its own.
func schemaFiles(r *validate.Rules) []string {
	var names []string
	for _, platform := range r.Order {
		for _, v := range r.Platforms[platform].Versions() {
			names = append(names, v.File)
		}
	}
	return names
}

// fieldTable writes a platform's fields as a Markdown table, members of objects below them.
func fieldTable(r *validate.Rules, file string) string {
	var b strings.Builder
	b.WriteString("\n| field | type | limits | meaning |\n|---|---|---|---|\n")
	properties := validate.Lookup(r.Schema(file), []string{"definitions", "agent", "properties"}).(map[string]any)
	platform, api, _ := strings.Cut(file, ".")
	for _, f := range r.Platforms[platform].Version(api).Fields {
		rule := properties[f.Name].(map[string]any)
		writeRow(&b, f.Name, rule, traits(f))
		writeMembers(&b, f.Name, rule)
	}
	b.WriteByte('\n')
	return b.String()
}

func writeMembers(b *strings.Builder, at string, rule map[string]any) {
	members, _ := rule["properties"].(map[string]any)
	for _, name := range sortedLike(members) {
		member := members[name].(map[string]any)
		writeRow(b, at+"."+name, member, "")
		writeMembers(b, at+"."+name, member)
	}
}

func sortedLike(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// words are the strings of a list.
func words(v any) []string {
	items, _ := v.([]any)
	var all []string
	for _, e := range items {
		all = append(all, fmt.Sprint(e))
	}
	return all
}

func writeRow(b *strings.Builder, name string, rule map[string]any, traits string) {
	kind := diag.Or(words(rule["type"]))
	if s, ok := rule["type"].(string); ok {
		kind = s
	}
	description := fmt.Sprint(rule["description"])
	if rule["writeOnly"] == true {
		description += " Secret."
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, kind, limitsOf(rule),
		strings.ReplaceAll(strings.TrimSpace(description+traits), "|", `\|`))
}

func traits(f schema.Field) string {
	s := ""
	if f.Required {
		s += " **Required.**"
	}
	if f.Default != nil {
		s += fmt.Sprintf(" Default `%v`.", f.Default)
	}
	if f.Identity {
		s += " Identity field."
	}
	if f.CreateOnly {
		s += " Taken on create alone: a later change does nothing."
	}
	if f.Unordered {
		s += " Order does not matter."
	}
	return s
}

// limitsOf says in words what the schema allows.
func limitsOf(rule map[string]any) string {
	var parts []string
	span := func(least, most, unit string) {
		low, high := rule[least], rule[most]
		switch {
		case low != nil && fmt.Sprint(low) == fmt.Sprint(high):
			parts = append(parts, fmt.Sprintf("exactly %v %s", low, unit))
		case low != nil && high != nil:
			parts = append(parts, fmt.Sprintf("%v to %v %s", low, high, unit))
		case high != nil:
			parts = append(parts, fmt.Sprintf("at most %v %s", high, unit))
		case low != nil:
			parts = append(parts, "not empty")
		}
	}
	span("minLength", "maxLength", "characters")
	span("minItems", "maxItems", "items")
	if e := words(rule["enum"]); len(e) > 0 {
		parts = append(parts, "`"+strings.Join(e, "`, `")+"`")
	}
	switch p := rule["pattern"]; {
	case p == "^https://":
		parts = append(parts, "an `https://` URL")
	case p == "^https?://":
		parts = append(parts, "a URL")
	case p != nil:
		parts = append(parts, fmt.Sprintf("`%v`", p))
	}
	if rule["uniqueItems"] == true {
		parts = append(parts, "none twice")
	}
	if items, ok := rule["items"].(map[string]any); ok {
		if s := limitsOf(items); s != "" {
			parts = append(parts, "each "+s)
		}
	}
	return strings.Join(parts, "; ")
}

// TestDocumentedExamples: every whole manifest in the reference is right.
func TestDocumentedExamples(t *testing.T) {
	b, err := os.ReadFile(handbook)
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		if !strings.Contains(m[1], "\nversion: 1\n") {
			continue
		}
		examples++
		loadText(t, m[1])
	}
	if examples == 0 {
		t.Error("no example was checked")
	}
}

// TestDocumentedLimits: the table of limits says what the defaults are.
func TestDocumentedLimits(t *testing.T) {
	b, err := os.ReadFile(handbook)
	if err != nil {
		t.Fatal(err)
	}
	l := Limits{}.withDefaults()
	for _, row := range []string{
		"| one file | " + diag.Size(l.FileBytes) + " |", "| all files together | " + diag.Size(l.TotalBytes) + " |",
		"| files | " + diag.Count(l.Files) + " |", "after aliases are followed | " + diag.Count(l.Values) + " |",
		"| levels of nesting | " + diag.Count(l.Depth) + " |",
		"| errors shown of one file | " + diag.Count(l.Problems) + " |",
		"its variables filled in | " + diag.Size(int64(l.TextBytes)) + " |",
		"variables filled in | " + diag.Size(int64(l.ContentBytes)) + " |",
	} {
		if !strings.Contains(string(b), row) {
			t.Errorf("%s does not hold %q", handbook, row)
		}
	}
}
