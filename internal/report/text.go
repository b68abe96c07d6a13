package report

import (
	"bufio"
	"io"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
	"agentsync/internal/report/textdiff"
)

// Style is how text looks. The zero Style is right for a pipe: no colour, no width, bounded.
type Style struct {
	// Color allows ANSI colours. They never carry meaning alone: each has a symbol or a word beside it.
	Color bool
	// Width is the terminal's width in columns, 0 where there is no terminal.
	Width int
	// Columns returns the width as it is now, for what is drawn again and again; nil where there is no terminal.
	Columns func() int
	// Source finds the lines that problems are at, for a person who looks at a terminal; nil for a pipe and for CI.
	Source diag.Source
	// Verbose shows everything: no change, line or result is summed up.
	Verbose bool
	// Quiet leaves out progress.
	Quiet bool
	// MaxChanges bounds how many changes are shown in full; 0 stands for 200. Verbose lifts it.
	MaxChanges int
}

// defaultMaxChanges is what a person can still be expected to scroll through.
const defaultMaxChanges = 200

func (s Style) maxChanges() int {
	if s.MaxChanges > 0 {
		return s.MaxChanges
	}
	return defaultMaxChanges
}

// inkCode is the parameter of an ANSI "select graphic rendition" sequence.
type inkCode string

const (
	bold    inkCode = "1"
	dim     inkCode = "2"
	red     inkCode = "31"
	green   inkCode = "32"
	yellow  inkCode = "33"
	magenta inkCode = "35"
	cyan    inkCode = "36"
	inverse inkCode = "7"
)

// paint wraps text in colour where colour is allowed.
func (s Style) paint(i inkCode, text string) string {
	if !s.Color || text == "" || i == "" {
		return text
	}
	return "\x1b[" + string(i) + "m" + text + "\x1b[0m"
}

// Bold makes a heading of text where colour is allowed.
func (s Style) Bold(text string) string { return s.paint(bold, text) }

// textWriter writes text for a person.
type textWriter struct {
	*bufio.Writer
	Style
}

func newTextWriter(w io.Writer, s Style) textWriter { return textWriter{bufio.NewWriter(w), s} }

// PlanText writes p for a person at a terminal: a header for each agent, its fields below, kept agents
// at the end, and one sentence that sums up. More than Style.MaxChanges changes are summed up unless
// Style.Verbose. The error is that of w.
func PlanText(w io.Writer, p *plan.Plan, s Style) error {
	t := newTextWriter(w, s)
	// Where requests go stands first: whoever can change that can take the API key.
	t.writeOrigins(p.Origins)
	single, groups := entriesOf(p.Changes)
	var changes, kept []planEntry
	for _, e := range single {
		if e.Action == plan.Kept {
			kept = append(kept, e)
		} else {
			changes = append(changes, e)
		}
	}
	shown, rest := firstOf(changes, s.maxChanges(), s)
	for _, e := range shown {
		t.writeEntry(e)
	}
	if rest > 0 {
		t.WriteString("… and " + diag.Plural(rest, "more change") + ": " + toDo(summaryOf(changes[len(shown):]), s) +
			". -v shows all.\n\n")
	}
	// Behind the bound: a group is one entry, however many agents it stands for.
	for _, g := range groups {
		t.writeEntry(g)
	}
	t.writeKept(kept)
	t.writeRenames(p.LikelyRenames)
	t.writeNotes(p)
	t.WriteString(s.paint(bold, summaryLine(p.Summary)) + "\n")
	return t.Flush()
}

// OriginsText writes where the requests of some apps go, for a person who is to agree to it. The error is that of w.
func OriginsText(w io.Writer, origins []plan.Origin, s Style) error {
	t := newTextWriter(w, s)
	t.writeOrigins(origins)
	return t.Flush()
}

func (t textWriter) writeOrigins(origins []plan.Origin) {
	most := maxOrigins
	if t.Verbose {
		most = len(origins)
	}
	shown, rest := boundOrigins(origins, most)
	for _, o := range shown {
		t.WriteString(t.paint(yellow, "!") + " " + t.paint(bold, show.Line(o.App.String())) + "  " +
			t.paint(yellow, originHead(o)) + "\n")
		for _, l := range originLines(o, show.Line) {
			t.WriteString("    " + l + "\n")
		}
		t.WriteString("\n")
	}
	if rest != "" {
		t.WriteString(rest + ", -v shows all\n\n")
	}
}

// maxMembers is how many agents of a group, and how many kept ones, are named where not everything was asked for.
const maxMembers = 10

// writeEntry writes one change: who, what, where it stands, each field, and the agents of a group.
func (t textWriter) writeEntry(e planEntry) {
	sign := signOf(e.Action)
	who, place := show.Line(e.Address.String()), placeOf(e.Change)
	if e.members != nil {
		who, place = e.groupSize(), e.groupHead()
	}
	t.WriteString(t.paint(sign.ink, sign.symbol) + " " + t.paint(bold, who) + "  " + t.paint(sign.ink, sign.verb))
	if e.Name != "" {
		t.WriteString("  " + show.Quote(e.Name))
	}
	if all := remarksOf(e.Change); len(all) > 0 {
		t.WriteString("  (" + strings.Join(all, "; ") + ")")
	}
	t.WriteString(t.dimPlace(place) + "\n")
	if o := obstacleOf(e.Change); o.reason != "" {
		t.WriteString("    " + t.paint(yellow, "blocked:") + " " + o.reason + "\n")
		if o.command != "" {
			t.WriteString("        " + t.paint(bold, o.command) + "\n")
		}
	}
	t.writeRows(rowsOf(e.Change))
	shown, rest := firstOf(e.members, maxMembers, t.Style)
	for _, c := range shown {
		t.WriteString("    ")
		t.writeAgent(c)
		t.WriteString("\n")
	}
	if rest > 0 {
		t.WriteString("      … and " + diag.Plural(rest, "more agent") + ", -v lists all\n")
	}
	t.WriteString("\n")
}

// writeAgent writes an agent of a list, without the line's end.
func (t textWriter) writeAgent(c plan.Change) {
	t.WriteString("  " + t.paint(dim, "·") + " " + show.Line(c.Address.String()))
	if c.Name != "" {
		t.WriteString("  " + show.Quote(c.Name))
	}
	t.WriteString(t.dimPlace(placeOf(c)))
}

func (t textWriter) dimPlace(place string) string {
	if place == "" {
		return ""
	}
	return t.paint(dim, "  "+place)
}

// maxFieldLines bounds the lines that one field may take where not everything was asked for.
const maxFieldLines = 120

// maxLabel is the widest path that values are still lined up behind.
const maxLabel = 44

// writeRows writes the rows of one change, values lined up.
func (t textWriter) writeRows(rows []fieldRow) {
	label := 0
	for _, r := range rows {
		// One long path would push all values to the right.
		if n := show.Width(r.path); r.lines == nil && n <= maxLabel {
			label = max(label, n)
		}
	}
	for _, r := range rows {
		t.WriteString("    " + t.paint(inkOf(r.op), string(r.op)) + " " + r.path)
		if r.lines == nil {
			t.WriteString(strings.Repeat(" ", max(0, label-show.Width(r.path))+2) + t.oneLine(r))
		}
		if len(r.notes) > 0 {
			t.WriteString("  " + t.paint(dim, "("+strings.Join(r.notes, "; ")+")"))
		}
		t.WriteString("\n")
		// The bar tells content from the plan's own words, and it keeps content from standing first on a line, where a
		// CI runner would look for commands.
		bar := "      " + t.paint(dim, "│") + " "
		shown, rest := firstOf(r.lines, maxFieldLines, t.Style)
		for _, l := range shown {
			t.WriteString(bar)
			t.writeLine(l)
			t.WriteString("\n")
		}
		if rest > 0 {
			t.WriteString("      " + t.paint(dim, "│ … "+diag.Plural(rest, "more line")+", -v shows all") + "\n")
		}
		for _, text := range r.driftTable() {
			t.WriteString("        " + t.paint(dim, text) + "\n")
		}
	}
}

// oneLine writes a change that fits on one line.
func (t textWriter) oneLine(r fieldRow) string {
	if !t.Verbose {
		r.before, r.after = textdiff.ElidePair(r.before, r.after)
	}
	switch {
	case r.isSecretChange():
		return r.after + " changed"
	case r.op == textdiff.Added:
		return r.after
	case r.op == textdiff.Removed:
		return r.before
	default:
		return t.paint(red, r.before) + " → " + t.paint(green, r.after)
	}
}

// writeLine writes a line of a diff, without its end.
func (t textWriter) writeLine(l textdiff.Line) {
	if l.Op == textdiff.Skipped {
		t.WriteString(t.paint(dim, l.SkippedWords()))
		return
	}
	ink, most := inkOf(l.Op), textdiff.MaxLineChars
	if t.Verbose {
		most = 0
	}
	t.WriteString(t.paint(ink, string(l.Op)+" "))
	for _, part := range l.Parts(most) {
		switch {
		case part.Cut:
			t.WriteString(t.paint(dim, part.Text))
		case part.Marked:
			t.WriteString(t.paint(ink+";"+inverse, part.Text))
		default:
			t.WriteString(t.paint(ink, part.Text))
		}
	}
}

func inkOf(o textdiff.Op) inkCode {
	switch o {
	case textdiff.Added:
		return green
	case textdiff.Removed:
		return red
	case textdiff.Changed:
		return yellow
	default:
		return ""
	}
}

// writeKept lists the agents that left the manifests and stay.
func (t textWriter) writeKept(kept []planEntry) {
	if len(kept) == 0 {
		return
	}
	t.WriteString(show.Plural(len(kept), "1 agent left the manifests and is kept; --prune deletes it",
		"agents left the manifests and are kept; --prune deletes them") + ":\n")
	shown, rest := firstOf(kept, maxMembers, t.Style)
	for _, e := range shown {
		t.writeAgent(e.Change)
		if words := renameRemark(e.Change); words != "" {
			t.WriteString("  (" + words + ")")
		}
		if o := obstacleOf(e.Change); o.reason != "" {
			t.WriteString("  " + t.paint(yellow, "blocked:") + " " + o.sentence())
		}
		t.WriteString("\n")
	}
	if rest > 0 {
		t.WriteString("  … and " + diag.Count(rest) + " more, -v lists all\n")
	}
	t.WriteString("\n")
}

// writeRenames writes what may be renames: each pair, and the line that says so at its place.
func (t textWriter) writeRenames(likely []plan.LikelyRename) {
	if len(likely) == 0 {
		return
	}
	t.WriteString(t.paint(yellow, "?") + " " + renamesHead(len(likely)) + ":\n")
	shown, rest := firstOf(likely, maxRenames, t.Style)
	for i := range shown {
		l := &shown[i]
		t.WriteString("    " + t.paint(bold, show.Line(l.From.String())) + " → " +
			t.paint(bold, show.Line(l.To.String())) +
			"  " + l.Why() + "\n")
		t.WriteString("        " + t.paint(dim, show.Line(l.Source.String())) + "  " +
			t.paint(bold, show.Line(l.Line())) +
			"\n")
	}
	if rest > 0 {
		t.WriteString("    … and " + diag.Count(rest) + " more, -v shows all\n")
	}
	t.WriteString("  " + renamesWay + "\n        " + t.paint(bold, plan.NewAgentLine) + "\n\n")
}

// writeNotes tells what a plan found beside its changes: lists that were not believed, records that are brought up to
// date, agents that nobody manages.
func (t textWriter) writeNotes(p *plan.Plan) {
	lines := planNotes(p)
	if n := len(p.RecordUpdates); n > 0 && t.Verbose {
		lines = append(lines, diag.Plural(n, "record")+" in state will be brought up to date; nothing is sent for that")
	}
	if line := unmanagedNote(p.Unmanaged); line != "" && t.Verbose {
		lines = append(lines, line+":")
		for _, u := range p.Unmanaged {
			line := "  " + t.paint(dim, "·") + " " + show.Line(u.App.String()) + "  uid " + show.Line(u.UID)
			for _, name := range slices.Sorted(maps.Keys(u.Name)) {
				line += "  " + show.Path("/"+name) + " " + show.Clip(show.Value(u.Name[name]), maxInline)
			}
			lines = append(lines, line)
		}
	} else if line != "" {
		lines = append(lines, line+"; -v lists them")
	}
	for _, l := range lines {
		t.WriteString(l + "\n")
	}
	if len(lines) > 0 {
		t.WriteString("\n")
	}
}

// RefreshText writes what recording what is live would change in the state: each record that is behind
// with what someone else changed, and one sentence that sums up. The error is that of w.
func RefreshText(w io.Writer, behind []plan.Refreshed, doubted []agent.AppID, s Style) error {
	t := newTextWriter(w, s)
	gone, unlisted := 0, 0
	for _, r := range behind {
		symbol, ink, what := "~", yellow, "record what is live"
		switch {
		case r.Vanished:
			gone++
			symbol, ink, what = "-", red, "gone from the platform (uid "+show.Line(r.UID)+"); leaves the state"
		case r.Unlisted:
			unlisted++
			symbol, what = "!", "not in the platform's list (uid "+show.Line(r.UID)+
				"), which does not prove that it is gone; nothing is recorded"
		case len(r.Fields) == 0:
			what = "record values that the platform made up on its own"
		}
		t.WriteString(s.paint(ink, symbol) + " " + s.paint(bold, show.Line(r.Address.String())) + "  " + what + "\n")
		// As of a delete: the rows then say nothing of what the platform would do.
		t.writeRows(rowsOf(plan.Change{Address: r.Address, Action: plan.Delete, UID: r.UID, Fields: r.Fields}))
		t.WriteString("\n")
	}
	for _, l := range doubtNotes(doubted) {
		t.WriteString(l + "\n\n")
	}
	sum := "Nothing to record: the state says what is live."
	if len(behind) > unlisted {
		sum = "Refresh: " + diag.Plural(len(behind)-gone-unlisted, "record") + " to bring up to date, " +
			diag.Count(gone) +
			" to drop. Nothing is sent."
	}
	t.WriteString(s.paint(bold, sum) + "\n")
	return t.Flush()
}
