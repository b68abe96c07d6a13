package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/export"
	"agentsync/internal/flags"
	"agentsync/internal/manifest"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
)

const importLong = `Records an agent that exists at its platform in the state, under ADDRESS, and prints the YAML to put into a
manifest, with ${secret:NAME} in place of each secret. Nothing is sent but reads.

A manifest must have a section for the agent's app. Where the manifests name ADDRESS already, the next
plan is printed instead: what apply would change on the agent.

It is also the way on when a run could not decide which of several agents it had made.`

// importFlags are the flags of import.
type importFlags struct {
	flags.Work
	lockTimeout time.Duration
	write       string
	format      *flags.Choice
}

func (a *app) importCommand() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import ADDRESS UID [PATH…]",
		Short: "Record an existing agent in the state",
		Long:  importLong,
		Example: `  agentsync import mindset/acme/coach Ab3dEf6hIj9kLm2nOp5q
  agentsync import cometchat/2754abc/concierge 0b5a7c1e-4f0e-4a58-9c6e-1d2f3a4b5c6d --write manifests/support.yaml`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: flags.CompleteAddresses(a.UI, &f.State, 1),
	}
	f.Reading(cmd)
	flags.LockTimeout(cmd, &f.lockTimeout)
	cmd.Flags().StringVar(&f.write, "write", "",
		"put the agent into the manifest `FILE`, which is made if it is not there")
	f.format = flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := workspace.Address(args[0])
		if err != nil {
			return err
		}
		if !platform.UsableUID(args[1]) {
			return exit.Usagef("%q cannot be a uid: it is letters, digits and . _ : @ ~ + = - as the platform shows it",
				args[1])
		}
		return importAgent(cmd.Context(), a.UI, f, addr, args[1], args[2:])
	}
	return cmd
}

// importer is one import under way.
type importer struct {
	*workspace.Workspace
	addr agent.Address
	uid  string
	live platform.Remote
	// wanted is what the manifests want, nil where they do not name the address.
	wanted *agent.Desired
	// drawn is the YAML for an agent that no manifest names, with its variables.
	drawn *export.Draft
}

// importAgent is the whole of 'agentsync import'.
func importAgent(ctx context.Context, u *ui.UI, f *importFlags, addr agent.Address, uid string, paths []string) error {
	w, err := f.Open(ctx, u, paths)
	if err != nil {
		return err
	}
	defer w.Close()
	im := &importer{Workspace: w, addr: addr, uid: uid, wanted: w.Desired(addr)}
	if err := w.RequireSection(addr.ID()); err != nil {
		return err
	}
	unlock, err := w.Lock(ctx, "import", f.lockTimeout)
	if err != nil {
		return err
	}
	defer unlock()
	known, err := im.checkFree()
	if err != nil {
		return err
	}
	if err := im.fetch(ctx); err != nil {
		return err
	}
	if im.wanted == nil {
		live := export.Live{Key: addr.Key, Live: plan.Live{UID: uid, Content: im.live.Content, Mark: im.live.Mark}}
		if im.drawn, err = draft(ctx, w, addr.ID(), []export.Live{live}, u.Lookup); err != nil {
			return err
		}
	}
	// First the manifest, then the state: an agent in the state that no manifest names is one that --prune would
	// delete.
	if f.write != "" && im.wanted == nil {
		if err := im.splice(ctx, f.write); err != nil {
			return err
		}
	}
	if !known {
		if err := im.record(ctx); err != nil {
			return err
		}
	}

	said := fmt.Sprintf("imported %s (uid %s)", addr, uid)
	if known {
		said = fmt.Sprintf("%s has the uid %s in state already", addr, uid)
	}
	u.Sayf("%s", said)
	if im.drawn != nil {
		sayDraft(u, im.drawn)
	}
	isWritten := im.wanted != nil || f.write != ""
	switch {
	case f.format.Value == flags.JSON:
		return im.tellJSON(!known, isWritten)
	case isWritten:
		return im.showNext(ctx, f)
	}
	u.Sayf("put this into a manifest, below agents: of %s", addr.ID())
	_, err = u.Result().Write(im.drawn.Item())
	return err
}

// checkFree reports whether the pair is in state already, and fails where one half of it is taken.
func (im *importer) checkFree() (known bool, err error) {
	rec, taken := im.Snap.State.Agents[im.addr]
	for _, other := range im.Snap.State.Addresses() {
		rec := im.Snap.State.Agents[other]
		if other == im.addr && rec.UID == im.uid {
			return true, nil
		}
		if other.ID() == im.addr.ID() && (rec.UID == im.uid || slices.Contains(rec.Obsolete, im.uid)) {
			f := exit.Usagef("the agent %s is in state already, as %s", im.uid, other)
			if !taken {
				f.Hint = fmt.Sprintf("give it the other address instead:\n  agentsync state mv %s %s", other, im.addr)
			}
			return false, f
		}
	}
	if taken && im.openCreates() == nil { // with one open, the new agent takes the old one's place
		return false, exit.Usagef("%s is another agent in state, with the uid %s", im.addr, show.Line(rec.UID)).
			Hinted("choose another key; or let that one go, which stays at the platform:\n  agentsync state rm " +
				im.addr.String())
	}
	return false, nil
}

// openCreates returns the creates of the address whose outcome an earlier run did not learn.
func (im *importer) openCreates() []state.Intent {
	var open []state.Intent
	for _, i := range im.Snap.Open {
		if i.Address == im.addr && i.Action == string(plan.Create) {
			open = append(open, i)
		}
	}
	return open
}

// fetch reads the agent from its platform.
func (im *importer) fetch(ctx context.Context) error {
	id := im.addr.ID()
	apps, err := im.Connect(ctx, id)
	if err != nil {
		return err
	}
	im.live, err = readAgent(ctx, apps[id].Client, im.uid)
	switch {
	case errors.Is(err, platform.ErrNotFound):
		return exit.With(exit.Failed, "%s has no agent with the uid %s", id, im.uid).
			Hinted("look at what is live and not managed:\n  agentsync plan --refresh -v")
	case err != nil:
		return fmt.Errorf("read the agent %s of %s: %w", im.uid, id, err)
	}
	return nil
}

// readAgent reads one agent, from the list where the platform answers no single one.
func readAgent(ctx context.Context, c platform.Client, uid string) (platform.Remote, error) {
	if c.Properties().ReadsOne {
		return c.Read(ctx, uid)
	}
	list, err := c.List(ctx)
	if err != nil {
		return platform.Remote{}, err
	}
	if i := slices.IndexFunc(list, func(r platform.Remote) bool { return r.UID == uid }); i >= 0 {
		return list[i], nil
	}
	return platform.Remote{}, platform.ErrNotFound
}

// splice puts the drawn agent into a manifest, which is made if it is not there.
func (im *importer) splice(ctx context.Context, path string) error {
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		d := im.drawn
		content := export.File(d.Platform, schemaURL(path), export.Section{App: d.App, Agents: d.Agents})
		return outfile.WriteDeep(path, content)
	}
	if err != nil {
		return exit.Usagef("read the manifest of --write: %w", err)
	}
	src := manifest.Source{Path: path, Content: before}
	after, problems, err := im.drawn.Add(ctx, src)
	if problems.HasErrors() {
		im.Source = manifest.SourcesIn([]manifest.Source{src}, im.Manifests).Line
		return im.Problems(problems)
	}
	if other, ok := errors.AsType[*export.OtherAppError](err); ok {
		return exit.Usagef("the %s section of %s is that of %s, and a file has one section for each platform",
			other.App.Platform, path, other.App).
			Hinted("name another file, which is made if it is not there")
	}
	if err != nil {
		return exit.With(exit.Failed, "%s: %w", path, err).
			Hinted("leave --write out, and put what is printed into the file by hand")
	}
	return outfile.Replace(path, after)
}

// record enters the agent into state, and closes what an earlier run left open at its address.
func (im *importer) record(ctx context.Context) error {
	live := im.live.Content.Fields()
	return im.Record(ctx, 1, workspace.TextLen(map[string]any(live)), func(lineage string) ([]state.Result, error) {
		like, sealer := agent.Fields(nil), secret.Sealer{Key: []byte(lineage), Lookup: im.Lookup}
		if im.wanted != nil {
			like = im.wanted.Fields
		} else {
			like, sealer.Lookup = im.drawn.Wanted(im.addr), im.drawn.Lookup
		}
		rec, err := plan.TakeOver(im.uid, live, like, sealer)
		if err != nil {
			return nil, err
		}
		rec.Mark, rec.API = im.live.Mark, im.SchemaOf(im.addr.ID()).Recorded()
		rec.Protect = im.wanted != nil && im.wanted.Protect
		results := []state.Result{{Kind: state.Recorded, Address: im.addr, Record: rec}}
		for i, open := range im.openCreates() {
			if i == 0 { // its result, and that of the others is that they made nothing
				results[0].Intent = open.ID
				continue
			}
			results = append(results, state.Result{Kind: state.Voided, Intent: open.ID, Address: im.addr})
		}
		return append(results, im.Located(im.addr.ID())...), nil
	})
}

// showNext prints what the next plan will do with the agent.
func (im *importer) showNext(ctx context.Context, f *importFlags) error {
	paths := slices.Clone(im.Paths)
	if len(paths) == 0 {
		paths = []string{workspace.DefaultPath}
	}
	if f.write != "" {
		paths = append(paths, f.write) // one that is named twice is read once
	}
	o := im.Options
	o.Targets = []string{im.addr.String()}
	w, err := workspace.Open(ctx, im.UI, o, paths)
	if err != nil {
		return err
	}
	defer w.Close()
	p, err := w.OfflinePlan()
	if err != nil {
		return err
	}
	return report.PlanText(im.Result(), p, im.Style(im.Out))
}

func (im *importer) tellJSON(imported, isWritten bool) error {
	doc := struct {
		FormatVersion string            `json:"formatVersion"`
		Address       agent.Address     `json:"address"`
		UID           string            `json:"uid"`
		Imported      bool              `json:"imported"`
		Manifest      string            `json:"manifest,omitempty"`
		Secrets       []export.Variable `json:"secrets"`
	}{report.FormatVersion, im.addr, im.uid, imported, "", []export.Variable{}}
	if im.drawn != nil {
		doc.Secrets = append(doc.Secrets, im.drawn.Variables...)
		if !isWritten {
			doc.Manifest = string(bytes.TrimRight(im.drawn.Item(), "\n")) + "\n"
		}
	}
	return im.JSON(doc)
}
