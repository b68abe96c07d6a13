package cli

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/endpoint"
	"agentsync/internal/exit"
	"agentsync/internal/report"
	"agentsync/internal/ui"
)

// What an apply is about to change is an app, at a host, with a state. Where several environments share their manifests, a
// variable says which: so all three are named before anything happens, and one that does not fit the others is refused.

// shownApps is how many apps are named; a fleet of tenants can have hundreds.
const shownApps = 3

// target names the apps, their hosts and the state: "mindset/acme at a.api.mindset.ai; state state/prod.json".
func (w *workspace) target() string {
	places, _ := w.places() // with --sandbox there are none, and what is wrong with them was told
	ids := w.apps()
	var apps []string
	for i, id := range ids {
		if i == shownApps {
			apps = append(apps, "and "+ui.Count(len(ids)-shownApps, "more app"))
			break
		}
		host := "the sandbox"
		if place, ok := places[id]; ok {
			host = hostWords(place.BaseURL)
		}
		apps = append(apps, id.String()+" at "+host)
	}
	state := "state " + w.file.Name()
	if isShared(w.flags.state) {
		state += fmt.Sprintf(", serial %d", w.snap.State.Serial)
	}
	if len(apps) == 0 {
		return report.Sanitize(state)
	}
	return report.Sanitize(strings.Join(apps, ", ") + "; " + state)
}

// hostWords names the host of a base URL. This machine's is not told by its port, which says nothing to a reader.
func hostWords(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	if endpoint.IsLoopback(u.Hostname()) {
		return "this machine"
	}
	return u.Host
}

// nameTarget says what is about to be changed, as the first line of an apply: a wrong app or state is a wrong fleet.
func (a *app) nameTarget(w *workspace, doing string) {
	if !a.Quiet {
		fmt.Fprintln(a.Err, doing+" "+w.target())
	}
}

func addAllowApp(cmd *cobra.Command, apps *[]string) {
	cmd.Flags().StringArrayVar(apps, "allow-app", nil, "keep `APP` (platform/app) in this state too, although it is new and another one's place is free; repeatable")
}

// secondApp refuses an app that is about to take the place of another one in the state: the usual reason is a variable, or a
// state, of another environment, and then everything would be made a second time. It is nil where no app does.
//
// That is an app which the state does not know, where the state knows agents of the same platform in an app that no manifest
// names, and where either its id comes from a variable, or the whole fleet is named and not one of its apps is known.
func (w *workspace) secondApp() *exit.Failure {
	if w.flags.sandbox { // trying out is not an environment
		return nil
	}
	agents := map[agent.AppID]int{}
	for a := range w.snap.State.Agents {
		agents[a.ID()]++
	}
	known := func(id agent.AppID) bool {
		_, located := w.snap.State.Apps[id]
		return located || agents[id] > 0
	}
	ids := slices.SortedFunc(maps.Keys(w.fleet.Apps), agent.AppID.Compare)
	for _, id := range ids {
		left := leftApp(agents, w.fleet.Apps, id.Platform)
		if left == (agent.AppID{}) || known(id) || slices.Contains(w.flags.allowApps, id.String()) {
			continue
		}
		app := w.fleet.Apps[id]
		allNew := len(w.paths) == 0 && !slices.ContainsFunc(ids, func(other agent.AppID) bool {
			return other.Platform == id.Platform && known(other)
		})
		if !app.FromVariable && !allNew {
			continue
		}
		return exit.With(exit.Refused, "%s, at %s, would take the place of %s, of which %s has %s; nothing was sent",
			id, app.Source, left, w.file.Name(), ui.Count(agents[left], "agent")).
			Hinted("see whether the variable of its id and the state are of one environment; each has a state of its own:\n" +
				"  --state state/ENVIRONMENT.json\nif this state is to keep both:\n  --allow-app " + id.String())
	}
	return nil
}

// leftApp returns the app of the platform with most agents in the state that no manifest names, the zero AppID for none.
func leftApp(agents map[agent.AppID]int, named map[agent.AppID]agent.App, platform string) (left agent.AppID) {
	for id, n := range agents {
		if _, ok := named[id]; ok || id.Platform != platform {
			continue
		}
		if cmp.Or(cmp.Compare(n, agents[left]), left.Compare(id)) > 0 {
			left = id
		}
	}
	return left
}

// warnSecondApp says in a plan what apply would refuse.
func (a *app) warnSecondApp(w *workspace) {
	if f := w.secondApp(); f != nil {
		a.Warn("apply would refuse this: "+strings.TrimSuffix(f.Err.Error(), "; nothing was sent"), f.Hint)
	}
}
