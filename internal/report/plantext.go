package report

import (
	"bufio"
	"io"
	"slices"
	"strings"

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
