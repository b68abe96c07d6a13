package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/exit"
	"agentsync/internal/state"
	"agentsync/internal/ui"
)

const stateMigrateLong = `Moves a state file to a place that a team shares, with its journal and the requests that have no answer yet, under the
locks of both. It makes the shared state where there is none, refuses one of another fleet, and leaves a signpost in the
file, so that an old checkout cannot go on with it. Run again after it was stopped, it goes on.

Then name the place for everybody, and commit both files:

  state: URL        in agentsync.yaml, beside version: 1`

func (a *app) stateMigrateCommand() *cobra.Command {
	var path, to string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "migrate --to URL",
		Short:   "Move a state file to a bucket or a database",
		Long:    stateMigrateLong,
		Example: "  agentsync state migrate --to 's3://acme-agents/prod?region=eu-central-1'",
		Args:    cobra.NoArgs,
	}
	addState(cmd, &path)
	cmd.Flags().StringVar(&to, "to", "", "the `URL` of the place, as --state takes it")
	addLockTimeout(cmd, &wait)
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case to == "":
			return exit.Usagef("say where to: --to URL").
				Hinted("see how a place is named:\n  agentsync state init --help")
		case !isShared(to):
			return exit.Usagef("--to is the URL of a bucket or a database").
				Hinted("a shared state becomes a file again by:\n  agentsync state pull > state.json")
		case isShared(path):
			return exit.Usagef("the state is in a shared place already, and migrate moves a file").
				Hinted("name the file:\n  agentsync state migrate --state state.json --to URL")
		}
		moved, place, err := a.migrate(cmd.Context(), path, to, wait)
		if err != nil {
			return err
		}
		agents := len(moved.State.Agents)
		doc := stateDoc{State: place, From: &path, Serial: &moved.State.Serial, Agents: &agents, Open: openDocs(moved.Open)}
		return a.answer(format, doc, fmt.Sprintf("%s is now in %s, with %s\n", path, place, ui.Count(agents, "agent")))
	}
	return cmd
}

// migrate moves the state file at path to the place that the URL names, and returns what is there then.
func (a *app) migrate(ctx context.Context, path, to string, wait time.Duration) (moved *state.Snapshot, name string, err error) {
	place, err := a.openPlace(to, 0)
	if err != nil {
		return nil, "", err
	}
	// Both locks, the file's first: who waits for it keeps nobody else from the shared place.
	from := state.NewFile(path)
	unlockFrom, err := a.lock(ctx, from, "state migrate", wait)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = unlockFrom() }() // the kernel frees it at the latest when the process ends
	snap, err := from.Load()
	if err != nil {
		return nil, "", exit.OfState(err)
	}
	if !snap.Exists && !snap.Pending && len(snap.Open) == 0 {
		return nil, "", exit.Usagef("there is no state in %s to move", path).
			Hinted("make an empty shared state:\n  agentsync state init --state URL")
	}
	if _, err := a.initPlace(ctx, to, place, snap.State.Lineage, snap.State.Serial); err != nil {
		return nil, "", err
	}
	target := state.NewShared(ctx, place)
	unlockTarget, err := a.lock(ctx, target, "state migrate", wait)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = unlockTarget() }() // its lease ends
	there, err := target.Load()
	if err != nil {
		return nil, "", exit.OfState(err)
	}
	if there.State.Lineage != snap.State.Lineage {
		return nil, "", exit.Usagef("%s holds the state of another fleet than %s", place.Name(), path).
			Hinted("name another prefix, or another fleet=")
	}
	// The place has everything before the file says that it moved: stopped in between, this goes on where it is run again.
	if err := target.TakeOver(there, snap); err != nil {
		return nil, "", exit.OfState(err)
	}
	if err := from.Leave(snap, to); err != nil {
		return nil, "", exit.OfState(err)
	}
	moved, err = target.Load()
	return moved, place.Name(), exit.OfState(err)
}

func openDocs(open []state.Intent) []openDoc {
	docs := []openDoc{}
	for _, i := range open {
		docs = append(docs, openDoc{i.Address.String(), i.Action, i.At})
	}
	return docs
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
		Args:    cobra.NoArgs,
	}
	addState(cmd, &name)
	cmd.Flags().BoolVar(&public, "public", false, "leave out the lineage and the hashes of secrets: for plans alone")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, snap, err := a.loadState(cmd.Context(), name)
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

func (a *app) statePushCommand() *cobra.Command {
	cmd := a.mergeCommand("state push")
	cmd.Use = "push FILE"
	cmd.Short = "Copy a state file into a shared state"
	cmd.Long = `Takes the agents of a state file of the same fleet into the state: the way back when a run said that it had to leave its
uids in errored.state.json, or for a backup. Where the two contradict each other nothing is changed, and each contradiction
is named. The same as 'state merge'.`
	cmd.Example = "  agentsync state push errored.state.json"
	return cmd
}

// mergeCommand is what state merge and state push do, under a name for the lock.
func (a *app) mergeCommand(command string) *cobra.Command {
	var name string
	var wait time.Duration
	cmd := &cobra.Command{Args: cobra.ExactArgs(1)}
	addState(cmd, &name)
	addLockTimeout(cmd, &wait)
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		content, err := os.ReadFile(args[0])
		if err != nil {
			return exit.Usagef("read rescued state: %w", err)
		}
		other, err := state.Decode(args[0], content)
		if err != nil {
			return err
		}
		where, before, after := "", 0, 0
		err = a.editState(cmd.Context(), name, command, wait, func(s *state.State, name string) error {
			where, before = name, len(s.Agents)
			if err := s.Merge(other); err != nil {
				return &exit.Failure{Code: exit.Usage, Err: err}
			}
			after = len(s.Agents)
			return nil
		})
		if err != nil { // only after it may the other file go
			return err
		}
		added := after - before
		return a.answer(format, stateDoc{State: where, Agents: &after, Added: &added},
			fmt.Sprintf("%s now has %s, %d more than before; %s can go\n", where, ui.Count(after, "agent"), added, args[0]))
	}
	return cmd
}
