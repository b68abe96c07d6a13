package cli

import (
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
	"agentsync/internal/compose"
	"agentsync/internal/manifest"
	"agentsync/internal/outfile"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/schema"
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
	api                    string // the version of the platform's API
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
	flags.StringVar(&f.platform, "platform", "", "only apps of this `PLATFORM`: "+knownPlatforms())
	_ = cmd.RegisterFlagCompletionFunc("platform", completePlatforms)
	flags.StringVar(&f.app, "app", "", "only the app with this `ID`; no manifest needs to name it")
	f.addApp(cmd)
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

// addApp adds the flags that describe an app as a section of a manifest would.
func (f *exportFlags) addApp(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.api, "api", "", "the `VERSION` of the platform's API, for example v2, if no manifest says it")
	flags.StringVar(&f.region, "region", "", "the app's region, if no manifest says it")
	flags.StringVar(&f.host, "host", "", "the app's host, if no manifest says it")
	flags.StringVar(&f.endpoint, "endpoint", "", "the app's base URL, if it is not the platform's own")
	flags.StringVar(&f.apiKeyEnv, "api-key-env", "", "the variable that holds the app's API key, if it is not the usual one")
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
	w := &workspace{app: a, flags: f.planFlags, platforms: all, file: state.NewFile(f.state),
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
		return usageError("no platform is called %q: there are %s", f.platform, strings.Join(platformNames(ex.platforms), ", "))
	}
	if f.app != "" {
		if f.platform == "" {
			return usageError("--app says which app; say with --platform on which platform it is")
		}
		id := agent.AppID{Platform: f.platform, App: f.app}
		ex.apps = []agent.AppID{id}
		app, known := ex.fleet.Apps[id]
		if !known {
			return ex.describe(ctx, id)
		}
		return ex.convert(id, app)
	}
	if f.api != "" {
		return usageError("--api says by which version of its API an app is read; say with --platform and --app which app")
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

// convert has an app that the manifests name read by another version of its platform's API: its manifests are then written
// anew, of the agents that are managed and under the keys that they have. The state stays as it is: apply records what it
// sees when the new manifests have taken the place of the old ones.
func (ex *exporter) convert(id agent.AppID, app agent.App) error {
	api := ex.flags.api
	if api == "" || api == schema.APIOf(app) {
		return nil
	}
	s := ex.platforms[id.Platform].Schema()
	if s.Version(api).API != api {
		var names []string
		for _, v := range s.Versions() {
			names = append(names, v.API)
		}
		return usageError("%s has no API version %q: there are %s", id.Platform, api, strings.Join(names, ", "))
	}
	ex.fleet.Apps[id], ex.converts = withAPI(app, api), true
	return nil
}

// describe takes an app that no manifest names from the flags. They are checked as a section would be.
func (ex *exporter) describe(ctx context.Context, id agent.AppID) error {
	s := ex.platforms[id.Platform].Schema()
	app := agent.App{ID: id, Settings: map[string]string{}, Endpoint: ex.flags.endpoint, APIKeyEnv: s.APIKeyEnv}
	if ex.flags.apiKeyEnv != "" {
		app.APIKeyEnv = ex.flags.apiKeyEnv
	}
	given := map[string]string{"api": ex.flags.api, "region": ex.flags.region, "host": ex.flags.host}
	for _, setting := range s.Settings {
		if v := given[setting.Name]; v != "" {
			app.Settings[setting.Name] = v
		}
	}
	fleet, problems, err := ex.parse(ctx, manifest.Source{Path: "flags", Content: compose.File(s.Version(ex.flags.api), "", compose.Section{App: app})})
	if err != nil {
		return err
	}
	for _, p := range problems {
		return &Failure{Code: ExitUsage, Err: fmt.Errorf("%s: %s", id, p.Summary),
			Hint: "describe the app with --region, --host, --endpoint and --api-key-env, as its platform needs it"}
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
			return &Failure{Code: ExitFailed, Err: fmt.Errorf("an earlier run left requests to %s without an answer, so what is managed there is not known", i.Address.ID()),
				Hint: "settle them first:\n  agentsync apply"}
		}
	}
	return nil
}

// compose lists the apps and makes the manifests.
func (ex *exporter) compose(ctx context.Context) error {
	apps, err := ex.reach(ctx, ex.apps...)
	if err != nil {
		return err
	}
	live, _, err := ex.workspace.live(ctx, apps)
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
	s := ex.schemaOf(id)
	p := &part{live: map[string]plan.Live{}}
	unmanaged, namesakes := ex.unmanaged(id, live)
	keyOf := map[string]string{}
	if ex.converts {
		if unmanaged, keyOf = ex.managed(id, live); len(keyOf) > len(unmanaged) {
			report.Warning(ex.app.streams.Err, ex.app.style(ex.app.streams.Err),
				fmt.Sprintf("%s of %s not written: the API's version %s does not show them", count(len(keyOf)-len(unmanaged), "managed agent"), id, ex.flags.api), "")
		}
	}
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
		f := found{key: keyOf[l.UID], uid: l.UID, fields: l.Content.Fields()}
		if f.key == "" {
			f.key = keys.Name(s, l.Content.Fields(), l.UID)
		}
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

// managed returns the live agents that state knows, and the key of each agent that it knows, by uid.
func (ex *exporter) managed(id agent.AppID, live []plan.Live) (known []plan.Live, keyOf map[string]string) {
	keyOf = map[string]string{}
	for addr, rec := range ex.snap.State.Agents {
		if addr.ID() == id {
			keyOf[rec.UID] = addr.Key
		}
	}
	for _, l := range live {
		if keyOf[l.UID] != "" {
			known = append(known, l)
		}
	}
	return known, keyOf
}

// inUse returns the value of a variable that is set, or that stands for a secret of an app before.
func (ex *exporter) inUse(name string) (string, bool) {
	for _, p := range ex.parts {
		for _, v := range p.variables {
			if v.Name == name {
				value, _ := p.lookup(name)
				return value, true
			}
		}
	}
	return ex.app.lookup()(name)
}

// unmanaged returns the live agents that state does not know, and counts those left out because the
// manifests want an agent of the same name that state does not know either.
func (ex *exporter) unmanaged(id agent.AppID, live []plan.Live) (free []plan.Live, namesakes int) {
	s := ex.schemaOf(id)
	owned := map[string]bool{}
	for addr, rec := range ex.snap.State.Agents {
		if addr.ID() == id {
			owned[rec.UID] = true
			for _, uid := range rec.Obsolete {
				owned[uid] = true
			}
		}
	}
	waiting := map[string]bool{}
	for _, d := range ex.fleet.Agents {
		if _, known := ex.snap.State.Agents[d.Address]; d.Address.ID() == id && !known {
			waiting[identity(s, d.Fields)] = true
		}
	}
	for _, l := range live {
		switch {
		case owned[l.UID]:
		case waiting[identity(s, l.Content.Fields())]:
			namesakes++
		default:
			free = append(free, l)
		}
	}
	return free, namesakes
}

// identity joins what a person tells agents apart by.
func identity(s *schema.Platform, f agent.Fields) string {
	var b strings.Builder
	for _, field := range s.Fields {
		if field.Identity {
			text, _ := f[field.Name].(string)
			fmt.Fprintf(&b, "%q ", text)
		}
	}
	return b.String()
}

func (ex *exporter) takenKeys(id agent.AppID) map[string]bool {
	taken := map[string]bool{}
	for addr := range ex.snap.State.Agents {
		taken[addr.Key] = taken[addr.Key] || addr.ID() == id
	}
	for _, d := range ex.fleet.Agents {
		taken[d.Address.Key] = taken[d.Address.Key] || d.Address.ID() == id
		for _, key := range d.PreviousKeys {
			taken[key] = taken[key] || d.Address.ID() == id
		}
	}
	maps.DeleteFunc(taken, func(_ string, is bool) bool { return !is })
	return taken
}

// maxPerFile is how many agents one exported file holds at the most.
const maxPerFile = 500

// cut puts an app's agents into files.
func (ex *exporter) cut(c *composed) []exportFile {
	var files []exportFile
	total := (len(c.agents) + maxPerFile - 1) / maxPerFile
	for n := range total {
		agents := c.agents[n*maxPerFile : min((n+1)*maxPerFile, len(c.agents))]
		name := c.app.ID.Platform + "-" + c.app.ID.App
		if total > 1 {
			name += fmt.Sprintf("-%0*d", len(fmt.Sprint(total)), n+1)
		}
		path := filepath.Join(ex.flags.out, name+".yaml")
		defaults, rest := compose.Share(c.platform, agents)
		content := compose.File(c.platform, schemaURL(path), compose.Section{App: c.app, Defaults: defaults, Agents: rest})
		files = append(files, exportFile{path: path, agents: len(agents), content: content})
	}
	return files
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
	for _, p := range ex.parts {
		for _, f := range p.files {
			if err := outfile.WriteDeep(f.path, 0o644, f.content); err != nil {
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
		return stateError(err)
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
				return &Failure{Code: ExitUsage, Err: fmt.Errorf("%s is there already; nothing was written", f.path),
					Hint: "name another folder with --out; --force overwrites the file, and the agents in it leave the manifests"}
			}
		}
	}
	return nil
}

// records returns what the state keeps of the exported agents. What is applied is what the files say,
// read as the next plan reads them, and that must be what is live.
func (ex *exporter) records(ctx context.Context) (map[agent.Address]agent.Record, error) {
	records := map[agent.Address]agent.Record{}
	for _, p := range ex.parts {
		var sources []manifest.Source
		for _, f := range p.files {
			sources = append(sources, manifest.Source{Path: f.path, Content: f.content})
		}
		fleet, problems, err := ex.parse(ctx, sources...)
		if err != nil {
			return nil, err
		}
		p.problems = problems
		if len(fleet.Agents) != len(p.agents) {
			_ = ex.app.reportProblems(problems)
			return nil, fmt.Errorf("the agents of %s cannot be written as manifests; nothing was written", p.app.ID)
		}
		for _, d := range fleet.Agents {
			rec, err := p.record(d, secret.Sealer{Key: []byte(ex.snap.State.Lineage), Lookup: p.lookup})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.Address, err)
			}
			records[d.Address] = rec
		}
	}
	return records, nil
}

func (p *part) record(d agent.Desired, s secret.Sealer) (rec agent.Record, err error) {
	live := p.live[d.Address.Key]
	resolved, err := d.Fields.Resolve(p.lookup)
	want := compose.Tidy(p.platform, live.Content.Fields())
	if err == nil && !agent.Equal(map[string]any(resolved), map[string]any(want)) { // with an error, a secret is hidden
		return rec, errors.New("its manifest would not read back as what is live; nothing was written")
	}
	rec.UID, rec.Mark, rec.API = live.UID, live.Mark, p.platform.Recorded()
	if rec.Applied, err = plan.AppliedDoc(d, agent.Record{}, s); err != nil {
		return rec, err
	}
	rec.Observed, err = agent.Encode(plan.SealAnswer(live.Content.Fields(), d.Fields, s))
	return rec, err
}

// tell writes the result: which files, how many agents, and which variables must be set.
func (ex *exporter) tell() error {
	agents := 0
	for _, p := range ex.parts {
		agents += len(p.agents)
		p.warn(ex.app)
	}
	if ex.flags.format.value == formatJSON {
		return ex.tellJSON(agents)
	}
	out := ex.app.streams.Out
	for _, p := range ex.parts {
		for _, f := range p.files {
			if ex.flags.dryRun {
				fmt.Fprintf(out, "# %s\n%s\n", f.path, f.content)
			} else {
				fmt.Fprintf(out, "wrote %s: %s\n", f.path, count(f.agents, "agent"))
			}
		}
	}
	summary := fmt.Sprintf("%s taken into the state", count(agents, "agent"))
	switch {
	case agents == 0:
		summary = "Nothing to export: every live agent is managed"
	case ex.converts:
		summary = fmt.Sprintf("%s written as the API's version %s shows them; the state is as it was", count(agents, "agent"), ex.flags.api)
	case ex.flags.dryRun:
		fmt.Fprintf(ex.app.streams.Err, "%s would be taken over; nothing was written\n", count(agents, "agent"))
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
		doc.Secrets = append(doc.Secrets, p.variableDocs()...)
		for _, f := range p.files {
			d := fileDoc{Path: f.path, Agents: f.agents}
			if ex.flags.dryRun {
				d.Content = string(f.content)
			}
			doc.Files = append(doc.Files, d)
		}
	}
	ex.app.answered = true
	return report.JSON(ex.app.streams.Out, doc)
}
