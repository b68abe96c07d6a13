package show

import (
	"strings"
	"testing"
)

// FuzzFence holds a fence to being closed by its own last line and by nothing before it, whatever its
// content, and a code span to the same.
func FuzzFence(f *testing.F) {
	for _, s := range []string{"", "```", "`````\n~~~\n```diff", "a\r\n````` \n", "\x00`", "  ```"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		body := ""
		for _, l := range strings.Split(s, "\n") {
			body += LineWithTabs(l) + "\n"
		}
		lines := strings.Split(strings.TrimSuffix(Fence("diff", body), "\n"), "\n")
		mark := strings.TrimSuffix(lines[0], "diff")
		for i, l := range lines[1:] {
			bare := strings.Trim(l, " \t")
			closes := strings.Trim(bare, "`") == "" && len(bare) >= len(mark)
			if last := i == len(lines)-2; closes != last {
				t.Fatalf("line %d of the fence around %q closes it: %v", i+1, s, closes)
			}
		}
		span := Code(s)
		ticks := len(span) - len(strings.TrimLeft(span, "`"))
		if inner := strings.Trim(span, "`"); longestRun(inner) >= ticks || strings.ContainsAny(inner, "\n|") {
			t.Fatalf("code span %q can be ended by its content", span)
		}
	})
}
