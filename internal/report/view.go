package report

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
)

// This file says what a plan says, whatever the form: its entries, what is remarked of them and what blocks them,
// sentences that count, where requests go, likely renames, and notes. What an entry changes field by field is in
// rows.go. A phrase is sanitised here where it is one of ours with data in it; each form escapes it for where it
// stands.

// planEntry is one change, or one that is the same in several agents.
type planEntry struct {
	plan.Change
	// members are the agents that share the change, ordered by address; nil for a change of one agent. The change is
	// then that of the first, without what is its own.
	members []plan.Change
}

// minGroup is how many agents must change in the same way to be told of as one: fewer are read as quickly one by one.
const minGroup = 4

// entriesOf takes the updates that are the same in several agents apart from the other changes. Those come after all
// others: they repeat, and what is made, deleted or blocked must not be lost among them.
func entriesOf(changes []plan.Change) (single, groups []planEntry) {
	alike := map[string][]int{}
	var keys []string
	for i := range changes {
		key := groupKey(&changes[i])
		if key == "" {
			continue
		}
		if alike[key] == nil {
			keys = append(keys, key)
		}
		alike[key] = append(alike[key], i)
	}
	inGroup := map[int]bool{}
	for _, key := range keys {
		if len(alike[key]) < minGroup {
			continue
		}
		g := planEntry{Change: changes[alike[key][0]]}
		g.Name, g.UID, g.Source = "", "", diag.Pos{}
		for _, i := range alike[key] {
			g.members = append(g.members, changes[i])
			inGroup[i] = true
		}
		groups = append(groups, g)
	}
	single = make([]planEntry, 0, len(changes)-len(inGroup))
	for i, c := range changes {
		if !inGroup[i] {
			single = append(single, planEntry{Change: c})
		}
	}
	return single, groups
}

// groupKey is what two changes must share to be one group; "" for a change that is told of alone.
func groupKey(c *plan.Change) string {
	if c.Action != plan.Update || c.Blocked != "" || !c.From.IsZero() || len(c.Obsolete) > 0 {
		return ""
	}
	key, err := json.Marshal([]any{c.Address.Platform, c.Marker, c.Send, plan.FieldDocuments(c.Fields)})
	if err != nil {
		return ""
	}
	return string(key)
}

// groupHead names a group.
func (e planEntry) groupHead() string {
	return "the same change in " + diag.Plural(len(e.members), "agent")
}

// groupSize counts the members of a group: more than one, always.
func (e planEntry) groupSize() string { return diag.Count(len(e.members)) + " agents" }

// bySeverity returns entries with the most destructive first, by address within an action.
func bySeverity(entries []planEntry) []planEntry {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b planEntry) int {
		return cmp.Or(cmp.Compare(signOf(a.Action).severity, signOf(b.Action).severity), a.Address.Compare(b.Address))
	})
	return sorted
}

// toDo counts the actions in words: "3 to create, 1 to update", or "" where there is nothing to do.
// Each phrase is coloured as its action is.
func toDo(s plan.Summary, style Style) string {
	var parts []string
	if s.Origins > 0 {
		parts = append(parts, style.paint(yellow, diag.Plural(s.Origins, "endpoint")+" changed"))
	}
	for _, sign := range actionSigns {
		if n := sign.count(s); n > 0 && sign.action != plan.Kept {
			parts = append(parts, style.paint(sign.ink, diag.Count(n)+" to "+sign.verb))
		}
	}
	return strings.Join(parts, ", ")
}

// summaryLine is the sentence that closes a plan.
func summaryLine(s plan.Summary) string {
	if !s.Any() {
		line := "No changes."
		if s.Unchanged > 0 {
			line += " " + show.Plural(s.Unchanged, "1 agent is as the manifests want it.",
				"agents are as the manifests want them.")
		}
		if s.Kept > 0 {
			line += " " + diag.Plural(s.Kept, "agent") + " kept."
		}
		return line
	}
	line := "Plan: " + toDo(s, Style{})
	if s.Kept > 0 {
		line += ", " + diag.Count(s.Kept) + " kept"
	}
	if s.Unchanged > 0 {
		line += ", " + diag.Count(s.Unchanged) + " unchanged"
	}
	line += "."
	if n := s.Blocked - s.Protected; n > 0 {
		line += " " + show.Plural(n, "1 of them is blocked.", "of them are blocked.")
	}
	if s.Protected > 0 {
		line += " Apply refuses the whole plan: " + show.Plural(s.Protected, "1 agent is protected.",
			"agents are protected.")
	}
	return line
}

// summaryOf counts entries by action, for a sentence about those that are not shown.
func summaryOf(entries []planEntry) plan.Summary {
	var s plan.Summary
	for _, e := range entries {
		s.Count(e.Change)
	}
	return s
}

// remarksOf are what else is to be said of a change, each a phrase.
func remarksOf(c plan.Change) []string {
	var all []string
	if c.Action == plan.Replace {
		var forcing []string
		for _, f := range c.Differences() {
			if f.Immutable {
				forcing = append(forcing, show.Path(f.Path))
			}
		}
		if len(forcing) > 0 {
			all = append(all, "because "+strings.Join(forcing, ", ")+" cannot be changed")
		}
	}
	// Unlisted before Vanished: it says that the platform was not asked yet.
	if c.Unlisted && c.Action != plan.Delete && c.Action != plan.Kept {
		all = append(all, "the platform's list does not show it: apply asks for it, and makes it again if it is gone")
	} else if c.Vanished {
		all = append(all, "made again: the platform does not show it any more")
	}
	if len(c.Obsolete) > 0 {
		all = append(all, "deletes what an earlier replace left: "+joinUIDs(c.Obsolete))
	}
	if !c.From.IsZero() {
		all = append(all, "was "+show.Line(c.From.String()))
	}
	if words := markerWords(c.Marker); words != "" {
		all = append(all, words)
	}
	if words := renameRemark(c); words != "" {
		all = append(all, words)
	}
	return all
}

// markerWords say what is done about an agent's mark, or "".
func markerWords(m plan.MarkerChange) string {
	switch m {
	case plan.MarkerAdd:
		return "marker added"
	case plan.MarkerRemove:
		return "marker removed"
	case plan.MarkerRenew:
		return "marker renewed"
	default:
		return ""
	}
}

// joinUIDs lists platform's handles, sanitised.
func joinUIDs(uids []string) string { return show.Line(strings.Join(uids, ", ")) }

// placeOf says which agent a change concerns at the platform and where the change comes from.
func placeOf(c plan.Change) string {
	var parts []string
	if c.UID != "" {
		parts = append(parts, "uid "+show.Line(c.UID))
	}
	if !c.Source.IsZero() {
		parts = append(parts, show.Line(c.Source.String()))
	}
	return strings.Join(parts, "  ")
}

// obstacle is why a change is not carried out, in a phrase, and the command that would lift that, or "".
type obstacle struct{ reason, command string }

// sentence joins both for where there is one line only.
func (o obstacle) sentence() string { return strings.TrimSpace(o.reason + " " + o.command) }

// obstacleOf explains what blocks a change; the zero obstacle stands for nothing.
func obstacleOf(c plan.Change) obstacle {
	switch c.Blocked {
	case "":
		return obstacle{}
	case plan.BlockedByProtect:
		if c.Action == plan.Delete {
			return obstacle{reason: "the agent is protected: put it back with lifecycle.protect: false, apply, then take it " +
				"out again"}
		}
		return obstacle{reason: "lifecycle.protect refuses it: set it to false in the manifest to allow it"}
	case plan.BlockedByPrune:
		return obstacle{reason: "a replace deletes the old agent: --prune allows it"}
	case plan.BlockedByApp:
		return obstacle{reason: "the section of " + show.Line(c.Address.ID().String()) +
			" left the manifests: put it back, with agents: [], to reach the app"}
	case plan.BlockedByAPI:
		return obstacle{reason: "the version of the API that the section asks for does not show the agent, which another " +
			"version made"}
	case plan.BlockedByRename:
		l := c.Likely
		if l == nil { // a document without its pairs
			return obstacle{reason: "may be another agent of this plan under another key, whose uid would be lost"}
		}
		return obstacle{reason: renameWords(c) + " (" + l.Why() + "): write " + show.Line(l.Line()) + " at " +
			show.Line(l.Source.String()) + " to keep the uid, or " + plan.NewAgentLine + " if they are two agents"}
	case plan.BlockedByNamesake:
		o := obstacle{reason: "an agent of the same name that agentsync does not manage is in the way"}
		if len(c.InTheWay) > 0 {
			o.reason += " (uid " + joinUIDs(c.InTheWay) + "); to take it over:"
			o.command = apply.ImportCommand(show.ShellWord(c.Address.String()), show.ShellWord(c.InTheWay[0]))
		}
		return o
	default:
		return obstacle{reason: show.Line(string(c.Blocked))}
	}
}

// renameWords say of one side of a pair what the other is.
func renameWords(c plan.Change) string {
	if c.Address == c.Likely.To {
		return "may be " + show.Line(c.Likely.From.String()) + " under another key"
	}
	return "may be " + show.Line(c.Likely.To.String()) + " now"
}

// renameRemark is renameWords where they are not told as what blocks the change, or "".
func renameRemark(c plan.Change) string {
	if c.Likely == nil || c.Blocked == plan.BlockedByRename {
		return ""
	}
	return renameWords(c)
}

// renamesHead begins the list of agents that may be other ones under another key.
func renamesHead(n int) string {
	return show.Plural(n, "1 agent that arrives may be one that left, under another key",
		"agents that arrive may be ones that left, under another key")
}

// renamesWay says what to do about them.
const renamesWay = "Write the line under the key at its place, and the agent keeps its uid. Where they are two " +
	"agents, write there:"

// maxRenames is how many likely renames are told of where not everything was asked for.
const maxRenames = 10

// originHead names an app whose requests are told of.
func originHead(o plan.Origin) string {
	if o.Changed() {
		return "requests and the API key go to another place"
	}
	return "requests and the API key go here"
}

// originLines says where the requests of an app go, a line for each thing: what changes with both sides, or the address
// that is not the platform's own. paint marks data; it gets text as it is and makes it fit to be shown.
func originLines(o plan.Origin, paint func(string) string) []string {
	if !o.Changed() {
		return []string{"endpoint " + paint(o.After.BaseURL) + " is not the platform's own; the key is " +
			paint(o.After.KeyEnv)}
	}
	change := func(what, before, after string) string {
		if before == after {
			return what + " " + paint(after)
		}
		return what + " " + paint(before) + " → " + paint(after)
	}
	own := ""
	if o.Foreign {
		own = " (not the platform's own)"
	}
	return []string{
		change("endpoint", o.Before.BaseURL, o.After.BaseURL) + own,
		change("key", o.Before.KeyEnv, o.After.KeyEnv),
	}
}

// maxOrigins is how many apps are told of where not everything was asked for: a fleet has an app for each tenant at
// times.
const maxOrigins = 20

// boundOrigins returns the origins to show, those that changed first, and a sentence about the rest, "" for none.
func boundOrigins(origins []plan.Origin, most int) (shown []plan.Origin, rest string) {
	for _, changed := range []bool{true, false} {
		for _, o := range origins {
			if o.Changed() == changed {
				shown = append(shown, o)
			}
		}
	}
	if len(shown) <= most {
		return shown, ""
	}
	hosts := map[string]bool{}
	for _, o := range shown[most:] {
		_, host, _ := strings.Cut(o.After.BaseURL, "://")
		host, _, _ = strings.Cut(host, "/")
		hosts[host] = true
	}
	names := slices.Sorted(maps.Keys(hosts))
	if len(names) > maxApps {
		names = append(names[:maxApps:maxApps], "…")
	}
	return shown[:most], "… and " + diag.Plural(len(origins)-most, "more app") + " at " +
		show.Line(strings.Join(names, ", "))
}

// maxNewSecrets is how many new secrets are named; agentsync secrets lists all.
const maxNewSecrets = 10

// planNotes are what a reader has to know besides the changes: lists that were not believed, and secrets without a
// value.
func planNotes(p *plan.Plan) []string {
	lines := doubtNotes(p.Doubted)
	if n := len(p.Secrets.Known); n > 0 {
		lines = append(lines, show.Plural(n, "1 secret has no value here: its changes do not show",
			"secrets have no value here: their changes do not show"))
	}
	names := p.Secrets.New
	if len(names) == 0 {
		return lines
	}
	shown, rest := firstOf(names, maxNewSecrets, Style{})
	line := "apply needs " + show.Plural(len(names), "a new secret", "new secrets") + ": " +
		show.Line(strings.Join(shown, ", "))
	if rest > 0 {
		line += ", and " + diag.Count(rest) + " more"
	}
	return append(lines, line)
}

// doubtNotes are the warnings about apps whose lists were not believed.
func doubtNotes(doubted []agent.AppID) []string {
	var lines []string
	for _, app := range doubted {
		name := show.Line(app.String())
		lines = append(lines, "! "+name+
			" lists none of the agents that state knows there; the list was not believed, and "+
			"the app is planned as if it had not been read (if the agents are really gone: agentsync state rm "+name+
			")")
	}
	return lines
}

// maxApps is how many apps, or hosts, a sentence names.
const maxApps = 5

// unmanagedNote counts the agents that nobody manages, by app, or is "".
func unmanagedNote(list []plan.Unmanaged) string {
	if len(list) == 0 {
		return ""
	}
	counts := map[agent.AppID]int{}
	for _, u := range list {
		counts[u.App]++
	}
	apps, rest := firstOf(slices.SortedFunc(maps.Keys(counts), agent.AppID.Compare), maxApps, Style{})
	var parts []string
	for _, app := range apps {
		parts = append(parts, diag.Count(counts[app])+" in "+show.Line(app.String()))
	}
	if rest > 0 {
		parts = append(parts, "and "+diag.Plural(rest, "more app"))
	}
	return diag.Plural(len(list), "live agent") + " in no manifest and no state (" + strings.Join(parts, ", ") +
		"); agentsync export takes them over"
}

// firstOf returns the first of a list, and how many more there are: most of them, or all with Verbose.
func firstOf[T any](list []T, most int, s Style) (shown []T, rest int) {
	if s.Verbose || len(list) <= most {
		return list, 0
	}
	return list[:most], len(list) - most
}

// outcomeSign is how an action or a status is shown.
type outcomeSign struct {
	symbol string
	ink    inkCode
	// verb fits "3 to create", past fits "created".
	verb, past string
}

// actionSign is how an action is shown and counted.
type actionSign struct {
	outcomeSign
	action plan.Action
	// severity orders changes where not all can be shown: the most destructive, with the lowest, first.
	severity int
	count    func(plan.Summary) int
}

// actionSigns are all actions, in the order in which a sentence counts them.
var actionSigns = [...]actionSign{
	{outcomeSign{"+", green, "create", "created"}, plan.Create, 5, func(s plan.Summary) int { return s.Create }},
	{outcomeSign{"~", yellow, "update", "updated"}, plan.Update, 2, func(s plan.Summary) int { return s.Update }},
	{outcomeSign{"±", magenta, "replace", "replaced"}, plan.Replace, 1, func(s plan.Summary) int { return s.Replace }},
	{outcomeSign{"-", red, "delete", "deleted"}, plan.Delete, 0, func(s plan.Summary) int { return s.Delete }},
	{outcomeSign{"=", cyan, "adopt", "adopted"}, plan.Adopt, 3, func(s plan.Summary) int { return s.Adopt }},
	{outcomeSign{"→", cyan, "move", "moved"}, plan.Move, 4, func(s plan.Summary) int { return s.Move }},
	{outcomeSign{"·", dim, "keep", "kept"}, plan.Kept, 6, func(s plan.Summary) int { return s.Kept }},
}

// signOf returns how an action is shown. One that this package does not know is a change.
func signOf(a plan.Action) actionSign {
	for _, sign := range actionSigns {
		if sign.action == a {
			return sign
		}
	}
	return actionSign{outcomeSign: outcomeSign{"?", "", "change", "changed"}, action: a, severity: len(actionSigns)}
}
