// Package cli has a file for each command: its flags, then what it does, to be read from top to bottom. It parses
// arguments, calls the rooms, and writes what they answer; it decides nothing about agents. It promises that the result
// goes to stdout and everything else to stderr, that --format json leaves exactly one document on stdout whatever
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

	"github.com/spf13/cobra"

	"agentsync/internal/checkout"
	"agentsync/internal/crash"
	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
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
	// typed are the flags that the command line sets, by name; variables and agentsync.yaml do not count.
	typed map[string]bool
}

// Run runs the command that args name and returns the process's exit code. environ is in the form of
// os.Environ. After ctx is done it starts nothing new and returns soon. An output that cannot be written ends neither
// the run nor the other output: what was done must be recorded, whoever still listens.
func Run(ctx context.Context, environ []string, streams Streams, args []string) int {
	a := newApp(environ, streams, args)
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

func newApp(environ []string, streams Streams, args []string) *app {
	a := &app{UI: ui.New(environ, streams.In, streams.Out, streams.Err), args: args}
	a.Version = thisBuild().Version
	return a
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

// finish reports the error that a command ended with and returns the exit code.
func (a *app) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return exit.OK
	}
	f := exit.Of(ctx, err)
	if f.Err != nil {
		a.Fail(f.Err.Error(), f.Hint)
	}
	if a.Answered {
		return f.Code
	}
	// The arguments may have been refused before the flags were read: a reader of JSON gets its document even then.
	format := ""
	if flag := cmd.Flags().Lookup("format"); flag != nil && flag.Changed {
		format = flag.Value.String()
	} else if a.typedJSON() || a.Getenv(ui.Variable("format")) == flags.JSON {
		format = flags.JSON
	}
	switch { // stdout may be gone: the exit code tells
	case format == flags.JSON:
		_ = report.ErrorJSON(a.Out, f.Error(), f.Hint, f.Code, f.Problems)
	case format == flags.Markdown && f.Problems.HasErrors():
		_ = report.DiagMarkdown(a.Out, f.Problems, report.MarkdownOptions{Link: checkout.Links(a.Getenv)})
	case format == flags.Markdown:
		_ = report.FailureMarkdown(a.Out, f.Error(), f.Hint)
	}
	return f.Code
}

// typedJSON reports whether the command line asks for JSON.
func (a *app) typedJSON() bool {
	for i, arg := range a.args {
		if arg == "--format="+flags.JSON || arg == flags.JSON && i > 0 && a.args[i-1] == "--format" {
			return true
		}
	}
	return false
}

// answer writes a command's one result: as JSON, or as text, which is made fit to be shown.
func answer(u *ui.UI, format *flags.Choice, doc any, text string) error {
	if format.Value == flags.JSON {
		return u.JSON(doc)
	}
	_, err := io.WriteString(u.Result(), show.Text(text))
	return err
}

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

// MemoryLimit returns how many bytes of memory environ allows, 0 where it does not say.
func MemoryLimit(environ []string) int64 {
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); name == ui.Variable(workspace.MaxMemory) {
			n, _ := strconv.ParseInt(value, 10, 64) // workspace.ManifestOptions refuses what is no number
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
		Version:       thisBuild().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) (err error) {
			a.typed, err = flags.Resolve(a.UI, cmd, newApp(nil, Streams{}, nil).applyCommand)
			return err
		},
	}
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetIn(a.In)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return flags.Wrong(err).Hinted("see which flags there are:\n  " + cmd.CommandPath() + " --help")
	})
	root.SetVersionTemplate("agentsync {{.Version}}\n")
	all := root.PersistentFlags()
	all.BoolVar(&a.NoColor, "no-color", false, "never colour the output")
	all.BoolVarP(&a.Quiet, "quiet", "q", false, "no progress, only the result and problems")
	all.BoolVarP(&a.Verbose, "verbose", "v", false, "show everything, and trace requests (secrets redacted)")
	root.AddCommand(
		a.initCommand(), a.validateCommand(), a.planCommand(), a.diffCommand(), a.applyCommand(), a.showCommand(),
		a.listCommand(), a.explainCommand(), a.stateCommand(), a.secretsCommand(),
		a.importCommand(), a.pullCommand(), a.exportCommand(), a.fmtCommand(), a.schemaCommand(), a.sandboxCommand(),
		a.checkPlatformCommand(), a.versionCommand(), exitCodesTopic(),
	)
	// Behind the last command: these go through all that are there, cobra's own help and completion included.
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
			return unknownCommand(topic, args[len(args)-1]).Hinted("see what there is:\n  agentsync help")
		}
		return nil
	}
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(*cobra.Command, []string) error {
			return exit.Usagef("say for which shell: bash, zsh, fish or powershell")
		}
	}
}

// strictArguments makes every refused argument a usage error with the way to the command's help. A command that says
// nothing of its arguments has none.
func strictArguments(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(c *cobra.Command, args []string) error {
		if check == nil {
			check = cobra.NoArgs
		}
		err := check(c, args)
		if _, ok := errors.AsType[*exit.Failure](err); ok || err == nil {
			return err
		}
		f := exit.Usagef("the arguments do not fit '%s'", strings.TrimSuffix(c.UseLine(), " [flags]"))
		if c.HasSubCommands() && len(args) > 0 {
			f = unknownCommand(c, args[0])
		}
		return f.Hinted("see how it is used:\n  " + c.CommandPath() + " --help")
	}
	for _, sub := range cmd.Commands() {
		strictArguments(sub)
	}
}

// unknownCommand names the command that was probably meant, if there is one.
func unknownCommand(cmd *cobra.Command, typed string) *exit.Failure {
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
	return exit.Usagef("there is no command '%s %s'%s", cmd.CommandPath(), typed, meant)
}

// exitCodesTopic is 'agentsync help exit-codes': a topic of the help, no command.
func exitCodesTopic() *cobra.Command {
	long := "Each outcome has an exit code of its own, in every output format:\n\n" + exit.Meanings()
	return &cobra.Command{Use: "exit-codes", Short: "What each exit code means", Long: long}
}

// Command returns all commands with their flags, help texts and examples, for docs/commands.md and for
// tests of the texts. It is there to be read: Run is what runs a command.
func Command() *cobra.Command {
	root := newApp(nil, Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}, nil).rootCommand()
	root.InitDefaultCompletionCmd()
	return root
}
