package report_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"agentsync/internal/plan"
	"agentsync/internal/report"
)

// What is done about a mark is told in words, in every form, and is no field.
func TestMarkerIsToldInWords(t *testing.T) {
	for marker, words := range map[plan.MarkerChange]string{
		plan.MarkerAdd: "marker added", plan.MarkerRemove: "marker removed", plan.MarkerRenew: "marker renewed",
	} {
		t.Run(fmt.Sprint(marker), func(t *testing.T) {
			p := &plan.Plan{Changes: []plan.Change{{
				Address: mindset("coach"), Action: plan.Update, UID: "u1", Marker: marker, Send: []string{"tags"},
			}}, Summary: plan.Summary{Update: 1}}
			for name, write := range map[string]func(io.Writer) error{
				"text":     func(w io.Writer) error { return report.PlanText(w, p, report.Style{}) },
				"markdown": func(w io.Writer) error { return report.PlanMarkdown(w, p, report.MarkdownOptions{}) },
				"html":     func(w io.Writer) error { return report.PlanHTML(w, p) },
			} {
				var b bytes.Buffer
				if err := write(&b); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(b.String(), words) {
					t.Errorf("the plan as %s does not say %q:\n%s", name, words, b.String())
				}
			}
			var b bytes.Buffer
			if err := report.PlanJSON(&b, p, nil); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), `"marker": "`+string(marker)+`"`) {
				t.Errorf("the plan as JSON:\n%s", b.String())
			}
		})
	}
}
