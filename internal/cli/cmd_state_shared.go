package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/exit"
	"agentsync/internal/report"
	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/ui"
)

const stateInitLong = `Makes a shared state in a bucket or a database, after trying whether the place keeps what a shared state needs.
Where there is one already, nothing changes. A fleet that has a state file moves it there with 'state migrate'.

  s3://BUCKET/PREFIX?region=REGION                      credentials as the AWS tools find them
  s3://BUCKET/PREFIX?endpoint=https://HOST&path-style=true   any store that keeps conditional writes
  postgres://USER@HOST/DB?sslmode=verify-full#fleet=NAME     password from PGPASSWORD or .pgpass

lease=90s in either query is how long a run may go on without reaching the store (10s to 10m, default 60s). No key and no
password stands in the URL. Name it with --state, AGENTSYNC_STATE, or state: in agentsync.yaml.`

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
		Args: cobra.NoArgs,
	}
	addState(cmd, &name)
	cmd.Flags().BoolVar(&printDDL, "print-ddl", false, "print the statements that make the table in PostgreSQL, for whoever may make one, and do nothing")
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if printDDL {
			a.Answered = true
			_, err := fmt.Fprint(a.Out, postgres.DDL)
			return err
		}
		place, err := a.sharedPlace(name)
		if err != nil {
			return err
		}
		made, err := a.initPlace(cmd.Context(), name, place, state.NewLineage(), 0)
		if err != nil {
			return err
		}
		text := "is ready"
		if !made {
			text = "was made before, and is as it was"
		}
		return a.answer(format, stateDoc{State: place.Name(), Made: &made}, fmt.Sprintf("%s %s\n", place.Name(), text))
	}
	return cmd
}

// initPlace makes the shared state, and reports whether there was none.
func (a *app) initPlace(ctx context.Context, name string, place *shared.Place, lineage string, serial uint64) (made bool, err error) {
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
	s, _, err := openStore(name)
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
			return &exit.Failure{Code: exit.Usage, Err: err, Hint: "see that user and password are right; where this user may not make a table, let somebody make it who may:\n  agentsync state init --print-ddl"}
		}
		if err != nil {
			return exit.OfState(err)
		}
	}
	return nil
}

// sharedPlace opens the shared place of a command that is of no use for a file.
func (a *app) sharedPlace(name string) (*shared.Place, error) {
	if !isShared(name) {
		return nil, exit.Usagef("%s is a file, and this is for a state in a bucket or a database", name).
			Hinted("name that by --state URL, AGENTSYNC_STATE, or state: in agentsync.yaml; see how it is named:\n  agentsync state init --help")
	}
	return a.openPlace(name, 0)
}

// answerer writes a command's one result.
type answerer func(doc stateDoc, text string) error

// forShared completes a command for a state in a bucket or a database, with --state and --format. run gets the place.
func (a *app) forShared(
	cmd *cobra.Command, run func(ctx context.Context, place *shared.Place, args []string, answer answerer) error,
) *cobra.Command {
	var name string
	addState(cmd, &name)
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		place, err := a.sharedPlace(name)
		if err != nil {
			return err
		}
		return run(cmd.Context(), place, args, func(doc stateDoc, text string) error { return a.answer(format, doc, text) })
	}
	return cmd
}

// approve asks, where there is a terminal to ask on; command is what needs none.
func (a *app) approve(ctx context.Context, question, command string) error {
	if err := a.NeedTerminal(false, "there is ", "do it without a question:\n  "+command); err != nil {
		return err
	}
	return a.Ask(ctx, false, question)
}

// stateDoc is the JSON of the commands for a shared state. Each has the members that its schema says.
type stateDoc struct {
	FormatVersion string     `json:"formatVersion"`
	State         string     `json:"state"`
	Made          *bool      `json:"made,omitempty"`
	Reads         *bool      `json:"reads,omitempty"`
	Writes        *bool      `json:"writes,omitempty"`
	Locked        *bool      `json:"locked,omitempty"`
	Unlocked      *bool      `json:"unlocked,omitempty"`
	Holder        *holderDoc `json:"holder,omitempty"`
	Serial        *uint64    `json:"serial,omitempty"`
	Epoch         *uint64    `json:"epoch,omitempty"`
	Agents        *int       `json:"agents,omitempty"`
	Added         *int       `json:"added,omitempty"`
	Open          []openDoc  `json:"open,omitzero"`
	States        []savedDoc `json:"states,omitzero"`
	From          *string    `json:"from,omitempty"`
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

// openDoc is a request without an answer.
type openDoc struct {
	Address string    `json:"address"`
	Action  string    `json:"action"`
	At      time.Time `json:"at"`
}

// savedDoc is a state that is kept.
type savedDoc struct {
	Serial  uint64    `json:"serial"`
	At      time.Time `json:"at"`
	Current bool      `json:"current"`
}

// answer writes a command's one result.
func (a *app) answer(format *choice, doc stateDoc, text string) error {
	a.Answered = true
	if format.value == formatJSON {
		doc.FormatVersion = report.FormatVersion
		return report.JSON(a.Out, doc)
	}
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(a.Out, report.Sanitize(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
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
		Args:    cobra.NoArgs,
	}
	addState(cmd, &name)
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		place, err := a.sharedPlace(name)
		if err != nil {
			return err
		}
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
		return a.answer(format, stateDoc{State: place.Name(), Made: &isMade, Reads: &reads, Writes: &writes}, text+"\n")
	}
	return cmd
}

func (a *app) stateStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show which run has a shared state locked, and what is open in it",
		Long: `Shows who holds the lock of a shared state and when that run was last heard of, by the store's clock, and what requests
have no answer yet. It takes no lock. The exit code is 7 where the state is held, and 0 where it is free.`,
		Example: "  agentsync state status\n  agentsync state status --format json",
		Args:    cobra.NoArgs,
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
		doc := stateDoc{State: place.Name(), Locked: &isLocked, Serial: &view.Serial, Epoch: &view.Epoch, Agents: &agents}
		var text strings.Builder
		fmt.Fprintf(&text, "%s: %s, serial %d, epoch %d\n", place.Name(), ui.Count(agents, "agent"), view.Serial, view.Epoch)
		if isLocked {
			doc.Holder = holderDocOf(view.Holder, view.Age)
			fmt.Fprintf(&text, "held: %s\n", state.LockedBy(&shared.HeldError{Place: place.Name(), Holder: *view.Holder, Age: view.Age}))
		} else {
			text.WriteString("nobody holds it\n")
		}
		doc.Open = openDocs(snap.Open)
		for _, i := range snap.Open {
			fmt.Fprintf(&text, "open: %s of %s, sent about %s\n", i.Action, i.Address, i.At.UTC().Format(time.DateTime+" UTC"))
		}
		if err := answer(doc, text.String()); err != nil || !isLocked {
			return err
		}
		return &exit.Failure{Code: exit.Locked}
	})
}

func holderDocOf(h *shared.Holder, age time.Duration) *holderDoc {
	return &holderDoc{h.Command, h.User, h.Host, h.PID, h.Started, h.RunURL, int64(age / time.Second), int64(time.Duration(h.Lease) / time.Second)}
}

func (a *app) stateUnlockCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Unlock a shared state that a run left locked",
		Long: `Takes the lock of a shared state over from the run that holds it, without waiting for the end of its lease, and frees
it. That run can write and send nothing more, should it still go on: what it was told is durable stays, and the next apply
finds out what became of its requests. A run that died needs no unlock: it is taken over from when its lease is over.

Asks, after showing who holds the lock; without a terminal it needs --auto-approve.`,
		Example: "  agentsync state unlock\n  agentsync state unlock --auto-approve",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVarP(&yes, "auto-approve", "y", false, "do not ask")
	return a.forShared(cmd, func(ctx context.Context, place *shared.Place, _ []string, answer answerer) error {
		view, err := place.Read(ctx)
		if err != nil {
			return exit.OfState(err)
		}
		unlocked := view.Holder != nil
		if !unlocked {
			return answer(stateDoc{State: place.Name(), Unlocked: &unlocked}, "nobody holds "+place.Name()+"\n")
		}
		held := state.LockedBy(&shared.HeldError{Place: place.Name(), Holder: *view.Holder, Age: view.Age})
		if !yes {
			fmt.Fprintln(a.Err, report.Sanitize(held.Error()))
			if err := a.approve(ctx, "Take the lock over from it", "agentsync state unlock --auto-approve"); err != nil {
				return err
			}
		}
		lease, err := place.Unlock(ctx, a.holder("state unlock").Shared())
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
