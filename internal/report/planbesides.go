package report

import (
	"bufio"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
)

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
		b.WriteString("  " + s.paint(dim, "·") + " " + Sanitize(c.Address.String()) + s.paint(dim, placeOf(c)))
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
	lines := doubts(p)
	if n := len(p.Touches); n > 0 && s.Verbose {
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
