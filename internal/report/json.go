package report

import (
	"io"

	"agentsync/internal/agent"
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
