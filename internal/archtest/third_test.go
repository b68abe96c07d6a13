package archtest

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// third is a platform that there is not, as files to add to this module.
const third = "testdata/third"

// thirdLines are the lines that a third platform changes, as docs/architecture.md says: its reference in the
// manifest's schema, its registration, and its value among the sandbox's.
var thirdLines = []struct{ file, line, more string }{
	{"schema/manifest.schema.json", `  "properties": {`, `
    "botworks": {
      "allOf": [{ "$ref": "botworks.schema.json#/definitions/section" }],
      "description": "One Botworks app and its bots."
    },`},
	{"internal/workspace/workspace.go", `	"agentsync/internal/platform/cometchat"`,
		"\n\t" + `"agentsync/internal/platform/botworks"`},
	{"internal/workspace/workspace.go", `		cometchat.New,`, "\n\t\tbotworks.New,"},
	{"internal/sandbox/dialect.go", `var dialects = []*dialect{`, "botworks, "},
}

// buildWithThird builds the tool with the third platform in it, without a file in the tree: the compiler is told
// what would stand there.
func buildWithThird(t *testing.T) string {
	t.Helper()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replaced := map[string]string{}
	err = filepath.WalkDir(third, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(third, path)    // path is below third
			name = strings.TrimSuffix(name, ".txt") // which keeps Go's tools away from code of another folder
			replaced[filepath.Join(top, name)], err = filepath.Abs(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]string{}
	for _, l := range thirdLines {
		if changed[l.file] == "" {
			b, err := os.ReadFile(filepath.Join(top, l.file))
			if err != nil {
				t.Fatal(err)
			}
			changed[l.file] = string(b)
		}
		before, after, ok := strings.Cut(changed[l.file], l.line)
		if !ok {
			t.Fatalf("%s has no line %q", l.file, l.line)
		}
		changed[l.file] = before + l.line + l.more + after
	}
	for name, content := range changed {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		replaced[filepath.Join(top, name)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "agentsync")
	build := exec.Command("go", "build", "-overlay", list, "-o", binary, module)
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with a third platform: %v\n%s", err, out)
	}
	return binary
}

// TestAThirdPlatform adds one as docs/architecture.md says, one adapter folder, one schema file and one line of
// registration, with a dialect of the sandbox to try it on; every command then knows it.
func TestAThirdPlatform(t *testing.T) {
	binary, dir := buildWithThird(t), t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "NO_COLOR=1", "CI=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("agentsync %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for _, step := range []struct {
		name string
		args []string
		want string
	}{
		{"init writes an example from the schema", []string{"init", "--platform", "botworks"}, "manifests"},
		{"the example is valid", []string{"validate"}, ""},
		{"a field is explained", []string{"explain", "botworks.mood"}, "How it answers"},
		{"help names the platform and its settings", []string{"export", "--help"}, "--team"},
		{"plan", []string{"plan", "--sandbox"}, "+ botworks/"},
		{"apply", []string{"apply", "--sandbox", "--auto-approve"}, "1 done"},
		{"nothing is left to do", []string{"plan", "--sandbox", "--refresh", "--detailed-exitcode"}, ""},
		{"export takes what no state and no manifest knows", []string{
			"export", "--platform", "botworks", "--app", "my-app", "--team", "blue",
			"--sandbox", "--state", "other.json", "--out", "taken",
		}, "wrote taken/botworks-my-app.yaml: 1 agent"},
		{"and what it wrote is what is live", []string{
			"plan", "taken", "--sandbox", "--state", "other.json", "--refresh", "--detailed-exitcode",
		}, ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			if step.args[0] == "export" && step.args[1] != "--help" {
				if err := os.Rename(filepath.Join(dir, "manifests"), filepath.Join(dir, "old")); err != nil {
					t.Fatal(err)
				}
			}
			if out := run(step.args...); !strings.Contains(out, step.want) {
				t.Errorf("agentsync %s says\n%s\nwant %q in it", strings.Join(step.args, " "), out,
					step.want)
			}
		})
	}
}
