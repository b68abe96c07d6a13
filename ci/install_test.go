package ci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall: agentsync is built from the action's own source, its version is the ref, and a ref cannot
// add flags to the build; false wants it on PATH.
func TestInstall(t *testing.T) {
	t.Parallel()
	newRunner(t) // for the tools
	if testing.Short() {
		t.Skip("builds the tool")
	}
	more := filepath.Join(t.TempDir(), "path")
	install := func(env ...string) (string, error) {
		cmd := exec.Command("bash", abs(t, "install.sh"))
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), append(env, "GITHUB_PATH="+more, "RUNNER_TEMP="+t.TempDir())...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := install("INPUT_BUILD_FROM_SOURCE=true", "ACTION_REF=v1'.2 -X main.a=b"); err != nil {
		t.Fatal(out)
	}
	bin := filepath.Join(strings.TrimSpace(read(t, more)), "agentsync")
	out, err := exec.Command(bin, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "agentsync v1.2 -X main.a=b (") {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.Remove(more); err != nil {
		t.Fatal(err)
	}
	if out, err := install("INPUT_BUILD_FROM_SOURCE=auto"); err != nil || read(t, more) != "" {
		t.Errorf("what is on PATH was not taken: %v\n%s", err, out)
	}
	out2, err := install("INPUT_BUILD_FROM_SOURCE=false", "PATH=/usr/bin:/bin")
	if err == nil {
		t.Errorf("found where it is not: %s", out2)
	}
	wantAll(t, "log", out2, "agentsync is not on PATH and not released")
}
