package diag

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxShown is how many characters of a value a sentence shows.
const maxShown = 60

// Clip shortens s for a sentence and neutralises what a terminal would act on.
func Clip(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s[:min(len(s), 4*maxShown)])[:maxShown-1]) + "…"
	}
	if strings.IndexFunc(s, isUnprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !isUnprintable(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

func isUnprintable(r rune) bool { return !strconv.IsPrint(r) }

// Quoted returns s in double quotes, clipped.
func Quoted(s string) string { return `"` + Clip(s) + `"` }

// Ticked returns s as a name in back-quotes, clipped.
func Ticked(s string) string { return "`" + Clip(s) + "`" }

// And writes words with commas and a last one joined by and.
func And(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// Or writes words with commas and a last one joined by or.
func Or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Plural writes a number with its noun.
func Plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Count(n) + " " + one + "s"
}

// DidYouMean ends a sentence about a name that is not known: "; did you mean `x`?" where one of words is a likely slip
// of it, else "".
func DidYouMean(name string, words []string) string {
	if best := Nearest(name, words); best != "" {
		return "; did you mean " + Ticked(best) + "?"
	}
	return ""
}

// Nearest returns the word that name is a likely slip of, or "" where there is none or no single one.
func Nearest(name string, words []string) string {
	if utf8.RuneCountInString(name) > maxShown {
		return ""
	}
	best, least := "", 1+max(1, utf8.RuneCountInString(name)/3)
	for _, w := range words {
		switch d := editDistance(strings.ToLower(name), strings.ToLower(w)); {
		case d < least:
			best, least = w, d
		case d == least:
			best = ""
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours between a and b.
func editDistance(a, b string) int {
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

// Count writes a number with commas: 2,000,000.
func Count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Size writes a number of bytes in the largest unit that divides it.
func Size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB"}
	for n >= 1024 && n%1024 == 0 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", n, units[0]))
}
