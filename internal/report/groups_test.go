package report_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"agentsync/internal/plan"
	"agentsync/internal/report"
)

// tenants is a plan in which n agents change alike, besides what else there is.
func tenants(n int, others ...plan.Change) *plan.Plan {
	p := &plan.Plan{}
	for i := range n {
		p.Changes = append(p.Changes, plan.Change{
			Address: mindset(fmt.Sprintf("tenant-%04d", i)), Name: fmt.Sprintf("Tenant %d", i), Action: plan.Update,
			UID:    fmt.Sprint("u", i),
			Fields: []plan.FieldChange{{Path: "/agentPolicyRules", Before: "Be kind.", After: "Be kind and brief."}},
			Send:   []string{"agentPolicyRules"},
		})
	}
	p.Changes = append(p.Changes, others...)
	for _, c := range p.Changes {
		p.Summary.Count(c)
	}
	return p
}

func written(t *testing.T, render func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := render(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The same change of a whole fleet is told once, behind everything that does not repeat, in every form.
func TestAChangeOfAFleetIsToldOnce(t *testing.T) {
	var others []plan.Change
	for i := range 50 {
		others = append(others, plan.Change{Address: mindset(fmt.Sprintf("zz-new-%02d", i)), Name: "New",
			Action: plan.Create,
			Fields: []plan.FieldChange{{Path: "/agentName", After: "New"}}})
	}
	p := tenants(800, others...)
	forms := map[string]string{
		"text":     written(t, func(w io.Writer) error { return report.PlanText(w, p, report.Style{}) }),
		"markdown": written(t, func(w io.Writer) error { return report.PlanMarkdown(w, p, report.MarkdownOptions{}) }),
		"html":     written(t, func(w io.Writer) error { return report.PlanHTML(w, p) }),
	}
	for form, out := range forms {
		t.Run(form, func(t *testing.T) {
			if n := strings.Count(out, "and brief"); n != 1 {
				t.Errorf("the change is shown %d times", n)
			}
			if !strings.Contains(out, "the same change in 800 agents") {
				t.Errorf("%s does not say how many agents change", form)
			}
			if n := strings.Count(out, "zz-new-"); n < 50 {
				t.Errorf("%d of 50 creates are shown", n)
			}
			if strings.LastIndex(out, "zz-new-") > strings.Index(out, "the same change in") {
				t.Error("what repeats stands before what does not")
			}
			if !strings.Contains(out, "tenant-0000") || !strings.Contains(out, "Tenant 0") {
				t.Errorf("%s does not name the agents", form)
			}
		})
	}
	if n := strings.Count(forms["html"], "tenant-0"); n != 800 {
		t.Errorf("the page names %d of 800 agents", n)
	}
	if n := len(forms["markdown"]); n > report.DefaultMarkdownChars {
		t.Errorf("the comment has %d characters", n)
	}
	var doc struct {
		Changes []any `json:"changes"`
		Groups  []struct {
			Addresses []string `json:"addresses"`
		} `json:"groups"`
	}
	if err := json.Unmarshal([]byte(written(t, func(w io.Writer) error { return report.PlanJSON(w, p, nil) })),
		&doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Changes) != 850 || len(doc.Groups) != 1 || len(doc.Groups[0].Addresses) != 800 {
		t.Errorf("JSON has %d changes, %d groups", len(doc.Changes), len(doc.Groups))
	}
}

// A few agents are told of one by one, and so is one that is blocked.
func TestAFewAgentsAreNoGroup(t *testing.T) {
	for n, want := range map[int]bool{3: false, 4: true, 5: true} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			out := written(t, func(w io.Writer) error { return report.PlanText(w, tenants(n), report.Style{}) })
			if strings.Contains(out, "the same change in") != want {
				t.Errorf("%d agents: a group is %v", n, !want)
			}
		})
	}
	p := tenants(5)
	p.Changes[2].Blocked = plan.BlockedByNamesake
	out := written(t, func(w io.Writer) error { return report.PlanText(w, p, report.Style{}) })
	if !strings.Contains(out, "~ mindset/acme/tenant-0002  update") ||
		!strings.Contains(out, "the same change in 4 agents") {
		t.Errorf("the blocked agent is not told of alone:\n%s", out)
	}
}
