// Package cli parses arguments, wires the rooms together, and maps what they answer to exit codes,
// messages and hints. It decides nothing about agents. It promises that the result goes to stdout and
// everything else to stderr, that --format json leaves exactly one document on stdout whatever
// happens, and that an argument it does not know is an error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"agentsync/internal/crash"
	"agentsync/internal/exit"
	"agentsync/internal/platform"
	"agentsync/internal/platform/cometchat"
	"agentsync/internal/platform/mindset"
	"agentsync/internal/ui"
	"agentsync/schema"
)

// Streams are what a process reads from and writes to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// app is one run of the tool: what main handed over, and what every command shares.
type app struct {
	*ui.UI
	args []string
	// references are the ways to list what each connected app has.
	references references
	// typed are the flags that the command line sets, by name; variables and agentsync.yaml do not count.
	typed map[string]bool
}

// Run runs the command that args name and returns the process's exit code. environ is in the form of
// os.Environ. After ctx is done it starts nothing new and returns soon. An output that cannot be written ends neither
// the run nor the other output: what was done must be recorded, whoever still listens.
func Run(ctx context.Context, environ []string, streams Streams, args []string) int {
	a := &app{UI: ui.New(environ, streams.In, streams.Out, streams.Err), args: args}
	root := a.rootCommand()
	root.SetArgs(args)
	cmd, err := a.execute(ctx, root)
	code := a.finish(ctx, cmd, err)
	if lost := a.Lost(); lost != nil && code == exit.OK {
		a.Fail(fmt.Sprintf("the result could not be written: %v", lost), "")
		return exit.Failed
	}
	return code
}

// execute runs the command. A panic in it is an error with the code 1, so that a reader of JSON gets its document.
func (a *app) execute(ctx context.Context, root *cobra.Command) (cmd *cobra.Command, err error) {
	cmd = root
	defer func() {
		if v := recover(); v != nil {
			crash.Report(a.Err, v, debug.Stack())
			err = &exit.Failure{Code: exit.Failed, Told: fmt.Errorf("this is a bug of agentsync: %v", v)}
		}
	}()
	return root.ExecuteContextC(ctx)
}

// MemoryLimit returns how many bytes of memory environ allows, 0 where it does not say.
func MemoryLimit(environ []string) int64 {
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); name == ui.Variable(maxMemory) {
			n, _ := strconv.ParseInt(value, 10, 64) // limits refuses what is no number
			return n
		}
	}
	return 0
}

const rootLong = `agentsync keeps a team's chat agents as YAML in git and syncs them to CometChat and Mindset AI.

It never makes a duplicate and never loses a uid, although neither platform can create an agent
idempotently. 'plan' shows in a pull request exactly what a merge would do; 'apply' does it on merge.`

const rootExample = `  agentsync validate
  agentsync plan
  agentsync apply
  agentsync plan --sandbox        # try it without an account`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "agentsync",
		Short:         "Keep chat agents as YAML in git and sync them to their platforms",
		Long:          rootLong,
		Example:       rootExample,
		Version:       thisBuild().version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.flagsFromEnv(cmd)
		},
	}
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetIn(a.In)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exit.Failure{Code: exit.Usage, Err: flagError(err), Hint: "see which flags there are:\n  " + cmd.CommandPath() + " --help"}
	})
	root.SetVersionTemplate("agentsync {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.BoolVar(&a.NoColor, "no-color", false, "never colour the output")
	flags.BoolVarP(&a.Quiet, "quiet", "q", false, "no progress, only the result and problems")
	flags.BoolVarP(&a.Verbose, "verbose", "v", false, "show everything, and trace requests (secrets redacted)")
	root.AddCommand(
		a.initCommand(), a.validateCommand(), a.planCommand(), a.diffCommand(), a.applyCommand(), a.showCommand(),
		a.listCommand(), a.explainCommand(), a.stateCommand(), a.secretsCommand(),
		a.importCommand(), a.pullCommand(), a.exportCommand(), a.fmtCommand(), a.schemaCommand(), a.sandboxCommand(),
		a.checkPlatformCommand(), a.versionCommand(), a.exitCodesTopic(),
	)
	root.InitDefaultCompletionCmd()
	strictHelp(root)
	strictArguments(root)
	return root
}

// strictHelp makes help and completion for what does not exist an error, where cobra shows a help text.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return // there is no help command that could be made strict
	}
	help.Args = func(_ *cobra.Command, args []string) error {
		if topic, rest, err := root.Find(args); err != nil || len(rest) > 0 {
			return &exit.Failure{Code: exit.Usage, Err: unknownCommand(topic, args[len(args)-1]), Hint: "see what there is:\n  agentsync help"}
		}
		return nil
	}
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(*cobra.Command, []string) error {
			return exit.Usagef("say for which shell: bash, zsh, fish or powershell")
		}
	}
}

// strictArguments makes every refused argument a usage error with the way to the command's help.
func strictArguments(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(c *cobra.Command, args []string) error {
		if check == nil {
			check = cobra.NoArgs
		}
		err := check(c, args)
		var f *exit.Failure
		if err == nil || errors.As(err, &f) {
			return err
		}
		if c.HasSubCommands() && len(args) > 0 {
			err = unknownCommand(c, args[0])
		} else {
			err = fmt.Errorf("the arguments do not fit '%s'", strings.TrimSuffix(c.UseLine(), " [flags]"))
		}
		return &exit.Failure{Code: exit.Usage, Err: err, Hint: "see how it is used:\n  " + c.CommandPath() + " --help"}
	}
	for _, sub := range cmd.Commands() {
		strictArguments(sub)
	}
}

// unknownCommand names the command that was probably meant, if there is one.
func unknownCommand(cmd *cobra.Command, typed string) error {
	cmd.SuggestionsMinimumDistance = 2
	if len(typed) < 6 {
		cmd.SuggestionsMinimumDistance = 1 // two letters are half of a short word
	}
	meant, near := "", cmd.SuggestionsFor(typed)
	for _, sub := range cmd.Commands() { // another tool's word for it means that and nothing else
		if slices.Contains(sub.SuggestFor, typed) {
			near = []string{sub.Name()}
		}
	}
	if len(near) > 0 {
		meant = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no command '%s %s'%s", cmd.CommandPath(), typed, meant)
}

// exitCodesTopic is 'agentsync help exit-codes': a topic of the help, no command.
func (a *app) exitCodesTopic() *cobra.Command {
	long := "Each outcome has an exit code of its own, in every output format:\n\n" + exit.Meanings()
	return &cobra.Command{Use: "exit-codes", Short: "What each exit code means", Long: strings.TrimRight(long, "\n")}
}

// Command returns all commands with their flags, help texts and examples, for docs/commands.md and for
// tests of the texts. It is there to be read: Run is what runs a command.
func Command() *cobra.Command {
	a := &app{UI: ui.New(nil, strings.NewReader(""), io.Discard, io.Discard)}
	root := a.rootCommand()
	root.InitDefaultCompletionCmd()
	return root
}

// platforms returns every platform that agentsync drives, in a map that nobody changes. A new one is one line here. To read
// their schemas is most of what a start costs, and flags and help of several commands ask for them: they are read once.
var platforms = sync.OnceValues(func() (map[string]platform.Platform, error) {
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

// knownPlatforms lists the names of the platforms, for help: "cometchat or mindset".
func knownPlatforms() string {
	all, err := platforms()
	if err != nil {
		return "" // whatever is run says why
	}
	return strings.Join(platformNames(all), " or ")
}

// schemas returns the platforms' traits by name.
func schemas(all map[string]platform.Platform) map[string]*schema.Platform {
	m := make(map[string]*schema.Platform, len(all))
	for name, p := range all {
		m[name] = p.Schema()
	}
	return m
}

// platformNames returns the platforms' names, sorted.
func platformNames(all map[string]platform.Platform) []string {
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
