package cli

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/export"
	"agentsync/internal/flags"
	"agentsync/internal/manifest"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
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
	flags.Work
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
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: flags.CompleteAddresses(a.UI, &f.State, 0),
	}
	f.Reading(cmd)
	flags.LockTimeout(cmd, &f.lockTimeout)
	flags.AutoApprove(cmd, &f.autoApprove)
	cmd.Flags().StringArrayVar(&f.manifests, "manifests", nil,
		"the `PATH` of the manifests (default manifests); repeatable")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the diff and write nothing")
	cmd.RunE = func(cmd *cobra.Command, globs []string) error {
		f.Targets = globs
		return pull(cmd.Context(), a.UI, f)
	}
	return cmd
}

// pulling is one pull under way.
type pulling struct {
	*workspace.Workspace
	live   map[agent.Address]plan.Live
	puller export.Puller
	pulls  []export.Pull
}

// pull is the whole of 'agentsync pull'.
func pull(ctx context.Context, u *ui.UI, f *pullFlags) error {
	w, err := f.Open(ctx, u, f.manifests)
	if err != nil {
		return err
	}
	defer w.Close()
	p := &pulling{Workspace: w}
	if err := p.compare(ctx); err != nil {
		return err
	}
	left := p.show()
	switch {
	case len(p.puller.Files) == 0 && left > 0:
		return &exit.Failure{Code: exit.Refused} // each was named with its reason
	case len(p.puller.Files) == 0:
		u.Printf("Nothing was changed at the platforms that the manifests do not have.")
		return nil
	case f.dryRun:
		return nil
	}
	if err := u.NeedTerminal(f.autoApprove, "there are changes to write, and ",
		"look at them, then write them without a question:\n  agentsync pull --dry-run\n  agentsync pull --auto-approve"); err != nil {
		return err
	}
	if err := u.Ask(ctx, f.autoApprove, "Write "+diag.Plural(len(p.puller.Files), "file")); err != nil {
		return err
	}

	// The lock is taken only now, so that nobody waits for a person. What the diff was made of must still be so.
	unlock, err := workspace.Lock(ctx, u, w.File, "pull", f.lockTimeout)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the kernel, or the end of the lease, frees it at the latest
	if err := p.checkUnchanged(ctx); err != nil {
		return err
	}
	// First the files: in the other order, a run that ends in between would leave a state that knows values which no
	// manifest has, and the next apply would take them back.
	names := slices.Sorted(maps.Keys(p.puller.Files))
	for _, name := range names {
		if err := outfile.Replace(filepath.FromSlash(name), p.puller.Files[name]); err != nil {
			return err
		}
	}
	if err := p.record(ctx); err != nil {
		return err
	}
	u.Sayf("wrote %s", show.Line(strings.Join(names, ", ")))
	return nil
}

// compare finds out what differs and makes the files of it, in memory.
func (p *pulling) compare(ctx context.Context) error {
	apps, err := p.Connect(ctx)
	if err != nil {
		return err
	}
	known, err := p.Lists(ctx, apps)
	if err != nil {
		return err
	}
	p.live = map[agent.Address]plan.Live{}
	for addr, rec := range p.Snap.State.Agents {
		live := known.Live[addr.ID()]
		if i := slices.IndexFunc(live, func(l plan.Live) bool { return l.UID == rec.UID }); i >= 0 {
			p.live[addr] = live[i]
		}
	}
	made, err := plan.Build(p.Input(known))
	if err != nil {
		return err
	}
	parser, err := p.Parser()
	if err != nil {
		return err
	}
	p.puller = export.Puller{Parser: parser, Fleet: p.Fleet, Files: map[string][]byte{}, Was: map[string][]byte{},
		Read: func(name string) ([]byte, error) { return os.ReadFile(filepath.FromSlash(name)) }}
	for _, ch := range made.Changes {
		if _, known := p.live[ch.Address]; !known || ch.Action != plan.Update && ch.Action != plan.Replace {
			continue
		}
		pull, err := p.puller.Agent(ctx, p.SchemaOf(ch.Address.ID()), ch)
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
		if slices.Contains(p.Fleet.Files, name) { // the lines around a change may have a credential in the clear
			was, is = manifest.Masked(name, was, p.Manifests), manifest.Masked(name, is, p.Manifests)
		}
		printDiff(p.UI, lineEndDiff(name, string(was), string(is)))
	}
	for _, pull := range p.pulls {
		for _, l := range pull.Left {
			left++
			p.Warn(fmt.Sprintf("%s of %s is left as it is: %s", show.Path(l.Path), pull.Address, l.Reason), "")
		}
	}
	return left
}

// checkUnchanged refuses to write where the state or a file is not what the diff was made of.
func (p *pulling) checkUnchanged(ctx context.Context) error {
	fresh, err := p.File.Fresh(ctx, p.Snap)
	if err != nil {
		return exit.OfState(err)
	}
	changed := ""
	if !fresh {
		changed = p.State
	}
	for name, was := range p.puller.Was {
		if now, err := p.puller.Read(name); err != nil || !bytes.Equal(now, was) {
			changed = name
		}
	}
	if changed == "" {
		return nil
	}
	return exit.With(exit.Stale, "%s was changed meanwhile; nothing was written", show.Line(changed)).
		Hinted("run the command again")
}

// record enters what was pulled into the state.
func (p *pulling) record(ctx context.Context) error {
	text := 0
	for _, pull := range p.pulls {
		text += workspace.TextLen(map[string]any(p.live[pull.Address].Content.Fields()))
	}
	return p.Record(ctx, len(p.pulls), text, func(lineage string) (results []state.Result, err error) {
		sealer := secret.Sealer{Key: []byte(lineage), Lookup: p.KnownSecrets()}
		for _, pull := range p.pulls {
			if len(pull.Fields) == 0 {
				continue
			}
			rec, err := pull.Record(p.Snap.State.Agents[pull.Address], p.live[pull.Address].Content, sealer)
			if err != nil {
				return nil, err
			}
			results = append(results, state.Result{Kind: state.Recorded, Address: pull.Address, Record: rec})
		}
		return results, nil
	})
}
