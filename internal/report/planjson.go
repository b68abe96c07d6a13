package report

import (
	"io"

	"agentsync/internal/diag"
	"agentsync/internal/plan"
)

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
	return writeJSON(w, doc)
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
