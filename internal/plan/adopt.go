package plan

import (
	"slices"

	"agentsync/internal/agent"
)

// Adopt holds the creates of p against the lists in.Live: one whose agent is there already takes it over
// instead, and one that a namesake with another content stands in the way of is blocked. Agents that
// belong to an address, by a record or by an open request, are nobody else's. Build does this itself; it
// is for a plan that was made offline, and whose creates alone are to be held against a list.
func (p *Plan) Adopt(in Input) {
	creates := map[agent.AppID][]*Change{}
	for i := range p.Changes {
		ch := &p.Changes[i]
		makes := ch.Blocked == "" && (ch.Action == Create || ch.Action == Replace && len(ch.Fields) > 0)
		mayHaveNone, open := in.Open[ch.Address]
		if makes && (!open || mayHaveNone) && len(in.Live[ch.Address.ID()]) > 0 {
			creates[ch.Address.ID()] = append(creates[ch.Address.ID()], ch)
		}
	}
	if len(creates) == 0 {
		return
	}
	wants, owned := byAddress(in.Desired), in.ownedUIDs()
	_, _, doubted := indexLists(&in)
	for _, id := range doubted { // what may be of another app is nobody's to take
		delete(creates, id)
	}
	taken := map[agent.AppID]map[string]bool{}
	for id, changes := range creates {
		taken[id] = map[string]bool{}
		in.adoptIn(id, changes, wants, owned, taken[id])
	}
	p.Unmanaged = slices.DeleteFunc(p.Unmanaged, func(u Unmanaged) bool { return taken[u.App][u.UID] })
	p.recount()
}

// adoptIn does so for the creates of one app, and notes in taken what is adopted.
func (in *Input) adoptIn(id agent.AppID, creates []*Change, wants map[agent.Address]*agent.Desired,
	owned map[agent.AppID]map[string]bool, taken map[string]bool) {
	p := in.schemaOf(id)
	var candidates []Candidate
	var changes []*Change
	// What an open request may have made is found by whoever recovers that request. Its address wants an agent all the
	// same, and comes last: it must not take one that another needs, who would then make a second.
	slices.SortStableFunc(creates, func(a, b *Change) int { return in.waitRank(a) - in.waitRank(b) })
	for _, ch := range creates {
		fields := wants[ch.Address].Fields
		if fields.HasSecrets() {
			if in.Sealer.Lookup == nil {
				continue // without its values nothing is said of it
			}
			var err error
			if fields, err = fields.Resolve(in.Sealer.Lookup); err != nil {
				continue
			}
		}
		changes = append(changes, ch)
		candidates = append(candidates, Candidate{Fields: fields, Mark: ch.Address.Mark()})
	}
	free := slices.DeleteFunc(slices.Clone(in.Live[id]), func(l Live) bool { return owned[id][l.UID] })
	live := make(map[string]Live, len(free))
	decided := in.marksOfRecords(id)
	for _, ch := range creates {
		delete(decided, ch.Address.Mark()) // a replace may have made its new agent already
	}
	for n, l := range free {
		live[l.UID] = l
		if decided[l.Mark] {
			free[n].Mark = "" // the address that it names has its agent: it says no more whose this one is
		}
	}
	for i, m := range Find(p, candidates, free, false) {
		ch := changes[i]
		var differ []string
		if m.Marked {
			differ = slices.DeleteFunc(Unlike(p, candidates[i].Fields, live[m.UID].Content), func(name string) bool {
				return slices.Contains(wants[ch.Address].IgnoreChanges, name)
			})
		}
		inTheWay := slices.Concat(m.Equal, m.Namesakes)
		switch {
		case in.Open[ch.Address]:
			continue
		case m.UID != "" && !in.NoAdopt && in.canBecome(ch, differ):
			taken[m.UID] = true
			if ch.Adopts = m.UID; ch.Action == Create {
				ch.Action, ch.UID, ch.Send = Adopt, m.UID, differ
			}
			continue
		case m.UID != "":
			inTheWay = append(inTheWay, m.UID)
		}
		if len(inTheWay) > 0 && !in.AllowDuplicates {
			ch.Blocked, ch.InTheWay = BlockedByNamesake, inTheWay
		}
	}
}

// marksOfRecords returns the marks of the addresses of an app that have an agent.
func (in *Input) marksOfRecords(id agent.AppID) map[string]bool {
	marks := map[string]bool{}
	for a := range in.Prior {
		if a.ID() == id {
			marks[a.Mark()] = true
		}
	}
	return marks
}

func (in *Input) waitRank(ch *Change) int {
	if in.Open[ch.Address] {
		return 1
	}
	return 0
}

// canBecome reports whether an agent can be adopted for a change although some fields differ. Of a replace
// the new agent must be as wanted: nothing is sent after it.
func (in *Input) canBecome(ch *Change, differ []string) bool {
	return len(differ) == 0 || ch.Action == Create && !slices.ContainsFunc(differ, func(name string) bool {
		f, _ := in.schemaOf(ch.Address.ID()).Field(name)
		return f.Immutable
	})
}

// ownedUIDs returns the uids that belong to an address, by app.
func (in *Input) ownedUIDs() map[agent.AppID]map[string]bool {
	owned := make(map[agent.AppID]map[string]bool, len(in.Live))
	own := func(id agent.AppID, uid string) {
		if owned[id] == nil {
			owned[id] = map[string]bool{}
		}
		owned[id][uid] = true
	}
	for a, rec := range in.Prior {
		own(a.ID(), rec.UID)
		for _, uid := range rec.Obsolete {
			own(a.ID(), uid)
		}
	}
	for id, uids := range in.Claimed {
		for _, uid := range uids {
			own(id, uid)
		}
	}
	return owned
}
