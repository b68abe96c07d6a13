package apply

import (
	"cmp"
	"slices"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// match decides the creates that the listing shows an agent for, and those that it shows too many
// for, and returns the rest.
func (e *Engine) match(id agent.AppID, l *listing, open []*pending, before *listing, verdicts map[*pending]verdict) []*pending {
	taken := map[string]bool{}
	for _, v := range verdicts {
		taken[v.found.UID] = true
	}
	free := func(r platform.Remote) bool {
		_, owned := e.book.owner(id, r.UID)
		return !owned && !taken[r.UID] && !before.has(r.UID)
	}
	m := &matching{listing: l, free: free, exact: before != nil, lenient: e.opts.AllowDuplicateNames, verdicts: verdicts}
	open = m.marked(open)
	m.free = func(r platform.Remote) bool { return r.Mark == "" && free(r) }
	byName := map[string][]*pending{}
	var names []string
	for _, p := range open {
		if p.nameless {
			m.nameless(p)
			continue
		}
		name := identity(l.schema, agent.ContentOf(p.sent))
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], p)
	}
	for _, name := range names {
		m.group(byName[name], keep(l.byName()[name], m.free))
	}
	undecided := func(p *pending) bool { _, decided := verdicts[p]; return !decided }
	if slices.ContainsFunc(open, undecided) && !m.lenient {
		m.strangers(keep(open, undecided), e.explained(id, byName))
	}
	return keep(open, undecided)
}

// keep returns those of list that ok likes.
func keep[T any](list []T, ok func(T) bool) []T {
	var kept []T
	for _, v := range list {
		if ok(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// explained returns the identities that a live agent may have without being a mystery: those of the
// pending creates, which were looked at, and of the agents that the manifests want.
func (e *Engine) explained(id agent.AppID, pending map[string][]*pending) map[string]bool {
	names := make(map[string]bool, len(pending))
	for name := range pending {
		names[name] = true
	}
	for a := range e.want {
		if a.ID() != id {
			continue
		}
		if want, err := e.wanted(a); err == nil {
			names[identity(e.apps[id].Schema, agent.ContentOf(want))] = true
		}
	}
	return names
}

// matching holds pending creates against the free agents of one listing.
type matching struct {
	*listing
	free func(platform.Remote) bool
	// exact reports that the free agents appeared since the creates were sent: their times do not count.
	exact bool
	// lenient leaves agents alone that are not what was sent, whatever their name.
	lenient  bool
	verdicts map[*pending]verdict
}

// young reports whether the agent can have been made by a request that was sent at at.
func (m *matching) young(r platform.Remote, at time.Time) bool {
	return m.exact || !createdBefore(r, at)
}

// group decides the creates of one identity against the free agents of that identity. A create that
// sent more is matched first: an agent that holds all of it was not made by one that sent less.
func (m *matching) group(group []*pending, free []platform.Remote) {
	slices.SortStableFunc(group, func(a, b *pending) int { return cmp.Compare(len(b.sent), len(a.sent)) })
	sameContent := map[string][]*pending{}
	var order []string
	for _, p := range group {
		key := content(m.schema, p.sent)
		if sameContent[key] == nil {
			order = append(order, key)
		}
		sameContent[key] = append(sameContent[key], p)
	}
	for _, key := range order {
		same := sameContent[key]
		at := earliest(same)
		fits := keep(free, func(r platform.Remote) bool {
			return m.young(r, at) && holdsSent(m.schema, same[0].sent, r.Content)
		})
		if len(fits) > len(same) {
			for _, p := range same {
				m.verdicts[p] = verdict{several: uidsOf(fits), equal: true}
			}
		} else {
			for i, r := range fits {
				m.verdicts[same[i]] = verdict{found: r, in: m.listing}
			}
		}
		free = slices.DeleteFunc(free, func(r platform.Remote) bool {
			return slices.ContainsFunc(fits, func(f platform.Remote) bool { return f.UID == r.UID })
		})
	}
	if !m.lenient {
		m.suspects(group, free)
	}
}

// suspects stops the creates without a match where a new agent is left over that may be theirs: the
// platform may have changed what it was sent, and a second create would then be a duplicate.
func (m *matching) suspects(group []*pending, free []platform.Remote) {
	for _, p := range group {
		if _, decided := m.verdicts[p]; decided {
			continue
		}
		if young := keep(free, func(r platform.Remote) bool { return m.young(r, p.at) }); len(young) > 0 {
			m.verdicts[p] = verdict{several: uidsOf(young)}
		}
	}
}

// strangers does the same with new agents whose identity nothing explains: a platform that shortens or
// lower-cases names must not get a second agent.
func (m *matching) strangers(open []*pending, explained map[string]bool) {
	taken := map[string]bool{}
	for _, v := range m.verdicts {
		taken[v.found.UID] = true
	}
	strange := keep(m.all, func(r platform.Remote) bool {
		return !taken[r.UID] && !explained[identity(m.schema, r.Content)] && m.free(r)
	})
	for _, p := range open {
		m.suspects([]*pending{p}, keep(strange, func(r platform.Remote) bool { return m.inTime(r, p) }))
	}
}

// inTime reports whether the agent was made soon enough after the create left to be its: what someone
// else made days later is no mystery.
func (m *matching) inTime(r platform.Remote, p *pending) bool {
	return r.CreatedAt.IsZero() || m.exact || r.CreatedAt.Before(p.at.Add(maxThrottled))
}

// nameless decides a create whose identity is not known any more: what holds all the rest may be its.
func (m *matching) nameless(p *pending) {
	fits := keep(m.all, func(r platform.Remote) bool {
		return m.free(r) && m.young(r, p.at) && holdsSent(m.schema, p.sent, r.Content)
	})
	if len(fits) > 0 {
		m.verdicts[p] = verdict{several: uidsOf(fits)}
	}
}

func earliest(ps []*pending) time.Time {
	return slices.MinFunc(ps, func(a, b *pending) int { return a.at.Compare(b.at) }).at
}

func uidsOf(rs []platform.Remote) []string {
	uids := make([]string, len(rs))
	for i, r := range rs {
		uids[i] = r.UID
	}
	return uids
}
