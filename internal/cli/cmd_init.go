package cli

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/docs/ci"
	"agentsync/internal/agent"
	"agentsync/internal/checkout"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/export"
	"agentsync/internal/flags"
	"agentsync/internal/manifest"
	"agentsync/internal/outfile"
	"agentsync/internal/platform"
	"agentsync/internal/report/show"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
	"agentsync/schema"
)

// initFiles are what init writes.
//
//go:embed initfiles
var initFiles embed.FS

const initLong = `Writes what a repository needs to begin with: a first manifest with an example of each platform, the JSON
Schema beside it, so that an editor explains and checks the manifest offline, and the lines of .gitignore.
--workflow adds the CI workflows that plan in pull requests, apply on merge and report drift at night, with a line of env: for
each ${secret:NAME} of the manifests that are there.

--environments is for a fleet that exists more than once, for example in staging and in prod: the manifests are the same, a
variable names the app (appId: ${env:COMETCHAT_APP}), and each environment has a state and a file environments/NAME.env that says
which. Its workflows do the same for each environment, in the order given.

Nothing that is there is overwritten; init can be run again. If there are manifests already, no example is added.`

// workflow is a template of docs/ci and where its CI system looks for it.
type workflow struct{ template, path string }

// workflowsOf returns the workflows of a CI system.
func workflowsOf(system string, environments []string) []workflow {
	if system == "gitlab" {
		return []workflow{{"gitlab.yml", ".gitlab-ci.yml"}}
	}
	folder := ""
	if environments != nil {
		folder = "environments/"
	}
	var all []workflow
	for _, name := range []string{"pull-request.yml", "merge.yml", "drift.yml"} {
		all = append(all, workflow{folder + name, ".github/workflows/agentsync-" + name})
	}
	return all
}

func (a *app) initCommand() *cobra.Command {
	in := &initializer{UI: a.UI, dir: ".", system: flags.Choice{Allowed: []string{"github", "gitlab"}}}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a first manifest, its schema and .gitignore lines",
		Long:  initLong,
		Example: `  agentsync init
  agentsync init --platform mindset --workflow github
  agentsync init --platform mindset --api v2
  agentsync init --environments staging,prod --workflow github
  agentsync init agents-of-acme`,
		Args: cobra.MaximumNArgs(1),
	}
	set := cmd.Flags()
	set.StringSliceVar(&in.chosen, "platform", nil,
		"only examples of this `PLATFORM`: "+flags.KnownPlatforms()+"; repeatable")
	_ = cmd.RegisterFlagCompletionFunc("platform", flags.CompletePlatforms)
	flags.ChoiceVar(cmd, &in.system, "workflow", "write the workflows of this CI `SYSTEM`: github or gitlab")
	set.StringVar(&in.api, "api", "", "an example for this `VERSION` of the platform's API, for example v2")
	set.StringSliceVar(&in.environments, "environments", nil,
		"the `NAMES` of environments, the first to be applied first, for example staging,prod")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			in.dir = args[0]
		}
		return in.run(cmd.Context())
	}
	return cmd
}

// initializer writes into one folder and says what it wrote.
type initializer struct {
	*ui.UI
	dir          string
	chosen       []string // platforms
	api          string
	system       flags.Choice
	environments []string
	// isPart leaves out what was written: init is a part of another command.
	isPart bool
}

func (in *initializer) run(ctx context.Context) error {
	if err := in.checkEnvironments(); err != nil {
		return err
	}
	example, err := firstManifest(in.chosen, in.api)
	if err != nil {
		return err
	}
	// A fleet that is there gets no example: it would be two agents more in the next apply.
	isNew := !anyManifest(filepath.Join(in.dir, workspace.DefaultPath))
	if isNew {
		if in.environments != nil {
			if example, err = withAppVariables(example); err != nil {
				return err
			}
		}
		err = in.write("manifests/agents.yaml", example)
	} else {
		in.say("kept", filepath.Join(in.dir, workspace.DefaultPath))
	}
	if err != nil {
		return err
	}
	if err := in.writeSchema(); err != nil {
		return err
	}
	// Before the first run, which leaves its lock and its journal beside the state.
	if err := in.ignore(); err != nil {
		return err
	}
	if err := in.writeEnvironments(); err != nil {
		return err
	}
	// Behind the manifests: the workflows get a line for each secret that these refer to.
	secrets := in.secretsOf(ctx)
	if err := in.workflows(secrets); err != nil {
		return err
	}
	in.sayNext(isNew, secrets)
	return nil
}

// sayNext says what init cannot know.
func (in *initializer) sayNext(isNew bool, secrets []string) {
	switch {
	case in.environments != nil:
		in.Sayf("Put the apps' ids of each environment into environments/*.env, and try one:\n"+
			"  set -a; . environments/%s.env; set +a; agentsync plan", in.environments[0])
	case isNew:
		in.Sayf("Put your apps' ids into the manifest, or look around without an account: agentsync plan --sandbox")
	}
	switch in.system.Value {
	case "github":
		in.Sayf("In .github/workflows, put the action's owner for your-org.")
		if in.environments != nil {
			in.Sayf("In the repository's settings, make the environments %s, with their reviewers, and %s-drift without, "+
				"and put the API keys there as secrets.",
				strings.Join(in.environments, ", "), strings.Join(in.environments, "-drift, "))
		} else {
			in.Sayf("In the repository's settings, make the environment agents, with its reviewers, and put the API keys " +
				"there as secrets.")
		}
		in.Sayf("env: has %s of the manifests; agentsync secrets --format github prints the lines anew.",
			diag.Plural(len(secrets), "secret"))
	case "gitlab":
		in.Sayf("In .gitlab-ci.yml, put the group of the project for your-org; its first lines say which variables to set.")
	}
}

// firstManifest returns the example of each chosen platform, or of all, in one manifest. Where api is a version of a
// platform's API, its example is that version's, and platforms that do not have it are left out.
func firstManifest(chosen []string, api string) ([]byte, error) {
	all, err := workspace.Platforms()
	if err != nil {
		return nil, err
	}
	for _, name := range chosen {
		if all[name] == nil {
			return nil, workspace.NoPlatform(name, all)
		}
	}
	content, err := initFiles.ReadFile("initfiles/head.yaml")
	written, versions := 0, []string{}
	for _, name := range exampleOrder(all, chosen) {
		s := all[name].Schema().Version(api)
		if api != "" && s.API != api {
			versions = append(versions, name+": "+strings.Join(apiVersions(all[name].Schema()), ", "))
			continue
		}
		written++
		part, perr := initFiles.ReadFile("initfiles/" + s.File + ".yaml")
		if errors.Is(perr, fs.ErrNotExist) {
			part, perr = plainExample(s), nil
		}
		content, err = append(content, part...), errors.Join(err, perr)
	}
	if written == 0 {
		return nil, exit.Usagef("no example is of the API version %q; the versions are %s", api,
			strings.Join(versions, "; "))
	}
	return content, err
}

// plainExample is the section of a platform that has no example of its own: one agent, made of the schema's examples.
func plainExample(p *schema.Platform) []byte {
	fields := agent.Fields{}
	for _, f := range p.Fields {
		if f.Required {
			fields[f.Name] = f.Example
		}
	}
	settings := map[string]string{}
	for _, set := range p.Settings {
		settings[set.Name] = cmp.Or(set.Default, set.Example)
	}
	content := export.File(p, "", export.Section{
		App:    agent.App{ID: agent.AppID{Platform: p.Name, App: "my-app"}, APIKeyEnv: p.APIKeyEnv, Settings: settings},
		Agents: []export.Agent{{Key: "first", Fields: fields}},
	})
	return bytes.TrimPrefix(content, []byte("version: 1\n"))
}

func exampleOrder(all map[string]platform.Platform, chosen []string) []string {
	return slices.DeleteFunc(workspace.Names(all), func(name string) bool {
		return len(chosen) > 0 && !slices.Contains(chosen, name)
	})
}

// write writes a file that is not there yet.
func (in *initializer) write(name string, content []byte) error {
	path := filepath.Join(in.dir, filepath.FromSlash(name))
	if _, err := os.Lstat(path); err == nil {
		in.say("kept", path)
		return nil
	}
	if err := os.MkdirAll(in.dir, 0o755); err != nil {
		return initError(err)
	}
	if err := outfile.WriteIn(in.dir, filepath.FromSlash(name), 0o644, content); err != nil {
		return initError(err)
	}
	in.say("wrote", path)
	return nil
}

// writeSchema writes the schema beside the manifests.
func (in *initializer) writeSchema() error {
	bundle, err := schema.Bundle("manifest")
	if err != nil {
		return err
	}
	return in.write("schema/manifest.schema.json", bundle)
}

func initError(err error) error { return exit.With(exit.Failed, "init: %w", err) }

func (in *initializer) say(what, path string) {
	if in.isPart {
		return
	}
	fmt.Fprintf(in.Out, "%-6s %s\n", what, show.Line(path))
}

// ignore adds the lines that .gitignore lacks.
func (in *initializer) ignore() error {
	wanted, err := initFiles.ReadFile("initfiles/gitignore")
	if err != nil {
		return initError(err)
	}
	path := filepath.Join(in.dir, ".gitignore")
	added, err := checkout.Ignore(path, wanted)
	if err != nil {
		return initError(err)
	}
	in.say(map[bool]string{true: "wrote", false: "kept"}[added], path)
	return nil
}

// workflows writes the workflows of a CI system, none where no system is named.
func (in *initializer) workflows(secrets []string) error {
	if in.system.Value == "" {
		return nil
	}
	for _, w := range workflowsOf(in.system.Value, in.environments) {
		content, err := ci.Files.ReadFile(w.template)
		if err != nil {
			return initError(err)
		}
		content = withSecrets(content, secrets)
		content = bytes.ReplaceAll(content, []byte("environment: [staging, prod]"),
			[]byte("environment: ["+strings.Join(in.environments, ", ")+"]"))
		path := filepath.Join(in.dir, filepath.FromSlash(w.path))
		if old, err := os.ReadFile(path); err == nil && !bytes.Equal(old, content) {
			in.Warn(path+" is there already and is left as it is",
				"see what agentsync needs in a new folder:\n  agentsync init --workflow "+in.system.Value+" DIR")
		}
		if err := in.write(w.path, content); err != nil {
			return err
		}
	}
	return nil
}

// exampleSecret is the secret in the templates, whose lines stand for those of the fleet.
const exampleSecret = "LANGGRAPH_TOKEN"

// withSecrets puts a line for each secret where a template has the one of its example, and leaves out an env: without
// any.
func withSecrets(template []byte, names []string) []byte {
	if len(names) == 0 {
		template = regexp.MustCompile(`(?m)^env:\n( +#.*\n)* +`+exampleSecret+`:.*\n`).ReplaceAll(template, nil)
	}
	line := regexp.MustCompile(`(?m)^( +)` + exampleSecret + `: \$\{\{ secrets\.` + exampleSecret + ` \}\}\n`)
	return line.ReplaceAllFunc(template, func(match []byte) []byte {
		var lines []byte
		for _, name := range names {
			lines = append(lines, bytes.ReplaceAll(match, []byte(exampleSecret), []byte(name))...)
		}
		return lines
	})
}

// secretsOf returns the names of the secrets that the folder's manifests refer to, as far as they can be read: what is
// wrong with them is told by validate.
func (in *initializer) secretsOf(ctx context.Context) []string {
	o, err := workspace.ManifestOptions(in.UI)
	if err != nil {
		return nil
	}
	o.Env = func(string) (string, bool) { return "x", true } // an environment's own values are not known here
	fleet, _, err := manifest.Load(ctx, []string{filepath.Join(in.dir, workspace.DefaultPath)}, o)
	if err != nil || fleet == nil {
		return nil
	}
	var names []string
	for _, use := range fleet.SecretUses() { // by name
		names = append(names, use.Name)
	}
	return slices.Compact(names)
}

// checkEnvironments refuses names of environments that could not be a part of a file's name and of a workflow.
func (in *initializer) checkEnvironments() error {
	seen := map[string]bool{}
	for _, name := range in.environments {
		if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`).MatchString(name) {
			return exit.Usagef("--environments: %q is no name; it may have a-z, 0-9 and -, and begins with a letter",
				name)
		}
		if seen[name] {
			return exit.Usagef("--environments names %s twice", name)
		}
		seen[name] = true
	}
	if in.environments != nil && in.system.Value == "gitlab" {
		return exit.Usagef("--environments writes workflows for GitHub; docs/ci.md says how it is done on GitLab")
	}
	return nil
}

// appVariable names the variable that holds the id of a platform's app.
func appVariable(platform string) string { return strings.ToUpper(platform) + "_APP" }

// withAppVariables takes the apps' ids of an example from variables.
func withAppVariables(content []byte) ([]byte, error) {
	all, err := workspace.Platforms()
	if err != nil {
		return nil, err
	}
	for name, p := range all {
		id := regexp.MustCompile(`(?m)^  ` + p.Schema().AppField + `: .*$`)
		content = id.ReplaceAllLiteral(content, []byte("  "+p.Schema().AppField+": ${env:"+appVariable(name)+"}"))
	}
	content = bytes.ReplaceAll(content, []byte("# Put your app's id here, and its region: us, eu or in."),
		[]byte("# environments/NAME.env says which app each environment has. Put here their region: us, eu or in."))
	return bytes.ReplaceAll(content, []byte("# Put your app's uid here."),
		[]byte("# environments/NAME.env says which app each environment has.")), nil
}

// environments writes what each environment is, and a folder for their states.
func (in *initializer) writeEnvironments() error {
	if in.environments == nil {
		return nil
	}
	all, err := workspace.Platforms()
	if err != nil {
		return err
	}
	for _, name := range in.environments {
		var b strings.Builder
		fmt.Fprintf(&b,
			"# The environment %s. Nothing in here is a secret: the API keys are secrets of the environment "+
				"in the CI.\n", name)
		for _, platform := range exampleOrder(all, in.chosen) {
			fmt.Fprintf(&b, "%s=my-%s-app\n", appVariable(platform), name)
		}
		fmt.Fprintf(&b, "AGENTSYNC_STATE=state/%s.json\n", name)
		if err := in.write("environments/"+name+".env", []byte(b.String())); err != nil {
			return err
		}
	}
	return in.write("state/.gitignore", []byte("*.lock\n*.tmp\n*.journal\nerrored*\n"))
}
