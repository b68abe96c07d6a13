package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/exit"
	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/ui"
)

func (a *app) stateHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the states that a shared place keeps",
		Long: `Lists the states that a shared place keeps, the newest first: the last 20, and all of the last 30 days. 'state rollback'
goes back to one of them.`,
		Example: "  agentsync state history",
		Args:    cobra.NoArgs,
	}
	return a.forShared(cmd, func(ctx context.Context, place *shared.Place, _ []string, answer answerer) error {
		all, err := place.History(ctx)
		if err != nil {
			return exit.OfState(err)
		}
		docs := []savedDoc{}
		var text strings.Builder
		for _, s := range all {
			docs = append(docs, savedDoc{s.Serial, s.At, s.Current})
			fmt.Fprintf(&text, "%8d  %s%s\n", s.Serial, s.At.UTC().Format(time.DateTime+" UTC"), map[bool]string{true: "  counts"}[s.Current])
		}
		return answer(stateDoc{State: place.Name(), States: docs}, text.String())
	})
}

func (a *app) stateRollbackCommand() *cobra.Command {
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
	addLockTimeout(cmd, &wait)
	cmd.Flags().BoolVarP(&yes, "auto-approve", "y", false, "do not ask")
	return a.forShared(cmd, func(ctx context.Context, place *shared.Place, args []string, answer answerer) error {
		serial, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return exit.Usagef("%q is no serial", args[0]).Hinted("see which there are:\n  agentsync state history")
		}
		content, err := place.Saved(ctx, serial)
		if err != nil {
			return exit.OfState(err)
		}
		old, err := state.Decode(fmt.Sprintf("%s, serial %d", place.Name(), serial), content)
		if err != nil {
			return err
		}
		question := fmt.Sprintf("Go back to serial %d, with %s, in %s", serial, ui.Count(len(old.Agents), "agent"), place.Name())
		if !yes {
			if err := a.approve(ctx, question, "agentsync state rollback "+args[0]+" --auto-approve"); err != nil {
				return err
			}
		}
		file := state.NewDamaged(ctx, place)
		unlock, err := a.lock(ctx, file, "state rollback", wait)
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }() // its lease ends
		now, err := file.Restore(old)
		if err != nil {
			return exit.OfState(err)
		}
		agents := len(old.Agents)
		return answer(stateDoc{State: place.Name(), From: &args[0], Serial: &now, Agents: &agents},
			fmt.Sprintf("%s is as in serial %d again, with %s; it is serial %d now\n", place.Name(), serial, ui.Count(agents, "agent"), now))
	})
}
