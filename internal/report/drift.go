package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
)

// noteDrift marks a value that differs at the platform from what was seen there after the last apply.
const noteDrift = "changed outside agentsync"

// hiddenValue is what is shown of any secret.
var hiddenValue = secret.Sealed{}

// driftColumns are the three sides of a value that somebody else changed, each on one line and
// sanitised.
type driftColumns struct {
	manifest, applied, live string
}

// driftHeads are the columns' names.
var driftHeads = [...]string{"manifest", "last applied", "live"}

// explainDrift adds to the rows of a field that drifted what its three sides are: as columns where the
// values fit on one line, and in words beside a longer diff, which compares what is live with what is
// wanted.
func explainDrift(rows []row, f plan.FieldChange) {
	if len(rows) == 1 && rows[0].lines == nil && !rows[0].secret {
		rows[0].notes = append(rows[0].notes, noteDrift)
		rows[0].drift = &driftColumns{manifest: side(f.After), applied: side(f.Before), live: side(f.Live)}
		return
	}
	note := noteDrift + "; the manifest is as last applied"
	if !agent.Equal(f.Before, f.After) {
		note = noteDrift + "; the manifest changed as well"
	}
	for i := range rows {
		rows[i].notes = append(rows[i].notes, note)
	}
}

// maxColumn bounds a column: longer values are told apart by the diff above them.
const maxColumn = 40

func side(v any) string {
	if v == nil {
		return "(not set)"
	}
	return clip(compact(v), maxColumn)
}

// table returns the three columns under their heads.
func (d driftColumns) table() []string {
	cells := [...]string{d.manifest, d.applied, d.live}
	head, values := "", ""
	for i, c := range cells {
		width := max(utf8.RuneCountInString(c), len(driftHeads[i])) + 3
		head += fmt.Sprintf("%-*s", width, driftHeads[i])
		values += fmt.Sprintf("%-*s", width, c)
	}
	return []string{head, values}
}

// clip cuts s to n characters, the last of them an ellipsis.
func clip(s string, n int) string {
	switch {
	case len(s) <= n || utf8.RuneCountInString(s) <= n:
		return s
	case n <= 1: // a terminal of one column
		return strings.Repeat("…", max(n, 0))
	}
	return string([]rune(s)[:n-1]) + "…"
}
