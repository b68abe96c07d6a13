// Package plan compares what the manifests want with what was last applied and last observed, and
// explains, in a fixed order, what apply would do. It is pure: the same input gives the same plan.
// A plan holds no secret; it refuses nothing itself, but says of each change what stands in its way.
package plan

import (
	"agentsync/internal/agent"
	"agentsync/internal/diag"
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
)

// FieldChange is one difference inside an agent. Values are canonical and hold no secret.
type FieldChange struct {
	// Path is the JSON pointer of the value inside the agent: /name, /integrationMeta/baseUrl.
	Path string
	// Before is what was last applied (or, with Drift, what is live), nil where there was nothing.
	Before any
	// After is what is wanted, nil where the field goes back to the platform's default or empty.
	After any
	// Secret reports that the values are secret.Sealed and only the fact of change can be shown.
	Secret bool
	// Drift reports that the platform's value was changed by someone else: live differs from what
	// was observed after the last apply.
	Drift bool
	// Immutable reports that the platform cannot change this field, which forces a replace.
	Immutable bool
}

// Change is what would happen to one agent.
type Change struct {
	Address agent.Address
	Action  Action
	// UID is the agent's handle, empty for a create.
	UID string
	// From is the address that the agent had before, zero unless previousKeys renames it.
	From agent.Address
	// Fields are the differences, ordered by the schema's field order, then by path.
	Fields []FieldChange
	// Send names the top-level fields that an update sends, in the schema's order.
	Send []string
	// Blocked says why the change is not carried out, empty if it is.
	Blocked Block
	// Source is where the agent's key stands in the manifests, zero for one that left them.
	Source diag.Pos
}

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
}

// Changes returns how many agents apply would touch: everything but kept and unchanged.
func (s Summary) Changes() int {
	return s.Create + s.Update + s.Replace + s.Delete + s.Adopt + s.Move
}

// Plan is what apply would do.
type Plan struct {
	// Changes are ordered by address. Unchanged agents are counted and not listed.
	Changes []Change
	Summary Summary
}
