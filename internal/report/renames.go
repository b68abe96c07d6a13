package report

import (
	"bufio"
	"strings"

	"agentsync/internal/plan"
)

// maxRenames is how many likely renames are told of where not everything was asked for.
const maxRenames = 10

// renamesHead begins the list of agents that may be other ones under another key.
func renamesHead(n int) string {
	if n == 1 {
		return "1 agent that arrives may be one that left, under another key"
	}
	return comma(n) + " agents that arrive may be ones that left, under another key"
}

// renamesWay says what to do about them.
const renamesWay = "Write the line under the key at its place, and the agent keeps its uid. Where they are two agents, write there:"

// renamesText writes what may be renames: each pair, and the line that says so at its place.
func renamesText(b *bufio.Writer, p *plan.Plan, s Style) {
	if len(p.LikelyRenames) == 0 {
		return
	}
	b.WriteString(s.paint(yellow, "?") + " " + renamesHead(len(p.LikelyRenames)) + ":\n")
	shown := p.LikelyRenames
	if !s.Verbose && len(shown) > maxRenames {
		shown = shown[:maxRenames]
	}
	for i := range shown {
		l := &shown[i]
		b.WriteString("    " + s.paint(bold, Sanitize(l.From.String())) + " → " + s.paint(bold, Sanitize(l.To.String())) + "  " + l.Why() + "\n")
		b.WriteString("        " + s.paint(dim, Sanitize(l.Source.String())) + "  " + s.paint(bold, Sanitize(l.Line())) + "\n")
	}
	if rest := len(p.LikelyRenames) - len(shown); rest > 0 {
		b.WriteString("    … and " + comma(rest) + " more, -v shows all\n")
	}
	b.WriteString("  " + renamesWay + "\n        " + s.paint(bold, plan.NewAgentLine) + "\n\n")
}

// renamesMarkdown writes the same as a list, within a budget of UTF-16 units.
func (o MarkdownOptions) renamesMarkdown(p *plan.Plan, budget int) string {
	if len(p.LikelyRenames) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n**" + renamesHead(len(p.LikelyRenames)) + ":**\n\n")
	end := "\n" + prose(renamesWay) + " " + codeSpan(plan.NewAgentLine) + "\n"
	budget -= chars(b.String()) + chars(end)
	for i := range p.LikelyRenames {
		l := &p.LikelyRenames[i]
		item := "- " + codeSpan(clip(l.From.String(), 200)) + " → " + codeSpan(clip(l.To.String(), 200)) + " (" + l.Why() + "): " +
			codeSpan(clip(l.Line(), 200)) + " at " + o.place(l.Source) + "\n"
		if budget -= chars(item); i == maxRenames || budget < 0 {
			b.WriteString("- … and " + comma(len(p.LikelyRenames)-i) + " more, in the text, JSON and HTML outputs\n")
			break
		}
		b.WriteString(item)
	}
	return b.String() + end
}

// pageRename is one of them on the page.
type pageRename struct{ From, To, Why, Place, Line string }

func newPageRenames(p *plan.Plan) []pageRename {
	var all []pageRename
	for i := range p.LikelyRenames {
		l := &p.LikelyRenames[i]
		all = append(all, pageRename{Sanitize(l.From.String()), Sanitize(l.To.String()), l.Why(), Sanitize(l.Source.String()), Sanitize(l.Line())})
	}
	return all
}

// renameWords say of one side of a pair what the other is.
func renameWords(c plan.Change) string {
	if c.Address == c.Likely.To {
		return "may be " + Sanitize(c.Likely.From.String()) + " under another key"
	}
	return "may be " + Sanitize(c.Likely.To.String()) + " now"
}

// renameRemark is renameWords where they are not told as what blocks the change, or "".
func renameRemark(c plan.Change) string {
	if c.Likely == nil || c.Blocked == plan.BlockedByRename {
		return ""
	}
	return renameWords(c)
}

// mayBeRenamed is why neither side of a pair is carried out.
func mayBeRenamed(c plan.Change) obstacle {
	l := c.Likely
	if l == nil { // a document without its pairs
		return obstacle{reason: "may be another agent of this plan under another key, whose uid would be lost"}
	}
	return obstacle{reason: renameWords(c) + " (" + l.Why() + "): write " + Sanitize(l.Line()) + " at " + Sanitize(l.Source.String()) +
		" to keep the uid, or " + plan.NewAgentLine + " if they are two agents"}
}
