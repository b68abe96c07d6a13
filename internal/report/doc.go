// Package report turns plans, problems, events and run reports into text for a terminal, Markdown for
// a pull-request comment, JSON for a pipeline and one HTML page for a reviewer. It promises that the
// same input gives the same bytes, that output is bounded, that no secret is in it, and that nothing a
// platform or a manifest says can steer a terminal, a comment, a page or a CI runner: all of it is
// data. It refuses to decide anything: what it is given is what it shows.
package report

import (
	"io"
	"strings"

	"agentsync/internal/report/show"
)

// Sanitize makes data safe to print on one line, see show.Line.
func Sanitize(s string) string { return show.Line(s) }

// SanitizeText makes data of many lines safe to print, see show.Text.
func SanitizeText(s string) string { return show.Text(s) }

// Cells returns how many columns of a terminal s takes, see show.Width.
func Cells(s string) int { return show.Width(s) }

// Columns writes rows with their columns lined up, see show.Columns.
func Columns(b *strings.Builder, rows [][]string) { show.Columns(b, rows) }

// JSON writes v as one indented document, see show.JSON.
func JSON(w io.Writer, v any) error { return show.JSON(w, v) }
