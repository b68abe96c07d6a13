package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
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
	cmd.AddCommand(a.stateListCommand(), a.stateShowCommand(), a.stateMvCommand(), a.stateRmCommand(),
		a.stateMergeCommand(),
		a.stateFoldCommand(),
		a.stateInitCommand(), a.stateCheckCommand(), a.stateStatusCommand(), a.stateUnlockCommand(),
		a.stateMigrateCommand(), a.statePullCommand(), a.statePushCommand(), a.stateHistoryCommand(),
		a.stateRollbackCommand())
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
	flags.State(cmd, &path)
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.ValidArgsFunction = flags.CompleteAddresses(a.UI, &path, 0)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		globs, err := workspace.Globs("ADDRESS-GLOB", args)
		if err != nil {
			return err
		}
		file, snap, err := workspace.LoadState(cmd.Context(), a.UI, path)
		if err != nil {
			return err
		}
		for i, g := range globs { // a pattern that selects nothing is a slip of the pen
			if !slices.ContainsFunc(snap.State.Addresses(), g.Match) {
				return workspace.UnknownPattern(file.Name(), args[i], snap.State.Addresses())
			}
		}
		type agentDoc struct {
			Address agent.Address `json:"address"`
			UID     string        `json:"uid"`
		}
		docs := []agentDoc{}
		for _, addr := range snap.State.Addresses() {
			if workspace.Match(globs, addr) {
				docs = append(docs, agentDoc{addr, snap.State.Agents[addr].UID})
			}
		}
		var text strings.Builder
		rows := make([][]string, len(docs))
		for i, d := range docs {
			rows[i] = []string{d.Address.String(), d.UID}
		}
		show.Columns(&text, rows)
		return answer(a.UI, format, struct {
			FormatVersion string     `json:"formatVersion"`
			Agents        []agentDoc `json:"agents"`
		}{report.FormatVersion, docs}, text.String())
	}
	return cmd
}

func (a *app) stateShowCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "show ADDRESS",
		Short:   "Show what the state has of one agent, as JSON",
		Example: "  agentsync state show mindset/acme/onboarding-coach",
		Args:    cobra.ExactArgs(1),
	}
	flags.State(cmd, &path)
	cmd.ValidArgsFunction = flags.CompleteAddresses(a.UI, &path, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := workspace.Address(args[0])
		if err != nil {
			return err
		}
		file, snap, err := workspace.LoadState(cmd.Context(), a.UI, path)
		if err != nil {
			return err
		}
		rec, ok := snap.State.Agents[addr]
		if !ok {
			return unknownAddress(addr, file.Name())
		}
		return a.JSON(struct { // secrets are sealed in it, so it shows none
			Format   string          `json:"formatVersion"`
			Address  string          `json:"address"`
			UID      string          `json:"uid"`
			Protect  bool            `json:"protect,omitempty"`
			Obsolete []string        `json:"obsolete,omitempty"`
			Former   []string        `json:"formerKeys,omitempty"`
			Applied  json.RawMessage `json:"applied,omitempty"`
			Observed json.RawMessage `json:"observed,omitempty"`
		}{report.FormatVersion, addr.String(), rec.UID, rec.Protect, rec.Obsolete, rec.FormerKeys,
			json.RawMessage(rec.Applied), json.RawMessage(rec.Observed)})
	}
	return cmd
}

// stateEdit is a change of the state by hand: of the state that --state names, under its lock, for which --lock-timeout
// waits.
type stateEdit struct {
	ui   *ui.UI
	path string
	wait time.Duration
}

// stateEdit adds the two flags to a command that changes the state.
func (a *app) stateEdit(cmd *cobra.Command) *stateEdit {
	e := &stateEdit{ui: a.UI}
	flags.State(cmd, &e.path)
	flags.LockTimeout(cmd, &e.wait)
	return e
}

// run makes the change, which gets the state and its name, under the lock, which says what command has it. With nil it
// is on disk: only then may a command print what it did, for who reads a uid there may count on it.
func (e *stateEdit) run(cmd *cobra.Command, change func(s *state.State, name string) error) error {
	command := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	return workspace.Edit(cmd.Context(), e.ui, e.path, command, e.wait, change)
}

func unknownAddress(addr agent.Address, where string) error {
	return exit.Usagef("%s has no agent %s", where, addr).Hinted("see which there are:\n  agentsync state list")
}

func (a *app) stateMvCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mv FROM TO",
		Short: "Give an agent another address in the state",
		Long: `Gives an agent in the state another address, after its key was changed in a manifest. Both addresses must
be of one app. In a manifest, previousKeys does the same and can be reviewed.`,
		Example: "  agentsync state mv mindset/acme/coach mindset/acme/onboarding-coach",
		Args:    cobra.ExactArgs(2),
	}
	edit := a.stateEdit(cmd)
	cmd.ValidArgsFunction = flags.CompleteAddresses(a.UI, &edit.path, 2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, err := workspace.Address(args[0])
		if err != nil {
			return err
		}
		to, err := workspace.Address(args[1])
		if err != nil {
			return err
		}
		if from.ID() != to.ID() {
			return exit.Usagef("%s and %s are of different apps: an agent cannot move between apps", from, to)
		}
		err = edit.run(cmd, func(s *state.State, name string) error {
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
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Out, "%s is now %s\n", from, to)
		return err
	}
	return cmd
}

func (a *app) stateRmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm ADDRESS-GLOB…",
		Short: "Forget agents; they stay at the platform",
		Long: `Removes agents from the state. They stay at the platform. Their uids are printed, because nothing else knows
them. The next apply adopts an agent again if it equals its manifest.`,
		Example: "  agentsync state rm mindset/acme/coach",
		Args:    cobra.MinimumNArgs(1),
	}
	edit := a.stateEdit(cmd)
	cmd.ValidArgsFunction = flags.CompleteAddresses(a.UI, &edit.path, 0)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		globs, err := workspace.Globs("ADDRESS-GLOB", args)
		if err != nil {
			return err
		}
		var forgot strings.Builder
		err = edit.run(cmd, func(s *state.State, name string) error {
			all := s.Addresses()
			for _, addr := range all {
				if !workspace.Match(globs, addr) {
					continue
				}
				rec := s.Agents[addr]
				fmt.Fprintf(&forgot, "forgot %s (uid %s)\n", addr, show.Line(rec.UID))
				for _, uid := range rec.Obsolete {
					fmt.Fprintf(&forgot, "forgot the old agent of %s, which is not deleted yet (uid %s)\n", addr,
						show.Line(uid))
				}
				delete(s.Agents, addr)
			}
			if len(s.Agents) == len(all) { // a pattern that selects nothing is a slip of the pen
				return workspace.UnknownPattern(name, args[0], all)
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
	cmd := a.mergeCommand()
	cmd.Use = "merge FILE"
	cmd.Short = "Add the agents of a state that a run had to write elsewhere"
	cmd.Long = `Adds the agents of another state file of the same fleet to the state. Use it after a run that wrote its uids to
errored.state.json, because it could not write the state.`
	cmd.Example = "  agentsync state merge errored.state.json"
	return cmd
}

func (a *app) statePushCommand() *cobra.Command {
	cmd := a.mergeCommand()
	cmd.Use = "push FILE"
	cmd.Short = "Copy a state file into a shared state"
	cmd.Long = `Takes the agents of a state file of the same fleet into the state: the way back when a run said that it had to leave its
uids in errored.state.json, or for a backup. Where the two contradict each other nothing is changed, and each contradiction
is named. The same as 'state merge'.`
	cmd.Example = "  agentsync state push errored.state.json"
	return cmd
}

// mergeCommand is what state merge and state push do.
func (a *app) mergeCommand() *cobra.Command {
	cmd := &cobra.Command{Args: cobra.ExactArgs(1)}
	edit := a.stateEdit(cmd)
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// Before the lock: a file that cannot be read keeps nobody waiting.
		content, err := os.ReadFile(args[0])
		if err != nil {
			return exit.Usagef("read rescued state: %w", err)
		}
		other, err := state.Decode(args[0], content)
		if err != nil {
			return err
		}
		where, before, after := "", 0, 0
		err = edit.run(cmd, func(s *state.State, name string) error {
			where, before = name, len(s.Agents)
			if err := s.Merge(other); err != nil {
				f := exit.Usagef("%w", err)
				if s.Lineage != other.Lineage { // two checkouts that each applied before one had committed a state
					return f.Hinted("if both are of these manifests, keep the one that is there: apply finds the other one's agents " +
						"at the platforms, and adopts those that equal their manifests")
				}
				return f
			}
			after = len(s.Agents)
			return nil
		})
		if err != nil { // only after it may the other file go
			return err
		}
		added := after - before
		return answerWith(a.UI, format, stateDoc{State: where, Agents: &after, Added: &added},
			fmt.Sprintf("%s now has %s, %d more than before; %s can go\n", where, diag.Plural(after, "agent"), added,
				args[0]))
	}
	return cmd
}

func (a *app) statePullCommand() *cobra.Command {
	var name string
	var public bool
	cmd := &cobra.Command{
		Use:   "pull",
		Short: "Print the state as a state file",
		Long: `Prints the state as a state file, with what the journal of a run knows that goes on or ended early. It takes no lock.

With --public the lineage and the hashes of secrets are left out. Such a file is for those who may plan and not apply, such
as pull requests of forks: plan --state FILE shows every change but those of secrets.`,
		Example: "  agentsync state pull > backup.json\n  agentsync state pull --public > public.json",
	}
	flags.State(cmd, &name)
	cmd.Flags().BoolVar(&public, "public", false, "leave out the lineage and the hashes of secrets: for plans alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, snap, err := workspace.LoadState(cmd.Context(), a.UI, name)
		if err != nil {
			return err
		}
		s := snap.State
		if public {
			if s, err = s.Public(); err != nil {
				return err
			}
		} else if s.Lineage == "" {
			return exit.Usagef("%s holds no state", name)
		}
		content, err := s.Encode()
		if err != nil {
			return err
		}
		return a.JSON(json.RawMessage(content)) // with what could steer a terminal written as escapes
	}
	return cmd
}

func (a *app) stateFoldCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fold",
		Short: "Write what the journal of a killed run knows into the state",
		Long: `Writes what the journal of a run that was killed knows into the state file, as the next apply would do first.
It needs neither a platform nor a key. Requests without an answer stay in the journal, for the next apply to ask about.`,
		Example: "  agentsync state fold",
	}
	edit := a.stateEdit(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		where, agents := "", 0
		// Whoever edits the state under its lock folds the journal into it first: no change is needed.
		err := edit.run(cmd, func(s *state.State, name string) error {
			where, agents = name, len(s.Agents)
			return nil
		})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Out, "%s has %s\n", show.Line(where), diag.Plural(agents, "agent"))
		return err
	}
	return cmd
}
