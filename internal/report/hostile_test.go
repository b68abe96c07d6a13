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
			{Address: agent.Address{Platform: evil, App: evil, Key: evil}, Action: plan.Action(evil), Status: apply.StatusFailed,
				UID: evil, Err: errors.New(evil), Hint: evil, Warning: evil},
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
		return report.PlanMarkdown(w, hostile(), report.MarkdownOptions{Marker: evil, Title: evil})
	})
	add("plan json", func(w io.Writer) error { return report.PlanJSON(w, hostile(), hostileProblems()) })
	add("diagnostics text", func(w io.Writer) error { return report.DiagText(w, hostileProblems(), report.Style{}) })
	add("diagnostics json", func(w io.Writer) error { return report.DiagJSON(w, hostileProblems()) })
	add("diagnostics markdown", func(w io.Writer) error {
		return report.DiagMarkdown(w, hostileProblems(), report.MarkdownOptions{})
	})
	add("github", func(w io.Writer) error { return report.DiagGitHub(w, hostileProblems()) })
	add("report text", func(w io.Writer) error { return report.ReportText(w, hostileReport(), report.Style{Verbose: true}) })
	add("report json", func(w io.Writer) error { return report.ReportJSON(w, hostileReport()) })
	add("report markdown", func(w io.Writer) error {
		return report.ReportMarkdown(w, hostileReport(), report.MarkdownOptions{Title: evil})
	})
	add("error", func(w io.Writer) error { report.Error(w, report.Style{}, evil, evil); return nil })
	add("error json", func(w io.Writer) error {
		return report.ErrorJSON(w, evil, evil, 1, diag.List{{Pos: diag.Pos{File: evil, Line: 1}, Summary: evil}})
	})
	add("progress", func(w io.Writer) error {
		p := report.NewProgress(w, report.Style{}, 1)
		for _, kind := range []apply.EventKind{apply.EventThrottled, apply.EventSettling, apply.EventListing, apply.EventFinished} {
			p.Event(apply.Event{Kind: kind, Result: hostileReport().Results[0], Message: evil, App: agent.AppID{Platform: evil, App: evil}})
		}
		p.Close()
		return nil
	})
	return outputs
}

var (
	comment = regexp.MustCompile(`^<!-- agentsync:[A-Za-z0-9._/-]+ -->\n`)
	ownHTML = regexp.MustCompile(`<details><summary><code>[^<>]*</code>[^<>]*</summary>|</details>`)
)

// withoutCode takes code spans and escaped characters out of a line, as CommonMark reads them: a run of
// backticks opens a span that the next run of the same length closes, and a backslash escapes outside.
func withoutCode(line string) string {
	runs := regexp.MustCompile("`+")
	var b strings.Builder
	for len(line) > 0 {
		if line[0] == '\\' && len(line) > 1 && strings.ContainsRune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", rune(line[1])) {
			line = line[2:]
			continue
		}
		ticks := len(line) - len(strings.TrimLeft(line, "`"))
		if ticks == 0 {
			b.WriteByte(line[0])
			line = line[1:]
			continue
		}
		rest := line[ticks:]
		line = rest
		for _, run := range runs.FindAllStringIndex(rest, -1) {
			if run[1]-run[0] == ticks {
				b.WriteString("CODE")
				line = rest[run[1]:]
				break
			}
		}
		if len(line) == len(rest) {
			b.WriteByte('`') // never closed: a backtick that got out
		}
	}
	return b.String()
}

// outsideCode returns what a Markdown renderer would treat as markup: the document without fenced
// blocks, code spans, escaped characters and the few elements that the documents are made of.
func outsideCode(t *testing.T, doc string) string {
	t.Helper()
	if !comment.MatchString(doc) {
		t.Fatalf("the first line is no marker: %.80q", doc)
	}
	doc = comment.ReplaceAllString(doc, "")
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(doc) {
		ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3 && strings.TrimSpace(line[len(ticks):]) == "diff":
			fence = ticks
		case fence != "" && len(ticks) >= len(fence) && strings.TrimSpace(line[len(ticks):]) == "":
			fence = ""
		case fence == "":
			line = ownHTML.ReplaceAllString(line, "")
			b.WriteString(withoutCode(line))
		}
	}
	if fence != "" {
		t.Fatal("a fence is not closed")
	}
	return b.String()
}

func TestMarkdownHostile(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		"HTML":            regexp.MustCompile(`<[A-Za-z/!]`),
		"a mention":       regexp.MustCompile(`@[A-Za-z0-9]`),
		"a reference":     regexp.MustCompile(`#[0-9]|GH-[0-9]`),
		"a link or image": regexp.MustCompile(`\]\(|!\[|://|www\.[a-z]`),
		"an emoji":        regexp.MustCompile(`:[a-z]+:`),
		"an entity":       regexp.MustCompile(`&[a-z#]`),
		"a backtick":      regexp.MustCompile("`"),
	}
	for _, name := range []string{"plan markdown", "diagnostics markdown", "report markdown"} {
		text := outsideCode(t, hostileOutputs(t)[name])
		for what, pattern := range forbidden {
			if m := pattern.FindString(text); m != "" {
				t.Errorf("%s: %s gets out of the code: %q in\n%s", name, what, m, text)
			}
		}
	}
}

// TestMarkdownTable holds each row of a table to its number of cells.
func TestMarkdownTable(t *testing.T) {
	for name, bars := range map[string]int{"plan markdown": 5, "diagnostics markdown": 4, "report markdown": 4} {
		rows := 0
		for line := range strings.Lines(outsideCode(t, hostileOutputs(t)[name])) {
			if !strings.HasPrefix(line, "|") {
				continue
			}
			rows++
			if n := strings.Count(line, "|"); n != bars {
				t.Errorf("%s: a row has %d bars, want %d: %s", name, n, bars, line)
			}
		}
		if rows < 3 {
			t.Errorf("%s: %d rows, want a table", name, rows)
		}
	}
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
		o := report.MarkdownOptions{MaxChars: limit, Title: evil}
		for name, write := range map[string]func(w io.Writer) error{
			"crowd":    func(w io.Writer) error { return report.PlanMarkdown(w, crowd(3000), o) },
			"hostile":  func(w io.Writer) error { return report.PlanMarkdown(w, long, o) },
			"report":   func(w io.Writer) error { return report.ReportMarkdown(w, many, o) },
			"problems": func(w io.Writer) error { return report.DiagMarkdown(w, lots, o) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			most := limit
			if limit == 0 {
				most = report.DefaultMarkdownChars
			}
			if n := utf16Len(b.String()); n > most {
				t.Errorf("%s: %d characters, at most %d are allowed", name, n, most)
			}
			if !strings.Contains(b.String(), "Left out") && !strings.Contains(b.String(), " more line") {
				t.Errorf("%s at %d: what was left out is not counted", name, limit)
			}
			outsideCode(t, b.String()) // fails on a fence that was cut open
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
