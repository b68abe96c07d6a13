package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/compose"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/state"
)

const exportLong = `Writes manifests for every agent that is live and not managed, and enters the agents into the state, so
that the next plan is empty. It looks at the apps of the manifests, or at the one that --platform and
--app name. Nothing is sent but reads.

One file is written for each app, with 500 agents at the most. Keys are made from names. Secrets that the
platform shows are never written: ${secret:NAME} stands for them, and the variables to set are listed.`

// exportFlags are the flags of export.
type exportFlags struct {
	planFlags
	platform, app          string
	region, host, endpoint string
	apiKeyEnv              string
	out                    string
	force, dryRun          bool
	lockTimeout            time.Duration
	format                 *choice
}

func (a *app) exportCommand() *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "export [PATH…] --out DIR",
		Short: "Write manifests for what is live and not managed",
		Long:  exportLong,
		Example: `  agentsync export --platform cometchat --app 2754abc --region us --out manifests
  agentsync export --out manifests/taken-over
  agentsync export --platform mindset --app acme --dry-run`,
		Args: cobra.ArbitraryArgs,
	}
	f.addReading(cmd)
	addLockTimeout(cmd, &f.lockTimeout)
	flags := cmd.Flags()
	flags.StringVar(&f.platform, "platform", "", "only apps of this `PLATFORM`: cometchat or mindset")
	flags.StringVar(&f.app, "app", "", "only the app with this `ID`; no manifest needs to name it")
	flags.StringVar(&f.region, "region", "", "the app's region, where no manifest says it")
	flags.StringVar(&f.host, "host", "", "the app's host, where no manifest says it")
	flags.StringVar(&f.endpoint, "endpoint", "", "the app's base URL, where it is not the platform's own")
	flags.StringVar(&f.apiKeyEnv, "api-key-env", "", "the variable that holds the app's API key, where it is not the usual one")
	flags.StringVar(&f.out, "out", "", "write the manifests into the folder `DIR`")
	flags.BoolVar(&f.force, "force", false, "overwrite files that are there; the agents in them leave the manifests")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the manifests, and write neither them nor the state")
	f.format = addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		if f.out == "" && !f.dryRun {
			return &Failure{Code: ExitUsage, Err: fmt.Errorf("say where the manifests are to go"),
				Hint: "name a folder; or look at them first:\n  agentsync export --out manifests\n  agentsync export --dry-run"}
		}
		return a.export(cmd.Context(), f, paths)
	}
	return cmd
}

// exporter is one export under way.
type exporter struct {
	*workspace
	flags *exportFlags
	apps  []agent.AppID
	parts []*part
}

// part is what is exported of one app.
type part struct {
	*composed
	live map[string]plan.Live // by key
	// files are what is written, in order.
	files []exportFile
}

type exportFile struct {
	path    string
	agents  int
	content []byte
}

func (a *app) export(ctx context.Context, f *exportFlags, paths []string) error {
	w, err := a.openExport(ctx, f, paths)
	if err != nil {
		return err
	}
	defer w.close()
	ex := &exporter{workspace: w, flags: f}
	if err := ex.choose(ctx); err != nil {
		return err
	}
	if !f.dryRun {
		unlock, err := a.lock(ctx, w.file, "export", f.lockTimeout)
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }() // the kernel frees it at the latest when the process ends
		if err := w.load(); err != nil {
			return err
		}
	}
	w.nameLineage()
	if err := ex.checkOpen(); err != nil {
		return err
	}
	if err := ex.compose(ctx); err != nil {
		return err
	}
	if !f.dryRun {
		if err := ex.carryOut(ctx); err != nil {
			return err
		}
	}
	return ex.tell()
}

// openExport opens a workspace, with an empty fleet where there are no manifests yet.
func (a *app) openExport(ctx context.Context, f *exportFlags, paths []string) (*workspace, error) {
	if _, err := os.Stat(defaultPath); len(paths) > 0 || err == nil {
		return a.openWorkspace(ctx, f.planFlags, paths)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	all, err := platforms()
	if err != nil {
		return nil, err
	}
	w := &workspace{app: a, flags: f.planFlags, platforms: all, file: state.NewFile(f.state),
		fleet: &manifest.Fleet{Apps: map[agent.AppID]agent.App{}}}
	return w, w.load()
}

// choose decides which apps are looked at.
func (ex *exporter) choose(ctx context.Context) error {
	f := ex.flags
	if f.platform != "" && ex.platforms[f.platform] == nil {
		return usageError("no platform is called %q: there are %s", f.platform, strings.Join(platformNames(ex.platforms), ", "))
	}
	if f.app != "" {
		if f.platform == "" {
			return usageError("--app says which app; say with --platform on which platform it is")
		}
		id := agent.AppID{Platform: f.platform, App: f.app}
		ex.apps = []agent.AppID{id}
		if _, known := ex.fleet.Apps[id]; known {
			return nil
		}
		return ex.describe(ctx, id)
	}
	for id := range ex.fleet.Apps {
		if f.platform == "" || id.Platform == f.platform {
			ex.apps = append(ex.apps, id)
		}
	}
	if len(ex.apps) == 0 {
		return &Failure{Code: ExitUsage, Err: fmt.Errorf("no manifest names an app to look at"),
			Hint: "name one:\n  agentsync export --platform cometchat --app ID --region us --out manifests\n  agentsync export --platform mindset --app ID --out manifests"}
	}
	slices.SortFunc(ex.apps, agent.AppID.Compare)
	return nil
}

// describe takes an app that no manifest names from the flags. They are checked as a section would be.
func (ex *exporter) describe(ctx context.Context, id agent.AppID) error {
	s := ex.platforms[id.Platform].Schema()
	app := agent.App{ID: id, Settings: map[string]string{}, Endpoint: ex.flags.endpoint, APIKeyEnv: s.APIKeyEnv}
	if ex.flags.apiKeyEnv != "" {
		app.APIKeyEnv = ex.flags.apiKeyEnv
	}
	given := map[string]string{"region": ex.flags.region, "host": ex.flags.host}
	for _, setting := range s.Settings {
		if v := given[setting.Name]; v != "" {
			app.Settings[setting.Name] = v
		}
	}
	fleet, problems, err := ex.parse(ctx, manifest.Source{Path: "flags", Content: compose.File(s, "", compose.Section{App: app})})
	if err != nil {
		return err
	}
	for _, p := range problems {
		return &Failure{Code: ExitUsage, Err: fmt.Errorf("%s: %s", id, p.Summary),
			Hint: "describe the app with --region, --host, --endpoint and --api-key-env, as its platform needs it"}
	}
	ex.fleet.Apps[id] = fleet.Apps[id]
	return nil
}

// checkOpen refuses to guess whose an agent is that an earlier run may have made.
func (ex *exporter) checkOpen() error {
	for _, i := range ex.snap.Open {
		if slices.Contains(ex.apps, i.Address.ID()) {
			return &Failure{Code: ExitFailed, Err: fmt.Errorf("an earlier run left requests to %s without an answer, so what is managed there is not known", i.Address.ID()),
				Hint: "settle them first:\n  agentsync apply"}
		}
	}
	return nil
}

// compose lists the apps and makes the manifests.
func (ex *exporter) compose(ctx context.Context) error {
	apps, err := ex.reach(ex.apps...)
	if err != nil {
		return err
	}
	live, err := ex.workspace.live(ctx, apps)
	if err != nil {
		return err
	}
	for _, id := range ex.apps {
		p, err := ex.composeApp(ctx, id, live[id])
		if err != nil {
			return err
		}
		if p != nil {
			ex.parts = append(ex.parts, p)
		}
	}
	return nil
}

// composeApp returns what is exported of one app, nil where there is nothing.
func (ex *exporter) composeApp(ctx context.Context, id agent.AppID, live []plan.Live) (*part, error) {
	s := ex.platforms[id.Platform].Schema()
	p := &part{live: map[string]plan.Live{}}
	unmanaged, namesakes := ex.unmanaged(id, live)
	if namesakes > 0 {
		report.Warning(ex.app.streams.Err, ex.app.style(ex.app.streams.Err),
			fmt.Sprintf("%s of %s left out: agents of the same name stand in the manifests and not in the state", count(namesakes, "live agent"), id),
			"apply takes over those that equal their manifests, and names the others:\n  agentsync apply")
	}
	if len(unmanaged) == 0 {
		return nil, nil
	}
	keys := compose.NewKeys(ex.takenKeys(id))
	var all []found
	for _, l := range unmanaged {
		f := found{key: keys.Name(s, l.Content.Fields(), l.UID), uid: l.UID, fields: l.Content.Fields()}
		p.live[f.key] = l
		all = append(all, f)
	}
	var err error
	p.composed, err = ex.workspace.compose(ctx, id, all, ex.inUse)
	if err == nil {
		p.files = ex.cut(p.composed)
	}
	return p, err
}
