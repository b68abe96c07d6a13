package report

import (
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// op says what happens to a line or a field.
type op byte

const (
	same    op = ' '
	added   op = '+'
	removed op = '-'
	changed op = '~'
	// skipped stands for unchanged lines that are not shown.
	skipped op = '.'
)

// span is a run of text inside a line. Marked is what differs from the line's counterpart.
type span struct {
	text   string
	marked bool
	// cut is how many characters the span stands for, which has no text then.
	cut int
}

// line is one line of a diff, its text not yet sanitised.
type line struct {
	op op
	// old and new are line numbers from 1, 0 where the line is not there.
	old, new int
	spans    []span
	// count is how many lines a skipped line stands for.
	count int
}

// text returns the line without marks.
func (l line) text() string {
	if len(l.spans) == 1 {
		return l.spans[0].text
	}
	var b strings.Builder
	for _, s := range l.spans {
		b.WriteString(s.text)
	}
	return b.String()
}

// contextLines is how many unchanged lines stand around a change.
const contextLines = 3

// diffLines compares two texts line by line. A newline counts as part of its line, so that one added
// or removed at the end of a text is a change like any other.
func diffLines(before, after string) []line {
	return diffTokens(splitLines(before), splitLines(after))
}

// splitLines cuts text after each newline; an empty text has no lines.
func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// diffTokens compares two lists of lines and returns the lines to show, long unchanged runs summed up.
func diffTokens(before, after []string) []line {
	var lines []line
	i, j := 0, 0
	keep := func(until int) {
		for ; i < until; i, j = i+1, j+1 {
			lines = append(lines, line{op: same, old: i + 1, new: j + 1, spans: []span{{text: before[i]}}})
		}
	}
	for _, d := range lcs.DiffLines(before, after) {
		keep(d.Start)
		olds, news := before[d.Start:d.End], after[d.ReplStart:d.ReplEnd]
		oldSpans, newSpans := markWords(olds, news)
		for k := range olds {
			lines = append(lines, line{op: removed, old: d.Start + k + 1, spans: oldSpans[k]})
		}
		for k := range news {
			lines = append(lines, line{op: added, new: d.ReplStart + k + 1, spans: newSpans[k]})
		}
		i, j = d.End, d.ReplEnd
	}
	keep(len(before))
	return collapse(lines)
}

// collapse replaces runs of unchanged lines that are far from any change by one skipped line. A run
// of one line is kept: naming it would take as much room.
func collapse(lines []line) []line {
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.op == same {
			continue
		}
		for k := max(0, i-contextLines); k <= min(len(lines)-1, i+contextLines); k++ {
			near[k] = true
		}
	}
	var out []line
	for i := 0; i < len(lines); {
		run := i
		for run < len(lines) && !near[run] {
			run++
		}
		switch {
		case run-i > 1:
			out = append(out, line{op: skipped, count: run - i})
			i = run
		default:
			out = append(out, lines[i])
			i++
		}
	}
	return out
}

// onlySpace reports whether two different texts differ in white space alone.
func onlySpace(before, after string) bool {
	return before != after && slices.Equal(strings.Fields(before), strings.Fields(after))
}
