package manifest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestGeneratedManifest runs the script of docs/generate.md over a table with odd names.
func TestGeneratedManifest(t *testing.T) {
	page, err := os.ReadFile("../../docs/generate.md")
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(page)
	python, err := exec.LookPath("python3")
	if script == nil || err != nil {
		t.Skipf("no script or no Python to run it: %v", err)
	}
	write(t, "tenants.csv", "id,name,tags\nT-1,\"Müller & Söhne: \"\"A\"\"\",hr;it\nT-2,😀 # one,\nT-3,yes,no\n",
		"tenants.py", string(script[1]),
		filepath.Join("manifests", "prompts", "tenant.md"), "Help the tenant's people.\n")
	if out, err := exec.Command(python, "tenants.py").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fleet, problems := load(t, "manifests")
	if len(problems) > 0 || len(fleet.Agents) != 3 {
		t.Fatalf("%d agents\n%s", len(fleet.Agents), lines(problems))
	}
	for i, name := range []string{`Müller & Söhne: "A"`, "😀 # one", "yes"} {
		if got := fleet.Agents[i].Fields["agentName"]; got != name {
			t.Errorf("agent %d is %v, not %s", i, got, name)
		}
		if got := fleet.Agents[i].Fields["agentPurpose"]; got != "Help the tenant's people." {
			t.Errorf("agent %d is for %v", i, got)
		}
	}
}
