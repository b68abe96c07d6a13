package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
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
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
)

// forShared completes a command for a state in a bucket or a database, with --state and --format. run gets the place.
func (a *app) forShared(
	cmd *cobra.Command, run func(ctx context.Context, place *shared.Place, args []string, answer answerer) error,
) *cobra.Command {
	var name string
	flags.State(cmd, &name)
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		place, err := sharedPlace(a.UI, name)
		if err != nil {
			return err
		}
		return run(cmd.Context(), place, args, func(doc stateDoc, text string) error {
			return answerWith(a.UI, format, doc, text)
		})
	}
	return cmd
}

// answerer writes a command's one result.
type answerer func(doc stateDoc, text string) error

// sharedPlace opens the shared place of a command that is of no use for a file.
func sharedPlace(u *ui.UI, name string) (*shared.Place, error) {
	if !workspace.IsShared(name) {
		return nil, exit.Usagef("%s is a file, and this is for a state in a bucket or a database", name).
			Hinted("name that by --state URL, AGENTSYNC_STATE, or state: in agentsync.yaml; see how it is named:\n  " +
				"agentsync state init --help")
	}
	return workspace.OpenPlace(u, name, 0)
}

// answerWith is answer of a command for the state.
func answerWith(u *ui.UI, format *flags.Choice, doc stateDoc, text string) error {
	doc.FormatVersion = report.FormatVersion
	return answer(u, format, doc, text)
}

// stateDoc is the JSON of the commands for a shared state. Each has the members that its schema says.
type stateDoc struct {
	FormatVersion string         `json:"formatVersion"`
	State         string         `json:"state"`
	Made          *bool          `json:"made,omitempty"`
	Reads         *bool          `json:"reads,omitempty"`
	Writes        *bool          `json:"writes,omitempty"`
	Locked        *bool          `json:"locked,omitempty"`
	Unlocked      *bool          `json:"unlocked,omitempty"`
	Holder        *holderDoc     `json:"holder,omitempty"`
	Serial        *uint64        `json:"serial,omitempty"`
	Epoch         *uint64        `json:"epoch,omitempty"`
	Agents        *int           `json:"agents,omitempty"`
	Added         *int           `json:"added,omitempty"`
	Open          []openDoc      `json:"open,omitzero"`
	States        []shared.Saved `json:"states,omitzero"`
	From          *string        `json:"from,omitempty"`
}

// holderDoc is who has the lock.
type holderDoc struct {
	Command    string    `json:"command"`
	User       string    `json:"user"`
	Host       string    `json:"host"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	RunURL     string    `json:"runUrl"`
	AgeSeconds int64     `json:"ageSeconds"`
	Lease      int64     `json:"leaseSeconds"`
}

func holderDocOf(h *shared.Holder, age time.Duration) *holderDoc {
	return &holderDoc{h.Command, h.User, h.Host, h.PID, h.Started, h.RunURL, int64(age / time.Second),
		int64(time.Duration(h.Lease) / time.Second)}
}

// openDoc is a request without an answer.
type openDoc struct {
	Address agent.Address `json:"address"`
	Action  string        `json:"action"`
	At      time.Time     `json:"at"`
}

func openDocs(open []state.Intent) []openDoc {
	docs := []openDoc{}
	for _, i := range open {
		docs = append(docs, openDoc{i.Address, i.Action, i.At})
	}
	return docs
}

const stateInitLong = `Makes a shared state in a bucket or a database, after trying whether the place keeps what a shared state needs.
Where there is one already, nothing changes. A fleet that has a state file moves it there with 'state migrate'.

  s3://BUCKET/PREFIX?region=REGION                      credentials as the AWS tools find them
  s3://BUCKET/PREFIX?endpoint=https://HOST&path-style=true   any store that keeps conditional writes
  postgres://USER@HOST/DB?sslmode=verify-full#fleet=NAME     password from PGPASSWORD or .pgpass

lease=90s in either query is how long a run may go on without reaching the store (10s to 10m, default 60s). No key and
no password stands in the URL. Name it with --state, AGENTSYNC_STATE, or state: in agentsync.yaml.`

func (a *app) stateInitCommand() *cobra.Command {
	var name string
	var printDDL bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a shared state in a bucket or a database",
		Long:  stateInitLong,
		Example: `  agentsync state init --state 's3://acme-agents/prod?region=eu-central-1'
  agentsync state init --state 'postgres://agentsync@db.acme.example/ops?sslmode=verify-full#fleet=prod'
  agentsync state init --print-ddl`,
	}
	flags.State(cmd, &name)
	cmd.Flags().BoolVar(&printDDL, "print-ddl", false,
		"print the statements that make the table in PostgreSQL, for whoever may make one, and do nothing")
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if printDDL {
			_, err := fmt.Fprint(a.Result(), postgres.DDL)
			return err
		}
		place, err := sharedPlace(a.UI, name)
		if err != nil {
			return err
		}
		made, err := initPlace(cmd.Context(), name, place, state.NewLineage(), 0)
		if err != nil {
			return err
		}
		text := "is ready"
		if !made {
			text = "was made before, and is as it was"
		}
		return answerWith(a.UI, format, stateDoc{State: place.Name(), Made: &made},
			fmt.Sprintf("%s %s\n", place.Name(), text))
	}
	return cmd
}

// initPlace makes the shared state, and reports whether there was none.
func initPlace(
	ctx context.Context, name string, place *shared.Place, lineage string, serial uint64,
) (made bool, err error) {
	// Before anything is stored: a table that forgets what it confirmed must never hold a state.
	if err := prepareTable(ctx, name, (*postgres.Table).Make, (*postgres.Table).Durable); err != nil {
		return false, err
	}
	_, err = place.Read(ctx)
	if !errors.Is(err, shared.ErrNotInitialised) {
		return false, exit.OfState(err)
	}
	return true, exit.OfState(place.InitAt(ctx, lineage, serial))
}

// prepareTable takes steps with the table that a URL of PostgreSQL names, and does nothing for any other.
func prepareTable(ctx context.Context, name string, steps ...func(*postgres.Table, context.Context) error) error {
	s, _, err := workspace.OpenStore(name)
	if err != nil {
		return err
	}
	table, ok := s.(*postgres.Table)
	if !ok {
		return nil
	}
	defer table.Close(context.WithoutCancel(ctx))
	for _, step := range steps {
		err := step(table, ctx)
		if errors.Is(err, store.ErrDenied) {
			return &exit.Failure{Code: exit.Usage, Err: err,
				Hint: "see that user and password are right; where this user may not make a table, let somebody make it who " +
					"may:\n  agentsync state init --print-ddl"}
		}
		if err != nil {
			return exit.OfState(err)
		}
	}
	return nil
}

func (a *app) stateCheckCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Try whether a bucket or a database keeps what a shared state needs",
		Long: `Tries whether the place that --state names can be reached with these credentials, what they may do, and whether
the place keeps each condition that a shared state needs, also for 16 writers at once. It writes below probe/ alone, and
removes that again. Credentials that may only read are enough for plan, and say so here.`,
		Example: "  agentsync state check --state 's3://acme-agents/prod?region=eu-central-1'",
	}
	flags.State(cmd, &name)
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		place, err := sharedPlace(a.UI, name)
		if err != nil {
			return err
		}
		// Reading comes first: whoever may only read is to hear that, and not that a write was refused.
		_, err = place.Read(cmd.Context())
		isMade := !errors.Is(err, shared.ErrNotInitialised)
		if err != nil && isMade {
			return exit.OfState(err)
		}
		reads, writes := true, true
		text := place.Name() + " keeps what a shared state needs"
		if err := prepareTable(cmd.Context(), name, (*postgres.Table).Durable); err != nil {
			return err
		}
		if err := place.Probe(cmd.Context()); errors.Is(err, store.ErrDenied) {
			writes, text = false, place.Name()+" can be read with these credentials, and not written: enough for plan"
		} else if err != nil {
			return exit.OfState(err)
		}
		if !isMade {
			text += "; none was made yet: agentsync state init"
		}
		return answerWith(a.UI, format, stateDoc{State: place.Name(), Made: &isMade, Reads: &reads, Writes: &writes},
			text+"\n")
	}
	return cmd
}

func (a *app) stateStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which run has a shared state locked, and what is open in it",
		Long: `Shows who holds the lock of a shared state and when that run was last heard of, by the store's clock, and what requests
have no answer yet. It takes no lock. The exit code is 7 where the state is locked, and 0 where it is free.`,
		Example: "  agentsync state status\n  agentsync state status --format json",
	}
	return a.forShared(cmd, func(ctx context.Context, place *shared.Place, _ []string, answer answerer) error {
		view, err := place.Read(ctx)
		if err != nil {
			return exit.OfState(err)
		}
		snap, err := state.SnapshotOf(place, view)
		if err != nil {
			return exit.OfState(err)
		}
		isLocked, agents := view.Holder != nil, len(snap.State.Agents)
		doc := stateDoc{State: place.Name(), Locked: &isLocked, Serial: &view.Serial, Epoch: &view.Epoch,
			Agents: &agents}
		var text strings.Builder
		fmt.Fprintf(&text, "%s: %s, serial %d, epoch %d\n", place.Name(), diag.Plural(agents, "agent"), view.Serial,
			view.Epoch)
		if isLocked {
			doc.Holder = holderDocOf(view.Holder, view.Age)
			fmt.Fprintf(&text, "locked: %s, last sign of life %d seconds ago\n", view.Holder, view.Age/time.Second)
		} else {
			text.WriteString("nobody has the lock\n")
		}
		doc.Open = openDocs(snap.Open)
		for _, i := range snap.Open {
			fmt.Fprintf(&text, "open: %s of %s, sent about %s\n", i.Action, i.Address, i.At.UTC().
				Format(time.DateTime+" UTC"))
		}
		if err := answer(doc, text.String()); err != nil || !isLocked {
			return err
		}
		return &exit.Failure{Code: exit.Locked}
	})
}

func (a *app) stateUnlockCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Unlock a shared state that a run left locked",
		Long: `Takes the lock of a shared state over from the run that holds it, without waiting for the end of its lease, and frees
it. That run can write and send nothing more, should it still go on: what it was told is durable stays, and the next
apply finds out what became of its requests. A run that died needs no unlock: it is taken over from when its lease is
over.

Asks, after showing who holds the lock; without a terminal it needs --auto-approve.`,
		Example: "  agentsync state unlock\n  agentsync state unlock --auto-approve",
	}
	flags.AutoApprove(cmd, &yes)
	return a.forShared(cmd, func(ctx context.Context, place *shared.Place, _ []string, answer answerer) error {
		view, err := place.Read(ctx)
		if err != nil {
			return exit.OfState(err)
		}
		unlocked := view.Holder != nil
		if !unlocked {
			return answer(stateDoc{State: place.Name(), Unlocked: &unlocked}, "nobody has the lock of "+place.Name()+
				"\n")
		}
		held := &state.LockedError{Path: place.Name(), Holder: *view.Holder, Age: view.Age}
		if !yes {
			a.Printf("%s", show.Line(held.Error()))
			if err := approve(ctx, a.UI, "Take the lock over from it",
				"agentsync state unlock --auto-approve"); err != nil {
				return err
			}
		}
		// From here on the other run can store nothing more, and so it sends nothing more.
		lease, err := place.Unlock(ctx, workspace.Holder(a.UI, "state unlock"))
		if err == nil {
			err = lease.Release(ctx)
		}
		if err != nil {
			return exit.OfState(err)
		}
		return answer(stateDoc{State: place.Name(), Unlocked: &unlocked, Holder: holderDocOf(view.Holder, view.Age)},
			fmt.Sprintf("%s is free: taken over from %s\n", place.Name(), cmp.Or(held.Holder.String(), "its holder")))
	})
}

// approve asks, where there is a terminal to ask on; command is what needs none.
func approve(ctx context.Context, u *ui.UI, question, command string) error {
	if err := u.NeedTerminal(false, "there is ", "do it without a question:\n  "+command); err != nil {
		return err
	}
	return u.Ask(ctx, false, question)
}

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
	}
	flags.State(cmd, &path)
	cmd.Flags().StringVar(&to, "to", "", "the `URL` of the place, as --state takes it")
	flags.LockTimeout(cmd, &wait)
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case to == "":
			return exit.Usagef("say where to: --to URL").
				Hinted("see how a place is named:\n  agentsync state init --help")
		case !workspace.IsShared(to):
			return exit.Usagef("--to is the URL of a bucket or a database").
				Hinted("a shared state becomes a file again by:\n  agentsync state pull > state.json")
		case workspace.IsShared(path):
			return exit.Usagef("the state is in a shared place already, and migrate moves a file").
				Hinted("name the file:\n  agentsync state migrate --state state.json --to URL")
		}
		moved, place, err := migrateState(cmd.Context(), a.UI, path, to, wait)
		if err != nil {
			return err
		}
		agents := len(moved.State.Agents)
		doc := stateDoc{State: place, From: &path, Serial: &moved.State.Serial, Agents: &agents,
			Open: openDocs(moved.Open)}
		return answerWith(a.UI, format, doc, fmt.Sprintf("%s is now in %s, with %s\n", path, place,
			diag.Plural(agents, "agent")))
	}
	return cmd
}

// migrateState moves the state file at path to the place that the URL names, and returns what is there then.
func migrateState(ctx context.Context, u *ui.UI, path, to string,
	wait time.Duration) (moved *state.Snapshot, name string,
	err error) {
	place, err := workspace.OpenPlace(u, to, 0)
	if err != nil {
		return nil, "", err
	}
	// Both locks, the file's first: who waits for it keeps nobody else from the shared place.
	from := state.NewFile(path, workspace.TellHolder(u))
	unlockFrom, err := workspace.Lock(ctx, u, from, "state migrate", wait)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = unlockFrom() }() // the kernel frees it at the latest when the process ends
	snap, err := from.Load(ctx)
	if err != nil {
		return nil, "", exit.OfState(err)
	}
	if !snap.Exists && !snap.Pending && len(snap.Open) == 0 {
		return nil, "", exit.Usagef("there is no state in %s to move", path).
			Hinted("make an empty shared state:\n  agentsync state init --state URL")
	}
	if _, err := initPlace(ctx, to, place, snap.State.Lineage, snap.State.Serial); err != nil {
		return nil, "", err
	}
	target := state.NewShared(place)
	unlockTarget, err := workspace.Lock(ctx, u, target, "state migrate", wait)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = unlockTarget() }() // its lease ends
	there, err := target.Load(ctx)
	if err != nil {
		return nil, "", exit.OfState(err)
	}
	if there.State.Lineage != snap.State.Lineage {
		return nil, "", exit.Usagef("%s holds the state of another fleet than %s", place.Name(), path).
			Hinted("name another prefix, or another fleet=")
	}
	// The place has everything before the file says that it moved: stopped in between, this goes on where it is run
	// again.
	if err := target.TakeOver(ctx, there, snap); err != nil {
		return nil, "", exit.OfState(err)
	}
	if err := from.Leave(ctx, snap, to); err != nil {
		return nil, "", exit.OfState(err)
	}
	moved, err = target.Load(ctx)
	return moved, place.Name(), exit.OfState(err)
}

func (a *app) stateHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the states that a shared place keeps",
		Long: `Lists the states that a shared place keeps, the newest first: the last 20, and all of the last 30 days. 'state rollback'
goes back to one of them.`,
		Example: "  agentsync state history",
	}
	return a.forShared(cmd, func(ctx context.Context, place *shared.Place, _ []string, answer answerer) error {
		all, err := place.History(ctx)
		if err != nil {
			return exit.OfState(err)
		}
		var text strings.Builder
		for _, s := range all {
			fmt.Fprintf(&text, "%8d  %s%s\n", s.Serial, s.At.UTC().Format(time.DateTime+" UTC"),
				map[bool]string{true: "  counts"}[s.Current])
		}
		return answer(stateDoc{State: place.Name(), States: append([]shared.Saved{}, all...)}, text.String())
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
	flags.LockTimeout(cmd, &wait)
	flags.AutoApprove(cmd, &yes)
	return a.forShared(cmd, func(ctx context.Context, place *shared.Place, args []string, answer answerer) error {
		serial, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return exit.Usagef("%q is no serial", args[0]).Hinted("see which there are:\n  agentsync state history")
		}
		// Before the question and the lock: what cannot be gone back to is not asked about.
		content, err := place.Saved(ctx, serial)
		if err != nil {
			return exit.OfState(err)
		}
		old, err := state.Decode(fmt.Sprintf("%s, serial %d", place.Name(), serial), content)
		if err != nil {
			return err
		}
		question := fmt.Sprintf("Go back to serial %d, with %s, in %s", serial, diag.Plural(len(old.Agents), "agent"),
			place.Name())
		if !yes {
			if err := approve(ctx, a.UI, question, "agentsync state rollback "+args[0]+" --auto-approve"); err != nil {
				return err
			}
		}
		file := state.NewDamaged(place) // what counts now may be unreadable: that is when people go back
		unlock, err := workspace.Lock(ctx, a.UI, file, "state rollback", wait)
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }() // its lease ends
		now, err := file.Restore(ctx, old)
		if err != nil {
			return exit.OfState(err)
		}
		agents := len(old.Agents)
		return answer(stateDoc{State: place.Name(), From: &args[0], Serial: &now, Agents: &agents},
			fmt.Sprintf("%s is as in serial %d again, with %s; it is serial %d now\n", place.Name(), serial,
				diag.Plural(agents, "agent"), now))
	})
}
