package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
)

// Prepared is a plan held against what is live: creates of agents that exist already became adopts,
// and creates that a namesake is in the way of are blocked.
type Prepared struct {
	Plan *plan.Plan
	// Failed holds, for each app that has creates and could not be listed, why. Nothing is created
	// in such an app.
	Failed map[agent.AppID]error
}

// Prepare lists each app that has creates, once, and turns the plan, which it takes over, into what will
// really be carried out. It sends nothing but reads. A list that fails stops the creates of its app alone;
// it is an error where every app of the plan refuses its API key, since then nothing can be done at all.
func (e *Engine) Prepare(ctx context.Context, p *plan.Plan) (*Prepared, error) {
	ready := &Prepared{Plan: p, Failed: map[agent.AppID]error{}}
	creates := map[agent.AppID][]*plan.Change{}
	var apps []agent.AppID
	for i := range p.Changes {
		ch := &p.Changes[i]
		id := ch.Address.ID()
		if ch.Vanished { // a list said so before, and the plan
			e.book.vanish(id, ch.UID)
		}
		if !makesAgent(ch) {
			continue
		}
		if creates[id] == nil {
			apps = append(apps, id)
		}
		creates[id] = append(creates[id], ch)
	}
	lists := make([]*listing, len(apps))
	errs := make([]error, len(apps))
	var g errgroup.Group
	for i, id := range apps {
		g.Go(func() error {
			defer crash.Guard()
			lists[i], errs[i] = e.listForCreates(ctx, id)
			return nil
		})
	}
	_ = g.Wait() // no goroutine returns an error: one app's failure is its own
	if err := allRefused(apps, errs, p.Changes); err != nil {
		return nil, err
	}
	for i, id := range apps {
		switch {
		case errs[i] != nil:
			ready.Failed[id] = errs[i]
			if lists[i] != nil && (lists[i].doubt != nil || errors.Is(errs[i], errLacking)) { // what it shows is there, and may be adopted
				e.amend(creates[id], lists[i])
			}
		default:
			e.listed[id] = lists[i]
			e.amend(creates[id], lists[i])
		}
	}
	p.Summary = summarise(p.Summary, p.Changes)
	return ready, nil
}

// allRefused is the first app's error where each app that has changes refused its API key.
func allRefused(listed []agent.AppID, errs []error, changes []plan.Change) error {
	for _, err := range errs {
		if !errors.Is(err, platform.ErrKeyRefused) {
			return nil
		}
	}
	for _, ch := range changes {
		if ch.Action != plan.Kept && !slices.Contains(listed, ch.Address.ID()) {
			return nil
		}
	}
	if len(listed) == 0 {
		return nil
	}
	return fmt.Errorf("list the agents of %s: %w", listed[0], errs[0])
}

// makesAgent reports whether carrying the change out sends a create.
func makesAgent(ch *plan.Change) bool {
	return ch.Blocked == "" && (ch.Action == plan.Create || ch.Action == plan.Replace)
}

// amend decides for each create of one app whether the agent exists already. Creates come in the
// order of their addresses; where several want the same content, each gets its own agent. Addresses that
// cannot be carried out yet come last, or not at all where they have an agent: they must not take one that
// another needs, who would then make a second.
func (e *Engine) amend(creates []*plan.Change, l *listing) {
	if len(l.all) == 0 {
		return
	}
	creates = keep(creates, func(ch *plan.Change) bool { return !e.holding[ch.Address] })
	creates, taken := e.adoptMarked(creates, l)
	slices.SortStableFunc(creates, func(a, b *plan.Change) int { return e.waits(a) - e.waits(b) })
	byName := map[string][]*plan.Change{}
	var names []string
	for _, ch := range creates {
		want, err := e.wanted(ch.Address)
		if err != nil {
			continue // the create fails for the same reason
		}
		name := identity(l.schema, agent.ContentOf(want))
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], ch)
	}
	for _, name := range names {
		free := slices.DeleteFunc(slices.Clone(l.byName()[name]), func(r platform.Remote) bool {
			_, owned := e.book.owner(byName[name][0].Address.ID(), r.UID)
			return owned || taken[r.UID]
		})
		e.amendNamesakes(byName[name], free, l)
	}
}

// waits is 1 for a change of an address that cannot be carried out yet, else 0.
func (e *Engine) waits(ch *plan.Change) int {
	if e.unsettled[ch.Address] {
		return 1
	}
	return 0
}

// amendNamesakes decides for the creates of one identity against the free agents of that identity.
func (e *Engine) amendNamesakes(creates []*plan.Change, free []platform.Remote, l *listing) {
	if len(free) == 0 {
		return
	}
	equal := map[string][]platform.Remote{} // by content
	if !e.opts.NoAdopt {
		for _, r := range free {
			if r.Mark == "" {
				key := content(l.schema, r.Content.Fields())
				equal[key] = append(equal[key], r)
			}
		}
	}
	keys := make([]string, len(creates))
	wanting := map[string]int{} // addresses still without an agent, by content
	for i, ch := range creates {
		if want, err := e.wanted(ch.Address); err == nil {
			keys[i] = content(l.schema, want)
		}
		wanting[keys[i]]++
	}
	taken := map[string]bool{}
	for i, ch := range creates {
		match := equal[keys[i]]
		if len(match) == 0 || len(match) > wanting[keys[i]] {
			continue // none, or more than there are addresses: nobody can say which is which
		}
		equal[keys[i]] = match[1:]
		wanting[keys[i]]--
		taken[match[0].UID] = true
		e.adopting[ch.Address] = match[0]
		if ch.Action == plan.Create {
			ch.Action, ch.UID = plan.Adopt, match[0].UID
		}
	}
	if e.opts.AllowDuplicateNames {
		return
	}
	var rest []string
	for _, r := range free {
		if !taken[r.UID] {
			rest = append(rest, r.UID)
		}
	}
	for _, ch := range creates {
		if _, adopted := e.adopting[ch.Address]; !adopted && len(rest) > 0 {
			ch.Blocked, ch.InTheWay = plan.BlockedByNamesake, rest
		}
	}
}

// summarise counts the changes again; what the plan did not list stays as it was.
func summarise(before plan.Summary, changes []plan.Change) plan.Summary {
	s := plan.Summary{Unchanged: before.Unchanged}
	for _, ch := range changes {
		s.Count(ch)
	}
	return s
}

// importHint is what to do about agents that are in the way of a create.
func importHint(ch plan.Change) string {
	var b strings.Builder
	b.WriteString("take the existing agent over, which updates it to the manifest at the next apply:\n")
	for _, uid := range ch.InTheWay {
		fmt.Fprintf(&b, "  agentsync import %s %s\n", ch.Address, uid)
	}
	b.WriteString("or create another one of the same name with --allow-duplicate-names")
	return b.String()
}
