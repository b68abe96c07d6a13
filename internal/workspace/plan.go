package workspace

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/schema"
)

// offlinePlan is the last plan that was made offline, and of what.
type offlinePlan struct {
	plan    *plan.Plan
	snap    *state.Snapshot
	lineage string // which names a new state only after its snapshot was taken
}

// Plan makes the plan, after reading what is live where --refresh asks for it.
func (w *Workspace) Plan(ctx context.Context) (*plan.Plan, error) {
	if !w.Refresh {
		return w.OfflinePlan()
	}
	apps, err := w.Connect(ctx)
	if err != nil {
		return nil, err
	}
	k, err := w.Lists(ctx, apps)
	if err != nil {
		return nil, err
	}
	return w.makePlan(k)
}

// OfflinePlan makes the plan from manifests and state: apply asks for it before it takes the lock and again under it,
// and gets the same one as long as the state is the same.
func (w *Workspace) OfflinePlan() (*plan.Plan, error) {
	lineage := w.Snap.State.Lineage
	if w.offline.plan != nil && w.offline.snap == w.Snap && w.offline.lineage == lineage {
		return w.offline.plan, nil
	}
	if _, err := w.requestPlaces(); err != nil { // Input has no way to say so
		return nil, err
	}
	p, err := w.makePlan(apply.Known{Prior: w.Snap.State.Agents})
	if err == nil {
		w.offline = offlinePlan{p, w.Snap, lineage}
	}
	return p, err
}

// ForgetPlan lets go of the offline plan, which is as large as the fleet, once nobody asks for it any more.
func (w *Workspace) ForgetPlan() { w.offline = offlinePlan{} }

// makePlan makes a plan of what is known. What no schema can see and no platform would do is refused here, at its
// place.
func (w *Workspace) makePlan(k apply.Known) (*plan.Plan, error) {
	p, err := plan.Build(w.Input(k))
	if err != nil {
		return nil, err
	}
	var missing []string // told in the plan, and no error: it is often made where there are no secrets
	for _, use := range w.Fleet.SecretUses() {
		if _, set := w.Secret(use.Name); !set {
			missing = append(missing, use.Name)
		}
	}
	p.Secrets = plan.FindMissingSecrets(missing, w.Fleet.Agents, w.Snap.State.Agents, w.Snap.State.Lineage)
	return p, w.CheckPlan(p)
}

// CheckPlan refuses, at its place in the manifests, what no schema can see and no platform would do.
func (w *Workspace) CheckPlan(p *plan.Plan) error {
	return w.Problems(plan.CannotEmpty(p, w.Fleet.Agents, w.SchemaOf))
}

// Input is what a plan depends on, of which k is known.
func (w *Workspace) Input(k apply.Known) plan.Input {
	apps, versions := make(map[agent.AppID]bool, len(w.Fleet.Apps)), make(map[agent.AppID]string, len(w.Fleet.Apps))
	for id, app := range w.Fleet.Apps {
		apps[id], versions[id] = true, schema.APIOf(app)
	}
	prior := k.Prior
	if !k.Again { // once they were sent, the next round must see that they were
		prior = plan.ForgetSecretsOf(prior, w.resend)
	}
	places, _ := w.requestPlaces() // whoever offers a plan has found them right: OfflinePlan, Connect
	return plan.Input{
		Places: places, Origins: w.Snap.State.Apps,
		Desired: w.Fleet.Agents, Apps: apps, Prior: prior, Live: k.Live, Gone: k.Gone, Open: k.Open, Claimed: k.Claimed,
		Sealer: secret.Sealer{Key: []byte(cmp.Or(k.Lineage, w.Snap.State.Lineage)), Lookup: w.KnownSecrets(),
			Blind: w.Snap.State.Lineage == state.PublicLineage},
		Platforms: w.schemasByName(), Versions: versions, Targets: w.targets, Prune: w.Prune, Unbound: w.Unbound,
		Reviewed: k.Again, NoAdopt: w.NoAdopt, AllowDuplicates: w.DuplicateNames,
	}
}

// KnownSecrets is what is known of the variables that secrets refer to: nothing, as in an offline plan that has none,
// where the state's hashes could not be compared.
func (w *Workspace) KnownSecrets() secret.Lookup {
	if w.noStateKey {
		return nil
	}
	return w.Secret
}

// Lists lists every app that the targets leave something of, one list per app, all at once, and returns what is known
// then, requests without an answer among it. A list that failed is an error: it is never taken as "all gone".
func (w *Workspace) Lists(ctx context.Context, apps map[agent.AppID]apply.App) (apply.Known, error) {
	engine, err := w.Engine(apps, apply.Options{Parallelism: w.Parallelism})
	if err != nil {
		return apply.Known{}, err
	}
	return engine.Lists(ctx, slices.DeleteFunc(sortedApps(apps), func(id agent.AppID) bool {
		return !w.mayConcern(id)
	}))
}

// Engine returns an engine for what the state knows.
func (w *Workspace) Engine(apps map[agent.AppID]apply.App, o apply.Options) (*apply.Engine, error) {
	fleet, err := state.NewFleet(w.Snap.State, w.Snap.Open)
	if err != nil {
		return nil, exit.OfState(err)
	}
	return apply.New(apps, w.Fleet.Agents, fleet, o), nil
}

// Behind lists the apps and returns which records what is live would change, and the apps whose list is in doubt.
func (w *Workspace) Behind(
	ctx context.Context, apps map[agent.AppID]apply.App,
) (behind []plan.Refreshed, doubted []agent.AppID, err error) {
	k, err := w.Lists(ctx, apps)
	if err != nil {
		return nil, nil, err
	}
	return plan.Refresh(plan.Input{
		Prior: k.Prior, Live: k.Live, Gone: k.Gone, Platforms: w.schemasByName(), Targets: w.targets,
		Sealer: secret.Sealer{Key: []byte(w.Snap.State.Lineage), Lookup: w.Lookup},
	})
}

// NameLineage gives a state that does not exist yet the lineage under which its first plan is saved.
func (w *Workspace) NameLineage() {
	if w.Snap.State.Lineage == "" {
		w.Snap.State.Lineage = strings.ToLower(rand.Text())
	}
}

// Bind gives a state that does not exist yet the lineage of a saved plan.
func (w *Workspace) Bind(s *plan.Saved) {
	if !w.Snap.Exists && len(w.Snap.State.Agents) == 0 {
		w.Snap.State.Lineage = s.Lineage
	}
}

// Save writes a plan to path, so that 'apply --plan' does what was reviewed. build tells the program that made it.
func (w *Workspace) Save(path string, p *plan.Plan, build string) error {
	places, err := w.requestPlaces()
	if err != nil {
		return err
	}
	paths := w.Paths
	if len(paths) == 0 {
		paths = []string{DefaultPath}
	}
	var b bytes.Buffer
	err = plan.Save(&b, p, plan.Binding{
		Origins: plan.OriginsOf(places),
		Version: build, Lineage: w.Snap.State.Lineage, Serial: w.Snap.State.Serial,
		Paths: paths, Targets: w.Targets, Prune: w.Prune, Refresh: w.Refresh,
	})
	if err != nil {
		return err
	}
	// Not for all eyes: digests of what the manifests want, secrets' names included, are in it.
	return outfile.Write(path, 0o600, b.Bytes())
}

// ReadSaved reads a plan that the program which build tells saved.
func ReadSaved(path, build string) (*plan.Saved, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, exit.Usagef("read saved plan: %w", err)
	}
	defer f.Close()
	saved, err := plan.ReadSaved(f, build)
	if err != nil {
		return nil, exit.Usagef("%s: %w", path, err)
	}
	return saved, nil
}

// Moved returns what differs between where requests went when a plan was saved and where they go now, and says it in
// words.
func (w *Workspace) Moved(s *plan.Saved) (moved []plan.Origin, words []string, err error) {
	places, err := w.requestPlaces()
	if err != nil {
		return nil, nil, err
	}
	moved = s.Moved(places)
	for _, o := range moved {
		if o.Before.BaseURL != o.After.BaseURL {
			words = append(words, fmt.Sprintf("requests went to %s, and would go to %s", o.Before.BaseURL,
				o.After.BaseURL))
		} else {
			words = append(words, fmt.Sprintf("the API key was in %s, and would be taken from %s", o.Before.KeyEnv,
				o.After.KeyEnv))
		}
	}
	return moved, words, nil
}

// Hold returns what of the reviewed plan still holds, as of now. What is stale is an error, unless
// partial allows the rest, and is named with tell.
func (w *Workspace) Hold(s *plan.Saved, current *plan.Plan, partial, tell bool) (*plan.Plan, error) {
	// Where requests go comes first: of a plan that was made for another place nothing holds.
	moved, words, err := w.Moved(s)
	if err != nil {
		return nil, err
	}
	if moved != nil {
		lines := "the saved plan was made for another place; nothing was sent"
		for i, o := range moved {
			lines += "\n" + o.App.String() + ": " + words[i]
		}
		return nil, (&exit.Failure{Code: exit.Stale, Err: errors.New(lines)}).
			Hinted("make and review a plan where the endpoints and variables are those of the apply:\n  agentsync plan --out FILE")
	}
	holds, stale := s.Check(current, w.Snap.State.Lineage)
	reviewed := 0
	for _, st := range stale {
		what := "is stale: "
		if st.New {
			what = "is not in the reviewed plan, and left out: "
		} else {
			reviewed++
		}
		if tell {
			w.Warn(st.Address.String()+" "+what+st.Reason, "")
		}
	}
	if reviewed == 0 || partial {
		return holds, nil
	}
	hint := "make and review a new plan:\n  agentsync plan --out FILE"
	if len(holds.Changes) > 0 {
		hint += "\nor apply what still holds of this one:\n  agentsync apply --plan FILE --allow-partial"
	}
	return nil, exit.With(exit.Stale, "the saved plan is no longer true for %s; nothing was sent",
		diag.Plural(reviewed, "agent")).
		Hinted(hint)
}
