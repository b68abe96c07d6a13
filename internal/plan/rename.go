package plan

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// renamer decides which records get another address. Manifests say it with previousKeys, and a key stays there after it
// did its work; the state says it with the keys that a record had before, so that the revert of a rename moves back.
// Each case must come to rest: planned again after it was carried out, it moves nothing.
type renamer struct {
	in     *Input
	wanted map[agent.Address]*agent.Desired
	// former holds, by a former address, the addresses of the records that had it, in order.
	former map[agent.Address][]agent.Address
	// from holds the record that each address takes over, taker its reverse.
	from, taker map[agent.Address]agent.Address
	visiting    map[agent.Address]bool
}

// findRenames returns, by new address, the address whose record it takes over; nil where there is none.
//
// An address without a record takes over the record of the first previous key that has one; where the manifest names no
// previous keys, the one record that had this address before. The record's own address must have left the manifests or
// be handed on itself (a to b, b to c). Where all addresses of a ring have records (a and b swap), each member must ask
// for the record of the next one: see turnRings. In every other case an address with a record keeps it: it was renamed
// before.
func findRenames(in *Input, desired []*agent.Desired) (map[agent.Address]agent.Address, error) {
	former := formerAddresses(in)
	var movers []*agent.Desired
	for _, d := range desired {
		if len(d.PreviousKeys) > 0 || d.PreviousKeys == nil && former[d.Address] != nil {
			movers = append(movers, d)
		}
	}
	if len(movers) == 0 || len(in.Prior) == 0 {
		return nil, nil
	}
	r := renamer{
		in: in, wanted: make(map[agent.Address]*agent.Desired, len(desired)), former: former,
		from: map[agent.Address]agent.Address{}, taker: map[agent.Address]agent.Address{},
		visiting: map[agent.Address]bool{},
	}
	for _, d := range desired {
		r.wanted[d.Address] = d
	}
	for _, d := range movers {
		if _, known := in.Prior[d.Address]; known {
			continue
		}
		if _, err := r.takeOver(d); err != nil {
			return nil, err
		}
	}
	return r.from, r.turnRings(movers)
}

// formerAddresses returns, by a former address, where the records stand that had it; nil where no record was renamed.
func formerAddresses(in *Input) map[agent.Address][]agent.Address {
	var former map[agent.Address][]agent.Address
	for a, rec := range in.Prior {
		for _, key := range rec.FormerKeys {
			if former == nil {
				former = map[agent.Address][]agent.Address{}
			}
			old := withKey(a, key)
			former[old] = append(former[old], a)
		}
	}
	for _, at := range former {
		slices.SortFunc(at, agent.Address.Compare)
	}
	return former
}

func withKey(a agent.Address, key string) agent.Address {
	a.Key = key
	return a
}

// takeOver gives d a record that it may have, and reports whether there was one. Where the record belongs to another
// wanted agent, that one must get a record of its own first.
func (r *renamer) takeOver(d *agent.Desired) (bool, error) {
	r.visiting[d.Address] = true
	defer delete(r.visiting, d.Address)
	for _, old := range r.offeredRecords(d) {
		owner := r.wanted[old]
		free := owner == nil || !r.from[old].IsZero()
		if !free && !r.visiting[old] {
			handsOn, err := r.handsOn(d, owner)
			if err != nil {
				return false, err
			}
			if handsOn {
				if free, err = r.takeOver(owner); err != nil {
					return false, err
				}
			}
		}
		if free {
			r.takeRecord(d.Address, old)
			return true, nil
		}
	}
	return false, nil
}

// handsOn reports whether the owner of a record may get another one so that d can have it. A manifest says so with
// previousKeys. Without, it is the revert of a chain, where the owner wants exactly what that other record holds:
// nobody else's new agent may send a known one through two addresses.
func (r *renamer) handsOn(d, owner *agent.Desired) (bool, error) {
	if len(d.PreviousKeys) > 0 && len(owner.PreviousKeys) > 0 {
		return true, nil
	}
	content := r.contentOf(owner)
	if own, err := content.isIn(owner.Address); own || err != nil {
		return false, err
	}
	meant, err := content.firstHolder(r.offeredRecords(owner))
	return !meant.IsZero(), err
}

// offeredRecords returns the addresses whose records d may take over and nobody took yet: those of its previous keys
// or, where it names none, that of the one agent which had d's address before and left the manifests or may be handed
// on. Of several, nobody can say which one is meant.
func (r *renamer) offeredRecords(d *agent.Desired) []agent.Address {
	var old []agent.Address
	offer := func(a agent.Address) {
		_, known := r.in.Prior[a]
		if known && a != d.Address && r.taker[a].IsZero() {
			old = append(old, a)
		}
	}
	for _, key := range d.PreviousKeys {
		offer(withKey(d.Address, key))
	}
	if d.PreviousKeys == nil {
		for _, a := range r.former[d.Address] {
			offer(a)
		}
		if len(old) > 1 {
			return nil
		}
	}
	return old
}

func (r *renamer) takeRecord(to, from agent.Address) {
	r.from[to], r.taker[from] = from, to
}

// turnRings moves the records of addresses that hand their keys on in a ring.
func (r *renamer) turnRings(movers []*agent.Desired) error {
	wish := map[agent.Address]agent.Address{}
	for _, d := range movers {
		rec, known := r.in.Prior[d.Address]
		if !known || !r.from[d.Address].IsZero() || !r.taker[d.Address].IsZero() {
			continue
		}
		// A ring leads through wanted agents alone. One that left the manifests may be gone next time.
		offers := slices.DeleteFunc(r.offeredRecords(d), func(a agent.Address) bool { return r.wanted[a] == nil })
		if len(offers) == 0 {
			continue
		}
		content := r.contentOf(d)
		own, err := content.isIn(d.Address)
		if err != nil {
			return err
		}
		if own {
			continue // it has what it wants, also where a lost state forgot that it was renamed
		}
		// One that came by one of its previous keys has what it asked for: the others are for where that one is
		// missing.
		done := slices.ContainsFunc(d.PreviousKeys, func(key string) bool {
			return slices.Contains(rec.FormerKeys, key)
		})
		if len(d.PreviousKeys) > 0 && !done {
			wish[d.Address] = offers[0]
			continue
		}
		// What it asks for was done before, or it asks for nothing: a swap back is known by what the agents want.
		meant, err := content.firstHolder(offers)
		if err != nil {
			return err
		}
		if !meant.IsZero() {
			wish[d.Address] = meant
		}
	}
	for _, a := range onRings(movers, wish) {
		r.takeRecord(a, wish[a])
	}
	return nil
}

// wantedContent is what one agent wants, to be found in records.
type wantedContent struct {
	prior  map[agent.Address]agent.Record
	schema *schema.Platform
	fields agent.Fields // sealed
}

func (r *renamer) contentOf(d *agent.Desired) wantedContent {
	sealed, _ := sealWanted(d, r.in.Sealer)
	return wantedContent{r.in.Prior, r.in.schemaOf(d.Address.ID()), sealed}
}

// isIn reports whether the record at a holds exactly what is wanted.
func (c wantedContent) isIn(a agent.Address) (bool, error) {
	applied, err := decodeDoc(a, "applied", c.prior[a].Applied)
	return applied != nil && sameFields(c.schema, applied, c.fields), err
}

// firstHolder returns the first of the addresses whose record holds exactly what is wanted, zero for none.
func (c wantedContent) firstHolder(addresses []agent.Address) (agent.Address, error) {
	for _, a := range addresses {
		if ok, err := c.isIn(a); ok || err != nil {
			return a, err
		}
	}
	return agent.Address{}, nil
}

// onRings follows the wishes of the movers and returns the addresses from which they lead back to the
// same address. Each wish is followed once.
func onRings(movers []*agent.Desired, wish map[agent.Address]agent.Address) []agent.Address {
	var found []agent.Address
	seen := make(map[agent.Address]int, len(wish)) // in which walk, counted from 1
	for i, d := range movers {
		at := d.Address
		for !wish[at].IsZero() && seen[at] == 0 {
			seen[at] = i + 1
			at = wish[at]
		}
		if wish[at].IsZero() || seen[at] != i+1 {
			continue // it ends, or runs into an earlier walk
		}
		for first := at; ; {
			found = append(found, at)
			if at = wish[at]; at == first {
				break
			}
		}
	}
	return found
}

// LikelyRename is an agent that left the manifests and one that arrived in the same app, and that may be one agent
// whose key was changed without previousKeys. Carried out as it is, the arriving one gets a new uid, and with Prune the
// old one is lost.
type LikelyRename struct {
	// From is the address that left, To the one that arrived.
	From agent.Address `json:"from"`
	To   agent.Address `json:"to"`
	// SameName reports that both have the same identity (schema.Field.Identity).
	SameName bool `json:"sameName"`
	// Similarity is, without SameName, how much of their content is the same, in percent: see assignSimilar.
	Similarity int `json:"similarity,omitempty"`
	// Source is where the arriving agent's key stands.
	Source diag.Pos `json:"source,omitzero"`
}

// Line is what a manifest says under the key of To if it is the same agent.
func (l *LikelyRename) Line() string { return "previousKeys: [" + l.From.Key + "]" }

// Why says in a clause what makes it likely.
func (l *LikelyRename) Why() string {
	if l.SameName {
		return "both have the same name"
	}
	return fmt.Sprintf("%d%% of their content is the same", l.Similarity)
}

// Ways says what a manifest says if it is the same agent, and if it is not, each line to type alone on an indented
// line.
func (l *LikelyRename) Ways() string {
	return fmt.Sprintf("if it is the same agent, keep its uid: write under the key of %s, at %s:\n  %s\nif they are two agents, write there:\n  %s",
		l.To, l.Source, l.Line(), NewAgentLine)
}

// NewAgentLine is what a manifest says under the key of an agent that is a new one, whatever it is like.
const NewAgentLine = "previousKeys: []"

// likelyRenames pairs the agents that left with those that arrive, notes each pair at its changes and, where deletes
// are asked for, blocks both. gone are all addresses that left, also those that the targets do not select.
//
// As git finds renames: first what is the same (the identity), then what is nearly the same, the most similar first.
func (b *builder) likelyRenames(gone []agent.Address) {
	if len(gone) == 0 || b.in.Reviewed {
		return
	}
	changes := b.plan.changesByAddress()
	left, arrived := map[agent.AppID][]*mayBeRenamed{}, map[agent.AppID][]*mayBeRenamed{}
	for _, d := range b.desired {
		_, known := b.in.Prior[d.Address]
		ch := changes[d.Address]
		isNew := d.PreviousKeys != nil && len(d.PreviousKeys) == 0 // its manifest says so
		if known || !b.from[d.Address].IsZero() || isNew || ch != nil && ch.Action != Create {
			continue
		}
		id := d.Address.ID()
		arrived[id] = append(arrived[id], newMayBeRenamed(b.in.schemaOf(id), d.Address, d.Fields, d.Source))
	}
	slices.SortFunc(gone, agent.Address.Compare)
	for _, a := range gone {
		if len(arrived[a.ID()]) == 0 {
			continue
		}
		if p, fields := b.recordedFields(a, b.in.Prior[a]); p != nil {
			left[a.ID()] = append(left[a.ID()], newMayBeRenamed(p, a, fields, diag.Pos{}))
		}
	}
	for id, leaving := range left {
		pairs := pairByName(leaving, arrived[id])
		pairs = append(pairs, b.pairByContent(id, leaving, arrived[id])...)
		b.plan.LikelyRenames = append(b.plan.LikelyRenames, pairs...)
	}
	slices.SortFunc(b.plan.LikelyRenames, func(x, y LikelyRename) int { return x.To.Compare(y.To) })
	b.plan.linkLikelyRenames()
	if b.in.Prune {
		for _, l := range b.plan.LikelyRenames {
			for _, a := range [...]agent.Address{l.From, l.To} {
				if ch := changes[a]; ch != nil && ch.Blocked == "" {
					ch.Blocked = BlockedByRename
				}
			}
		}
		b.plan.recount()
	}
}

// linkLikelyRenames notes each pair at the changes that it is about.
func (p *Plan) linkLikelyRenames() {
	by := make(map[agent.Address]*LikelyRename, 2*len(p.LikelyRenames))
	for i := range p.LikelyRenames {
		l := &p.LikelyRenames[i]
		by[l.From], by[l.To] = l, l
	}
	for i := range p.Changes {
		p.Changes[i].Likely = by[p.Changes[i].Address]
	}
}

// mayBeRenamed is one side of a pair.
type mayBeRenamed struct {
	schema  *schema.Platform
	address agent.Address
	fields  agent.Fields
	source  diag.Pos
	name    string // the identity, empty where it is not known or says nothing
	paired  bool
	parts   map[partID]int // made by pairByContent
}

func newMayBeRenamed(p *schema.Platform, a agent.Address, fields agent.Fields, source diag.Pos) *mayBeRenamed {
	name, known := Identity(p, fields)
	if !known || strings.Trim(name, "\x00") == "" {
		name = ""
	}
	return &mayBeRenamed{schema: p, address: a, fields: fields, source: source, name: name}
}

// pairByName pairs agents of the same identity, both sides in the order of their addresses.
func pairByName(left, arrived []*mayBeRenamed) []LikelyRename {
	named := map[string][]*mayBeRenamed{}
	for _, l := range left {
		if l.name != "" {
			named[l.name] = append(named[l.name], l)
		}
	}
	var pairs []LikelyRename
	for _, to := range arrived {
		if namesakes := named[to.name]; len(namesakes) > 0 {
			from := namesakes[0]
			named[to.name] = namesakes[1:]
			from.paired, to.paired = true, true
			pairs = append(pairs, LikelyRename{From: from.address, To: to.address, SameName: true, Source: to.source})
		}
	}
	return pairs
}

const (
	// leastSimilar is the least similarity of a rename, in percent: that of git.
	leastSimilar = 50
	// leastShared is the least that two agents have in common before anything is said, in bytes: a tag and a word are
	// no sign.
	leastShared = 16
	// mostHolders is how many agents of an app may hold a text that still tells them apart: two, and one that was
	// copied from them. What more of them hold is a template's. It bounds the cost as well: no text leads to more
	// candidates than this.
	mostHolders = 3
)

// pairByContent pairs the agents that are left over by the similarity of their content, the most similar first and then
// in the order of their addresses.
func (b *builder) pairByContent(id agent.AppID, left, arrived []*mayBeRenamed) []LikelyRename {
	isPaired := func(m *mayBeRenamed) bool { return m.paired }
	from, to := slices.DeleteFunc(slices.Clone(left), isPaired), slices.DeleteFunc(slices.Clone(arrived), isPaired)
	if len(from) == 0 || len(to) == 0 {
		return nil
	}
	holders := map[partID]*holding{}
	for i, side := range [...][]*mayBeRenamed{from, to} {
		for n, m := range side {
			m.parts = partsOf(m.schema, m.fields)
			for part := range m.parts {
				h := holders[part]
				if h == nil {
					h = &holding{}
					holders[part] = h
				}
				if h.agents++; i == 0 {
					h.left = append(h.left, n)
				}
			}
		}
	}
	count := func(fields agent.Fields) {
		for part := range partsOf(b.in.schemaOf(id), fields) {
			if h := holders[part]; h != nil {
				h.agents++
			}
		}
	}
	isSide := map[agent.Address]bool{}
	for _, m := range to {
		isSide[m.address] = true
	}
	for _, d := range b.desired {
		if d.Address.ID() == id && !isSide[d.Address] {
			count(d.Fields)
		}
	}
	return assignSimilar(from, to, holders)
}

// holding says which agents hold a part.
type holding struct {
	agents int   // of the app
	left   []int // those that left, by their index
}

// assignSimilar compares agents that share a part that tells them apart, and pairs them.
func assignSimilar(from, to []*mayBeRenamed, holders map[partID]*holding) []LikelyRename {
	size := func(m *mayBeRenamed) (n int) {
		for part, bytes := range m.parts {
			if holders[part].agents <= mostHolders {
				n += bytes
			}
		}
		return n
	}
	sizes := make([]int, len(from))
	for i, m := range from {
		sizes[i] = size(m)
	}
	type candidate struct{ from, to, similarity int }
	var candidates []candidate
	for j, m := range to {
		shared := map[int]int{}
		for part, bytes := range m.parts {
			if h := holders[part]; h.agents <= mostHolders {
				for _, i := range h.left {
					shared[i] += min(bytes, from[i].parts[part])
				}
			}
		}
		own := size(m)
		for i, common := range shared {
			// git's similarity index: what both hold, of the larger one.
			if similarity := common * 100 / max(own, sizes[i]); similarity >= leastSimilar && common >= leastShared {
				candidates = append(candidates, candidate{i, j, similarity})
			}
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int { // from and to are in the order of their addresses
		return cmp.Or(b.similarity-a.similarity, a.from-b.from, a.to-b.to)
	})
	var pairs []LikelyRename
	for _, c := range candidates {
		f, t := from[c.from], to[c.to]
		if !f.paired && !t.paired {
			f.paired, t.paired = true, true
			pairs = append(pairs, LikelyRename{From: f.address, To: t.address, Similarity: c.similarity,
				Source: t.source})
		}
	}
	return pairs
}

// partID is the hash of a part of an agent: a line or a clause of a text, or another value, and the field that it
// stands in.
type partID uint64

// partsOf returns the parts of an agent's content with their sizes in bytes. Secrets, and what is as empty or the
// platform's default, are no part of it. A list's values have no order.
func partsOf(p *schema.Platform, fields agent.Fields) map[partID]int {
	parts := map[partID]int{}
	for i := range p.Fields {
		f := &p.Fields[i]
		if v := normalValue(f, fields[f.Name]); v != nil {
			addParts(parts, p, f.Pointer, v)
		}
	}
	return parts
}

func addParts(parts map[partID]int, p *schema.Platform, path string, v any) {
	if secret.Is(v) || p.IsSecret(path) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			addParts(parts, p, path+"/"+agent.EscapePointer(k), e)
		}
	case []any:
		for _, e := range v {
			addParts(parts, p, path, e)
		}
	case string:
		for text := range clauses(v) {
			addPart(parts, path, text)
		}
	case nil:
	default:
		if doc, err := agent.Encode(agent.Fields{"": v}); err == nil {
			addPart(parts, path, string(doc))
		}
	}
}

func addPart(parts map[partID]int, path, text string) {
	h := fnv.New64a() // the same in each run, which hash/maphash is not
	_, _ = io.WriteString(h, path+"\x00"+text)
	parts[partID(h.Sum64())] += len(text)
}

// clauses yields the lines of a text, and of a line its clauses: prompts are often one long line, in which git would
// see one change. White space around a clause is no part of it.
func clauses(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start := 0
		for i := range len(text) {
			atEnd := i+1 == len(text) || text[i] == '\n' || text[i+1] == ' ' &&
				strings.IndexByte(".,;:!?", text[i]) >= 0
			if !atEnd {
				continue
			}
			clause := strings.TrimSpace(text[start : i+1])
			start = i + 1
			if clause != "" && !yield(clause) {
				return
			}
		}
	}
}
