package plan

import (
	"encoding/json"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// comparison is what is known of one agent, all secrets sealed.
type comparison struct {
	schema *schema.Platform
	sealer secret.Sealer
	ignore []string
	wanted agent.Fields
	plain  bool // wanted holds no secret
	// base is what wanted is compared with: what was applied; what was observed or is live where that
	// is not known (an imported agent), and then inferred is set; nil where nothing is known.
	base     agent.Fields
	inferred bool
	// resumed is Change.Resumed: agentsync made the agent, so all that is live of it counts as applied, also what the
	// manifest does not name.
	resumed bool
	// observed and live are nil where they are not known.
	observed, live agent.Fields
	// unseen reports that observed is what live makes likely: the agent was not seen since it was applied.
	unseen bool
	// fresh reports that there is no agent yet: every wanted field is listed.
	fresh bool
}

// difference is what a comparison found.
type difference struct {
	fields []FieldChange
	// send names the top-level fields to send, in the schema's order.
	send []string
	// immutable reports that a field differs that the platform cannot change.
	immutable bool
	// behind reports that the record is behind in a field for which nothing has to be sent. It counts where nothing is
	// sent for any other field either.
	behind bool
}

// usualMembers is how many more values than fields most agents have.
const usualMembers = 4

// findDifferences compares field by field, in the schema's order.
func (c *comparison) findDifferences() difference {
	var d difference
	if c.fresh {
		d.fields = make([]FieldChange, 0, len(c.wanted)+usualMembers)
	}
	for i := range c.schema.Fields {
		f := &c.schema.Fields[i]
		if f.CreateOnly && !c.fresh { // never answered, and never taken again
			continue
		}
		if slices.Contains(c.ignore, f.Name) || c.leftAlone(f) {
			continue
		}
		v := c.valuesOf(f)
		changed, drift := v.changed(f), v.drifted(f)
		// Before the fields without a difference are passed over: such a secret shows none.
		d.behind = d.behind || renamedSecret(v.wanted, v.base)
		if !changed && !drift {
			continue
		}
		if c.live != nil && sameValue(f, normalValue(f, v.live), normalValue(f, v.wanted)) {
			d.behind = true // someone made the same change at the platform
			continue
		}
		// Member by member there may be nothing left to show, and then nothing is sent either.
		before := len(d.fields)
		d.fields = c.listField(d.fields, f, v, drift)
		switch {
		case len(d.fields) == before: // only what the platform made up on its own
		case f.Immutable:
			d.immutable = true
		case !c.fresh: // a create sends all
			d.send = append(d.send, f.Name)
		}
	}
	d.behind = d.behind || c.inferred || c.resumed || c.unseen
	return d
}

// leftAlone reports whether nothing can be said of a field because it is not known what was applied:
// one that the manifest does not name may hold anything, and one that the platform cannot change may
// hold the right value already.
func (c *comparison) leftAlone(f *schema.Field) bool {
	return c.inferred && c.wanted[f.Name] == nil || c.base == nil && f.Immutable && !c.fresh
}

func (c *comparison) valuesOf(f *schema.Field) values {
	v := values{base: c.base[f.Name], wanted: c.wanted[f.Name]}
	if c.base == nil {
		v.unknown = v.wanted != nil
	}
	if c.observed != nil && c.live != nil {
		v.observed, v.live, v.watched = c.observed[f.Name], c.live[f.Name], !f.Immutable
	} else if c.live != nil {
		v.live = c.live[f.Name]
	}
	return v
}

// values are the sides of one value; nil where a side has none, absent below the top.
type values struct {
	base, wanted, observed, live any
	// watched reports that observed and live can be compared.
	watched bool
	// unknown reports that base is not known and the value is to be sent whatever it is.
	unknown bool
}

func (v values) changed(f *schema.Field) bool {
	return v.unknown || !sameValue(f, normalValue(f, v.base), normalValue(f, v.wanted))
}

// drifted reports whether someone else changed the field. A value that the platform made up on its own
// (never wanted, and there when the agent was last seen) may change without anybody's doing.
func (v values) drifted(f *schema.Field) bool {
	if !v.watched {
		return false
	}
	base, wanted, observed := normalValue(f, v.base), normalValue(f, v.wanted), normalValue(f, v.observed)
	// A value that came after the agent was seen is somebody's; one that was there is the platform's own.
	if base == nil && wanted == nil && observed != nil {
		return false
	}
	return !sameValue(f, observed, normalValue(f, v.live))
}

// listField adds the differences inside one top-level field to fields, ordered by path.
func (c *comparison) listField(fields []FieldChange, f *schema.Field, v values, drift bool) []FieldChange {
	path := f.Pointer
	orAbsent := func(v any) any {
		if v == nil {
			return absent
		}
		return v
	}
	v.base, v.wanted = orAbsent(v.base), orAbsent(v.wanted)
	v.observed, v.live = orAbsent(v.observed), orAbsent(v.live)
	// A map is shown member by member; a value that is a map on one side alone is shown as a whole.
	if v.splits() {
		return c.listMembers(fields, f, path, v)
	}
	// In one order, or each item would be shown as moved.
	if list, ok := v.wanted.([]any); ok && f.Unordered {
		v.base, v.live = arrangedLike(v.base, list), arrangedLike(v.live, list)
	}
	return append(fields, c.describeLeaf(f, path, v, drift))
}

func arrangedLike(v any, like []any) any {
	if list, ok := v.([]any); ok {
		return arrangedBy(list, like)
	}
	return v
}

// listMembers adds the differences between maps, members in sorted order, compared exactly.
func (c *comparison) listMembers(fields []FieldChange, f *schema.Field, path string, v values) []FieldChange {
	for _, k := range v.members() {
		m := v.member(k)
		p := path + "/" + agent.EscapePointer(k)
		if m.splits() {
			fields = c.listMembers(fields, f, p, m)
			continue
		}
		changed := v.unknown && m.wanted != absent || !equalValue(m.base, m.wanted)
		drift := v.watched && !equalValue(m.observed, m.live) &&
			!(m.base == absent && m.wanted == absent && m.observed != absent)
		if changed || drift {
			fields = append(fields, c.describeLeaf(f, p, m, drift))
		}
	}
	return fields
}

// describeLeaf describes one difference, without any secret.
func (c *comparison) describeLeaf(f *schema.Field, path string, v values, drift bool) FieldChange {
	fc := FieldChange{
		Path: path, Before: orNil(v.base), After: orNil(v.wanted), Drift: drift, Immutable: f.Immutable && !c.fresh,
	}
	if drift {
		fc.Live = orNil(v.live)
	}
	fc.Secret = f.IsSecret(path) || holdsSecret(fc.Before) || holdsSecret(fc.After) || holdsSecret(fc.Live)
	if fc.Secret {
		for _, side := range []*any{&fc.Before, &fc.After, &fc.Live} {
			*side = c.sealStrings(path, *side)
		}
	}
	return fc
}

// sealStrings seals every string of v: where one side of a difference is secret, the other may have been the
// same secret in clear.
func (c *comparison) sealStrings(path string, v any) any {
	return sealLike(path, v, secret.Sealed{}, c.sealer)
}

// absentType is the type of absent, which tells a missing member of a map from one that is null.
type absentType struct{}

var absent any = absentType{}

func orNil(v any) any {
	if v == absent {
		return nil
	}
	return v
}

func (v values) sides() []any {
	if v.watched {
		return []any{v.base, v.wanted, v.observed, v.live}
	}
	return []any{v.base, v.wanted}
}

// splits reports whether the value is shown member by member: every side is a map or missing, one at
// least has members, and no two sides differ only in whether a null member is there, which member
// by member would look like no difference.
func (v values) splits() bool {
	members := 0
	for _, side := range v.sides() {
		m, ok := side.(map[string]any)
		if !ok && side != absent {
			return false
		}
		members += len(m)
	}
	return members > 0 && !slices.ContainsFunc(v.members(), func(k string) bool {
		m := v.member(k)
		return m.base == nil && m.wanted == absent || m.base == absent && m.wanted == nil
	})
}

// members returns the names that any side holds, sorted.
func (v values) members() []string {
	var names []string
	for _, side := range v.sides() {
		m, _ := side.(map[string]any)
		names = slices.Grow(names, len(m))
		for k := range m {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (v values) member(k string) values {
	of := func(side any) any {
		m, _ := side.(map[string]any)
		if e, ok := m[k]; ok {
			return e
		}
		return absent
	}
	return values{
		base: of(v.base), wanted: of(v.wanted), observed: of(v.observed), live: of(v.live),
		watched: v.watched, unknown: v.unknown,
	}
}

// normalValue returns the value of a top-level field as it is compared: nil where it is missing, null, the
// platform's default or, in a field without a default, empty. Everything else is v itself.
func normalValue(f *schema.Field, v any) any {
	switch {
	case v == nil:
		return nil
	case f.Default != nil:
		if sameValue(f, v, f.Default) {
			return nil
		}
	case isEmpty(v):
		return nil
	}
	return v
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// sameFields reports whether two agents hold the same, both secrets sealed.
func sameFields(p *schema.Platform, a, b agent.Fields) bool {
	for i := range p.Fields {
		f := &p.Fields[i]
		if !sameValue(f, normalValue(f, a[f.Name]), normalValue(f, b[f.Name])) {
			return false
		}
	}
	return true
}

// sameValue reports whether two values of a top-level field are the same: exactly, but for the order of an
// unordered list and the spelling of numbers.
func sameValue(f *schema.Field, a, b any) bool {
	if f.Unordered {
		// Platforms hand such lists back in an order of their own.
		if a, ok := a.([]any); ok {
			if b, ok := b.([]any); ok {
				return sameSet(a, b)
			}
		}
	}
	return equalValue(a, b)
}

// sameSet compares two lists without regard to order. Strings, the common case, are sorted; a list
// with anything else is searched, and no such list of a platform is long.
func sameSet(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	if s, ok := sortedStrings(a); ok {
		t, _ := sortedStrings(b) // none where b holds anything else
		return slices.Equal(s, t)
	}
	return len(withoutEqual(a, b)) == 0
}

func sortedStrings(list []any) ([]string, bool) {
	texts := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		texts[i] = s
	}
	slices.Sort(texts)
	return texts, true
}

// withoutEqual returns the members of a that b does not hold, counting repeats.
func withoutEqual(a, b []any) []any {
	rest := slices.Clone(b)
	return slices.DeleteFunc(slices.Clone(a), func(v any) bool {
		i := slices.IndexFunc(rest, func(w any) bool { return equalValue(v, w) })
		if i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		}
		return i >= 0
	})
}

// arrangedBy returns the members of list in another order: those that like holds as well in like's
// order, the others after them, so that a diff of the two shows only what differs.
func arrangedBy(list, like []any) []any {
	extra := withoutEqual(list, like)
	shared := withoutEqual(like, withoutEqual(like, list))
	return append(shared, extra...)
}

// equalValue is agent.Equal, but for numbers, which are equal where their canonical forms are.
func equalValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !equalValue(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValue)
	case json.Number:
		b, _ := b.(json.Number) // what is none is empty, which no number is
		return sameNumber(a, b)
	default:
		return agent.Equal(a, b)
	}
}

func sameNumber(a, b json.Number) bool {
	m, err := agent.Number(a.String())
	n, _ := agent.Number(b.String()) // empty where it cannot be read
	return err == nil && m == n
}

// renamedSecret reports whether a secret in a stands under another variable in b. Where that is all that differs, both
// have the same value: nothing is to be sent, but an offline plan would take it for a change.
func renamedSecret(a, b any) bool {
	switch a := a.(type) {
	case secret.Sealed:
		b, ok := b.(secret.Sealed)
		return ok && a.Template != b.Template
	case map[string]any:
		b, _ := b.(map[string]any)
		for k, v := range a {
			if renamedSecret(v, b[k]) {
				return true
			}
		}
	case []any:
		b, _ := b.([]any)
		for i, v := range a {
			if i < len(b) && renamedSecret(v, b[i]) {
				return true
			}
		}
	}
	return false
}
