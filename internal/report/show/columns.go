package show

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Columns of a terminal are cells: 東 takes two of them, and an emoji of five code points takes two as well.

// Width returns how many columns of a terminal s takes. Control characters take none; Line comes first.
func Width(s string) int {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return uniseg.StringWidth(s)
		}
	}
	return len(s)
}

// Pad adds blanks to s until it takes n columns.
func Pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-Width(s))) }

// ClipWidth cuts s to n columns, the last of them an ellipsis. It cuts between what a reader takes for
// characters.
func ClipWidth(s string, n int) string {
	if Width(s) <= n {
		return s
	}
	if n < 1 {
		return ""
	}
	kept, used := 0, 0
	for rest, state := s, -1; rest != ""; {
		var cluster string
		var wide int
		cluster, rest, wide, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if used+wide > n-1 {
			break
		}
		kept, used = kept+len(cluster), used+wide
	}
	return s[:kept] + "…"
}

// maxColumnWidth is the widest column that the ones behind it are still lined up with.
const maxColumnWidth = 60

// Columns writes rows with their columns lined up, two blanks between them, everything in them sanitised. A value that
// is wider than most pushes its own row alone.
func Columns(b *strings.Builder, rows [][]string) {
	var widths []int
	clean := make([][]string, len(rows))
	for i, row := range rows {
		clean[i] = make([]string, len(row))
		for k, value := range row {
			clean[i][k] = Line(value)
			if k == 0 {
				clean[i][k] = LineStart(value)
			}
			if k == len(widths) {
				widths = append(widths, 0)
			}
			if n := Width(clean[i][k]); n <= maxColumnWidth {
				widths[k] = max(widths[k], n)
			}
		}
	}
	for _, row := range clean {
		for k, value := range row {
			if k < len(row)-1 {
				value = Pad(value, widths[k]) + "  "
			}
			b.WriteString(value)
		}
		b.WriteByte('\n')
	}
}
