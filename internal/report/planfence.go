package report

import (
	"strings"

	"agentsync/internal/plan"
)

// maxDetails bounds one agent's diff, in UTF-16 units: one agent must not push out all others.
const maxDetails = 12_000

// hasDetails reports whether a change has more to say than its line in the table.
func hasDetails(c plan.Change) bool {
	return len(c.Fields)+len(c.Wanted)+len(c.Obsolete) > 0 || c.Blocked != ""
}

// detailsOf folds one agent's diff.
func detailsOf(c plan.Change, budget int) string {
	l := lookOf(c.Action)
	var b strings.Builder
	b.WriteString("<details><summary><code>" + l.symbol + " " + escapeHTML(clip(c.Address.String(), 200)) + "</code> " + l.infinitive)
	if n := len(c.Differences()); n > 0 {
		b.WriteString(", " + count(n, "field"))
	}
	b.WriteString("</summary>\n\n")
	if o := obstacleOf(c); o.reason != "" {
		b.WriteString("**Blocked:** " + prose(o.reason))
		if o.command != "" {
			b.WriteString(" " + codeSpan(o.command))
		}
		b.WriteString("\n\n")
	}
	if all := remarks(c); len(all) > 0 {
		b.WriteString(prose(strings.Join(all, "; ")) + "\n\n")
	}
	if place := strings.TrimSpace(placeOf(c)); place != "" {
		b.WriteString(codeSpan(clip(place, 300)) + "\n\n")
	}
	body, left := clipLines(fenceBody(c), budget)
	if left > 0 {
		body += "… " + count(left, "more line") + "\n"
	}
	if body != "" {
		b.WriteString(fence("diff", body))
	}
	b.WriteString("\n</details>\n")
	return b.String()
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
		case r.secret && r.op == changed:
			b.WriteString("! " + r.path + ": " + r.after + " changed" + notes + "\n")
		default:
			fenceValues(&b, r, notes)
		}
		if r.drift != nil {
			for _, text := range r.drift.table() {
				b.WriteString("#     " + strings.TrimRight(text, " ") + "\n")
			}
		}
	}
	return b.String()
}

func fenceValues(b *strings.Builder, r row, notes string) {
	r.before, r.after = elidePair(r.before, r.after, maxLineChars)
	if r.op != added {
		b.WriteString("- " + r.path + ": " + r.before)
		if r.op == removed {
			b.WriteString(notes)
		}
		b.WriteByte('\n')
	}
	if r.op != removed {
		b.WriteString("+ " + r.path + ": " + r.after + notes + "\n")
	}
}

func fenceLines(b *strings.Builder, lines []line) {
	for _, l := range lines {
		if l.op == skipped {
			b.WriteString("  … " + count(l.count, "unchanged line") + "\n")
			continue
		}
		var text strings.Builder
		spans := elide(l.spans, maxLineChars)
		for k, s := range spans {
			if s.cut > 0 {
				text.WriteString(cutWords(s.cut))
				continue
			}
			text.WriteString(visible(s.text, l.op, s.marked, k == len(spans)-1))
		}
		shown := text.String()
		if l.op == same {
			shown = breakCommand(shown) // nothing but white space would stand before it
		}
		b.WriteString(string(l.op) + " " + shown + "\n")
	}
}
