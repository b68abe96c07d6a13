package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/state"
	"agentsync/internal/ui"
	"agentsync/schema"
)

const exportLong = `Writes manifests for every agent that is live and not managed, and enters the agents into the state, so
that the next plan is empty. It looks at the apps of the manifests, or at the one that --platform and
--app name. Nothing is sent but reads.

One file is written for each app, with 500 agents at the most; with --split one for each agent. Keys are made from names. Secrets that the
platform shows are never written there: ${secret:NAME} stands for them, and the variables to set are listed.
--env-file FILE writes their values into a file of its own, which is refused where git tracks it.`

// exportFlags are the flags of export.
type exportFlags struct {
	planFlags
	platform, app string
	settings      map[string]*string // by the name that they have in a section
	endpoint      string
	apiKeyEnv     string
	out           string
	envFile       string
	force, dryRun bool
	split         bool
	lockTimeout   time.Duration
	format        *choice
}

func (a *app) exportCommand() *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "export [PATH…] --out DIR",
		Short: "Write manifests for what is live and not managed",
		Long:  exportLong,
		Example: `  agentsync export --platform cometchat --app 2754abc --region us --out manifests
  agentsync export --out manifests/taken-over --env-file secrets.env
  agentsync export --platform mindset --app acme --dry-run`,
		Args: cobra.ArbitraryArgs,
	}
	f.addReading(cmd)
	addLockTimeout(cmd, &f.lockTimeout)
	flags := cmd.Flags()
	flags.StringVar(&f.platform, "platform", "", "only apps of this `PLATFORM`: "+knownPlatforms())
	_ = cmd.RegisterFlagCompletionFunc("platform", completePlatforms)
	flags.StringVar(&f.app, "app", "", "only the app with this `ID`; no manifest needs to name it")
	f.addApp(cmd)
	flags.StringVar(&f.out, "out", "", "write the manifests into the folder `DIR`")
	flags.BoolVar(&f.split, "split", false, "write each agent to a file of its own, and texts of more than four lines to Markdown files beside it")
	flags.BoolVar(&f.force, "force", false, "overwrite existing files; agents that are in no other file are then in no manifest")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the manifests, and write neither them nor the state")
	flags.StringVar(&f.envFile, "env-file", "", "write the secrets that the platform shows to `FILE`, which only you can read and git leaves out")
	_ = cmd.MarkFlagFilename("env-file")
	f.format = addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		if f.out == "" && !f.dryRun {
			return exit.Usagef("say where the manifests are to go").
				Hinted("name a folder; or look at them first:\n  agentsync export --out manifests\n  agentsync export --dry-run")
		}
		if f.dryRun && f.envFile != "" {
			return exit.Usagef("--dry-run writes nothing: no --env-file beside it")
		}
		if err := checkEnvFile(f.envFile); err != nil {
			return err
		}
		return a.export(cmd.Context(), f, paths)
	}
	return cmd
}

// addApp adds the flags that describe an app as a section of a manifest would: one for each setting of a platform.
func (f *exportFlags) addApp(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.settings = map[string]*string{}
	all, _ := platforms() // whatever is wrong with them is told by what the command does with them
	for _, name := range platformNames(all) {
		for _, set := range all[name].Schema().Settings {
			if f.settings[set.Name] == nil {
				usage := "the app's " + set.Name + ", if no manifest says it"
				if set.Name == schema.APISetting {
					usage = "the `VERSION` of the platform's API, for example v2, if no manifest says it"
				}
				f.settings[set.Name] = flags.String(set.Name, "", usage)
			}
		}
	}
	flags.StringVar(&f.endpoint, "endpoint", "", "the app's base URL, if it is not the platform's own")
	flags.StringVar(&f.apiKeyEnv, "api-key-env", "", "the variable that holds the app's API key, if it is not the usual one")
}

// api is the version of the platform's API that the flags ask for, "" where they ask for none.
func (f *exportFlags) api() string {
	if v := f.settings[schema.APISetting]; v != nil {
		return *v
	}
	return ""
}

// exporter is one export under way.
type exporter struct {
	*workspace
	flags *exportFlags
	apps  []agent.AppID
	parts []*part
	// converts reports that managed agents are written anew in the fields of another version of the API.
	converts bool
}

// part is what is exported of one app.
type part struct {
	*export.Draft
	files []exportFile // in the order in which they are written
}

// exportFile is a file that an export writes: a manifest, or a text that one refers to.
type exportFile struct {
	export.ManifestFile
	path string
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
	if err := ex.draw(ctx); err != nil {
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
	if len(paths) > 0 || anyManifest(defaultPath) {
		return a.openWorkspace(ctx, f.planFlags, paths)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	all, err := platforms()
	if err != nil {
		return nil, err
	}
	file, err := a.openState(ctx, f.state, f.timeout)
	if err != nil {
		return nil, err
	}
	w := &workspace{app: a, flags: f.planFlags, platforms: all, file: file,
		fleet: &manifest.Fleet{Apps: map[agent.AppID]agent.App{}}}
	return w, w.load()
}

// anyManifest reports whether there is a file below folder that could be a manifest. An empty folder is as good as none.
func anyManifest(folder string) bool {
	found := false
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error { // what cannot be read is told by who reads it
		ext := filepath.Ext(path)
		if err == nil && !d.IsDir() && (ext == ".yaml" || ext == ".yml") {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// choose decides which apps are looked at.
func (ex *exporter) choose(ctx context.Context) error {
	f := ex.flags
	if f.platform != "" && ex.platforms[f.platform] == nil {
		return exit.Usagef("no platform is called %q: there are %s", f.platform, strings.Join(platformNames(ex.platforms), ", "))
	}
	if f.app != "" {
		if f.platform == "" {
			return exit.Usagef("--app says which app; say with --platform on which platform it is")
		}
		id := agent.AppID{Platform: f.platform, App: f.app}
		ex.apps = []agent.AppID{id}
		app, known := ex.fleet.Apps[id]
		if !known {
			return ex.describe(ctx, id)
		}
		return ex.convert(id, app)
	}
	if f.api() != "" {
		return exit.Usagef("--api says by which version of its API an app is read; say with --platform and --app which app")
	}
	for id := range ex.fleet.Apps {
		if f.platform == "" || id.Platform == f.platform {
			ex.apps = append(ex.apps, id)
		}
	}
	if len(ex.apps) == 0 {
		return exit.Usagef("no manifest names an app to look at").Hinted(nameAnApp(ex.platforms))
	}
	slices.SortFunc(ex.apps, agent.AppID.Compare)
	return nil
}

// nameAnApp is a hint with one export of each platform that shows the settings which have no default.
func nameAnApp(all map[string]platform.Platform) string {
	hint := "name one:"
	for _, name := range platformNames(all) {
		hint += "\n  agentsync export --platform " + name + " --app ID"
		for _, set := range all[name].Schema().Settings {
			if set.Default == "" {
				hint += " --" + set.Name + " " + strings.ToUpper(set.Name)
			}
		}
		hint += " --out manifests"
	}
	return hint
}

// convert has an app that the manifests name read by another version of its platform's API: its manifests are then written
// anew, of the agents that are managed and under the keys that they have. The state stays as it is: apply records what it
// sees when the new manifests have taken the place of the old ones.
func (ex *exporter) convert(id agent.AppID, app agent.App) error {
	api := ex.flags.api()
	if api == "" || api == schema.APIOf(app) {
		return nil
	}
	s := ex.platforms[id.Platform].Schema()
	if s.Version(api).API != api {
		return exit.Usagef("%s has no API version %q: there are %s", id.Platform, api, strings.Join(apiVersions(s), ", "))
	}
	ex.fleet.Apps[id], ex.converts = withAPI(app, api), true
	return nil
}

// apiVersions returns the names of the versions of a platform's API; "only one" where it has none.
func apiVersions(s *schema.Platform) []string {
	var names []string
	for _, v := range s.Versions() {
		names = append(names, cmp.Or(v.API, "only one"))
	}
	return names
}

// describe takes an app that no manifest names from the flags. They are checked as a section would be.
func (ex *exporter) describe(ctx context.Context, id agent.AppID) error {
	s := ex.platforms[id.Platform].Schema()
	app := agent.App{ID: id, Settings: map[string]string{}, Endpoint: ex.flags.endpoint, APIKeyEnv: s.APIKeyEnv}
	if ex.flags.apiKeyEnv != "" {
		app.APIKeyEnv = ex.flags.apiKeyEnv
	}
	for _, set := range s.Settings {
		if v := *ex.flags.settings[set.Name]; v != "" {
			app.Settings[set.Name] = v
		}
	}
	parser, err := ex.parser()
	if err != nil {
		return err
	}
	fleet, problems, err := parser.Parse(ctx, manifest.Source{Path: "flags", Content: export.File(s.Version(ex.flags.api()), "", export.Section{App: app})})
	if err != nil {
		return err
	}
	for _, p := range problems {
		return exit.Usagef("%s: %s", id, p.Summary).
			Hinted("describe the app with --" + strings.Join(slices.Sorted(maps.Keys(ex.flags.settings)), ", --") + ", --endpoint and --api-key-env, as its platform needs it")
	}
	ex.fleet.Apps[id] = fleet.Apps[id]
	if f := ex.flags; f.endpoint != "" { // who types an endpoint agrees to it
		ex.workspace.flags.allowEndpoints = append(ex.workspace.flags.allowEndpoints, f.endpoint)
	}
	return nil
}

// checkOpen refuses to guess whose an agent is that an earlier run may have made.
func (ex *exporter) checkOpen() error {
	for _, i := range ex.snap.Open {
		if slices.Contains(ex.apps, i.Address.ID()) {
			return exit.With(exit.Failed, "an earlier run left requests to %s without an answer, so what is managed there is not known", i.Address.ID()).
				Hinted("settle them first:\n  agentsync apply")
		}
	}
	return nil
}

// draw lists the apps and makes the manifests.
func (ex *exporter) draw(ctx context.Context) error {
	apps, err := ex.reach(ctx, ex.apps...)
	if err != nil {
		return err
	}
	live, _, err := ex.live(ctx, apps)
	if err != nil {
		return err
	}
	for _, id := range ex.apps {
		agents := ex.agentsOf(id, live[id])
		if len(agents) == 0 {
			continue
		}
		d, err := ex.draft(ctx, id, agents, ex.inUse)
		if err != nil {
			return err
		}
		d.Names = ex.displayNames(ctx, d)
		p := &part{Draft: d}
		manifests := d.Files
		at := filepath.Join(ex.flags.out, "one.yaml")
		if ex.flags.split {
			manifests, at = d.SplitFiles, filepath.Join(ex.flags.out, "app", "one.yaml")
		}
		for _, f := range manifests(schemaURL(at)) {
			path := filepath.Join(ex.flags.out, filepath.FromSlash(f.Name))
			// First the texts: a run that ends in between must not leave a manifest that cannot be read.
			for _, name := range slices.Sorted(maps.Keys(f.Texts)) {
				text := export.ManifestFile{Content: f.Texts[name]}
				p.files = append(p.files, exportFile{text, filepath.Join(filepath.Dir(path), filepath.FromSlash(name))})
			}
			p.files = append(p.files, exportFile{f, path})
		}
		ex.parts = append(ex.parts, p)
	}
	return nil
}

// displayNames lists what the agents of a draft refer to, one request, and only where they refer to something. A list that
// cannot be had costs comments, and nothing else.
func (ex *exporter) displayNames(ctx context.Context, d *export.Draft) export.DisplayNames {
	list := ex.app.references[d.App.ID]
	if list == nil || !d.Refers() {
		return nil
	}
	have, err := list(ctx)
	if err != nil {
		ex.note("%s: the names of what agents refer to are not known: %v", d.App.ID, err)
		return nil
	}
	names := export.DisplayNames{}
	for _, r := range have {
		if names[r.Kind] == nil {
			names[r.Kind] = map[string]string{}
		}
		names[r.Kind][r.Name] = r.DisplayName
	}
	return names
}

// agentsOf returns the agents of an app that are exported, and says which are not.
func (ex *exporter) agentsOf(id agent.AppID, live []plan.Live) []export.Live {
	warn := func(message, hint string) {
		ex.app.Warn(message, hint)
	}
	known := export.Known{App: id, Platform: ex.schemaOf(id), Prior: ex.snap.State.Agents, Desired: ex.fleet.Agents}
	if ex.converts {
		agents, unseen := known.Managed(live)
		if unseen > 0 {
			warn(fmt.Sprintf("%s of %s not written: the API's version %s does not show them", ui.Count(unseen, "managed agent"), id, ex.flags.api()), "")
		}
		return agents
	}
	agents, namesakes := known.Unmanaged(live)
	if namesakes > 0 {
		warn(fmt.Sprintf("%s of %s left out: agents of the same name stand in the manifests and not in the state", ui.Count(namesakes, "live agent"), id),
			"apply takes over those that equal their manifests, and names the others:\n  agentsync apply")
	}
	return agents
}

// inUse returns the value of a variable that is set, or that stands for a secret of an app before.
func (ex *exporter) inUse(name string) (string, bool) {
	for _, p := range ex.parts {
		for _, v := range p.Variables {
			if v.Name == name {
				value, _ := p.Lookup(name)
				return value, true
			}
		}
	}
	return ex.app.Lookup(name)
}

// carryOut writes the files and then the state: in the other order, a run that ends in between would
// leave agents in state that no manifest names.
func (ex *exporter) carryOut(ctx context.Context) error {
	records, err := ex.records(ctx)
	if err != nil {
		return err
	}
	if err := ex.checkAbsent(); err != nil {
		return err
	}
	// Before the manifests that refer to them: once those are there, the agents are managed, and no export reads them again.
	if err := ex.envFile(); err != nil {
		return err
	}
	for _, p := range ex.parts {
		for _, f := range p.files {
			if err := outfile.WriteDeep(f.path, 0o644, f.Content); err != nil {
				return err
			}
		}
	}
	if filepath.IsLocal(ex.flags.out) && len(ex.parts) > 0 { // what the files' first lines name, and what git is to leave out
		in := initializer{app: ex.app, dir: ".", silent: true}
		bundle, err := schema.Bundle("manifest")
		if err == nil {
			err = in.write("schema/manifest.schema.json", bundle)
		}
		if err = errors.Join(err, in.ignore()); err != nil {
			return err
		}
	}
	if ex.converts { // apply records what it sees, once the files have taken the place of the old ones
		return nil
	}
	err = ex.file.Edit(ctx, ex.snap, func(s *state.State) error {
		for addr, rec := range records {
			s.Agents[addr] = rec
		}
		s.Apps = maps.Clone(s.Apps)
		for _, r := range ex.located(ex.apps...) {
			if s.Apps == nil {
				s.Apps = map[agent.AppID]agent.Origin{}
			}
			s.Apps[r.App] = r.Origin
		}
		return nil
	})
	if err != nil {
		return exit.OfState(err)
	}
	return nil
}

// checkAbsent refuses to overwrite.
func (ex *exporter) checkAbsent() error {
	if ex.flags.force {
		return nil
	}
	for _, p := range ex.parts {
		for _, f := range p.files {
			if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
				return exit.Usagef("%s is there already; nothing was written", f.path).
					Hinted("name another folder with --out; --force overwrites the file, and the agents in it leave the manifests")
			}
		}
	}
	return nil
}

// records returns what the state keeps of the exported agents.
func (ex *exporter) records(ctx context.Context) (map[agent.Address]agent.Record, error) {
	records := map[agent.Address]agent.Record{}
	for _, p := range ex.parts {
		var sources []manifest.Source
		for _, f := range p.files {
			if f.Agents > 0 {
				sources = append(sources, manifest.Source{Path: f.path, Content: f.Content, Texts: f.Texts})
			}
		}
		some, err := p.Records(ctx, sources, ex.snap.State.Lineage)
		if errors.Is(err, export.ErrUnwritable) {
			_ = ex.app.Problems(p.Problems) // the error says that nothing was written
			return nil, fmt.Errorf("%w; nothing was written", err)
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(records, some)
	}
	return records, nil
}

// tell writes the result: which files, how many agents, and which variables must be set.
func (ex *exporter) tell() error {
	agents := 0
	for _, p := range ex.parts {
		agents += len(p.Agents)
		ex.app.sayDraft(p.Draft)
	}
	if ex.flags.format.value == formatJSON {
		return ex.tellJSON(agents)
	}
	out := ex.app.Out
	for _, p := range ex.parts {
		for _, f := range p.files {
			switch {
			case ex.flags.dryRun:
				fmt.Fprintf(out, "# %s\n%s\n", report.Sanitize(f.path), report.SanitizeText(string(f.Content)))
			case f.Agents > 0:
				fmt.Fprintf(out, "wrote %s: %s\n", report.Sanitize(f.path), ui.Count(f.Agents, "agent"))
			default:
				fmt.Fprintf(out, "wrote %s\n", report.Sanitize(f.path))
			}
		}
	}
	summary := fmt.Sprintf("%s taken into the state", ui.Count(agents, "agent"))
	switch {
	case agents == 0:
		summary = "Nothing to export: every live agent is managed"
	case ex.converts:
		summary = fmt.Sprintf("%s written as the API's version %s shows them; the state is as it was", ui.Count(agents, "agent"), ex.flags.api())
	case ex.flags.dryRun:
		fmt.Fprintf(ex.app.Err, "%s would be taken over; nothing was written\n", ui.Count(agents, "agent"))
		return nil
	}
	_, err := fmt.Fprintf(out, "%s.\n", summary)
	return err
}

func (ex *exporter) tellJSON(agents int) error {
	type fileDoc struct {
		Path    string `json:"path"`
		Agents  int    `json:"agents"`
		Content string `json:"content,omitempty"`
	}
	doc := struct {
		FormatVersion string        `json:"formatVersion"`
		DryRun        bool          `json:"dryRun"`
		Agents        int           `json:"agents"`
		Files         []fileDoc     `json:"files"`
		Secrets       []variableDoc `json:"secrets"`
	}{report.FormatVersion, ex.flags.dryRun, agents, []fileDoc{}, []variableDoc{}}
	for _, p := range ex.parts {
		doc.Secrets = append(doc.Secrets, variableDocs(p.Draft)...)
		for _, f := range p.files {
			d := fileDoc{Path: f.path, Agents: f.Agents}
			if ex.flags.dryRun {
				d.Content = string(f.Content)
			}
			doc.Files = append(doc.Files, d)
		}
	}
	return ex.app.JSON(doc)
}
