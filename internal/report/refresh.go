package report

import (
	"bufio"
	"io"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
)

// RefreshText writes what recording what is live would change in the state: each record that is behind
// with what someone else changed, and one sentence that sums up. The error is that of w.
func RefreshText(w io.Writer, behind []plan.Refreshed, doubted []agent.AppID, s Style) error {
	b := bufio.NewWriter(w)
	gone, unlisted := 0, 0
	for _, r := range behind {
		refreshText(b, r, s)
		if r.Unlisted {
			unlisted++
		}
		if r.Vanished {
			gone++
		}
	}
	for _, l := range doubts(&plan.Plan{Doubted: doubted}) {
		b.WriteString(l + "\n\n")
	}
	sum := "Nothing to record: the state says what is live."
	if len(behind) > unlisted {
		sum = "Refresh: " + count(len(behind)-gone-unlisted, "record") + " to bring up to date, " + comma(gone) + " to drop. Nothing is sent."
	}
	b.WriteString(s.paint(bold, sum) + "\n")
	return b.Flush()
}

func refreshText(b *bufio.Writer, r plan.Refreshed, s Style) {
	symbol, ink, what := "~", yellow, "record what is live"
	switch {
	case r.Vanished:
		symbol, ink, what = "-", red, "gone from the platform (uid "+Sanitize(r.UID)+"); leaves the state"
	case r.Unlisted:
		symbol, ink, what = "!", yellow, "not in the platform's list (uid "+Sanitize(r.UID)+"), which does not prove that it is gone; nothing is recorded"
	case len(r.Fields) == 0:
		what = "record values that the platform made up on its own"
	}
	b.WriteString(s.paint(ink, symbol) + " " + s.paint(bold, Sanitize(r.Address.String())) + "  " + what + "\n")
	rows := rowsOf(recorded(r))
	t := fieldText{w: b, s: s, label: labelWidth(rows)}
	for _, row := range rows {
		t.row(row)
	}
	b.WriteByte('\n')
}

// recorded returns a change with the fields of r, whose rows say nothing of what the platform would do.
func recorded(r plan.Refreshed) plan.Change {
	return plan.Change{Address: r.Address, Action: plan.Delete, UID: r.UID, Fields: r.Fields}
}

type refreshDoc struct {
	FormatVersion string         `json:"formatVersion"`
	Records       []refreshedDoc `json:"records"`
	Doubted       []string       `json:"doubted,omitempty"`
}

type refreshedDoc struct {
	Address  string               `json:"address"`
	UID      string               `json:"uid"`
	Vanished bool                 `json:"vanished"`
	Unlisted bool                 `json:"unlisted,omitempty"`
	Fields   []plan.FieldDocument `json:"fields"`
}

// RefreshJSON writes the same as one JSON document. The error is that of w.
func RefreshJSON(w io.Writer, behind []plan.Refreshed, doubted []agent.AppID) error {
	doc := refreshDoc{FormatVersion: FormatVersion, Records: make([]refreshedDoc, len(behind))}
	for i, r := range behind {
		fields := make([]plan.FieldDocument, len(r.Fields))
		for j, f := range r.Fields {
			fields[j] = f.Document()
		}
		doc.Records[i] = refreshedDoc{r.Address.String(), r.UID, r.Vanished, r.Unlisted, fields}
	}
	for _, id := range doubted {
		doc.Doubted = append(doc.Doubted, id.String())
	}
	return writeJSON(w, doc)
}
