package manifest

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxShown is how many characters of a value a sentence shows.
const maxShown = 60

// clip shortens s for a sentence and neutralises what a terminal would act on.
func clip(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s[:min(len(s), 4*maxShown)])[:maxShown-1]) + "…"
	}
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unprintable(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// quoted returns s in double quotes, clipped.
func quoted(s string) string { return `"` + clip(s) + `"` }

// ticked returns s as a name in back-quotes, clipped.
func ticked(s string) string { return "`" + clip(s) + "`" }

// field writes a JSON pointer as a user would: integrationMeta.headers, tags[3].
func field(pointer string) string {
	var b strings.Builder
	for _, t := range tokens(pointer) {
		if _, err := strconv.Atoi(t); err == nil && b.Len() > 0 {
			b.WriteString("[" + t + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(clip(t))
	}
	return b.String()
}

// list writes words with commas and a last one joined by and.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// choice writes words with commas and a last one joined by or.
func choice(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// plural writes a number with its noun.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}

// DidYouMean ends a sentence about a name that is not known: "; did you mean `x`?" where one of words is a likely slip of
// it, else "".
func DidYouMean(name string, words []string) string { return didYouMean(name, words) }

// didYouMean returns "; did you mean `x`?" for the word that name most likely stands for, or "".
func didYouMean(name string, words []string) string {
	if best := nearest(name, words); best != "" {
		return "; did you mean " + ticked(best) + "?"
	}
	return ""
}

// nearest returns the word that name is a likely slip of, or "" where there is none or no single one.
func nearest(name string, words []string) string {
	if utf8.RuneCountInString(name) > maxShown {
		return ""
	}
	best, least := "", 1+max(1, utf8.RuneCountInString(name)/3)
	for _, w := range words {
		switch d := distance(strings.ToLower(name), strings.ToLower(w)); {
		case d < least:
			best, least = w, d
		case d == least:
			best = ""
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours between a and b.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			same := 1
			if s[i-1] == t[j-1] {
				same = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+same)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
