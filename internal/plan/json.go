package plan

import (
	"errors"
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// FormatVersion is the version of a plan's JSON form. Its first number rises when a reader could break.
const FormatVersion = "1.0"

// Document is a plan as JSON, as schema/plan.schema.json describes it. It holds no secret: a
// placeholder stands for each one that is there.
type Document struct {
	FormatVersion string                 `json:"formatVersion"`
	Summary       Summary                `json:"summary"`
	Origins       []OriginDocument       `json:"origins,omitempty"`
	Changes       []ChangeDocument       `json:"changes"`
	Unmanaged     []Unmanaged            `json:"unmanaged,omitempty"`
	LikelyRenames []LikelyRenameDocument `json:"likelyRenames,omitempty"`
	Secrets       MissingSecrets         `json:"secrets,omitzero"`
	Doubted       []agent.AppID          `json:"doubted,omitempty"`
}

// ChangeDocument is a Change as JSON.
type ChangeDocument struct {
	Change
	Fields []FieldDocument `json:"fields"`
}

// FieldDocument is a FieldChange as JSON.
type FieldDocument struct {
	Path   string `json:"path"`
	Before any    `json:"before"`
	After  any    `json:"after"`
	Secret bool   `json:"secret"`
	Drift  bool   `json:"drift,omitempty"`
	// Live is there with Drift alone, and may then be null.
	Live      *any `json:"live,omitempty"`
	Immutable bool `json:"immutable,omitempty"`
	// File is the file that a wanted text comes from, empty for none.
	File string `json:"file,omitempty"`
}

// OriginDocument is an Origin as JSON. Before is missing where state does not know.
type OriginDocument struct {
	App     agent.AppID  `json:"app"`
	Changed bool         `json:"changed"`
	Foreign bool         `json:"foreign"`
	Before  agent.Origin `json:"before,omitzero"`
	After   agent.Origin `json:"after"`
}

// LikelyRenameDocument is a LikelyRename as JSON.
type LikelyRenameDocument struct {
	LikelyRename
	// Line is what the manifest says at Source if it is the same agent.
	Line string `json:"line"`
}

// Document returns the plan's JSON form. It shares memory with p.
func (p *Plan) Document() Document {
	doc := Document{FormatVersion: FormatVersion, Summary: p.Summary, Changes: make([]ChangeDocument, len(p.Changes)),
		Unmanaged: p.Unmanaged, Secrets: p.Secrets, Doubted: p.Doubted}
	for _, o := range p.Origins {
		doc.Origins = append(doc.Origins, OriginDocument{o.App, o.Changed(), o.Foreign, o.Before, o.After})
	}
	for i := range p.Changes {
		doc.Changes[i] = p.Changes[i].document()
	}
	for _, l := range p.LikelyRenames {
		doc.LikelyRenames = append(doc.LikelyRenames, LikelyRenameDocument{l, l.Line()})
	}
	return doc
}

func (ch *Change) document() ChangeDocument {
	doc := ChangeDocument{Change: *ch, Fields: FieldDocuments(ch.Differences())}
	for i := range doc.Fields {
		doc.Fields[i].File = ch.TextFiles[doc.Fields[i].Path]
	}
	return doc
}

// FieldDocuments returns the JSON form of fields, which shows no secret. It shares memory with them.
func FieldDocuments(fields []FieldChange) []FieldDocument {
	docs := make([]FieldDocument, len(fields))
	for i, f := range fields {
		docs[i] = f.Document()
	}
	return docs
}

// Document returns the field's JSON form, which shows no secret. It shares memory with f.
func (f FieldChange) Document() FieldDocument {
	shown := func(v any) any {
		if v == nil || !f.Secret && !holdsSecret(v) {
			return v
		}
		return secret.Placeholder
	}
	doc := FieldDocument{
		Path: f.Path, Before: shown(f.Before), After: shown(f.After),
		Secret: f.Secret || holdsSecret(f.Before) || holdsSecret(f.After), Drift: f.Drift, Immutable: f.Immutable,
	}
	if f.Drift {
		live := shown(f.Live)
		doc.Live = &live
	}
	return doc
}

// Plan returns the plan that doc describes, for showing it. Of secrets it knows that they are there
// and nothing more, and it has no RecordUpdates. The error says which member cannot be understood.
func (doc Document) Plan() (*Plan, error) {
	p := &Plan{Summary: doc.Summary, Unmanaged: doc.Unmanaged, Secrets: doc.Secrets, Doubted: doc.Doubted}
	for _, o := range doc.Origins {
		p.Origins = append(p.Origins, Origin{App: o.App, Before: o.Before, After: o.After, Foreign: o.Foreign})
	}
	for i, c := range doc.Changes {
		ch, err := c.change()
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i+1, err)
		}
		if i > 0 && p.Changes[i-1].Address.Compare(ch.Address) >= 0 {
			return nil, fmt.Errorf("change %d: the changes are not ordered by address", i+1)
		}
		p.Changes = append(p.Changes, ch)
	}
	for _, l := range doc.LikelyRenames {
		p.LikelyRenames = append(p.LikelyRenames, l.LikelyRename)
	}
	p.linkLikelyRenames()
	return p, nil
}

func (doc ChangeDocument) change() (Change, error) {
	ch := doc.Change
	switch ch.Action {
	case Create, Update, Replace, Delete, Adopt, Move, Kept:
	default:
		return Change{}, fmt.Errorf("%q is no action", ch.Action)
	}
	switch ch.Marker {
	case "", MarkerAdd, MarkerRemove, MarkerRenew:
	default:
		return Change{}, fmt.Errorf("%q is nothing that is done about a marker", ch.Marker)
	}
	if ch.Address.IsZero() {
		return Change{}, errors.New("it has no address")
	}
	for _, f := range doc.Fields {
		fc, err := f.change()
		if err != nil {
			return Change{}, fmt.Errorf("%s: %w", f.Path, err)
		}
		ch.Fields = append(ch.Fields, fc)
		if f.File != "" {
			if ch.TextFiles == nil {
				ch.TextFiles = map[string]string{}
			}
			ch.TextFiles[f.Path] = f.File
		}
	}
	return ch, nil
}

func (doc FieldDocument) change() (FieldChange, error) {
	f := FieldChange{Path: doc.Path, Secret: doc.Secret, Drift: doc.Drift, Immutable: doc.Immutable}
	read := func(v any) (any, error) {
		if v != nil && doc.Secret {
			return secret.Sealed{}, nil
		}
		return agent.Canonical(v)
	}
	var err error
	if f.Before, err = read(doc.Before); err != nil {
		return FieldChange{}, err
	}
	if f.After, err = read(doc.After); err != nil {
		return FieldChange{}, err
	}
	if doc.Live != nil {
		f.Live, err = read(*doc.Live)
	}
	return f, err
}
