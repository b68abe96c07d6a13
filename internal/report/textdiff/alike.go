package textdiff

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// OnlySpace reports whether two different texts differ in white space alone.
func OnlySpace(before, after string) bool {
	return before != after && slices.Equal(strings.Fields(before), strings.Fields(after))
}

// lookalikes maps letters, signs and spaces to the ASCII character that a reader takes them for.
var lookalikes = lookalikeTable(
	"аa", "еe", "оo", "рp", "сc", "уy", "хx", "іi", "јj", "ѕs", "һh", "ԁd", "ԛq", "ԝw", "ӏl",
	"АA", "ВB", "ЕE", "КK", "МM", "НH", "ОO", "РP", "СC", "ТT", "ХX", "ІI", "ЈJ", "ЅS", "УY",
	"αa", "οo", "νv", "ρp", "ιi", "υu", "ΑA", "ΒB", "ΕE", "ΖZ", "ΗH", "ΙI", "ΚK", "ΜM", "ΝN", "ΟO", "ΡP", "ΤT", "ΥY",
	"ΧX",
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

// AlikeNote says in what two different texts differ that look the same: by the code points of the first differences. It
// is "" where a reader can see a difference, or there is none.
func AlikeNote(before, after string) string {
	olds, news := []rune(before), []rune(after)
	var found []string
	i, j := 0, 0
	for i < len(olds) || j < len(news) {
		if i < len(olds) && j < len(news) && olds[i] == news[j] && !isCombined(olds, i) && !isCombined(news, j) {
			i, j = i+1, j+1
			continue
		}
		a, b := letterAt(olds, i), letterAt(news, j)
		if !looksAlike(a, b) {
			return ""
		}
		if string(a) != string(b) && len(found) <= maxAlike {
			found = append(found, codePoints(a)+" → "+codePoints(b))
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

// isCombined reports whether the character at i has marks behind it that are drawn over it.
func isCombined(runes []rune, i int) bool {
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

// looksAlike reports whether two characters, with their marks, are drawn alike: the same, one that a reader takes for
// the other, or one letter that is composed in one text and has its mark beside it in the other.
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

// codePoints writes code points as Unicode does.
func codePoints(runes []rune) string {
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

// SameLineEnds returns both texts with the same line ends where all of them changed, and a note that says so once: a
// diff of each line would hide the word that changed as well.
func SameLineEnds(before, after string) (b, a, note string) {
	was, is := lineEnds(before), lineEnds(after)
	if was == "" || is == "" || was == is {
		return before, after, ""
	}
	plain := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
	return plain(before), plain(after), "every line's end changes from " + was + " to " + is
}
