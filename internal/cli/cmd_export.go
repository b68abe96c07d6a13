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
	"agentsync/internal/checkout"
	"agentsync/internal/diag"
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
	flags.Work
	of            flags.App
	out, envFile  string
	force, dryRun bool
	split         bool
	lockTimeout   time.Duration
	format        *flags.Choice
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
	f.Reading(cmd)
	flags.LockTimeout(cmd, &f.lockTimeout)
	flags.PlatformVar(cmd, &f.of.Platform, "only apps of this `PLATFORM`: ")
	f.of.Add(cmd)
	set := cmd.Flags()
	set.StringVar(&f.of.ID, "app", "", "only the app with this `ID`; no manifest needs to name it")
	set.StringVar(&f.out, "out", "", "write the manifests into the folder `DIR`")
	set.BoolVar(&f.split, "split", false,
		"write each agent to a file of its own, and texts of more than four lines to "+
			"Markdown files beside it")
	set.BoolVar(&f.force, "force", false,
		"overwrite existing files; agents that are in no other file are then in no manifest")
	set.BoolVar(&f.dryRun, "dry-run", false, "print the manifests, and write neither them nor the state")
	set.StringVar(&f.envFile, "env-file", "",
		"write the secrets that the platform shows to `FILE`, which only you can read and git leaves out")
	_ = cmd.MarkFlagFilename("env-file")
	f.format = flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error { return exportLive(cmd.Context(), a.UI, f, paths) }
	return cmd
}

// exporter is one export under way.
type exporter struct {
	*workspace.Workspace
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

// exportLive is the whole of 'agentsync export'.
func exportLive(ctx context.Context, u *ui.UI, f *exportFlags, paths []string) error {
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
	w, err := f.OpenBare(ctx, u)
	if err != nil {
		return err
	}
	defer w.Close()
	// Where there are no manifests yet, the fleet is empty.
	if w.Paths = paths; len(paths) > 0 || anyManifest(workspace.DefaultPath) {
		if err := w.LoadFleet(ctx); err != nil {
			return err
		}
	}
	ex := &exporter{Workspace: w, flags: f}
	if err := ex.choose(ctx); err != nil {
		return err
	}
	// The lock comes before the lists: an agent that another run makes meanwhile would be taken for one that nobody
	// manages.
	if f.dryRun {
		err = w.Load(ctx)
	} else {
		var unlock func()
		if unlock, err = w.Lock(ctx, "export", f.lockTimeout); err == nil {
			defer unlock()
		}
	}
	if err != nil {
		return err
	}
	w.NameLineage()
	for _, i := range w.Snap.Open { // nobody can say whose an agent is that such a request may have made
		if slices.Contains(ex.apps, i.Address.ID()) {
			return exit.With(exit.Failed,
				"an earlier run left requests to %s without an answer, so what is managed there is "+
					"not known",
				i.Address.ID()).
				Hinted("settle them first:\n  agentsync apply")
		}
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

// anyManifest reports whether there is a file below folder that could be a manifest. An empty folder is as good as
// none.
func anyManifest(folder string) bool {
	found := false
	// what cannot be read is told by who reads it
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
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
	of := &ex.flags.of
	switch {
	case of.Platform != "" && ex.Platforms[of.Platform] == nil:
		return workspace.NoPlatform(of.Platform, ex.Platforms)
	case of.ID != "" && of.Platform == "":
		return exit.Usagef("--app says which app; say with --platform on which platform it is")
	case of.ID == "" && of.API() != "":
		return exit.Usagef("--api says by which version of its API an app is read; say with --platform and --app which app")
	}
	if of.ID != "" {
		id := agent.AppID{Platform: of.Platform, App: of.ID}
		ex.apps = []agent.AppID{id}
		app, known := ex.Fleet.Apps[id]
		s, api := ex.Platforms[id.Platform].Schema(), of.API()
		switch {
		case !known:
			return describeApp(ctx, ex.Workspace, id, of)
		case api == "" || api == schema.APIOf(app):
			return nil
		case s.Version(api).API != api:
			return exit.Usagef("%s has no API version %q: there are %s", id.Platform, api,
				strings.Join(apiVersions(s), ", "))
		}
		// An app that the manifests name is to be read by another version of its platform's API: its manifests are
		// written anew, of the agents that are managed and under the keys that they have. The state stays as it is:
		// apply records what it sees when the new manifests have taken the place of the old ones.
		ex.Fleet.Apps[id], ex.converts = workspace.WithAPI(app, api), true
		return nil
	}
	for id := range ex.Fleet.Apps {
		if of.Platform == "" || id.Platform == of.Platform {
			ex.apps = append(ex.apps, id)
		}
	}
	if len(ex.apps) == 0 {
		return exit.Usagef("no manifest names an app to look at").Hinted(nameAnApp(ex.Platforms))
	}
	slices.SortFunc(ex.apps, agent.AppID.Compare)
	return nil
}

// nameAnApp is a hint with one export of each platform that shows the settings which have no default.
func nameAnApp(all map[string]platform.Platform) string {
	hint := "name one:"
	for _, name := range workspace.Names(all) {
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

// apiVersions returns the names of the versions of a platform's API; "only one" where it has none.
func apiVersions(s *schema.Platform) []string {
	var names []string
	for _, v := range s.Versions() {
		names = append(names, cmp.Or(v.API, "only one"))
	}
	return names
}

// describeApp takes an app that no manifest names from the flags. They are checked as a section would be.
func describeApp(ctx context.Context, w *workspace.Workspace, id agent.AppID, f *flags.App) error {
	s := w.Platforms[id.Platform].Schema()
	app := agent.App{ID: id, Settings: map[string]string{}, Endpoint: f.Endpoint,
		APIKeyEnv: cmp.Or(f.APIKeyEnv, s.APIKeyEnv)}
	for _, set := range s.Settings {
		if v := *f.Settings[set.Name]; v != "" {
			app.Settings[set.Name] = v
		}
	}
	parser, err := w.Parser()
	if err != nil {
		return err
	}
	section := manifest.Source{Path: "flags", Content: export.File(s.Version(f.API()), "", export.Section{App: app})}
	fleet, problems, err := parser.Parse(ctx, section)
	if err != nil {
		return err
	}
	for _, p := range problems {
		return exit.Usagef("%s: %s", id, p.Summary).
			Hinted("describe the app with --" + strings.Join(slices.Sorted(maps.Keys(f.Settings)), ", --") +
				", --endpoint and --api-key-env, as its platform needs it")
	}
	w.Fleet.Apps[id] = fleet.Apps[id]
	if f.Endpoint != "" { // who types an endpoint agrees to it
		w.AllowEndpoints = append(w.AllowEndpoints, f.Endpoint)
	}
	return nil
}

// draw lists the apps and makes the manifests.
func (ex *exporter) draw(ctx context.Context) error {
	apps, err := ex.Connect(ctx, ex.apps...)
	if err != nil {
		return err
	}
	known, err := ex.Lists(ctx, apps)
	if err != nil {
		return err
	}
	for _, id := range ex.apps {
		agents := ex.agentsOf(id, known.Live[id])
		if len(agents) == 0 {
			continue
		}
		d, err := draft(ctx, ex.Workspace, id, agents, ex.inUse)
		if err != nil {
			return err
		}
		d.Names = ex.displayNames(ctx, d)
		p := &part{Draft: d}
		manifests, at := d.Files, filepath.Join(ex.flags.out, "one.yaml")
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

// agentsOf returns the agents of an app that are exported, and says which are not.
func (ex *exporter) agentsOf(id agent.AppID, live []plan.Live) []export.Live {
	known := export.Known{App: id, Platform: ex.SchemaOf(id), Prior: ex.Snap.State.Agents, Desired: ex.Fleet.Agents}
	if ex.converts {
		agents, unseen := known.Managed(live)
		if unseen > 0 {
			ex.Warn(fmt.Sprintf("%s of %s not written: the API's version %s does not show them",
				diag.Plural(unseen, "managed agent"), id, ex.flags.of.API()), "")
		}
		return agents
	}
	agents, namesakes := known.Unmanaged(live)
	if namesakes > 0 {
		ex.Warn(fmt.Sprintf("%s of %s left out: agents of the same name stand in the manifests and not in the state",
			diag.Plural(namesakes, "live agent"), id),
			"apply takes over those that equal their manifests, and names the others:\n  agentsync apply")
	}
	return agents
}

// displayNames lists what the agents of a draft refer to, one request, and only where they refer to something. A list
// that cannot be had costs comments, and nothing else.
func (ex *exporter) displayNames(ctx context.Context, d *export.Draft) export.DisplayNames {
	if !d.Refers() {
		return nil
	}
	have, err := ex.References(ctx, d.App.ID)
	if err != nil {
		ex.Notef("%s: the names of what agents refer to are not known: %v", d.App.ID, err)
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
	return ex.Lookup(name)
}

// variables are those of all parts, and not nil.
func (ex *exporter) variables() []export.Variable {
	all := []export.Variable{}
	for _, p := range ex.parts {
		all = append(all, p.Variables...)
	}
	return all
}

// carryOut writes the secrets, the manifests, and then the state.
func (ex *exporter) carryOut(ctx context.Context) error {
	records, err := ex.records(ctx)
	if err != nil {
		return err
	}
	for _, p := range ex.parts {
		for _, f := range p.files {
			if _, err := os.Lstat(f.path); !ex.flags.force && !errors.Is(err, fs.ErrNotExist) {
				return exit.Usagef("%s is there already; nothing was written", f.path).
					Hinted("name another folder with --out; --force overwrites the file, and the agents in it leave the manifests")
			}
		}
	}
	// Before the manifests that refer to them: once those are there, the agents are managed, and no export reads them
	// again.
	if ex.flags.envFile != "" {
		if err := writeEnvFile(ex.flags.envFile, ex.variables()); err != nil {
			return err
		}
		ex.Printf("wrote %s: the secrets that the platform shows, for nobody else to read",
			show.Line(ex.flags.envFile))
	}
	// Before the state: in the other order, a run that ends in between would leave agents in state that no manifest
	// names.
	for _, p := range ex.parts {
		for _, f := range p.files {
			if err := outfile.WriteDeep(f.path, f.Content); err != nil {
				return err
			}
		}
	}
	// what the files' first lines name, and what git is to leave out
	if filepath.IsLocal(ex.flags.out) && len(ex.parts) > 0 {
		in := &initializer{UI: ex.UI, dir: ".", isPart: true}
		if err := errors.Join(in.writeSchema(), in.ignore()); err != nil {
			return err
		}
	}
	if ex.converts { // apply records what it sees, once the files have taken the place of the old ones
		return nil
	}
	return exit.OfState(ex.File.Edit(ctx, ex.Snap, func(s *state.State) error {
		maps.Copy(s.Agents, records)
		located := map[agent.AppID]agent.Origin{}
		maps.Copy(located, s.Apps)
		for _, r := range ex.Located(ex.apps...) {
			located[r.App] = r.Origin
		}
		if len(located) > 0 {
			s.Apps = located
		}
		return nil
	}))
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
		some, err := p.Records(ctx, sources, ex.Snap.State.Lineage)
		if errors.Is(err, export.ErrUnwritable) {
			_ = ex.Problems(p.Problems) // the error says that nothing was written
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
		sayDraft(ex.UI, p.Draft)
	}
	if ex.flags.format.Value == flags.JSON {
		return ex.tellJSON(agents)
	}
	out := ex.Result()
	for _, p := range ex.parts {
		for _, f := range p.files {
			switch {
			case ex.flags.dryRun:
				fmt.Fprintf(out, "# %s\n%s\n", show.Line(f.path), show.Text(string(f.Content)))
			case f.Agents > 0:
				fmt.Fprintf(out, "wrote %s: %s\n", show.Line(f.path), diag.Plural(f.Agents, "agent"))
			default:
				fmt.Fprintf(out, "wrote %s\n", show.Line(f.path))
			}
		}
	}
	summary := fmt.Sprintf("%s taken into the state", diag.Plural(agents, "agent"))
	switch {
	case agents == 0:
		summary = "Nothing to export: every live agent is managed"
	case ex.converts:
		summary = fmt.Sprintf("%s written as the API's version %s shows them; the state is as it was",
			diag.Plural(agents, "agent"), ex.flags.of.API())
	case ex.flags.dryRun:
		ex.Printf("%s would be taken over; nothing was written", diag.Plural(agents, "agent"))
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
		FormatVersion string            `json:"formatVersion"`
		DryRun        bool              `json:"dryRun"`
		Agents        int               `json:"agents"`
		Files         []fileDoc         `json:"files"`
		Secrets       []export.Variable `json:"secrets"`
	}{report.FormatVersion, ex.flags.dryRun, agents, []fileDoc{}, ex.variables()}
	for _, p := range ex.parts {
		for _, f := range p.files {
			d := fileDoc{Path: f.path, Agents: f.Agents}
			if ex.flags.dryRun {
				d.Content = string(f.Content)
			}
			doc.Files = append(doc.Files, d)
		}
	}
	return ex.JSON(doc)
}

// draft writes live agents of an app as manifests; see export.NewDraft.
func draft(
	ctx context.Context, w *workspace.Workspace, id agent.AppID, live []export.Live, inUse secret.Lookup,
) (*export.Draft, error) {
	parser, err := w.Parser()
	if err != nil {
		return nil, err
	}
	return export.NewDraft(ctx, parser, w.SchemaOf(id), w.Fleet.Apps[id], live, inUse)
}

// maxListed is how many variables are named one by one.
const maxListed = 20

// sayDraft says what keeps a draft's manifests from being valid, and which variables have to be set.
func sayDraft(u *ui.UI, d *export.Draft) {
	for _, p := range d.Problems {
		if p.Severity == diag.Error {
			u.Warn(fmt.Sprintf("%s would not pass validation as it is: %s", p.Address, p.Summary), "")
		}
	}
	if n := d.Unmarked(); n > 0 {
		u.Sayf("the next apply puts the mark that marker: true asks for into %s of %s", diag.Plural(n, "agent"),
			d.App.ID)
	}
	if len(d.Variables) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("before apply, set each variable to the value that the platform has:")
	for i, v := range d.Variables {
		if i == maxListed && !u.Verbose {
			fmt.Fprintf(&b, "\nand %s more, -v lists all", diag.Plural(len(d.Variables)-i, "variable"))
			break
		}
		where := fmt.Sprintf("%s in %s", show.Path(v.Path), v.Address)
		if v.Agents > 1 {
			where += fmt.Sprintf(" and %s more", diag.Plural(v.Agents-1, "agent"))
		}
		if v.Hidden {
			where += "; the platform hides its value"
		}
		fmt.Fprintf(&b, "\n  export %s=…   # %s", v.Name, where)
	}
	u.Warn(fmt.Sprintf("%s of %s written as ${secret:NAME}", diag.Plural(len(d.Variables), "secret"), d.App.ID),
		b.String())
}

// schemaURL returns what the modeline of a manifest points to: the schema that init put beside the
// manifests, seen from the file.
func schemaURL(path string) string {
	const file = "schema/manifest.schema.json"
	if rel, err := filepath.Rel(filepath.Dir(path), file); err == nil && !filepath.IsAbs(path) {
		return filepath.ToSlash(rel)
	}
	return ""
}

// The file of --env-file is the one file in which agentsync writes secrets: the values that an export read at a
// platform which shows them, for whoever has to set them elsewhere. Nobody but the user can read it, git leaves it out,
// and it is never written over.

// checkEnvFile refuses a file that is there, or that git tracks.
func checkEnvFile(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return exit.Usagef("--env-file: %s is there already; nothing was written", path).
			Hinted("name another file: secrets are written over nothing")
	}
	if checkout.Tracks(path) {
		return exit.Usagef("--env-file: git tracks %s, and would commit the secrets in it; nothing was written", path).
			Hinted("name another file")
	}
	return nil
}

// writeEnvFile writes the values of the variables that an export read.
func writeEnvFile(path string, variables []export.Variable) error {
	var b strings.Builder
	b.WriteString("# Secrets that agentsync export read. Read them with: set -a; . FILE; set +a\n")
	written := map[string]bool{}
	for _, v := range variables {
		value, err := v.Value.Reveal()
		switch {
		case written[v.Name]:
			continue
		case err != nil || v.Hidden:
			fmt.Fprintf(&b, "# %s: the platform does not show it\n", v.Name)
		default:
			fmt.Fprintf(&b, "%s='%s'\n", v.Name, strings.ReplaceAll(value, "'", `'\''`))
		}
		written[v.Name] = true
	}
	// Before the file is there: no commit may come in between.
	folder, name := filepath.Split(filepath.Clean(path))
	if _, err := checkout.Ignore(filepath.Join(folder, ".gitignore"), []byte("/"+name+"\n")); err != nil {
		return exit.Usagef("--env-file: %w", err).Hinted("name a file in a folder that is there")
	}
	return outfile.Write(path, 0o600, []byte(b.String()))
}
