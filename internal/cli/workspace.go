package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/checkout"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/schema"
)

// defaultPath is where manifests are looked for when no PATH is given.
const defaultPath = "manifests"

// workspace is what plan and apply work on: the manifests, the state, and a way to the platforms.
type workspace struct {
	app       *app
	flags     planFlags
	platforms map[string]platform.Platform
	paths     []string // where the manifests are
	fleet     *manifest.Fleet
	warnings  diag.List
	targets   []agent.Glob
	resend    []agent.Glob // agents whose secrets apply sends again
	file      *state.File
	snap      *state.Snapshot
	sandbox   *localSandbox
	saved     *plan.Saved // what apply --plan carries out, or nil
	// noStateKey is set where the state's hashes were made with a key that this run does not have.
	noStateKey bool
	unbound    bool // no saved plan is made, or held against one
	offline    offlinePlan
}

// offlinePlan is the last plan that was made offline, and of what.
type offlinePlan struct {
	plan    *plan.Plan
	snap    *state.Snapshot
	lineage string // which names a new state only after its snapshot was taken
}

// openWorkspace reads manifests and state and starts the sandbox where it is asked for. The caller
// must close it.
func (a *app) openWorkspace(ctx context.Context, flags planFlags, paths []string) (*workspace, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	targets, err := parseGlobs("--target", flags.targets)
	if err != nil {
		return nil, err
	}
	all, err := platforms()
	if err != nil {
		return nil, err
	}
	if flags.sandbox { // the state may be kept beside what the sandbox keeps
		if err := os.MkdirAll(filepath.Dir(sandboxFile), 0o700); err != nil {
			return nil, exit.Usagef("make the sandbox's folder: %w", err)
		}
	}
	file, err := a.openState(ctx, flags.state, flags.timeout)
	if err != nil {
		return nil, err
	}
	w := &workspace{app: a, flags: flags, platforms: all, paths: paths, targets: targets, file: file}
	var reading errgroup.Group // the state is read while the manifests are
	var snap *state.Snapshot
	reading.Go(func() (err error) {
		defer crash.Guard()
		snap, err = w.file.Load()
		return err
	})
	w.fleet, w.warnings, err = a.loadFleet(ctx, all, paths)
	stateErr := reading.Wait()
	switch {
	case err != nil:
		return nil, err // what is wrong with the manifests is told first
	case stateErr != nil:
		return nil, exit.OfState(stateErr)
	}
	if err := w.take(snap); err != nil {
		return nil, err
	}
	return w, w.checkTargets()
}

// loadFleet reads the manifests at paths. Problems are reported on stderr; with errors among them the
// command ends.
func (a *app) loadFleet(ctx context.Context, all map[string]platform.Platform, paths []string) (*manifest.Fleet, diag.List, error) {
	fleet, problems, err := a.readFleet(ctx, all, paths, manifest.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := a.Problems(problems); err != nil {
		return nil, problems, err
	}
	return fleet, problems, nil
}

// readFleet reads the manifests at paths and returns every problem in them.
func (a *app) readFleet(
	ctx context.Context, all map[string]platform.Platform, paths []string, o manifest.Options,
) (*manifest.Fleet, diag.List, error) {
	hint := ""
	if len(paths) == 0 {
		paths = []string{defaultPath}
		if _, err := os.Stat(defaultPath); err != nil {
			hint = "name the files or folders that hold the manifests, or begin with an example in the folder " + defaultPath + ":\n  agentsync init"
		}
	}
	var platforms []*schema.Platform
	for _, s := range schemas(all) {
		platforms = append(platforms, s)
	}
	limits, err := a.limits()
	if err != nil {
		return nil, nil, err
	}
	fleet, problems, err := manifest.Load(ctx, paths, manifest.Options{Env: a.Lookup, Platforms: platforms, Limits: limits, Locate: o.Locate})
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, &exit.Failure{Code: exit.Usage, Err: err, Hint: hint}
	}
	a.Source = fleet.Sources.Line
	return fleet, problems, nil
}

// checkTargets refuses a target that selects nothing: it is a slip of the pen, and an empty plan would
// hide it.
func (w *workspace) checkTargets() error {
	for _, t := range w.targets {
		found := slices.ContainsFunc(w.fleet.Agents, func(d agent.Desired) bool { return t.Match(d.Address) })
		for addr := range w.snap.State.Agents {
			found = found || t.Match(addr)
		}
		if !found {
			hint := "an address is platform/app/key, as the plan shows it"
			known := w.snap.State.Addresses()
			for _, d := range w.fleet.Agents {
				known = append(known, d.Address)
			}
			if near := nearestAddress(string(t), known); near != "" {
				hint = "did you mean " + near + "?"
			}
			return exit.Usagef("--target %s selects no agent of the manifests or the state", t).Hinted(hint)
		}
	}
	return nil
}

// load brings the workspace's state up to date with its file.
func (w *workspace) load() error {
	if w.snap != nil {
		fresh, err := w.file.Fresh(w.snap)
		if err != nil {
			return exit.OfState(err)
		}
		if fresh {
			return w.take(w.snap)
		}
	}
	snap, err := w.file.Load()
	if err != nil {
		return exit.OfState(err)
	}
	return w.take(snap)
}

// take makes snap the state that the workspace works on.
func (w *workspace) take(snap *state.Snapshot) error {
	w.snap = snap
	w.noStateKey = false
	if key, _ := w.app.Secret(secret.StateKeyEnv); key == "" {
		for _, r := range snap.State.Agents {
			w.noStateKey = w.noStateKey || secret.HasStateKey(r.Applied)
		}
	}
	if w.saved != nil {
		w.bind(w.saved)
	}
	return w.checkSandboxState()
}

func (w *workspace) close() {
	if w.sandbox != nil {
		_ = w.sandbox.close() // everything answered is on its file already
	}
}

// lock takes the state's lock, saying who waits for whom.
func (a *app) lock(ctx context.Context, file *state.File, command string, wait time.Duration) (func() error, error) {
	within := func(wait time.Duration) (func() error, error) {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		a.WaitForLock(wait > 0)
		return file.Lock(ctx, a.holder(command))
	}
	unlock, err := within(wait)
	locked, isLocked := errors.AsType[*state.LockedError](err)
	if isLocked && locked.Watch > wait && ctx.Err() == nil {
		// Its holder is most likely dead. A pipeline that waits for nobody would otherwise never get by.
		unlock, err = within(locked.Watch)
		_, isLocked = errors.AsType[*state.LockedError](err)
	}
	if err != nil && !isLocked {
		return nil, exit.OfState(err)
	}
	return unlock, err
}

// holder says who takes the lock, the CI job included.
func (a *app) holder(command string) state.Holder {
	h := state.Holder{PID: os.Getpid(), Command: command, Started: time.Now(), RunURL: checkout.Job(a.Getenv)}
	h.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		h.User = u.Username
	}
	return h
}

// desired returns what the manifests want of the agent at an address, or nil.
func (w *workspace) desired(addr agent.Address) *agent.Desired {
	i, ok := slices.BinarySearchFunc(w.fleet.Agents, addr, func(d agent.Desired, a agent.Address) int { return d.Address.Compare(a) })
	if !ok {
		return nil
	}
	return &w.fleet.Agents[i]
}

// requireSecrets fails where a secret is not set that a selected agent needs.
func (w *workspace) requireSecrets() error {
	if w.noStateKey {
		return exit.Usagef("the hashes of secrets in %s were made with %s, which is not set: nobody could tell which secrets changed", w.file.Name(), secret.StateKeyEnv).
			Hinted("set it to what the last apply had; where that is lost, to anything else: then every secret is sent once more")
	}
	return w.app.Problems(onePerVariable(w.selected(w.fleet.MissingSecrets(w.app.Secret))))
}

// onePerVariable keeps the first place of each missing variable and counts the others.
func onePerVariable(problems diag.List) diag.List {
	var kept diag.List
	at, more := map[string]int{}, map[int]int{}
	for _, p := range problems {
		i, again := at[p.Summary]
		if again {
			more[i]++
			continue
		}
		at[p.Summary] = len(kept)
		kept = append(kept, p)
	}
	for i, n := range more {
		kept[i].Summary += fmt.Sprintf(" (%s more)", ui.Count(n, "place"))
	}
	return kept
}

// secrets is what is known of the variables that secrets refer to: nothing, as in an offline plan that has none,
// where the state's hashes could not be compared.
func (w *workspace) secrets() secret.Lookup {
	if w.noStateKey {
		return nil
	}
	return w.app.Secret
}

// selected leaves out the problems of agents that --target does not select.
func (w *workspace) selected(problems diag.List) diag.List {
	if len(w.targets) == 0 {
		return problems
	}
	return slices.DeleteFunc(problems, func(p diag.Problem) bool {
		a, err := agent.ParseAddress(p.Address)
		return err == nil && !slices.ContainsFunc(w.targets, func(g agent.Glob) bool { return g.Match(a) })
	})
}

// requireSection fails where no manifest says how to reach the app.
func (w *workspace) requireSection(id agent.AppID) error {
	if _, ok := w.fleet.Apps[id]; ok {
		return nil
	}
	p, ok := w.platforms[id.Platform]
	if !ok {
		return exit.Usagef("no platform is called %q: there are %s", id.Platform, strings.Join(platformNames(w.platforms), ", "))
	}
	s := p.Schema()
	settings := fmt.Sprintf("%s: %q", s.AppField, id.App)
	for _, set := range s.Settings {
		if set.Default == "" {
			settings += ", " + set.Name + ": …"
		}
	}
	return exit.Usagef("no manifest has a section for %s, so nothing says how to reach it", id).
		Hinted(fmt.Sprintf("put a section into one of the manifests:\n  %s: {%s}", s.Name, settings))
}

// build makes the plan offline: apply asks for that plan before it takes the lock and again under it, and gets the same
// one as long as the state is the same.
func (w *workspace) build() (*plan.Plan, error) {
	lineage := w.snap.State.Lineage
	if w.offline.plan != nil && w.offline.snap == w.snap && w.offline.lineage == lineage {
		return w.offline.plan, nil
	}
	if _, err := w.places(); err != nil {
		return nil, err
	}
	p, err := w.makePlan(apply.Known{Prior: w.snap.State.Agents})
	if err == nil {
		w.offline = offlinePlan{p, w.snap, lineage}
	}
	return p, err
}

// makePlan makes a plan of what is known. What no schema can see and no platform would do is refused here, at its place.
func (w *workspace) makePlan(k apply.Known) (*plan.Plan, error) {
	p, err := plan.Build(w.input(k))
	if err != nil {
		return nil, err
	}
	p.Secrets = w.missingSecrets()
	return p, w.app.Problems(plan.CannotEmpty(p, w.fleet.Agents, w.schemaOf))
}

// input is what a plan depends on, of which k is known.
func (w *workspace) input(k apply.Known) plan.Input {
	apps, versions := make(map[agent.AppID]bool, len(w.fleet.Apps)), make(map[agent.AppID]string, len(w.fleet.Apps))
	for id, app := range w.fleet.Apps {
		apps[id], versions[id] = true, schema.APIOf(app)
	}
	places, _ := w.places() // whoever offers a plan has found them right: build, connect
	return plan.Input{
		Places: places, Origins: w.snap.State.Apps,
		Desired: w.fleet.Agents, Apps: apps, Prior: w.prior(k.Prior, k.Again), Live: k.Live, Gone: k.Gone, Open: k.Open, Claimed: k.Claimed,
		Sealer:    secret.Sealer{Key: []byte(cmp.Or(k.Lineage, w.snap.State.Lineage)), Lookup: w.secrets(), Blind: w.snap.State.Lineage == state.PublicLineage},
		Platforms: schemas(w.platforms), Versions: versions, Targets: w.targets, Prune: w.flags.prune, Unbound: w.unbound,
		Reviewed: k.Again, NoAdopt: w.flags.noAdopt, AllowDuplicates: w.flags.duplicateNames,
	}
}

// plan makes the plan, after reading what is live where --refresh asks for it.
func (w *workspace) plan(ctx context.Context) (*plan.Plan, error) {
	if !w.flags.refresh {
		return w.build()
	}
	if err := w.startSandbox(); err != nil {
		return nil, err
	}
	apps, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	live, gone, err := w.live(ctx, apps)
	if err != nil {
		return nil, err
	}
	return w.makePlan(w.known(live, gone))
}

// known is what is known of the agents once they were listed, requests without an answer among it.
func (w *workspace) known(live map[agent.AppID][]plan.Live, gone map[agent.AppID]map[string]bool) apply.Known {
	k := apply.Known{Prior: w.snap.State.Agents, Live: live, Gone: gone, Claimed: map[agent.AppID][]string{}, Open: map[agent.Address]bool{}}
	for _, i := range w.snap.Open {
		if _, known := k.Prior[i.Address]; i.Action == "create" || !known {
			k.Open[i.Address] = k.Open[i.Address] || i.Action == "create"
		}
		k.Claimed[i.Address.ID()] = append(k.Claimed[i.Address.ID()], i.UID)
	}
	return k
}

// live lists every app that the targets leave something of, one list per app, all at once, and returns as well which known
// agents the platforms say are gone. A list that failed is an error: it is never taken as "all gone".
func (w *workspace) live(ctx context.Context, apps map[agent.AppID]apply.App) (map[agent.AppID][]plan.Live, map[agent.AppID]map[string]bool, error) {
	var ids []agent.AppID
	for id := range apps {
		if w.touches(id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, agent.AppID.Compare)
	engine, err := w.engine(apps, apply.Options{Parallelism: w.flags.parallelism})
	if err != nil {
		return nil, nil, err
	}
	live, gone, err := engine.Lists(ctx, ids)
	return live, gone, err
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
