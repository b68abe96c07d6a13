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
	Indirect      bool // nothing here imports it
	Tool          bool // go tool runs it
}

// within reports whether a package belongs to a module.
func within(module, path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

// requirements reads go.mod.
func requirements(t *testing.T) []requirement {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit: %v", err)
	}
	var mod struct {
		Require []requirement
		Tool    []struct{ Path string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	for i, r := range mod.Require {
		for _, tool := range mod.Tool {
			mod.Require[i].Tool = mod.Require[i].Tool || within(r.Path, tool.Path)
		}
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
			if within(req.Path, path) {
				by = room
			}
		}
		switch {
		case by != "" && req.Indirect:
			t.Errorf("go.mod calls %s indirect, but %s imports it: run go mod tidy", req.Path, by)
		case by == "" && !req.Indirect && !req.Tool:
			t.Errorf("go.mod requires %s, but nothing imports it: run go mod tidy", req.Path)
		}
	}
}
