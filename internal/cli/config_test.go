package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"agentsync/internal/flags"
	"agentsync/schema"
)

// TestConfigSchema: the schema names exactly the flags that the file sets, and each is a flag of apply.
func TestConfigSchema(t *testing.T) {
	b, err := schema.Read("config")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Properties map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range doc.Properties {
		if name != "version" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, flags.ConfigKeys()) {
		t.Errorf("the schema has %v, the code %v", names, flags.ConfigKeys())
	}
	for _, name := range flags.ConfigKeys() {
		if testApp().applyCommand().Flags().Lookup(name) == nil {
			t.Errorf("apply has no flag %s", name)
		}
	}
}

// planWith finds the plan command's flags after the environment and agentsync.yaml.
func planWith(t *testing.T, env map[string]string, args ...string) (*cobra.Command, error) {
	t.Helper()
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	a := testApp(environ...)
	cmd, _, err := a.rootCommand().Find([]string{"apply"})
	if err != nil {
		t.Fatal(err)
	}
	cmd.InheritedFlags()
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	_, err = flags.Resolve(a.UI, cmd, testApp().applyCommand)
	return cmd, err
}

func TestConfig(t *testing.T) {
	base := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("repo/.git/HEAD", "")
	put("repo/agentsync.yaml", "version: 1\nstate: fleet/state.json\nparallelism: 7\nmax-deletes: 10%\ntimeout: 5s\n")
	put("repo/teams/hr/x", "")
	put("agentsync.yaml", "version: 1\nparallelism: 99\n") // above the repository
	put("loose/deep/x", "")
	for _, c := range []struct {
		name, dir string
		env       map[string]string
		args      []string
		want      string // state, parallelism, max-deletes
	}{
		{"the root", "repo", nil, nil, "fleet/state.json 7 10%"},
		{"below it", "repo/teams/hr", nil, nil, "../../fleet/state.json 7 10%"},
		{"a variable comes first", "repo", map[string]string{"AGENTSYNC_PARALLELISM": "8"}, nil,
			"fleet/state.json 8 10%"},
		{"a flag comes first", "repo", map[string]string{"AGENTSYNC_STATE": "b.json"},
			[]string{"--state=a.json", "--max-deletes=3"}, "a.json 7 3"},
		{"outside a repository, above", "loose/deep", nil, nil, "state.json 10 "},
		{"outside a repository, here", ".", nil, nil, "state.json 99 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(filepath.Join(base, c.dir))
			cmd, err := planWith(t, c.env, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, name := range []string{"state", "parallelism", "max-deletes"} {
				got = append(got, filepath.ToSlash(cmd.Flags().Lookup(name).Value.String()))
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("state, parallelism, max-deletes are %q, want %q", g, c.want)
			}
		})
	}
}

func TestConfigErrors(t *testing.T) {
	for content, want := range map[string]string{
		"":                                 "agentsync.yaml:1:1: the file is empty",
		"parallelism: 3\n":                 "agentsync.yaml:1:1: version: 1 is missing",
		"version: 2\n":                     `agentsync.yaml:1:10: version is "2"`,
		"version: 1\nauto-approve: true\n": `agentsync.yaml:2:1: "auto-approve" is nothing that this file sets`,
		"version: 1\nparallelism: many\n":  `agentsync.yaml:2:14: parallelism is "many"; it must be a whole number`,
		"version: 1\nparallelism: [1]\n":   "agentsync.yaml:2:14: parallelism must be a single value",
		"version: 1\nprune: true\nprune: false\n":                     "agentsync.yaml:3:1: prune is set twice",
		"version: 1\n\ttimeout: 3s\n":                                 "agentsync.yaml:2:1: a tab stands where YAML wants spaces",
		"version: 1\nparalelism: 3\n":                                 `agentsync.yaml:2:1: "paralelism" is nothing that this file sets; did you mean`,
		"version: 1\n<<<<<<< HEAD\nprune: true\n=======\n>>>>>>> b\n": "agentsync.yaml:2:1: git left a merge conflict here",
		"version: 1\n---\nprune: true\n":                              "agentsync.yaml:2:1: a second document begins here",
		"- version: 1\n":                                              "agentsync.yaml:1:1: it must be a mapping",
	} {
		t.Run(content, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile(flags.ConfigName, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := planWith(t, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	t.Run("a link", func(t *testing.T) {
		t.Chdir(t.TempDir())
		if err := os.Symlink("/etc/hostname", flags.ConfigName); err != nil {
			t.Skip(err)
		}
		if _, err := planWith(t, nil); err == nil || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("got %v", err)
		}
	})
}
