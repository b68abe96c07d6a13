// Package plan compares what the manifests want with what was last applied and last observed, and
// explains, in a fixed order, what apply would do. It is pure: the same input gives the same plan.
// A plan holds no secret; it refuses nothing itself, but says of each change what stands in its way.
package plan

import (
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/schema"
)

// Action is what apply would do with one agent.
type Action string

const (
	// Create makes a new agent.
	Create Action = "create"
	// Update changes fields of an agent that exists.
	Update Action = "update"
	// Replace makes a new agent, then deletes the old one: a field changed that cannot be updated.
	Replace Action = "replace"
	// Delete removes an agent that left the manifests.
	Delete Action = "delete"
	// Adopt takes an existing agent into state without changing it.
	Adopt Action = "adopt"
	// Move renames an agent in state; nothing is sent.
	Move Action = "move"
	// Kept is an agent that left the manifests and stays, because deletes were not asked for.
	Kept Action = "kept"
)

// Block is why a change is not carried out although it is due.
type Block string

const (
	// BlockedByProtect: lifecycle.protect refuses a delete or a replace.
	BlockedByProtect Block = "protect"
	// BlockedByPrune: a replace deletes the old agent, and deletes were not asked for (--prune).
	BlockedByPrune Block = "prune"
	// BlockedByApp: the app's section left the manifests, so nothing says how to reach it.
	BlockedByApp Block = "app"
	// BlockedByAPI: the agent was made by another version of the platform's API, and the one that its section asks for
	// does not show it.
	BlockedByAPI Block = "api"
	// BlockedByRename: the agent may be another one of this plan under another key, see LikelyRename, and deletes were
	// asked for.
	BlockedByRename Block = "rename"
	// BlockedByNamesake: an agent that agentsync does not manage has the same identity at the
	// platform and other content.
	BlockedByNamesake Block = "namesake"
)

// MarkerChange is what an update does about the mark that an agent carries at its platform, empty for
// nothing. A create marks without saying so.
type MarkerChange string

const (
	// MarkerAdd: the section asks for marks, and the agent has none.
	MarkerAdd MarkerChange = "add"
	// MarkerRemove: the section does not ask for marks any more.
	MarkerRemove MarkerChange = "remove"
	// MarkerRenew: the mark is of another address, for the agent was renamed.
	MarkerRenew MarkerChange = "renew"
)

// FieldChange is one difference inside an agent. Values are canonical and hold no secret.
type FieldChange struct {
	// Path is the JSON pointer of the value inside the agent: /name, /integrationMeta/baseUrl.
	Path string
	// Before is what was last applied, nil where there was nothing.
	Before any
	// After is what is wanted, nil where the field goes back to the platform's default or empty.
	After any
	// Live is what the platform shows now. It is set with Drift alone, and nil there where the
	// platform shows nothing any more.
	Live any
	// Secret reports that Before, After or Live holds a secret, so that only the fact of change can be
	// shown. Every string in them is then a secret.Sealed.
	Secret bool
	// Drift reports that the platform's value was changed by someone else: live differs from what
	// was observed after the last apply. What is undone is Live, and Before often equals After.
	Drift bool
	// Immutable reports that the platform cannot change this field, which forces a replace.
	Immutable bool
}

// Change is what would happen to one agent. The members with a name are written as JSON in this order, see
// ChangeDocument.
type Change struct {
	Address agent.Address `json:"address"`
	Action  Action        `json:"action"`
	// UID is the agent's handle, empty for a create; with Vanished it is the handle of the agent that
	// is gone.
	UID string `json:"uid"`
	// Name is what people call the agent: its first identity field (schema.Field.Identity) as wanted,
	// or as last applied where it left the manifests. Empty where that is a secret or not known.
	Name string `json:"name,omitempty"`
	// From is the address that the agent had before, zero unless previousKeys renames it. The record
	// moves in state whatever becomes of the rest of the change, also where that is blocked; see
	// Plan.Renames.
	From agent.Address `json:"from,omitzero"`
	// Blocked says why the change is not carried out, empty if it is.
	Blocked Block `json:"blocked,omitempty"`
	// InTheWay are the uids of the unmanaged agents behind BlockedByNamesake.
	InTheWay []string `json:"inTheWay,omitempty"`
	// Vanished reports that state knows the agent and the platform's list does not show it any more.
	// A list can lag, so whoever carries a create of a vanished agent out looks a second time.
	Vanished bool `json:"vanished,omitempty"`
	// Obsolete are uids that an earlier replace of this agent left to be deleted. A replace without
	// Fields does nothing but delete them.
	Obsolete []string `json:"obsolete,omitempty"`
	// Source is where the agent's key stands in the manifests, zero for one that left them.
	Source diag.Pos `json:"source,omitzero"`
	// Marker says what an update does about the agent's mark. Fields say nothing of it, Send names the
	// field that carries it.
	Marker MarkerChange `json:"marker,omitempty"`
	// Send names the top-level fields that an update sends, in the schema's order.
	Send []string `json:"send,omitempty"`

	// Fields are the differences, ordered by the schema's field order, then by path. They are nil of a
	// change that has a Wanted document: Differences makes them of it.
	Fields []FieldChange `json:"-"`
	// TextFiles are the files that wanted values come from, by JSON pointer.
	TextFiles map[string]string `json:"-"`
	// Unlisted reports of a vanished agent that the list is all there is to say so. Before another takes its
	// place the platform is asked, by an update that sends what is wanted anyway.
	Unlisted bool `json:"-"`
	// Adopts is the uid of the live agent that an adopt takes over, or a replace in place of making one.
	Adopts string `json:"-"`
	// Likely is the pair of Plan.LikelyRenames that the agent is one side of, nil for none.
	Likely *LikelyRename `json:"-"`
	// Wanted is the document of what a create sends, where no secret is in it; nil for any other change,
	// and in a plan that was read from a file.
	Wanted agent.Doc `json:"-"`
	// OtherAPI reports that the record is by another version of the platform's API than the section asks for: before
	// anything is sent, the agent must be seen by that one.
	OtherAPI bool `json:"-"`
	// Resumed reports that the state knows no more than the uid of the agent, one that a replace left over and that
	// became the current one again: what it holds is seen in a list only.
	Resumed bool `json:"-"`
	// Basis says what the change was computed from, so that a saved plan can tell later whether it
	// still holds. It is empty in a plan that is Unbound.
	Basis Basis `json:"-"`

	schema *schema.Platform // of a change with a Wanted document
}

// Differences returns Fields, also those of a create that has its document instead: one for each value.
// Those are made anew each time, for most plans are larger than what is ever shown of them.
func (ch *Change) Differences() []FieldChange {
	if ch.schema == nil {
		return ch.Fields
	}
	wanted, _ := ch.Wanted.Fields() // it was made of fields: it can be read
	c := comparison{schema: ch.schema, wanted: wanted, plain: true, fresh: true}
	return c.findDifferences().fields
}

// Basis are digests (64 hexadecimal digits, or empty where there was nothing) of what one change was
// computed from.
type Basis struct {
	// Record is of the state's record of the agent.
	Record string `json:"record"`
	// Desired is of what the manifest wants. The values of secrets do not count, the variables that
	// they are taken from do: a plan is reviewed where the values are not known.
	Desired string `json:"desired"`
}

// RecordUpdate is a record that is behind although nothing is to be sent: lifecycle.protect changed, a secret
// got another name with the same value, or the platform already holds what the manifest wants.
type RecordUpdate struct {
	// Address is where the record stands after Plan.Renames.
	Address agent.Address
	// Record is the whole record as it should be.
	Record agent.Record
}

// Unmanaged is a live agent that no record of its app owns.
type Unmanaged struct {
	App agent.AppID `json:"app"`
	UID string      `json:"uid"`
	// Name holds the fields by which a person tells agents apart (schema.Field.Identity).
	Name agent.Fields `json:"name"`
}

// Rename is one record that gets another address.
type Rename struct{ From, To agent.Address }

// Summary counts agents by action. A blocked change counts under its action and under Blocked.
type Summary struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Replace   int `json:"replace"`
	Delete    int `json:"delete"`
	Adopt     int `json:"adopt"`
	Move      int `json:"move"`
	Kept      int `json:"kept"`
	Unchanged int `json:"unchanged"`
	Blocked   int `json:"blocked,omitempty"`
	// Protected counts those of Blocked that lifecycle.protect refuses. Where there is one, apply refuses the whole
	// plan.
	Protected int `json:"protected,omitempty"`
	// Origins counts the apps whose requests or whose key go to another place than before.
	Origins int `json:"origins,omitempty"`
}

// Count adds one change.
func (s *Summary) Count(ch Change) {
	switch ch.Action {
	case Create:
		s.Create++
	case Update:
		s.Update++
	case Replace:
		s.Replace++
	case Delete:
		s.Delete++
	case Adopt:
		s.Adopt++
	case Move:
		s.Move++
	case Kept:
		s.Kept++
	}
	if ch.Blocked != "" {
		s.Blocked++
	}
	if ch.Blocked == BlockedByProtect {
		s.Protected++
	}
}

// Changes returns how many agents apply would change: everything but kept and unchanged.
func (s Summary) Changes() int {
	return s.Create + s.Update + s.Replace + s.Delete + s.Adopt + s.Move
}

// WithoutChanges returns what is counted beside the changes, for counting those anew.
func (s Summary) WithoutChanges() Summary { return Summary{Unchanged: s.Unchanged, Origins: s.Origins} }

// Any reports whether there is anything that a person has to agree to: a change of an agent, or of where requests go.
func (s Summary) Any() bool { return s.Changes()+s.Origins > 0 }

// Plan is what apply would do.
type Plan struct {
	// Origins are ordered by app: those whose requests go to another place than before, and those whose requests go
	// elsewhere than to the platform's own address.
	Origins []Origin
	// Changes are ordered by address. Unchanged agents are counted and not listed.
	Changes []Change
	Summary Summary
	// RecordUpdates are ordered by address. They are no changes: a plan with them alone is empty.
	RecordUpdates []RecordUpdate
	// Unmanaged are ordered by app, then uid. It is nil where the plan was made offline or for
	// selected agents.
	Unmanaged []Unmanaged
	// LikelyRenames are ordered by the address that arrives.
	LikelyRenames []LikelyRename
	// Secrets are those of the manifests that have no value where the plan was made. Whoever knows the variables adds
	// them.
	Secrets MissingSecrets
	// Doubted are the apps whose list shows none of the agents that state knows there. Such a list
	// is never taken as "all gone"; the plan is made as if the app had not been listed.
	Doubted []agent.AppID
}

// MissingSecrets are the names of secrets without a value, in order.
type MissingSecrets struct {
	// Known were sent by an apply: whether their values changed since does not show.
	Known []string `json:"withoutValue,omitempty"`
	// New were sent by none: somebody has to set them before the next apply.
	New []string `json:"new,omitempty"`
}

// changesByAddress indexes the changes.
func (p *Plan) changesByAddress() map[agent.Address]*Change {
	changes := make(map[agent.Address]*Change, len(p.Changes))
	for i := range p.Changes {
		changes[p.Changes[i].Address] = &p.Changes[i]
	}
	return changes
}

// recount counts the changes anew.
func (p *Plan) recount() {
	p.Summary = p.Summary.WithoutChanges()
	for _, ch := range p.Changes {
		p.Summary.Count(ch)
	}
}

// Renames returns the records that get another address, ordered by the new one. They happen together
// and before anything is sent, because keys can be handed on (a to b, b to c) and swapped.
func (p *Plan) Renames() []Rename {
	var renames []Rename
	for _, ch := range p.Changes {
		if !ch.From.IsZero() {
			renames = append(renames, Rename{From: ch.From, To: ch.Address})
		}
	}
	return renames
}

// Place is where an app's requests and its API key go, by the manifests and the environment as they are.
type Place struct {
	agent.Origin
	// Foreign reports that the address is neither the platform's own, as it documents it, nor on this machine.
	Foreign bool
}

// Origin is what a plan says of where the requests of one app go.
type Origin struct {
	App agent.AppID
	// Before is where they went until now, zero where state does not know.
	Before agent.Origin
	// After is where they go from now on.
	After agent.Origin
	// Foreign reports that After is neither the platform's own address nor on this machine.
	Foreign bool
}

// Changed reports whether requests, or the key that goes with them, went somewhere else before.
func (o Origin) Changed() bool { return o.Before != (agent.Origin{}) && o.Before != o.After }

// compareOrigins compares where requests go with where they went. It returns the apps where that is another place now,
// and those whose address is a foreign one, ordered by app: a reviewer must see both, whatever else is in the plan.
func (in *Input) compareOrigins() []Origin {
	var all []Origin
	for _, id := range slices.SortedFunc(maps.Keys(in.Places), agent.AppID.Compare) {
		place := in.Places[id]
		o := Origin{App: id, Before: in.Origins[id], After: place.Origin, Foreign: place.Foreign}
		if o.Foreign || o.Changed() {
			all = append(all, o)
		}
	}
	return all
}

// Differs reports whether anything differs in the agent's top-level field called name.
func (ch *Change) Differs(name string) bool {
	path := "/" + agent.EscapePointer(name)
	return slices.ContainsFunc(ch.Fields, func(f FieldChange) bool {
		return f.Path == path || strings.HasPrefix(f.Path, path+"/")
	})
}
