package report_test

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report"
)

func hostileReport() *apply.Report {
	return &apply.Report{
		Outcome: apply.Outcome("partial"),
		Results: []apply.Result{
			{Address: agent.Address{Platform: evil, App: evil, Key: evil}, Action: plan.Action(evil),
				Status: apply.StatusFailed,
				UID:    evil, Err: errors.New(evil), Hint: evil, Warning: evil},
		},
		Warnings: []string{evil},
	}
}

// hostileOutputs returns everything that this package can write of hostile input, by name.
func hostileOutputs(t *testing.T) map[string]string {
	t.Helper()
	outputs := map[string]string{}
	add := func(name string, write func(w io.Writer) error) {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		outputs[name] = b.String()
	}
	add("plan text", func(w io.Writer) error { return report.PlanText(w, hostile(), report.Style{Verbose: true}) })
	add("plan markdown", func(w io.Writer) error {
		return report.PlanMarkdown(w, hostile(), report.MarkdownOptions{Marker: evil})
	})
	add("plan json", func(w io.Writer) error { return report.PlanJSON(w, hostile(), hostileProblems()) })
	add("diagnostics text", func(w io.Writer) error { return report.DiagText(w, hostileProblems(), report.Style{}) })
	add("diagnostics json", func(w io.Writer) error { return report.DiagJSON(w, hostileProblems()) })
	add("diagnostics markdown", func(w io.Writer) error {
		return report.DiagMarkdown(w, hostileProblems(), report.MarkdownOptions{})
	})
	add("github", func(w io.Writer) error { return report.DiagGitHub(w, hostileProblems()) })
	add("report text", func(w io.Writer) error {
		return report.ReportText(w, hostileReport(),
			report.Style{Verbose: true})
	})
	add("report json", func(w io.Writer) error { return report.ReportJSON(w, hostileReport()) })
	add("report markdown", func(w io.Writer) error {
		return report.ReportMarkdown(w, hostileReport(), report.MarkdownOptions{})
	})
	add("error", func(w io.Writer) error { report.Error(w, report.Style{}, evil, evil); return nil })
	add("error json", func(w io.Writer) error {
		return report.ErrorJSON(w, evil, evil, 1, diag.List{{Pos: diag.Pos{File: evil, Line: 1}, Summary: evil}})
	})
	add("progress", func(w io.Writer) error {
		p := report.NewProgress(w, report.Style{}, 1)
		for _, kind := range []apply.EventKind{apply.EventThrottled, apply.EventRecovering, apply.EventListing,
			apply.EventFinished} {
			p.Event(apply.Event{Kind: kind, Result: hostileReport().Results[0], Message: evil,
				App: agent.AppID{Platform: evil, App: evil}})
		}
		p.Close()
		return nil
	})
	return outputs
}

// TestMarkdownBound holds the documents to their limit, whatever they are made of.
func TestMarkdownBound(t *testing.T) {
	long := hostile()
	for i := range long.Changes {
		for j := range long.Changes[i].Fields {
			long.Changes[i].Fields[j].After = strings.Repeat(evil+"😀\n", 200)
		}
	}
	many := hostileReport()
	for range 2000 {
		many.Results = append(many.Results, many.Results[0])
		many.Warnings = append(many.Warnings, evil)
	}
	var lots = hostileProblems()
	for i := range 2000 {
		p := lots[0]
		p.Pos.Line = i + 1
		lots = append(lots, p)
	}
	for _, limit := range []int{0, 2000, 2500, 4000, 10_000, 59_999} {
		o := report.MarkdownOptions{MaxChars: limit}
		for name, write := range map[string]func(w io.Writer) error{
			"crowd":    func(w io.Writer) error { return report.PlanMarkdown(w, crowd(3000), o) },
			"hostile":  func(w io.Writer) error { return report.PlanMarkdown(w, long, o) },
			"report":   func(w io.Writer) error { return report.ReportMarkdown(w, many, o) },
			"problems": func(w io.Writer) error { return report.DiagMarkdown(w, lots, o) },
		} {
			t.Run(name, func(t *testing.T) {
				var b bytes.Buffer
				if err := write(&b); err != nil {
					t.Fatal(err)
				}
				most := limit
				if limit == 0 {
					most = report.DefaultMarkdownChars
				}
				if n := utf16Len(b.String()); n > most {
					t.Errorf("%d characters, at most %d are allowed", n, most)
				}
				if !strings.Contains(b.String(), "Left out") && !strings.Contains(b.String(), " more line") {
					t.Errorf("%s at %d: what was left out is not counted", name, limit)
				}
				checkMarkdown(t, b.Bytes()) // what is cut is cut between two elements
			})
		}
	}
}

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		if n++; r > 0xffff {
			n++
		}
	}
	return n
}

// TestMarkdownDestructiveFirst holds a document that was cut to naming every delete before anything
// else.
func TestMarkdownDestructiveFirst(t *testing.T) {
	var b bytes.Buffer
	if err := report.PlanMarkdown(&b, crowd(3000), report.MarkdownOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "| delete |"); n != 300 {
		t.Errorf("%d deletes in the table, want all 300", n)
	}
	first := regexp.MustCompile(`\| (\w+) \| `).FindStringSubmatch(strings.SplitN(b.String(), "|---|\n", 2)[1])
	if first == nil || !strings.Contains(strings.SplitN(b.String(), "|---|\n", 2)[1][:120], "| delete |") {
		t.Errorf("the first row is no delete: %q", first)
	}
}
