package plan

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/schema"
)

// Build compares what is wanted with what was applied and, where Live says, with what the platforms
// show. The plan depends on the input's values alone, not on its order. It fails on a record that is
// damaged and on input that the manifests' validation refuses; what stands in the way of a change is
// no error but its Blocked.
//
// It costs one encoding per agent: an unchanged agent's canonical form equals what state holds, byte
// for byte, and only where it does not are the fields compared.
func Build(in Input) (*Plan, error) {
	desired, err := in.sortedAgents()
	if err != nil {
		return nil, err
	}
	// Renames come first: whose record a wanted agent has decides what it is compared with.
	from, err := findRenames(&in, desired)
	if err != nil {
		return nil, err
	}
	b := builder{in: &in, plan: &Plan{Origins: in.compareOrigins()}, desired: desired, from: from}
	for _, o := range b.plan.Origins {
		if o.Changed() {
			b.plan.Summary.Origins++
		}
	}
	live, unmanaged, doubted := indexLists(&in)
	b.live, b.plan.Doubted = live, doubted
	if len(in.Targets) == 0 {
		b.plan.Unmanaged = unmanaged
	}
	if err := b.wantAll(b.selectedAgents()); err != nil {
		return nil, err
	}
	// Behind the wanted agents: they count the records that they stand for, and what is left over left the manifests.
	gone := b.planGone()
	// planGone walks a map, and an agent that left stands between those that stay.
	slices.SortFunc(b.plan.Changes, func(x, y Change) int { return x.Address.Compare(y.Address) })
	b.plan.Adopt(in)
	b.likelyRenames(gone) // behind Adopt: what is there already does not arrive
	return b.plan, nil
}

// builder collects one plan.
type builder struct {
	in      *Input
	plan    *Plan
	desired []*agent.Desired
	// from holds, by address, where the agent's record stands, for those that are renamed.
	from map[agent.Address]agent.Address
	live listings
	// used counts the records that wanted agents stand for.
	used int
	// room is where each wanted agent's document is written in turn.
	room []byte
}

// selectedAgents returns which wanted agents the targets select. A rename onto an address whose record is
// renamed as well takes that one with it: otherwise two records would meet.
func (b *builder) selectedAgents() func(agent.Address) bool {
	if len(b.in.Targets) == 0 {
		return func(agent.Address) bool { return true }
	}
	taker := make(map[agent.Address]agent.Address, len(b.from))
	for to, from := range b.from {
		taker[from] = to
	}
	drawn := map[agent.Address]bool{}
	for to, from := range b.from {
		if b.in.isTarget(to, from) {
			for at := to; !at.IsZero() && !drawn[at]; at = taker[at] {
				drawn[at] = true
			}
		}
	}
	return func(a agent.Address) bool { return drawn[a] || b.in.isTarget(a) }
}

// addChange lists and counts a change.
func (b *builder) addChange(ch Change) {
	b.plan.Changes = append(b.plan.Changes, ch)
	b.plan.Summary.Count(ch)
}

// planAgent plans one agent of the manifests.
func (b *builder) planAgent(d *agent.Desired) error {
	c := comparison{
		schema: b.in.schemaOf(d.Address.ID()), sealer: b.in.Sealer, ignore: d.IgnoreChanges,
	}
	// Sealed before anything is compared: records hold no secret in clear, and from here on no change can.
	c.wanted, c.plain = sealWanted(d, b.in.Sealer)
	doc, err := agent.AppendDoc(b.room[:0], c.wanted)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Address, err)
	}
	b.room = doc // what is made of one agent's document is digests and copies
	ch := Change{Address: d.Address, Name: NameOf(c.schema, c.wanted), From: b.from[d.Address], Source: d.Source,
		TextFiles: d.TextFiles}
	at := d.Address
	if !ch.From.IsZero() {
		at = ch.From
	}
	rec, known := b.in.Prior[at]
	if !known {
		return b.planCreate(ch, c, d, nil, doc)
	}
	b.used++
	ch.UID, ch.Obsolete, ch.OtherAPI = rec.UID, rec.Obsolete, rec.API != c.schema.Recorded()
	ch.Resumed = isBare(&rec)
	if ch.OtherAPI {
		// What was observed is in the fields of the other version: nothing can be compared with it.
		rec.Observed = nil
	}
	if ch.OtherAPI && b.live.notListed(d.Address.ID(), rec.UID) {
		// Whatever that version says, the other one made an agent with this uid: to make it again is to make a second
		// one.
		ch.Action, ch.Blocked, ch.Basis = Update, BlockedByAPI, b.in.basisOf(&rec, d, &c, doc)
		b.addChange(ch)
		return nil
	}
	// Only now that its uid is known not to be another version's: a create beside that would make a second agent.
	if b.live.hasVanished(d.Address.ID(), rec.UID) {
		ch.Vanished, ch.Unlisted = true, !b.in.Gone[d.Address.ID()][rec.UID]
		return b.planCreate(ch, c, d, &rec, doc)
	}
	c.resumed = ch.Resumed
	diff, err := b.compareRecord(&c, d, &rec, doc)
	if err != nil {
		return err
	}
	ch.Fields, ch.Send = diff.fields, diff.send
	// Before the action: an agent of which only the mark is missing is an update as well.
	c.decideMark(&ch, d, b.carriedMark(d, &rec))
	b.decideAction(&ch, d.Protect, diff)
	if ch.Action != "" {
		ch.Basis = b.in.basisOf(&rec, d, &c, doc)
		b.addChange(ch)
	} else {
		b.plan.Summary.Unchanged++
	}
	// Also where nothing is sent: protect, and what somebody else changed back, would stay as they were recorded.
	return b.updateRecord(&ch, &c, d, rec, diff)
}

// planCreate plans an agent that does not exist, or no longer does.
func (b *builder) planCreate(ch Change, c comparison, d *agent.Desired, rec *agent.Record, doc agent.Doc) error {
	if err := c.checkNames(d.Address); err != nil {
		return err
	}
	ch.Action = Create
	if c.plain {
		ch.Wanted, ch.schema = bytes.Clone(doc), c.schema
	} else {
		// A new agent is sent whole: nobody else has set anything of it that could be left alone.
		c.fresh, c.ignore = true, nil
		ch.Fields = c.findDifferences().fields
	}
	ch.Basis = b.in.basisOf(rec, d, &c, doc)
	b.addChange(ch)
	return nil
}

// compareRecord finds what differs between a wanted agent and its record.
func (b *builder) compareRecord(c *comparison, d *agent.Desired, rec *agent.Record, doc agent.Doc) (difference, error) {
	id := d.Address.ID()
	// Nearly all agents of a run end here: no document is decoded for them.
	if c.sameAsApplied(doc, rec.Applied) && b.live.isUnchanged(id, rec, c.wanted, b.in.Sealer) {
		return difference{}, nil
	}
	if err := c.checkNames(d.Address); err != nil {
		return difference{}, err
	}
	var err error
	if c.base, err = decodeDoc(d.Address, "applied", rec.Applied); err != nil {
		return difference{}, err
	}
	if c.observed, err = decodeDoc(d.Address, "observed", rec.Observed); err != nil {
		return difference{}, err
	}
	// Of an imported agent nothing was applied: which of the live values are secret, the manifest says.
	like := c.base
	if like == nil {
		like = c.wanted
	}
	c.live = b.live.shownFields(c.schema, id, rec.UID, c.observed, like, b.in.Sealer)
	// Without this every value that the platform fills in would look like somebody's change.
	if c.observed == nil && c.live != nil && c.base != nil {
		c.observed, c.unseen = firstSeen(c.schema, c.base, c.live), true
	}
	// An imported agent: nobody knows what was sent for it. What it held when it was seen stands for that.
	if c.base == nil {
		if c.base = c.observed; c.base == nil {
			c.base = c.live
		}
		c.inferred = c.base != nil && !c.resumed
	}
	return c.findDifferences(), nil
}

// firstSeen returns what to hold the live fields of an agent against that was not seen since something was applied,
// because an answer could not be read or a list failed: what the platform may have made of what was applied is as it is
// live, and anything else is somebody's change of it.
func firstSeen(p *schema.Platform, applied, live agent.Fields) agent.Fields {
	seen := make(agent.Fields, len(live))
	for i := range p.Fields {
		f := &p.Fields[i]
		v, sent := applied[f.Name]
		if !sent || Holds(f, v, live[f.Name]) {
			v = live[f.Name]
		}
		if v != nil {
			seen[f.Name] = v
		}
	}
	return seen
}

// decideAction sets the action, if anything is to be done, and what stands in its way.
func (b *builder) decideAction(ch *Change, protect bool, diff difference) {
	switch {
	// Before update: a platform refuses an update of such a field, and the other fields with it.
	case diff.immutable:
		ch.Action, ch.Send, ch.Marker = Replace, nil, "" // the new agent is made with its mark
		if protect {
			ch.Blocked = BlockedByProtect
		} else if !b.in.Prune {
			ch.Blocked = BlockedByPrune
		}
	case len(diff.fields) > 0 || ch.Marker != "":
		ch.Action = Update
	case len(ch.Obsolete) > 0: // protect keeps the agent, which this does not touch
		ch.Action = Replace
		if !b.in.Prune {
			ch.Blocked = BlockedByPrune
		}
	case !ch.From.IsZero():
		ch.Action = Move
	}
}

// updateRecord adds the record of an agent that nothing is sent for, where the record is behind.
func (b *builder) updateRecord(ch *Change, c *comparison, d *agent.Desired, rec agent.Record, diff difference) error {
	if ch.OtherAPI && c.live != nil && ch.Blocked == "" {
		diff.behind, rec.API = true, c.schema.Recorded() // seen by this version, and recorded in its fields
	}
	sends := ch.Blocked == "" && (len(ch.Fields) > 0 || ch.Marker != "")
	behind := diff.behind && ch.Blocked == ""
	if sends || rec.Protect == d.Protect && !behind {
		return nil
	}
	rec.Protect = d.Protect
	if behind {
		applied, err := AppliedDoc(*d, rec, b.in.Sealer)
		if err != nil {
			return err
		}
		if fields, err := decodeDoc(d.Address, "applied", applied); err != nil || hasUnknown(map[string]any(fields)) {
			return err // what is not known is not recorded
		}
		rec.Applied = applied
		if c.live != nil {
			if rec.Observed, err = encodeDoc(d.Address, c.live); err != nil {
				return err
			}
		}
	}
	if !ch.From.IsZero() {
		// The rename goes first, and this record takes the place of its: without the former key a revert would make a
		// new agent, and a swap would be turned back.
		rec = rec.Moved(ch.From.Key, ch.Address.Key)
	}
	b.plan.RecordUpdates = append(b.plan.RecordUpdates, RecordUpdate{Address: d.Address, Record: rec})
	return nil
}

// planGone plans the agents of the state that the manifests do not name, and returns the addresses of all of them, also
// of those that the targets do not select.
func (b *builder) planGone() (gone []agent.Address) {
	// Each record has its agent: the walk over all of them, which is what most runs can do without, finds nothing.
	if b.used == len(b.in.Prior) {
		return nil
	}
	taken := make(map[agent.Address]bool, len(b.from))
	for _, from := range b.from {
		taken[from] = true
	}
	named := make(map[agent.AppID]bool, len(b.in.Apps))
	for _, d := range b.desired {
		named[d.Address.ID()] = true
	}
	for a, rec := range b.in.Prior {
		_, wanted := slices.BinarySearchFunc(b.desired, a, func(d *agent.Desired, a agent.Address) int {
			return d.Address.Compare(a)
		})
		if wanted || taken[a] {
			continue
		}
		if gone = append(gone, a); !b.in.isTarget(a) {
			continue
		}
		p, fields := b.recordedFields(a, rec)
		ch := Change{
			Address: a, Action: Kept, UID: rec.UID, Obsolete: rec.Obsolete, Basis: b.in.basisOf(&rec, nil, nil, nil),
			Vanished: b.live.hasVanished(a.ID(), rec.UID),
		}
		ch.Unlisted = ch.Vanished && !b.in.Gone[a.ID()][rec.UID]
		if p != nil {
			ch.Name = NameOf(p, fields)
		}
		if b.in.Prune {
			ch.Action = Delete
			s := b.in.schemaOf(a.ID())
			ch.OtherAPI = s != nil && rec.API != s.Recorded()
			// Shown for a reviewer, who may bring the agent back: the platform cannot.
			if p != nil && !ch.OtherAPI { // the other version has other fields
				ch.Fields = b.lostFields(p, fields)
			}
			switch {
			case rec.Protect:
				ch.Blocked = BlockedByProtect
			case ch.OtherAPI && b.live.notListed(a.ID(), rec.UID):
				ch.Blocked = BlockedByAPI
			case !named[a.ID()] && !b.in.Apps[a.ID()]:
				ch.Blocked = BlockedByApp
			}
		}
		b.addChange(ch)
	}
	return gone
}

// checkNames refuses a field that the platform's schema does not know: it would be left out of every
// comparison. Validation has refused it before.
func (c *comparison) checkNames(a agent.Address) error {
	for name := range c.wanted {
		if _, ok := c.schema.Field(name); !ok {
			return fmt.Errorf("plan: %s has a field %q that its platform does not know", a, name)
		}
	}
	return nil
}

// NameOf is what people call an agent: its first identity field, if it is a string that may be shown, else empty.
func NameOf(p *schema.Platform, f agent.Fields) string {
	for _, field := range p.Fields {
		if field.Identity {
			name, _ := f[field.Name].(string)
			return name
		}
	}
	return ""
}

// recordedFields returns the schema and the fields of an agent that left the manifests, nil where its record cannot be
// read.
func (b *builder) recordedFields(a agent.Address, rec agent.Record) (*schema.Platform, agent.Fields) {
	p := b.in.schemaOf(a.ID())
	doc := rec.Applied
	if doc == nil {
		doc = rec.Observed
	}
	fields, err := doc.Fields()
	if err != nil || p == nil {
		return nil, nil
	}
	return p, fields
}

// lostFields lists what goes with an agent that is deleted: each value as Before, for a reviewer to see what nobody can
// bring back.
func (b *builder) lostFields(p *schema.Platform, fields agent.Fields) []FieldChange {
	c := comparison{schema: p, sealer: b.in.Sealer, base: fields}
	all := c.findDifferences().fields
	for i := range all {
		all[i].Immutable = false // nothing is updated
	}
	return all
}

// partSize is how many agents are planned one after the other.
const partSize = 256

// wantAll plans the selected agents of the manifests, on all processors: each part of them makes a plan
// of its own, and these are put together in the order of the addresses.
func (b *builder) wantAll(selected func(agent.Address) bool) error {
	var parts []*builder
	for desired := range slices.Chunk(b.desired, partSize) {
		parts = append(parts, &builder{in: b.in, plan: &Plan{}, desired: desired, from: b.from, live: b.live})
	}
	errs := make([]error, len(parts))
	var workers sync.WaitGroup
	for i, part := range parts {
		workers.Go(func() {
			defer crash.Guard()
			errs[i] = part.wantInTurn(selected)
		})
	}
	workers.Wait()
	changes := 0
	for _, part := range parts {
		changes += len(part.plan.Changes)
	}
	b.plan.Changes = make([]Change, 0, changes)
	for i, part := range parts {
		if errs[i] != nil {
			return errs[i]
		}
		for _, ch := range part.plan.Changes {
			b.addChange(ch)
		}
		b.plan.RecordUpdates = append(b.plan.RecordUpdates, part.plan.RecordUpdates...)
		b.plan.Summary.Unchanged += part.plan.Summary.Unchanged
		b.used += part.used
	}
	return nil
}

// wantInTurn plans the builder's agents one after the other.
func (b *builder) wantInTurn(selected func(agent.Address) bool) error {
	for _, d := range b.desired {
		if !selected(d.Address) {
			continue
		}
		if err := b.planAgent(d); err != nil {
			return err
		}
	}
	return nil
}

// decideMark says what is to be done about the agent's mark, and puts the field that carries it among those
// that are sent. Where the manifest leaves that field to somebody else, the mark stays as it was when
// the agent was made: the field is sent whole, and would undo what the other does.
//
// carried is the mark that the agent carries now, as far as is known: what state says or, where the agent was listed,
// what the list shows. Somebody who edits the field at the platform takes the mark away, or puts a foreign one in its
// place.
func (c *comparison) decideMark(ch *Change, d *agent.Desired, carried string) {
	if d.Mark == carried {
		return
	}
	f, ok := c.schema.Marker()
	if !ok || slices.Contains(d.IgnoreChanges, f.Name) {
		return
	}
	switch {
	case carried == "":
		ch.Marker = MarkerAdd
	case d.Mark == "":
		ch.Marker = MarkerRemove
	default:
		ch.Marker = MarkerRenew
	}
	var send []string
	for _, field := range c.schema.Fields {
		if field.Name == f.Name || slices.Contains(ch.Send, field.Name) {
			send = append(send, field.Name)
		}
	}
	ch.Send = send
}

// carriedMark returns the mark that the agent of rec carries: what the record says, but where it says that all is as it
// should be and the list shows another one, somebody has changed it; and one of the uid alone does not know of a mark
// that is to go. A list that shows nothing of the agent but its uid says nothing of its mark.
func (b *builder) carriedMark(d *agent.Desired, rec *agent.Record) string {
	asked := d.Mark == rec.Mark && (d.Mark != "" || isBare(rec))
	if live := b.live.shown(d.Address.ID(), rec.UID); asked && !live.Content.IsZero() {
		return live.Mark
	}
	return rec.Mark
}

// MarkOf returns the mark that an agent carries once d is carried out: the one that it is to carry, but
// what prior says where the field that carries it is none of those that are sent. For an agent that was
// just created, which sends all, prior is the zero Record and sent is nil.
func MarkOf(p *schema.Platform, d agent.Desired, prior agent.Record, sent []string) string {
	f, ok := p.Marker()
	switch {
	case !ok:
		return ""
	case prior.UID != "" && !slices.Contains(sent, f.Name):
		return prior.Mark
	}
	return d.Mark
}
