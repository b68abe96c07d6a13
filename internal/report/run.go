package report

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
)

// This file tells what a run did, in each form.

// ReportText writes what a run did for a person: what did not work, each with its reason and what to
// do, warnings, and one closing sentence. With Style.Verbose what worked is listed too. The error is
// that of w.
func ReportText(w io.Writer, r *apply.Report, s Style) error {
	t := newTextWriter(w, s)
	all := noteworthy(r.Results, s.Verbose)
	shown, rest := firstOf(all, s.maxChanges(), s)
	for _, res := range shown {
		t.writeResult(res)
	}
	if rest > 0 {
		t.WriteString("… and " + diag.Count(rest) + " more: " + countWords(all[len(shown):], s) + ", -v shows all\n")
	}
	for _, warning := range r.Warnings {
		t.WriteString(s.paint(yellow, "!") + " " + show.Line(warning) + "\n")
	}
	if len(shown)+len(r.Warnings) > 0 {
		t.WriteString("\n")
	}
	t.WriteString(s.paint(bold, headline(r.Outcome)+":") + " " + countWords(r.Results, s) + ".\n")
	if words := againWords(r); words != "" {
		t.WriteString(words + "\n")
	}
	return t.Flush()
}

func (t textWriter) writeResult(r apply.Result) {
	sign := signOfStatus(r.Status)
	t.WriteString(t.paint(sign.ink, sign.symbol) + " " + resultLine(r) + "\n")
	if r.Warning != "" {
		t.WriteString("    " + t.paint(yellow, "warning:") + " " + show.Line(r.Warning) + "\n")
	}
	for i, text := range strings.Split(r.Hint, "\n") {
		switch body := strings.TrimSpace(text); {
		case body == "":
		case i == 0:
			t.WriteString("    " + t.paint(cyan, "hint:") + " " + show.Line(body) + "\n")
		default:
			t.WriteString("        " + show.LineStart(body) + "\n")
		}
	}
}

// ReportMarkdown writes what a run did as a comment: a marker, a count, and a table that begins with
// what did not work, never more than MarkdownOptions.MaxChars. The error is that of w.
func ReportMarkdown(w io.Writer, r *apply.Report, o MarkdownOptions) error {
	var b strings.Builder
	b.WriteString(o.documentHead("apply", string(r.Outcome)))
	b.WriteString(headline(r.Outcome) + ": " + countWords(r.Results, Style{}) + ".\n\n")
	if words := againWords(r); words != "" {
		b.WriteString("**" + words + "**\n\n")
	}
	results := noteworthy(r.Results, true)
	left := o.maxChars() - closingRoom - show.Units(b.String())
	left -= writeWarnings(&b, r.Warnings, left/4)
	if len(results) > 0 {
		b.WriteString("| | agent | result |\n|---|---|---|\n")
	}
	for i, res := range results {
		who := addressCode(res.Address.String())
		if res.Name != "" {
			who += " " + clippedCode(res.Name, maxNameShown)
		}
		if res.Status != apply.StatusDone && !res.Source.IsZero() {
			who += " " + o.placeLink(res.Source)
		}
		row := "| " + signOfStatus(res.Status).symbol + " | " + who + " | " + resultCell(res) + " |\n"
		if left -= show.Units(row); left < 0 {
			b.WriteString(leftOutHead + diag.Plural(len(results)-i, "agent") + " (" + countWords(results[i:], Style{}) +
				").\n")
			break
		}
		b.WriteString(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeWarnings writes what fits into the budget and returns how much it took.
func writeWarnings(b *strings.Builder, warnings []string, budget int) int {
	used := 0
	for i, warning := range warnings {
		text := "> " + show.Prose(show.Clip(warning, 500)) + "\n\n"
		if used+show.Units(text) > budget {
			text = "> … and " + diag.Plural(len(warnings)-i, "more warning") + "\n\n"
			b.WriteString(text)
			return used + show.Units(text)
		}
		used += show.Units(text)
		b.WriteString(text)
	}
	return used
}

func resultCell(r apply.Result) string {
	cell := signOf(r.Action).verb + " " + signOfStatus(r.Status).verb
	if r.Status == apply.StatusDone {
		cell = signOf(r.Action).past
	}
	if r.UID != "" {
		cell += ", uid " + clippedCode(r.UID, 100)
	}
	if r.Err != nil {
		cell += ": " + clippedCode(r.Err.Error(), 500)
	}
	if r.Warning != "" {
		cell += "; warning: " + clippedCode(r.Warning, 300)
	}
	if r.Hint != "" {
		cell += "; hint: " + clippedCode(strings.Join(strings.Fields(r.Hint), " "), 500)
	}
	return cell
}

// ReportJSON writes what a run did as one JSON document as schema/report.schema.json describes it. The
// error is that of w.
func ReportJSON(w io.Writer, r *apply.Report) error {
	doc := reportDoc{
		FormatVersion: FormatVersion, Outcome: r.Outcome, Again: r.Again(), Results: make([]resultDoc, len(r.Results)),
		Warnings: r.Warnings,
		Summary: statusCounts{r.Count(apply.StatusDone), r.Count(apply.StatusFailed), r.Count(apply.StatusUnknown),
			r.Count(apply.StatusNotStarted)},
	}
	for i, res := range r.Results {
		doc.Results[i] = resultDoc{
			Address: res.Address, Action: res.Action, Status: res.Status, UID: res.UID, Name: res.Name,
			Source: res.Source, Hint: res.Hint, Warning: res.Warning,
		}
		if res.Err != nil {
			doc.Results[i].Error = res.Err.Error()
		}
	}
	return show.JSON(w, doc)
}

type reportDoc struct {
	FormatVersion string        `json:"formatVersion"`
	Outcome       apply.Outcome `json:"outcome"`
	Summary       statusCounts  `json:"summary"`
	Again         int           `json:"again,omitempty"`
	Results       []resultDoc   `json:"results"`
	Warnings      []string      `json:"warnings,omitempty"`
}

// statusCounts counts results by status.
type statusCounts struct {
	Done       int `json:"done"`
	Failed     int `json:"failed"`
	Unknown    int `json:"unknown"`
	NotStarted int `json:"notStarted"`
}

type resultDoc struct {
	Address agent.Address `json:"address"`
	Action  plan.Action   `json:"action"`
	Status  apply.Status  `json:"status"`
	UID     string        `json:"uid"`
	Name    string        `json:"name,omitempty"`
	Source  diag.Pos      `json:"source,omitzero"`
	Error   string        `json:"error"`
	Hint    string        `json:"hint,omitempty"`
	Warning string        `json:"warning,omitempty"`
}

// signOfStatus returns how a status is shown.
func signOfStatus(status apply.Status) outcomeSign {
	switch status {
	case apply.StatusDone:
		return outcomeSign{symbol: "✓", ink: green, verb: "done"}
	case apply.StatusFailed:
		return outcomeSign{symbol: "✗", ink: red, verb: "failed"}
	case apply.StatusUnknown:
		return outcomeSign{symbol: "?", ink: yellow, verb: "unknown"}
	default:
		return outcomeSign{symbol: "·", ink: dim, verb: "not started"}
	}
}

// countWords writes "3 done, 1 failed"; what is zero is left out.
func countWords(results []apply.Result, s Style) string {
	rep := apply.Report{Results: results}
	var parts []string
	for _, status := range []apply.Status{apply.StatusDone, apply.StatusFailed, apply.StatusUnknown,
		apply.StatusNotStarted} {
		if n, sign := rep.Count(status), signOfStatus(status); n > 0 {
			parts = append(parts, s.paint(sign.ink, diag.Count(n)+" "+sign.verb))
		}
	}
	if parts == nil {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// headline says in a few words how the run came out.
func headline(o apply.Outcome) string {
	switch o {
	case apply.OutcomeComplete:
		return "Apply complete"
	case apply.OutcomePartial:
		return "Applied in part"
	case apply.OutcomeFailed:
		return "Apply failed"
	case apply.OutcomeInterrupted:
		return "Apply interrupted"
	default:
		return show.Line(string(o))
	}
}

// againWords say what another apply does after one that did not do all, or "".
func againWords(r *apply.Report) string {
	switch n := r.Again(); {
	case n == 0:
		return ""
	case n == 1:
		return "Run apply again: only this one is sent."
	default:
		return "Run apply again: only these " + diag.Count(n) + " are sent."
	}
}

// noteworthy returns the results that need a reader, failures before unknowns before the rest, by
// address within each.
func noteworthy(results []apply.Result, all bool) []apply.Result {
	var kept []apply.Result
	for _, r := range results {
		if all || r.Status != apply.StatusDone || r.Warning != "" {
			kept = append(kept, r)
		}
	}
	order := []apply.Status{apply.StatusFailed, apply.StatusUnknown, apply.StatusNotStarted, apply.StatusDone}
	slices.SortStableFunc(kept, func(a, b apply.Result) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Status), slices.Index(order, b.Status)),
			a.Address.Compare(b.Address))
	})
	return kept
}

// resultLine says what became of one agent, on one line and without colour.
func resultLine(r apply.Result) string {
	act := signOf(r.Action)
	line := show.Line(r.Address.String()) + " "
	if r.Name != "" {
		line += show.Quote(r.Name) + " "
	}
	switch r.Status {
	case apply.StatusDone:
		line += act.past
	case apply.StatusNotStarted:
		line += act.verb + " not started"
	case apply.StatusUnknown:
		line += act.verb + ": outcome unknown, the next run settles it"
	default:
		line += act.verb + " failed"
	}
	if r.UID != "" {
		line += ", uid " + show.Line(r.UID)
	}
	if r.Status != apply.StatusDone && !r.Source.IsZero() {
		line += ", " + show.Line(r.Source.String())
	}
	if r.Err != nil {
		line += ": " + show.Line(r.Err.Error())
	}
	return line
}
