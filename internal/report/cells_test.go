package report

import (
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
)

func TestCells(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "plain": 5, "東京": 4, "e\u0301": 1, "👨‍👩‍👧": 2, "🇩🇪": 2, "❤️": 2, "👍🏽": 2, "한글": 4, "… → ±": 5, "ｱ": 1,
	} {
		if got := Cells(s); got != want {
			t.Errorf("%q takes %d columns, want %d", s, got, want)
		}
	}
}

func TestClipCells(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"plain", 5, "plain"}, {"plain", 4, "pla…"}, {"plain", 1, "…"}, {"plain", 0, ""},
		{"東京都", 5, "東京…"}, {"東京都", 4, "東…"}, {"a👨‍👩‍👧b", 3, "a…"}, {"a👨‍👩‍👧b", 4, "a👨‍👩‍👧b"},
	} {
		if got := clipCells(c.s, c.n); got != c.want || Cells(got) > c.n {
			t.Errorf("%q in %d columns: %q, want %q", c.s, c.n, got, c.want)
		}
	}
}

func TestColumns(t *testing.T) {
	long := strings.Repeat("x", maxColumnCells+1)
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

// TestLiveFollowsAResize: the line is cut at the width that the terminal has when it is drawn, in columns.
func TestLiveFollowsAResize(t *testing.T) {
	width := 80
	l := &live{s: Style{Width: 80, Columns: func() int { return width }}, total: 10, inFlight: map[agent.Address]bool{}, apps: loads{}}
	var b strings.Builder
	l.w, l.waiting = &b, "東京/acme: waiting for what the platform says"
	now := time.Now()
	l.pace.start, l.waitedAt = now, now
	for _, width = range []int{80, 24, 12, 80, 1} {
		b.Reset()
		l.draw(now)
		shown := strings.TrimSuffix(strings.TrimPrefix(b.String(), "\r"), "\x1b[K")
		if n := Cells(shown); n > max(width-1, 1) || width > 20 && !strings.HasPrefix(shown, "0/10 done · 東京") {
			t.Errorf("%d columns in a terminal of %d: %q", n, width, shown)
		}
	}
}
