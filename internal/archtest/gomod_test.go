package archtest

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// requirement is a line of go.mod.
type requirement struct {
	Path, Version string
	Indirect      bool
}

// requirements reads go.mod.
func requirements(t *testing.T) []requirement {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct{ Require []requirement }
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	return mod.Require
}

// TestRequirements holds go.mod against what is imported, tests included: what go mod tidy says of direct
// requirements, without the network that it needs.
func TestRequirements(t *testing.T) {
	imported := map[string]string{}
	for _, r := range rooms(t) {
		for _, list := range [][]string{r.Imports, r.TestImports, r.XTestImports} {
			for _, path := range list {
				imported[path] = r.ImportPath
			}
		}
	}
	for _, req := range requirements(t) {
		by := ""
		for path, room := range imported {
			if path == req.Path || strings.HasPrefix(path, req.Path+"/") {
				by = room
			}
		}
		switch {
		case by != "" && req.Indirect:
			t.Errorf("go.mod calls %s indirect, but %s imports it: run go mod tidy", req.Path, by)
		case by == "" && !req.Indirect:
			t.Errorf("go.mod requires %s, but nothing imports it: run go mod tidy", req.Path)
		}
	}
}
