package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/checkout"
	"agentsync/internal/exit"
	"agentsync/internal/report"
	"agentsync/internal/ui"
)

func unknownAddress(addr agent.Address, path string) error {
	return exit.Usagef("%s has no agent %s", path, addr).Hinted("see which there are:\n  agentsync state list")
}

// unknownPattern is the error for a pattern that selects nothing in where.
func unknownPattern(where, pattern string, known []agent.Address) error {
	hint := "see which there are:\n  agentsync state list"
	if near := nearestAddress(pattern, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return exit.Usagef("%s has no agent %s", where, pattern).Hinted(hint)
}

// nearestAddress returns the address that was probably meant by pattern, empty where none is near.
func nearestAddress(pattern string, known []agent.Address) string {
	meant := pattern[strings.LastIndex(pattern, "/")+1:]
	best, found := len(meant)/3+1, ""
	for _, addr := range known {
		if d := editDistance(meant, addr.Key); d <= best && (d < best || found == "") {
			best, found = d, addr.String()
		}
	}
	return found
}

// editDistance counts the letters to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// finish reports the error that a command ended with and returns the exit code.
func (a *app) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return exit.OK
	}
	f := exit.Of(ctx, err)
	if f.Err != nil {
		a.Fail(f.Err.Error(), f.Hint)
	}
	if a.wantsMarkdown(cmd) && !a.Answered {
		_ = a.writeFailure(f) // stdout is gone: the exit code tells
	}
	if a.wantsJSON(cmd) && !a.Answered {
		_ = report.ErrorJSON(a.Out, f.Error(), f.Hint, f.Code, f.Problems) // stdout is gone: the exit code tells
	}
	return f.Code
}

// wantsMarkdown reports whether the command was asked for Markdown.
func (a *app) wantsMarkdown(cmd *cobra.Command) bool {
	f := cmd.Flags().Lookup("format")
	return f != nil && f.Changed && f.Value.String() == formatMarkdown
}

// writeFailure writes a failed run as Markdown: the problems of the manifests where they are the reason.
func (a *app) writeFailure(f *exit.Failure) error {
	if f.Problems.HasErrors() {
		return report.DiagMarkdown(a.Out, f.Problems, report.MarkdownOptions{Link: checkout.Links(a.Getenv)})
	}
	return report.FailureMarkdown(a.Out, f.Error(), f.Hint)
}

// wantsJSON reports whether the command was asked for JSON, even where its arguments were refused
// before the flags were read.
func (a *app) wantsJSON(cmd *cobra.Command) bool {
	if f := cmd.Flags().Lookup("format"); f != nil && f.Changed {
		return f.Value.String() == formatJSON
	}
	for i, arg := range a.args {
		if arg == "--format="+formatJSON || arg == formatJSON && i > 0 && a.args[i-1] == "--format" {
			return true
		}
	}
	return a.Getenv(ui.Variable("format")) == formatJSON
}
