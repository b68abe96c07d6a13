package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/sandbox"
	"agentsync/internal/state/store/storetest"
	"agentsync/schema"
)

// TestGoldenTutorial runs docs/tutorial.md as a reader would, in one shell, from top to bottom, and holds what it
// shows against what the commands print. AGENTSYNC_GOLDEN=1 writes what they print.
//
// What a reader does beside typing commands stands in comments that nobody sees:
//
//	<!-- edit: FILE | OLD | NEW -->   replaces the one OLD in FILE
//	<!-- run: COMMAND -->             is run and not shown
func TestGoldenTutorial(t *testing.T) { followPage(t, "docs/tutorial.md", new(readerShell), 15) }

// TestGoldenTeamState runs docs/team-state.md in the same way, with a repository and a bucket that are there.
func TestGoldenTeamState(t *testing.T) {
	bucket := httptest.NewServer(new(storetest.S3Handler))
	t.Cleanup(bucket.Close)
	const named = "s3://acme-agents/prod?region=eu-central-1"
	shell := &readerShell{places: map[string]string{named: storetest.S3URL(strings.TrimPrefix(bucket.URL, "http://"),
		"prod")}, exported: []string{
		"AWS_ACCESS_KEY_ID=" + storetest.FullKey, "AWS_SECRET_ACCESS_KEY=secret-of-the-document",
		"AWS_EC2_METADATA_DISABLED=true",
		"MINDSET_API_KEY=a-key", "AGENTSYNC_MINDSET_ENDPOINT=http://" + documentAddress, "AGENTSYNC_STATE=",
	}}
	shell.prepare = "git init -q -b main && mkdir manifests && printf 'version: 1\nmindset:\n  appUid: acme\n  agents:\n" +
		"    - {key: coach, agentName: Onboarding coach}\n    - {key: guide, agentName: Guide}\n' >manifests/fleet.yaml && " +
		"agentsync apply --quiet --auto-approve >apply.log 2>&1 && rm apply.log && printf 'state.json.lock\n' >.gitignore " +
		"&& git add . && git commit -qm 'two agents'"
	followPage(t, "docs/team-state.md", shell, 9)
}

// followPage follows a page that has at least so many commands.
func followPage(t *testing.T, path string, shell *readerShell, commands int) {
	for _, program := range []string{"bash", "git", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s to follow %s with", program, path)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	platforms, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(platforms)
	defer server.Close()
	shell.dir, shell.address = t.TempDir(), strings.TrimPrefix(server.URL, "http://")
	for i, variable := range shell.exported {
		shell.exported[i] = strings.ReplaceAll(variable, documentAddress, shell.address)
	}
	var page strings.Builder
	inBlock := false
	for line := range strings.Lines(string(b)) {
		switch text := strings.TrimSuffix(line, "\n"); {
		case text == "```console":
			inBlock = true
		case text == "```":
			inBlock = false
		case inBlock && strings.HasPrefix(text, "$ "):
			page.WriteString(line + shell.run(t, strings.TrimPrefix(text, "$ ")))
			continue
		case inBlock:
			continue // output, which is written anew
		case text == "<!-- prepare -->":
			if shown := shell.run(t, shell.prepare); shown != "" {
				t.Fatal(shown)
			}
		case strings.HasPrefix(text, "<!-- run: "):
			shell.run(t, strings.TrimSuffix(strings.TrimPrefix(text, "<!-- run: "), " -->"))
		case strings.HasPrefix(text, "<!-- edit: "):
			parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text, "<!-- edit: "), " -->"), " | ")
			if len(parts) != 3 {
				t.Fatalf("%s: %q is no edit", path, text)
			}
			shell.edit(t, parts[0], parts[1], parts[2])
		}
		page.WriteString(line)
	}
	if shell.commands < commands {
		t.Fatalf("only %d commands were found", shell.commands)
	}
	if os.Getenv("AGENTSYNC_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(page.String(), string(b)); diff != "" {
		t.Errorf("%s shows something else than the tool; 'make golden' writes it anew (-want +got):\n%s", path, diff)
	}
}

// TestPagesAreComplete: docs/json.md names every schema, docs/troubleshooting.md every exit code but success.
func TestPagesAreComplete(t *testing.T) {
	contracts, err := os.ReadFile("docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range schema.Names() {
		if !strings.Contains(string(contracts), "`"+name+"`") {
			t.Errorf("docs/json.md does not name the schema %s", name)
		}
	}
	trouble, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^ +(\d+)  `).FindAllStringSubmatch(run(t, "help", "exit-codes"), -1)
	if len(codes) < 5 {
		t.Fatalf("the help lists %d exit codes", len(codes))
	}
	for _, m := range codes {
		if m[1] != "0" && !strings.Contains(string(trouble), "\n| "+m[1]+" |") {
			t.Errorf("docs/troubleshooting.md does not explain exit code %s", m[1])
		}
	}
}

// readerShell is the shell of somebody who follows a document. What one command sets, the next one has.
type readerShell struct {
	dir      string
	address  string // of the sandbox, which the document calls 127.0.0.1:8787
	exported []string
	uids     map[string]string
	commands int
	prepare  string            // what makes the folder that the document begins in
	places   map[string]string // what the document calls a shared state, and where it is
}

const documentAddress = "127.0.0.1:8787"

// run runs a command and returns what a reader would see, with uids that are the same each time.
func (s *readerShell) run(t *testing.T, command string) string {
	t.Helper()
	s.commands++
	real := strings.ReplaceAll(command, documentAddress, s.address)
	if name, ok := strings.CutPrefix(command, "export "); ok {
		s.exported = append(s.exported, strings.ReplaceAll(name, documentAddress, s.address))
		return ""
	}
	if strings.HasPrefix(command, "agentsync sandbox") {
		return "" // the test serves it
	}
	for named, url := range s.places {
		real = strings.ReplaceAll(real, named, url)
	}
	for stable, uid := range s.uids {
		real = strings.ReplaceAll(real, stable, uid)
	}
	cmd := exec.Command("bash", "-c", real)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=You",
		"GIT_AUTHOR_EMAIL=you@example.com",
		"GIT_COMMITTER_NAME=You", "GIT_COMMITTER_EMAIL=you@example.com", "GIT_AUTHOR_DATE=2026-01-05T09:00:00Z",
		"GIT_COMMITTER_DATE=2026-01-05T09:00:00Z")
	cmd.Env = append(cmd.Env, s.exported...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	code := 0
	if err := cmd.Run(); err != nil {
		code = cmd.ProcessState.ExitCode()
	}
	text := strings.ReplaceAll(out.String(), s.address, documentAddress)
	for named, url := range s.places {
		text = strings.NewReplacer(url, named, "s3://fleet/", "s3://acme-agents/").Replace(text)
		text = anyMoment.ReplaceAllString(text, "2026-01-05 09:00:00 UTC")
	}
	shown := s.stable(settle(text))
	if shown != "" && !strings.HasSuffix(shown, "\n") {
		shown += "\n"
	}
	if code != 0 && code != 2 {
		t.Errorf("$ %s\nexit code %d\n%s", command, code, shown)
	}
	return shown
}

var anyMoment = regexp.MustCompile(`\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC`)

var commitName = regexp.MustCompile(`(?m)^\[(\w+) [0-9a-f]{7,}\]`)

var anyUID = regexp.MustCompile(`\b(?:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z0-9]{20})\b`)

// stable replaces each uid by one that depends on the order in which the document shows them.
func (s *readerShell) stable(text string) string {
	if s.uids == nil {
		s.uids = map[string]string{}
	}
	text = commitName.ReplaceAllString(text, "[$1 1f0c2d4]") // it depends on the state's lineage, which is random
	return anyUID.ReplaceAllStringFunc(text, func(uid string) string {
		for stable, known := range s.uids {
			if known == uid {
				return stable
			}
		}
		platform := "cometchat"
		if len(uid) == 20 {
			platform = "mindset"
		}
		stable := settledUID(fmt.Sprintf("%s/tutorial/%d", platform, len(s.uids)))
		s.uids[stable] = uid
		return stable
	})
}

// edit replaces the one old text in a file.
func (s *readerShell) edit(t *testing.T, name, old, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old, text = strings.ReplaceAll(old, `\n`, "\n"), strings.ReplaceAll(text, `\n`, "\n")
	if n := strings.Count(string(b), old); n != 1 {
		t.Fatalf("%s holds %q %d times:\n%s", name, old, n, b)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), old, text, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}
