package report

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strings"

	"agentsync/internal/apply"
	"agentsync/internal/diag"
)

// tally counts results by status.
type tally struct {
	Done       int `json:"done"`
	Failed     int `json:"failed"`
	Unknown    int `json:"unknown"`
	NotStarted int `json:"notStarted"`
}

func tallyOf(results []apply.Result) tally {
	var t tally
	for _, r := range results {
		switch r.Status {
		case apply.StatusDone:
			t.Done++
		case apply.StatusFailed:
			t.Failed++
		case apply.StatusUnknown:
			t.Unknown++
		case apply.StatusNotStarted:
			t.NotStarted++
		}
	}
	return t
}

// words writes "3 done, 1 failed"; what is zero is left out.
func (t tally) words(s Style) string {
	var parts []string
	add := func(n int, status apply.Status) {
		if n > 0 {
			parts = append(parts, s.paint(statusLook(status).ink, comma(n)+" "+statusLook(status).infinitive))
		}
	}
	add(t.Done, apply.StatusDone)
	add(t.Failed, apply.StatusFailed)
	add(t.Unknown, apply.StatusUnknown)
	add(t.NotStarted, apply.StatusNotStarted)
	if parts == nil {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// statusLook returns how a status is shown.
func statusLook(status apply.Status) look {
	switch status {
	case apply.StatusDone:
		return look{symbol: "✓", ink: green, infinitive: "done"}
	case apply.StatusFailed:
		return look{symbol: "✗", ink: red, infinitive: "failed"}
	case apply.StatusUnknown:
		return look{symbol: "?", ink: yellow, infinitive: "unknown"}
	default:
		return look{symbol: "·", ink: dim, infinitive: "not started"}
	}
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
		return Sanitize(string(o))
	}
}

// ReportText writes what a run did for a person: what did not work, each with its reason and what to
// do, warnings, and one closing sentence. With Style.Verbose what worked is listed too. The error is
// that of w.
func ReportText(w io.Writer, r *apply.Report, s Style) error {
	b := bufio.NewWriter(w)
	shown := noteworthy(r.Results, s.Verbose)
	rest := len(shown) - s.maxChanges(len(shown))
	for _, res := range shown[:len(shown)-rest] {
		resultText(b, res, s)
	}
	if rest > 0 {
		b.WriteString("… and " + comma(rest) + " more: " + tallyOf(shown[len(shown)-rest:]).words(s) + ", -v shows all\n")
	}
	for _, warning := range r.Warnings {
		b.WriteString(s.paint(yellow, "!") + " " + Sanitize(warning) + "\n")
	}
	if len(shown)+len(r.Warnings) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(s.paint(bold, headline(r.Outcome)+":") + " " + tallyOf(r.Results).words(s) + ".\n")
	if words := againWords(r); words != "" {
		b.WriteString(words + "\n")
	}
	return b.Flush()
}

// againWords say what another apply does after one that did not do all, or "".
func againWords(r *apply.Report) string {
	switch n := r.Again(); {
	case n == 0:
		return ""
	case n == 1:
		return "Run apply again: only this one is sent."
	default:
		return "Run apply again: only these " + comma(n) + " are sent."
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
		return cmp.Or(cmp.Compare(slices.Index(order, a.Status), slices.Index(order, b.Status)), a.Address.Compare(b.Address))
	})
	return kept
}

func resultText(b *bufio.Writer, r apply.Result, s Style) {
	l := statusLook(r.Status)
	b.WriteString(s.paint(l.ink, l.symbol) + " " + resultLine(r) + "\n")
	if r.Warning != "" {
		b.WriteString("    " + s.paint(yellow, "warning:") + " " + Sanitize(r.Warning) + "\n")
	}
	if hint := strings.TrimSpace(r.Hint); hint != "" {
		for i, text := range strings.Split(r.Hint, "\n") {
			switch body := strings.TrimSpace(text); {
			case body == "":
			case i == 0:
				b.WriteString("    " + s.paint(cyan, "hint:") + " " + Sanitize(body) + "\n")
			default:
				b.WriteString("        " + lineStart(body) + "\n")
			}
		}
	}
}

// resultLine says what became of one agent, on one line and without colour.
func resultLine(r apply.Result) string {
	act := lookOf(r.Action)
	line := Sanitize(r.Address.String()) + " "
	if r.Name != "" {
		line += quote(r.Name) + " "
	}
	switch r.Status {
	case apply.StatusDone:
		line += act.past
	case apply.StatusNotStarted:
		line += act.infinitive + " not started"
	case apply.StatusUnknown:
		line += act.infinitive + ": outcome unknown, the next run settles it"
	default:
		line += act.infinitive + " failed"
	}
	if r.UID != "" {
		line += ", uid " + Sanitize(r.UID)
	}
	if r.Status != apply.StatusDone && !r.Source.IsZero() {
		line += ", " + Sanitize(r.Source.String())
	}
	if r.Err != nil {
		line += ": " + Sanitize(r.Err.Error())
	}
	return line
}

// ReportJSON writes what a run did as one JSON document as schema/report.schema.json describes it. The
// error is that of w.
func ReportJSON(w io.Writer, r *apply.Report) error {
	doc := reportDoc{
		FormatVersion: FormatVersion, Outcome: r.Outcome, Summary: tallyOf(r.Results),
		Again: r.Again(), Results: make([]resultDoc, len(r.Results)), Warnings: r.Warnings,
	}
	for i, res := range r.Results {
		doc.Results[i] = resultDoc{
			Address: res.Address.String(), Action: string(res.Action), Status: res.Status,
			UID: res.UID, Name: res.Name, Source: placeDoc(res.Source), Hint: res.Hint, Warning: res.Warning,
		}
		if res.Err != nil {
			doc.Results[i].Error = res.Err.Error()
		}
	}
	return JSON(w, doc)
}

type reportDoc struct {
	FormatVersion string        `json:"formatVersion"`
	Outcome       apply.Outcome `json:"outcome"`
	Summary       tally         `json:"summary"`
	Again         int           `json:"again,omitempty"`
	Results       []resultDoc   `json:"results"`
	Warnings      []string      `json:"warnings,omitempty"`
}

type resultDoc struct {
	Address string       `json:"address"`
	Action  string       `json:"action"`
	Status  apply.Status `json:"status"`
	UID     string       `json:"uid"`
	Name    string       `json:"name,omitempty"`
	Source  *place       `json:"source,omitempty"`
	Error   string       `json:"error"`
	Hint    string       `json:"hint,omitempty"`
	Warning string       `json:"warning,omitempty"`
}

// placeDoc is a place in JSON, nil for none.
func placeDoc(pos diag.Pos) *place {
	if pos.IsZero() {
		return nil
	}
	return &place{pos.File, pos.Line, pos.Column}
}

// ReportMarkdown writes what a run did as a comment: a marker, a count, and a table that begins with
// what did not work, never more than MarkdownOptions.MaxChars. The error is that of w.
func ReportMarkdown(w io.Writer, r *apply.Report, o MarkdownOptions) error {
	var b strings.Builder
	b.WriteString(o.head("apply", string(r.Outcome)))
	b.WriteString(headline(r.Outcome) + ": " + tallyOf(r.Results).words(Style{}) + ".\n\n")
	if words := againWords(r); words != "" {
		b.WriteString("**" + words + "**\n\n")
	}
	results := noteworthy(r.Results, true)
	left := o.maxChars() - room - chars(b.String())
	left -= writeWarnings(&b, r.Warnings, left/4)
	if len(results) > 0 {
		b.WriteString("| | agent | result |\n|---|---|---|\n")
	}
	for i, res := range results {
		who := codeSpan(clip(res.Address.String(), 200))
		if res.Name != "" {
			who += " " + codeSpan(clip(res.Name, 80))
		}
		if res.Status != apply.StatusDone && !res.Source.IsZero() {
			who += " " + o.place(res.Source)
		}
		row := "| " + statusLook(res.Status).symbol + " | " + who + " | " + resultCell(res) + " |\n"
		if left -= chars(row); left < 0 {
			b.WriteString("\n**Left out, because there was no room:** " + count(len(results)-i, "agent") + " (" + tallyOf(results[i:]).words(Style{}) + ").\n")
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
		text := "> " + prose(clip(warning, 500)) + "\n\n"
		if used+chars(text) > budget {
			text = "> … and " + count(len(warnings)-i, "more warning") + "\n\n"
			b.WriteString(text)
			return used + chars(text)
		}
		used += chars(text)
		b.WriteString(text)
	}
	return used
}

func resultCell(r apply.Result) string {
	cell := lookOf(r.Action).infinitive + " " + statusLook(r.Status).infinitive
	if r.Status == apply.StatusDone {
		cell = lookOf(r.Action).past
	}
	if r.UID != "" {
		cell += ", uid " + codeSpan(clip(r.UID, 100))
	}
	if r.Err != nil {
		cell += ": " + codeSpan(clip(r.Err.Error(), 500))
	}
	if r.Warning != "" {
		cell += "; warning: " + codeSpan(clip(r.Warning, 300))
	}
	if r.Hint != "" {
		cell += "; hint: " + codeSpan(clip(strings.Join(strings.Fields(r.Hint), " "), 500))
	}
	return cell
}
