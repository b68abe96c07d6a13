package main

import (
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/cli"
	"agentsync/internal/sandbox"

	"github.com/spf13/cobra"
)

// linkedNames are the names at which agentsync writes: git stores links, so a pull request chooses what stands there.
var linkedNames = []string{
	"state.json", "state.json.journal", "state.json.lock", "state.json.tmp", "state.json.1.tmp", "errored.state.json",
	"plan.bin", "plan.json", "plan.html", "plan.md", "comment.md", "report.json", "secrets.env",
	".gitignore", "agentsync.yaml", "schema/manifest.schema.json", "manifests/linked.yaml", "manifests/new.yaml",
	"out/cometchat-2754abc.yaml", "out/mindset-acme.yaml",
	".agentsync/sandbox.jsonl", ".agentsync/sandbox.jsonl.new", ".agentsync/state.json", ".agentsync/state.json.lock",
	".github/workflows/agentsync-pull-request.yml", ".github/workflows/agentsync-merge.yml",
	".github/workflows/agentsync-drift.yml",
}

// firstNames are those of linkedNames at which most commands stop.
var firstNames = []string{"state.json", "state.json.journal", "state.json.lock", "agentsync.yaml", ".gitignore",
	".agentsync/state.json",
	".agentsync/state.json.lock"}

// writers are the commands that write, as a user types them, by the command that they run.
var writers = map[string][]string{
	"plan": {"plan --out plan.bin --json plan.json --html plan.html --markdown plan.md --comment comment.md " +
		"manifests/a.yaml",
		"plan --sandbox manifests/a.yaml --refresh"},
	"apply": {"apply -y --report report.json manifests/a.yaml", "apply -y --sandbox manifests/a.yaml",
		"apply -y --refresh-only manifests/a.yaml"},
	"import":         {"import mindset/acme/other UID00000000000000001 manifests/a.yaml --write manifests/new.yaml"},
	"export":         {"export --out out manifests/a.yaml", "export --out out --force manifests/a.yaml"},
	"pull":           {"pull manifests/a.yaml", "pull mindset/acme/coach"},
	"fmt":            {"fmt manifests", "fmt manifests/linked.yaml"},
	"init":           {"init --workflow github"},
	"state mv":       {"state mv mindset/acme/coach mindset/acme/guide"},
	"state rm":       {"state rm coach"},
	"state merge":    {"state merge other.json"},
	"state fold":     {"state fold"},
	"state push":     {"state push other.json"},
	"state migrate":  {"state migrate --to s3://fleet/links?endpoint=http://127.0.0.1:1"},
	"sandbox":        {}, // writes the FILE of --file, as --sandbox does
	"check-platform": {"check-platform --platform mindset --app acme -y"},
}

// readers are the commands that write nothing.
var readers = []string{"validate", "state list", "state show", "state init", "state check", "state status",
	"state unlock", "state history", "state rollback", "state pull",
	"secrets", "schema", "version", "completion bash", "completion zsh",
	"completion fish", "completion powershell", "completion", "help", "state", "show", "list", "explain", "diff"}

// TestLinks runs every command that writes in a repository where every name that it writes is a link out of it. What
// the links lead to keeps its content and its mode, and nothing new lies beside it.
func TestLinks(t *testing.T) {
	eachCommand(cli.Command(), func(name string) {
		_, writes := writers[name]
		if !writes && !slices.Contains(readers, name) {
			t.Errorf("is %q a command that writes? Put it into writers or readers", name)
		}
	})
	server, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server)
	t.Cleanup(h.Close) // after the parallel tests below
	for _, lines := range writers {
		for _, line := range lines {
			for _, kind := range []linkKind{everyName, laterNames, toNothing} {
				t.Run(strings.ReplaceAll(line, "/", " ")+", "+string(kind), func(t *testing.T) {
					t.Parallel()
					runAmongLinks(t, h.URL, line, kind)
				})
			}
		}
	}
}

// eachCommand visits the commands that can be run, by their names without agentsync.
func eachCommand(c *cobra.Command, visit func(name string)) {
	if name := strings.TrimPrefix(c.CommandPath(), "agentsync "); c.Runnable() && c.HasParent() {
		visit(name)
	}
	for _, sub := range c.Commands() {
		eachCommand(sub, visit)
	}
}

const (
	linksManifest = "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - {key: coach, agentName: Coach}\n"
	linksState    = `{"version": 1, "serial": 1, "lineage": "abc", "agents": {"mindset/acme/coach": {"uid": ` +
		`"UID00000000000000001"}}}` + "\n"
)

// linkKind says which names are links.
type linkKind string

const (
	everyName  linkKind = "every name"
	laterNames linkKind = "all but the first"
	toNothing  linkKind = "all but the first, to files that are not there"
)

func runAmongLinks(t *testing.T, url, line string, kind linkKind) {
	firstAreFine := kind != everyName
	base := t.TempDir()
	repo, victims := filepath.Join(base, "repo"), filepath.Join(base, "victims")
	put := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(repo, "manifests/a.yaml"), linksManifest)
	put(filepath.Join(repo, "other.json"), linksState)
	if firstAreFine && strings.HasPrefix(line, "state ") {
		put(filepath.Join(repo, "state.json"), linksState)
	}
	put(filepath.Join(victims, "other"), "theirs:   1\n")
	want := 1
	for _, name := range linkedNames {
		if firstAreFine && slices.Contains(firstNames, name) {
			continue
		}
		victim := filepath.Join(victims, strings.ReplaceAll(name, "/", "_"))
		if kind != toNothing {
			want++
			put(victim, "theirs:   1\n")
		}
		link := filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, link); err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	cmd := exec.Command("agentsync", strings.Fields(line)...)
	cmd.Dir = repo
	cmd.Env = append(os.Environ(), "COMETCHAT_API_KEY=key-c", "MINDSET_API_KEY=key-m",
		"AGENTSYNC_ALLOW_ENDPOINT="+strings.TrimPrefix(url, "http://"),
		"AGENTSYNC_COMETCHAT_ENDPOINT="+url+"/cometchat/{app}/v3", "AGENTSYNC_MINDSET_ENDPOINT="+url)
	out, _ := cmd.CombinedOutput() // a refusal is as good as a file of its own
	got := 0
	t.Logf("%s", out)
	err := filepath.WalkDir(victims, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		got++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && (string(b) != "theirs:   1\n" || info.Mode().Perm() != 0o755) {
			t.Errorf("%s was written through its link: %v %q\n%s", filepath.Base(path), info.Mode(), b, out)
		}
		return err
	})
	if err != nil || got != want {
		t.Errorf("%d files where the links lead, want %d: %v\n%s", got, want, err, out)
	}
}
