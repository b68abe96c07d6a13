package report

import (
	"strings"
	"testing"
)

// FuzzDiffLines holds a diff to the truth: each line that it shows stands in the text at the number
// that it gives, what it skips is the same on both sides, and nothing is missing.
func FuzzDiffLines(f *testing.F) {
	f.Add("", "a")
	f.Add("a\nb\nc\n", "a\nc")
	f.Add(strings.Repeat("same\n", 30)+"x", strings.Repeat("same\n", 30)+"y\n")
	f.Add("one two  three\n", "one 2 three\t\n")
	f.Fuzz(func(t *testing.T, before, after string) {
		olds, news := splitLines(before), splitLines(after)
		i, j := 0, 0
		for _, l := range diffLines(before, after) {
			switch l.op {
			case skipped:
				for range l.count {
					if olds[i] != news[j] {
						t.Fatalf("line %d is skipped and differs: %q, %q", i+1, olds[i], news[j])
					}
					i, j = i+1, j+1
				}
				continue
			case same, removed:
				if l.old != i+1 || l.text() != olds[i] {
					t.Fatalf("old line %d is shown as number %d, %q", i+1, l.old, l.text())
				}
				i++
			}
			if l.op == same || l.op == added {
				if l.new != j+1 || l.text() != news[j] {
					t.Fatalf("new line %d is shown as number %d, %q", j+1, l.new, l.text())
				}
				j++
			}
		}
		if i != len(olds) || j != len(news) {
			t.Fatalf("%d of %d old and %d of %d new lines are told", i, len(olds), j, len(news))
		}
	})
}

func TestWordMarks(t *testing.T) {
	marks := func(spans []span) string {
		var b strings.Builder
		for _, s := range spans {
			if s.marked {
				b.WriteString("[" + s.text + "]")
			} else {
				b.WriteString(s.text)
			}
		}
		return b.String()
	}
	for _, tt := range []struct{ before, after, old, new string }{
		{"Close with a question.", "Close with one open question.", "Close with [a] question.", "Close with [one open] question."},
		{"don't stop", "don't go", "don't [stop]", "don't [go]"},
		{"価格は高い", "価格は安い", "価格は[高]い", "価格は[安]い"},
		{"end\n", "end", "end[\n]", "end"},
		{"nothing alike here", "quite other words", "nothing alike here", "quite other words"},
		{"", "new", "", "new"},
	} {
		olds, news := markWords([]string{tt.before}, []string{tt.after})
		if got := marks(olds[0]); got != tt.old {
			t.Errorf("%q became %q, want %q", tt.before, got, tt.old)
		}
		if got := marks(news[0]); got != tt.new {
			t.Errorf("%q became %q, want %q", tt.after, got, tt.new)
		}
	}
}
