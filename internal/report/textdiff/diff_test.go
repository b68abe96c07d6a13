package textdiff

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
		for _, l := range Texts(before, after) {
			switch l.Op {
			case Skipped:
				for range l.Count {
					if olds[i] != news[j] {
						t.Fatalf("line %d is skipped and differs: %q, %q", i+1, olds[i], news[j])
					}
					i, j = i+1, j+1
				}
				continue
			case Same, Removed:
				if l.Old != i+1 || l.text() != olds[i] {
					t.Fatalf("old line %d is shown as number %d, %q", i+1, l.Old, l.text())
				}
				i++
			}
			if l.Op == Same || l.Op == Added {
				if l.New != j+1 || l.text() != news[j] {
					t.Fatalf("new line %d is shown as number %d, %q", j+1, l.New, l.text())
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
		{"Close with a question.", "Close with one open question.", "Close with [a] question.",
			"Close with [one open] question."},
		{"don't stop", "don't go", "don't [stop]", "don't [go]"},
		{"価格は高い", "価格は安い", "価格は[高]い", "価格は[安]い"},
		{"end\n", "end", "end[\n]", "end"},
		{"nothing alike here", "quite other words", "nothing alike here", "quite other words"},
		{"", "new", "", "new"},
	} {
		t.Run(tt.before+" to "+tt.after, func(t *testing.T) {
			olds, news := markWords([]string{tt.before}, []string{tt.after})
			if got := marks(olds[0]); got != tt.old {
				t.Errorf("%q became %q, want %q", tt.before, got, tt.old)
			}
			if got := marks(news[0]); got != tt.new {
				t.Errorf("%q became %q, want %q", tt.after, got, tt.new)
			}
		})
	}
}

// Texts that look the same get a note of what differs; texts in which a difference can be seen get none.
func TestAlikeNote(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{"caf\u00e9", "cafe\u0301", "looks the same: U+00E9 → U+0065 U+0301"},
		{"cafe\u0301 au lait", "caf\u00e9 au lait", "looks the same: U+0065 U+0301 → U+00E9"},
		{"paypal", "p\u0430ypal", "looks the same: U+0061 → U+0430"},
		{"a b", "a\u00a0b", "looks the same: U+0020 → U+00A0"},
		{"ABC", "\uff21\uff22\uff23", "looks the same: U+0041 → U+FF21, U+0042 → U+FF22, U+0043 → U+FF23"},
		{"aaaa", "\u0430\u0430\u0430\u0430", "looks the same: U+0061 → U+0430, U+0061 → U+0430, U+0061 → U+0430, …"},
		{"it's", "it\u2019s", "looks the same: U+0027 → U+2019"},
		{"paypal", "p\u0430ypals", ""},
		{"Bot", "Boot", ""},
		{"東京", "西京", ""},
		{"cafe", "caf\u00e9", ""},
		{"e\u0301", "e\u0300", ""},
		{"same", "same", ""},
		{"", "x", ""},
	} {
		t.Run(tt.before+" to "+tt.after, func(t *testing.T) {
			if got := AlikeNote(tt.before, tt.after); got != tt.want {
				t.Errorf("%q, %q: %q, want %q", tt.before, tt.after, got, tt.want)
			}
		})
	}
}

// text returns the line without marks.
func (l Line) text() string {
	if len(l.spans) == 1 {
		return l.spans[0].text
	}
	var b strings.Builder
	for _, s := range l.spans {
		b.WriteString(s.text)
	}
	return b.String()
}
