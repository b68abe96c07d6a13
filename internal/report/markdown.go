package report

import (
	"io"
	"strings"

	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
	"agentsync/internal/report/textdiff"
)

// DefaultMarkdownChars bounds a Markdown document: a comment on GitHub holds 65,536 characters, and
// the action that posts it may want to add a line.
const DefaultMarkdownChars = 60_000

// MarkdownOptions say how a Markdown document is made. The zero value is right for one comment.
type MarkdownOptions struct {
	// Marker names the comment, so that a later run finds it and updates it in place: the first line
	// is the HTML comment <!-- agentsync:MARKER -->. Empty stands for the kind of document: plan,
	// apply or validate. Other characters than letters, digits, . _ / and - are left out.
	Marker string
	// Link returns the address of the page that shows a place, empty where there is none; nil for no links. What it
	// returns must be safe in a Markdown link.
	Link func(diag.Pos) string
	// MaxChars bounds the document in UTF-16 units, as GitHub counts; 0 stands for
	// DefaultMarkdownChars, and less than 2,000 is taken as 2,000.
	MaxChars int
}

const minMarkdownChars = 2000

func (o MarkdownOptions) maxChars() int {
	if o.MaxChars == 0 {
		return DefaultMarkdownChars
	}
	return max(o.MaxChars, minMarkdownChars)
}

// closingRoom is what the closing sentences need.
const closingRoom = 400

// leftOutHead begins the sentence that counts what did not fit.
const leftOutHead = "\n**Left out, because there was no room:** "

// documentHead returns the marker and the heading.
func (o MarkdownOptions) documentHead(kind, heading string) string {
	marker := strings.Map(func(r rune) rune {
		if show.IsPlainName(string(r)) || r == '.' || r == '/' {
			return r
		}
		return -1
	}, o.Marker)
	marker = strings.ReplaceAll(marker, "--", "-") // two hyphens may end a comment
	if marker == "" {
		marker = kind
	}
	return "<!-- agentsync:" + marker + " -->\n### agentsync " + kind + ": " + heading + "\n\n"
}

// clippedCode shows data of at most n characters as code.
func clippedCode(s string, n int) string { return show.Code(show.Clip(s, n)) }

// maxShown is how many characters of an address, a uid or a place are shown, and maxNameShown of a name.
const (
	maxShown     = 200
	maxNameShown = 80
)

// addressCode shows an address, a uid or a place as code.
func addressCode(s string) string { return clippedCode(s, maxShown) }

// placeLink shows a place as code, linked where there is a page for it.
func (o MarkdownOptions) placeLink(pos diag.Pos) string {
	return o.linkTo(addressCode(pos.String()), pos)
}

// linkTo links what is shown to the page of a place.
func (o MarkdownOptions) linkTo(shown string, pos diag.Pos) string {
	if o.Link == nil || pos.IsZero() {
		return shown
	}
	if url := o.Link(pos); url != "" {
		return "[" + shown + "](" + url + ")"
	}
	return shown
}

// PlanMarkdown writes p as a comment for a pull request: a hidden marker, a summary, a table of the
// agents, and each agent's diff behind a fold. It never exceeds MarkdownOptions.MaxChars: where not
// everything fits, the most destructive changes come first and what was left out is counted. Nothing
// in an agent's content can end its fence, become HTML, ping a person or load an image. The error is
// that of w.
func PlanMarkdown(w io.Writer, p *plan.Plan, o MarkdownOptions) error {
	heading := "no changes"
	if p.Summary.Any() {
		heading = toDo(p.Summary, Style{})
	}
	d := planDocument{options: o, budget: o.maxChars()}
	d.intro = d.introOf(p, o.documentHead("plan", heading)+summaryLine(p.Summary)+"\n")
	_, err := io.WriteString(w, d.render(p))
	return err
}

// planDocument is a Markdown document under construction.
type planDocument struct {
	options MarkdownOptions
	budget  int
	// intro is the heading, the summary and what the plan found beside its changes.
	intro string
}

func (d *planDocument) introOf(p *plan.Plan, intro string) string {
	intro += originsMarkdown(p.Origins)
	intro += d.options.renamesMarkdown(p.LikelyRenames, d.budget/4)
	notes := planNotes(p)
	if line := unmanagedNote(p.Unmanaged); line != "" {
		notes = append(notes, line)
	}
	// A quarter of the room at the most: the changes are what the comment is for.
	for _, note := range notes {
		note = "\n" + show.Prose(show.Clip(note, 500)) + "\n"
		if show.Units(intro)+show.Units(note) > d.budget/4 {
			break
		}
		intro += note
	}
	return intro
}

// originsMarkdown writes where requests go as alerts, which GitHub and GitLab show in a frame.
func originsMarkdown(origins []plan.Origin) string {
	var b strings.Builder
	code := func(s string) string { return clippedCode(s, 300) }
	shown, rest := boundOrigins(origins, maxOrigins/2)
	for _, o := range shown {
		kind := "NOTE"
		if o.Changed() {
			kind = "CAUTION"
		}
		b.WriteString("\n> [!" + kind + "]\n> **" + originHead(o) + ":** " + code(o.App.String()) + "\n>\n")
		for _, l := range originLines(o, code) {
			b.WriteString("> - " + l + "\n")
		}
	}
	if rest != "" {
		b.WriteString("\n" + show.Prose(rest) + "\n")
	}
	return b.String()
}

// renamesMarkdown writes what may be renames as a list, within a budget of UTF-16 units.
func (o MarkdownOptions) renamesMarkdown(likely []plan.LikelyRename, budget int) string {
	if len(likely) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n**" + renamesHead(len(likely)) + ":**\n\n")
	end := "\n" + show.Prose(renamesWay) + " " + show.Code(plan.NewAgentLine) + "\n"
	budget -= show.Units(b.String()) + show.Units(end)
	for i := range likely {
		l := &likely[i]
		item := "- " + addressCode(l.From.String()) + " → " + addressCode(l.To.String()) + " (" + l.Why() + "): " +
			addressCode(l.Line()) + " at " + o.placeLink(l.Source) + "\n"
		if budget -= show.Units(item); i == maxRenames || budget < 0 {
			b.WriteString("- … and " + diag.Count(len(likely)-i) + " more, in the text, JSON and HTML outputs\n")
			break
		}
		b.WriteString(item)
	}
	return b.String() + end
}

const tableHead = "\n| | agent | action | what changes |\n|---|---|---|---|\n"

// render writes everything in the order of addresses if it fits, and otherwise what fits of it with
// the most destructive first.
func (d *planDocument) render(p *plan.Plan) string {
	if len(p.Changes) == 0 {
		return d.intro
	}
	single, groups := entriesOf(p.Changes)
	// In the table the agents are linked as well, if there is room for that.
	for _, inTable := range []MarkdownOptions{d.options, {}} {
		if all, ok := d.renderAll(append(single[:len(single):len(single)], groups...), inTable); ok {
			return all
		}
		if d.options.Link == nil {
			break
		}
	}
	return d.renderSome(bySeverity(single), groups)
}

// renderAll writes all entries in the order of addresses. It gives up, and is not ok, as soon as the
// budget is used up.
func (d *planDocument) renderAll(entries []planEntry, inTable MarkdownOptions) (string, bool) {
	left := d.budget - show.Units(d.intro)
	var b strings.Builder
	b.WriteString(d.intro)
	write := func(s string) bool {
		left -= show.Units(s)
		b.WriteString(s)
		return left >= 0
	}
	ok := write(tableHead)
	for i := 0; ok && i < len(entries); i++ {
		ok = write(inTable.tableRow(entries[i]))
	}
	ok = ok && write("\n")
	for i := 0; ok && i < len(entries); i++ {
		options := d.options
		if entries[i].members != nil {
			options = inTable // its members are linked as the agents of the table are
		}
		if entries[i].hasDetails() {
			ok = write(options.detailsOf(entries[i], d.budget))
		}
	}
	return b.String(), ok
}

// maxGroups is how many groups are told of where not everything fits.
const maxGroups = 10

// maxDetails bounds one agent's diff, in UTF-16 units: one agent must not push out all others.
const maxDetails = 12_000

// renderSome writes what fits, the most destructive changes first: half of the room for the table, so that
// the diffs of what matters most are seen as well.
func (d *planDocument) renderSome(changes, groups []planEntry) string {
	var b strings.Builder
	b.WriteString(d.intro + tableHead)
	left := d.budget - closingRoom - show.Units(b.String())
	// Groups stand last, but their room is kept before the rest gets any: each stands for many agents.
	var tail, tailDetails strings.Builder
	told := 0
	for ; told < min(len(groups), maxGroups); told++ {
		row := MarkdownOptions{}.tableRow(groups[told])
		details := MarkdownOptions{}.detailsOf(groups[told], maxDetails/2)
		if show.Units(row)+show.Units(details) > left/2 {
			break
		}
		left -= show.Units(row) + show.Units(details)
		tail.WriteString(row)
		tailDetails.WriteString(details)
	}
	rows := 0
	for half := left / 2; rows < len(changes); rows++ {
		row := MarkdownOptions{}.tableRow(changes[rows])
		if half -= show.Units(row); half < 0 {
			break
		}
		left -= show.Units(row)
		b.WriteString(row)
	}
	b.WriteString(tail.String() + "\n")
	shown, untold := 0, 0
	for _, e := range changes {
		if !e.hasDetails() {
			continue
		}
		if untold == 0 { // after one that did not fit, a smaller one would break the order
			if section, ok := d.options.fitDetails(e, left); ok {
				left -= show.Units(section)
				b.WriteString(section)
				shown++
				continue
			}
		}
		untold++
	}
	b.WriteString(tailDetails.String())
	rest := changes[rows:]
	for _, g := range groups[told:] {
		for _, c := range g.members {
			rest = append(rest, planEntry{Change: c})
		}
	}
	b.WriteString(leftOut(rest, shown, untold))
	return b.String()
}

// fitDetails folds an agent's diff so that it takes at most room left, cut short if it must be. It is
// not ok where too little would remain to be of use.
func (o MarkdownOptions) fitDetails(e planEntry, left int) (string, bool) {
	const atLeast, around = 300, 700
	// The budget counts the diff alone, so what stands around it may not fit: then once more, with room for that.
	section := o.detailsOf(e, min(maxDetails, left))
	if show.Units(section) > left && left > atLeast+around {
		section = o.detailsOf(e, left-around)
	}
	return section, show.Units(section) <= left
}

// leftOut counts what did not fit.
func leftOut(rows []planEntry, details, untold int) string {
	if len(rows) == 0 && untold == 0 {
		return ""
	}
	text := leftOutHead
	if len(rows) > 0 {
		s := summaryOf(rows)
		text += diag.Plural(len(rows), "agent") + " in the table"
		if s.Changes() > 0 {
			text += " (" + toDo(s, Style{}) + ")"
		}
		text += ", "
	}
	return text + diag.Plural(untold, "diff") + ". " + diag.Plural(details, "diff") +
		" shown, the most destructive changes first. The whole plan is in the text, JSON and HTML outputs.\n"
}

// tableRow is one entry's line in the table. All data in it is code.
func (o MarkdownOptions) tableRow(e planEntry) string {
	sign, what := signOf(e.Action), whatChanges(e.Change)
	if e.Blocked != "" {
		what = "**blocked** (" + show.Prose(string(e.Blocked)) + ") " + what
	}
	who := "**" + e.groupSize() + "**"
	if e.members == nil {
		who = o.linkTo(addressCode(e.Address.String()), e.Source)
		// those say it where others say what changes
		if e.Name != "" && e.Action != plan.Create && e.Action != plan.Delete {
			who += " " + clippedCode(e.Name, maxNameShown)
		}
	}
	return "| `" + sign.symbol + "` | " + who + " | " + sign.verb + " | " + what + " |\n"
}

// maxNamed is how many fields a table's cell names.
const maxNamed = 5

// whatChanges fills the last cell of a table's row.
func whatChanges(c plan.Change) string {
	if c.Action == plan.Kept {
		what := "left the manifests; `--prune` deletes it"
		if c.Likely != nil {
			what += "; may be " + addressCode(c.Likely.To.String()) + " now"
		}
		return what
	}
	var parts []string
	if c.Action == plan.Create || c.Action == plan.Delete {
		if c.Name != "" {
			parts = append(parts, clippedCode(c.Name, maxNameShown))
		}
		if c.Likely != nil && c.Action == plan.Create {
			parts = append(parts, "may be "+addressCode(c.Likely.From.String())+" under another key")
		}
		return strings.Join(parts, ", ")
	}
	if !c.From.IsZero() {
		parts = append(parts, "from "+addressCode(c.From.String()))
	}
	var names []string // of the top-level fields, each once
	seen := map[string]bool{}
	for _, f := range c.Differences() {
		top, _, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		if !seen[top] {
			seen[top] = true
			names = append(names, show.Path("/"+top))
		}
	}
	named, rest := firstOf(names, maxNamed, Style{})
	for _, name := range named {
		parts = append(parts, clippedCode(name, 60))
	}
	if rest > 0 {
		parts = append(parts, diag.Count(rest)+" more")
	}
	if words := markerWords(c.Marker); words != "" {
		parts = append(parts, words)
	}
	return strings.Join(parts, ", ")
}

// hasDetails reports whether an entry has more to say than its line in the table.
func (e planEntry) hasDetails() bool {
	return len(e.Fields)+len(e.Wanted)+len(e.Obsolete)+len(e.members) > 0 || e.Blocked != ""
}

// detailsOf folds one entry's diff, and the agents of a group behind it, in about budget UTF-16 units.
func (o MarkdownOptions) detailsOf(e planEntry, budget int) string {
	sign := signOf(e.Action)
	var b strings.Builder
	b.WriteString("<details><summary><code>" + sign.symbol)
	if e.members != nil {
		b.WriteString("</code> " + show.HTML(e.groupHead()))
		budget = budget * 2 / 3
	} else {
		b.WriteString(" " + show.HTML(show.Clip(e.Address.String(), maxShown)) + "</code> " + sign.verb)
	}
	if n := len(e.Differences()); n > 0 {
		b.WriteString(", " + diag.Plural(n, "field"))
	}
	b.WriteString("</summary>\n\n")
	if e.members == nil {
		b.WriteString(o.circumstances(e.Change))
	}
	body, left := show.ClipLines(fenceBody(e.Change), budget)
	if left > 0 {
		body += "… " + diag.Plural(left, "more line") + "\n"
	}
	if body != "" {
		b.WriteString(show.Fence("diff", body))
	}
	if e.members != nil {
		var list strings.Builder
		for _, c := range e.members {
			list.WriteString("- " + o.linkTo(addressCode(c.Address.String()), c.Source))
			if c.Name != "" {
				list.WriteString(" " + clippedCode(c.Name, maxNameShown))
			}
			list.WriteByte('\n')
		}
		// Behind the diff, with the third of the room that it was kept from.
		agents, left := show.ClipLines(list.String(), budget/2)
		b.WriteString("\n" + agents)
		if left > 0 {
			b.WriteString("\n… and " + diag.Plural(left, "more agent") + "\n")
		}
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// circumstances are what stands before an agent's diff: what blocks it, what is remarked of it, which agent it is and
// where.
func (o MarkdownOptions) circumstances(c plan.Change) string {
	text := ""
	if obstacle := obstacleOf(c); obstacle.reason != "" {
		text += "**Blocked:** " + show.Prose(obstacle.reason)
		if obstacle.command != "" {
			text += " " + show.Code(obstacle.command)
		}
		text += "\n\n"
	}
	if all := remarksOf(c); len(all) > 0 {
		text += show.Prose(strings.Join(all, "; ")) + "\n\n"
	}
	var where []string
	if c.UID != "" {
		where = append(where, show.Code("uid "+show.Clip(c.UID, maxShown)))
	}
	if !c.Source.IsZero() {
		where = append(where, o.placeLink(c.Source))
	}
	if where != nil {
		text += strings.Join(where, " ") + "\n\n"
	}
	return text
}

// fenceBody is an agent's diff for a "diff" fence, whose colours follow the first character of each
// line: - and + for values, ! for what can only be told, @@ for the name of a field with lines.
func fenceBody(c plan.Change) string {
	var b strings.Builder
	for _, r := range rowsOf(c) {
		notes := ""
		if len(r.notes) > 0 {
			notes = "  (" + strings.Join(r.notes, "; ") + ")"
		}
		switch {
		case r.lines != nil:
			b.WriteString("@@ " + r.path + notes + " @@\n")
			fenceLines(&b, r.lines)
		case r.isSecretChange():
			b.WriteString("! " + r.path + ": " + r.after + " changed" + notes + "\n")
		default:
			before, after := textdiff.ElidePair(r.before, r.after)
			if r.op == textdiff.Removed {
				b.WriteString("- " + r.path + ": " + before + notes + "\n")
				break
			}
			if r.op == textdiff.Changed {
				b.WriteString("- " + r.path + ": " + before + "\n")
			}
			b.WriteString("+ " + r.path + ": " + after + notes + "\n")
		}
		for _, text := range r.driftTable() {
			b.WriteString("#     " + text + "\n")
		}
	}
	return b.String()
}

func fenceLines(b *strings.Builder, lines []textdiff.Line) {
	for _, l := range lines {
		if l.Op == textdiff.Skipped {
			b.WriteString("  " + l.SkippedWords() + "\n")
			continue
		}
		text := ""
		for _, part := range l.Parts(textdiff.MaxLineChars) {
			text += part.Text
		}
		if l.Op == textdiff.Same {
			text = show.BreakCommand(text) // nothing but white space would stand before it
		}
		b.WriteString(string(l.Op) + " " + text + "\n")
	}
}
