package report

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aymanbagabas/go-udiff/lcs"
)

// maxWords bounds the words of a line that is compared word by word: beyond it the line is marked as
// a whole, which costs nothing.
const maxWords = 4000

// markWords compares lines that were removed with lines that took their place, the first with the
// first and so on, and returns their spans. Lines without a counterpart, and lines that have too
// little in common for marks to help, are one unmarked span.
func markWords(olds, news []string) (oldSpans, newSpans [][]span) {
	oldSpans, newSpans = whole(olds), whole(news)
	for i := range min(len(olds), len(news)) {
		if a, b, ok := wordSpans(olds[i], news[i]); ok {
			oldSpans[i], newSpans[i] = a, b
		}
	}
	return oldSpans, newSpans
}

func whole(lines []string) [][]span {
	spans := make([][]span, len(lines))
	for i, l := range lines {
		spans[i] = []span{{text: l}}
	}
	return spans
}

// wordSpans marks the words in which two lines differ. It is not ok where less than a third of the
// longer line is common and both are short enough to be shown whole.
func wordSpans(before, after string) (a, b []span, ok bool) {
	olds, news := words(before), words(after)
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
	if common*3 < longer && longer > maxLineChars { // too long to be shown whole: at least what differs must be found
		a, b = endsApart(before, after)
		return a, b, true
	}
	return joinMarks(a), joinMarks(b), common*3 >= longer
}

// words cuts a line into words, runs of white space, and single other characters.
func words(s string) []string {
	var tokens []string
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		end := size
		if class := classOf(r); class != other {
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

// class is the kind of character that a token is made of.
type class int

const (
	other class = iota
	word
	space
)

func classOf(r rune) class {
	switch {
	case r == '\n':
		return other // a newline is compared for itself, so that a lost one is seen
	case unicode.IsSpace(r):
		return space
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
		return other // scripts without spaces are compared character by character
	case unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), r == '_', r == '\'', r == '’':
		return word
	default:
		return other
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
