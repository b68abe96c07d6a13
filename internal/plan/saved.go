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
	"agentsync/internal/diag"
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
	// Origins are where the requests of each app went when the plan was made, ordered by app. A plan made for one
	// environment is not carried out in another: see Saved.Moved.
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
	App agent.AppID `json:"app"`
	agent.Origin
}

// OriginsOf returns the places as a Binding has them.
func OriginsOf(places map[agent.AppID]Place) []AppOrigin {
	var all []AppOrigin
	for _, id := range slices.SortedFunc(maps.Keys(places), agent.AppID.Compare) {
		all = append(all, AppOrigin{id, places[id].Origin})
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

func (e *envelope) bodyChecksum() string {
	return "sha256:" + digestOf([]byte(e.Format), []byte(e.Version), e.Body)
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
	e.Checksum = e.bodyChecksum()
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
func ReadSaved(r io.Reader, version string) (*Saved, error) { return readSaved(r, version, maxSaved) }

// readSaved reads a saved plan of limit bytes at the most.
func readSaved(r io.Reader, version string, limit int64) (*Saved, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read saved plan: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("this is no saved plan: it is larger than %d MiB", limit>>20)
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
	if e.Checksum != e.bodyChecksum() {
		return nil, errors.New("the saved plan was changed after it was made: its checksum is wrong" + again)
	}
	return e.decodeBody()
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

// decodeBody decodes the body, whose checksum is right.
func (e *envelope) decodeBody() (*Saved, error) {
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
		origins[o.App] = o.Origin
	}
	return &Saved{Binding: body.Binding, Plan: p, origins: origins}, nil
}

// Moved returns the apps of places whose requests would go elsewhere than when the plan was saved, ordered. Such a plan
// was made for another environment, and nothing in it holds.
func (s *Saved) Moved(places map[agent.AppID]Place) []Origin {
	var moved []Origin
	for id, place := range places {
		was, reviewed := s.origins[id]
		if reviewed && was != place.Origin { // the agents of an app that is new are not in the plan at all
			moved = append(moved, Origin{App: id, Before: was, After: place.Origin, Foreign: place.Foreign})
		}
	}
	slices.SortFunc(moved, func(a, b Origin) int { return a.App.Compare(b.App) })
	return moved
}

// Stale is a change that is not what was reviewed.
type Stale struct {
	Address agent.Address
	// Reason says in a clause what is different now.
	Reason string
	// New reports that the reviewed plan does not hold the change at all: apply leaves it out, and
	// nothing that was reviewed is missing for it.
	New bool
}

// The reasons of a Stale.
const (
	reasonLineage = "the plan was made for another state file"
	reasonNothing = "nothing is left to do for it"
	reasonRecord  = "state's record of it changed since"
	reasonDesired = "its manifest changed since"
	reasonChange  = "what would be done is different now"
	reasonNew     = "it was not in the reviewed plan"
	reasonRename  = "its new address is still taken, because the change that would free it is stale"
)

// Check compares what was reviewed with a plan that was made just now, with the saved options, from
// the manifests and the state as they are. It returns what of current may be carried out, and why the
// rest may not, ordered by address. Agents that are merely kept are no change and never stale.
func (s *Saved) Check(current *Plan, lineage string) (holds *Plan, stale []Stale) {
	now := current.changesByAddress()
	reviewed := make(map[agent.Address]bool, len(s.Plan.Changes))
	for i := range s.Plan.Changes {
		was := &s.Plan.Changes[i]
		reviewed[was.Address] = was.Action != Kept
		if reason := staleReason(was, now[was.Address], s.Lineage == lineage); reason != "" && was.Action != Kept {
			stale = append(stale, Stale{Address: was.Address, Reason: reason})
		}
	}
	for _, ch := range current.Changes {
		if ch.Action != Kept && !reviewed[ch.Address] {
			stale = append(stale, Stale{Address: ch.Address, Reason: reasonNew, New: true})
		}
	}
	stale = append(stale, blockedRenames(current, stale)...)
	slices.SortFunc(stale, func(a, b Stale) int { return a.Address.Compare(b.Address) })
	return current.withoutStale(stale), stale
}

// staleReason says why a reviewed change does not hold any more, empty if it does.
func staleReason(was, is *Change, sameState bool) string {
	switch {
	case !sameState:
		return reasonLineage
	case is == nil:
		return reasonNothing
	case is.Basis == Basis{}:
		return reasonChange // nothing says that it is the same
	case was.Basis.Record != is.Basis.Record:
		return reasonRecord
	case was.Basis.Desired != is.Basis.Desired:
		return reasonDesired
	case !sameChange(was, is):
		return reasonChange
	}
	return ""
}

// sameChange compares what a reviewer saw. Where the agent stands in the manifests does not count.
func sameChange(was, is *Change) bool {
	a, b := was.document(), is.document()
	a.Source, b.Source = diag.Pos{}, diag.Pos{}
	for _, fields := range [][]FieldDocument{a.Fields, b.Fields} {
		for i := range fields {
			fields[i].File = ""
		}
	}
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// Since returns what of p is not as in before, a plan that was reviewed a moment ago, ordered by address.
func (p *Plan) Since(before *Plan) []Stale {
	was := before.changesByAddress()
	var stale []Stale
	for i := range p.Changes {
		ch := &p.Changes[i]
		old, reviewed := was[ch.Address]
		delete(was, ch.Address)
		switch {
		case !reviewed && ch.Action != Kept:
			stale = append(stale, Stale{Address: ch.Address, Reason: reasonNew, New: true})
		case reviewed && !sameChange(old, ch):
			stale = append(stale, Stale{Address: ch.Address, Reason: reasonChange})
		}
	}
	for a, ch := range was {
		if ch.Action != Kept {
			stale = append(stale, Stale{Address: a, Reason: reasonNothing})
		}
	}
	slices.SortFunc(stale, func(a, b Stale) int { return a.Address.Compare(b.Address) })
	return stale
}

// blockedRenames returns the renames onto an address whose record a stale rename would have moved away.
func blockedRenames(current *Plan, stale []Stale) []Stale {
	onto := map[agent.Address]*Change{} // renames by their new address
	for i, ch := range current.Changes {
		if !ch.From.IsZero() {
			onto[ch.Address] = &current.Changes[i]
		}
	}
	out := make(map[agent.Address]bool, len(stale))
	for _, s := range stale {
		out[s.Address] = true
	}
	var more []Stale
	for _, s := range stale {
		for ch := onto[s.Address]; ch != nil; {
			ch = onto[ch.From]
			if ch == nil || out[ch.Address] {
				break
			}
			out[ch.Address] = true
			more = append(more, Stale{Address: ch.Address, Reason: reasonRename})
		}
	}
	return more
}

// withoutStale returns p without the changes and record updates of stale agents. It leaves p alone.
func (p *Plan) withoutStale(stale []Stale) *Plan {
	out := make(map[agent.Address]bool, len(stale))
	for _, s := range stale {
		out[s.Address] = true
	}
	rest := *p
	rest.Changes, rest.RecordUpdates = nil, nil
	rest.Summary = p.Summary.WithoutChanges()
	for _, ch := range p.Changes {
		if !out[ch.Address] {
			rest.Changes = append(rest.Changes, ch)
			rest.Summary.Count(ch)
		}
	}
	for _, t := range p.RecordUpdates {
		if !out[t.Address] {
			rest.RecordUpdates = append(rest.RecordUpdates, t)
		}
	}
	return &rest
}
