// Package diag describes problems at places: what is wrong in which file at which line and column,
// and what would be right. It promises that a list of problems is sorted, free of repeats and
// bounded when it is printed; it refuses to decide what a problem means for the exit code.
package diag

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a problem stops the command.
type Severity int

const (
	// Error stops the command before anything is sent.
	Error Severity = iota
	// Warning is shown and does not stop anything.
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Pos is a place in a file. Line and Column count from 1, Column in characters (Unicode code
// points); zero means that the place is the whole line, or the whole file.
type Pos struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// IsZero reports whether p names no file.
func (p Pos) IsZero() bool { return p.File == "" }

// String returns path:line:column, leaving out what is zero.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
}

// Compare orders places by file, line and column.
func (p Pos) Compare(q Pos) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Problem is one thing that is wrong at one place. Summary is one sentence without a full stop that
// says what is wrong and what would be right. Address is the agent concerned, or empty.
type Problem struct {
	Severity Severity
	Pos      Pos
	Summary  string
	Address  string
}

// String returns the one line that a user sees: place, a colon, the summary.
func (p Problem) String() string {
	var b strings.Builder
	if !p.Pos.IsZero() {
		b.WriteString(p.Pos.String())
		b.WriteString(": ")
	}
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Summary)
	return b.String()
}

// Line is one line of a file, for whoever shows a problem at its place.
type Line struct {
	Text string
	// Hidden are the stretches of Text that may hold a credential and must not be shown: pairs of byte offsets, in
	// order.
	Hidden [][2]int
	// Token is how many bytes of Text belong to what begins at the place that was asked for, 0 at the line's end.
	Token int
}

// Source finds the line of a place; it is false where the line cannot be shown.
type Source func(Pos) (Line, bool)

// List is a set of problems. The zero List is empty and ready to use.
type List []Problem

// Errorf adds an error at pos.
func (l *List) Errorf(pos Pos, format string, args ...any) {
	*l = append(*l, Problem{Severity: Error, Pos: pos, Summary: fmt.Sprintf(format, args...)})
}

// Warnf adds a warning at pos.
func (l *List) Warnf(pos Pos, format string, args ...any) {
	*l = append(*l, Problem{Severity: Warning, Pos: pos, Summary: fmt.Sprintf(format, args...)})
}

// Sort orders the list by place, then severity, then text, and drops exact repeats: a value that
// many agents share through an anchor or the defaults is reported once.
func (l *List) Sort() {
	slices.SortFunc(*l, func(a, b Problem) int {
		return cmp.Or(a.Pos.Compare(b.Pos), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Summary, b.Summary))
	})
	*l = slices.CompactFunc(*l, func(a, b Problem) bool {
		return a.Pos == b.Pos && a.Severity == b.Severity && a.Summary == b.Summary
	})
}

// HasErrors reports whether any problem stops the command.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(p Problem) bool { return p.Severity == Error })
}

// Count returns how many errors and warnings the list holds.
func (l List) Count() (errors, warnings int) {
	for _, p := range l {
		if p.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}
