package report

import (
	"strconv"
	"strings"

	"agentsync/internal/diag"
	"agentsync/internal/plan"
)

// Style is how text looks. The zero Style is right for a pipe: no colour, no width, bounded.
type Style struct {
	// Color allows ANSI colours. They never carry meaning alone: each has a symbol or a word beside it.
	Color bool
	// Width is the terminal's width in columns, 0 where there is no terminal.
	Width int
	// Columns returns the width as it is now, for what is drawn again and again; nil where there is no terminal.
	Columns func() int
	// Source finds the lines that problems are at, for a person who looks at a terminal; nil for a pipe and for CI.
	Source diag.Source
	// Verbose shows everything: no change, line or result is summed up.
	Verbose bool
	// Quiet leaves out progress.
	Quiet bool
	// MaxChanges bounds how many changes are shown in full; 0 stands for 200. Verbose lifts it.
	MaxChanges int
}

// defaultMaxChanges is what a person can still be expected to scroll through.
const defaultMaxChanges = 200

// maxChanges returns the bound in force for n changes.
func (s Style) maxChanges(n int) int {
	switch {
	case s.Verbose:
		return n
	case s.MaxChanges > 0:
		return min(n, s.MaxChanges)
	default:
		return min(n, defaultMaxChanges)
	}
}

// ink is the parameter of an ANSI "select graphic rendition" sequence.
type ink string

const (
	bold    ink = "1"
	dim     ink = "2"
	red     ink = "31"
	green   ink = "32"
	yellow  ink = "33"
	magenta ink = "35"
	cyan    ink = "36"
	inverse ink = "7"
)

// paint wraps text in colour where colour is allowed.
func (s Style) paint(i ink, text string) string {
	if !s.Color || text == "" || i == "" {
		return text
	}
	return "\x1b[" + string(i) + "m" + text + "\x1b[0m"
}

// Bold makes a heading of text where colour is allowed.
func (s Style) Bold(text string) string { return s.paint(bold, text) }

// look is how an action is shown.
type look struct {
	symbol string
	ink    ink
	// infinitive fits "3 to create"; past fits "created".
	infinitive, past string
}

// lookOf returns how a is shown. An action that this package does not know is a change.
func lookOf(a plan.Action) look {
	switch a {
	case plan.Create:
		return look{"+", green, "create", "created"}
	case plan.Update:
		return look{"~", yellow, "update", "updated"}
	case plan.Replace:
		return look{"±", magenta, "replace", "replaced"}
	case plan.Delete:
		return look{"-", red, "delete", "deleted"}
	case plan.Adopt:
		return look{"=", cyan, "adopt", "adopted"}
	case plan.Move:
		return look{"→", cyan, "move", "moved"}
	case plan.Kept:
		return look{"·", dim, "keep", "kept"}
	default:
		return look{"?", "", "change", "changed"}
	}
}

// comma writes n with a comma between each three digits.
func comma(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if rest := len(digits) - i; i > 0 && rest%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// count writes n with its noun: "1 agent", "1,200 agents".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return comma(n) + " " + noun + "s"
}
