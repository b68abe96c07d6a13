package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/state"
)

func (a *app) stateHistoryCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the states that a shared place keeps",
		Long: `Lists the states that a shared place keeps, the newest first: the last 20, and all of the last 30 days. 'state rollback'
goes back to one of them.`,
		Example: "  agentsync state history",
		Args:    cobra.NoArgs,
	}
	addState(cmd, &name)
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		place, err := a.sharedPlace(name)
		if err != nil {
			return err
		}
		all, err := place.History(cmd.Context())
		if err != nil {
			return stateError(err)
		}
		docs := []savedDoc{}
		var text strings.Builder
		for _, s := range all {
			docs = append(docs, savedDoc{s.Serial, s.At, s.Current})
			fmt.Fprintf(&text, "%8d  %s%s\n", s.Serial, s.At.UTC().Format(time.DateTime+" UTC"), map[bool]string{true: "  counts"}[s.Current])
		}
		return a.answer(format, stateDoc{State: place.Name(), States: docs}, text.String())
	}
	return cmd
}

func (a *app) stateRollbackCommand() *cobra.Command {
	var name string
	var yes bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "rollback SERIAL",
		Short: "Make an earlier state of a shared place the one that counts",
		Long: `Makes an earlier state the one that counts, under a new serial; 'state history' lists which there are. Nothing changes
at the platforms: the next apply lists each app, and takes agents back that were made since and equal their manifests.
It is the way on, too, where the state that counts, its journal or the head is damaged. Requests without an answer stay
open, where the journal can be read.

Asks first; without a terminal it needs --auto-approve.`,
		Example: "  agentsync state rollback 1",
		Args:    cobra.ExactArgs(1),
	}
	addState(cmd, &name)
	addLockTimeout(cmd, &wait)
	cmd.Flags().BoolVarP(&yes, "auto-approve", "y", false, "do not ask")
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		serial, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return &Failure{Code: ExitUsage, Err: fmt.Errorf("%q is no serial", args[0]), Hint: "see which there are:\n  agentsync state history"}
		}
		place, err := a.sharedPlace(name)
		if err != nil {
			return err
		}
		content, err := place.Saved(ctx, serial)
		if err != nil {
			return stateError(err)
		}
		old, err := state.Decode(fmt.Sprintf("%s, serial %d", place.Name(), serial), content)
		if err != nil {
			return err
		}
		if err := a.canApprove(yes, "agentsync state rollback "+args[0]+" --auto-approve"); err != nil {
			return err
		}
		if err := a.ask(ctx, &applyFlags{autoApprove: yes}, fmt.Sprintf("Go back to serial %d, with %s, in %s", serial, count(len(old.Agents), "agent"), place.Name())); err != nil {
			return err
		}
		file := state.NewDamaged(ctx, place)
		unlock, err := a.lock(ctx, file, "state rollback", wait)
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }() // its lease ends
		now, err := file.Restore(old)
		if err != nil {
			return stateError(err)
		}
		agents := len(old.Agents)
		return a.answer(format, stateDoc{State: place.Name(), From: &args[0], Serial: &now, Agents: &agents},
			fmt.Sprintf("%s is as in serial %d again, with %s; it is serial %d now\n", place.Name(), serial, count(agents, "agent"), now))
	}
	return cmd
}

// canApprove refuses to begin what nobody could say yes to.
func (a *app) canApprove(yes bool, command string) error {
	if _, tty := terminal(a.streams.In); yes || tty {
		return nil
	}
	return &Failure{Code: ExitUsage, Err: fmt.Errorf("there is no terminal to ask on"), Hint: "do it without a question:\n  " + command}
}
