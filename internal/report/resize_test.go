package report

import (
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/report/show"
)

// TestLiveFollowsAResize: the line is cut at the width that the terminal has when it is drawn, in columns.
func TestLiveFollowsAResize(t *testing.T) {
	width := 80
	l := &liveLine{s: Style{Width: 80, Columns: func() int { return width }}, total: 10,
		inFlight: map[agent.Address]bool{}, apps: appLoads{}}
	var b strings.Builder
	l.w, l.waiting = &b, "東京/acme: waiting for what the platform says"
	now := time.Now()
	l.pace.start, l.waitedAt = now, now
	for _, width = range []int{80, 24, 12, 80, 1} {
		b.Reset()
		l.draw(now)
		shown := strings.TrimSuffix(strings.TrimPrefix(b.String(), "\r"), "\x1b[K")
		if n := show.Width(shown); n > max(width-1, 1) || width > 20 && !strings.HasPrefix(shown, "0/10 done · 東京") {
			t.Errorf("%d columns in a terminal of %d: %q", n, width, shown)
		}
	}
}
