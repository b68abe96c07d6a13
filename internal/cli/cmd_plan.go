package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/checkout"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/ui"
)

const planLong = `Shows what apply would do, from the manifests and the state alone: no network, no keys, no secrets needed. A state in a
bucket or a database is read from there, without its lock and with credentials that may only read.

A change of a manifest is a difference from what was last applied. With --refresh, what is live is read
first, and changes that someone else made there show as drift.

Nothing is deleted without --prune: an agent that is in no manifest any more is shown as kept. With --prune,
name all manifests of an app: an agent of that app that is in none of them is deleted.`

// planOutputs are the flags that say what becomes of a plan.
type planOutputs struct {
	format   *choice
	detailed bool
	out      string
	files    planFiles
	check    string
}

func (a *app) planCommand() *cobra.Command {
	return a.planning(&cobra.Command{
		Use:   "plan [PATH…]",
		Short: "Show what apply would do",
		Long:  planLong,
		Example: `  agentsync plan
  agentsync plan --format markdown > comment.md
  agentsync plan --out plan.bin && agentsync apply --plan plan.bin
  agentsync plan --target 'mindset/acme/*' --detailed-exitcode`,
	}, false)
}

// diffCommand is 'plan --refresh' by the name that kubectl users know.
func (a *app) diffCommand() *cobra.Command {
	return a.planning(&cobra.Command{
		Use:   "diff [PATH…]",
		Short: "Show what apply would do, against what is live (plan --refresh)",
		Long: `Reads what is live and shows exactly what apply would do, changes that were made elsewhere (drift) among it. It is
another name of 'plan --refresh', with the same flags and the same exit codes.`,
		Example: `  agentsync diff
  agentsync diff --target concierge --detailed-exitcode`,
	}, true)
}

// planning makes cmd show plans. Those of diff are always made against what is live.
func (a *app) planning(cmd *cobra.Command, diff bool) *cobra.Command {
	var flags planFlags
	var o planOutputs
	cmd.Args = cobra.ArbitraryArgs
	flags.add(cmd)
	if diff {
		_ = cmd.Flags().MarkHidden("refresh") // it is always set
	}
	a.completeTargets(cmd, &flags.state)
	cmd.ValidArgsFunction = completeManifests
	o.format = addFormat(cmd)
	cmd.Flags().BoolVar(&o.detailed, "detailed-exitcode", false, "exit with 2 if there are changes")
	cmd.Flags().StringVar(&o.out, "out", "", "save the plan to `FILE`, for apply --plan")
	o.files.add(cmd)
	cmd.Flags().StringVar(&o.check, "check", "", "only report whether the plan saved in `FILE` is still true; exit with 5 if it is not")
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		flags.refresh = flags.refresh || diff
		if flags.refreshOnly && o.check == "" {
			return a.planRefresh(cmd.Context(), flags, o, paths)
		}
		if o.check == "" {
			return a.plan(cmd.Context(), flags, o, paths)
		}
		if len(paths) > 0 {
			return exit.Usagef("--check takes everything from the saved plan: no PATH beside it")
		}
		if err := a.onlySaved("--check", "target", "prune", "refresh", "refresh-only", "detailed-exitcode", "out", "html", "json",
			"markdown", "comment", "marker"); err != nil {
			return err
		}
		return a.checkPlan(cmd.Context(), flags, o.check, o.format.value)
	}
	return cmd
}

// plan runs the whole of 'agentsync plan'.
func (a *app) plan(ctx context.Context, flags planFlags, o planOutputs, paths []string) error {
	w, err := a.openWorkspace(ctx, flags, paths)
	if err != nil {
		return err
	}
	defer w.close()
	if o.out != "" {
		w.nameLineage()
	}
	p, err := w.plan(ctx)
	if err != nil {
		return err
	}
	if flags.refresh {
		if err := w.checkReferences(ctx, p); err != nil {
			return err
		}
	}
	if o.out != "" {
		if err := w.savePlan(o.out, p, paths); err != nil {
			return err
		}
		a.noteSecrets(w)
	}
	if err := o.files.write(a, p, w.warnings); err != nil {
		return err
	}
	if err := a.writeMarkedPlan(o.format.value, o.files.marker, p, w); err != nil {
		return err
	}
	a.warnSecondApp(w)
	a.noteOpen(w)
	a.noteOffline(w)
	if o.detailed && p.Summary.Any() {
		return &exit.Failure{Code: exit.Changes}
	}
	return nil
}

// writeMarkedPlan is writePlan with another marker than the plan's own, where it is Markdown.
func (a *app) writeMarkedPlan(format, marker string, p *plan.Plan, w *workspace) error {
	a.Answered = true
	return a.writePlanTo(a.Out, format, marker, p, w.warnings, a.Style(a.Out))
}

func (a *app) writePlanTo(out io.Writer, format, marker string, p *plan.Plan, warnings diag.List, s report.Style) error {
	switch format {
	case formatJSON:
		return report.PlanJSON(out, p, warnings)
	case formatHTML:
		return report.PlanHTML(out, p, report.HTMLOptions{})
	case formatMarkdown:
		return report.PlanMarkdown(out, p, report.MarkdownOptions{Marker: marker, Link: checkout.Links(a.Getenv)})
	default:
		return report.PlanText(out, p, s)
	}
}

// noteSecrets names the variables without a value that the apply of a saved plan will need: after the approval is too
// late to learn of them.
func (a *app) noteSecrets(w *workspace) {
	var names []string
	for _, use := range w.fleet.SecretUses() {
		_, set := a.Secret(use.Name)
		if !set && !slices.Contains(names, use.Name) {
			names = append(names, use.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	a.Warn(fmt.Sprintf("the apply of this plan needs %s that %s no value here: %s", ui.Count(len(names), "variable"),
		map[bool]string{true: "has", false: "have"}[len(names) == 1], strings.Join(names, ", ")),
		"see where each is used:\n  agentsync secrets")
}

// noteOffline says in one line what an offline plan did not look at, to a person: a pipeline that wants to know asks for it.
func (a *app) noteOffline(w *workspace) {
	if a.IsWatched() && !w.flags.refresh {
		a.Sayf("Planned from the manifests and the state; what is live was not read (plan --refresh does, and apply).")
	}
}

// noteOpen says that an earlier run left requests open, which apply settles before anything else.
func (a *app) noteOpen(w *workspace) {
	if n := len(w.snap.Open); n > 0 {
		a.Warn(fmt.Sprintf("an earlier run left %s without an answer; the plan may change when apply has settled them", ui.Count(n, "request")),
			"settle them:\n  agentsync apply")
	}
}

// summaryChars bounds the plan as whole Markdown: a step summary of GitHub holds 1 MiB, and a UTF-16
// unit takes three bytes at the most.
const summaryChars = 340_000

// planFiles are the files that a plan is written to beside the result on stdout, so that a pipeline
// has one plan in all the forms that it needs, and no two plans that may differ.
type planFiles struct {
	html, json, markdown, comment, marker string
}

func (f *planFiles) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.html, "html", "", "write the whole plan to `FILE` as one page for a browser")
	flags.StringVar(&f.json, "json", "", "write the plan to `FILE` as JSON")
	flags.StringVar(&f.markdown, "markdown", "", "write the plan to `FILE` as Markdown of up to 1 MiB, for a step summary")
	flags.StringVar(&f.comment, "comment", "", "write the plan to `FILE` as Markdown of up to 60,000 characters, for a comment")
	flags.StringVar(&f.marker, "marker", "", "the `NAME` in the hidden first line of Markdown; a later run finds its comment by it (default plan)")
}

// any reports whether any file is asked for.
func (f *planFiles) any() bool {
	return f.html != "" || f.json != "" || f.markdown != "" || f.comment != ""
}

// write writes the files that are asked for. The error names the file.
func (f *planFiles) write(a *app, p *plan.Plan, warnings diag.List) error {
	for _, file := range []struct {
		path   string
		render func(io.Writer) error
	}{
		{f.html, func(out io.Writer) error { return report.PlanHTML(out, p, report.HTMLOptions{}) }},
		{f.json, func(out io.Writer) error { return report.PlanJSON(out, p, warnings) }},
		{f.markdown, func(out io.Writer) error {
			return report.PlanMarkdown(out, p, report.MarkdownOptions{Marker: f.marker, MaxChars: summaryChars, Link: checkout.Links(a.Getenv)})
		}},
		{f.comment, func(out io.Writer) error {
			return report.PlanMarkdown(out, p, report.MarkdownOptions{Marker: f.marker, Link: checkout.Links(a.Getenv)})
		}},
	} {
		if file.path == "" {
			continue
		}
		var b bytes.Buffer
		err := file.render(&b)
		if err == nil {
			err = outfile.Write(file.path, 0o644, b.Bytes())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// savePlan writes the plan to path, so that 'apply --plan' does what was reviewed.
func (w *workspace) savePlan(path string, p *plan.Plan, paths []string) error {
	if len(paths) == 0 {
		paths = []string{defaultPath}
	}
	places, err := w.places()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = plan.Save(&b, p, plan.Binding{
		Origins: plan.OriginsOf(places),
		Version: thisBuild().id(), Lineage: w.snap.State.Lineage, Serial: w.snap.State.Serial,
		Paths: paths, Targets: w.flags.targets, Prune: w.flags.prune, Refresh: w.flags.refresh,
	})
	if err == nil {
		// Not for all eyes: digests of what the manifests want, secrets' names included, are in it.
		err = outfile.Write(path, 0o600, b.Bytes())
	}
	if err != nil {
		return err
	}
	return nil
}

// nameLineage gives a state that does not exist yet the lineage under which its first plan is saved.
func (w *workspace) nameLineage() {
	if w.snap.State.Lineage == "" {
		w.snap.State.Lineage = strings.ToLower(rand.Text())
	}
}

// readPlan reads a saved plan.
func readPlan(path string) (*plan.Saved, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, exit.Usagef("read saved plan: %w", err)
	}
	defer f.Close()
	saved, err := plan.ReadSaved(f, thisBuild().id())
	if err != nil {
		return nil, exit.Usagef("%s: %w", path, err)
	}
	return saved, nil
}

// bind gives a state that does not exist yet the lineage of the saved plan.
func (w *workspace) bind(s *plan.Saved) {
	if !w.snap.Exists && len(w.snap.State.Agents) == 0 {
		w.snap.State.Lineage = s.Lineage
	}
}

// hold returns what of the reviewed plan still holds, as of now. What is stale is an error, unless
// partial allows the rest, and is named with tell.
func (w *workspace) hold(s *plan.Saved, current *plan.Plan, partial, tell bool) (*plan.Plan, error) {
	if err := w.movedError(s); err != nil {
		return nil, err
	}
	holds, stale := s.Check(current, w.snap.State.Lineage)
	reviewed := 0
	for _, st := range stale {
		what := "is stale: "
		if st.New {
			what = "is not in the reviewed plan, and left out: "
		} else {
			reviewed++
		}
		if tell {
			w.app.Warn(st.Address.String()+" "+what+st.Reason, "")
		}
	}
	if reviewed == 0 || partial {
		return holds, nil
	}
	hint := "make and review a new plan:\n  agentsync plan --out FILE"
	if len(holds.Changes) > 0 {
		hint += "\nor apply what still holds of this one:\n  agentsync apply --plan FILE --allow-partial"
	}
	return nil, exit.With(exit.Stale, "the saved plan is no longer true for %s; nothing was sent", ui.Count(reviewed, "agent")).
		Hinted(hint)
}

// checkPlan is 'plan --check FILE'.
func (a *app) checkPlan(ctx context.Context, flags planFlags, path, format string) error {
	saved, err := readPlan(path)
	if err != nil {
		return err
	}
	flags.adopt(saved)
	w, err := a.openWorkspace(ctx, flags, saved.Paths)
	if err != nil {
		return err
	}
	defer w.close()
	w.bind(saved)
	p, err := w.plan(ctx)
	if err != nil {
		return err
	}
	places, err := w.places()
	if err != nil {
		return err
	}
	moved := saved.Moved(places)
	_, stale := saved.Check(p, w.snap.State.Lineage)
	if err := a.writeStale(format, moved, stale); err != nil {
		return err
	}
	if len(moved)+len(stale) > 0 {
		return &exit.Failure{Code: exit.Stale}
	}
	return nil
}

// writeStale writes the result of 'plan --check'.
func (a *app) writeStale(format string, moved []plan.Origin, stale []plan.Stale) error {
	type staleDoc struct {
		Address string `json:"address"`
		Reason  string `json:"reason"`
		New     bool   `json:"new"`
	}
	docs := make([]staleDoc, 0, len(moved)+len(stale))
	for _, o := range moved {
		docs = append(docs, staleDoc{o.App.String(), movedWords(o), false})
	}
	for _, s := range stale {
		docs = append(docs, staleDoc{s.Address.String(), s.Reason, s.New})
	}
	a.Answered = true
	if format == formatJSON {
		return report.JSON(a.Out, struct {
			FormatVersion string     `json:"formatVersion"`
			Holds         bool       `json:"holds"`
			Stale         []staleDoc `json:"stale"`
		}{report.FormatVersion, len(docs) == 0, docs})
	}
	var b strings.Builder
	for _, d := range docs {
		fmt.Fprintf(&b, "%s: %s\n", d.Address, d.Reason)
	}
	switch {
	case len(docs) == 0:
		b.WriteString("The saved plan is still true.\n")
	case len(moved) > 0:
		b.WriteString("The saved plan was made for another place.\n")
	default:
		fmt.Fprintf(&b, "The saved plan is no longer true for %s.\n", ui.Count(len(stale), "agent"))
	}
	_, err := a.Out.Write([]byte(b.String()))
	return err
}

// refreshed is what 'refresh only' would bring into the state.
type refreshed struct {
	behind  []plan.Refreshed
	doubted []agent.AppID
}

// planRefresh is 'plan --refresh-only': what recording what is live would change in the state.
func (a *app) planRefresh(ctx context.Context, flags planFlags, o planOutputs, paths []string) error {
	if o.out != "" || o.files.any() || flags.prune {
		return exit.Usagef("--refresh-only makes no plan: no --out, --html, --json, --markdown, --comment or --prune beside it")
	}
	w, err := a.openWorkspace(ctx, flags, paths)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.startSandbox(); err != nil {
		return err
	}
	apps, err := w.connect(ctx)
	if err != nil {
		return err
	}
	r, err := w.refreshed(ctx, apps)
	if err != nil {
		return err
	}
	if err := a.writeRefreshed(o.format.value, r); err != nil {
		return err
	}
	a.noteOpen(w)
	if o.detailed && len(r.behind) > 0 {
		return &exit.Failure{Code: exit.Changes}
	}
	return nil
}

// refreshed lists the apps and compares the records with what is live.
func (w *workspace) refreshed(ctx context.Context, apps map[agent.AppID]apply.App) (r refreshed, err error) {
	live, gone, err := w.live(ctx, apps)
	if err != nil {
		return r, err
	}
	r.behind, r.doubted, err = plan.Refresh(plan.Input{
		Prior: w.snap.State.Agents, Live: live, Gone: gone, Platforms: schemas(w.platforms), Targets: w.targets,
		Sealer: secret.Sealer{Key: []byte(w.snap.State.Lineage), Lookup: w.app.Lookup},
	})
	return r, err
}

func (a *app) writeRefreshed(format string, r refreshed) error {
	a.Answered = true
	switch format {
	case formatJSON:
		return report.RefreshJSON(a.Out, r.behind, r.doubted)
	case formatMarkdown:
		a.Answered = false
		return exit.Usagef("--refresh-only writes text or json")
	default:
		return report.RefreshText(a.Out, r.behind, r.doubted, a.Style(a.Out))
	}
}
