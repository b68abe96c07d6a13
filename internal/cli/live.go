package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
)

// live lists every app that the targets leave something of, one list per app, all at once. A listing
// that failed is an error: it is never taken as "all gone".
func (w *workspace) live(ctx context.Context, apps map[agent.AppID]apply.App) (map[agent.AppID][]plan.Live, error) {
	var ids []agent.AppID
	for id := range apps {
		if w.touches(id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, agent.AppID.Compare)
	lists := make([][]plan.Live, len(ids))
	var g errgroup.Group // without a context: every app that cannot be listed is to be named
	errs := make([]error, len(ids))
	for i, id := range ids {
		g.Go(func() error {
			remotes, err := apps[id].Client.List(ctx)
			var doubtful *platform.DoubtfulList
			if errors.As(err, &doubtful) && w.showsAllKnown(id, doubtful.Agents) {
				remotes, err = doubtful.Agents, nil
			}
			if err != nil {
				errs[i] = fmt.Errorf("list the agents of %s: %w", id, err)
			}
			for _, r := range remotes {
				lists[i] = append(lists[i], plan.Live{UID: r.UID, Content: r.Content, Mark: r.Mark})
			}
			return nil
		})
	}
	_ = g.Wait() // each error is in errs, in the order of the apps
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	live := map[agent.AppID][]plan.Live{}
	for i, id := range ids {
		live[id] = lists[i]
	}
	return live, nil
}

// showsAllKnown reports whether a list shows every agent that state knows in the app: then nothing that
// the plan is about can be hidden from it.
func (w *workspace) showsAllKnown(id agent.AppID, list []platform.Remote) bool {
	shown := make(map[string]bool, len(list))
	for _, r := range list {
		shown[r.UID] = true
	}
	for a, rec := range w.snap.State.Agents {
		if a.ID() == id && !shown[rec.UID] {
			return false
		}
	}
	return true
}

// touches reports whether the targets may select an agent of the app.
func (w *workspace) touches(id agent.AppID) bool {
	if len(w.targets) == 0 {
		return true
	}
	selected := func(a agent.Address) bool {
		return a.ID() == id && slices.ContainsFunc(w.targets, func(g agent.Glob) bool { return g.Match(a) })
	}
	for a := range w.snap.State.Agents {
		if selected(a) {
			return true
		}
	}
	return slices.ContainsFunc(w.fleet.Agents, func(d agent.Desired) bool { return selected(d.Address) })
}
