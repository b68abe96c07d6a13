package show

import (
	"fmt"
	"strings"
	"testing"
)

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "plain": 5, "東京": 4, "e\u0301": 1, "👨‍👩‍👧": 2, "🇩🇪": 2, "❤️": 2, "👍🏽": 2, "한글": 4, "… → ±": 5, "ｱ": 1,
	} {
		t.Run(s, func(t *testing.T) {
			if got := Width(s); got != want {
				t.Errorf("%q takes %d columns, want %d", s, got, want)
			}
		})
	}
}

func TestClipWidth(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"plain", 5, "plain"}, {"plain", 4, "pla…"}, {"plain", 1, "…"}, {"plain", 0, ""},
		{"東京都", 5, "東京…"}, {"東京都", 4, "東…"}, {"a👨‍👩‍👧b", 3, "a…"}, {"a👨‍👩‍👧b", 4, "a👨‍👩‍👧b"},
	} {
		t.Run(fmt.Sprint(c.s, " to ", c.n), func(t *testing.T) {
			if got := ClipWidth(c.s, c.n); got != c.want || Width(got) > c.n {
				t.Errorf("%q in %d columns: %q, want %q", c.s, c.n, got, c.want)
			}
		})
	}
}

func TestColumns(t *testing.T) {
	long := strings.Repeat("x", maxColumnWidth+1)
	var b strings.Builder
	Columns(&b, [][]string{{"a", "東京", "1"}, {"::error::b", "e\u0301", "2"}, {"c", long, "3"}, {"d\x1b[2J", "", "4"}})
	want := "a              東京  1\n" +
		"\\x3a:error::b  e\u0301     2\n" +
		"c              " + long + "  3\n" +
		"d\\x1b[2J             4\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
