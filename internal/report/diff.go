package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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

// aroundChange is how many characters of a long line are shown before and after what differs in it.
const aroundChange = 120

// elide cuts a line to about most characters, around what differs in it: two long lines that differ at their ends must not
// look the same. What is left out is counted, by spans that hold nothing but that count.
func elide(spans []span, most int) []span {
	total := 0
	for _, s := range spans {
		total += utf8.RuneCountInString(s.text)
	}
	if total <= most {
		return spans
	}
	var out []span
	shown, left := 0, 0
	for i, s := range spans {
		head, tail := most/4, most/4 // of what differs
		switch {
		case len(spans) == 1:
			head, tail = most*3/4, most/4
		case !s.marked:
			head, tail = aroundChange, aroundChange
			if i == 0 {
				head = 0
			}
			if i == len(spans)-1 {
				tail = 0
			}
		}
		n := utf8.RuneCountInString(s.text)
		if shown >= most { // too many small differences
			left += n
			continue
		}
		parts := cutMiddle(s, head, tail, n)
		for _, p := range parts {
			shown += utf8.RuneCountInString(p.text)
		}
		out = append(out, parts...)
	}
	if left > 0 {
		out = append(out, span{cut: left})
	}
	return out
}

// cutMiddle keeps the first and the last characters of a span of n characters.
func cutMiddle(s span, head, tail, n int) []span {
	const notWorthIt = 40 // as long as the words that would stand in its place
	if n <= head+tail+notWorthIt {
		return []span{s}
	}
	runes := []rune(s.text)
	var out []span
	if head > 0 {
		out = append(out, span{text: string(runes[:head]), marked: s.marked})
	}
	out = append(out, span{cut: n - head - tail})
	if tail > 0 {
		out = append(out, span{text: string(runes[n-tail:]), marked: s.marked})
	}
	return out
}

// cutWords stand for characters that are left out.
func cutWords(n int) string { return "[… " + count(n, "character") + " …]" }

// elidePair cuts two values on one line so that what differs in them is seen.
func elidePair(before, after string, most int) (b, a string) {
	if utf8.RuneCountInString(before) <= most && utf8.RuneCountInString(after) <= most {
		return before, after
	}
	olds, news := endsApart(before, after)
	return elidedText(elide(olds, most)), elidedText(elide(news, most))
}

func elidedText(spans []span) string {
	var b strings.Builder
	for _, s := range spans {
		if s.cut > 0 {
			b.WriteString(cutWords(s.cut))
		}
		b.WriteString(s.text)
	}
	return b.String()
}

// endsApart marks what stands between the common beginning and the common end of two texts. One that has no counterpart is
// left as it is.
func endsApart(before, after string) (olds, news []span) {
	if before == "" || after == "" {
		return []span{{text: before}}, []span{{text: after}}
	}
	start := commonStart(before, after)
	end := commonEnd(before[start:], after[start:])
	apart := func(s string) []span {
		var spans []span
		spans = appendSpan(spans, s[:start], false)
		spans = appendSpan(spans, s[start:len(s)-end], true)
		return appendSpan(spans, s[len(s)-end:], false)
	}
	return apart(before), apart(after)
}

// commonStart returns the length in bytes of what two texts begin with, whole characters alone.
func commonStart(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && (n < len(a) && !utf8.RuneStart(a[n]) || n < len(b) && !utf8.RuneStart(b[n])) {
		n--
	}
	return n
}

// commonEnd returns the length in bytes of what two texts end with, whole characters alone.
func commonEnd(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	for n > 0 && !utf8.RuneStart(a[len(a)-n]) {
		n--
	}
	return n
}

// lookalikes maps letters, signs and spaces to the ASCII character that a reader takes them for.
var lookalikes = lookalikeTable(
	"аa", "еe", "оo", "рp", "сc", "уy", "хx", "іi", "јj", "ѕs", "һh", "ԁd", "ԛq", "ԝw", "ӏl",
	"АA", "ВB", "ЕE", "КK", "МM", "НH", "ОO", "РP", "СC", "ТT", "ХX", "ІI", "ЈJ", "ЅS", "УY",
	"αa", "οo", "νv", "ρp", "ιi", "υu", "ΑA", "ΒB", "ΕE", "ΖZ", "ΗH", "ΙI", "ΚK", "ΜM", "ΝN", "ΟO", "ΡP", "ΤT", "ΥY", "ΧX",
	"‐-", "‑-", "‒-", "–-", "—-", "−-", "’'", "‘'", "“\"", "”\"", "\u00a0 ", "\u2007 ", "\u202f ", "\u2009 ", "ıi",
)

func lookalikeTable(pairs ...string) map[rune]rune {
	table := make(map[rune]rune, len(pairs))
	for _, p := range pairs {
		r, size := utf8.DecodeRuneInString(p)
		table[r], _ = utf8.DecodeRuneInString(p[size:])
	}
	return table
}

// seenAs returns the character that a reader takes r for. Full-width forms are ASCII with more room.
func seenAs(r rune) rune {
	if ascii, ok := lookalikes[r]; ok {
		return ascii
	}
	if r >= 0xff01 && r <= 0xff5e {
		return r - 0xfee0
	}
	return r
}

// maxAlike is how many differences are named in a note.
const maxAlike = 3

// alikeNote says in what two different texts differ that look the same: by the code points of the first differences. It is
// "" where a reader can see a difference, or there is none.
func alikeNote(before, after string) string {
	olds, news := []rune(before), []rune(after)
	var found []string
	i, j := 0, 0
	for i < len(olds) || j < len(news) {
		if i < len(olds) && j < len(news) && olds[i] == news[j] && !combines(olds, i) && !combines(news, j) {
			i, j = i+1, j+1
			continue
		}
		a, b := letterAt(olds, i), letterAt(news, j)
		if !looksAlike(a, b) {
			return ""
		}
		if string(a) != string(b) && len(found) <= maxAlike {
			found = append(found, points(a)+" → "+points(b))
		}
		i, j = i+len(a), j+len(b)
	}
	if found == nil {
		return ""
	}
	if len(found) > maxAlike {
		found[maxAlike] = "…"
	}
	return "looks the same: " + strings.Join(found, ", ")
}

// combines reports whether the character at i has marks behind it that are drawn over it.
func combines(runes []rune, i int) bool {
	return i+1 < len(runes) && unicode.Is(unicode.Mn, runes[i+1])
}

// letterAt returns the character at i with its marks.
func letterAt(runes []rune, i int) []rune {
	end := i
	for end < len(runes) && (end == i || unicode.Is(unicode.Mn, runes[end])) {
		end++
	}
	return runes[i:end]
}

// looksAlike reports whether two characters, with their marks, are drawn alike: the same, one that a reader takes for the
// other, or one letter that is composed in one text and has its mark beside it in the other.
func looksAlike(a, b []rune) bool {
	switch {
	case len(a) == 0 || len(b) == 0:
		return false
	case len(a) == len(b):
		for i := range a {
			if seenAs(a[i]) != seenAs(b[i]) {
				return false
			}
		}
		return true
	case len(a) > len(b):
		a, b = b, a
	}
	// b has more marks: a must be a letter that has one in itself.
	return len(a) == 1 && a[0] >= utf8.RuneSelf && unicode.IsLetter(a[0]) && unicode.IsLetter(b[0]) && a[0] != b[0]
}

// points writes code points as Unicode does.
func points(runes []rune) string {
	parts := make([]string, len(runes))
	for i, r := range runes {
		parts[i] = fmt.Sprintf("U+%04X", r)
	}
	return strings.Join(parts, " ")
}

// lineEnds tells how the lines of a text end: "CRLF", "LF", or "" where there are both or none.
func lineEnds(s string) string {
	all, crlf := strings.Count(s, "\n"), strings.Count(s, "\r\n")
	switch {
	case all == 0 || crlf > 0 && crlf < all:
		return ""
	case crlf > 0:
		return "CRLF"
	}
	return "LF"
}

// sameLineEnds returns both texts with the same line ends where all of them changed, and a note that says so once: a diff of
// each line would hide the word that changed as well.
func sameLineEnds(before, after string) (b, a, note string) {
	was, is := lineEnds(before), lineEnds(after)
	if was == "" || is == "" || was == is {
		return before, after, ""
	}
	plain := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
	return plain(before), plain(after), "every line's end changes from " + was + " to " + is
}
