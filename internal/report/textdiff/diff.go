package textdiff

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// Op says what happens to a line, an element or a field.
type Op byte

// The values are the signs that stand before a line.
const (
	Same    Op = ' '
	Added   Op = '+'
	Removed Op = '-'
	Changed Op = '~'
	// Skipped stands for unchanged lines that are not shown.
	Skipped Op = '.'
)

// span is a run of text inside a line. Marked is what differs from the line's counterpart.
type span struct {
	text   string
	marked bool
	// cut is how many characters the span stands for, which has no text then.
	cut int
}

// Line is one line of a diff; Parts says how it is shown.
type Line struct {
	Op Op
	// Old and New are line numbers from 1, 0 where the line is not there.
	Old, New int
	spans    []span
	// Count is how many lines a skipped line stands for.
	Count int
}

// contextLines is how many unchanged lines stand around a change.
const contextLines = 3

// Texts compares two texts line by line. A newline counts as part of its line, so that one added
// or removed at the end of a text is a change like any other.
func Texts(before, after string) []Line {
	return Elements(splitLines(before), splitLines(after))
}

// splitLines cuts text after each newline; an empty text has no lines.
func splitLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// Elements compares two lists of lines and returns the lines to show, long unchanged runs summed up.
func Elements(before, after []string) []Line {
	var lines []Line
	i, j := 0, 0
	keep := func(until int) {
		for ; i < until; i, j = i+1, j+1 {
			lines = append(lines, Line{Op: Same, Old: i + 1, New: j + 1, spans: []span{{text: before[i]}}})
		}
	}
	for _, d := range lcs.DiffLines(before, after) {
		keep(d.Start)
		olds, news := before[d.Start:d.End], after[d.ReplStart:d.ReplEnd]
		oldSpans, newSpans := markWords(olds, news)
		for k := range olds {
			lines = append(lines, Line{Op: Removed, Old: d.Start + k + 1, spans: oldSpans[k]})
		}
		for k := range news {
			lines = append(lines, Line{Op: Added, New: d.ReplStart + k + 1, spans: newSpans[k]})
		}
		i, j = d.End, d.ReplEnd
	}
	keep(len(before))
	return collapseSame(lines)
}

// collapseSame replaces runs of unchanged lines that are far from any change by one skipped line. A run
// of one line is kept: naming it would take as much room.
func collapseSame(lines []Line) []Line {
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l.Op == Same {
			continue
		}
		for k := max(0, i-contextLines); k <= min(len(lines)-1, i+contextLines); k++ {
			near[k] = true
		}
	}
	var out []Line
	for i := 0; i < len(lines); {
		run := i
		for run < len(lines) && !near[run] {
			run++
		}
		switch {
		case run-i > 1:
			out = append(out, Line{Op: Skipped, Count: run - i})
			i = run
		default:
			out = append(out, lines[i])
			i++
		}
	}
	return out
}

// maxWords bounds the words of a line that is compared word by word: beyond it the line is marked as
// a whole, which costs nothing.
const maxWords = 4000

// markWords compares lines that were removed with lines that took their place, the first with the
// first and so on, and returns their spans. Lines without a counterpart, and lines that have too
// little in common for marks to help, are one unmarked span.
func markWords(olds, news []string) (oldSpans, newSpans [][]span) {
	oldSpans, newSpans = wholeLines(olds), wholeLines(news)
	for i := range min(len(olds), len(news)) {
		if a, b, ok := wordSpans(olds[i], news[i]); ok {
			oldSpans[i], newSpans[i] = a, b
		}
	}
	return oldSpans, newSpans
}

func wholeLines(lines []string) [][]span {
	spans := make([][]span, len(lines))
	for i, l := range lines {
		spans[i] = []span{{text: l}}
	}
	return spans
}

// wordSpans marks the words in which two lines differ. It is not ok where less than a third of the
// longer line is common and both are short enough to be shown whole.
func wordSpans(before, after string) (a, b []span, ok bool) {
	olds, news := splitWords(before), splitWords(after)
	if len(olds) > maxWords || len(news) > maxWords {
		a, b = endsApart(before, after)
		return a, b, true
	}
	common, i, j := 0, 0, 0
	for _, d := range lcs.DiffLines(olds, news) {
		keep := strings.Join(olds[i:d.Start], "")
		common += len(strings.TrimSpace(keep))
		a, b = appendSpan(a, keep, false), appendSpan(b, keep, false)
		a = appendSpan(a, strings.Join(olds[d.Start:d.End], ""), true)
		b = appendSpan(b, strings.Join(news[d.ReplStart:d.ReplEnd], ""), true)
		i, j = d.End, d.ReplEnd
	}
	keep := strings.Join(olds[i:], "")
	common += len(strings.TrimSpace(keep))
	a, b = appendSpan(a, keep, false), appendSpan(b, strings.Join(news[j:], ""), false)
	longer := max(len(strings.TrimSpace(before)), len(strings.TrimSpace(after)))
	if common*3 < longer && longer > MaxLineChars { // too long to be shown whole: at least what differs must be found
		a, b = endsApart(before, after)
		return a, b, true
	}
	return joinMarks(a), joinMarks(b), common*3 >= longer
}

// splitWords cuts a line into words, runs of white space, and single other characters.
func splitWords(s string) []string {
	var tokens []string
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		end := size
		if class := classOf(r); class != otherRune {
			for end < len(s) {
				next, n := utf8.DecodeRuneInString(s[end:])
				if classOf(next) != class {
					break
				}
				end += n
			}
		}
		tokens = append(tokens, s[:end])
		s = s[end:]
	}
	return tokens
}

// runeClass is the kind of character that a token is made of.
type runeClass int

const (
	otherRune runeClass = iota
	wordRune
	spaceRune
)

func classOf(r rune) runeClass {
	switch {
	case r == '\n':
		return otherRune // a newline is compared for itself, so that a lost one is seen
	case unicode.IsSpace(r):
		return spaceRune
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
		return otherRune // scripts without spaces are compared character by character
	case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), r == '_', r == '\'', r == '’':
		return wordRune
	default:
		return otherRune
	}
}

func appendSpan(spans []span, text string, marked bool) []span {
	if text == "" {
		return spans
	}
	if n := len(spans); n > 0 && spans[n-1].marked == marked {
		spans[n-1].text += text
		return spans
	}
	return append(spans, span{text: text, marked: marked})
}

// joinMarks marks the white space between two marked spans, so that a rewritten phrase reads as one.
func joinMarks(spans []span) []span {
	var out []span
	for i, s := range spans {
		blank := strings.TrimSpace(s.text) == "" && !strings.Contains(s.text, "\n")
		between := i > 0 && i < len(spans)-1
		out = appendSpan(out, s.text, s.marked || blank && between)
	}
	return out
}
