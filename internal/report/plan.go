package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"agentsync/internal/diag"
	"agentsync/internal/plan"
)

// destructiveFirst lists the actions, the most destructive first: the order in which a reviewer must
// see them where not all can be shown.
var destructiveFirst = [...]plan.Action{
	plan.Delete, plan.Replace, plan.Update, plan.Adopt, plan.Move, plan.Create, plan.Kept,
}

func severityOf(a plan.Action) int {
	if i := slices.Index(destructiveFirst[:], a); i >= 0 {
		return i
	}
	return len(destructiveFirst)
}

// bySeverity returns the changes with the most destructive first, by address within an action.
func bySeverity(changes []plan.Change) []plan.Change {
	sorted := slices.Clone(changes)
	slices.SortStableFunc(sorted, func(a, b plan.Change) int {
		return cmp.Or(cmp.Compare(severityOf(a.Action), severityOf(b.Action)), a.Address.Compare(b.Address))
	})
	return sorted
}

// summaryOrder is the order in which a sentence counts actions.
var summaryOrder = [...]plan.Action{
	plan.Create, plan.Update, plan.Replace, plan.Delete, plan.Adopt, plan.Move,
}

func countOf(s plan.Summary, a plan.Action) int {
	switch a {
	case plan.Create:
		return s.Create
	case plan.Update:
		return s.Update
	case plan.Replace:
		return s.Replace
	case plan.Delete:
		return s.Delete
	case plan.Adopt:
		return s.Adopt
	case plan.Move:
		return s.Move
	case plan.Kept:
		return s.Kept
	default:
		return 0
	}
}

// toDo counts the actions in words: "3 to create, 1 to update", or "" where there is nothing to do.
// Each phrase is coloured as its action is.
func toDo(s plan.Summary, style Style) string {
	var parts []string
	if s.Origins > 0 {
		parts = append(parts, style.paint(yellow, originCount(s.Origins)))
	}
	for _, a := range summaryOrder {
		if n := countOf(s, a); n > 0 {
			l := lookOf(a)
			parts = append(parts, style.paint(l.ink, comma(n)+" to "+l.infinitive))
		}
	}
	return strings.Join(parts, ", ")
}

// summaryLine is the sentence that closes a plan.
func summaryLine(s plan.Summary, style Style) string {
	if !s.Any() {
		return noChanges(s)
	}
	line := "Plan: " + toDo(s, style)
	if s.Kept > 0 {
		line += ", " + comma(s.Kept) + " kept"
	}
	if s.Unchanged > 0 {
		line += ", " + comma(s.Unchanged) + " unchanged"
	}
	line += "."
	if s.Blocked > s.Protected {
		line += " " + style.paint(yellow, blockedCount(s.Blocked-s.Protected))
	}
	if s.Protected > 0 {
		line += " " + style.paint(yellow, "Apply refuses the whole plan: "+protectedCount(s.Protected))
	}
	return line
}

func blockedCount(n int) string {
	if n == 1 {
		return "1 of them is blocked."
	}
	return comma(n) + " of them are blocked."
}

func protectedCount(n int) string {
	if n == 1 {
		return "1 agent is protected."
	}
	return comma(n) + " agents are protected."
}

func noChanges(s plan.Summary) string {
	line := "No changes."
	switch s.Unchanged {
	case 0:
	case 1:
		line += " 1 agent is as the manifests want it."
	default:
		line += " " + comma(s.Unchanged) + " agents are as the manifests want them."
	}
	if s.Kept > 0 {
		line += " " + count(s.Kept, "agent") + " kept."
	}
	return line
}

// summarise counts the given changes by action, for a sentence about those that are not shown.
func summarise(changes []plan.Change) plan.Summary {
	var s plan.Summary
	for _, c := range changes {
		s.Count(c)
	}
	return s
}

// replaceReason names the fields that force a replace: "because externalTenantId cannot be changed".
func replaceReason(c plan.Change) string {
	if c.Action != plan.Replace {
		return ""
	}
	var fields []string
	for _, f := range c.Differences() {
		if f.Immutable {
			fields = append(fields, shownPath(f.Path))
		}
	}
	if len(fields) == 0 {
		return ""
	}
	return "because " + strings.Join(fields, ", ") + " cannot be changed"
}

// remarks are what else is to be said of a change, each a phrase.
func remarks(c plan.Change) []string {
	var all []string
	if reason := replaceReason(c); reason != "" {
		all = append(all, reason)
	}
	if c.Unlisted && c.Action != plan.Delete && c.Action != plan.Kept {
		all = append(all, "the platform's list does not show it: apply asks for it, and makes it again if it is gone")
	} else if c.Vanished {
		all = append(all, "made again: the platform does not show it any more")
	}
	if len(c.Obsolete) > 0 {
		all = append(all, "deletes what an earlier replace left: "+joined(c.Obsolete))
	}
	if !c.From.IsZero() {
		all = append(all, "was "+Sanitize(c.From.String()))
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

// joined lists platform's handles, sanitised.
func joined(uids []string) string {
	shown := make([]string, len(uids))
	for i, uid := range uids {
		shown[i] = Sanitize(uid)
	}
	return strings.Join(shown, ", ")
}

// obstacle is why a change is not carried out, in a phrase, and the command that would lift that, or
// "".
type obstacle struct{ reason, command string }

// obstacleOf explains what blocks a change; the zero obstacle stands for nothing.
func obstacleOf(c plan.Change) obstacle {
	switch c.Blocked {
	case "":
		return obstacle{}
	case plan.BlockedByProtect:
		if c.Action == plan.Delete {
			return obstacle{reason: "the agent is protected: put it back with lifecycle.protect: false, apply, then take it out again"}
		}
		return obstacle{reason: "lifecycle.protect refuses it: set it to false in the manifest to allow it"}
	case plan.BlockedByPrune:
		return obstacle{reason: "a replace deletes the old agent: --prune allows it"}
	case plan.BlockedByApp:
		return obstacle{reason: "the section of " + Sanitize(c.Address.ID().String()) +
			" left the manifests: put it back, with agents: [], to reach the app"}
	case plan.BlockedByAPI:
		return obstacle{reason: "the version of the API that the section asks for does not show the agent, which another version made"}
	case plan.BlockedByRename:
		return mayBeRenamed(c)
	case plan.BlockedByNamesake:
		return namesake(c)
	default:
		return obstacle{reason: Sanitize(string(c.Blocked))}
	}
}

func namesake(c plan.Change) obstacle {
	o := obstacle{reason: "an agent of the same name that agentsync does not manage is in the way"}
	if len(c.InTheWay) > 0 {
		o.reason += " (uid " + joined(c.InTheWay) + "); to take it over:"
		o.command = "agentsync import " + shellWord(c.Address.String()) + " " + shellWord(c.InTheWay[0])
	}
	return o
}

// sentence joins both for where there is one line only.
func (o obstacle) sentence() string {
	if o.command == "" {
		return o.reason
	}
	return o.reason + " " + o.command
}

// minGroup is how many agents must change in the same way to be told of as one: fewer are read as quickly one by one.
const minGroup = 4

// group is a change that is the same in several agents.
type group struct {
	plan.Change               // of the first
	members     []plan.Change // all of them, ordered by address
}

// grouped takes the updates that are the same in several agents apart from the other changes. Those come after all others:
// they repeat, and what is made, deleted or blocked must not be lost among them.
func grouped(changes []plan.Change) (single []plan.Change, groups []group) {
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
		g := group{Change: changes[alike[key][0]]}
		for _, i := range alike[key] {
			g.members = append(g.members, changes[i])
			inGroup[i] = true
		}
		groups = append(groups, g)
	}
	if groups == nil {
		return changes, nil
	}
	for i, c := range changes {
		if !inGroup[i] {
			single = append(single, c)
		}
	}
	return single, groups
}

// groupKey is what two changes must share to be one group; "" for a change that is told of alone.
func groupKey(c *plan.Change) string {
	if c.Action != plan.Update || c.Blocked != "" || !c.From.IsZero() || len(c.Obsolete) > 0 {
		return ""
	}
	docs := make([]plan.FieldDocument, len(c.Fields))
	for i, f := range c.Fields {
		docs[i] = f.Document()
	}
	key, err := json.Marshal([]any{c.Address.Platform, c.Marker, c.Send, docs})
	if err != nil {
		return ""
	}
	return string(key)
}

// head names a group.
func (g group) head() string { return "the same change in " + count(len(g.members), "agent") }

// maxMembers is how many agents of a group are named where not everything was asked for.
const maxMembers = 10

// groupText writes a group: its change once, and the agents below it.
func groupText(b *bufio.Writer, g group, s Style) {
	l := lookOf(g.Action)
	b.WriteString(s.paint(l.ink, l.symbol) + " " + s.paint(bold, comma(len(g.members))+" agents") + "  " + s.paint(l.ink, l.infinitive))
	for _, r := range remarks(g.Change) {
		b.WriteString("  (" + r + ")")
	}
	b.WriteString("  " + s.paint(dim, g.head()) + "\n")
	rows := rowsOf(g.Change)
	t := fieldText{w: b, s: s, label: labelWidth(rows)}
	for _, r := range rows {
		t.row(r)
	}
	shown := g.members
	if !s.Verbose && len(shown) > maxMembers {
		shown = shown[:maxMembers]
	}
	for _, c := range shown {
		b.WriteString("      " + s.paint(dim, "·") + " " + Sanitize(c.Address.String()))
		if c.Name != "" {
			b.WriteString("  " + quote(c.Name))
		}
		b.WriteString(s.paint(dim, placeOf(c)) + "\n")
	}
	if rest := len(g.members) - len(shown); rest > 0 {
		b.WriteString("      … and " + count(rest, "more agent") + ", -v lists all\n")
	}
}

// groupRow is a group's line in the table.
func groupRow(g group) string {
	l := lookOf(g.Action)
	return "| `" + l.symbol + "` | **" + comma(len(g.members)) + " agents** | " + l.infinitive + " | " + whatChanges(g.Change) + " |\n"
}

// groupDetails folds a group: its diff once, and the agents behind a fold of their own.
func (o MarkdownOptions) groupDetails(g group, budget int) string {
	l := lookOf(g.Action)
	var b strings.Builder
	b.WriteString("<details><summary><code>" + l.symbol + "</code> " + escapeHTML(g.head()))
	if n := len(g.Fields); n > 0 {
		b.WriteString(", " + count(n, "field"))
	}
	b.WriteString("</summary>\n\n")
	body, left := clipLines(fenceBody(g.Change), budget*2/3)
	if left > 0 {
		body += "… " + count(left, "more line") + "\n"
	}
	if body != "" {
		b.WriteString(fence("diff", body))
	}
	list, left := clipLines(o.memberLines(g), budget/3)
	b.WriteString("\n" + list)
	if left > 0 {
		b.WriteString("\n… and " + count(left, "more agent") + "\n")
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

func (o MarkdownOptions) memberLines(g group) string {
	var b strings.Builder
	for _, c := range g.members {
		b.WriteString("- " + o.linked(codeSpan(clip(c.Address.String(), 200)), c.Source))
		if c.Name != "" {
			b.WriteString(" " + codeSpan(clip(c.Name, 80)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// groupDoc is a group in JSON.
type groupDoc struct {
	Action    plan.Action          `json:"action"`
	Addresses []string             `json:"addresses"`
	Fields    []plan.FieldDocument `json:"fields"`
}

func groupDocs(changes []plan.Change) []groupDoc {
	_, groups := grouped(changes)
	var docs []groupDoc
	for _, g := range groups {
		doc := groupDoc{Action: g.Action, Fields: make([]plan.FieldDocument, len(g.Fields))}
		for i, f := range g.Fields {
			doc.Fields[i] = f.Document()
		}
		for _, c := range g.members {
			doc.Addresses = append(doc.Addresses, c.Address.String())
		}
		docs = append(docs, doc)
	}
	return docs
}

// pageMember is one agent of a group on the page.
type pageMember struct{ Address, Name, Place string }

func newPageGroup(g group) pageChange {
	p := newPageChange(g.Change)
	p.Address, p.Name, p.Place = comma(len(g.members))+" agents", "", ""
	p.Remarks = strings.Join(append(remarks(g.Change), g.head()), "; ")
	for _, c := range g.members {
		p.Members = append(p.Members, pageMember{Sanitize(c.Address.String()), Sanitize(c.Name), strings.TrimSpace(placeOf(c))})
	}
	return p
}

// PlanJSON writes p as one JSON document as schema/plan.schema.json describes it: the plan's own form,
// and what only this room knows. Warnings of the manifests go along as "diagnostics" where there are
// any. The error is that of w.
func PlanJSON(w io.Writer, p *plan.Plan, warnings diag.List) error {
	doc := planDoc{Document: p.Document(), Diagnostics: problemDocs(warnings)}
	doc.Groups = groupDocs(p.Changes)
	doc.Changes = make([]changeDoc, len(p.Changes))
	for i, c := range p.Changes {
		doc.Changes[i] = changeDoc{doc.Document.Changes[i], obstacleOf(c).sentence()}
	}
	return JSON(w, doc)
}

// planDoc is a plan's document with changes that say more.
type planDoc struct {
	plan.Document
	Changes     []changeDoc  `json:"changes"`
	Groups      []groupDoc   `json:"groups,omitempty"`
	Diagnostics []problemDoc `json:"diagnostics,omitempty"`
}

// changeDoc is a change with the sentence that explains why it is not carried out.
type changeDoc struct {
	plan.ChangeDocument
	Reason string `json:"reason,omitempty"`
}
