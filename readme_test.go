package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/cli"
	"agentsync/internal/exit"
)

// TestGoldenReadme holds what README.md shows of the tool against the tool: the transcript of the demo,
// the commands and the exit codes. AGENTSYNC_GOLDEN=1 writes them.
func TestGoldenReadme(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := string(b)
	for _, block := range []struct{ name, text string }{
		{"transcript", "```console\n" + shorten(settle(demo(t))) + "```\n"},
		{"commands", commandTable(t)},
		{"exit codes", exitCodeTable(t)},
	} {
		form := regexp.MustCompile(`(?s)(<!-- ` + block.name + `: written by a test -->\n).*?(<!-- end -->)`)
		if !form.MatchString(want) {
			t.Fatalf("README.md has no place for the %s", block.name)
		}
		want = form.ReplaceAllString(want, "${1}\n"+strings.ReplaceAll(block.text, "$", "$$")+"\n${2}")
	}
	if os.Getenv("AGENTSYNC_GOLDEN") != "" {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("README.md shows something else than the tool; 'make golden' writes it anew (-want +got):\n%s", diff)
	}
}

// demo runs testdata/demo.sh with the real main and returns what a person would see.
func demo(t *testing.T) string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash to run the demo with")
	}
	tool, err := exec.LookPath("agentsync") // testscript.Main put the real main there
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bash, "testdata/demo.sh", tool)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	return strings.TrimPrefix(string(out), "\n")
}

var (
	listed   = regexp.MustCompile(`(?m)^(\S+/\S+/\S+) +(\S+)$`)
	progress = regexp.MustCompile(`^\[\d+/\d+\] .`)
)

// settle makes a transcript the same each time: uids that follow from the addresses, and what comes as
// agents are done and apps are listed in order of address.
func settle(transcript string) string {
	for _, m := range listed.FindAllStringSubmatch(transcript, -1) {
		transcript = strings.ReplaceAll(transcript, m[2], settledUID(m[1]))
	}
	var lines, done, looked []string
	flush := func() {
		slices.Sort(done)
		slices.Sort(looked)
		for i, line := range done {
			lines = append(lines, fmt.Sprintf("[%d%s", i+1, line))
		}
		lines = append(lines, looked...)
		done, looked = nil, nil
	}
	for line := range strings.Lines(transcript) {
		switch {
		case progress.MatchString(line):
			done = append(done, line[strings.Index(line, "/"):])
		case strings.HasPrefix(line, "listing "):
			looked = append(looked, line)
		default:
			flush()
			lines = append(lines, line)
		}
	}
	flush()
	return strings.Join(lines, "")
}

// settledUID is a uid in the platform's form.
func settledUID(address string) string {
	sum := sha256.Sum256([]byte(address))
	if strings.HasPrefix(address, "mindset/") {
		return base32.StdEncoding.EncodeToString(sum[:])[:20]
	}
	h := hex.EncodeToString(sum[:])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

// shorten leaves out, of each command's output, the agents between the first and the last paragraph.
func shorten(transcript string) string {
	var b strings.Builder
	for i, section := range strings.Split(transcript, "\n$ ") {
		if i > 0 {
			b.WriteString("\n$ ")
		}
		paragraphs := strings.Split(strings.TrimRight(section, "\n"), "\n\n")
		if n := len(paragraphs); n > 3 {
			paragraphs = slices.Replace(paragraphs, 1, n-1, fmt.Sprintf("… %d more agents", n-2))
		}
		b.WriteString(strings.Join(paragraphs, "\n\n") + "\n")
	}
	return b.String()
}

// run runs the tool in this process and returns what it wrote to stdout.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}
	if code := cli.Run(t.Context(), nil, streams, args); code != exit.OK {
		t.Fatalf("agentsync %s: exit code %d\n%s", strings.Join(args, " "), code, stderr.String())
	}
	return stdout.String()
}

// commandTable is what the help lists.
func commandTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| command | does |\n|---|---|\n")
	rows := 0
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+) {2,}(.+)$`).FindAllStringSubmatch(run(t, "help"), -1) {
		if m[1] == "agentsync" || m[1] == "help" {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", m[1], m[2])
		rows++
	}
	if rows < 5 {
		t.Fatalf("the help lists %d commands", rows)
	}
	return b.String()
}

func exitCodeTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| code | meaning |\n|---|---|\n")
	found := regexp.MustCompile(`(?m)^ +(\d+)  (.+)$`).FindAllStringSubmatch(run(t, "help", "exit-codes"), -1)
	for _, m := range found {
		fmt.Fprintf(&b, "| %s | %s |\n", m[1], m[2])
	}
	if len(found) < 5 {
		t.Fatalf("the help lists %d exit codes", len(found))
	}
	return b.String()
}

// TestReadmeManifests: every manifest in README.md is right.
func TestReadmeManifests(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(examples) == 0 {
		t.Fatal("README.md shows no manifest")
	}
	for i, m := range examples {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.yaml", i))
		if err := os.WriteFile(path, []byte(m[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		run(t, "validate", path)
	}
}
