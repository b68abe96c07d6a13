package report

import (
	"bufio"
	"strings"
	"unicode/utf8"
)

// maxFieldLines bounds the lines that one field may take where not everything was asked for.
const maxFieldLines = 120

// maxLabel is the widest path that values are still lined up behind.
const maxLabel = 44

// fieldText writes the rows of one change, values lined up.
type fieldText struct {
	w     *bufio.Writer
	s     Style
	label int
}

// labelWidth returns the width that lines up the rows with a value on their own line.
func labelWidth(rows []row) int {
	width := 0
	for _, r := range rows {
		if n := utf8.RuneCountInString(r.path); r.lines == nil && n <= maxLabel {
			width = max(width, n)
		}
	}
	return width
}

func (t fieldText) row(r row) {
	t.w.WriteString("    ")
	t.w.WriteString(t.s.paint(inkOf(r.op), string(r.op)))
	t.w.WriteByte(' ')
	t.w.WriteString(r.path)
	if r.lines == nil {
		pad := max(0, t.label-utf8.RuneCountInString(r.path))
		t.w.WriteString(strings.Repeat(" ", pad+2))
		t.w.WriteString(t.value(r))
	}
	if len(r.notes) > 0 {
		t.w.WriteString("  ")
		t.w.WriteString(t.s.paint(dim, "("+strings.Join(r.notes, "; ")+")"))
	}
	t.w.WriteByte('\n')
	t.lines(r.lines)
	t.drift(r.drift)
}

// maxLineChars bounds one line of content where not everything was asked for.
const maxLineChars = 4000

// value writes a change that fits on one line.
func (t fieldText) value(r row) string {
	if !t.s.Verbose {
		r.before, r.after = elidePair(r.before, r.after, maxLineChars)
	}
	switch {
	case r.secret && r.op == changed:
		return r.after + " changed"
	case r.op == added:
		return r.after
	case r.op == removed:
		return r.before
	default:
		return t.s.paint(red, r.before) + " → " + t.s.paint(green, r.after)
	}
}

// lines writes a diff behind a bar. The bar tells content from the plan's own words, and it keeps
// content from standing first on a line, where a CI runner would look for commands.
func (t fieldText) lines(lines []line) {
	shown := lines
	if !t.s.Verbose && len(lines) > maxFieldLines {
		shown = lines[:maxFieldLines]
	}
	for _, l := range shown {
		t.w.WriteString("      ")
		t.w.WriteString(t.s.paint(dim, "│"))
		t.w.WriteByte(' ')
		t.line(l)
		t.w.WriteByte('\n')
	}
	if rest := len(lines) - len(shown); rest > 0 {
		t.w.WriteString("      " + t.s.paint(dim, "│ … "+count(rest, "more line")+", -v shows all") + "\n")
	}
}

func (t fieldText) line(l line) {
	if l.op == skipped {
		t.w.WriteString(t.s.paint(dim, "… "+count(l.count, "unchanged line")))
		return
	}
	i := inkOf(l.op)
	t.w.WriteString(t.s.paint(i, string(l.op)+" "))
	spans := l.spans
	if !t.s.Verbose {
		spans = elide(spans, maxLineChars)
	}
	for k, s := range spans {
		if s.cut > 0 {
			t.w.WriteString(t.s.paint(dim, cutWords(s.cut)))
			continue
		}
		text := visible(s.text, l.op, s.marked, k == len(spans)-1)
		if s.marked {
			t.w.WriteString(t.s.paint(i+";"+inverse, text))
		} else {
			t.w.WriteString(t.s.paint(i, text))
		}
	}
}

func (t fieldText) drift(d *driftColumns) {
	if d == nil {
		return
	}
	for _, text := range d.table() {
		t.w.WriteString("        " + t.s.paint(dim, strings.TrimRight(text, " ")) + "\n")
	}
}

func inkOf(o op) ink {
	switch o {
	case added:
		return green
	case removed:
		return red
	case changed:
		return yellow
	default:
		return ""
	}
}

// visible makes a span of a diff's line fit to be shown: sanitised, its final newline cut, and, where
// a change would hide in white space (a marked span of nothing else, or the end of a changed line),
// the white space drawn.
func visible(text string, o op, marked, last bool) string {
	body, newline := strings.CutSuffix(text, "\n")
	tail := ""
	if marked && newline && body == "" {
		tail = "⏎" // the newline itself is what changed
	}
	if o != same {
		blank := strings.TrimRight(body, " \t\r")
		switch {
		case marked && blank == "":
			body = drawSpace(body)
		case last:
			return sanitizeLine(blank) + drawSpace(body[len(blank):]) + tail
		}
	}
	return sanitizeLine(body) + tail
}

var spaceDrawer = strings.NewReplacer(" ", "·", "\t", "⇥", "\r", "␍")

// drawSpace draws white space.
func drawSpace(s string) string { return spaceDrawer.Replace(s) }
