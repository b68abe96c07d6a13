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
	"agentsync/internal/manifest"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

const importLong = `Records an agent that exists at its platform in the state, under ADDRESS, and prints the YAML to put into a
manifest, with ${secret:NAME} in place of each secret. Nothing is sent but reads.

A manifest must have a section for the agent's app. Where the manifests name ADDRESS already, the next
plan is printed instead: what apply would change on the agent.

It is also the way on when a run could not decide which of several agents it had made.`

// importFlags are the flags of import.
type importFlags struct {
	planFlags
	lockTimeout time.Duration
	write       string
	format      *choice
}

func (a *app) importCommand() *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import ADDRESS UID [PATH…]",
		Short: "Record an existing agent in the state",
		Long:  importLong,
		Example: `  agentsync import mindset/acme/coach Ab3dEf6hIj9kLm2nOp5q
  agentsync import cometchat/2754abc/concierge 0b5a7c1e-4f0e-4a58-9c6e-1d2f3a4b5c6d --write manifests/support.yaml`,
		Args: cobra.MinimumNArgs(2),
	}
	f.addReading(cmd)
	addLockTimeout(cmd, &f.lockTimeout)
	cmd.Flags().StringVar(&f.write, "write", "", "put the agent into the manifest `FILE`, which is made if it is not there")
	f.format = addFormatOf(cmd, formatText, formatJSON)
	cmd.ValidArgsFunction = a.completeAddresses(&f.state, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := agent.ParseAddress(args[0])
		if err != nil {
			return &exit.Failure{Code: exit.Usage, Err: err}
		}
		if !platform.UsableUID(args[1]) {
			return exit.Usagef("%q cannot be a uid: it is letters, digits and - as the platform shows it", args[1])
		}
		return a.importAgent(cmd.Context(), f, addr, args[1], args[2:])
	}
	return cmd
}

// importer is one import under way.
type importer struct {
	*workspace
	flags *importFlags
	addr  agent.Address
	uid   string
	paths []string
	live  platform.Remote
	// wanted is what the manifests want, nil where they do not name the address.
	wanted *agent.Desired
	// drawn is the YAML for an agent that no manifest names, with its variables.
	drawn *export.Draft
}

func (a *app) importAgent(ctx context.Context, f *importFlags, addr agent.Address, uid string, paths []string) error {
	w, err := a.openWorkspace(ctx, f.planFlags, paths)
	if err != nil {
		return err
	}
	defer w.close()
	im := &importer{workspace: w, flags: f, addr: addr, uid: uid, paths: paths, wanted: w.desired(addr)}
	if err := w.requireSection(addr.ID()); err != nil {
		return err
	}
	unlock, err := a.lock(ctx, w.file, "import", f.lockTimeout)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the kernel frees it at the latest when the process ends
	if err := w.load(); err != nil {
		return err
	}
	known, err := im.checkFree()
	if err != nil {
		return err
	}
	if err := im.fetch(ctx); err != nil {
		return err
	}
	if im.wanted == nil {
		live := export.Live{Key: addr.Key, Live: plan.Live{UID: uid, Content: im.live.Content, Mark: im.live.Mark}}
		if im.drawn, err = w.draft(ctx, addr.ID(), []export.Live{live}, a.Lookup); err != nil {
			return err
		}
	}
	if f.write != "" && im.wanted == nil {
		if err := im.splice(ctx); err != nil {
			return err
		}
	}
	if !known {
		if err := im.record(); err != nil {
			return err
		}
	}
	return im.tell(ctx, known)
}

// checkFree reports whether the pair is in state already, and fails where one half of it is taken.
func (im *importer) checkFree() (known bool, err error) {
	for _, other := range im.snap.State.Addresses() {
		rec := im.snap.State.Agents[other]
		if other == im.addr && rec.UID == im.uid {
			return true, nil
		}
		if other.ID() == im.addr.ID() && (rec.UID == im.uid || slices.Contains(rec.Obsolete, im.uid)) {
			f := exit.Usagef("the agent %s is in state already, as %s", im.uid, other)
			if _, taken := im.snap.State.Agents[im.addr]; !taken {
				f.Hint = fmt.Sprintf("give it the other address instead:\n  agentsync state mv %s %s", other, im.addr)
			}
			return false, f
		}
	}
	rec, taken := im.snap.State.Agents[im.addr]
	if taken && im.openCreates() == nil { // with one open, the new agent takes the old one's place
		return false, exit.Usagef("%s is another agent in state, with the uid %s", im.addr, report.Sanitize(rec.UID)).
			Hinted("choose another key; or let that one go, which stays at the platform:\n  agentsync state rm " + im.addr.String())
	}
	return false, nil
}

// openCreates returns the creates of the address whose outcome an earlier run did not learn.
func (im *importer) openCreates() []state.Intent {
	var open []state.Intent
	for _, i := range im.snap.Open {
		if i.Address == im.addr && i.Action == string(plan.Create) {
			open = append(open, i)
		}
	}
	return open
}

// fetch reads the agent from its platform.
func (im *importer) fetch(ctx context.Context) error {
	id := im.addr.ID()
	apps, err := im.reach(ctx, id)
	if err != nil {
		return err
	}
	remote, err := readAgent(ctx, apps[id].Client, im.uid)
	switch {
	case errors.Is(err, platform.ErrNotFound):
		return exit.With(exit.Failed, "%s has no agent with the uid %s", id, im.uid).
			Hinted("look at what is live and not managed:\n  agentsync plan --refresh -v")
	case err != nil:
		return fmt.Errorf("read the agent %s of %s: %w", im.uid, id, err)
	}
	im.live = remote
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

// splice puts the drawn agent into the manifest that --write names.
func (im *importer) splice(ctx context.Context) error {
	path := im.flags.write
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return im.writeNew(path)
	}
	if err != nil {
		return exit.Usagef("read the manifest of --write: %w", err)
	}
	after, problems, err := im.drawn.Add(ctx, manifest.Source{Path: path, Content: before})
	if problems.HasErrors() {
		im.app.Source = manifest.SourcesIn([]manifest.Source{{Path: path, Content: before}}, im.inMemory()).Line
		return im.app.Problems(problems)
	}
	if other, ok := errors.AsType[*export.OtherAppError](err); ok {
		return exit.Usagef("the %s section of %s is that of %s, and a file has one section for each platform", other.App.Platform, path, other.App).
			Hinted("name another file, which is made if it is not there")
	}
	if err != nil {
		return exit.With(exit.Failed, "%s: %w", path, err).
			Hinted("leave --write out, and put what is printed into the file by hand")
	}
	return outfile.Replace(path, after)
}

func (im *importer) writeNew(path string) error {
	content := export.File(im.drawn.Platform, schemaURL(path), export.Section{App: im.drawn.App, Agents: im.drawn.Agents})
	return outfile.WriteDeep(path, 0o644, content)
}

// record enters the agent into state, and closes what an earlier run left open at its address.
func (im *importer) record() error {
	run, err := im.file.Begin(im.snap, reserveFor(1, textLen(map[string]any(im.live.Content.Fields()))))
	if err != nil {
		return exit.OfState(err)
	}
	rec, err := im.takeOver([]byte(run.Lineage()))
	rec.API = im.schemaOf(im.addr.ID()).Recorded()
	if err == nil {
		result := state.Result{Kind: state.Recorded, Address: im.addr, Record: rec}
		results := []state.Result{result}
		located := im.located(im.addr.ID())
		for i, open := range im.openCreates() {
			if i == 0 {
				results[0].Intent = open.ID
				continue
			}
			results = append(results, state.Result{Kind: state.Voided, Intent: open.ID, Address: im.addr})
		}
		err = run.Commit(append(results, located...)...)
	}
	return errors.Join(err, im.app.closeRun(im.workspace, run))
}

func (im *importer) takeOver(lineage []byte) (rec agent.Record, err error) {
	live := im.live.Content.Fields()
	if im.wanted == nil {
		rec, err = plan.TakeOver(im.uid, live, im.drawn.Wanted(im.addr), secret.Sealer{Key: lineage, Lookup: im.drawn.Lookup})
	} else {
		rec, err = plan.TakeOver(im.uid, live, im.wanted.Fields, secret.Sealer{Key: lineage, Lookup: im.app.Lookup})
		rec.Protect = im.wanted.Protect
	}
	rec.Mark = im.live.Mark
	return rec, err
}

// tell writes the result: the YAML to paste, or what the next plan does where a manifest has the agent.
func (im *importer) tell(ctx context.Context, known bool) error {
	said := fmt.Sprintf("imported %s (uid %s)", im.addr, im.uid)
	if known {
		said = fmt.Sprintf("%s has the uid %s in state already", im.addr, im.uid)
	}
	if !im.app.Quiet {
		fmt.Fprintln(im.app.Err, said)
	}
	inManifest := im.wanted != nil || im.flags.write != ""
	if im.drawn != nil {
		im.app.sayDraft(im.drawn)
	}
	if im.flags.format.value == formatJSON {
		return im.tellJSON(!known, inManifest)
	}
	if !inManifest {
		if !im.app.Quiet {
			fmt.Fprintf(im.app.Err, "put this into a manifest, below agents: of %s\n", im.addr.ID())
		}
		_, err := im.app.Out.Write(im.drawn.Item())
		return err
	}
	return im.showNext(ctx)
}

// showNext prints what the next plan will do with the agent.
func (im *importer) showNext(ctx context.Context) error {
	next := planFlags{state: im.flags.state, targets: []string{im.addr.String()}, connectFlags: im.flags.connectFlags}
	w, err := im.app.openWorkspace(ctx, next, im.pathsWith(im.flags.write))
	if err != nil {
		return err
	}
	defer w.close()
	p, err := w.build()
	if err != nil {
		return err
	}
	im.app.Answered = true
	return report.PlanText(im.app.Out, p, im.app.Style(im.app.Out))
}

// pathsWith returns the manifests' paths and, where they do not lead to it, the file that was written.
func (im *importer) pathsWith(file string) []string {
	paths := im.paths
	if len(paths) == 0 {
		paths = []string{defaultPath}
	}
	if file == "" {
		return paths
	}
	return append(paths[:len(paths):len(paths)], file) // one that is named twice is read once
}

func (im *importer) tellJSON(imported, inManifest bool) error {
	doc := struct {
		FormatVersion string        `json:"formatVersion"`
		Address       string        `json:"address"`
		UID           string        `json:"uid"`
		Imported      bool          `json:"imported"`
		Manifest      string        `json:"manifest,omitempty"`
		Secrets       []variableDoc `json:"secrets"`
	}{report.FormatVersion, im.addr.String(), im.uid, imported, "", []variableDoc{}}
	if im.drawn != nil {
		doc.Secrets = variableDocs(im.drawn)
		if !inManifest {
			doc.Manifest = string(bytes.TrimRight(im.drawn.Item(), "\n")) + "\n"
		}
	}
	return im.app.JSON(doc)
}
