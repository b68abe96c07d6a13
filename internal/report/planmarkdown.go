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
	if s.Changes() == 0 {
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
	intro := d.head + prose(summaryLine(d.p.Summary, Style{})) + "\n"
	for i, l := range besides(d.p, false) {
		if i == maxApps {
			break
		}
		intro += "\n" + prose(strings.TrimSuffix(l, ", -v lists them")) + "\n"
	}
	if len(d.p.Changes) == 0 {
		return intro
	}
	if all, ok := d.compose(intro, d.p.Changes, 1); ok {
		return all
	}
	// Half of the room for the table, so that the diffs of what matters most are seen as well.
	cut, _ := d.compose(intro, bySeverity(d.p.Changes), 2)
	return cut
}

// compose writes the changes in the given order until the budget is used up; the table gets the
// budget's tableShare-th part. It is not ok if something was left out.
func (d planDocument) compose(intro string, changes []plan.Change, tableShare int) (string, bool) {
	var b strings.Builder
	left := d.budget - room - chars(intro)
	b.WriteString(intro + "\n| | agent | action | what changes |\n|---|---|---|---|\n")
	tableBudget := left / tableShare
	rows := 0
	for _, c := range changes {
		row := tableRow(c)
		if tableBudget -= chars(row); tableBudget < 0 {
			break
		}
		left -= chars(row)
		b.WriteString(row)
		rows++
	}
	if rows < len(changes) && tableShare == 1 {
		return "", false
	}
	b.WriteByte('\n')
	details, untold := 0, 0
	for _, c := range changes {
		if !hasDetails(c) {
			continue
		}
		section := detailsOf(c, maxDetails)
		if left -= chars(section); left < 0 || untold > 0 {
			untold++
			if tableShare == 1 {
				return "", false
			}
			continue
		}
		b.WriteString(section)
		details++
	}
	b.WriteString(leftOut(changes[rows:], details, untold))
	return b.String(), rows == len(changes) && untold == 0
}

// leftOut counts what did not fit.
func leftOut(rows []plan.Change, details, untold int) string {
	if len(rows) == 0 && untold == 0 {
		return ""
	}
	text := "**Left out for want of room:** "
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
	return "| `" + l.symbol + "` | " + codeSpan(clip(c.Address.String(), 200)) + " | " + l.infinitive + " | " + what + " |\n"
}

// maxNamed is how many fields a table's cell names.
const maxNamed = 5

func whatChanges(c plan.Change) string {
	switch {
	case c.Action == plan.Kept:
		return "left the manifests; `--prune` deletes it"
	case c.Action == plan.Create || c.Action == plan.Delete:
		if name := nameOf(c); name != "" {
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
	return strings.Join(parts, ", ")
}

// topFields names the agent's fields that a change touches, each once; a field that forces a replace
// says so.
func topFields(c plan.Change) []string {
	var names []string
	seen := map[string]bool{}
	for _, f := range c.Fields {
		top, _, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		if !seen[top] {
			seen[top] = true
			names = append(names, shownPath("/"+top))
		}
	}
	return names
}
