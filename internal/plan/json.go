package plan

import (
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
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
	Unmanaged     []UnmanagedDocument    `json:"unmanaged,omitempty"`
	LikelyRenames []LikelyRenameDocument `json:"likelyRenames,omitempty"`
	Secrets       *MissingSecrets        `json:"secrets,omitempty"`
	Doubted       []string               `json:"doubted,omitempty"`
}

// ChangeDocument is a Change as JSON. Only the last members can be missing.
type ChangeDocument struct {
	Address  string          `json:"address"`
	Action   Action          `json:"action"`
	UID      string          `json:"uid"`
	Name     string          `json:"name,omitempty"`
	From     string          `json:"from,omitempty"`
	Blocked  Block           `json:"blocked,omitempty"`
	InTheWay []string        `json:"inTheWay,omitempty"`
	Vanished bool            `json:"vanished,omitempty"`
	Obsolete []string        `json:"obsolete,omitempty"`
	Source   *SourceDocument `json:"source,omitempty"`
	Marker   MarkerChange    `json:"marker,omitempty"`
	Send     []string        `json:"send,omitempty"`
	Fields   []FieldDocument `json:"fields"`
}

// SourceDocument is a place in a manifest as JSON.
type SourceDocument struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
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
	App     string         `json:"app"`
	Changed bool           `json:"changed"`
	Foreign bool           `json:"foreign"`
	Before  *PlaceDocument `json:"before,omitempty"`
	After   PlaceDocument  `json:"after"`
}

// PlaceDocument is an agent.Origin as JSON.
type PlaceDocument struct {
	BaseURL string `json:"baseUrl"`
	KeyEnv  string `json:"keyEnv"`
}

// LikelyRenameDocument is a LikelyRename as JSON.
type LikelyRenameDocument struct {
	From       string          `json:"from"`
	To         string          `json:"to"`
	SameName   bool            `json:"sameName"`
	Similarity int             `json:"similarity,omitempty"`
	Source     *SourceDocument `json:"source,omitempty"`
	// Line is what the manifest says at Source if it is the same agent.
	Line string `json:"line"`
}

// UnmanagedDocument is an Unmanaged as JSON.
type UnmanagedDocument struct {
	App  string         `json:"app"`
	UID  string         `json:"uid"`
	Name map[string]any `json:"name"`
}

// Document returns the plan's JSON form. It shares memory with p.
func (p *Plan) Document() Document {
	doc := Document{FormatVersion: FormatVersion, Summary: p.Summary, Changes: make([]ChangeDocument, len(p.Changes))}
	for _, o := range p.Origins {
		doc.Origins = append(doc.Origins, o.document())
	}
	for i := range p.Changes {
		doc.Changes[i] = p.Changes[i].document()
	}
	for _, u := range p.Unmanaged {
		doc.Unmanaged = append(doc.Unmanaged, UnmanagedDocument{App: u.App.String(), UID: u.UID, Name: u.Name})
	}
	if len(p.Secrets.Known)+len(p.Secrets.New) > 0 {
		doc.Secrets = &p.Secrets
	}
	for i := range p.LikelyRenames {
		doc.LikelyRenames = append(doc.LikelyRenames, p.LikelyRenames[i].document())
	}
	for _, app := range p.Doubted {
		doc.Doubted = append(doc.Doubted, app.String())
	}
	return doc
}

func (l *LikelyRename) document() LikelyRenameDocument {
	return LikelyRenameDocument{From: l.From.String(), To: l.To.String(), SameName: l.SameName,
		Similarity: l.Similarity,
		Source:     sourceDocument(l.Source), Line: l.Line()}
}

func (doc LikelyRenameDocument) likelyRename() (l LikelyRename, err error) {
	l = LikelyRename{SameName: doc.SameName, Similarity: doc.Similarity, Source: doc.Source.pos()}
	if l.From, err = agent.ParseAddress(doc.From); err == nil {
		l.To, err = agent.ParseAddress(doc.To)
	}
	return l, err
}

// sourceDocument returns a place's JSON form, nil for none.
func sourceDocument(pos diag.Pos) *SourceDocument {
	if pos.IsZero() {
		return nil
	}
	return &SourceDocument{pos.File, pos.Line, pos.Column}
}

func (doc *SourceDocument) pos() diag.Pos {
	if doc == nil {
		return diag.Pos{}
	}
	return diag.Pos{File: doc.File, Line: doc.Line, Column: doc.Column}
}

func (o Origin) document() OriginDocument {
	doc := OriginDocument{App: o.App.String(), Changed: o.Changed(), Foreign: o.Foreign, After: PlaceDocument(o.After)}
	if o.Before != (agent.Origin{}) {
		doc.Before = (*PlaceDocument)(&o.Before)
	}
	return doc
}

func (doc OriginDocument) origin() (Origin, error) {
	app, err := parseApp(doc.App)
	o := Origin{App: app, Foreign: doc.Foreign, After: agent.Origin(doc.After)}
	if doc.Before != nil {
		o.Before = agent.Origin(*doc.Before)
	}
	return o, err
}

func (ch *Change) document() ChangeDocument {
	fields := ch.Differences()
	doc := ChangeDocument{
		Address: ch.Address.String(), Action: ch.Action, UID: ch.UID, Name: ch.Name, Blocked: ch.Blocked,
		InTheWay: ch.InTheWay,
		Vanished: ch.Vanished, Obsolete: ch.Obsolete, Marker: ch.Marker, Send: ch.Send,
		Fields: make([]FieldDocument, len(fields)),
	}
	if !ch.From.IsZero() {
		doc.From = ch.From.String()
	}
	doc.Source = sourceDocument(ch.Source)
	for i, f := range fields {
		doc.Fields[i] = f.Document()
		doc.Fields[i].File = ch.TextFiles[f.Path]
	}
	return doc
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
	p := &Plan{Summary: doc.Summary}
	for _, d := range doc.Origins {
		o, err := d.origin()
		if err != nil {
			return nil, err
		}
		p.Origins = append(p.Origins, o)
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
	for _, u := range doc.Unmanaged {
		app, err := parseApp(u.App)
		if err != nil {
			return nil, err
		}
		p.Unmanaged = append(p.Unmanaged, Unmanaged{App: app, UID: u.UID, Name: u.Name})
	}
	if doc.Secrets != nil {
		p.Secrets = *doc.Secrets
	}
	for _, d := range doc.LikelyRenames {
		l, err := d.likelyRename()
		if err != nil {
			return nil, err
		}
		p.LikelyRenames = append(p.LikelyRenames, l)
	}
	p.linkLikelyRenames()
	for _, s := range doc.Doubted {
		app, err := parseApp(s)
		if err != nil {
			return nil, err
		}
		p.Doubted = append(p.Doubted, app)
	}
	return p, nil
}

// parseApp reads platform/app.
func parseApp(s string) (agent.AppID, error) {
	a, err := agent.ParseAddress(s + "/x")
	if err != nil {
		return agent.AppID{}, fmt.Errorf("%q is no app: write platform/app", s)
	}
	return a.ID(), nil
}

func (doc ChangeDocument) change() (Change, error) {
	ch := Change{
		Action: doc.Action, UID: doc.UID, Name: doc.Name, Blocked: doc.Blocked, InTheWay: doc.InTheWay,
		Vanished: doc.Vanished, Obsolete: doc.Obsolete, Marker: doc.Marker, Send: doc.Send,
	}
	switch ch.Action {
	case Create, Update, Replace, Delete, Adopt, Move, Kept:
	default:
		return Change{}, fmt.Errorf("%q is no action", doc.Action)
	}
	switch ch.Marker {
	case "", MarkerAdd, MarkerRemove, MarkerRenew:
	default:
		return Change{}, fmt.Errorf("%q is nothing that is done about a marker", doc.Marker)
	}
	var err error
	if ch.Address, err = agent.ParseAddress(doc.Address); err != nil {
		return Change{}, err
	}
	if doc.From != "" {
		if ch.From, err = agent.ParseAddress(doc.From); err != nil {
			return Change{}, err
		}
	}
	ch.Source = doc.Source.pos()
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
