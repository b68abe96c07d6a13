package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes empty files below a new folder and makes it the current one.
func tree(t *testing.T, paths ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, p := range paths {
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func displays(t *testing.T, paths ...string) []string {
	t.Helper()
	files, problems, err := findFiles(paths, Limits{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Fatal(lines(problems))
	}
	var d []string
	for _, f := range files {
		d = append(d, f.display)
	}
	return d
}

func TestFind(t *testing.T) {
	tree(t, "m/b.yaml", "m/a.yml", "m/c.json", "m/.hidden.yaml", "m/.git/d.yaml", "m/sub/e.yaml", "m/sub/.x/f.yaml",
		"one.txt")
	if diff := cmp.Diff([]string{"m/a.yml", "m/b.yaml", "m/sub/e.yaml"}, displays(t, "m")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"m/a.yml", "m/b.yaml", "m/sub/e.yaml", "one.txt"},
		displays(t, "m/sub/../sub", "./m/", "m/b.yaml", "one.txt")); diff != "" {
		t.Errorf("each file once, a named file whatever its name (-want +got):\n%s", diff)
	}
}

// TestManifestInJSON: JSON is YAML, but a folder may hold JSON of every kind.
func TestManifestInJSON(t *testing.T) {
	tree(t, "m/a.yaml", "m/state.json")
	for name, text := range map[string]string{
		"m/b.json":               "{\"version\": 1,\n \"mindset\": {\"appUid\": \"acme\", \"agents\": []}}",
		"m/manifest.schema.json": `{"properties": {"mindset": {"allOf": []}}}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, problems, err := findFiles([]string{"m"}, Limits{}.withDefaults())
	want := "m/b.json: warning: this looks like a manifest and is not read: in a folder, manifests end in .yaml or " +
		".yml; rename it, or name it as a path of its own\n"
	if diff := cmp.Diff(want, lines(problems)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// links makes symbolic links, by name and target.
func links(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := os.Symlink(pairs[i+1], pairs[i]); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
}

func TestFindLinks(t *testing.T) {
	tree(t, "m/a.yaml", "m/sub/b.yaml", "m/README.md", "notes.md")
	links(t, "m/loop", ".", "m/again.yaml", "a.yaml", "m/other", "sub", "m/notes", "../notes.md", "folder", "m")
	if diff := cmp.Diff([]string{"m/a.yaml", "m/other/b.yaml"}, displays(t, "m")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"folder/a.yaml", "folder/other/b.yaml"}, displays(t, "folder")); diff != "" {
		t.Errorf("a folder that is a link itself (-want +got):\n%s", diff)
	}
}

// TestLinksThatLeaveTheFolder: no file outside of the folder that was named is read, quoted or listed, and
// none is passed over in silence.
func TestLinksThatLeaveTheFolder(t *testing.T) {
	tree(t, "m/a.yaml", "other/b.yaml")
	if err := os.WriteFile("token", []byte("hvs.CAES"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside, err := filepath.Abs("m/a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	links(t, "m/token.yaml", "../token", "m/up", "..", "m/root", "/", "m/circle.yaml", "circle.yaml", "m/nowhere.yaml",
		"no.yaml",
		"m/chain.yaml", "up/token", "m/absolute.yaml", inside)
	real, err := realPath(".")
	if err != nil {
		t.Fatal(err)
	}
	_, problems := load(t, "m", "m/token.yaml")
	var got []string
	for _, line := range strings.Split(lines(problems), "\n") {
		if !strings.HasPrefix(line, "m/a.yaml") {
			got = append(got, strings.ReplaceAll(line, real, "HERE"))
		}
	}
	const leaves = ": this link leads out of m, to %s; a manifest must be inside the folder that is read: copy it " +
		"there, or name it as a path of its own\n"
	want := fmt.Sprintf("m/chain.yaml"+leaves+"m/circle.yaml: the file cannot be read: its links lead in a circle\n"+
		"m/nowhere.yaml: the file cannot be read: "+syscall.ENOENT.Error()+"\nm/root"+leaves+"m/token.yaml"+leaves+
		"m/up"+
		leaves,
		"HERE/token", "/", "HERE/token", "HERE")
	if diff := cmp.Diff(want, strings.Join(got, "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := readInside("m", "token.yaml", 100); err == nil ||
		!strings.Contains(innerCause(err), "leads out of the folder") {
		t.Errorf("a link that was exchanged since: %v", err)
	}
}

func TestPathThatIsNotThere(t *testing.T) {
	tree(t)
	_, _, err := Load(context.Background(), []string{"nowhere"}, Options{Env: variables(), Platforms: platforms(t)})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("the error is %v", err)
	}
	if _, _, err := Load(context.Background(), nil, Options{Env: variables()}); err == nil {
		t.Error("no path at all is no error")
	}
}

func TestCancelled(t *testing.T) {
	tree(t, "a.yaml")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Load(ctx, []string{"."}, Options{Env: variables(), Platforms: platforms(t)}); !errors.Is(err,
		context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestLimits(t *testing.T) {
	text := "version: 1\nmindset:\n  appUid: acme\n  agents:\n" +
		strings.Repeat("    - {key: A, agentName: [[[1]]]}\n", 50)
	for name, c := range map[string]struct {
		limits Limits
		want   string
	}{
		"bytes":    {Limits{FileBytes: 1024}, "larger than 1 KiB"},
		"total":    {Limits{TotalBytes: 3000}, "hold more than 3000 bytes together"},
		"files":    {Limits{Files: 1}, "more than 1 manifest files"},
		"values":   {Limits{Values: 150}, "more than 150 values"},
		"density":  {Limits{Values: 50}, "far more than 50 values"},
		"depth":    {Limits{Depth: 5}, "nested more than 5 levels"},
		"problems": {Limits{Problems: 10}, "more than 10 errors in this file; it is not read on from here"},
	} {
		t.Run(name, func(t *testing.T) {
			tree(t, "b.yaml")
			for _, f := range []string{"a.yaml", "b.yaml"} {
				if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, problems, err := Load(t.Context(), []string{"."},
				Options{Env: variables(), Platforms: platforms(t), Limits: c.limits})
			if err != nil {
				t.Fatal(err)
			}
			if got := lines(problems); !strings.Contains(got, c.want) {
				t.Errorf("want a problem that holds %q; got:\n%s", c.want, got)
			}
		})
	}
}

func TestPlatformThatIsNotRegistered(t *testing.T) {
	tree(t)
	if err := os.WriteFile("a.yaml", []byte("version: 1\ncometchat:\n  appId: x\n  region: us\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, problems, err := Load(t.Context(), []string{"a.yaml"}, Options{Env: variables(), Platforms: platforms(t)[1:]})
	if err != nil {
		t.Fatal(err)
	}
	want := "a.yaml:3:3: this agentsync does not know the platform cometchat; it knows mindset\n"
	if lines(problems) != want {
		t.Errorf("the problems are:\n%s", lines(problems))
	}
}
