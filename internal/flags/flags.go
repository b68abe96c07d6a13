// Package flags declares the flags that several commands share, each once, and says where a flag's value comes from:
// the command line, else the variable AGENTSYNC_…, else agentsync.yaml, else its default. It promises that a value
// which does not fit is an error that names its place, wherever it stands, and that completion never is one.
package flags

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/httpx"
	"agentsync/internal/manifest"
	"agentsync/internal/report/show"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
	"agentsync/schema"
)

// Choice is a flag with a fixed set of values.
type Choice struct {
	Value   string
	Allowed []string
}

// String returns the value.
func (c *Choice) String() string { return c.Value }

// Type names the kind of value in help texts.
func (c *Choice) Type() string { return strings.Join(c.Allowed, "|") }

// Set takes one of the allowed values.
func (c *Choice) Set(v string) error {
	if !slices.Contains(c.Allowed, v) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.Allowed, ", "))
	}
	c.Value = v
	return nil
}

// ChoiceVar declares a flag.
func ChoiceVar(cmd *cobra.Command, c *Choice, name, usage string) {
	cmd.Flags().Var(c, name, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(c.Allowed, cobra.ShellCompDirectiveNoFileComp))
}

// The formats of results.
const (
	Text     = "text"
	JSON     = "json"
	Markdown = "markdown"
	GitHub   = "github"
	HTML     = "html"
	Dotenv   = "dotenv"
)

// Format adds --format with a choice of formats, the first of which is the default.
func Format(cmd *cobra.Command, formats ...string) *Choice {
	c := &Choice{Value: formats[0], Allowed: formats}
	ChoiceVar(cmd, c, "format", "output `FORMAT`: "+strings.Join(formats, ", "))
	return c
}

// State adds --state.
func State(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "state", "state.json",
		"the state `FILE`, or the URL of a bucket or a database: see 'state init'")
	_ = cmd.MarkFlagFilename("state", "json")
}

// LockTimeout adds --lock-timeout. Where somebody writes 0, wait becomes workspace.NoWait.
func LockTimeout(cmd *cobra.Command, wait *time.Duration) {
	cmd.Flags().Var((*lockTimeout)(wait), "lock-timeout", "how long to wait for another run's lock")
}

type lockTimeout time.Duration

func (l *lockTimeout) Set(text string) error {
	wait, err := time.ParseDuration(text)
	if wait == 0 {
		wait = workspace.NoWait
	}
	*l = lockTimeout(wait)
	return err
}

func (l *lockTimeout) String() string {
	if *l == 0 || time.Duration(*l) == workspace.NoWait {
		return "0" // what cobra takes for no default
	}
	return time.Duration(*l).String()
}

func (*lockTimeout) Type() string { return "duration" }

// AutoApprove adds --auto-approve, -y.
func AutoApprove(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "auto-approve", "y", false, "do not ask")
}

// PlatformVar adds --platform for one platform; usage says what for.
func PlatformVar(cmd *cobra.Command, name *string, usage string) {
	cmd.Flags().StringVar(name, "platform", "", usage+KnownPlatforms())
	_ = cmd.RegisterFlagCompletionFunc("platform", CompletePlatforms)
}

// KnownPlatforms lists the names of the platforms, for help: "cometchat or mindset".
func KnownPlatforms() string {
	all, err := workspace.Platforms()
	if err != nil {
		return "" // whatever is run says why
	}
	return strings.Join(workspace.Names(all), " or ")
}

// Work is what a command that works on manifests and state is asked for.
type Work struct {
	workspace.Options
	// RefreshOnly asks for what is live to be recorded, and for nothing else.
	RefreshOnly bool

	set *pflag.FlagSet
}

// Plan adds the flags that decide what a plan holds; plan and apply share them.
func (w *Work) Plan(cmd *cobra.Command, u *ui.UI) {
	w.Offline(cmd)
	w.Target(cmd, u)
	set := cmd.Flags()
	set.BoolVar(&w.Prune, "prune", false, "delete agents that are in no manifest any more; replace agents with a "+
		"changed field that cannot be updated")
	set.BoolVar(&w.Refresh, "refresh", false, "read what is live first, so that changes made elsewhere (drift) show")
	set.BoolVar(&w.RefreshOnly, "refresh-only", false,
		"bring what is live into the state and change nothing at the platforms")
	set.BoolVar(&w.NoReferences, "no-check-references", false,
		"do not check that tools, actions and contexts exist before anything is sent")
	set.StringArrayVar(&w.AllowApps, "allow-app", nil,
		"keep `APP` (platform/app) in this state too, although it is new and another one's place is free; repeatable")
	set.IntVar(&w.Parallelism, "parallelism", 10, "requests in flight per app, 1 to 1000")
	w.requests(cmd)
}

// Reading adds the flags of commands that read from the platforms and write state.
func (w *Work) Reading(cmd *cobra.Command) {
	w.Offline(cmd)
	w.requests(cmd)
}

// Offline adds the flags of commands that look at manifests and state alone.
func (w *Work) Offline(cmd *cobra.Command) {
	w.set, w.Parallelism, w.Timeout = cmd.Flags(), 1, httpx.DefaultTimeout
	State(cmd, &w.State)
}

// Target adds --target.
func (w *Work) Target(cmd *cobra.Command, u *ui.UI) {
	cmd.Flags().StringArrayVar(&w.Targets, "target", nil,
		"only agents that match `GLOB`: an address, a platform, an app or a key, with * for any text; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("target", CompleteAddresses(u, &w.State, 0))
}

// requests adds the flags that say where requests go and how long they may last.
func (w *Work) requests(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringArrayVar(&w.AllowEndpoints, "allow-endpoint", nil,
		"send requests and the API key to `HOST`, which the state does not know yet; repeatable")
	set.BoolVar(&w.Sandbox, "sandbox", false,
		"use the embedded sandbox, kept in "+workspace.SandboxFile+", instead of the platforms")
	set.DurationVar(&w.Timeout, "timeout", httpx.DefaultTimeout, "time limit of one request")
}

// Open opens the workspace that the flags ask for, after refusing values that no flag can refuse by itself.
func (w *Work) Open(ctx context.Context, u *ui.UI, paths []string) (*workspace.Workspace, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	return workspace.Open(ctx, u, w.Options, paths)
}

// OpenBare opens a workspace without manifests, whose state is not read yet.
func (w *Work) OpenBare(ctx context.Context, u *ui.UI) (*workspace.Workspace, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	return workspace.Bare(ctx, u, w.Options)
}

func (w *Work) check() error {
	if w.Parallelism < 1 || w.Parallelism > 1000 {
		return exit.Usagef("--parallelism is %d; it must be from 1 to 1000", w.Parallelism)
	}
	if w.Timeout <= 0 {
		return exit.Usagef("--timeout is %s; it must be more than 0", w.Timeout)
	}
	if w.Sandbox && !w.set.Lookup("state").Changed {
		w.State = workspace.SandboxState // the repository's state is not that of the sandbox
	}
	return nil
}

// CheckOutput refuses a file, named by a flag, that a result would be put in the place of: the state with every uid in
// it, what lies beside the state, and a manifest of paths. An empty name is no file.
func (w *Work) CheckOutput(flag, file string, paths []string) error {
	if err := w.check(); err != nil || file == "" {
		return err
	}
	for _, beside := range []string{"", ".journal", ".lock"} {
		if isSameName(file, w.State+beside) {
			return exit.Usagef("%s: %s belongs to the state; nothing was written", flag, file).
				Hinted("name another file")
		}
	}
	if len(paths) == 0 {
		paths = []string{workspace.DefaultPath}
	}
	if _, err := os.Stat(file); err == nil && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(file)) &&
		slices.ContainsFunc(paths, func(path string) bool { return isBelow(file, path) }) {
		return exit.Usagef("%s: %s is a manifest; nothing was written", flag, file).Hinted("name another file")
	}
	return nil
}

// isSameName reports whether two paths name the same file, be it there or not.
func isSameName(a, b string) bool {
	inA, errA := os.Stat(filepath.Dir(a))
	inB, errB := os.Stat(filepath.Dir(b))
	return filepath.Base(a) == filepath.Base(b) && errA == nil && errB == nil && os.SameFile(inA, inB)
}

// isBelow reports whether file is folder itself or lies somewhere below it.
func isBelow(file, folder string) bool {
	file, errFile := filepath.Abs(file)
	folder, errFolder := filepath.Abs(folder)
	rest, err := filepath.Rel(folder, file)
	return errors.Join(errFile, errFolder, err) == nil && filepath.IsLocal(rest)
}

// CompleteManifests completes PATH arguments: folders, and files that may be manifests.
func CompleteManifests(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// CompletePlatforms completes the name of a platform.
func CompletePlatforms(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, _ := workspace.Platforms() // a shell is no place for errors
	return workspace.Names(all), cobra.ShellCompDirectiveNoFileComp
}

// completionPatience is how long a shell waits for a shared state.
const completionPatience = 2 * time.Second

// CompleteAddresses completes a flag, the first n arguments, or all where n is 0, with the addresses that the state
// called name and the manifests know, each with its uid where state has one. What cannot be read completes nothing.
func CompleteAddresses(u *ui.UI, name *string, n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n > 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveDefault
		}
		_, _ = Resolve(u, cmd, nil) // completion runs before any command does
		known := map[agent.Address]string{}
		if o, err := workspace.ManifestOptions(u); err == nil {
			if fleet, _, err := manifest.Load(cmd.Context(), []string{workspace.DefaultPath}, o); err == nil {
				for _, d := range fleet.Agents {
					known[d.Address] = "in " + d.Source.File
				}
			}
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		if _, snap, err := workspace.LoadState(ctx, u, *name); err == nil {
			for addr, rec := range snap.State.Agents {
				known[addr] = "uid " + show.Line(rec.UID)
			}
		}
		var found []cobra.Completion
		for addr, what := range known {
			if strings.HasPrefix(addr.String(), word) {
				found = append(found, cobra.CompletionWithDesc(addr.String(), what))
			}
		}
		slices.Sort(found)
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// App describes an app as a section of a manifest would: one flag for each setting of a platform.
type App struct {
	Platform, ID        string
	Endpoint, APIKeyEnv string
	Settings            map[string]*string // by the name that they have in a section
}

// Add adds the flags but for --platform and --app, whose texts differ.
func (f *App) Add(cmd *cobra.Command) {
	set := cmd.Flags()
	f.Settings = map[string]*string{}
	all, _ := workspace.Platforms() // whatever is wrong with them is told by what the command does with them
	for _, name := range workspace.Names(all) {
		for _, s := range all[name].Schema().Settings {
			if f.Settings[s.Name] == nil {
				usage := "the app's " + s.Name + ", if no manifest says it"
				if s.Name == schema.APISetting {
					usage = "the `VERSION` of the platform's API, for example v2, if no manifest says it"
				}
				f.Settings[s.Name] = set.String(s.Name, "", usage)
			}
		}
	}
	set.StringVar(&f.Endpoint, "endpoint", "", "the app's base URL, if it is not the platform's own")
	set.StringVar(&f.APIKeyEnv, "api-key-env", "",
		"the variable that holds the app's API key, if it is not the usual one")
}

// API is the version of the platform's API that the flags ask for, "" where they ask for none.
func (f *App) API() string {
	var none string
	return *cmp.Or(f.Settings[schema.APISetting], &none)
}
