package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"agentsync/internal/plan"
)

//go:embed page/plan.html.tmpl
var pageTemplate string

//go:embed page/plan.css
var pageStyle string

//go:embed page/plan.js
var pageScript string

// HTMLOptions say how a page is made.
type HTMLOptions struct {
	// Title is the heading, or empty for "agentsync plan".
	Title string
}

// openUpTo is how many changes are shown unfolded: beyond, a reviewer wants the list first.
const openUpTo = 50

// PlanHTML writes the whole of p as one page that needs no network and no server: light and dark, with
// a filter by platform, action and text, and side-by-side diffs. Its content security policy lets
// nothing be loaded or sent and no script run but its own. The error is that of w.
func PlanHTML(w io.Writer, p *plan.Plan, o HTMLOptions) error {
	t, err := template.New("plan").Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	b := bufio.NewWriter(w)
	if err := t.Execute(b, newPage(p, o)); err != nil {
		return err
	}
	return b.Flush()
}

type page struct {
	Policy, Title, Summary string
	CSS                    template.CSS
	JS                     template.JS
	Origins                []pageOrigin
	RenamesHead            string
	Renames                []pageRename
	RenamesWay, NewAgent   string
	Notes, Platforms       []string
	Actions                []pageAction
	Changes                []pageChange
	Open                   bool
}

// pageAction is one action's box in the filter.
type pageAction struct {
	Action              plan.Action
	Symbol, Word, Count string
}

type pageChange struct {
	Action                         plan.Action
	Symbol, Word                   string
	Address, Platform, Name, Place string
	Blocked, Command, Remarks      string
	Rows                           []pageRow
	// Members are the agents of a group, which changes all of them alike.
	Members []pageMember
}

type pageRow struct {
	Op, Path, Before, After, Notes string
	// Told stands where the values cannot be shown.
	Told  string
	Drift []string
	Pairs []pagePair
	// HasOld and HasNew say which sides of Pairs there are: a text that is new has one.
	HasOld, HasNew bool
}

// pagePair is one row of a side-by-side diff. Skipped stands for unchanged lines between.
type pagePair struct {
	Old, New pageSide
	Skipped  string
}

// pageSide is one line on one side; N is its number, 0 where there is none.
type pageSide struct {
	N           int
	Sign, Class string
	Spans       []pageSpan
}

type pageSpan struct {
	Text   string
	Marked bool
}

func newPage(p *plan.Plan, o HTMLOptions) page {
	g := page{
		Policy: policy(), Title: "agentsync plan", Summary: summaryLine(p.Summary, Style{}),
		CSS: template.CSS(pageStyle), JS: template.JS(pageScript),
		Origins: newPageOrigins(p.Origins), Notes: planNotes(p), Open: len(p.Changes) <= openUpTo,
		RenamesHead: renamesHead(len(p.LikelyRenames)), Renames: newPageRenames(p), RenamesWay: renamesWay, NewAgent: plan.NewAgentLine,
	}
	if o.Title != "" {
		g.Title = Sanitize(o.Title)
	}
	if line := unmanagedCount(p); line != "" {
		g.Notes = append(g.Notes, line)
	}
	for _, a := range append(summaryOrder[:], plan.Kept) {
		if n := countOf(p.Summary, a); n > 0 {
			l := lookOf(a)
			g.Actions = append(g.Actions, pageAction{a, l.symbol, l.infinitive, comma(n)})
		}
	}
	single, groups := grouped(p.Changes)
	for _, c := range single {
		g.Changes = append(g.Changes, newPageChange(c))
	}
	for _, group := range groups {
		g.Changes = append(g.Changes, newPageGroup(group))
	}
	for _, c := range p.Changes {
		g.Platforms = append(g.Platforms, Sanitize(c.Address.Platform))
	}
	slices.Sort(g.Platforms)
	g.Platforms = slices.Compact(g.Platforms)
	return g
}

// policy allows this page's own style and script, by their digests, and nothing else.
func policy() string {
	return "default-src 'none'; style-src " + digest(pageStyle) + "; script-src " + digest(pageScript) +
		"; base-uri 'none'; form-action 'none'"
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func newPageChange(c plan.Change) pageChange {
	l, o := lookOf(c.Action), obstacleOf(c)
	g := pageChange{
		Action: c.Action, Symbol: l.symbol, Word: l.infinitive,
		Address: Sanitize(c.Address.String()), Platform: Sanitize(c.Address.Platform),
		Name: Sanitize(c.Name), Place: strings.TrimSpace(placeOf(c)),
		Blocked: o.reason, Command: o.command, Remarks: strings.Join(remarks(c), "; "),
	}
	if c.Action == plan.Kept {
		g.Remarks = "left the manifests and is kept; --prune deletes it"
		if words := renameRemark(c); words != "" {
			g.Remarks += "; " + words
		}
	}
	for _, r := range rowsOf(c) {
		g.Rows = append(g.Rows, newPageRow(r))
	}
	return g
}

func newPageRow(r row) pageRow {
	g := pageRow{Op: string(r.op), Path: r.path, Notes: strings.Join(r.notes, "; ")}
	switch {
	case r.lines != nil:
		g.Pairs, g.HasOld, g.HasNew = pair(r.lines), r.op != added, r.op != removed
	case r.secret && r.op == changed:
		g.Told = r.after + " changed"
	default:
		g.Before, g.After = r.before, r.after
	}
	if r.op == added {
		g.Before = ""
	}
	if r.op == removed {
		g.After = ""
	}
	if d := r.drift; d != nil {
		g.Drift = []string{d.manifest, d.applied, d.live}
	}
	return g
}

// pair puts removed lines beside the added ones that follow them.
func pair(lines []line) []pagePair {
	var pairs []pagePair
	for i := 0; i < len(lines); {
		switch l := lines[i]; l.op {
		case skipped:
			pairs = append(pairs, pagePair{Skipped: "… " + count(l.count, "unchanged line")})
			i++
		case same:
			pairs = append(pairs, pagePair{Old: sideOf(l, l.old), New: sideOf(l, l.new)})
			i++
		default:
			olds := take(lines[i:], removed)
			news := take(lines[i+len(olds):], added)
			i += len(olds) + len(news)
			for k := range max(len(olds), len(news)) {
				var p pagePair
				if k < len(olds) {
					p.Old = sideOf(olds[k], olds[k].old)
				}
				if k < len(news) {
					p.New = sideOf(news[k], news[k].new)
				}
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

// take returns the leading lines with the given op.
func take(lines []line, o op) []line {
	n := 0
	for n < len(lines) && lines[n].op == o {
		n++
	}
	return lines[:n]
}

func sideOf(l line, n int) pageSide {
	s := pageSide{N: n, Sign: string(l.op)}
	switch l.op {
	case removed:
		s.Class = "removed"
	case added:
		s.Class = "added"
	}
	for k, part := range l.spans {
		s.Spans = append(s.Spans, pageSpan{visible(part.text, l.op, part.marked, k == len(l.spans)-1), part.marked})
	}
	return s
}
