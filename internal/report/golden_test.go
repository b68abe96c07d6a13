package report_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report"
)

// golden compares got with testdata/name, or renews it where AGENTSYNC_GOLDEN=1.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (AGENTSYNC_GOLDEN=1 renews it), -want +got:\n%s", name, diff)
	}
}

// readable spells the escape character, so that a golden of coloured output can be read and reviewed.
func readable(b []byte) []byte {
	return bytes.ReplaceAll(b, []byte("\x1b"), []byte("␛"))
}

func TestGolden(t *testing.T) {
	color := report.Style{Color: true, Width: 100}
	tests := []struct {
		name  string
		write func(w io.Writer) error
	}{
		{"plan.txt", func(w io.Writer) error { return report.PlanText(w, everything(), report.Style{}) }},
		{"plan-color.txt", func(w io.Writer) error { return report.PlanText(w, everything(), color) }},
		{"plan-refresh-verbose.txt", func(w io.Writer) error {
			return report.PlanText(w, refreshed(), report.Style{Verbose: true})
		}},
		{"plan-bounded.txt", func(w io.Writer) error {
			return report.PlanText(w, crowd(5000), report.Style{MaxChanges: 2})
		}},
		{"plan-none.txt", func(w io.Writer) error {
			return report.PlanText(w, &plan.Plan{Summary: plan.Summary{Unchanged: 41}}, report.Style{})
		}},
		{"plan-hostile.txt", func(w io.Writer) error {
			return report.PlanText(w, hostile(), report.Style{Verbose: true})
		}},
		{"plan.md", func(w io.Writer) error { return report.PlanMarkdown(w, refreshed(), report.MarkdownOptions{}) }},
		{"plan-none.md", func(w io.Writer) error {
			return report.PlanMarkdown(w, &plan.Plan{}, report.MarkdownOptions{Marker: "plan/prod"})
		}},
		{"plan-cut.md", func(w io.Writer) error {
			return report.PlanMarkdown(w, crowd(60), report.MarkdownOptions{MaxChars: 6000})
		}},
		{"plan-renamed.txt", func(w io.Writer) error { return report.PlanText(w, renamed(), report.Style{}) }},
		{"plan-renamed.md", func(w io.Writer) error {
			return report.PlanMarkdown(w, renamed(), report.MarkdownOptions{Link: linkAll})
		}},
		{"plan-renamed.json", func(w io.Writer) error { return report.PlanJSON(w, renamed(), nil) }},
		{"plan-hostile.md", func(w io.Writer) error {
			return report.PlanMarkdown(w, hostile(), report.MarkdownOptions{Marker: evil, Link: linkAll})
		}},
		{"plan.json", func(w io.Writer) error { return report.PlanJSON(w, refreshed(), problems()[2:]) }},
		{"plan-hostile.json", func(w io.Writer) error { return report.PlanJSON(w, hostile(), nil) }},
		{"diagnostics.txt", func(w io.Writer) error { return report.DiagText(w, problems(), report.Style{}) }},
		{"diagnostics-color.txt", func(w io.Writer) error { return report.DiagText(w, problems(), color) }},
		{"diagnostics.json", func(w io.Writer) error { return report.DiagJSON(w, problems()) }},
		{"diagnostics-none.json", func(w io.Writer) error { return report.DiagJSON(w, nil) }},
		{"diagnostics.md", func(w io.Writer) error {
			return report.DiagMarkdown(w, problems(), report.MarkdownOptions{})
		}},
		{"diagnostics.github", func(w io.Writer) error { return report.DiagGitHub(w, problems()) }},
		{"diagnostics-hostile.txt", func(w io.Writer) error {
			return report.DiagText(w, hostileProblems(), report.Style{})
		}},
		{"diagnostics-hostile.md", func(w io.Writer) error {
			return report.DiagMarkdown(w, hostileProblems(), report.MarkdownOptions{})
		}},
		{"diagnostics-hostile.github", func(w io.Writer) error { return report.DiagGitHub(w, hostileProblems()) }},
		{"report.txt", func(w io.Writer) error { return report.ReportText(w, ranReport(), report.Style{}) }},
		{"report-color-verbose.txt", func(w io.Writer) error {
			return report.ReportText(w, ranReport(), report.Style{Color: true, Verbose: true})
		}},
		{"report.json", func(w io.Writer) error { return report.ReportJSON(w, ranReport()) }},
		{"report.md", func(w io.Writer) error {
			return report.ReportMarkdown(w, ranReport(), report.MarkdownOptions{})
		}},
		{"error.txt", func(w io.Writer) error {
			report.Error(w, report.Style{}, "state.json: line 4 is damaged\nit was read as state of version 1",
				"put the last good one back:\n    git checkout -- state.json\nor begin anew")
			report.Warning(w, report.Style{}, evil, "")
			return nil
		}},
		{"error.json", func(w io.Writer) error { return report.ErrorJSON(w, "the state is locked", "wait", 7, nil) }},
		{"error.md", func(w io.Writer) error { return report.FailureMarkdown(w, "state.json is damaged\n"+evil, "wait") }},
		{"refresh.txt", func(w io.Writer) error {
			behind, doubted := behind()
			return report.RefreshText(w, behind, doubted, report.Style{})
		}},
		{"refresh.json", func(w io.Writer) error {
			behind, doubted := behind()
			return report.RefreshJSON(w, behind, doubted)
		}},
		{"refresh-none.txt", func(w io.Writer) error { return report.RefreshText(w, nil, nil, report.Style{}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, readable(b.Bytes()))
			if strings.HasSuffix(tt.name, ".md") { // what GitHub makes of it
				golden(t, tt.name+".tree", markdownTree(t, b.Bytes()))
			}
		})
	}
}

func hostileProblems() diag.List {
	var l diag.List
	l.Errorf(diag.Pos{File: "::add-mask::x,y:z\r\n.yaml", Line: 1, Column: 2}, "100%% wrong: %s", evil)
	l[0].Address = "a,b:c"
	return l
}

// TestWriterErrors holds every writer to handing on what the output says.
func TestWriterErrors(t *testing.T) {
	for name, write := range map[string]func(w io.Writer) error{
		"PlanText": func(w io.Writer) error { return report.PlanText(w, everything(), report.Style{}) },
		"PlanMarkdown": func(w io.Writer) error {
			return report.PlanMarkdown(w, everything(), report.MarkdownOptions{})
		},
		"PlanJSON":     func(w io.Writer) error { return report.PlanJSON(w, everything(), nil) },
		"DiagText":     func(w io.Writer) error { return report.DiagText(w, problems(), report.Style{}) },
		"DiagJSON":     func(w io.Writer) error { return report.DiagJSON(w, problems()) },
		"DiagMarkdown": func(w io.Writer) error { return report.DiagMarkdown(w, problems(), report.MarkdownOptions{}) },
		"DiagGitHub":   func(w io.Writer) error { return report.DiagGitHub(w, problems()) },
		"ReportText":   func(w io.Writer) error { return report.ReportText(w, ranReport(), report.Style{}) },
		"ReportJSON":   func(w io.Writer) error { return report.ReportJSON(w, ranReport()) },
		"RefreshText":  func(w io.Writer) error { return report.RefreshText(w, nil, nil, report.Style{}) },
		"RefreshJSON":  func(w io.Writer) error { return report.RefreshJSON(w, nil, nil) },
		"Failure":      func(w io.Writer) error { return report.FailureMarkdown(w, "x", "") },
		"ErrorJSON":    func(w io.Writer) error { return report.ErrorJSON(w, "x", "", 1, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := write(brokenPipe{}); err != io.ErrClosedPipe {
				t.Errorf("error is %v, want that of the writer", err)
			}
		})
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestNoSecret holds all plan outputs to showing nothing of a secret, not even its hash.
func TestNoSecret(t *testing.T) {
	var b bytes.Buffer
	for _, write := range []func(io.Writer) error{
		func(w io.Writer) error { return report.PlanText(w, everything(), report.Style{Verbose: true}) },
		func(w io.Writer) error { return report.PlanMarkdown(w, everything(), report.MarkdownOptions{}) },
		func(w io.Writer) error { return report.PlanJSON(w, everything(), nil) },
	} {
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
	}
	for _, hash := range []string{`"aa"`, `"bb"`, "template", `"2"`} {
		if strings.Contains(b.String(), hash) {
			t.Errorf("the output holds %s", hash)
		}
	}
}
