package report

import (
	"io"
	"strings"

	"agentsync/internal/plan"
)

// PlanMarkdown writes p as a comment for a pull request: a hidden marker, a summary, a table of the
// agents, and each agent's diff behind a fold. It never exceeds MarkdownOptions.MaxChars: where not
// everything fits, the most destructive changes come first and what was left out is counted. Nothing
// in an agent's content can end its fence, become HTML, ping a person or load an image. The error is
// that of w.
func PlanMarkdown(w io.Writer, p *plan.Plan, o MarkdownOptions) error {
	d := planDocument{p: p, head: o.head("plan", planHeading(p.Summary)), budget: o.maxChars()}
	_, err := io.WriteString(w, d.render())
	return err
}

func planHeading(s plan.Summary) string {
	if !s.Any() {
		return "no changes"
	}
	return toDo(s, Style{})
}

// planDocument is a Markdown document under construction.
type planDocument struct {
	p      *plan.Plan
	head   string
	budget int
}

// room is what the closing sentences need.
const room = 400

// render writes everything in the order of addresses if it fits, and otherwise what fits of it with
// the most destructive first.
func (d planDocument) render() string {
	intro := d.intro()
	if len(d.p.Changes) == 0 {
		return intro
	}
	if all, ok := d.everything(intro); ok {
		return all
	}
	return d.cut(intro)
}

// intro is the heading, the summary and what the plan found beside its changes.
func (d planDocument) intro() string {
	intro := d.head + summaryLine(d.p.Summary, Style{}) + "\n" + originsMarkdown(d.p.Origins)
	notes := doubts(d.p)
	if line := unmanagedCount(d.p); line != "" {
		notes = append(notes, line)
	}
	for _, note := range notes {
		note = "\n" + prose(clip(note, 500)) + "\n"
		if chars(intro)+chars(note) > d.budget/4 {
			break
		}
		intro += note
	}
	return intro
}

// maxGroups is how many groups are told of where not everything fits.
const maxGroups = 10

const tableHead = "\n| | agent | action | what changes |\n|---|---|---|---|\n"

// everything writes all changes in the order of addresses. It gives up, and is not ok, as soon as the
// budget is used up.
func (d planDocument) everything(intro string) (string, bool) {
	left := d.budget - chars(intro)
	var b strings.Builder
	b.WriteString(intro)
	write := func(s string) bool {
		left -= chars(s)
		b.WriteString(s)
		return left >= 0
	}
	single, groups := grouped(d.p.Changes)
	ok := write(tableHead)
	for i := 0; ok && i < len(single); i++ {
		ok = write(tableRow(single[i]))
	}
	for i := 0; ok && i < len(groups); i++ {
		ok = write(groupRow(groups[i]))
	}
	ok = ok && write("\n")
	for i := 0; ok && i < len(single); i++ {
		if c := single[i]; hasDetails(c) {
			ok = write(detailsOf(c, d.budget))
		}
	}
	for i := 0; ok && i < len(groups); i++ {
		ok = write(groupDetails(groups[i], d.budget))
	}
	return b.String(), ok
}

// cut writes what fits, the most destructive changes first: half of the room for the table, so that
// the diffs of what matters most are seen as well.
func (d planDocument) cut(intro string) string {
	single, groups := grouped(d.p.Changes)
	changes := bySeverity(single)
	var b strings.Builder
	b.WriteString(intro + tableHead)
	left := d.budget - room - chars(b.String())
	var tail, tailDetails strings.Builder // groups stand last, but their room is kept: each stands for many agents
	for i, g := range groups {
		row, details := groupRow(g), groupDetails(g, maxDetails/2)
		if i == maxGroups || chars(row)+chars(details) > left/2 {
			break
		}
		left -= chars(row) + chars(details)
		tail.WriteString(row)
		tailDetails.WriteString(details)
		groups[i].members = nil // told of
	}
	rows := 0
	for half := left / 2; rows < len(changes); rows++ {
		row := tableRow(changes[rows])
		if half -= chars(row); half < 0 {
			break
		}
		left -= chars(row)
		b.WriteString(row)
	}
	b.WriteString(tail.String())
	b.WriteByte('\n')
	shown, untold := 0, 0
	for _, c := range changes {
		if !hasDetails(c) {
			continue
		}
		section, ok := "", untold == 0
		if ok {
			section, ok = fitDetails(c, left)
		}
		if !ok {
			untold++
			continue
		}
		left -= chars(section)
		b.WriteString(section)
		shown++
	}
	b.WriteString(tailDetails.String())
	rest := changes[rows:]
	for _, g := range groups {
		rest = append(rest, g.members...)
	}
	b.WriteString(leftOut(rest, shown, untold))
	return b.String()
}

// fitDetails folds an agent's diff so that it takes at most room left, cut short if it must be. It is
// not ok where too little would remain to be of use.
func fitDetails(c plan.Change, left int) (string, bool) {
	const atLeast, around = 300, 700
	section := detailsOf(c, min(maxDetails, left))
	if chars(section) > left && left > atLeast+around {
		section = detailsOf(c, left-around)
	}
	return section, chars(section) <= left
}

// leftOut counts what did not fit.
func leftOut(rows []plan.Change, details, untold int) string {
	if len(rows) == 0 && untold == 0 {
		return ""
	}
	text := "\n**Left out for want of room:** "
	if len(rows) > 0 {
		s := summarise(rows)
		text += count(len(rows), "agent") + " in the table"
		if s.Changes() > 0 {
			text += " (" + toDo(s, Style{}) + ")"
		}
		text += ", "
	}
	return text + count(untold, "diff") + ". " + count(details, "diff") +
		" shown, the most destructive changes first. The whole plan is in the text, JSON and HTML outputs.\n"
}

// tableRow is one agent's line in the table. All data in it is code.
func tableRow(c plan.Change) string {
	l := lookOf(c.Action)
	what := whatChanges(c)
	if c.Blocked != "" {
		what = "**blocked** (" + prose(string(c.Blocked)) + ") " + what
	}
	who := codeSpan(clip(c.Address.String(), 200))
	if c.Name != "" && c.Action != plan.Create && c.Action != plan.Delete { // those say it where others say what changes
		who += " " + codeSpan(clip(c.Name, 80))
	}
	return "| `" + l.symbol + "` | " + who + " | " + l.infinitive + " | " + what + " |\n"
}

// maxNamed is how many fields a table's cell names.
const maxNamed = 5

func whatChanges(c plan.Change) string {
	switch {
	case c.Action == plan.Kept:
		return "left the manifests; `--prune` deletes it"
	case c.Action == plan.Create || c.Action == plan.Delete:
		if name := c.Name; name != "" {
			return codeSpan(clip(name, 80))
		}
		return ""
	}
	var parts []string
	if !c.From.IsZero() {
		parts = append(parts, "from "+codeSpan(clip(c.From.String(), 200)))
	}
	names := topFields(c)
	for i, name := range names {
		if i == maxNamed {
			parts = append(parts, comma(len(names)-maxNamed)+" more")
			break
		}
		parts = append(parts, codeSpan(clip(name, 60)))
	}
	if words := markerWords(c.Marker); words != "" {
		parts = append(parts, words)
	}
	return strings.Join(parts, ", ")
}

// topFields names the agent's fields that a change touches, each once; a field that forces a replace
// says so.
func topFields(c plan.Change) []string {
	var names []string
	seen := map[string]bool{}
	for _, f := range c.Differences() {
		top, _, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		if !seen[top] {
			seen[top] = true
			names = append(names, shownPath("/"+top))
		}
	}
	return names
}
