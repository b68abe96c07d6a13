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
		if reason := blockedReason(c); reason != "" {
			b.WriteString("  " + s.paint(yellow, "blocked:") + " " + reason)
		}
		b.WriteByte('\n')
	}
	if rest := len(kept) - len(shown); rest > 0 {
		b.WriteString("  … and " + comma(rest) + " more, -v lists all\n")
	}
	b.WriteByte('\n')
}

// besidesText tells what a plan found beside its changes: lists that were not believed, agents that
// nobody manages, records that are brought up to date.
func besidesText(b *bufio.Writer, p *plan.Plan, s Style) {
	lines := besides(p, s.Verbose)
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	if s.Verbose {
		for _, u := range p.Unmanaged {
			b.WriteString("  " + s.paint(dim, "·") + " " + Sanitize(u.App.String()) + "  uid " + Sanitize(u.UID) + unmanagedName(u) + "\n")
		}
	}
	if len(lines) > 0 {
		b.WriteByte('\n')
	}
}

// besides are the sentences of besidesText, the last of them about unmanaged agents.
func besides(p *plan.Plan, verbose bool) []string {
	var lines []string
	for _, app := range p.Doubted {
		lines = append(lines, "! "+Sanitize(app.String())+" lists none of the agents that state knows there; "+
			"the list was not believed, and the app is planned as if it had not been read")
	}
	if n := len(p.Touches); n > 0 && verbose {
		lines = append(lines, count(n, "record")+" in state will be brought up to date; nothing is sent for that")
	}
	if n := len(p.Unmanaged); n > 0 {
		line := count(n, "live agent") + " in no manifest and no state (" + perApp(p.Unmanaged) + "); agentsync export takes them over"
		if verbose {
			line += ":"
		} else {
			line += ", -v lists them"
		}
		lines = append(lines, line)
	}
	return lines
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
