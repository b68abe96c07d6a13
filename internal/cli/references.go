package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/schema"
)

// checkReferences refuses a plan that sends names which its apps do not have: one list of each app, and only where an agent
// that is to be created or changed refers to something. Every unknown name is told at once, at its place. A list that
// cannot be had, or not be believed, stops nothing: the platform itself looks at the names when they are sent.
func (w *workspace) checkReferences(ctx context.Context, p *plan.Plan) error {
	if w.flags.noReferences {
		return nil
	}
	byApp := map[agent.AppID][]plan.Reference{}
	for _, r := range plan.References(p, w.fleet.Agents, w.schemaOf) {
		byApp[r.Address.ID()] = append(byApp[r.Address.ID()], r)
	}
	var unknown []plan.UnknownReference
	for _, id := range sortedApps(byApp) {
		found, err := w.unknownIn(ctx, id, byApp[id])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.note("%s: what agents refer to was not checked: %v", id, err)
		}
		unknown = append(unknown, found...)
	}
	if len(unknown) == 0 {
		return nil
	}
	problems, err := w.locate(ctx, unknown)
	if err != nil {
		return err
	}
	if err := w.app.Problems(problems); err != nil {
		if f, ok := errors.AsType[*exit.Failure](err); ok {
			f.Err = errors.New("agents refer to what their apps do not have; nothing was sent")
			f.Hint = "correct the names; or, where they are made in this very minute, leave the check out:\n  agentsync apply --no-check-references"
		}
		return err
	}
	return nil
}

// unknownIn lists what one app has and holds its references against it. The error says why something was not checked.
func (w *workspace) unknownIn(ctx context.Context, id agent.AppID, refs []plan.Reference) ([]plan.UnknownReference, error) {
	list := w.app.references[id]
	if list == nil {
		return nil, errors.New("the app is not connected")
	}
	have, err := list(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string][]string{}
	for _, r := range have {
		known[r.Kind] = append(known[r.Kind], r.Name)
	}
	var prior []agent.Record
	for addr, rec := range w.snap.State.Agents {
		if addr.ID() == id {
			prior = append(prior, rec)
		}
	}
	unknown, doubt := plan.CheckReferences(refs, known, w.schemaOf(id), prior)
	var why []string
	for _, r := range refs {
		if d := doubt[r.Kind]; d != "" && !slices.Contains(why, r.Kind+"s: "+d) {
			why = append(why, r.Kind+"s: "+d)
		}
	}
	if slices.Sort(why); why != nil {
		err = errors.New(strings.Join(why, "; "))
	}
	return unknown, err
}

// locate reads the manifests once more, to say where each name stands.
func (w *workspace) locate(ctx context.Context, unknown []plan.UnknownReference) (diag.List, error) {
	wanted := map[agent.Address][]string{}
	for _, u := range unknown {
		wanted[u.Address] = append(wanted[u.Address], u.Pointer)
	}
	fleet, _, err := w.app.readFleet(ctx, w.platforms, w.paths, manifest.Options{Locate: wanted})
	if err != nil {
		return nil, err
	}
	var problems diag.List
	for _, u := range unknown {
		at := fleet.Places[u.Address][u.Pointer]
		sentence := fmt.Sprintf("%s has no %s `%s`%s", u.Address.ID(), u.Kind, u.Name, diag.DidYouMean(u.Name, u.Known))
		if u.Other != "" {
			sentence = fmt.Sprintf("`%s` is no %s of %s; it belongs under `%s`", u.Name, u.Kind, u.Address.ID(), u.Other)
		}
		// One line of the defaults stands for every agent that takes it.
		if !slices.ContainsFunc(problems, func(p diag.Problem) bool { return p.Pos == at && p.Summary == sentence }) {
			problems = append(problems, diag.Problem{Severity: diag.Error, Pos: at, Summary: sentence, Address: u.Address.String()})
		}
	}
	problems.Sort()
	return problems, nil
}

// schemaOf is the schema of an app's agents, by the version of the API that its section asks for.
func (w *workspace) schemaOf(id agent.AppID) *schema.Platform {
	return w.platforms[id.Platform].Schema().Version(schema.APIOf(w.fleet.Apps[id]))
}

// note writes a line to stderr where -v asks for it.
func (w *workspace) note(format string, args ...any) {
	if w.app.Verbose {
		fmt.Fprintln(w.app.Err, report.Sanitize(fmt.Sprintf(format, args...)))
	}
}

func sortedApps[T any](m map[agent.AppID]T) []agent.AppID {
	ids := make([]agent.AppID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, agent.AppID.Compare)
	return ids
}

// references are the ways to list what each app has, by app.
type references map[agent.AppID]func(context.Context) ([]platform.Reference, error)
