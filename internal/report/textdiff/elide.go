package textdiff

import (
	"strings"
	"unicode/utf8"

	"agentsync/internal/diag"
	"agentsync/internal/report/show"
)

// MaxLineChars is the bound of one line, and of one value, where not everything was asked for.
const MaxLineChars = 4000

// Part is a stretch of a line as it is shown: sanitised, without the line's end. Marked is what differs from the line's
// counterpart, Cut are words that stand for characters that are left out.
type Part struct {
	Text        string
	Marked, Cut bool
}

// Parts returns what is shown of a line: about most characters around what differs, or all of them where most is 0.
func (l Line) Parts(most int) []Part {
	spans := l.spans
	if most > 0 {
		spans = elideSpans(spans, most)
	}
	parts := make([]Part, len(spans))
	for i, s := range spans {
		parts[i] = Part{Marked: s.marked, Cut: s.cut > 0}
		if s.cut > 0 {
			parts[i].Text = cutWords(s.cut)
		} else {
			parts[i].Text = visibleText(s.text, l.Op, s.marked, i == len(spans)-1)
		}
	}
	return parts
}

// SkippedWords stand for the lines that a Skipped line stands for.
func (l Line) SkippedWords() string { return "… " + diag.Plural(l.Count, "unchanged line") }

// visibleText makes a span of a diff's line fit to be shown: sanitised, its final newline cut, and, where
// a change would hide in white space (a marked span of nothing else, or the end of a changed line),
// the white space drawn.
func visibleText(text string, o Op, marked, last bool) string {
	body, newline := strings.CutSuffix(text, "\n")
	tail := ""
	if marked && newline && body == "" {
		tail = "⏎" // the newline itself is what changed
	}
	if o != Same {
		blank := strings.TrimRight(body, " \t\r")
		switch {
		case marked && blank == "":
			body = spaceDrawer.Replace(body)
		case last:
			return show.LineWithTabs(blank) + spaceDrawer.Replace(body[len(blank):]) + tail
		}
	}
	return show.LineWithTabs(body) + tail
}

// spaceDrawer draws white space.
var spaceDrawer = strings.NewReplacer(" ", "·", "\t", "⇥", "\r", "␍")

// aroundChange is how many characters of a long line are shown before and after what differs in it.
const aroundChange = 120

// elideSpans cuts a line to about most characters, around what differs in it: two long lines that differ at their ends
// must not look the same. What is left out is counted, by spans that hold nothing but that count.
func elideSpans(spans []span, most int) []span {
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
func cutWords(n int) string { return "[… " + diag.Plural(n, "character") + " …]" }

// ElidePair cuts two values on one line to MaxLineChars so that what differs in them is seen.
func ElidePair(before, after string) (b, a string) {
	if utf8.RuneCountInString(before) <= MaxLineChars && utf8.RuneCountInString(after) <= MaxLineChars {
		return before, after
	}
	olds, news := endsApart(before, after)
	return elidedText(elideSpans(olds, MaxLineChars)), elidedText(elideSpans(news, MaxLineChars))
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

// endsApart marks what stands between the common beginning and the common end of two texts. One that has no counterpart
// is left as it is.
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
