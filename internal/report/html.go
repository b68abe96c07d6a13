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

	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
	"agentsync/internal/report/textdiff"
)

//go:embed page/plan.html.tmpl
var pageTemplate string

//go:embed page/plan.css
var pageStyle string

//go:embed page/plan.js
var pageScript string

// openUpTo is how many changes are shown unfolded: beyond, a reviewer wants the list first.
const openUpTo = 50

// PlanHTML writes the whole of p as one page that needs no network and no server: light and dark, with
// a filter by platform, action and text, and side-by-side diffs. Its content security policy lets
// nothing be loaded or sent and no script run but its own. The error is that of w.
func PlanHTML(w io.Writer, p *plan.Plan) error {
	t, err := template.New("plan").Funcs(template.FuncMap{
		"line": show.Line, "originHead": originHead, "placeOf": placeOf, "renamesHead": renamesHead,
		"originLines":  func(o plan.Origin) []string { return originLines(o, show.Line) },
		"renamesWay":   func() string { return renamesWay },
		"newAgentLine": func() string { return plan.NewAgentLine },
	}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	b := bufio.NewWriter(w)
	if err := t.Execute(b, newPage(p)); err != nil {
		return err
	}
	return b.Flush()
}

// planPage is what the page shows. What it has of Plan is made fit to be shown by the template.
type planPage struct {
	Policy, Summary  string
	CSS              template.CSS
	JS               template.JS
	Origins          []plan.Origin
	LikelyRenames    []plan.LikelyRename
	Notes, Platforms []string
	Actions          []pageAction
	Changes          []pageChange
	Open             bool
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
	Members []plan.Change
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
	Spans       []textdiff.Part
}

func newPage(p *plan.Plan) planPage {
	// The page's own style and script are allowed by their digests, and nothing else is.
	policy := "default-src 'none'; style-src " + pageDigest(pageStyle) + "; script-src " + pageDigest(pageScript) +
		"; base-uri 'none'; form-action 'none'"
	g := planPage{
		Policy: policy, Summary: summaryLine(p.Summary), CSS: template.CSS(pageStyle), JS: template.JS(pageScript),
		Origins: p.Origins, LikelyRenames: p.LikelyRenames, Notes: planNotes(p), Open: len(p.Changes) <= openUpTo,
	}
	if line := unmanagedNote(p.Unmanaged); line != "" {
		g.Notes = append(g.Notes, line)
	}
	for _, sign := range actionSigns {
		if n := sign.count(p.Summary); n > 0 {
			g.Actions = append(g.Actions, pageAction{sign.action, sign.symbol, sign.verb, diag.Count(n)})
		}
	}
	single, groups := entriesOf(p.Changes)
	for _, e := range append(single, groups...) {
		c := newPageChange(e)
		g.Changes, g.Platforms = append(g.Changes, c), append(g.Platforms, c.Platform)
	}
	slices.Sort(g.Platforms)
	g.Platforms = slices.Compact(g.Platforms)
	return g
}

func pageDigest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func newPageChange(e planEntry) pageChange {
	sign, obstacle, remarks := signOf(e.Action), obstacleOf(e.Change), remarksOf(e.Change)
	g := pageChange{
		Action: e.Action, Symbol: sign.symbol, Word: sign.verb,
		Address: show.Line(e.Address.String()), Platform: show.Line(e.Address.Platform),
		Name: show.Line(e.Name), Place: placeOf(e.Change),
		Blocked: obstacle.reason, Command: obstacle.command, Members: e.members,
	}
	if e.Action == plan.Kept {
		remarks = []string{"left the manifests and is kept; --prune deletes it"}
		if words := renameRemark(e.Change); words != "" {
			remarks = append(remarks, words)
		}
	}
	if e.members != nil {
		g.Address = e.groupSize()
		remarks = append(remarks, e.groupHead())
	}
	g.Remarks = strings.Join(remarks, "; ")
	for _, r := range rowsOf(e.Change) {
		row := pageRow{Op: string(r.op), Path: r.path, Notes: strings.Join(r.notes, "; "), Drift: r.drift}
		switch {
		case r.lines != nil:
			row.Pairs, row.HasOld, row.HasNew = pairLines(r.lines), r.op != textdiff.Added, r.op != textdiff.Removed
		case r.isSecretChange():
			row.Told = r.after + " changed"
		default:
			row.Before, row.After = r.before, r.after
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// pairLines puts removed lines beside the added ones that follow them.
func pairLines(lines []textdiff.Line) []pagePair {
	var pairs []pagePair
	for i := 0; i < len(lines); {
		switch l := lines[i]; l.Op {
		case textdiff.Skipped:
			pairs = append(pairs, pagePair{Skipped: l.SkippedWords()})
			i++
		case textdiff.Same:
			pairs = append(pairs, pagePair{Old: sideOf(l, l.Old), New: sideOf(l, l.New)})
			i++
		default:
			olds := leadingLines(lines[i:], textdiff.Removed)
			news := leadingLines(lines[i+len(olds):], textdiff.Added)
			i += len(olds) + len(news)
			for k := range max(len(olds), len(news)) {
				var p pagePair
				if k < len(olds) {
					p.Old = sideOf(olds[k], olds[k].Old)
				}
				if k < len(news) {
					p.New = sideOf(news[k], news[k].New)
				}
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

// leadingLines returns the first lines as long as they have the given op.
func leadingLines(lines []textdiff.Line, o textdiff.Op) []textdiff.Line {
	n := 0
	for n < len(lines) && lines[n].Op == o {
		n++
	}
	return lines[:n]
}

func sideOf(l textdiff.Line, n int) pageSide {
	s := pageSide{N: n, Sign: string(l.Op), Spans: l.Parts(0)}
	switch l.Op {
	case textdiff.Removed:
		s.Class = "removed"
	case textdiff.Added:
		s.Class = "added"
	}
	return s
}
