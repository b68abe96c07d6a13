package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/platform"
	"agentsync/internal/platform/probe"
	"agentsync/internal/report/show"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
	"agentsync/schema"
)

const checkPlatformLong = `Makes one agent with a name that says what it is for, reads, lists, changes and deletes it, and reports how the
platform really behaves: which status each call answers, how a list ends, how long lists lag, whether texts come back
as they were sent, whether credentials come back masked, which values are filled in, how far the clocks differ, which
headers tell of rates, and whether the other version of the API finds the agent.

What agentsync knows of the platforms is documents. The report says where they are wrong; it has no key, no app and no
text of yours in it, so it can be pasted into an issue as it is.

Nobody meets the agent: it is not active, or not live. It is deleted at the end, also after an interrupt.`

// checkFlags are the flags of check-platform.
type checkFlags struct {
	flags.Work
	of          flags.App
	autoApprove bool
	patience    time.Duration
	format      *flags.Choice
}

func (a *app) checkPlatformCommand() *cobra.Command {
	f := &checkFlags{}
	cmd := &cobra.Command{
		Use:   "check-platform --platform P --app ID",
		Short: "Report how a platform really behaves, with one agent that is made and deleted",
		Long:  checkPlatformLong,
		Example: `  agentsync check-platform --platform mindset --app acme
  agentsync check-platform --platform cometchat --app 2754abc --region us --format json > report.json`,
	}
	f.Reading(cmd)
	flags.PlatformVar(cmd, &f.of.Platform, "the `PLATFORM` to check: ")
	f.of.Add(cmd)
	cmd.Flags().StringVar(&f.of.ID, "app", "", "the `ID` of the app to make the agent in; no manifest needs to name it")
	cmd.Flags().DurationVar(&f.patience, "patience", 30*time.Second, "how long to wait for lists that lag")
	flags.AutoApprove(cmd, &f.autoApprove)
	f.format = flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return checkPlatform(cmd.Context(), a.UI, f) }
	return cmd
}

// checkPlatform is the whole of 'agentsync check-platform'.
func checkPlatform(ctx context.Context, u *ui.UI, f *checkFlags) error {
	if f.of.Platform == "" || f.of.ID == "" {
		return exit.Usagef("say with --platform and --app which app to look at; one agent is made in it, and deleted again")
	}
	id := agent.AppID{Platform: f.of.Platform, App: f.of.ID}
	w, err := f.OpenBare(ctx, u)
	if err != nil {
		return err
	}
	defer w.Close()
	if w.Platforms[id.Platform] == nil {
		return workspace.NoPlatform(id.Platform, w.Platforms)
	}
	if err := findApp(ctx, w, id, &f.of); err != nil {
		return err
	}
	// The state says which hosts somebody has agreed to; nothing else of it is used, and nothing is written into it.
	w.Snap = &state.Snapshot{State: &state.State{}}
	if f.Sandbox {
		err = w.StartSandbox()
	} else {
		w.Snap, err = w.File.Load(ctx)
		err = exit.OfState(err)
	}
	if err != nil {
		return err
	}
	if err := canAsk(u, f.autoApprove, f.format.Value); err != nil {
		return err
	}
	if err := w.AllowHosts(ctx, id); err != nil {
		return err
	}
	if err := u.Ask(ctx, f.autoApprove, fmt.Sprintf("Make, change and delete one agent in %s", id)); err != nil {
		return err
	}
	target, err := probeTarget(w, id)
	if err != nil {
		return err
	}
	rep, err := probe.Run(ctx, target, probe.Options{
		Name: "agentsync check-platform " + strings.ToLower(rand.Text()[:8]), Patience: f.patience,
		Cleanup: 2 * f.Timeout,
	})
	// What was found is told also where the check ended early, and what is left of it beyond all.
	if f.format.Value == flags.JSON {
		err = cmp.Or(err, u.JSON(rep))
	} else {
		fmt.Fprint(u.Result(), probeText(rep))
	}
	if len(rep.Left) > 0 {
		return exit.With(exit.Partial, "%s of this check could not be deleted: %s", diag.Plural(len(rep.Left), "agent"),
			show.Line(strings.Join(rep.Left, ", "))).
			Hinted("delete it in the platform's dashboard")
	}
	return err
}

// findApp brings the app into the fleet: as a manifest names it, or as the flags describe it.
func findApp(ctx context.Context, w *workspace.Workspace, id agent.AppID, f *flags.App) error {
	if _, err := os.Stat(workspace.DefaultPath); err == nil {
		if err := w.LoadFleet(ctx); err != nil {
			return err
		}
	}
	app, known := w.Fleet.Apps[id]
	if !known {
		return describeApp(ctx, w, id, f)
	}
	if api := f.API(); api != "" {
		w.Fleet.Apps[id] = workspace.WithAPI(app, api)
	}
	return nil
}

// probeTarget is the app with a client whose requests are recorded, and one by each other version of its platform's
// API.
func probeTarget(w *workspace.Workspace, id agent.AppID) (probe.Target, error) {
	app, p := w.Fleet.Apps[id], w.Platforms[id.Platform]
	base, hc, err := w.Client(id)
	if err != nil {
		return probe.Target{}, err
	}
	plain := *hc // before it is recorded
	s := p.Schema().Version(schema.APIOf(app))
	t := probe.Target{App: id, API: s.API, Schema: s, Exchanges: probe.Record(hc, id.App),
		Others: map[string]platform.Client{}}
	t.Client = p.Client(app, base, hc)
	for _, other := range p.Schema().Versions() {
		if other.API != s.API {
			t.Others[other.API] = p.Client(workspace.WithAPI(app, other.API), base, &plain)
		}
	}
	return t, nil
}

// probeText is what was found, what is worth telling with a mark before it.
func probeText(rep *probe.Report) string {
	var b strings.Builder
	api := ""
	if rep.API != "" {
		api = " " + rep.API
	}
	fmt.Fprintf(&b, "%s%s, as it answered one agent's life; ! is worth telling:\n\n", rep.Platform, api)
	odd := 0
	for _, f := range rep.Findings {
		mark := " "
		if f.Odd {
			mark = "!"
			odd++
		}
		fmt.Fprintf(&b, "%s %-28s %s\n", mark, show.Line(f.Topic), show.Line(f.Found))
	}
	fmt.Fprintf(&b, "\n%s, %d worth telling, by %s.\n",
		diag.Plural(len(rep.Findings), "finding"), odd, diag.Plural(len(rep.Requests), "request"))
	return b.String()
}
