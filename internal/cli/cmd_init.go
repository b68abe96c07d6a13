package cli

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/docs/ci"
	"agentsync/internal/agent"
	"agentsync/internal/export"
	"agentsync/internal/outfile"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/schema"
)

// initFiles are what init writes.
//
//go:embed initfiles
var initFiles embed.FS

const initLong = `Writes what a repository needs to begin with: a first manifest with an example of each platform, the JSON
Schema beside it, so that an editor explains and checks the manifest offline, and the lines of .gitignore.
--workflow adds the CI workflows that plan in pull requests, apply on merge and look for drift at night.

Nothing that is there is overwritten; init can be run again. If there are manifests already, no example is added.`

// workflow is a template of docs/ci and where its CI system looks for it.
type workflow struct{ template, path string }

// workflowsOf returns the workflows of a CI system.
func workflowsOf(system string) []workflow {
	if system == "gitlab" {
		return []workflow{{"gitlab.yml", ".gitlab-ci.yml"}}
	}
	var all []workflow
	for _, name := range []string{"pull-request.yml", "merge.yml", "drift.yml"} {
		all = append(all, workflow{name, ".github/workflows/agentsync-" + name})
	}
	return all
}

func (a *app) initCommand() *cobra.Command {
	var chosen []string
	var api string
	system := &choice{allowed: []string{"github", "gitlab"}}
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a first manifest, its schema and .gitignore lines",
		Long:  initLong,
		Example: `  agentsync init
  agentsync init --platform mindset --workflow github
  agentsync init --platform mindset --api v2
  agentsync init agents-of-acme`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringSliceVar(&chosen, "platform", nil, "only examples of this `PLATFORM`: "+knownPlatforms()+"; repeatable")
	cmd.Flags().Var(system, "workflow", "write the workflows of this CI `SYSTEM`: github or gitlab")
	_ = cmd.RegisterFlagCompletionFunc("workflow", cobra.FixedCompletions(system.allowed, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("platform", completePlatforms)
	cmd.Flags().StringVar(&api, "api", "", "an example for this `VERSION` of the platform's API, for example v2")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		in := initializer{app: a, dir: "."}
		if len(args) > 0 {
			in.dir = args[0]
		}
		return in.run(chosen, api, system.value)
	}
	return cmd
}

// initializer writes into one folder and says what it wrote.
type initializer struct {
	app *app
	dir string
	// silent leaves out what was written: init is a part of another command.
	silent bool
}

func (in initializer) run(chosen []string, api, system string) error {
	manifest, err := firstManifest(chosen, api)
	if err != nil {
		return err
	}
	bundle, err := schema.Bundle("manifest")
	if err != nil {
		return err
	}
	// A fleet that is there gets no example: it would be two agents more in the next apply.
	fresh := !anyManifest(filepath.Join(in.dir, defaultPath))
	if fresh {
		err = in.write("manifests/agents.yaml", manifest)
	} else {
		in.say("kept", filepath.Join(in.dir, defaultPath))
	}
	if err != nil {
		return err
	}
	if err := in.write("schema/manifest.schema.json", bundle); err != nil {
		return err
	}
	if err := in.ignore(); err != nil {
		return err
	}
	if err := in.workflows(system); err != nil {
		return err
	}
	if !in.app.common.quiet {
		in.sayNext(fresh, system)
	}
	return nil
}

// sayNext says what init cannot know.
func (in initializer) sayNext(fresh bool, system string) {
	var next []string
	if fresh {
		next = append(next, "Put your apps' ids into the manifest, or look around without an account: agentsync plan --sandbox")
	}
	switch system {
	case "github":
		next = append(next, "In .github/workflows, put the action's owner for your-org.",
			"In the repository's settings, make the environment agents, with its reviewers, and put the API keys there as secrets.",
			"Each ${secret:NAME} of the manifests is a line of env: in the workflows; agentsync secrets --format github prints them.")
	case "gitlab":
		next = append(next, "In .gitlab-ci.yml, put the group of the project for your-org; its first lines say which variables to set.")
	}
	for _, line := range next {
		fmt.Fprintln(in.app.streams.Err, line)
	}
}

// firstManifest returns the example of each chosen platform, or of all, in one manifest. Where api is a version of a
// platform's API, its example is that version's, and platforms that do not have it are left out.
func firstManifest(chosen []string, api string) ([]byte, error) {
	all, err := platforms()
	if err != nil {
		return nil, err
	}
	for _, name := range chosen {
		if all[name] == nil {
			return nil, usageError("no platform is called %q: there are %s", name, strings.Join(platformNames(all), ", "))
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
		return nil, usageError("no example is of the API version %q; the versions are %s", api, strings.Join(versions, "; "))
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
	return slices.DeleteFunc(platformNames(all), func(name string) bool {
		return len(chosen) > 0 && !slices.Contains(chosen, name)
	})
}

// write writes a file that is not there yet.
func (in initializer) write(name string, content []byte) error {
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

func initError(err error) error { return &Failure{Code: ExitFailed, Err: fmt.Errorf("init: %w", err)} }

func (in initializer) say(what, path string) {
	if in.silent {
		return
	}
	fmt.Fprintf(in.app.streams.Out, "%-6s %s\n", what, report.Sanitize(path))
}

// ignore adds the lines that .gitignore lacks.
func (in initializer) ignore() error {
	wanted, err := initFiles.ReadFile("initfiles/gitignore")
	if err != nil {
		return initError(err)
	}
	path := filepath.Join(in.dir, ".gitignore")
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return initError(err)
	}
	have := map[string]bool{}
	for line := range strings.Lines(string(old)) {
		have[strings.TrimPrefix(strings.TrimSpace(line), "/")] = true
	}
	var missing bytes.Buffer
	for line := range strings.Lines(string(wanted)) {
		if !have[strings.TrimSpace(line)] {
			missing.WriteString(line)
		}
	}
	if missing.Len() == 0 {
		in.say("kept", path)
		return nil
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(old, '\n')
	}
	if err := outfile.Replace(path, append(old, missing.Bytes()...)); err != nil {
		return initError(err)
	}
	in.say("wrote", path)
	return nil
}

// workflows writes the workflows of a CI system, none where no system is named.
func (in initializer) workflows(system string) error {
	if system == "" {
		return nil
	}
	for _, w := range workflowsOf(system) {
		content, err := ci.Files.ReadFile(w.template)
		if err != nil {
			return initError(err)
		}
		path := filepath.Join(in.dir, filepath.FromSlash(w.path))
		if old, err := os.ReadFile(path); err == nil && !bytes.Equal(old, content) {
			report.Warning(in.app.streams.Err, in.app.style(in.app.streams.Err), path+" is there already and is left as it is",
				"see what agentsync needs in a new folder:\n  agentsync init --workflow "+system+" DIR")
		}
		if err := in.write(w.path, content); err != nil {
			return err
		}
	}
	return nil
}
