package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/endpoint"
	"agentsync/internal/exit"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/state"
	"agentsync/internal/ui"
)

// Where keys go is part of the plan: whoever can change an endpoint, a host, a region or the variable that holds the key, in
// a pull request or in the environment of a job, can take a key or turn a fleet onto another server. So the plan shows what
// changes, and nothing is asked of a host that nobody has agreed to.

func addAllowEndpoint(cmd *cobra.Command, hosts *[]string) {
	cmd.Flags().StringArrayVar(hosts, "allow-endpoint", nil, "send requests and the API key to `HOST`, which the state does not know yet; repeatable")
}

// places returns where each app's requests and its key go now. It is nil with --sandbox, where nothing leaves this process.
func (w *workspace) places() (map[agent.AppID]plan.Place, error) {
	if w.flags.sandbox {
		return nil, nil
	}
	places := make(map[agent.AppID]plan.Place, len(w.fleet.Apps))
	for id, app := range w.fleet.Apps {
		place, err := w.app.place(app, w.platforms[id.Platform])
		if err != nil {
			return nil, exit.Usagef("%s: %w", id, err)
		}
		places[id] = place
	}
	return places, nil
}

// place returns where one app's requests go.
func (a *app) place(app agent.App, p platform.Platform) (plan.Place, error) {
	base, err := a.baseURL(app, p, nil)
	if err != nil {
		return plan.Place{}, err
	}
	place := plan.Place{Origin: agent.Origin{BaseURL: base.String(), KeyEnv: app.APIKeyEnv}}
	own, err := p.BaseURL(app) // without the setting that it needs there is no own address
	place.Foreign = (err != nil || own != place.BaseURL) && !endpoint.IsLoopback(base.Hostname())
	return place, nil
}

// allowHosts refuses to send anything to a host that the state does not know, unless a flag or the person at the terminal
// allows it. Before the state knows an app at all, the platform's own hosts and this machine need no yes; neither does this
// machine where the environment names it, for no pull request can.
func (w *workspace) allowHosts(ctx context.Context, ids ...agent.AppID) error {
	places, err := w.places()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, o := range w.snap.State.Apps {
		known[hostIn(o.BaseURL)] = true
	}
	for _, host := range w.flags.allowEndpoints {
		known[hostIn(host)] = true
	}
	var unknown []plan.Origin
	for _, id := range ids {
		place, ok := places[id]
		was, recorded := w.snap.State.Apps[id]
		host := hostIn(place.BaseURL)
		here := !place.Foreign && w.app.Getenv(endpointVariable(w.platforms[id.Platform])) != ""
		if !ok || known[host] || !recorded && !place.Foreign || here {
			continue
		}
		unknown = append(unknown, plan.Origin{App: id, Before: was, After: place.Origin, Foreign: place.Foreign})
	}
	if len(unknown) == 0 {
		return nil
	}
	return w.askForHosts(ctx, unknown)
}

// endpointVariable names the variable that replaces a platform's own address.
func endpointVariable(p platform.Platform) string { return ui.Variable(p.Name() + "-endpoint") }

// askForHosts asks the person at the terminal, if there is one.
func (w *workspace) askForHosts(ctx context.Context, unknown []plan.Origin) error {
	var hosts []string
	for _, o := range unknown {
		hosts = append(hosts, hostIn(o.After.BaseURL))
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	apps := ui.Count(len(unknown), "app")
	if len(unknown) == 1 {
		apps = unknown[0].App.String()
	}
	if w.app.CanAsk() {
		_ = report.OriginsText(w.app.Err, unknown, w.app.Style(w.app.Err)) // stderr is gone: no answer will come
		question := fmt.Sprintf("Send the requests and the API key of %s to %s", apps, strings.Join(hosts, ", "))
		return w.app.Ask(ctx, false, question)
	}
	hint := "if this is where they are to go, say so:\n  "
	for _, host := range hosts {
		hint += "--allow-endpoint " + host + " "
	}
	return exit.With(exit.Refused, "the API key of %s would go to %s, which the state does not know; nothing was sent", apps, strings.Join(hosts, ", ")).
		Hinted(strings.TrimSpace(hint))
}

// hostIn returns the host of a base URL, with its port where it names one, or the host itself where only that was given.
func hostIn(raw string) string {
	if _, rest, ok := strings.Cut(raw, "://"); ok {
		raw = rest
	}
	raw, _, _ = strings.Cut(raw, "/")
	if u, err := endpoint.Parse("https://"+raw, "app"); err == nil { // as the state has it
		return u.Host
	}
	return raw
}

// connect checks where requests go, and opens a client for each of the fleet's apps that the targets leave something of.
func (w *workspace) connect(ctx context.Context) (map[agent.AppID]apply.App, error) {
	if err := w.allowHosts(ctx, w.apps()...); err != nil {
		return nil, err
	}
	return w.app.connect(w.fleet, w.platforms, w.flags.connectFlags, w.sandbox)
}

// apps returns the fleet's apps that the targets leave something of, ordered.
func (w *workspace) apps() []agent.AppID {
	return slices.DeleteFunc(slices.SortedFunc(maps.Keys(w.fleet.Apps), agent.AppID.Compare),
		func(id agent.AppID) bool { return !w.touches(id) })
}

// located returns what the state is to record of where the requests of the apps go, as far as that is news.
func (w *workspace) located(ids ...agent.AppID) []state.Result {
	places, err := w.places()
	if err != nil {
		return nil // there was no way to connect either
	}
	var results []state.Result
	for _, id := range ids {
		if place, ok := places[id]; ok && w.snap.State.Apps[id] != place.Origin {
			results = append(results, state.Result{Kind: state.Located, App: id, Origin: place.Origin})
		}
	}
	return results
}

// movedError refuses a saved plan that was made where requests went elsewhere; nil where it was not.
func (w *workspace) movedError(s *plan.Saved) error {
	places, err := w.places()
	if err != nil {
		return err
	}
	var what []string
	for _, o := range s.Moved(places) {
		what = append(what, fmt.Sprintf("%s: %s", o.App, movedWords(o)))
	}
	if what == nil {
		return nil
	}
	return exit.With(exit.Stale, "%s", "the saved plan was made for another place; nothing was sent\n"+strings.Join(what, "\n")).
		Hinted("make and review a plan where the endpoints and variables are those of the apply:\n  agentsync plan --out FILE")
}

// movedWords say what differs between where requests went and where they go.
func movedWords(o plan.Origin) string {
	if o.Before.BaseURL != o.After.BaseURL {
		return fmt.Sprintf("requests went to %s, and would go to %s", o.Before.BaseURL, o.After.BaseURL)
	}
	return fmt.Sprintf("the API key was in %s, and would be taken from %s", o.Before.KeyEnv, o.After.KeyEnv)
}
