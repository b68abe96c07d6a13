package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"agentsync/internal/agent"
)

// savedFormat is the version of the saved plan's file. Each change of the form is a new one: a saved
// plan lives from a review to its merge, not longer.
const savedFormat = "2"

// maxSaved bounds a saved plan in bytes: some 100,000 changes with long prompts.
const maxSaved = 512 << 20

// Binding is what a saved plan is bound to, besides the Basis of each change.
type Binding struct {
	// Version is that of the agentsync that made the plan.
	Version string `json:"agentsync"`
	// Lineage is the state's. Where the state had none yet, it is the one that the plan was made
	// under, and the state that the first apply makes takes it over.
	Lineage string `json:"lineage"`
	// Serial is the state's. It is there for a person to read: whether a change still holds is
	// decided agent by agent.
	Serial uint64 `json:"serial"`
	// Origins are where the requests of each app went when the plan was made, ordered by app. A plan made for one environment
	// is not carried out in another: see Saved.Moved.
	Origins []AppOrigin `json:"origins,omitempty"`
	// Paths are the manifests' files and folders, as they were given.
	Paths []string `json:"paths"`
	// Targets, Prune and Refresh are the options that decide what is in the plan.
	Targets []string `json:"targets,omitempty"`
	Prune   bool     `json:"prune,omitempty"`
	Refresh bool     `json:"refresh,omitempty"`
}

// AppOrigin is where the requests of one app go, in a saved plan.
type AppOrigin struct {
	App string `json:"app"`
	PlaceDocument
}

// OriginsOf returns the places as a Binding has them.
func OriginsOf(places map[agent.AppID]Place) []AppOrigin {
	var all []AppOrigin
	for _, id := range slices.SortedFunc(maps.Keys(places), agent.AppID.Compare) {
		all = append(all, AppOrigin{id.String(), PlaceDocument(places[id].Origin)})
	}
	return all
}

// Saved is a plan that was put aside to be reviewed. It holds no secret.
type Saved struct {
	Binding
	// Plan is for showing what was reviewed. To carry it out, make the plan again from the
	// manifests, where the values are, and let Check say what of it still holds.
	Plan *Plan

	origins map[agent.AppID]agent.Origin // of Binding.Origins
}

// envelope is the file: its checksum is over everything else.
type envelope struct {
	Format   string          `json:"savedPlan"`
	Version  string          `json:"agentsync"`
	Checksum string          `json:"checksum"`
	Body     json.RawMessage `json:"body"`
}

type savedBody struct {
	Binding
	Plan  Document `json:"plan"`
	Bases []Basis  `json:"bases"` // one per change, in the same order
}

func (e *envelope) sum() string {
	return "sha256:" + digest([]byte(e.Format), []byte(e.Version), e.Body)
}

// Save writes p so that ReadSaved can read it. Same plan and binding, same bytes. The error is that
// of w, or says that p is unbound.
func Save(w io.Writer, p *Plan, b Binding) error {
	body := savedBody{Binding: b, Plan: p.Document(), Bases: make([]Basis, len(p.Changes))}
	for i, ch := range p.Changes {
		if body.Bases[i] = ch.Basis; ch.Basis == (Basis{}) {
			return fmt.Errorf("save plan: %s has no basis", ch.Address)
		}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	e := envelope{Format: savedFormat, Version: b.Version, Body: raw}
	e.Checksum = e.sum()
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// again is what to do about a plan that cannot be used.
const again = "; make it again with agentsync plan --out"

// ReadSaved reads what Save wrote. It refuses, each with a sentence, what is no saved plan, one of
// another version of agentsync than version, one that was cut short and one that was edited.
func ReadSaved(r io.Reader, version string) (*Saved, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSaved+1))
	if err != nil {
		return nil, fmt.Errorf("read saved plan: %w", err)
	}
	if len(b) > maxSaved {
		return nil, fmt.Errorf("this is no saved plan: it is larger than %d MiB", maxSaved>>20)
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, notSaved(b, err)
	}
	switch {
	case e.Format == "" || e.Body == nil:
		return nil, errors.New(`this is no saved plan: it has no "savedPlan" or no "body"` + again)
	case e.Format != savedFormat || e.Version != version:
		return nil, fmt.Errorf("the saved plan was made by agentsync %q (format %q) and this is agentsync %q (format %q)"+again,
			e.Version, e.Format, version, savedFormat)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, e.Body); err != nil {
		return nil, notSaved(b, err)
	}
	e.Body = compact.Bytes()
	if e.Checksum != e.sum() {
		return nil, errors.New("the saved plan was changed after it was made: its checksum is wrong" + again)
	}
	return e.open()
}

// notSaved explains why b is no JSON.
func notSaved(b []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return errors.New("the saved plan is empty" + again)
	case errors.As(err, &syntax) && syntax.Offset >= int64(len(b)):
		return errors.New("the saved plan is cut short" + again)
	}
	return fmt.Errorf("this is no saved plan: %w"+again, err)
}

// open decodes the body, whose checksum is right.
func (e *envelope) open() (*Saved, error) {
	dec := json.NewDecoder(bytes.NewReader(e.Body))
	dec.UseNumber()
	var body savedBody
	if err := dec.Decode(&body); err != nil {
		return nil, fmt.Errorf("this is no saved plan: %w"+again, err)
	}
	p, err := body.Plan.Plan()
	if err != nil {
		return nil, fmt.Errorf("this is no saved plan: %w"+again, err)
	}
	if len(body.Bases) != len(p.Changes) {
		return nil, errors.New("this is no saved plan: it does not say what each change is based on" + again)
	}
	for _, g := range body.Targets {
		if _, err := agent.ParseGlob(g); err != nil {
			return nil, fmt.Errorf("this is no saved plan: %w"+again, err)
		}
	}
	for i := range p.Changes {
		p.Changes[i].Basis = body.Bases[i]
	}
	origins := make(map[agent.AppID]agent.Origin, len(body.Origins))
	for _, o := range body.Origins {
		app, err := parseApp(o.App)
		if err != nil {
			return nil, fmt.Errorf("this is no saved plan: %w"+again, err)
		}
		origins[app] = agent.Origin(o.PlaceDocument)
	}
	return &Saved{Binding: body.Binding, Plan: p, origins: origins}, nil
}
