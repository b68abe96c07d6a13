package report

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
)

// row is one difference made ready to be shown, whatever the medium: a value on one line, or a diff of
// lines or elements.
type row struct {
	op op
	// path is the dotted path, sanitised.
	path string
	// before and after are the values on one line, sanitised, empty where there is none.
	before, after string
	// secret reports that before and after only say that there is something.
	secret bool
	// lines is the diff of a long text or of a list's elements, nil for a value on one line.
	lines []line
	// notes say in a few words what the values do not show.
	notes []string
	// drift holds the three columns of a value that somebody else changed, nil otherwise.
	drift *driftColumns
}

// maxInline is how many characters a value may have to be shown on its field's own line.
const maxInline = 72

// notes that fields can have.
const (
	noteDefault    = "goes back to the platform's default"
	noteImmutable  = "cannot be changed: forces a replace"
	noteOnlySpace  = "only white space differs: · is a space, ⇥ a tab, ⏎ a line's end"
	noteNewlineIn  = "a newline is added at the end"
	noteNewlineOut = "the newline at the end is removed"
)

// rowsOf explains the fields of a change.
func rowsOf(c plan.Change) []row {
	var rows []row
	for _, f := range c.Differences() {
		first := len(rows)
		rows = appendRows(rows, f.Path, replaced(f), f.After, f.Secret)
		for i := first; i < len(rows); i++ {
			rows[i].annotate(c, f)
		}
		if f.Drift {
			explainDrift(rows[first:], f)
		}
	}
	return rows
}

// replaced returns the value that the change does away with: what is live where somebody else
// changed it, and what was last applied otherwise.
func replaced(f plan.FieldChange) any {
	if f.Drift {
		return f.Live
	}
	return f.Before
}

// annotate adds what is known of the whole field.
func (r *row) annotate(c plan.Change, f plan.FieldChange) {
	if r.op == removed && c.Action != plan.Delete {
		r.notes = append(r.notes, noteDefault)
	}
	if f.Immutable {
		r.notes = append(r.notes, noteImmutable)
	}
}

// appendRows adds the rows of one value: maps are taken apart down to their leaves.
func appendRows(rows []row, path string, before, after any, hidden bool) []row {
	b, isMapB := before.(map[string]any)
	a, isMapA := after.(map[string]any)
	apart := (isMapB || before == nil) && (isMapA || after == nil) && len(b)+len(a) > 0
	if !apart {
		return append(rows, rowOf(path, before, after, hidden))
	}
	keys := slices.Collect(maps.Keys(b))
	for k := range a {
		if _, both := b[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !agent.Equal(b[k], a[k]) {
			rows = appendRows(rows, path+"/"+agent.EscapePointer(k), b[k], a[k], hidden)
		}
	}
	return rows
}

// rowOf explains one value that is no map, or a map that took the place of something else.
func rowOf(path string, before, after any, hidden bool) row {
	r := row{op: opOf(before, after), path: shownPath(path)}
	if before != nil {
		r.before = compact(before)
	}
	if after != nil {
		r.after = compact(after)
	}
	if hidden || isSecret(before) || isSecret(after) {
		return r.hide(before, after)
	}
	if list, ok := listDiff(before, after); ok && r.isLong() {
		r.lines = list
		return r
	}
	olds, news, ok := texts(before, after)
	if ok && r.op == changed {
		if note := alikeNote(olds, news); note != "" {
			r.notes = append(r.notes, note)
		}
		var note string
		if olds, news, note = sameLineEnds(olds, news); note != "" {
			r.notes = append(r.notes, note)
			if olds == news {
				r.lines = []line{}
				return r
			}
		}
	}
	if !ok || !r.isLong() && !strings.Contains(olds, "\n") && !strings.Contains(news, "\n") {
		if ok && onlySpace(olds, news) && before != nil && after != nil {
			r.notes = append(r.notes, "only white space differs")
		}
		return r
	}
	r.lines = diffLines(olds, news)
	r.noteSpace(olds, news)
	return r
}

// hide leaves nothing of a secret but that it is there.
func (r row) hide(before, after any) row {
	r.secret = true
	r.before, r.after = "", ""
	if before != nil {
		r.before = compactOther(hiddenValue)
	}
	if after != nil {
		r.after = compactOther(hiddenValue)
	}
	return r
}

// isLong reports whether the values need lines of their own. An element-wise diff of a list that
// changed is easier to read than two short lists, so a changed list is always long.
func (r row) isLong() bool {
	if r.op == changed && (strings.HasPrefix(r.before, "[") && strings.HasPrefix(r.after, "[")) {
		return true
	}
	return utf8.RuneCountInString(r.before)+utf8.RuneCountInString(r.after) > maxInline
}

// noteSpace says what a reader would overlook in a diff of texts that both exist.
func (r *row) noteSpace(before, after string) {
	if r.op != changed {
		return
	}
	endsB, endsA := strings.HasSuffix(before, "\n"), strings.HasSuffix(after, "\n")
	switch {
	case strings.TrimSuffix(before, "\n") == strings.TrimSuffix(after, "\n") && endsA:
		r.notes = append(r.notes, noteNewlineIn)
	case strings.TrimSuffix(before, "\n") == strings.TrimSuffix(after, "\n") && endsB:
		r.notes = append(r.notes, noteNewlineOut)
	case onlySpace(before, after):
		r.notes = append(r.notes, noteOnlySpace)
	case endsA && !endsB:
		r.notes = append(r.notes, noteNewlineIn)
	case endsB && !endsA:
		r.notes = append(r.notes, noteNewlineOut)
	}
}

func opOf(before, after any) op {
	switch {
	case before == nil && after != nil:
		return added
	case before != nil && after == nil:
		return removed
	default:
		return changed
	}
}

// texts returns both values as strings; one of them may be missing.
func texts(before, after any) (b, a string, ok bool) {
	b, okB := before.(string)
	a, okA := after.(string)
	return b, a, (okB || before == nil) && (okA || after == nil) && (okB || okA)
}

// listDiff compares two lists element by element; one of them may be missing.
func listDiff(before, after any) ([]line, bool) {
	b, okB := before.([]any)
	a, okA := after.([]any)
	if !okB && before != nil || !okA && after != nil || !okB && !okA {
		return nil, false
	}
	return diffTokens(elements(b), elements(a)), true
}

func elements(list []any) []string {
	tokens := make([]string, len(list))
	for i, e := range list {
		tokens[i] = compact(e)
	}
	return tokens
}
