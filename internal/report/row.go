package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
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
	if file := c.TextFiles[f.Path]; file != "" {
		r.notes = append(r.notes, "in "+Sanitize(file))
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
	if hidden || secret.Is(before) || secret.Is(after) {
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
		width := max(Cells(c), len(driftHeads[i])) + 3
		head += padCells(driftHeads[i], width)
		values += padCells(c, width)
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

// compact writes a value on one line, as JSON with spaces, everything in it sanitised. A secret is the
// placeholder.
func compact(v any) string {
	var b strings.Builder
	writeCompact(&b, v)
	return b.String()
}

func writeCompact(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case json.Number:
		b.WriteString(Sanitize(v.String()))
	case string:
		b.WriteString(quote(v))
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writeCompact(b, e)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quote(k))
			b.WriteString(": ")
			writeCompact(b, v[k])
		}
		b.WriteByte('}')
	default:
		b.WriteString(compactOther(v))
	}
}

// compactOther shows what Fields may hold beyond JSON: secrets. Anything else is a fault elsewhere
// and is named by its type, never by its content.
func compactOther(v any) string {
	if secret.Is(v) {
		return secret.Placeholder
	}
	return Sanitize(fmt.Sprintf("(%T)", v))
}

// Replacers are built once: building one costs more than using it.
var (
	quoteEscaper    = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// quote puts a string in double quotes, sanitised, so that its ends and its spaces can be seen.
func quote(s string) string {
	return `"` + Sanitize(quoteEscaper.Replace(s)) + `"`
}

// shownPath turns a JSON pointer into the dotted path that a person knows from the manifest:
// /integrationMeta/baseUrl is integrationMeta.baseUrl. A name with other characters is quoted.
func shownPath(pointer string) string {
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, t := range tokens {
		t = pointerUnescape.Replace(t)
		if !plainName(t) {
			t = quote(t)
		}
		tokens[i] = t
	}
	return strings.Join(tokens, ".")
}

func plainName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

// shellWord quotes data for a command that a person may copy: nothing in it is an operator, a
// substitution or an option to the shell.
func shellWord(s string) string {
	safe := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !plainName(string(r)) && r != '.' && r != '/'
	})
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(Sanitize(s), "'", `'\''`) + "'"
}
