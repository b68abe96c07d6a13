package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/export"
	"agentsync/internal/manifest"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/ui"
)

const pullLong = `Writes what is live into the manifests of agents that are managed already: for a change that somebody made in a
dashboard and that is to stay. Nothing is sent but reads.

Only values that were changed at the platform are written, each in its place: comments, order and everything else stay.
A value that comes from a prompt file is written into that file. A default is not copied into each agent: the agent that
differs gets the value. The diff is shown first, and a question asked; without a terminal it needs --auto-approve.
The state is brought up to date, so that the next plan is empty.

Left as they are, and named: secrets, values that are written with ${env:} or ${secret:}, and fields that the manifest
changed as well since the last apply.`

// pullFlags are the flags of pull.
type pullFlags struct {
	planFlags
	manifests   []string
	lockTimeout time.Duration
	dryRun      bool
	autoApprove bool
}

func (a *app) pullCommand() *cobra.Command {
	f := &pullFlags{}
	cmd := &cobra.Command{
		Use:   "pull [ADDRESS-GLOB…]",
		Short: "Write what is live into the manifests of managed agents",
		Long:  pullLong,
		Example: `  agentsync pull --dry-run
  agentsync pull concierge
  agentsync pull 'mindset/acme/*' --auto-approve`,
		Args: cobra.ArbitraryArgs,
	}
	f.addReading(cmd)
	addLockTimeout(cmd, &f.lockTimeout)
	cmd.Flags().StringArrayVar(&f.manifests, "manifests", nil, "the `PATH` of the manifests (default manifests); repeatable")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the diff and write nothing")
	cmd.Flags().BoolVarP(&f.autoApprove, "auto-approve", "y", false, "do not ask")
	cmd.ValidArgsFunction = a.completeAddresses(&f.state, 0)
	cmd.RunE = func(cmd *cobra.Command, globs []string) error {
		f.targets = globs
		return a.pull(cmd.Context(), f)
	}
	return cmd
}

// pulling is one pull under way.
type pulling struct {
	*workspace
	flags  *pullFlags
	live   map[agent.Address]plan.Live
	puller export.Puller
	pulls  []export.Pull
}

func (a *app) pull(ctx context.Context, f *pullFlags) error {
	w, err := a.openWorkspace(ctx, f.planFlags, f.manifests)
	if err != nil {
		return err
	}
	defer w.close()
	p := &pulling{workspace: w, flags: f}
	if err := p.read(ctx); err != nil {
		return err
	}
	left := p.show()
	if len(p.puller.Files) == 0 {
		if left > 0 {
			return &exit.Failure{Code: exit.Refused} // each was named with its reason
		}
		fmt.Fprintln(a.Err, "Nothing was changed at the platforms that the manifests do not have.")
		return nil
	}
	if f.dryRun {
		return nil
	}
	if err := a.NeedTerminal(f.autoApprove, "there are changes to write, and ",
		"look at them, then write them without a question:\n  agentsync pull --dry-run\n  agentsync pull --auto-approve"); err != nil {
		return err
	}
	if err := a.Ask(ctx, f.autoApprove, "Write "+ui.Count(len(p.puller.Files), "file")); err != nil {
		return err
	}
	return p.write(ctx)
}

// read finds out what differs and makes the files of it, in memory.
func (p *pulling) read(ctx context.Context) error {
	if err := p.startSandbox(); err != nil {
		return err
	}
	apps, err := p.connect(ctx)
	if err != nil {
		return err
	}
	live, gone, err := p.workspace.live(ctx, apps)
	if err != nil {
		return err
	}
	p.live = map[agent.Address]plan.Live{}
	for addr, rec := range p.snap.State.Agents {
		if i := slices.IndexFunc(live[addr.ID()], func(l plan.Live) bool { return l.UID == rec.UID }); i >= 0 {
			p.live[addr] = live[addr.ID()][i]
		}
	}
	made, err := plan.Build(p.input(p.known(live, gone)))
	if err != nil {
		return err
	}
	parser, err := p.parser()
	if err != nil {
		return err
	}
	p.puller = export.Puller{Parser: parser, Fleet: p.fleet, Files: map[string][]byte{}, Was: map[string][]byte{},
		Read: func(name string) ([]byte, error) { return os.ReadFile(filepath.FromSlash(name)) }}
	for _, ch := range made.Changes {
		if _, known := p.live[ch.Address]; !known || ch.Action != plan.Update && ch.Action != plan.Replace {
			continue
		}
		pull, err := p.puller.Agent(ctx, p.schemaOf(ch.Address.ID()), ch)
		if err != nil {
			return err
		}
		p.pulls = append(p.pulls, pull)
	}
	for name, content := range p.puller.Files { // a value may be written and taken back
		if bytes.Equal(content, p.puller.Was[name]) {
			delete(p.puller.Files, name)
		}
	}
	return nil
}

// show prints the diff of every file, and names what is left as it is. It returns how many values that are.
func (p *pulling) show() (left int) {
	for _, name := range slices.Sorted(maps.Keys(p.puller.Files)) {
		was, is := p.puller.Was[name], p.puller.Files[name]
		if slices.Contains(p.fleet.Files, name) { // the lines around a change may have a credential in the clear
			was, is = manifest.Masked(name, was, p.inMemory()), manifest.Masked(name, is, p.inMemory())
		}
		p.app.printDiff(lineEndDiff(name, string(was), string(is)))
	}
	for _, pull := range p.pulls {
		for _, l := range pull.Left {
			left++
			p.app.Warn(fmt.Sprintf("%s of %s is left as it is: %s", ui.FieldName(l.Path), pull.Address, l.Reason), "")
		}
	}
	return left
}

// write writes the files and the state, if both are still what the diff was made of.
func (p *pulling) write(ctx context.Context) error {
	unlock, err := p.app.lock(ctx, p.file, "pull", p.flags.lockTimeout)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the kernel frees it at the latest when the process ends
	fresh, err := p.file.Fresh(p.snap)
	if err != nil {
		return exit.OfState(err)
	}
	changed := ""
	for name, was := range p.puller.Was {
		if now, err := p.puller.Read(name); err != nil || !bytes.Equal(now, was) {
			changed = name
		}
	}
	if !fresh || changed != "" {
		if changed == "" {
			changed = p.flags.state
		}
		return exit.With(exit.Stale, "%s was changed meanwhile; nothing was written", report.Sanitize(changed)).
			Hinted("run the command again")
	}
	names := slices.Sorted(maps.Keys(p.puller.Files))
	for _, name := range names {
		if err := outfile.Replace(filepath.FromSlash(name), p.puller.Files[name]); err != nil {
			return err
		}
	}
	if err := p.record(); err != nil {
		return err
	}
	if !p.app.Quiet {
		fmt.Fprintf(p.app.Err, "wrote %s\n", report.Sanitize(strings.Join(names, ", ")))
	}
	return nil
}

// record enters what was pulled into the state.
func (p *pulling) record() error {
	size := 0
	for _, pull := range p.pulls {
		size += textLen(map[string]any(p.live[pull.Address].Content.Fields()))
	}
	run, err := p.file.Begin(p.snap, reserveFor(len(p.pulls), size))
	if err != nil {
		return exit.OfState(err)
	}
	var results []state.Result
	for _, pull := range p.pulls {
		if len(pull.Fields) == 0 {
			continue
		}
		rec, err := pull.Record(p.snap.State.Agents[pull.Address], p.live[pull.Address].Content,
			secret.Sealer{Key: []byte(run.Lineage()), Lookup: p.secrets()})
		if err != nil {
			return errors.Join(err, p.app.closeRun(p.workspace, run))
		}
		results = append(results, state.Result{Kind: state.Recorded, Address: pull.Address, Record: rec})
	}
	return errors.Join(run.Commit(results...), p.app.closeRun(p.workspace, run))
}
