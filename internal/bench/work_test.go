package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// covered are the packages whose statements are counted: ours, and the parsers that do our work. The
// standard library is not among them: it would all have to be compiled anew.
const covered = "agentsync/...,gopkg.in/yaml.v3,github.com/santhosh-tekuri/jsonschema/v5"

// odd are manifests that a stranger can put into a pull request, each with n times the same; a command
// reads them to the end or refuses them. None may cost more than in proportion to its length.
var odd = []struct {
	name  string
	write func(n int) string
}{
	{"agents", func(n int) string {
		return "version: 1\nmindset:\n  appUid: acme\n  agents:\n" +
			times(n/10, "    - {key: k%[1]d, agentName: N%[1]d, agentPurpose: Help.}\n")
	}},
	{"wrong items", func(n int) string { return agentWith("tags: [" + times(n, "1, ") + "1]") }},
	{"equal items", func(n int) string { return agentWith("tags: [" + times(n, "a, ") + "a]") }},
	{"wrong items in defaults", func(n int) string {
		return "version: 1\nmindset:\n  appUid: acme\n  defaults: {tags: [" + times(n, "1, ") +
			"1]}\n  agents: [{key: a, agentName: A}, {key: b, agentName: B}]\n"
	}},
	{"unknown fields", func(n int) string { return agentWith(times(n, "u%d: 1, ") + "v: 1") }},
	{"the same key", func(n int) string { return agentWith(times(n, "live: true, ") + "live: true") }},
	{"one alias merged often", func(n int) string {
		return "version: 1\nx-a: &a {" + times(n, "k%d: 1, ") + "k: 1}\nx-b: {<<: [" + times(n, "*a, ") + "*a]}\n" +
			"mindset:\n  appUid: acme\n  agents:\n    - {key: a, agentName: A, <<: [" + times(n, "*a, ") + "*a]}\n"
	}},
	{"merges of merges", func(n int) string {
		return "version: 1\nx-a0: &a0 {live: true}\n" + times(n/20, "x-b%[1]d: &b%[1]d {<<: [*a0, *a0]}\n") +
			"mindset:\n  appUid: acme\n  agents:\n" +
			times(n/20, "    - {key: k%[1]d, agentName: N%[1]d, <<: [*b%[1]d, *b0]}\n")
	}},
	{"secrets in one text", func(n int) string {
		return agentWith(`agentPurpose: "` + times(n, "${secret:S%d}") + `"`)
	}},
	{"wrong references in one text", func(n int) string {
		return "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - key: a\n      agentName: A\n      agentPurpose: |\n" +
			times(n, "        ${no:S%d}\n")
	}},
	{"wrong references on one line", func(n int) string {
		return "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - key: a\n      agentName: A\n      agentPurpose: " +
			"|\n        " + times(n, "${no:S%d}") + "\n"
	}},
	{"anchors on one line", func(n int) string {
		return "version: 1\nmindset: {appUid: acme, agents: [" + times(n/4,
			"{key: &a%[1]d k%[1]d, agentName: N%[1]d}, ") +
			"]}\n"
	}},
	{"aliases of one text", func(n int) string {
		return "version: 1\nx-a: &a Some text\nmindset:\n  appUid: acme\n  agents:\n" +
			times(n/4, "    - {key: k%[1]d, agentName: N%[1]d, agentPurpose: *a}\n")
	}},
	{"aliases of one wrong value", func(n int) string {
		return "version: 1\nx-a: &a [1]\nmindset:\n  appUid: acme\n  agents:\n" +
			times(n/4, "    - {key: k%[1]d, agentName: N%[1]d, agentPurpose: *a}\n")
	}},
	{"large defaults", func(n int) string {
		return "version: 1\ncometchat:\n  appId: a\n  region: us\n  defaults:\n    icon: https://a.example/i.png\n    " +
			"integrateWith: mastra\n" +
			"    integrationType: agent\n    integrationMeta: {baseUrl: https://a.example}\n    metaData: {" +
			times(n, "m%d: 1, ") + "m: 1}\n" +
			"  agents:\n    - {key: a, name: A}\n    - {key: b, name: B}\n"
	}},
	{"header literals", func(n int) string {
		return "version: 1\ncometchat:\n  appId: a\n  region: us\n  agents:\n    - key: a\n      name: A\n      icon: " +
			"https://a.example/i.png\n" +
			"      integrateWith: crewai\n      integrationType: agent\n      integrationMeta:\n        baseUrl: " +
			"https://a.example\n        headers: {" +
			times(n, "h%[1]d: literal%[1]d, ") + "h: literal}\n"
	}},
	{"comments", func(n int) string { return "version: 1\n" + times(n, "# c\n") + "mindset: {appUid: acme}\n" }},
	{"an open quote", func(n int) string {
		return "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - key: a\n      agentName: \"A\n" +
			times(n/4, "    - key: k%d\n")
	}},
	{"previous keys", func(n int) string { return agentWith("previousKeys: [" + times(n, "p%d, ") + "p]") }},
	{"ignored fields", func(n int) string {
		return agentWith("lifecycle: {ignoreChanges: [" + times(n, "f%d, ") +
			"f]}")
	}},
}

// agentWith is a manifest of one agent that holds fields, in flow style.
func agentWith(fields string) string {
	return "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - {key: a, agentName: A, " + fields + "}\n"
}

// times repeats form with the numbers from 0.
func times(n int, form string) string {
	var b strings.Builder
	for i := range n {
		if strings.Contains(form, "%") {
			fmt.Fprintf(&b, form, i)
		} else {
			b.WriteString(form)
		}
	}
	return b.String()
}

// TestWorkGrowsWithTheInput counts the statements that run, so the machine and its other work play no part:
// four times the input is at most some four times the work. A quadratic one is sixteen times as much.
func TestWorkGrowsWithTheInput(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary that counts")
	}
	binary := filepath.Join(t.TempDir(), "agentsync")
	build := exec.Command("go", "build", "-trimpath", "-cover", "-covermode=count", "-coverpkg="+covered, "-o", binary,
		"../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("go", "tool", "-n", "covdata").Output() // builds it where that is to do
	if err != nil {
		t.Fatal(err)
	}
	covdata := strings.TrimSpace(string(out))
	const few = 1500
	for _, command := range [][]string{{"validate", "m"}, {"plan", "m"}, {"fmt", "--check", "m"}} {
		for _, o := range odd {
			t.Run(command[0]+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				run := func(n int) int { return work(t, binary, covdata, o.write(n), command) }
				less, more := run(few), run(4*few)
				t.Logf("%d and %d statements", less, more)
				if more > 5*less {
					t.Errorf("%d statements, and %d for four times the input", less, more)
				}
			})
		}
	}
}

// work runs a command on one manifest and returns how many statements ran.
func work(t *testing.T, binary, covdata, manifest string, command []string) (statements int) {
	t.Helper()
	dir := t.TempDir()
	counts := filepath.Join(dir, "counts")
	for _, folder := range []string{counts, filepath.Join(dir, "m")} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "m", "a.yaml"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, command...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOCOVERDIR="+counts, "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 && code != 4 {
		t.Fatalf("%v: %.500s", err, out)
	}
	profile, err := exec.Command(covdata, "textfmt", "-i="+counts, "-o=/dev/stdout").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(profile) {
		// file:line.column,line.column statements count
		if f := strings.Fields(string(line)); len(f) == 3 {
			n, _ := strconv.Atoi(f[1])
			times, _ := strconv.Atoi(f[2])
			statements += n * times
		}
	}
	return statements
}
