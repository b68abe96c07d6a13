package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

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
		Version:       Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.flagsFromEnv(cmd)
		},
	}
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	root.SetIn(a.streams.In)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &Failure{Code: ExitUsage, Err: flagError(err), Hint: "see which flags there are:\n  " + cmd.CommandPath() + " --help"}
	})
	root.SetVersionTemplate("agentsync {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.BoolVar(&a.common.noColor, "no-color", false, "never colour the output")
	flags.BoolVarP(&a.common.quiet, "quiet", "q", false, "no progress, only the result and problems")
	flags.BoolVarP(&a.common.verbose, "verbose", "v", false, "show everything, and trace requests (secrets redacted)")
	root.AddCommand(
		a.initCommand(), a.validateCommand(), a.planCommand(), a.applyCommand(), a.stateCommand(),
		a.importCommand(), a.exportCommand(), a.fmtCommand(), a.schemaCommand(), a.sandboxCommand(), a.versionCommand(), a.exitCodesTopic(),
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
			return &Failure{Code: ExitUsage, Err: unknownCommand(topic, args[len(args)-1]), Hint: "see what there is:\n  agentsync help"}
		}
		return nil
	}
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.RunE = func(*cobra.Command, []string) error {
			return usageError("say for which shell: bash, zsh, fish or powershell")
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
		var f *Failure
		if err == nil || errors.As(err, &f) {
			return err
		}
		if c.HasSubCommands() && len(args) > 0 {
			err = unknownCommand(c, args[0])
		} else {
			err = fmt.Errorf("the arguments do not fit '%s'", strings.TrimSuffix(c.UseLine(), " [flags]"))
		}
		return &Failure{Code: ExitUsage, Err: err, Hint: "see how it is used:\n  " + c.CommandPath() + " --help"}
	}
	for _, sub := range cmd.Commands() {
		strictArguments(sub)
	}
}

// unknownCommand names the command that was probably meant, if there is one.
func unknownCommand(cmd *cobra.Command, typed string) error {
	cmd.SuggestionsMinimumDistance = 2
	meant := ""
	if near := cmd.SuggestionsFor(typed); len(near) > 0 {
		meant = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no command '%s %s'%s", cmd.CommandPath(), typed, meant)
}
