// Package workspace is what a command works on: the manifests at its paths, the state that it names, and the ways to
// the platforms, as flags and environment have them. It reads, checks that what was asked for can be meant (Open), says
// what is known (Input, Lists), connects (Connect), and records (Lock, Record). It refuses before anything is sent: a
// target that selects nothing, a secret that has no value, a host that nobody agreed to, an app in the place of another
// one, a name that an app does not have. What is to become of agents it leaves to plan, apply and export; what a
// command prints, to cli.
//
// Errors are failures of package exit, with the hint in them; problems of manifests and warnings are written as they
// are found.
package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/platform/cometchat"
	"agentsync/internal/platform/mindset"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/schema"
)

// DefaultPath is where manifests are looked for when no PATH is given.
const DefaultPath = "manifests"

// Options are what the flags of a command ask for.
type Options struct {
	// State is the path of the state file, or the URL of a shared place.
	State string
	// Targets are patterns of addresses; none select everything.
	Targets []string
	// Prune and Refresh are the flags of plan: deletes count, and what is live is read first.
	Prune, Refresh bool
	// NoReferences leaves out the look for what agents refer to. NoAdopt and DuplicateNames are apply's.
	NoReferences, NoAdopt, DuplicateNames bool
	// Sandbox takes the embedded sandbox for the platforms.
	Sandbox bool
	// Parallelism is how many requests of one app are in flight, Timeout how long one may last.
	Parallelism int
	Timeout     time.Duration
	// AllowEndpoints are hosts that requests may go to although the state does not know them, AllowApps apps
	// (platform/app) that may be new to a state which knows others.
	AllowEndpoints, AllowApps []string
}

// Workspace is the manifests, the state, and a way to the platforms. It is of one goroutine.
type Workspace struct {
	*ui.UI
	Options
	Platforms map[string]platform.Platform
	// Manifests is how manifests are read.
	Manifests manifest.Options
	// Paths are where the manifests are, none for DefaultPath.
	Paths    []string
	Fleet    *manifest.Fleet
	Warnings diag.List // of the manifests
	File     *state.File
	// Snap is the state as it was read last.
	Snap *state.Snapshot
	// Saved is the saved plan that is carried out, or nil. Unbound says that no plan is saved, or held against a saved
	// one.
	Saved   *plan.Saved
	Unbound bool

	targets, resend []agent.Glob
	// noStateKey is set where the state's hashes were made with a key that this run does not have.
	noStateKey bool
	sandbox    *Sandbox // that the platforms are taken from, nil until it is started
	// references are the ways to list what each connected app has.
	references map[agent.AppID]func(context.Context) ([]platform.Reference, error)
	offline    offlinePlan
}

// Open reads manifests and state. Of both, what is wrong with the manifests is told first. The caller must close the
// workspace.
func Open(ctx context.Context, u *ui.UI, o Options, paths []string) (*Workspace, error) {
	w, err := Bare(ctx, u, o)
	if err != nil {
		return nil, err
	}
	w.Paths = paths
	var reading errgroup.Group // the state is read while the manifests are
	var snap *state.Snapshot
	reading.Go(func() (err error) {
		defer crash.Guard()
		snap, err = w.File.Load(ctx)
		return err
	})
	err = w.LoadFleet(ctx)
	stateErr := reading.Wait()
	switch {
	case err != nil: // first what people write themselves
		return nil, err
	case stateErr != nil:
		return nil, exit.OfState(stateErr)
	}
	if err := w.useSnapshot(snap); err != nil {
		return nil, err
	}
	return w, w.checkTargets()
}

// Bare returns a workspace of no manifests, whose state is not read yet.
func Bare(ctx context.Context, u *ui.UI, o Options) (*Workspace, error) {
	targets, err := Globs("--target", o.Targets)
	if err != nil {
		return nil, err
	}
	all, err := Platforms()
	if err != nil {
		return nil, err
	}
	manifests, err := ManifestOptions(u)
	if err != nil {
		return nil, err
	}
	if o.Sandbox { // the state may be kept beside what the sandbox keeps
		if err := os.MkdirAll(filepath.Dir(SandboxFile), 0o700); err != nil {
			return nil, exit.Usagef("make the sandbox's folder: %w", err)
		}
	}
	file, err := OpenState(u, o.State, o.Timeout)
	if err != nil {
		return nil, err
	}
	return &Workspace{UI: u, Options: o, Platforms: all, Manifests: manifests, File: file, targets: targets,
		Fleet: &manifest.Fleet{Apps: map[agent.AppID]agent.App{}}}, nil
}

// Close ends the sandbox, if one was started.
func (w *Workspace) Close() {
	if w.sandbox != nil {
		_ = w.sandbox.Close() // everything answered is on its file already
	}
}

// LoadFleet reads the manifests at the workspace's paths. Problems are reported on stderr; errors among them end the
// command.
func (w *Workspace) LoadFleet(ctx context.Context) error {
	fleet, problems, err := ReadFleet(ctx, w.UI, w.Manifests, w.Paths)
	if err != nil {
		return err
	}
	w.Fleet, w.Warnings = fleet, problems
	return w.Problems(problems)
}

// ReadFleet reads the manifests at paths and returns every problem in them.
func ReadFleet(ctx context.Context, u *ui.UI, o manifest.Options, paths []string) (*manifest.Fleet, diag.List, error) {
	hint := ""
	if len(paths) == 0 {
		paths = []string{DefaultPath}
		if _, err := os.Stat(DefaultPath); err != nil {
			hint = "name the files or folders that hold the manifests, or begin with an example in the folder " +
				DefaultPath + ":\n  agentsync init"
		}
	}
	fleet, problems, err := manifest.Load(ctx, paths, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, exit.Usagef("%w", err).Hinted(hint)
	}
	u.Source = fleet.Sources.Line
	return fleet, problems, nil
}

// ManifestOptions returns how manifests are read in an environment. Their bounds are variables and no flags, since who
// needs them needs them for every command of a fleet.
func ManifestOptions(u *ui.UI) (o manifest.Options, err error) {
	all, err := Platforms()
	if err != nil {
		return o, err
	}
	for _, name := range Names(all) {
		o.Platforms = append(o.Platforms, all[name].Schema())
	}
	o.Env = u.Lookup
	var values, files, depth, text, content, memory int64
	for _, v := range []struct {
		name string
		to   *int64
	}{
		{"max-file-bytes", &o.Limits.FileBytes}, {"max-total-bytes", &o.Limits.TotalBytes},
		{"max-files", &files}, {"max-values", &values}, {"max-depth", &depth},
		{"max-text-bytes", &text}, {"max-content-bytes", &content}, {MaxMemory, &memory},
	} {
		set := u.Getenv(ui.Variable(v.name))
		if set == "" {
			continue
		}
		n, err := strconv.ParseInt(set, 10, 64)
		if err != nil || n < 1 {
			return o, exit.Usagef("%s is %q; it must be a whole number from 1 on", ui.Variable(v.name), set)
		}
		*v.to = n
	}
	l := &o.Limits
	l.Files, l.Values = int(min(files, math.MaxInt32)), int(min(values, math.MaxInt32))
	l.Depth = int(min(depth, maxDepth))
	l.TextBytes, l.ContentBytes = int(min(text, math.MaxInt32)), int(min(content, math.MaxInt32))
	return o, nil
}

// MaxMemory names the variable that bounds the memory of the process; main reads it first.
const MaxMemory = "max-memory-bytes"

// maxDepth is the deepest nesting that can be allowed: each level takes a part of the stack.
const maxDepth = 10_000

// Platforms returns every platform that agentsync drives, in a map that nobody changes. A new one is one line here. To
// read their schemas is most of what a start costs, and flags and help of several commands ask for them: they are read
// once.
var Platforms = sync.OnceValues(func() (map[string]platform.Platform, error) {
	all := map[string]platform.Platform{}
	for _, open := range []func() (platform.Platform, error){
		cometchat.New,
		mindset.New,
	} {
		p, err := open()
		if err != nil {
			return nil, fmt.Errorf("open a platform: %w", err)
		}
		all[p.Name()] = p
	}
	return all, nil
})

// Names returns the platforms' names, sorted.
func Names(all map[string]platform.Platform) []string { return slices.Sorted(maps.Keys(all)) }

// NoPlatform is the error for a name that no platform has.
func NoPlatform(name string, all map[string]platform.Platform) error {
	return exit.Usagef("no platform is called %q: there are %s", name, strings.Join(Names(all), ", "))
}

// schemasByName returns the platforms' traits by name.
func (w *Workspace) schemasByName() map[string]*schema.Platform {
	m := make(map[string]*schema.Platform, len(w.Platforms))
	for name, p := range w.Platforms {
		m[name] = p.Schema()
	}
	return m
}

// SchemaOf is the schema of an app's agents, by the version of the API that its section asks for.
func (w *Workspace) SchemaOf(id agent.AppID) *schema.Platform {
	return w.Platforms[id.Platform].Schema().Version(schema.APIOf(w.Fleet.Apps[id]))
}

// Parser reads manifests from memory as LoadFleet reads them from files.
func (w *Workspace) Parser() (*manifest.Parser, error) { return manifest.NewParser(w.Manifests) }

// Load brings the workspace's state up to date with its file.
func (w *Workspace) Load(ctx context.Context) error {
	if w.Snap != nil {
		fresh, err := w.File.Fresh(ctx, w.Snap)
		if err != nil {
			return exit.OfState(err)
		}
		if fresh {
			return w.useSnapshot(w.Snap)
		}
	}
	snap, err := w.File.Load(ctx)
	if err != nil {
		return exit.OfState(err)
	}
	return w.useSnapshot(snap)
}

// useSnapshot makes snap the state that the workspace works on.
func (w *Workspace) useSnapshot(snap *state.Snapshot) error {
	w.Snap = snap
	w.noStateKey = false // asked anew: another run may have sealed them with another key
	if _, set := w.Secret(secret.StateKeyEnv); !set {
		for _, r := range snap.State.Agents {
			w.noStateKey = w.noStateKey || secret.HasStateKey(r.Applied)
		}
	}
	// Before the sandbox's check, which names a state that has no lineage yet.
	if w.Saved != nil {
		w.Bind(w.Saved)
	}
	return w.checkSandboxState()
}

// Address reads an address that was typed.
func Address(text string) (agent.Address, error) {
	addr, err := agent.ParseAddress(text)
	if err != nil {
		return addr, exit.Usagef("%w", err)
	}
	return addr, nil
}

// Globs reads patterns of addresses. what names them where one cannot be read.
func Globs(what string, patterns []string) ([]agent.Glob, error) {
	globs := make([]agent.Glob, len(patterns))
	for i, p := range patterns {
		g, err := agent.ParseGlob(p)
		if err != nil {
			return nil, exit.Usagef("%s: %w", what, err)
		}
		globs[i] = g
	}
	return globs, nil
}

// Match reports whether a pattern selects a; no patterns select everything.
func Match(globs []agent.Glob, a agent.Address) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(g agent.Glob) bool { return g.Match(a) })
}

// Selects reports whether the targets select a.
func (w *Workspace) Selects(a agent.Address) bool { return Match(w.targets, a) }

// checkTargets refuses a target that selects nothing: it is a slip of the pen, and an empty plan would
// hide it.
func (w *Workspace) checkTargets() error {
	for _, t := range w.targets {
		found := slices.ContainsFunc(w.Fleet.Agents, func(d agent.Desired) bool { return t.Match(d.Address) })
		for addr := range w.Snap.State.Agents {
			found = found || t.Match(addr)
		}
		if !found {
			known := w.Snap.State.Addresses()
			for _, d := range w.Fleet.Agents {
				known = append(known, d.Address)
			}
			return exit.Usagef("--target %s selects no agent of the manifests or the state", t).
				Hinted(meantAddress(string(t), known, "an address is platform/app/key, as the plan shows it"))
		}
	}
	return nil
}

// Resend has the secrets of the agents that patterns select sent again. It refuses a pattern that selects no agent with
// secrets: a slip of the pen would send nothing.
func (w *Workspace) Resend(patterns []string) (err error) {
	if w.resend, err = Globs("--resend", patterns); err != nil {
		return err
	}
	for _, g := range w.resend {
		var known []agent.Address
		for _, d := range w.Fleet.Agents {
			if _, managed := w.Snap.State.Agents[d.Address]; managed && d.Fields.HasSecrets() {
				known = append(known, d.Address)
			}
		}
		if !slices.ContainsFunc(known, g.Match) {
			return exit.Usagef("--resend %s selects no agent in the state that has secrets", g).
				Hinted(meantAddress(string(g), known, "see where secrets are used:\n  agentsync secrets"))
		}
	}
	return nil
}

// UnknownPattern is the error for a pattern that selects nothing in where.
func UnknownPattern(where, pattern string, known []agent.Address) error {
	return exit.Usagef("%s has no agent %s", where, pattern).
		Hinted(meantAddress(pattern, known, "see which there are:\n  agentsync state list"))
}

// meantAddress is a hint with the address that was probably meant by pattern, or another hint where none is near.
func meantAddress(pattern string, known []agent.Address, otherwise string) (hint string) {
	var addresses, keys []string
	for _, addr := range known {
		addresses, keys = append(addresses, addr.String()), append(keys, addr.Key)
	}
	slices.Sort(addresses) // manifests and state may know the same one
	slices.Sort(keys)      // the same key in several apps is one
	near := diag.Nearest(pattern, slices.Compact(addresses))
	if key := diag.Nearest(pattern[strings.LastIndex(pattern, "/")+1:], slices.Compact(keys)); near == "" && key != "" {
		near = known[slices.IndexFunc(known, func(a agent.Address) bool { return a.Key == key })].String()
	}
	if near != "" {
		hint = "did you mean " + near + "?"
	}
	return cmp.Or(hint, otherwise)
}

// Desired returns what the manifests want of the agent at an address, or nil.
func (w *Workspace) Desired(addr agent.Address) *agent.Desired {
	byAddress := func(d agent.Desired, a agent.Address) int { return d.Address.Compare(a) }
	i, ok := slices.BinarySearchFunc(w.Fleet.Agents, addr, byAddress)
	if !ok {
		return nil
	}
	return &w.Fleet.Agents[i]
}

// RequireSecrets fails where a secret is not set that a selected agent needs.
func (w *Workspace) RequireSecrets() error {
	if w.noStateKey {
		return exit.Usagef("the hashes of secrets in %s were made with %s, which is not set: nobody could tell which "+
			"secrets changed",
			w.File.Name(), secret.StateKeyEnv).
			Hinted("set it to what the last apply had; where that is lost, to anything else: then every secret is sent once more")
	}
	missing := slices.DeleteFunc(w.Fleet.MissingSecrets(w.Secret), func(p diag.Problem) bool {
		a, err := agent.ParseAddress(p.Address)
		return err == nil && !w.Selects(a)
	})
	// The first place of each missing variable is told, and the others are counted.
	var kept diag.List
	at, more := map[string]int{}, map[int]int{}
	for _, p := range missing {
		if i, again := at[p.Summary]; again {
			more[i]++
			continue
		}
		at[p.Summary] = len(kept)
		kept = append(kept, p)
	}
	for i, n := range more {
		kept[i].Summary += fmt.Sprintf(" (%s more)", diag.Plural(n, "place"))
	}
	return w.Problems(kept)
}

// RequireSection fails where no manifest says how to reach the app.
func (w *Workspace) RequireSection(id agent.AppID) error {
	if _, ok := w.Fleet.Apps[id]; ok {
		return nil
	}
	p, ok := w.Platforms[id.Platform]
	if !ok {
		return NoPlatform(id.Platform, w.Platforms)
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

// CheckReferences refuses a plan that sends names which its apps do not have: one list of each app, and only where an
// agent that is to be created or changed refers to something. Every unknown name is told at once, at its place. A list
// that cannot be had, or not be believed, stops nothing: the platform itself looks at the names when they are sent.
func (w *Workspace) CheckReferences(ctx context.Context, p *plan.Plan) error {
	if w.NoReferences {
		return nil
	}
	byApp := map[agent.AppID][]plan.Reference{}
	for _, r := range plan.References(p, w.Fleet.Agents, w.SchemaOf) {
		byApp[r.Address.ID()] = append(byApp[r.Address.ID()], r)
	}
	var unknown []plan.UnknownReference
	for _, id := range sortedApps(byApp) {
		found, err := w.unknownReferences(ctx, id, byApp[id])
		if ctx.Err() != nil { // an interrupt is no list that was refused
			return ctx.Err()
		}
		if err != nil {
			w.Notef("%s: what agents refer to was not checked: %v", id, err)
		}
		unknown = append(unknown, found...)
	}
	if len(unknown) == 0 {
		return nil
	}
	// Only now are the manifests read once more, to say where each name stands: hardly any run needs the places.
	o := w.Manifests
	o.Locate = map[agent.Address][]string{}
	for _, u := range unknown {
		o.Locate[u.Address] = append(o.Locate[u.Address], u.Pointer)
	}
	fleet, _, err := ReadFleet(ctx, w.UI, o, w.Paths)
	if err != nil {
		return err
	}
	var problems diag.List
	for _, u := range unknown {
		at := fleet.Places[u.Address][u.Pointer]
		sentence := fmt.Sprintf("%s has no %s `%s`%s", u.Address.ID(), u.Kind, u.Name, diag.DidYouMean(u.Name, u.Known))
		if u.Other != "" {
			sentence = fmt.Sprintf("`%s` is no %s of %s; it belongs under `%s`", u.Name, u.Kind, u.Address.ID(),
				u.Other)
		}
		// One line of the defaults stands for every agent that takes it.
		if !slices.ContainsFunc(problems, func(p diag.Problem) bool { return p.Pos == at && p.Summary == sentence }) {
			problems = append(problems, diag.Problem{Severity: diag.Error, Pos: at, Summary: sentence,
				Address: u.Address.String()})
		}
	}
	problems.Sort()
	err = w.Problems(problems)
	if f, ok := errors.AsType[*exit.Failure](err); ok {
		f.Err = errors.New("agents refer to what their apps do not have; nothing was sent")
		f.Hint = "correct the names; or, where they are made in this very minute, leave the check out:\n  agentsync apply " +
			"--no-check-references"
	}
	return err
}

// unknownReferences lists what one app has and holds references against it. The error says why something was not
// checked.
func (w *Workspace) unknownReferences(
	ctx context.Context, id agent.AppID, refs []plan.Reference,
) ([]plan.UnknownReference, error) {
	have, err := w.References(ctx, id)
	if err != nil {
		return nil, err
	}
	known := map[string][]string{}
	for _, r := range have {
		known[r.Kind] = append(known[r.Kind], r.Name)
	}
	var prior []agent.Record
	for addr, rec := range w.Snap.State.Agents {
		if addr.ID() == id {
			prior = append(prior, rec)
		}
	}
	unknown, doubt := plan.CheckReferences(refs, known, w.SchemaOf(id), prior)
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
