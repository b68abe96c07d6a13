package report

import (
	"strings"
	"testing"

	"agentsync/internal/report/textdiff"
)

// TestLineEndsAreSaidOnce: line ends that change everywhere are said once, and the word that changed is the only line
// that differs.
func TestLineEndsAreSaidOnce(t *testing.T) {
	const was = "one\r\ntwo\r\nthree\r\nfour\r\n"
	for _, c := range []struct {
		name, after string
		differ      int
		everywhere  bool
	}{
		{"ends alone", strings.ReplaceAll(was, "\r\n", "\n"), 0, true},
		{"ends and a word", strings.ReplaceAll(strings.Replace(was, "two", "2", 1), "\r\n", "\n"), 2, true},
		{"one end", strings.Replace(was, "two\r\n", "two\n", 1), 2, false},
		{"ends and a line", strings.ReplaceAll(was, "\r\n", "\n") + "five\n", 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rowOf("/agentPurpose", was, c.after, false)
			differ := 0
			for _, l := range r.lines {
				if l.Op == textdiff.Added || l.Op == textdiff.Removed {
					differ++
				}
			}
			said := strings.Count(strings.Join(r.notes, "; "), "every line's end changes from CRLF to LF")
			if differ != c.differ || (said == 1) != c.everywhere || r.lines == nil {
				t.Errorf("%q: %d lines differ, want %d; notes %q", c.after, differ, c.differ, r.notes)
			}
		})
	}
}
