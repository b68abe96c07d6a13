package report

import (
	"bufio"
	"encoding/json"
	"strings"

	"agentsync/internal/plan"
)

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
func groupDetails(g group, budget int) string {
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
	list, left := clipLines(memberLines(g), budget/3)
	b.WriteString("\n" + list)
	if left > 0 {
		b.WriteString("\n… and " + count(left, "more agent") + "\n")
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

func memberLines(g group) string {
	var b strings.Builder
	for _, c := range g.members {
		b.WriteString("- " + codeSpan(clip(c.Address.String(), 200)))
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
