package report

import (
	"io"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
)

// FormatVersion is the version of the JSON documents. Its first number rises when a reader that
// follows the published schema could break; new members alone raise the second.
const FormatVersion = "1.0"

// PlanJSON writes p as one JSON document as schema/plan.schema.json describes it: the plan's own form,
// and what only this room knows. Warnings of the manifests go along as "diagnostics" where there are
// any. The error is that of w.
func PlanJSON(w io.Writer, p *plan.Plan, warnings diag.List) error {
	doc := planDoc{Document: p.Document(), Changes: make([]changeDoc, len(p.Changes)),
		Diagnostics: problemDocs(warnings)}
	for i, c := range p.Changes {
		doc.Changes[i] = changeDoc{doc.Document.Changes[i], obstacleOf(c).sentence()}
	}
	_, groups := entriesOf(p.Changes)
	for _, g := range groups {
		group := groupDoc{Action: g.Action, Fields: plan.FieldDocuments(g.Fields)}
		for _, c := range g.members {
			group.Addresses = append(group.Addresses, c.Address)
		}
		doc.Groups = append(doc.Groups, group)
	}
	return show.JSON(w, doc)
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

// groupDoc is a change that several agents share.
type groupDoc struct {
	Action    plan.Action          `json:"action"`
	Addresses []agent.Address      `json:"addresses"`
	Fields    []plan.FieldDocument `json:"fields"`
}

// RefreshJSON writes what RefreshText does as one JSON document. The error is that of w.
func RefreshJSON(w io.Writer, behind []plan.Refreshed, doubted []agent.AppID) error {
	doc := refreshDoc{FormatVersion, make([]refreshedDoc, len(behind)), doubted}
	for i, r := range behind {
		doc.Records[i] = refreshedDoc{r, plan.FieldDocuments(r.Fields)}
	}
	return show.JSON(w, doc)
}

type refreshDoc struct {
	FormatVersion string         `json:"formatVersion"`
	Records       []refreshedDoc `json:"records"`
	Doubted       []agent.AppID  `json:"doubted,omitempty"`
}

type refreshedDoc struct {
	plan.Refreshed
	Fields []plan.FieldDocument `json:"fields"`
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

// DiagJSON writes l as one JSON document as schema/diagnostics.schema.json describes it. The error is
// that of w.
func DiagJSON(w io.Writer, l diag.List) error {
	l = sortedProblems(l)
	doc := diagDoc{FormatVersion: FormatVersion, Valid: !l.HasErrors(), Diagnostics: problemDocs(l)}
	doc.Summary.Errors, doc.Summary.Warnings = l.Count()
	if doc.Diagnostics == nil {
		doc.Diagnostics = []problemDoc{}
	}
	return show.JSON(w, doc)
}

type diagDoc struct {
	FormatVersion string `json:"formatVersion"`
	Valid         bool   `json:"valid"`
	Summary       struct {
		Errors   int `json:"errors"`
		Warnings int `json:"warnings"`
	} `json:"summary"`
	Diagnostics []problemDoc `json:"diagnostics"`
}

type problemDoc struct {
	Severity string `json:"severity"`
	diag.Pos
	Summary string `json:"summary"`
	Address string `json:"address,omitempty"`
}

func problemDocs(l diag.List) []problemDoc {
	var docs []problemDoc
	for _, p := range l {
		docs = append(docs, problemDoc{p.Severity.String(), p.Pos, p.Summary, p.Address})
	}
	return docs
}

// ErrorJSON writes the one document that a command with --format json leaves on stdout when it fails
// before it has a result, with the problems of the manifests where they are the reason. All three
// published output schemas allow it. The error is that of w.
func ErrorJSON(w io.Writer, message, hint string, exitCode int, problems diag.List) error {
	return show.JSON(w, errorDoc{FormatVersion, errorBody{message, hint, exitCode},
		problemDocs(sortedProblems(problems))})
}

type errorDoc struct {
	FormatVersion string       `json:"formatVersion"`
	Error         errorBody    `json:"error"`
	Diagnostics   []problemDoc `json:"diagnostics,omitempty"`
}

type errorBody struct {
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
	ExitCode int    `json:"exitCode"`
}
