package report

import (
	"strings"
	"unicode/utf8"
)

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
