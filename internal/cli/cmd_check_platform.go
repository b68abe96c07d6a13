package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/manifest"
	"agentsync/internal/platform"
	"agentsync/internal/platform/probe"
	"agentsync/internal/report"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/schema"
)

const checkPlatformLong = `Makes one agent with a name that says what it is for, reads, lists, changes and deletes it, and reports how the
platform really behaves: which status each call answers, how a list ends, how long lists lag, whether texts come back
as they were sent, whether credentials come back masked, which values are filled in, how far the clocks differ, which
headers tell of rates, and whether the other version of the API finds the agent.

What agentsync knows of the platforms is documents. The report says where they are wrong; it has no key, no app and no
text of yours in it, so it can be pasted into an issue as it is.

Nobody meets the agent: it is not active, or not live. It is deleted at the end, also after an interrupt.`

type checkPlatformFlags struct {
	exportFlags
	autoApprove bool
	patience    time.Duration
}

func (a *app) checkPlatformCommand() *cobra.Command {
	f := &checkPlatformFlags{}
	cmd := &cobra.Command{
		Use:   "check-platform --platform P --app ID",
		Short: "Report how a platform really behaves, with one agent that is made and deleted",
		Long:  checkPlatformLong,
		Example: `  agentsync check-platform --platform mindset --app acme
  agentsync check-platform --platform cometchat --app 2754abc --region us --format json > report.json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	f.parallelism = 1
	flags.StringVar(&f.platform, "platform", "", "the `PLATFORM` to check: "+knownPlatforms())
	_ = cmd.RegisterFlagCompletionFunc("platform", completePlatforms)
	flags.StringVar(&f.app, "app", "", "the `ID` of the app to make the agent in; no manifest needs to name it")
	f.addApp(cmd)
	addState(cmd, &f.state)
	addAllowEndpoint(cmd, &f.allowEndpoints)
	flags.BoolVar(&f.sandbox, "sandbox", false, "use the embedded sandbox, kept in "+sandboxFile+", instead of the platforms")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "time limit of one request")
	flags.DurationVar(&f.patience, "patience", 30*time.Second, "how long to wait for lists that lag")
	flags.BoolVarP(&f.autoApprove, "auto-approve", "y", false, "do not ask")
	f.format = addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.checkPlatform(cmd.Context(), f) }
	return cmd
}

func (a *app) checkPlatform(ctx context.Context, f *checkPlatformFlags) error {
	if f.platform == "" || f.app == "" {
		return exit.Usagef("say with --platform and --app which app to look at; one agent is made in it, and deleted again")
	}
	w, err := a.openCheck(ctx, f)
	if err != nil {
		return err
	}
	defer w.close()
	if err := a.canAsk(&applyFlags{autoApprove: f.autoApprove, format: f.format}); err != nil {
		return err
	}
	id := agent.AppID{Platform: f.platform, App: f.app}
	if err := w.allowHosts(ctx, id); err != nil {
		return err
	}
	if err := a.Ask(ctx, f.autoApprove, fmt.Sprintf("Make, change and delete one agent in %s", id)); err != nil {
		return err
	}
	target, err := a.target(w, id, f)
	if err != nil {
		return err
	}
	rep, err := probe.Run(ctx, target, probe.Options{
		Name: "agentsync check-platform " + strings.ToLower(rand.Text()[:8]), Patience: f.patience, Cleanup: 2 * f.timeout,
	})
	a.Answered = true
	if f.format.value == formatJSON {
		err = cmp.Or(err, report.JSON(a.Out, rep))
	} else {
		a.tellProbe(rep)
	}
	if len(rep.Left) > 0 {
		return exit.With(exit.Partial, "%s of this check could not be deleted: %s", ui.Count(len(rep.Left), "agent"), report.Sanitize(strings.Join(rep.Left, ", "))).
			Hinted("delete it in the platform's dashboard")
	}
	return err
}

// openCheck opens a workspace for an app that a manifest names, or that the flags describe.
func (a *app) openCheck(ctx context.Context, f *checkPlatformFlags) (*workspace, error) {
	all, err := platforms()
	if err != nil {
		return nil, err
	}
	if all[f.platform] == nil {
		return nil, exit.Usagef("no platform is called %q: there are %s", f.platform, strings.Join(platformNames(all), ", "))
	}
	file, err := a.openState(ctx, f.state, f.timeout)
	if err != nil {
		return nil, err
	}
	w := &workspace{app: a, flags: f.planFlags, platforms: all, file: file,
		fleet: &manifest.Fleet{Apps: map[agent.AppID]agent.App{}}, snap: &state.Snapshot{State: &state.State{}}}
	if _, err := os.Stat(defaultPath); err == nil {
		if w.fleet, _, err = a.loadFleet(ctx, all, nil); err != nil {
			return nil, err
		}
	}
	id := agent.AppID{Platform: f.platform, App: f.app}
	if app, known := w.fleet.Apps[id]; !known {
		if err := (&exporter{workspace: w, flags: &f.exportFlags}).describe(ctx, id); err != nil {
			return nil, err
		}
	} else if api := f.api(); api != "" {
		w.fleet.Apps[id] = withAPI(app, api)
	}
	if f.sandbox {
		return w, w.startSandbox()
	}
	// The state says which hosts somebody has agreed to; nothing else of it is used.
	if w.snap, err = w.file.Load(); err != nil {
		return nil, exit.OfState(err)
	}
	return w, nil
}

// target is the app with a client whose requests are recorded, and one by each other version of its platform's API.
func (a *app) target(w *workspace, id agent.AppID, f *checkPlatformFlags) (probe.Target, error) {
	app, p := w.fleet.Apps[id], w.platforms[id.Platform]
	base, err := a.baseURL(app, p, w.sandbox)
	if err != nil {
		return probe.Target{}, err
	}
	hc, err := a.httpClient(app, p, f.connectFlags, w.sandbox, base, nil, a.runSecrets(w.fleet))
	if err != nil {
		return probe.Target{}, fmt.Errorf("%s: %w", id, err)
	}
	plain := *hc
	s := p.Schema().Version(schema.APIOf(app))
	t := probe.Target{App: id, API: s.API, Schema: s, Exchanges: probe.Record(hc, id.App), Others: map[string]platform.Client{}}
	t.Client = p.Client(app, base, hc)
	for _, other := range p.Schema().Versions() {
		if other.API != s.API {
			t.Others[other.API] = p.Client(withAPI(app, other.API), base, &http.Client{Transport: plain.Transport})
		}
	}
	return t, nil
}

// tellProbe writes what was found, what is worth telling with a mark before it.
func (a *app) tellProbe(rep *probe.Report) {
	out := a.Out
	api := ""
	if rep.API != "" {
		api = " " + rep.API
	}
	fmt.Fprintf(out, "%s%s, as it answered one agent's life; ! is worth telling:\n\n", rep.Platform, api)
	odd := 0
	for _, f := range rep.Findings {
		mark := " "
		if f.Odd {
			mark = "!"
			odd++
		}
		fmt.Fprintf(out, "%s %-28s %s\n", mark, report.Sanitize(f.Topic), report.Sanitize(f.Found))
	}
	fmt.Fprintf(out, "\n%s, %d worth telling, by %s.\n", ui.Count(len(rep.Findings), "finding"), odd, ui.Count(len(rep.Requests), "request"))
}

// withAPI returns the app managed by another version of its platform's API.
func withAPI(app agent.App, api string) agent.App {
	app.Settings = maps.Clone(app.Settings)
	if app.Settings == nil {
		app.Settings = map[string]string{}
	}
	app.Settings[schema.APISetting] = api
	return app
}
