package report

import (
	"bufio"
	"io"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
)

// PlanText writes p for a person at a terminal: a header for each agent, its fields below, kept agents
// at the end, and one sentence that sums up. More than Style.MaxChanges changes are summed up unless
// Style.Verbose. The error is that of w.
func PlanText(w io.Writer, p *plan.Plan, s Style) error {
	b := bufio.NewWriter(w)
	originsText(b, p.Origins, s)
	changes, kept := splitKept(p.Changes)
	changes, groups := grouped(changes)
	shown := changes[:s.maxChanges(len(changes))]
	for _, c := range shown {
		changeText(b, c, s)
		b.WriteByte('\n')
	}
	if rest := changes[len(shown):]; len(rest) > 0 {
		b.WriteString("… and " + count(len(rest), "more change") + ": " + toDo(summarise(rest), s) +
			". -v shows all.\n\n")
	}
	for _, g := range groups {
		groupText(b, g, s)
		b.WriteByte('\n')
	}
	keptText(b, kept, s)
	renamesText(b, p, s)
	besidesText(b, p, s)
	b.WriteString(s.paint(bold, summaryLine(p.Summary, Style{})))
	b.WriteByte('\n')
	return b.Flush()
}

// splitKept takes kept agents apart from changes. Plans without any are handed on as they are.
func splitKept(all []plan.Change) (changes, kept []plan.Change) {
	isKept := func(c plan.Change) bool { return c.Action == plan.Kept }
	if !slices.ContainsFunc(all, isKept) {
		return all, nil
	}
	for _, c := range all {
		if isKept(c) {
			kept = append(kept, c)
		} else {
			changes = append(changes, c)
		}
	}
	return changes, kept
}

// changeText writes one change: who, what, where it stands, and each field.
func changeText(b *bufio.Writer, c plan.Change, s Style) {
	l := lookOf(c.Action)
	b.WriteString(s.paint(l.ink, l.symbol))
	b.WriteByte(' ')
	b.WriteString(s.paint(bold, Sanitize(c.Address.String())))
	b.WriteString("  ")
	b.WriteString(s.paint(l.ink, l.infinitive))
	if name := c.Name; name != "" {
		b.WriteString("  " + quote(name))
	}
	if all := remarks(c); len(all) > 0 {
		b.WriteString("  (" + strings.Join(all, "; ") + ")")
	}
	b.WriteString(s.paint(dim, placeOf(c)))
	b.WriteByte('\n')
	obstacleText(b, obstacleOf(c), s)
	rows := rowsOf(c)
	t := fieldText{w: b, s: s, label: labelWidth(rows)}
	for _, r := range rows {
		t.row(r)
	}
}

func obstacleText(b *bufio.Writer, o obstacle, s Style) {
	if o.reason == "" {
		return
	}
	b.WriteString("    " + s.paint(yellow, "blocked:") + " " + o.reason + "\n")
	if o.command != "" {
		b.WriteString("        " + s.paint(bold, o.command) + "\n")
	}
}

// placeOf says where the change comes from and which agent it concerns at the platform.
func placeOf(c plan.Change) string {
	place := ""
	if c.UID != "" {
		place += "  uid " + Sanitize(c.UID)
	}
	if !c.Source.IsZero() {
		place += "  " + Sanitize(c.Source.String())
	}
	return place
}

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
		if n := Cells(r.path); r.lines == nil && n <= maxLabel {
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
		t.w.WriteString(strings.Repeat(" ", max(0, t.label-Cells(r.path))+2))
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

// maxKept is how many kept agents are named where not everything was asked for.
const maxKept = 10

// keptText lists the agents that left the manifests and stay.
func keptText(b *bufio.Writer, kept []plan.Change, s Style) {
	if len(kept) == 0 {
		return
	}
	verb := " left the manifests and is kept; --prune deletes it:\n"
	if len(kept) > 1 {
		verb = " left the manifests and are kept; --prune deletes them:\n"
	}
	b.WriteString(count(len(kept), "agent") + verb)
	shown := kept
	if !s.Verbose && len(kept) > maxKept {
		shown = kept[:maxKept]
	}
	for _, c := range shown {
		b.WriteString("  " + s.paint(dim, "·") + " " + Sanitize(c.Address.String()))
		if c.Name != "" {
			b.WriteString("  " + quote(c.Name))
		}
		b.WriteString(s.paint(dim, placeOf(c)))
		if words := renameRemark(c); words != "" {
			b.WriteString("  (" + words + ")")
		}
		if o := obstacleOf(c); o.reason != "" {
			b.WriteString("  " + s.paint(yellow, "blocked:") + " " + o.sentence())
		}
		b.WriteByte('\n')
	}
	if rest := len(kept) - len(shown); rest > 0 {
		b.WriteString("  … and " + comma(rest) + " more, -v lists all\n")
	}
	b.WriteByte('\n')
}

// besidesText tells what a plan found beside its changes: lists that were not believed, records that
// are brought up to date, agents that nobody manages.
func besidesText(b *bufio.Writer, p *plan.Plan, s Style) {
	lines := planNotes(p)
	if n := len(p.RecordUpdates); n > 0 && s.Verbose {
		lines = append(lines, count(n, "record")+" in state will be brought up to date; nothing is sent for that")
	}
	if line := unmanagedCount(p); line != "" && s.Verbose {
		lines = append(lines, line+":")
		for _, u := range p.Unmanaged {
			lines = append(lines, "  "+s.paint(dim, "·")+" "+Sanitize(u.App.String())+"  uid "+Sanitize(u.UID)+unmanagedName(u))
		}
	} else if line != "" {
		lines = append(lines, line+"; -v lists them")
	}
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	if len(lines) > 0 {
		b.WriteByte('\n')
	}
}

// planNotes are what a reader has to know besides the changes: lists that were not believed, and secrets without a value.
func planNotes(p *plan.Plan) []string {
	lines := doubts(p)
	switch n := len(p.Secrets.Known); {
	case n == 1:
		lines = append(lines, "1 secret has no value here: its changes do not show")
	case n > 1:
		lines = append(lines, comma(n)+" secrets have no value here: their changes do not show")
	}
	names := p.Secrets.New
	if len(names) == 0 {
		return lines
	}
	shown, rest := names, ""
	if len(names) > maxNewSecrets {
		shown, rest = names[:maxNewSecrets], ", and "+comma(len(names)-maxNewSecrets)+" more"
	}
	what := "a new secret"
	if len(names) > 1 {
		what = comma(len(names)) + " new secrets"
	}
	return append(lines, "apply needs "+what+": "+Sanitize(strings.Join(shown, ", "))+rest)
}

// maxNewSecrets is how many new secrets are named; agentsync secrets lists all.
const maxNewSecrets = 10

// doubts are the warnings about lists that were not believed.
func doubts(p *plan.Plan) []string {
	var lines []string
	for _, app := range p.Doubted {
		lines = append(lines, "! "+Sanitize(app.String())+" lists none of the agents that state knows there; "+
			"the list was not believed, and the app is planned as if it had not been read (if the agents are really gone: agentsync state rm "+Sanitize(app.String())+")")
	}
	return lines
}

// unmanagedCount counts the agents that nobody manages, or is "".
func unmanagedCount(p *plan.Plan) string {
	n := len(p.Unmanaged)
	if n == 0 {
		return ""
	}
	return count(n, "live agent") + " in no manifest and no state (" + perApp(p.Unmanaged) + "); agentsync export takes them over"
}

// maxApps is how many apps a sentence names.
const maxApps = 5

// perApp counts unmanaged agents by app: "3 in cometchat/2754abc, 1 in mindset/acme".
func perApp(list []plan.Unmanaged) string {
	counts := map[agent.AppID]int{}
	for _, u := range list {
		counts[u.App]++
	}
	apps := slices.SortedFunc(maps.Keys(counts), agent.AppID.Compare)
	var parts []string
	for i, app := range apps {
		if i == maxApps {
			parts = append(parts, "and "+count(len(apps)-i, "more app"))
			break
		}
		parts = append(parts, comma(counts[app])+" in "+Sanitize(app.String()))
	}
	return strings.Join(parts, ", ")
}

func unmanagedName(u plan.Unmanaged) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(u.Name)) {
		b.WriteString("  " + shownPath("/"+name) + " " + clip(compact(u.Name[name]), maxInline))
	}
	return b.String()
}

// RefreshText writes what recording what is live would change in the state: each record that is behind
// with what someone else changed, and one sentence that sums up. The error is that of w.
func RefreshText(w io.Writer, behind []plan.Refreshed, doubted []agent.AppID, s Style) error {
	b := bufio.NewWriter(w)
	gone, unlisted := 0, 0
	for _, r := range behind {
		refreshText(b, r, s)
		if r.Unlisted {
			unlisted++
		}
		if r.Vanished {
			gone++
		}
	}
	for _, l := range doubts(&plan.Plan{Doubted: doubted}) {
		b.WriteString(l + "\n\n")
	}
	sum := "Nothing to record: the state says what is live."
	if len(behind) > unlisted {
		sum = "Refresh: " + count(len(behind)-gone-unlisted, "record") + " to bring up to date, " + comma(gone) + " to drop. Nothing is sent."
	}
	b.WriteString(s.paint(bold, sum) + "\n")
	return b.Flush()
}

func refreshText(b *bufio.Writer, r plan.Refreshed, s Style) {
	symbol, ink, what := "~", yellow, "record what is live"
	switch {
	case r.Vanished:
		symbol, ink, what = "-", red, "gone from the platform (uid "+Sanitize(r.UID)+"); leaves the state"
	case r.Unlisted:
		symbol, ink, what = "!", yellow, "not in the platform's list (uid "+Sanitize(r.UID)+"), which does not prove that it is gone; nothing is recorded"
	case len(r.Fields) == 0:
		what = "record values that the platform made up on its own"
	}
	b.WriteString(s.paint(ink, symbol) + " " + s.paint(bold, Sanitize(r.Address.String())) + "  " + what + "\n")
	rows := rowsOf(recorded(r))
	t := fieldText{w: b, s: s, label: labelWidth(rows)}
	for _, row := range rows {
		t.row(row)
	}
	b.WriteByte('\n')
}

// recorded returns a change with the fields of r, whose rows say nothing of what the platform would do.
func recorded(r plan.Refreshed) plan.Change {
	return plan.Change{Address: r.Address, Action: plan.Delete, UID: r.UID, Fields: r.Fields}
}

type refreshDoc struct {
	FormatVersion string         `json:"formatVersion"`
	Records       []refreshedDoc `json:"records"`
	Doubted       []string       `json:"doubted,omitempty"`
}

type refreshedDoc struct {
	Address  string               `json:"address"`
	UID      string               `json:"uid"`
	Vanished bool                 `json:"vanished"`
	Unlisted bool                 `json:"unlisted,omitempty"`
	Fields   []plan.FieldDocument `json:"fields"`
}

// RefreshJSON writes the same as one JSON document. The error is that of w.
func RefreshJSON(w io.Writer, behind []plan.Refreshed, doubted []agent.AppID) error {
	doc := refreshDoc{FormatVersion: FormatVersion, Records: make([]refreshedDoc, len(behind))}
	for i, r := range behind {
		fields := make([]plan.FieldDocument, len(r.Fields))
		for j, f := range r.Fields {
			fields[j] = f.Document()
		}
		doc.Records[i] = refreshedDoc{r.Address.String(), r.UID, r.Vanished, r.Unlisted, fields}
	}
	for _, id := range doubted {
		doc.Doubted = append(doc.Doubted, id.String())
	}
	return JSON(w, doc)
}
