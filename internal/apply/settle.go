package apply

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// pending is a request whose outcome nobody knows.
type pending struct {
	intent  uint64
	address agent.Address
	action  string
	// send names the fields of an update.
	send []string
	// sent is what the request asked for, secrets sealed or literal: they are not compared.
	sent agent.Fields
	// at is when the request was sent last, by this machine's clock.
	at time.Time
	// cause is why the outcome is unknown.
	cause error
}

// verdict is what was found out about a pending create.
type verdict struct {
	// found is the agent that the create made; its UID is empty where none was found.
	found platform.Remote
	// absent reports that the create was certainly not executed, as far as the grace period tells.
	absent bool
	// several are the uids between which nobody can decide.
	several []string
	// err says why nothing could be found out.
	err error
}

// settleCreates finds out what became of creates of one app. It lists, matches what no address owns
// against what was sent, waits out the grace period for those without a match, and lists again, until
// each is decided or the listings turn out not to be trusted. before is a listing from before the
// creates were sent, or nil: what it shows was not made by them.
func (e *Engine) settleCreates(ctx context.Context, id agent.AppID, all []*pending, before *listing) map[*pending]verdict {
	verdicts := make(map[*pending]verdict, len(all))
	open := slices.Clone(all)
	seen := before
	for round := 0; len(open) > 0; round++ {
		l, err := e.list(ctx, id)
		if err == nil {
			err = e.trust(id, l, seen)
		}
		if err == nil {
			open = e.match(id, l, open, before, verdicts)
			open = e.giveUpAbsent(open, round, verdicts)
			seen = l
		}
		if len(open) == 0 {
			break
		}
		wait, last := e.nextLook(open, round)
		if last || !e.waitToSettle(ctx, id, len(open), wait) {
			for _, p := range open {
				verdicts[p] = verdict{err: cmp.Or(err, ctx.Err(), p.cause)}
			}
			break
		}
	}
	return verdicts
}

// minLooks is how many listings must agree that an agent is not there.
const minLooks = 2

// maxLooks bounds the listings for one settling; those after the grace period come a second, then
// two, four, … apart.
const maxLooks = 8

// giveUpAbsent decides the creates whose grace period is over and that enough listings did not show.
func (e *Engine) giveUpAbsent(open []*pending, round int, verdicts map[*pending]verdict) []*pending {
	return slices.DeleteFunc(open, func(p *pending) bool {
		over := round+1 >= minLooks && time.Since(p.at) >= e.opts.SettleTimeout
		if over {
			verdicts[p] = verdict{absent: true}
		}
		return over
	})
}

// nextLook says how long to wait before the next listing: until the last grace period is over, then
// longer and longer; last reports that there is no use in another.
func (e *Engine) nextLook(open []*pending, round int) (wait time.Duration, last bool) {
	for _, p := range open {
		wait = max(wait, e.opts.SettleTimeout-time.Since(p.at))
	}
	if round+1 >= minLooks {
		wait = max(wait, time.Second<<min(round-1, 4))
	}
	return wait, round+1 >= maxLooks
}

func (e *Engine) waitToSettle(ctx context.Context, id agent.AppID, n int, d time.Duration) bool {
	if d > 0 {
		e.observe(Event{Kind: EventSettling, App: id, Message: fmt.Sprintf(
			"%d creates without an answer: looking again in %s", n, d.Round(100*time.Millisecond))})
	}
	return sleep(ctx, d)
}

// trust reports whether a listing can be used to say that an agent is not there: it must show every
// agent that an earlier listing showed and that is still owned, and some agent that state knows.
func (e *Engine) trust(id agent.AppID, l, seen *listing) error {
	if err := e.suspicious(id, l); err != nil {
		return err
	}
	missing := 0
	for _, uid := range e.book.uids(id) {
		if (seen.has(uid) || e.book.madeHere(uid)) && !l.has(uid) {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d agents of %s that were there before are missing from it", ErrSuspiciousList, missing, id)
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
	byName := map[string][]*pending{}
	var names []string
	for _, p := range open {
		name := identity(l.schema, p.sent)
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], p)
	}
	for _, name := range names {
		group := byName[name]
		free := slices.DeleteFunc(slices.Clone(l.byName[name]), func(r platform.Remote) bool {
			_, owned := e.book.owner(id, r.UID)
			return owned || taken[r.UID] || before.has(r.UID)
		})
		matchGroup(l, group, free, verdicts)
	}
	return slices.DeleteFunc(open, func(p *pending) bool { _, decided := verdicts[p]; return decided })
}

// matchGroup decides the creates of one identity against the free agents of that identity. A create
// that sent more is matched first: an agent that holds all of it was not made by one that sent less.
func matchGroup(l *listing, group []*pending, free []platform.Remote, verdicts map[*pending]verdict) {
	slices.SortStableFunc(group, func(a, b *pending) int { return cmp.Compare(len(b.sent), len(a.sent)) })
	sameContent := map[string][]*pending{}
	var order []string
	for _, p := range group {
		key := content(l.schema, p.sent)
		if sameContent[key] == nil {
			order = append(order, key)
		}
		sameContent[key] = append(sameContent[key], p)
	}
	for _, key := range order {
		same := sameContent[key]
		var fits []platform.Remote
		for _, r := range free {
			if !createdBefore(r, earliest(same)) && holdsSent(l.schema, same[0].sent, r.Fields) {
				fits = append(fits, r)
			}
		}
		if len(fits) > len(same) {
			for _, p := range same {
				verdicts[p] = verdict{several: uidsOf(fits)}
			}
		} else {
			for i, r := range fits {
				verdicts[same[i]] = verdict{found: r}
			}
		}
		free = slices.DeleteFunc(free, func(r platform.Remote) bool {
			return slices.ContainsFunc(fits, func(f platform.Remote) bool { return f.UID == r.UID })
		})
	}
	suspects(group, free, verdicts)
}

// suspects stops the creates without a match where a new agent of the same identity is left over: the
// platform may have changed what it was sent, and a second create would then be a duplicate.
func suspects(group []*pending, free []platform.Remote, verdicts map[*pending]verdict) {
	for _, p := range group {
		if _, decided := verdicts[p]; decided {
			continue
		}
		var young []platform.Remote
		for _, r := range free {
			if !createdBefore(r, p.at) {
				young = append(young, r)
			}
		}
		if len(young) > 0 {
			verdicts[p] = verdict{several: uidsOf(young)}
		}
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

// severalError says between which agents nobody can decide.
func severalError(v verdict) error {
	if len(v.several) == 1 {
		return fmt.Errorf("agent %s may be the one that was made, but its content is not what was sent", v.several[0])
	}
	return fmt.Errorf("agents %s may each be the one that was made", strings.Join(v.several, ", "))
}

// severalHint is what to do about it.
func severalHint(a agent.Address, v verdict) string {
	var b strings.Builder
	b.WriteString("say which one it is, and delete the others at the platform:\n")
	for _, uid := range v.several {
		fmt.Fprintf(&b, "  agentsync import %s %s\n", a, uid)
	}
	return strings.TrimRight(b.String(), "\n")
}

// pendingOf turns an open create intent of an earlier run into a pending create.
func pendingOf(i state.Intent) (*pending, error) {
	sent, err := i.Fields.Fields()
	if err != nil {
		return nil, err
	}
	at := i.At
	if now := time.Now(); at.After(now) { // the clock was set back since
		at = now
	}
	return &pending{intent: i.ID, address: i.Address, action: i.Action, sent: sent, at: at,
		cause: fmt.Errorf("the run that sent it ended before the answer came")}, nil
}
