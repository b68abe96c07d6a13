package report

import (
	"io"

	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
)

// PlanJSON writes p as one JSON document as schema/plan.schema.json describes it. Warnings of the
// manifests go along as "diagnostics" where there are any. The error is that of w, or says that the
// plan holds a value that is none.
func PlanJSON(w io.Writer, p *plan.Plan, warnings diag.List) error {
	doc := planDoc{
		FormatVersion: FormatVersion,
		Summary:       p.Summary,
		Changes:       make([]changeDoc, len(p.Changes)),
		Diagnostics:   problemDocs(warnings),
	}
	for i, c := range p.Changes {
		doc.Changes[i] = newChangeDoc(c)
	}
	for _, u := range p.Unmanaged {
		doc.Unmanaged = append(doc.Unmanaged, unmanagedDoc{u.App.String(), u.UID, public(map[string]any(u.Name))})
	}
	for _, app := range p.Doubted {
		doc.Doubted = append(doc.Doubted, app.String())
	}
	return writeJSON(w, doc)
}

type planDoc struct {
	FormatVersion string         `json:"formatVersion"`
	Summary       plan.Summary   `json:"summary"`
	Changes       []changeDoc    `json:"changes"`
	Unmanaged     []unmanagedDoc `json:"unmanaged,omitempty"`
	Doubted       []string       `json:"doubted,omitempty"`
	Diagnostics   []problemDoc   `json:"diagnostics,omitempty"`
}

// unmanagedDoc is a live agent that no manifest and no state knows.
type unmanagedDoc struct {
	App  string `json:"app"`
	UID  string `json:"uid"`
	Name any    `json:"name"`
}

type changeDoc struct {
	Address  string      `json:"address"`
	Action   plan.Action `json:"action"`
	UID      string      `json:"uid"`
	Name     string      `json:"name,omitempty"`
	From     string      `json:"from,omitempty"`
	Blocked  plan.Block  `json:"blocked,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	InTheWay []string    `json:"inTheWay,omitempty"`
	Vanished bool        `json:"vanished,omitempty"`
	Obsolete []string    `json:"obsolete,omitempty"`
	Source   *place      `json:"source,omitempty"`
	// Marker is what is done about the agent's mark.
	Marker plan.MarkerChange `json:"marker,omitempty"`
	Send   []string          `json:"send,omitempty"`
	Fields []fieldDoc        `json:"fields"`
}

type fieldDoc struct {
	Path   string `json:"path"`
	Before any    `json:"before"`
	After  any    `json:"after"`
	Secret bool   `json:"secret"`
	Drift  bool   `json:"drift,omitempty"`
	// Live is there with Drift alone, and may then be null.
	Live      *any `json:"live,omitempty"`
	Immutable bool `json:"immutable,omitempty"`
}

func newChangeDoc(c plan.Change) changeDoc {
	doc := changeDoc{
		Address: c.Address.String(), Action: c.Action, UID: c.UID, Name: c.Name,
		Blocked: c.Blocked, Reason: obstacleOf(c).sentence(), InTheWay: c.InTheWay, Marker: c.Marker, Send: c.Send,
		Vanished: c.Vanished, Obsolete: c.Obsolete,
		Fields: make([]fieldDoc, len(c.Fields)),
	}
	if !c.From.IsZero() {
		doc.From = c.From.String()
	}
	if !c.Source.IsZero() {
		doc.Source = &place{c.Source.File, c.Source.Line, c.Source.Column}
	}
	for i, f := range c.Fields {
		doc.Fields[i] = newFieldDoc(f)
	}
	return doc
}

func newFieldDoc(f plan.FieldChange) fieldDoc {
	doc := fieldDoc{
		Path: f.Path, Before: public(f.Before), After: public(f.After),
		Secret: f.Secret || isSecret(f.Before) || isSecret(f.After), Drift: f.Drift, Immutable: f.Immutable,
	}
	if doc.Secret {
		doc.Before, doc.After = masked(f.Before), masked(f.After)
	}
	if f.Drift {
		live := public(f.Live)
		if doc.Secret {
			live = masked(f.Live)
		}
		doc.Live = &live
	}
	return doc
}

// masked keeps of a secret only whether there is one.
func masked(v any) any {
	if v == nil {
		return nil
	}
	return secret.Placeholder
}
