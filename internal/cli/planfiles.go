package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"agentsync/internal/plan"
	"agentsync/internal/report"
)

// summaryChars bounds the plan as whole Markdown: a step summary of GitHub holds 1 MiB, and a UTF-16
// unit takes three bytes at the most.
const summaryChars = 340_000

// planFiles are the files that a plan is written to beside the result on stdout, so that a pipeline
// has one plan in all the forms that it needs, and no two plans that may differ.
type planFiles struct {
	html, json, markdown, comment, marker string
}

func (f *planFiles) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.html, "html", "", "write the whole plan to `FILE` as one page for a browser")
	flags.StringVar(&f.json, "json", "", "write the plan to `FILE` as JSON")
	flags.StringVar(&f.markdown, "markdown", "", "write the plan to `FILE` as Markdown of up to 1 MiB, for a step summary")
	flags.StringVar(&f.comment, "comment", "", "write the plan to `FILE` as Markdown of up to 60,000 characters, for a comment")
	flags.StringVar(&f.marker, "marker", "", "the `NAME` in the hidden first line of Markdown, by which a comment is found again (default plan)")
}

// any reports whether any file is asked for.
func (f *planFiles) any() bool {
	return f.html != "" || f.json != "" || f.markdown != "" || f.comment != ""
}

// write writes the files that are asked for. The error names the file.
func (f *planFiles) write(p *plan.Plan, w *workspace) error {
	for _, file := range []struct {
		path   string
		render func(io.Writer) error
	}{
		{f.html, func(out io.Writer) error { return report.PlanHTML(out, p, report.HTMLOptions{}) }},
		{f.json, func(out io.Writer) error { return report.PlanJSON(out, p, w.warnings) }},
		{f.markdown, func(out io.Writer) error {
			return report.PlanMarkdown(out, p, report.MarkdownOptions{Marker: f.marker, MaxChars: summaryChars})
		}},
		{f.comment, func(out io.Writer) error {
			return report.PlanMarkdown(out, p, report.MarkdownOptions{Marker: f.marker})
		}},
	} {
		if file.path == "" {
			continue
		}
		var b bytes.Buffer
		err := file.render(&b)
		if err == nil {
			err = os.WriteFile(file.path, b.Bytes(), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
	}
	return nil
}
