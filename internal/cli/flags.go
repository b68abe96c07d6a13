package cli

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/ui"
)

// flagsFromEnv sets the flags that the command line left alone from the environment. A value that
// does not fit is a usage error that names the variable. What neither sets is read from agentsync.yaml.
func (a *app) flagsFromEnv(cmd *cobra.Command) error {
	var bad error
	a.typed = map[string]bool{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		a.typed[f.Name] = f.Changed
		value := a.Getenv(ui.Variable(f.Name))
		if f.Changed || value == "" || slices.Contains(notFromEnv, f.Name) || bad != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			bad = &exit.Failure{Code: exit.Usage, Err: badValue(ui.Variable(f.Name), value, f, err)}
		}
	})
	if bad != nil {
		return bad
	}
	return a.flagsFromConfig(cmd)
}

// notFromEnv are flags that no variable sets: CI systems use AGENTSYNC_VERSION for the version to install, and --out is
// a file for one command and a folder for another.
var notFromEnv = []string{"help", "version", "out"}

// onlySaved refuses flags of the command line that a saved plan brings itself. A variable that sets one is meant for
// other runs.
func (a *app) onlySaved(what string, names ...string) error {
	for _, name := range names {
		if a.typed[name] {
			return exit.Usagef("%s takes everything from the saved plan: no --%s beside it", what, name)
		}
	}
	return nil
}

// flagError turns what the flag parser says of a value into the sentence that every other refusal has.
func flagError(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return badValue("--"+e.GetFlag().Name, e.GetValue(), e.GetFlag(), err)
	}
	return err
}

// badValue says what a flag's value, given by name, should have been.
func badValue(name, value string, f *pflag.Flag, err error) error {
	var rule string
	switch f.Value.Type() {
	case "int":
		rule = "it must be a whole number"
	case "duration":
		rule = "it must be a time with its unit, for example 30s or 5m"
	case "bool":
		rule = "it must be true or false"
	default:
		cause := err
		if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			cause = e.Unwrap()
		}
		rule = cause.Error()
	}
	return fmt.Errorf("%s is %q; %s", name, value, rule)
}

// choice is a flag with a fixed set of values.
type choice struct {
	value   string
	allowed []string
}

// String returns the value.
func (c *choice) String() string { return c.value }

// Type names the kind of value in help texts.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// Set takes one of the allowed values.
func (c *choice) Set(v string) error {
	if !slices.Contains(c.allowed, v) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = v
	return nil
}

const (
	formatText     = "text"
	formatJSON     = "json"
	formatMarkdown = "markdown"
	formatGitHub   = "github"
	formatHTML     = "html"
)

// addFormat adds --format with text as the default.
func addFormat(cmd *cobra.Command, extra ...string) *choice {
	c := &choice{value: formatText, allowed: append([]string{formatText, formatJSON, formatMarkdown}, extra...)}
	cmd.Flags().Var(c, "format", "output `FORMAT`: "+strings.Join(c.allowed, ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(c.allowed, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// addFormatOf adds --format with a choice of formats, the first of which is the default.
func addFormatOf(cmd *cobra.Command, formats ...string) *choice {
	c := &choice{value: formats[0], allowed: formats}
	cmd.Flags().Var(c, "format", "output `FORMAT`: "+strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// planFlags are the flags that decide what a plan holds; plan and apply share them.
type planFlags struct {
	state string
	// stateFlag says whether the state was named.
	stateFlag *pflag.Flag
	targets   []string
	prune     bool
	refresh   bool
	// refreshOnly asks for what is live to be recorded, and for nothing else.
	refreshOnly bool
	// noReferences leaves out the look for what agents refer to.
	noReferences bool
	// noAdopt and duplicateNames are apply's.
	noAdopt, duplicateNames bool
	connectFlags
}

// connectFlags steer how requests are sent.
type connectFlags struct {
	sandbox     bool
	parallelism int
	timeout     time.Duration
	// allowEndpoints are hosts that requests may go to although the state does not know them.
	allowEndpoints []string
	// allowApps are apps that may be new to a state that knows others.
	allowApps []string
}

func (f *planFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.stateFlag = addState(cmd, &f.state)
	addTarget(cmd, &f.targets)
	flags.BoolVar(&f.prune, "prune", false, "delete agents that are in no manifest any more; replace agents with a changed field that cannot be updated")
	flags.BoolVar(&f.refresh, "refresh", false, "read what is live first, so that changes made elsewhere (drift) show")
	flags.BoolVar(&f.refreshOnly, "refresh-only", false, "bring what is live into the state and change nothing at the platforms")
	flags.BoolVar(&f.noReferences, "no-check-references", false, "do not check that tools, actions and contexts exist before anything is sent")
	flags.BoolVar(&f.sandbox, "sandbox", false, "use the embedded sandbox, kept in "+sandboxFile+", instead of the platforms")
	addAllowEndpoint(cmd, &f.allowEndpoints)
	addAllowApp(cmd, &f.allowApps)
	flags.IntVar(&f.parallelism, "parallelism", 10, "requests in flight per app, 1 to 1000")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "time limit of one request")
}

// addOffline adds the flags of commands that look at manifests and state alone.
func (f *planFlags) addOffline(cmd *cobra.Command) {
	f.parallelism, f.timeout = 1, defaultTimeout
	f.stateFlag = addState(cmd, &f.state)
}

// addReading adds the flags of commands that read from the platforms and write state.
func (f *planFlags) addReading(cmd *cobra.Command) {
	f.parallelism = 1
	addAllowEndpoint(cmd, &f.allowEndpoints)
	f.stateFlag = addState(cmd, &f.state)
	cmd.Flags().BoolVar(&f.sandbox, "sandbox", false, "use the embedded sandbox, kept in "+sandboxFile+", instead of the platforms")
	cmd.Flags().DurationVar(&f.timeout, "timeout", defaultTimeout, "time limit of one request")
}

func (f *planFlags) check() error {
	if f.parallelism < 1 || f.parallelism > 1000 {
		return exit.Usagef("--parallelism is %d; it must be from 1 to 1000", f.parallelism)
	}
	if f.timeout <= 0 {
		return exit.Usagef("--timeout is %s; it must be more than 0", f.timeout)
	}
	if f.sandbox && f.stateFlag != nil && !f.stateFlag.Changed {
		f.state = sandboxStateFile // beside what the sandbox keeps, so that it is never taken for the real one
	}
	return nil
}

// adopt makes the flags those that the saved plan was made with.
func (f *planFlags) adopt(s *plan.Saved) {
	f.targets, f.prune, f.refresh = s.Targets, s.Prune, s.Refresh
}

func addState(cmd *cobra.Command, path *string) *pflag.Flag {
	cmd.Flags().StringVar(path, "state", "state.json", "the state `FILE`, or the URL of a bucket or a database: see 'state init'")
	_ = cmd.MarkFlagFilename("state", "json")
	return cmd.Flags().Lookup("state")
}

func addTarget(cmd *cobra.Command, targets *[]string) {
	cmd.Flags().StringArrayVar(targets, "target", nil, "only agents that match `GLOB`: an address, a platform, an app or a key, with * for any text; repeatable")
}

func addLockTimeout(cmd *cobra.Command, wait *time.Duration) {
	cmd.Flags().DurationVar(wait, "lock-timeout", 0, "how long to wait for another run's lock")
}

// parseGlobs reads patterns of addresses. what names them where one cannot be read.
func parseGlobs(what string, patterns []string) ([]agent.Glob, error) {
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

// selects reports whether a is selected; no globs select everything.
func selects(globs []agent.Glob, a agent.Address) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(g agent.Glob) bool { return g.Match(a) })
}

// limits returns the bounds of manifests: the defaults, and what the environment sets in their place.
// They are variables and no flags, since who needs them needs them for every command of a fleet.
func (a *app) limits() (manifest.Limits, error) {
	var l manifest.Limits
	var values, files, depth, text, content, memory int64
	for _, v := range []struct {
		name string
		to   *int64
	}{
		{"max-file-bytes", &l.FileBytes}, {"max-total-bytes", &l.TotalBytes},
		{"max-files", &files}, {"max-values", &values}, {"max-depth", &depth},
		{"max-text-bytes", &text}, {"max-content-bytes", &content}, {maxMemory, &memory},
	} {
		set := a.Getenv(ui.Variable(v.name))
		if set == "" {
			continue
		}
		n, err := strconv.ParseInt(set, 10, 64)
		if err != nil || n < 1 {
			return l, exit.Usagef("%s is %q; it must be a whole number from 1 on", ui.Variable(v.name), set)
		}
		*v.to = n
	}
	l.Files, l.Values, l.Depth = int(min(files, math.MaxInt32)), int(min(values, math.MaxInt32)), int(min(depth, maxDepth))
	l.TextBytes, l.ContentBytes = int(min(text, math.MaxInt32)), int(min(content, math.MaxInt32))
	return l, nil
}

// maxMemory names the variable that bounds the memory of the process; main reads it first.
const maxMemory = "max-memory-bytes"

// maxDepth is the deepest nesting that can be allowed: each level takes a piece of the stack.
const maxDepth = 10_000
