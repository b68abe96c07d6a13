package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// ErrSuspiciousList is wrapped where a listing lacks agents that are there: it was cut short, lags, or
// is of another app.
var ErrSuspiciousList = errors.New("the listing is not to be trusted")

// suspicious reports a listing that shows none of the agents that state knows in the app, or lacks one
// that the platform answers when it is asked for it alone, or that is doubtful and lacks any.
func (e *Engine) suspicious(ctx context.Context, id agent.AppID, l *listing) error {
	known := e.book.uids(id)
	missing := slices.DeleteFunc(slices.Clone(known), l.has)
	if l.doubt != nil && (len(missing) > 0 || len(known) == 0) {
		return l.doubt // nothing that is known speaks for its being whole
	}
	if len(known) > 0 && len(missing) == len(known) {
		return fmt.Errorf("%w: it shows %d agents, and none of the %d that state knows in %s",
			ErrSuspiciousList, len(l.all), len(known), id)
	}
	return e.readMissing(ctx, id, append(missing, slices.DeleteFunc(e.book.doubtful(id), l.has)...))
}

// maxReads bounds how many agents that a listing lacks are asked for one by one.
const maxReads = 20

// readMissing asks for agents that a listing lacks, where the platform can be asked: someone may have
// deleted them, or the listing was cut short.
func (e *Engine) readMissing(ctx context.Context, id agent.AppID, missing []string) error {
	reader, ok := e.apps[id].Client.(platform.Reader)
	if !ok {
		return nil
	}
	for _, uid := range missing[:min(maxReads, len(missing))] {
		_, err := reader.Read(ctx, uid)
		switch {
		case errors.Is(err, platform.ErrNotFound):
		case errors.Is(err, errors.ErrUnsupported):
			return nil
		case err != nil:
			return fmt.Errorf("%w: it lacks agent %s, and that could not be read: %w", ErrSuspiciousList, uid, err)
		default:
			return fmt.Errorf("%w: it lacks agent %s of %s, which is there", ErrSuspiciousList, uid, id)
		}
	}
	return nil
}

// listForCreates lists the app before anything is created in it. At a platform that cannot be asked for one
// agent the listing must show every agent that state knows: one that was cut hides what is to be adopted as
// well. It is asked for a few times, since lists may lag. A listing that comes with an error shows what is
// there and is no proof of anything else.
func (e *Engine) listForCreates(ctx context.Context, id agent.AppID) (*listing, error) {
	for look := 1; ; look++ {
		l, err := e.list(ctx, id)
		if err != nil {
			return nil, err
		}
		if err = e.suspicious(ctx, id, l); err == nil {
			err = e.complete(id, l)
		} else {
			return l, err
		}
		if err == nil || look == maxLists {
			return l, err
		}
	}
}

// maxLists bounds how often a listing is asked for that lacks agents.
const maxLists = 3

// complete fails where a listing lacks an agent that state knows and nobody can be asked whether it is gone.
func (e *Engine) complete(id agent.AppID, l *listing) error {
	if _, canRead := e.apps[id].Client.(platform.Reader); canRead {
		return nil
	}
	missing := slices.DeleteFunc(e.book.uids(id), l.has)
	if len(missing) == 0 {
		return nil
	}
	first, _ := e.book.owner(id, missing[0])
	return fmt.Errorf("%w: %d of %s, such as %s (uid %s)", errLacking, len(missing), id, first, missing[0])
}

// errLacking is of a listing that shows some of the agents that state knows.
var errLacking = fmt.Errorf("%w: it lacks agents that state knows", ErrSuspiciousList)

// trust reports whether a listing can be used to say that an agent is not there: it must show some agent
// that state knows, and every one that is owned and that an earlier listing showed; at a platform that
// cannot be asked for one agent every one that is owned. There a listing that lacks one may lack the one
// looked for as well, however often it comes out the same.
func (e *Engine) trust(ctx context.Context, id agent.AppID, l, seen *listing) error {
	if err := e.suspicious(ctx, id, l); err != nil {
		return err
	}
	missing := 0
	_, canRead := e.apps[id].Client.(platform.Reader)
	for _, uid := range e.book.uids(id) {
		if (!canRead || seen.has(uid) || e.book.madeHere(id, uid)) && !l.has(uid) {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d agents that state knows in %s are missing from it", ErrSuspiciousList, missing, id)
	}
	return nil
}

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
