package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/diag"
	"agentsync/internal/endpoint"
	"agentsync/internal/exit"
	"agentsync/internal/httpx"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/schema"
)

// Where keys go is part of the plan: whoever can change an endpoint, a host, a region or the variable that holds the
// key, in a pull request or in the environment of a job, can take a key or turn a fleet onto another server. So the
// plan shows what changes, and nothing is asked of a host that nobody has agreed to.

// Apps returns the fleet's apps that the targets leave something of, ordered.
func (w *Workspace) Apps() []agent.AppID {
	return slices.DeleteFunc(sortedApps(w.Fleet.Apps), func(id agent.AppID) bool { return !w.mayConcern(id) })
}

// mayConcern reports whether the targets may select an agent of the app.
func (w *Workspace) mayConcern(id agent.AppID) bool {
	if len(w.targets) == 0 {
		return true
	}
	for a := range w.Snap.State.Agents {
		if a.ID() == id && w.Selects(a) {
			return true
		}
	}
	return slices.ContainsFunc(w.Fleet.Agents,
		func(d agent.Desired) bool { return d.Address.ID() == id && w.Selects(d.Address) })
}

// Connect checks where requests go, and opens a client for each of the apps, or for all that the targets leave
// something of. It starts the sandbox where that is asked for. Nothing is sent. Every app that cannot be reached for
// want of a key or an address is named at once.
func (w *Workspace) Connect(ctx context.Context, ids ...agent.AppID) (map[agent.AppID]apply.App, error) {
	opened := ids
	if ids == nil {
		ids, opened = w.Apps(), sortedApps(w.Fleet.Apps)
	}
	if err := w.StartSandbox(); err != nil {
		return nil, err
	}
	// Before a client is opened, so that no key is in the hands of one whose host nobody agreed to.
	if err := w.AllowHosts(ctx, ids...); err != nil {
		return nil, err
	}
	if err := httpx.CheckProxy(w.Getenv); err != nil && w.sandbox == nil {
		return nil, exit.Usagef("%w", err).Hinted("set it right, or unset it")
	}
	apps := make(map[agent.AppID]apply.App, len(opened))
	w.references = map[agent.AppID]func(context.Context) ([]platform.Reference, error){}
	var problems []string
	hint, hide := "", w.runSecrets()
	for _, id := range opened {
		app, p, pace := w.Fleet.Apps[id], w.Platforms[id.Platform], httpx.NewPace()
		base, hc, err := w.clientOf(app, pace, hide)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", id, err))
			if errors.Is(err, errNoKey) {
				hint = "API keys are read from the environment only; to try it without any:\n  agentsync apply --sandbox"
			}
			continue
		}
		w.references[id] = func(ctx context.Context) ([]platform.Reference, error) {
			return p.References(ctx, app, base, hc)
		}
		apps[id] = apply.App{
			Client: p.Client(app, base, hc), Schema: w.SchemaOf(id), Where: base.String(),
			Rate: func() float64 { return pace.State().Rate },
		}
	}
	if problems != nil {
		return nil, exit.Usagef("%s", strings.Join(problems, "\n")).Hinted(hint)
	}
	return apps, nil
}

// References lists what a connected app has that agents refer to.
func (w *Workspace) References(ctx context.Context, id agent.AppID) ([]platform.Reference, error) {
	list := w.references[id]
	if list == nil {
		return nil, errors.New("the app is not connected")
	}
	return list(ctx)
}

// Client returns where one app is, and what its requests are sent by, each at once: for a command that looks at the
// requests themselves. Whether its host may be asked, AllowHosts has said.
func (w *Workspace) Client(id agent.AppID) (*url.URL, *http.Client, error) {
	base, hc, err := w.clientOf(w.Fleet.Apps[id], nil, w.runSecrets())
	if err != nil && base != nil { // what is wrong with an address says of what it is
		err = fmt.Errorf("%s: %w", id, err)
	}
	return base, hc, err
}

// errNoKey ends the sentence about a variable that is not set.
var errNoKey = errors.New("which holds the API key, is not set")

// clientOf returns where an app's API is, and what its requests are sent by, with its API key. The URL is returned also
// where there is no key.
func (w *Workspace) clientOf(app agent.App, pace *httpx.Pace, hide *secret.Finder) (*url.URL, *http.Client, error) {
	p := w.Platforms[app.ID.Platform]
	base, err := w.baseURL(app)
	if w.sandbox != nil {
		base, err = w.sandbox.BaseURL(app.ID)
	}
	if err != nil {
		return nil, nil, err
	}
	key, _ := w.Secret(app.APIKeyEnv)
	switch {
	case w.sandbox != nil:
		key = "sandbox"
	case key == "":
		return base, nil, fmt.Errorf("the environment variable %s, %w", app.APIKeyEnv, errNoKey)
	}
	o := httpx.Options{
		Base: base, KeyHeader: p.APIKeyHeader(), Key: secret.Literal(key),
		UserAgent: "agentsync/" + w.Version, Timeout: w.Timeout, Concurrency: w.Parallelism,
		Pace: pace, Proxy: http.ProxyFromEnvironment, Retry: httpx.DefaultRetry(),
		Secrets: hide,
		Waiting: func(wait httpx.Wait) { w.TellWait(app.ID, wait) },
	}
	if w.Verbose {
		o.Trace = func(line string) { w.Notef("%s", line) }
	}
	hc, err := httpx.NewClient(o)
	if err != nil {
		return base, nil, fmt.Errorf("%s: %w", app.APIKeyEnv, err)
	}
	return base, hc, nil
}

// runSecrets returns what finds the secrets of this run in what platforms answer: API keys, and the values of the
// variables that the fleet refers to. A value that a manifest also writes in clear, such as "production", is none:
// what everybody can read there need not be sealed, and agents that hold it must stay comparable.
func (w *Workspace) runSecrets() *secret.Finder {
	values := map[string]bool{}
	for _, app := range w.Fleet.Apps {
		key, _ := w.Secret(app.APIKeyEnv) // as it is sent
		values[key] = true
	}
	for _, d := range w.Fleet.Agents {
		for leaf := range agent.Leaves(map[string]any(d.Fields)) {
			if text, ok := leaf.(secret.Text); ok {
				for _, name := range text.Names() {
					v, _ := w.Secret(name) // one that is not set is not sent
					values[v] = true
				}
			}
		}
	}
	all := slices.Sorted(maps.Keys(values))
	found := secret.Whole(all...)
	inClear := map[string]bool{}
	for _, d := range w.Fleet.Agents {
		for leaf := range agent.Leaves(map[string]any(d.Fields)) {
			if text, ok := leaf.(string); ok && found.In(text) {
				inClear[text] = true
			}
		}
	}
	// Behind both walks: a value that any manifest writes in the clear counts for no agent.
	for text := range inClear {
		all = slices.DeleteFunc(all, func(v string) bool { return secret.Whole(v).In(text) })
	}
	return secret.Whole(all...)
}

// baseURL returns where the app's API is: the endpoint variable of the platform,
// else the section's endpoint, else what the platform documents.
func (w *Workspace) baseURL(app agent.App) (*url.URL, error) {
	variable := endpointVariable(app.ID.Platform)
	source, raw := variable, w.Getenv(variable)
	if raw == "" {
		source, raw = app.Source.String(), app.Endpoint
	}
	if raw == "" {
		documented, err := w.Platforms[app.ID.Platform].BaseURL(app)
		if err != nil {
			return nil, err
		}
		return url.Parse(documented)
	}
	u, err := endpoint.Parse(raw, app.ID.App)
	if err != nil {
		return nil, fmt.Errorf("%s: the endpoint %w", source, err)
	}
	return u, nil
}

// endpointVariable names the variable that replaces a platform's own address.
func endpointVariable(platform string) string { return ui.Variable(platform + "-endpoint") }

// requestPlaces returns where each app's requests and its key go now. It is nil with --sandbox, where nothing leaves
// this process.
func (w *Workspace) requestPlaces() (map[agent.AppID]plan.Place, error) {
	if w.Sandbox {
		return nil, nil
	}
	places := make(map[agent.AppID]plan.Place, len(w.Fleet.Apps))
	for id, app := range w.Fleet.Apps {
		base, err := w.baseURL(app)
		if err != nil {
			return nil, exit.Usagef("%s: %w", id, err)
		}
		place := plan.Place{Origin: agent.Origin{BaseURL: base.String(), KeyEnv: app.APIKeyEnv}}
		own, err := w.Platforms[id.Platform].BaseURL(app) // without the setting that it needs there is no own address
		place.Foreign = (err != nil || own != place.BaseURL) && !endpoint.IsLoopback(base.Hostname())
		places[id] = place
	}
	return places, nil
}

// AllowHosts refuses to send anything to a host that the state does not know, unless a flag or the person at the
// terminal allows it. Before the state knows an app at all, the platform's own hosts and this machine need no yes;
// neither does this machine where the environment names it, for no pull request can.
func (w *Workspace) AllowHosts(ctx context.Context, ids ...agent.AppID) error {
	places, err := w.requestPlaces()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, o := range w.Snap.State.Apps {
		known[hostIn(o.BaseURL)] = true
	}
	for _, host := range w.AllowEndpoints {
		known[hostIn(host)] = true
	}
	var unknown []plan.Origin
	var hosts []string
	for _, id := range ids {
		place, ok := places[id]
		was, recorded := w.Snap.State.Apps[id]
		host := hostIn(place.BaseURL)
		isHere := !place.Foreign && w.Getenv(endpointVariable(id.Platform)) != ""
		if !ok || known[host] || !recorded && !place.Foreign || isHere {
			continue
		}
		unknown = append(unknown, plan.Origin{App: id, Before: was, After: place.Origin, Foreign: place.Foreign})
		hosts = append(hosts, host)
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts) // each host once: a fleet of tenants has hundreds of apps at one
	apps := diag.Plural(len(unknown), "app")
	if len(unknown) == 1 {
		apps = unknown[0].App.String()
	}
	if w.CanAsk() {
		_ = report.OriginsText(w.Err, unknown, w.Style(w.Err)) // it never fails; see ui.New
		return w.Ask(ctx, false, fmt.Sprintf("Send the requests and the API key of %s to %s", apps,
			strings.Join(hosts, ", ")))
	}
	return exit.With(exit.Refused, "the API key of %s would go to %s, which the state does not know; nothing was sent",
		apps, strings.Join(hosts, ", ")).
		Hinted("if this is where they are to go, say so:\n  --allow-endpoint " +
			strings.Join(hosts, " --allow-endpoint "))
}

// hostIn returns the host of a base URL, with its port where it names one, or the host itself where only that was
// given.
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

// Located returns what the state is to record of where the requests of the apps go, as far as that is news.
func (w *Workspace) Located(ids ...agent.AppID) []state.Result {
	places, err := w.requestPlaces()
	if err != nil {
		return nil // there was no way to connect either
	}
	var results []state.Result
	for _, id := range ids {
		if place, ok := places[id]; ok && w.Snap.State.Apps[id] != place.Origin {
			results = append(results, state.Result{Kind: state.Located, App: id, Origin: place.Origin})
		}
	}
	return results
}

// What an apply is about to change is an app, at a host, with a state. Where several environments share their
// manifests, a variable says which: so all three are named before anything happens, and one that does not fit the
// others is refused.

// shownApps is how many apps are named; a fleet of tenants can have hundreds.
const shownApps = 3

// Target names the apps, their hosts and the state: "mindset/acme at a.api.mindset.ai; state state/prod.json".
func (w *Workspace) Target() string {
	places, _ := w.requestPlaces() // with --sandbox there are none, and what is wrong with them was told
	ids := w.Apps()
	var apps []string
	for i, id := range ids {
		if i == shownApps {
			apps = append(apps, "and "+diag.Plural(len(ids)-shownApps, "more app"))
			break
		}
		host := "the sandbox"
		if place, ok := places[id]; ok {
			host = place.BaseURL
			if u, err := url.Parse(host); err == nil {
				host = u.Host
				if endpoint.IsLoopback(u.Hostname()) {
					host = "this machine" // its port says nothing to a reader
				}
			}
		}
		apps = append(apps, id.String()+" at "+host)
	}
	words := "state " + w.File.Name()
	if IsShared(w.State) {
		words += fmt.Sprintf(", serial %d", w.Snap.State.Serial)
	}
	if len(apps) > 0 {
		words = strings.Join(apps, ", ") + "; " + words
	}
	return show.Line(words)
}

// SecondApp refuses an app that is about to take the place of another one in the state: the usual reason is a variable,
// or a state, of another environment, and then everything would be made a second time. It is nil where no app does.
//
// That is an app which the state does not know, where the state knows agents of the same platform in an app that no
// manifest names, and where either its id comes from a variable, or the whole fleet is named and not one of its apps is
// known.
func (w *Workspace) SecondApp() *exit.Failure {
	if w.Sandbox { // trying out is not an environment
		return nil
	}
	agents := map[agent.AppID]int{}
	for a := range w.Snap.State.Agents {
		agents[a.ID()]++
	}
	known := func(id agent.AppID) bool {
		_, located := w.Snap.State.Apps[id]
		return located || agents[id] > 0
	}
	ids := sortedApps(w.Fleet.Apps)
	for _, id := range ids {
		left := leftApp(agents, w.Fleet.Apps, id.Platform)
		if left == (agent.AppID{}) || known(id) || slices.Contains(w.AllowApps, id.String()) {
			continue
		}
		app := w.Fleet.Apps[id]
		allNew := len(w.Paths) == 0 && !slices.ContainsFunc(ids, func(other agent.AppID) bool {
			return other.Platform == id.Platform && known(other)
		})
		if !app.FromVariable && !allNew {
			continue
		}
		return exit.With(exit.Refused, "%s, at %s, would take the place of %s, of which %s has %s; nothing was sent",
			id, app.Source, left, w.File.Name(), diag.Plural(agents[left], "agent")).
			Hinted("see whether the variable of its id and the state are of one environment; each has a state of its own:\n" +
				"  --state state/ENVIRONMENT.json\nif this state is to keep both:\n  --allow-app " + id.String())
	}
	return nil
}

// leftApp returns the app of the platform with most agents in the state that no manifest names, the zero AppID for
// none.
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

// sortedApps returns the apps of a map in order.
func sortedApps[T any](m map[agent.AppID]T) []agent.AppID {
	return slices.SortedFunc(maps.Keys(m), agent.AppID.Compare)
}

// WithAPI returns the app managed by another version of its platform's API.
func WithAPI(app agent.App, api string) agent.App {
	app.Settings = maps.Clone(app.Settings)
	if app.Settings == nil {
		app.Settings = map[string]string{}
	}
	app.Settings[schema.APISetting] = api
	return app
}
