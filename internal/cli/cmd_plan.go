package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/checkout"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
)

const planLong = `Shows what apply would do, from the manifests and the state alone: no network, no keys, no secrets needed. A state in a
bucket or a database is read from there, without its lock and with credentials that may only read.

A change of a manifest is a difference from what was last applied. With --refresh, what is live is read
first, and changes that someone else made there show as drift.

Nothing is deleted without --prune: an agent that is in no manifest any more is shown as kept. With --prune,
name all manifests of an app: an agent of that app that is in none of them is deleted.`

// planFlags are the flags of plan and diff.
type planFlags struct {
	flags.Work
	format   *flags.Choice
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
	f := &planFlags{}
	cmd.Args = cobra.ArbitraryArgs
	cmd.ValidArgsFunction = flags.CompleteManifests
	f.Plan(cmd, a.UI)
	if diff {
		_ = cmd.Flags().MarkHidden("refresh") // it is always set
	}
	f.format = flags.Format(cmd, flags.Text, flags.JSON, flags.Markdown)
	cmd.Flags().BoolVar(&f.detailed, "detailed-exitcode", false, "exit with 2 if there are changes")
	cmd.Flags().StringVar(&f.out, "out", "", "save the plan to `FILE`, for apply --plan")
	f.files.add(cmd)
	cmd.Flags().StringVar(&f.check, "check", "",
		"only report whether the plan saved in `FILE` is still true; exit with 5 if it is not")
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		f.Refresh = f.Refresh || diff
		switch {
		case f.check != "" && len(paths) > 0:
			return exit.Usagef("--check takes everything from the saved plan: no PATH beside it")
		case f.check != "":
			if err := a.onlySaved("--check", "target", "prune", "refresh", "refresh-only", "detailed-exitcode", "out",
				"html", "json", "markdown", "comment", "marker"); err != nil {
				return err
			}
			return checkPlan(cmd.Context(), a.UI, f)
		case f.RefreshOnly:
			return planRefresh(cmd.Context(), a.UI, f, paths)
		}
		return makePlan(cmd.Context(), a.UI, f, paths)
	}
	return cmd
}

// makePlan is the whole of 'agentsync plan'.
func makePlan(ctx context.Context, u *ui.UI, f *planFlags, paths []string) error {
	for _, output := range [][2]string{{"--out", f.out}, {"--html", f.files.html}, {"--json", f.files.json},
		{"--markdown", f.files.markdown}, {"--comment", f.files.comment}} {
		if err := f.CheckOutput(output[0], output[1], paths); err != nil {
			return err
		}
	}
	w, err := f.Open(ctx, u, paths)
	if err != nil {
		return err
	}
	defer w.Close()
	if f.out != "" {
		w.NameLineage() // before the plan is made: secrets are sealed under it
	}
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	if f.Refresh {
		if err := w.CheckReferences(ctx, p); err != nil {
			return err
		}
	}
	// The files come before the result: a pipeline that reads the result finds them.
	if f.out != "" {
		if err := w.Save(f.out, p, thisBuild().id()); err != nil {
			return err
		}
		warnSecrets(w, p)
	}
	if err := f.files.write(u, p, w.Warnings); err != nil {
		return err
	}
	if err := writePlan(u, f.format.Value, f.files.marker, p, w.Warnings); err != nil {
		return err
	}
	if second := w.SecondApp(); second != nil {
		w.Warn("apply would refuse this: "+strings.TrimSuffix(second.Err.Error(), "; nothing was sent"), second.Hint)
	}
	warnOpen(w)
	if w.IsWatched() && !f.Refresh { // to a person: a pipeline that wants to know asks for it
		w.Sayf("Planned from the manifests and the state; what is live was not read (plan --refresh does, and apply).")
	}
	if f.detailed && p.Summary.Any() {
		return &exit.Failure{Code: exit.Changes}
	}
	return nil
}

// writePlan writes a plan as the result. marker is for Markdown, in place of the plan's own.
func writePlan(u *ui.UI, format, marker string, p *plan.Plan, warnings diag.List) error {
	return renderPlan(u, u.Result(), format, report.MarkdownOptions{Marker: marker}, p, warnings)
}

func renderPlan(
	u *ui.UI, out io.Writer, format string, md report.MarkdownOptions, p *plan.Plan, warnings diag.List,
) error {
	switch format {
	case flags.JSON:
		return report.PlanJSON(out, p, warnings)
	case flags.HTML:
		return report.PlanHTML(out, p)
	case flags.Markdown:
		md.Link = checkout.Links(u.Getenv)
		return report.PlanMarkdown(out, p, md)
	default:
		return report.PlanText(out, p, u.Style(out))
	}
}

// warnSecrets names the variables without a value that the apply of a saved plan will need: after the approval is too
// late to learn of them.
func warnSecrets(w *workspace.Workspace, p *plan.Plan) {
	names := slices.Concat(p.Secrets.Known, p.Secrets.New)
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	w.Warn(fmt.Sprintf("the apply of this plan needs %s that %s no value here: %s", diag.Plural(len(names), "variable"),
		map[bool]string{true: "has", false: "have"}[len(names) == 1], strings.Join(names, ", ")),
		"see where each is used:\n  agentsync secrets")
}

// warnOpen says that an earlier run left requests open, which apply settles before anything else.
func warnOpen(w *workspace.Workspace) {
	if n := len(w.Snap.Open); n > 0 {
		w.Warn(fmt.Sprintf("an earlier run left %s without an answer; the plan may change when apply has settled them",
			diag.Plural(n, "request")), "settle them:\n  agentsync apply")
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
	set := cmd.Flags()
	set.StringVar(&f.html, "html", "", "write the whole plan to `FILE` as one page for a browser")
	set.StringVar(&f.json, "json", "", "write the plan to `FILE` as JSON")
	set.StringVar(&f.markdown, "markdown", "",
		"write the plan to `FILE` as Markdown of up to 1 MiB, for a step summary")
	set.StringVar(&f.comment, "comment", "",
		"write the plan to `FILE` as Markdown of up to 60,000 characters, for a comment")
	set.StringVar(&f.marker, "marker", "", "the `NAME` in the hidden first line of Markdown; a later run finds its "+
		"comment by it (default plan)")
}

// any reports whether any file is asked for.
func (f *planFiles) any() bool {
	return f.html != "" || f.json != "" || f.markdown != "" || f.comment != ""
}

// write writes the files that are asked for. The error names the file.
func (f *planFiles) write(u *ui.UI, p *plan.Plan, warnings diag.List) error {
	for _, file := range []struct {
		path, format string
		maxChars     int
	}{
		{f.html, flags.HTML, 0}, {f.json, flags.JSON, 0}, {f.markdown, flags.Markdown, summaryChars},
		{f.comment, flags.Markdown, 0},
	} {
		if file.path == "" {
			continue
		}
		var b bytes.Buffer
		md := report.MarkdownOptions{Marker: f.marker, MaxChars: file.maxChars}
		err := renderPlan(u, &b, file.format, md, p, warnings)
		if err == nil {
			err = outfile.Write(file.path, 0o644, b.Bytes())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPlan is 'plan --check FILE'.
func checkPlan(ctx context.Context, u *ui.UI, f *planFlags) error {
	saved, err := workspace.ReadSaved(f.check, thisBuild().id())
	if err != nil {
		return err
	}
	f.Targets, f.Prune, f.Refresh = saved.Targets, saved.Prune, saved.Refresh
	w, err := f.Open(ctx, u, saved.Paths)
	if err != nil {
		return err
	}
	defer w.Close()
	w.Bind(saved)
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	moved, words, err := w.Moved(saved)
	if err != nil {
		return err
	}
	type staleDoc struct {
		Address string `json:"address"`
		Reason  string `json:"reason"`
		New     bool   `json:"new"`
	}
	docs := []staleDoc{}
	for i, o := range moved {
		docs = append(docs, staleDoc{o.App.String(), words[i], false})
	}
	_, stale := saved.Check(p, w.Snap.State.Lineage)
	for _, s := range stale {
		docs = append(docs, staleDoc{s.Address.String(), s.Reason, s.New})
	}
	var text strings.Builder
	for _, d := range docs {
		fmt.Fprintf(&text, "%s: %s\n", d.Address, d.Reason)
	}
	switch {
	case len(docs) == 0:
		text.WriteString("The saved plan is still true.\n")
	case len(moved) > 0:
		text.WriteString("The saved plan was made for another place.\n")
	default:
		fmt.Fprintf(&text, "The saved plan is no longer true for %s.\n", diag.Plural(len(stale), "agent"))
	}
	err = answer(u, f.format, struct {
		FormatVersion string     `json:"formatVersion"`
		Holds         bool       `json:"holds"`
		Stale         []staleDoc `json:"stale"`
	}{report.FormatVersion, len(docs) == 0, docs}, text.String())
	if err == nil && len(docs) > 0 {
		return &exit.Failure{Code: exit.Stale}
	}
	return err
}

// planRefresh is 'plan --refresh-only': what recording what is live would change in the state.
func planRefresh(ctx context.Context, u *ui.UI, f *planFlags, paths []string) error {
	if f.out != "" || f.files.any() || f.Prune {
		return exit.Usagef("--refresh-only makes no plan: no --out, --html, --json, --markdown, --comment or --prune beside it")
	}
	w, err := f.Open(ctx, u, paths)
	if err != nil {
		return err
	}
	defer w.Close()
	apps, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	behind, doubted, err := w.Behind(ctx, apps)
	if err != nil {
		return err
	}
	if err := writeBehind(u, f.format.Value, behind, doubted); err != nil {
		return err
	}
	warnOpen(w)
	if f.detailed && len(behind) > 0 {
		return &exit.Failure{Code: exit.Changes}
	}
	return nil
}

// writeBehind writes which records what is live would change, as the result.
func writeBehind(u *ui.UI, format string, behind []plan.Refreshed, doubted []agent.AppID) error {
	switch format {
	case flags.JSON:
		return report.RefreshJSON(u.Result(), behind, doubted)
	case flags.Markdown:
		return exit.Usagef("--refresh-only writes text or json")
	default:
		return report.RefreshText(u.Result(), behind, doubted, u.Style(u.Out))
	}
}
