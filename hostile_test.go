package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"agentsync/internal/cli"
	"agentsync/internal/sandbox"
)

// evilText is what a terminal, a CI runner or a reader could be deceived by, as an escaped YAML or JSON text.
const evilText = `::error::x\n  ::add-mask::y\n##[error]z\u001b[31m\u0007\r\u009b2J \u202egnp.exe\u2066 \u2028end`

// hostileManifest has evil texts wherever a manifest takes a text.
const hostileManifest = `version: 1
mindset:
  appUid: acme
  agents:
    - key: one
      agentName: "::error::\e[31mx\u202e"
      agentPurpose: "` + evilText + `"
      tags: ["::warning::\e]8;;https://evil.example\a"]
      iceBreakerMessage: ${secret:TOKEN}
      live: true
`

// hostileSteps are commands in the order in which they run in one folder. Every command is among them.
var hostileSteps = []string{
	"validate manifests", "validate manifests --format json", "validate manifests --format github",
	"validate bad --format text",
	"validate bad --format json", "validate bad --format github", "validate bad --format markdown",
	"fmt --check manifests", "fmt --diff manifests", "fmt --check bad",
	"plan manifests", "plan manifests --format json", "plan manifests --format markdown",
	"plan manifests --format html",
	"plan manifests -v --refresh", "plan bad", "plan manifests --out saved.plan", "show saved.plan",
	"show saved.plan --format markdown",
	"show saved.plan --format json", "diff manifests", "apply -y manifests", "apply -y manifests --format json",
	"list manifests", "list manifests --format json", "secrets manifests", "secrets manifests --format json",
	"secrets manifests --format github",
	"secrets manifests --format dotenv", "state list", "state list --format json", "state show mindset/acme/one",
	"state show mindset/acme/one --format json",
	"pull manifests --dry-run", "diff manifests -v", "plan manifests --refresh -v --format markdown",
	"export manifests --dry-run", "export manifests --dry-run --format json", "export manifests --out taken",
	"import mindset/acme/two UID2 manifests", "import mindset/acme/::error:: UID2 manifests", "explain agentName",
	"explain ::error::\x1b[31m",
	"init ::error::\x1b[31m", "schema ::error::\x1b[31m", "schema plan", "version", "version --format json",
	"completion bash", "completion fish", "completion powershell", "completion zsh",
	"check-platform --platform mindset --app ::error:: -y", "state mv mindset/acme/one mindset/acme/::error::\x1b[31m",
	"state mv mindset/acme/one mindset/acme/other",
	"state rm mindset/acme/other", "state fold", "state init", "state check", "state status", "state unlock -y",
	"state history", "state rollback 1 -y", "state pull", "state pull --public",
	"state push ::error::", "state migrate", "state migrate --to s3://::error::/p?endpoint=::error::",
	"state status --state s3://::error::/p", "state init --state postgres://::error::\x1b[31m/x",
	"state merge base ours theirs", "state ::error::\x1b[31m", "::error::\x1b[31m",
	"plan ::error::\x1b[31m", "plan --state ::error::\x1b[31m manifests", "plan --target ::error::\x1b[31m manifests",
}

// withoutStep says why a command is not among the steps.
var withoutStep = map[string]string{
	"sandbox":    "serves until it is stopped",
	"exit-codes": "a help topic",
}

// TestHostileFleet runs every command over a fleet whose files, manifests and live agents hold what could deceive, and
// looks at each byte that it prints.
func TestHostileFleet(t *testing.T) {
	server, err := sandbox.New(sandbox.Options{UIDs: countingUIDs()})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server)
	defer h.Close()
	defer func() { _ = server.Close() }()
	body := `{"agentName": "` + evilText[:9] + `\u001b[31m\u202e", "agentPurpose": "` + evilText + `"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/api/v1/appuid/acme/agents",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "any")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s %v", resp.Status, answer, err)
	}

	t.Chdir(t.TempDir())
	for path, content := range map[string]string{
		"manifests/::error::\x1b[31m.yaml": hostileManifest,
		"bad/::error::\x1b[31m.yaml": strings.ReplaceAll(hostileManifest, "live: true",
			"live: \"::error::\\e[31m\"\n      \"::bad\\e[31m\\u202e\": 1"),
		"base": "::error::\x1b[31m", "ours": "::error::", "theirs": "{}",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	environ := []string{"MINDSET_API_KEY=any", "AGENTSYNC_MINDSET_ENDPOINT=" + h.URL, "TOKEN=::error::s3cret-token",
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	ran := map[string]bool{}
	for _, step := range hostileSteps {
		args := strings.Fields(step)
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), environ, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, args)
		if cmd, _, err := cli.Command().Find(args); err == nil {
			ran[cmd.CommandPath()] = true
		}
		for name, text := range map[string]string{"stdout": out.String(), "stderr": errs.String()} {
			if found := deceiving(text, slices.Contains(args, "github")); found != "" {
				t.Errorf("%q (exit %d) prints %s on %s:\n%q", step, code, found, name, text)
			}
		}
		if strings.Contains(out.String()+errs.String(), "s3cret-token") {
			t.Errorf("%q prints a secret", step)
		}
	}
	for _, cmd := range leafCommands(cli.Command()) {
		if !ran[cmd.CommandPath()] && withoutStep[cmd.Name()] == "" {
			t.Errorf("no step runs %q", cmd.CommandPath())
		}
	}
}

// leafCommands returns the commands that a user can run.
func leafCommands(cmd *cobra.Command) (leaves []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.HasSubCommands() {
			leaves = append(leaves, leafCommands(sub)...)
		} else if !sub.Hidden && sub.Name() != "help" {
			leaves = append(leaves, sub)
		}
	}
	return leaves
}

// deceiving names the first thing in an output that only data can have brought there, "" if there is none. Where a CI
// runner's commands are asked for, ours are allowed.
func deceiving(text string, github bool) string {
	for i, r := range text {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return fmt.Sprintf("broken UTF-8 at %q", text[i:min(i+20, len(text))])
			}
		case r == '\n' || r == '\t':
		case unicode.IsControl(r), r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return fmt.Sprintf("%U at %q", r, text[i:min(i+20, len(text))])
		}
	}
	for line := range strings.Lines(text) {
		start := strings.TrimSpace(line)
		ours := github && (strings.HasPrefix(line, "::error file=") || strings.HasPrefix(line, "::warning file="))
		if strings.HasPrefix(start, "::") && !ours {
			return fmt.Sprintf("a line %q", line)
		}
	}
	if i := strings.Index(text, "##["); i >= 0 {
		return fmt.Sprintf("%q", text[i:min(i+20, len(text))])
	}
	return ""
}
