package report

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
	"agentsync/internal/report/textdiff"
	"agentsync/internal/secret"
)

// fieldRow is one difference made ready to be shown, whatever the form: a value on one line, or a diff of
// lines or elements.
type fieldRow struct {
	op textdiff.Op
	// path is the dotted path, sanitised.
	path string
	// before and after are the values on one line, sanitised, empty where there is none.
	before, after string
	// secret reports that before and after only say that there is something.
	secret bool
	// lines is the diff of a long text or of a list's elements, nil for a value on one line.
	lines []textdiff.Line
	// notes say in a few words what the values do not show.
	notes []string
	// drift holds a value that somebody else changed, nil for others: in the manifest, as last applied, and live.
	drift []string
}

// isSecretChange reports whether all that can be told is that a secret changed.
func (r *fieldRow) isSecretChange() bool { return r.secret && r.op == textdiff.Changed }

// maxInline is how many characters a value may have to be shown on its field's own line.
const maxInline = 72

// notes that fields can have.
const (
	noteDefault    = "goes back to the platform's default"
	noteImmutable  = "cannot be changed: forces a replace"
	noteOnlySpace  = "only white space differs"
	noteSpaceSigns = noteOnlySpace + ": · is a space, ⇥ a tab, ⏎ a line's end"
	noteNewlineIn  = "a newline is added at the end"
	noteNewlineOut = "the newline at the end is removed"
	noteDrift      = "changed outside agentsync"
)

// rowsOf explains the fields of a change.
func rowsOf(c plan.Change) []fieldRow {
	var rows []fieldRow
	for _, f := range c.Differences() {
		first, before := len(rows), f.Before
		if f.Drift {
			before = f.Live // what the change does away with is what is there
		}
		rows = appendRows(rows, f.Path, before, f.After, f.Secret)
		for i := first; i < len(rows); i++ {
			r := &rows[i]
			if r.op == textdiff.Removed && c.Action != plan.Delete {
				r.notes = append(r.notes, noteDefault)
			}
			if f.Immutable {
				r.notes = append(r.notes, noteImmutable)
			}
			if file := c.TextFiles[f.Path]; file != "" {
				r.notes = append(r.notes, "in "+show.Line(file))
			}
		}
		// Last, so that each row's own notes come first.
		if f.Drift {
			explainDrift(rows[first:], f)
		}
	}
	return rows
}

// appendRows adds the rows of one value: maps are taken apart down to their leaves.
func appendRows(rows []fieldRow, path string, before, after any, hidden bool) []fieldRow {
	b, isMapB := before.(map[string]any)
	a, isMapA := after.(map[string]any)
	apart := (isMapB || before == nil) && (isMapA || after == nil) && len(b)+len(a) > 0
	if !apart {
		return append(rows, rowOf(path, before, after, hidden))
	}
	keys := slices.AppendSeq(slices.Collect(maps.Keys(b)), maps.Keys(a))
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		// A map on one side alone is taken apart as well: of a new object each value is shown.
		if !agent.Equal(b[k], a[k]) {
			rows = appendRows(rows, path+"/"+agent.EscapePointer(k), b[k], a[k], hidden)
		}
	}
	return rows
}

// rowOf explains one value that is no map, or a map that took the place of something else.
func rowOf(path string, before, after any, hidden bool) fieldRow {
	r := fieldRow{op: textdiff.Changed, path: show.Path(path)}
	switch {
	case before == nil && after != nil:
		r.op = textdiff.Added
	case before != nil && after == nil:
		r.op = textdiff.Removed
	}
	// A secret is hidden before anything is compared: a diff or a note would tell of it.
	r.secret = hidden || secret.Is(before) || secret.Is(after)
	oneLine := func(v any) string {
		switch {
		case v == nil:
			return ""
		case r.secret:
			return secret.Placeholder
		}
		return show.Value(v)
	}
	if r.before, r.after = oneLine(before), oneLine(after); r.secret {
		return r
	}
	if list, ok := listDiff(before, after); ok && r.isLong() {
		r.lines = list
		return r
	}
	olds, isText := before.(string)
	news, isTextToo := after.(string)
	if !(isText || before == nil) || !(isTextToo || after == nil) || !isText && !isTextToo {
		return r
	}
	if r.op == textdiff.Changed {
		if note := textdiff.AlikeNote(olds, news); note != "" {
			r.notes = append(r.notes, note)
		}
		// Line ends come before the diff, which would show every line as changed.
		var note string
		if olds, news, note = textdiff.SameLineEnds(olds, news); note != "" {
			r.notes = append(r.notes, note)
			if olds == news {
				// Not nil: there is a diff, and it is empty, for the note says all.
				r.lines = []textdiff.Line{}
				return r
			}
		}
	}
	if !r.isLong() && !strings.Contains(olds+news, "\n") {
		if isText && isTextToo && textdiff.OnlySpace(olds, news) {
			r.notes = append(r.notes, noteOnlySpace)
		}
		return r
	}
	// Behind the notes about line ends: both sides have the same by now.
	r.lines = textdiff.Texts(olds, news)
	if note := spaceNote(olds, news); note != "" && r.op == textdiff.Changed {
		r.notes = append(r.notes, note)
	}
	return r
}

// isLong reports whether the values need lines of their own. An element-wise diff of a list that
// changed is easier to read than two short lists, so a changed list is always long.
func (r *fieldRow) isLong() bool {
	if r.op == textdiff.Changed && (strings.HasPrefix(r.before, "[") && strings.HasPrefix(r.after, "[")) {
		return true
	}
	return utf8.RuneCountInString(r.before)+utf8.RuneCountInString(r.after) > maxInline
}

// spaceNote says what a reader would overlook in a diff of two texts, or "".
func spaceNote(before, after string) string {
	olds, endsB := strings.CutSuffix(before, "\n")
	news, endsA := strings.CutSuffix(after, "\n")
	switch {
	case textdiff.OnlySpace(before, after) && olds != news:
		return noteSpaceSigns
	case endsA && !endsB:
		return noteNewlineIn
	case endsB && !endsA:
		return noteNewlineOut
	}
	return ""
}

// listDiff compares two lists element by element; one of them may be missing.
func listDiff(before, after any) ([]textdiff.Line, bool) {
	b, okB := before.([]any)
	a, okA := after.([]any)
	if !okB && before != nil || !okA && after != nil || !okB && !okA {
		return nil, false
	}
	elements := func(list []any) []string {
		tokens := make([]string, len(list))
		for i, e := range list {
			tokens[i] = show.Value(e)
		}
		return tokens
	}
	return textdiff.Elements(elements(b), elements(a)), true
}

// maxColumn bounds a column of a drift: longer values are told apart by the diff above them.
const maxColumn = 40

// explainDrift adds to the rows of a field that drifted what its three sides are: as columns where the
// values fit on one line, and in words beside a longer diff, which compares what is live with what is
// wanted.
func explainDrift(rows []fieldRow, f plan.FieldChange) {
	if len(rows) == 1 && rows[0].lines == nil && !rows[0].secret {
		rows[0].notes = append(rows[0].notes, noteDrift)
		for _, v := range []any{f.After, f.Before, f.Live} {
			side := "(not set)"
			if v != nil {
				side = show.Clip(show.Value(v), maxColumn)
			}
			rows[0].drift = append(rows[0].drift, side)
		}
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

// driftTable returns the three columns of a drift under their heads, nil for a row without.
func (r *fieldRow) driftTable() []string {
	if r.drift == nil {
		return nil
	}
	head, values := "", ""
	for i, name := range [...]string{"manifest", "last applied", "live"} {
		width := max(show.Width(r.drift[i]), len(name)) + 3
		head += show.Pad(name, width)
		values += show.Pad(r.drift[i], width)
	}
	return []string{strings.TrimRight(head, " "), strings.TrimRight(values, " ")}
}
