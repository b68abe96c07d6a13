package report_test

import (
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/plan"
	"agentsync/internal/report"
)

// What differs in a long line is seen, wherever in the line it stands, and what is left out is counted.
func TestALongLineIsCutAroundWhatDiffers(t *testing.T) {
	long := func(n int, at int, word string) string {
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf("word%d", i)
		}
		words[at] = word
		return strings.Join(words, " ")
	}
	for name, pair := range map[string][2]string{
		"first":                   {long(1000, 0, "morning"), long(1000, 0, "evening")},
		"middle":                  {long(1000, 500, "morning"), long(1000, 500, "evening")},
		"last":                    {long(1000, 999, "morning"), long(1000, 999, "evening")},
		"beyond the word by word": {long(9000, 8000, "morning"), long(9000, 8000, "evening")},
		"one long word":           {strings.Repeat("x", 9000) + "morning", strings.Repeat("x", 9000) + "evening"},
		"only part in common": {strings.Repeat("a ", 3000) + "morning" + strings.Repeat(" b", 9000),
			strings.Repeat("a ", 3000) + "evening" + strings.Repeat(" c", 9000)},
		"two lines": {"first\n" + long(1000, 900, "morning") + "\nlast\n",
			"first\n" + long(1000, 900, "evening") + "\nlast\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &plan.Plan{Changes: []plan.Change{{
				Address: cometchat("a"), Action: plan.Update,
				Fields: []plan.FieldChange{{Path: "/metaData/greetingMessage", Before: pair[0], After: pair[1]}},
			}}}
			p.Summary.Count(p.Changes[0])
			var text, md strings.Builder
			if err := report.PlanText(&text, p, report.Style{}); err != nil {
				t.Fatal(err)
			}
			if err := report.PlanMarkdown(&md, p, report.MarkdownOptions{}); err != nil {
				t.Fatal(err)
			}
			for form, out := range map[string]string{"text": text.String(), "markdown": md.String()} {
				if !strings.Contains(out, "morning") || !strings.Contains(out, "evening") {
					t.Errorf("%s, %s: the words that differ are not shown", name, form)
				}
				if !strings.Contains(out, " characters …]") || len(out) > 30_000 {
					t.Errorf("%s, %s: %d bytes, and no count of what was left out: %.300s", name, form, len(out), out)
				}
			}
		})
	}
}

// Values on one line, which are no texts, are cut alike.
func TestALongValueIsCutAroundWhatDiffers(t *testing.T) {
	object := func(last string) map[string]any {
		m := map[string]any{}
		for i := range 500 {
			m[fmt.Sprintf("member%03d", i)] = "the same"
		}
		m["zzz"] = last
		return m
	}
	p := &plan.Plan{Changes: []plan.Change{{
		Address: cometchat("a"), Action: plan.Update,
		Fields: []plan.FieldChange{{Path: "/metaData/x", Before: []any{object("morning")}, After: object("evening")}},
	}}}
	var text strings.Builder
	if err := report.PlanText(&text, p, report.Style{}); err != nil {
		t.Fatal(err)
	}
	if out := text.String(); !strings.Contains(out, "morning") || !strings.Contains(out, "evening") {
		t.Errorf("what differs is not shown:\n%.600s", out)
	}
}
