package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/report"
	"agentsync/internal/state"
	"agentsync/internal/ui"
)

func (a *app) stateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Show and repair the state",
		Long: `Shows the state and repairs it by hand, in a file or in a place that a team shares. Nothing is sent to a platform.

What changes the state takes the lock and writes atomically, as apply does.`,
		Example: "  agentsync state list\n  agentsync state show cometchat/2754abc/concierge",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit.Usagef("say what to do with the state").Hinted("see how:\n  agentsync state --help")
		},
	}
	cmd.AddCommand(a.stateListCommand(), a.stateShowCommand(), a.stateMvCommand(), a.stateRmCommand(), a.stateMergeCommand(), a.stateFoldCommand(),
		a.stateInitCommand(), a.stateCheckCommand(), a.stateStatusCommand(), a.stateUnlockCommand(),
		a.stateMigrateCommand(), a.statePullCommand(), a.statePushCommand(), a.stateHistoryCommand(), a.stateRollbackCommand())
	return cmd
}

func (a *app) stateListCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "list [ADDRESS-GLOB…]",
		Short: "List the agents in the state with their uids",
		Example: `  agentsync state list
  agentsync state list 'mindset/acme/*' --format json`,
		Args: cobra.ArbitraryArgs,
	}
	addState(cmd, &path)
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.ValidArgsFunction = a.completeAddresses(&path, 0)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		globs, err := parseGlobs("ADDRESS-GLOB", args)
		if err != nil {
			return err
		}
		file, snap, err := a.loadState(cmd.Context(), path)
		if err != nil {
			return err
		}
		for i, g := range globs { // a pattern that selects nothing is a slip of the pen
			if !slices.ContainsFunc(snap.State.Addresses(), g.Match) {
				return unknownPattern(file.Name(), args[i], snap.State.Addresses())
			}
		}
		type agentDoc struct {
			Address string `json:"address"`
			UID     string `json:"uid"`
		}
		docs := []agentDoc{}
		for _, addr := range snap.State.Addresses() {
			if selects(globs, addr) {
				docs = append(docs, agentDoc{addr.String(), snap.State.Agents[addr].UID})
			}
		}
		if format.value == formatJSON {
			return a.JSON(struct {
				FormatVersion string     `json:"formatVersion"`
				Agents        []agentDoc `json:"agents"`
			}{report.FormatVersion, docs})
		}
		var b strings.Builder
		rows := make([][]string, len(docs))
		for i, d := range docs {
			rows[i] = []string{d.Address, d.UID}
		}
		report.Columns(&b, rows)
		_, err = a.Out.Write([]byte(b.String()))
		return err
	}
	return cmd
}

// loadState reads the state that --state names, without a lock.
func (a *app) loadState(ctx context.Context, name string) (*state.File, *state.Snapshot, error) {
	file, err := a.openState(ctx, name, 0)
	if err != nil {
		return nil, nil, err
	}
	snap, err := file.Load()
	if err != nil {
		return nil, nil, exit.OfState(err)
	}
	return file, snap, nil
}

func (a *app) stateShowCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "show ADDRESS",
		Short:   "Show what the state has of one agent, as JSON",
		Example: "  agentsync state show mindset/acme/onboarding-coach",
		Args:    cobra.ExactArgs(1),
	}
	addState(cmd, &path)
	cmd.ValidArgsFunction = a.completeAddresses(&path, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := agent.ParseAddress(args[0])
		if err != nil {
			return &exit.Failure{Code: exit.Usage, Err: err}
		}
		file, snap, err := a.loadState(cmd.Context(), path)
		if err != nil {
			return err
		}
		rec, ok := snap.State.Agents[addr]
		if !ok {
			return unknownAddress(addr, file.Name())
		}
		a.Answered = true
		return a.showRecord(addr, rec)
	}
	return cmd
}

// showRecord writes a record as JSON; secrets are sealed in it, so it shows none.
func (a *app) showRecord(addr agent.Address, rec agent.Record) error {
	doc := struct {
		Format   string          `json:"formatVersion"`
		Address  string          `json:"address"`
		UID      string          `json:"uid"`
		Protect  bool            `json:"protect,omitempty"`
		Obsolete []string        `json:"obsolete,omitempty"`
		Former   []string        `json:"formerKeys,omitempty"`
		Applied  json.RawMessage `json:"applied,omitempty"`
		Observed json.RawMessage `json:"observed,omitempty"`
	}{report.FormatVersion, addr.String(), rec.UID, rec.Protect, rec.Obsolete, rec.FormerKeys, json.RawMessage(rec.Applied), json.RawMessage(rec.Observed)}
	if err := report.JSON(a.Out, doc); err != nil {
		return fmt.Errorf("show %s: %w", addr, err)
	}
	return nil
}

func (a *app) stateMvCommand() *cobra.Command {
	var path string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "mv FROM TO",
		Short: "Give an agent another address in the state",
		Long: `Gives an agent in the state another address, after its key was changed in a manifest. Both addresses must
be of one app. In a manifest, previousKeys does the same and can be reviewed.`,
		Example: "  agentsync state mv mindset/acme/coach mindset/acme/onboarding-coach",
		Args:    cobra.ExactArgs(2),
	}
	addState(cmd, &path)
	cmd.ValidArgsFunction = a.completeAddresses(&path, 2)
	addLockTimeout(cmd, &wait)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, err := agent.ParseAddress(args[0])
		if err != nil {
			return &exit.Failure{Code: exit.Usage, Err: err}
		}
		to, err := agent.ParseAddress(args[1])
		if err != nil {
			return &exit.Failure{Code: exit.Usage, Err: err}
		}
		if from.ID() != to.ID() {
			return exit.Usagef("%s and %s are of different apps: an agent cannot move between apps", from, to)
		}
		err = a.editState(cmd.Context(), path, "state mv", wait, func(s *state.State, name string) error {
			rec, ok := s.Agents[from]
			if !ok {
				return unknownAddress(from, name)
			}
			if _, taken := s.Agents[to]; taken {
				return exit.Usagef("%s has an agent %s already", name, to)
			}
			delete(s.Agents, from)
			s.Agents[to] = rec.Moved(from.Key, to.Key)
			return nil
		})
		if err == nil { // it is on disk
			fmt.Fprintf(a.Out, "%s is now %s\n", from, to)
		}
		return err
	}
	return cmd
}

func (a *app) stateRmCommand() *cobra.Command {
	var path string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "rm ADDRESS-GLOB…",
		Short: "Forget agents; they stay at the platform",
		Long: `Removes agents from the state. They stay at the platform. Their uids are printed, because nothing else knows
them. The next apply adopts an agent again if it equals its manifest.`,
		Example: "  agentsync state rm mindset/acme/coach",
		Args:    cobra.MinimumNArgs(1),
	}
	addState(cmd, &path)
	cmd.ValidArgsFunction = a.completeAddresses(&path, 0)
	addLockTimeout(cmd, &wait)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		globs, err := parseGlobs("ADDRESS-GLOB", args)
		if err != nil {
			return err
		}
		var forgot strings.Builder
		err = a.editState(cmd.Context(), path, "state rm", wait, func(s *state.State, name string) error {
			var gone []agent.Address
			for _, addr := range s.Addresses() {
				if selects(globs, addr) {
					gone = append(gone, addr)
				}
			}
			if len(gone) == 0 {
				return unknownPattern(name, args[0], s.Addresses())
			}
			for _, addr := range gone {
				rec := s.Agents[addr]
				for _, uid := range append([]string{rec.UID}, rec.Obsolete...) {
					fmt.Fprintf(&forgot, "forgot %s (uid %s)\n", addr, report.Sanitize(uid))
				}
				delete(s.Agents, addr)
			}
			return nil
		})
		if err != nil {
			return err
		}
		_, err = io.WriteString(a.Out, forgot.String())
		return err
	}
	return cmd
}

func (a *app) stateMergeCommand() *cobra.Command {
	cmd := a.mergeCommand("state merge")
	cmd.Use = "merge FILE"
	cmd.Short = "Add the agents of a state that a run had to write elsewhere"
	cmd.Long = `Adds the agents of another state file of the same fleet to the state. Use it after a run that wrote its uids to
errored.state.json, because it could not write the state.`
	cmd.Example = "  agentsync state merge errored.state.json"
	return cmd
}

func (a *app) stateFoldCommand() *cobra.Command {
	var path string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "fold",
		Short: "Write what the journal of a killed run knows into the state",
		Long: `Writes what the journal of a run that was killed knows into the state file, as the next apply would do first.
It needs neither a platform nor a key. Requests without an answer stay in the journal, for the next apply to ask about.`,
		Example: "  agentsync state fold",
		Args:    cobra.NoArgs,
	}
	addState(cmd, &path)
	addLockTimeout(cmd, &wait)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		where, agents := "", 0
		err := a.editState(cmd.Context(), path, "state fold", wait, func(s *state.State, name string) error {
			where, agents = name, len(s.Agents)
			return nil
		})
		if err == nil { // it is on disk
			fmt.Fprintf(a.Out, "%s has %s\n", report.Sanitize(where), ui.Count(agents, "agent"))
		}
		return err
	}
	return cmd
}

// editState changes the state under the lock.
func (a *app) editState(ctx context.Context, path, command string, wait time.Duration, change func(s *state.State, name string) error) error {
	file, err := a.openState(ctx, path, 0)
	if err != nil {
		return err
	}
	unlock, err := a.lock(ctx, file, command, wait)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the kernel frees it at the latest when the process ends
	snap, err := file.Load()
	if err != nil {
		return exit.OfState(err)
	}
	err = file.Edit(ctx, snap, func(s *state.State) error { return change(s, file.Name()) })
	var f *exit.Failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return exit.OfState(err)
}
