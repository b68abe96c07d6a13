package plan

import (
	"maps"
	"slices"
	"strconv"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/schema"
)

// Reference is a name in a field that is about to be sent and that must exist in the agent's app.
type Reference struct {
	Address agent.Address
	// Pointer is the name's JSON pointer from the agent's root, Field the top-level field that it stands in.
	Pointer, Field string
	// Kind is what it is a name of, see schema.Field.RefersTo.
	Kind, Name string
}

// References returns the names that the plan's creates and updates send, ordered by address and place. Names that are
// secrets are left out: they are known only when they are sent. schemaOf gives the schema of an app's agents.
func References(p *Plan, desired []agent.Desired, schemaOf func(agent.AppID) *schema.Platform) []Reference {
	wanted := byAddress(desired)
	var all []Reference
	for i := range p.Changes {
		ch := &p.Changes[i]
		d := wanted[ch.Address]
		if d == nil || ch.Blocked != "" {
			continue
		}
		for _, f := range schemaOf(ch.Address.ID()).Fields {
			whole := ch.Action == Create || ch.Action == Replace
			if f.RefersTo == "" || !whole && !slices.Contains(ch.Send, f.Name) {
				continue
			}
			names, _ := d.Fields[f.Name].([]any)
			for i, v := range names {
				if name, ok := v.(string); ok {
					pointer := f.Pointer + "/" + strconv.Itoa(i)
					all = append(all, Reference{ch.Address, pointer, f.Name, f.RefersTo, name})
				}
			}
		}
	}
	return all
}

// CannotEmpty returns a problem for each field that an update would empty although its platform cannot: the field was
// taken out of the manifest, which no schema can see.
func CannotEmpty(p *Plan, desired []agent.Desired, schemaOf func(agent.AppID) *schema.Platform) diag.List {
	wanted := byAddress(desired)
	var problems diag.List
	for i := range p.Changes {
		ch := &p.Changes[i]
		d := wanted[ch.Address]
		if d == nil || ch.Action != Update || ch.Blocked != "" {
			continue
		}
		for _, name := range ch.Send {
			f, _ := schemaOf(ch.Address.ID()).Field(name)
			if !f.KeepsValue || d.Fields[name] != nil {
				continue
			}
			problems = append(problems, diag.Problem{
				Severity: diag.Error, Pos: ch.Source, Address: ch.Address.String(),
				Summary: name +
					" was taken out, and the platform cannot empty it; put it back, or leave it to others: " +
					"lifecycle: {ignoreChanges: [" + name + "]}",
			})
		}
	}
	return problems
}

// UnknownReference is one that its app does not have.
type UnknownReference struct {
	Reference
	// Other is the field in which the name would be right, empty where nothing of the app has this name.
	Other string
	// Known are the names that could stand here, sorted.
	Known []string
}

// CheckReferences holds the references of one app against what the app has: its names by kind. doubt says, by kind, why
// a kind was not checked: the list is empty although it must not be, or it misses a name that the platform took before,
// as the records in prior say; such a list is cut, or the key may not see all of it.
func CheckReferences(
	refs []Reference, known map[string][]string, s *schema.Platform, prior []agent.Record,
) (unknown []UnknownReference, doubt map[string]string) {
	doubt = map[string]string{}
	for _, f := range s.Fields {
		if f.RefersTo == "" {
			continue
		}
		if len(known[f.RefersTo]) == 0 {
			doubt[f.RefersTo] = "the list is empty"
			continue
		}
		for _, rec := range prior {
			fields, err := rec.Applied.Fields()
			if err != nil {
				continue // the plan says what is wrong with it
			}
			names, _ := fields[f.Name].([]any)
			for _, v := range names {
				if name, ok := v.(string); ok && !slices.Contains(known[f.RefersTo], name) {
					doubt[f.RefersTo] = "the list misses " + strconv.Quote(name) + ", which an agent of the app uses"
				}
			}
		}
	}
	fieldOf := map[string]string{}
	for _, f := range s.Fields {
		fieldOf[f.RefersTo] = f.Name
	}
	for _, r := range refs {
		if doubt[r.Kind] != "" || slices.Contains(known[r.Kind], r.Name) {
			continue
		}
		u := UnknownReference{Reference: r, Known: slices.Sorted(slices.Values(known[r.Kind]))}
		for _, kind := range slices.Sorted(maps.Keys(known)) {
			if slices.Contains(known[kind], r.Name) {
				u.Other = fieldOf[kind]
			}
		}
		unknown = append(unknown, u)
	}
	return unknown, doubt
}
