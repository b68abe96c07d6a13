package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// systems are those that the tool is published for, beside the one that the tests run on.
var systems = []string{"darwin", "linux", "windows"}

// TestEverySystem: each package and its tests compile for every system. Only types are checked: go vet for the two
// others cost sixteen times as much. What it finds beyond that can differ only in files of one system: see ELSEWHERE in
// the Makefile.
func TestEverySystem(t *testing.T) {
	for _, system := range systems {
		if system == runtime.GOOS {
			continue
		}
		t.Run(system, func(t *testing.T) {
			own := 0
			checked := map[string]*types.Package{"unsafe": types.Unsafe}
			for _, p := range listed(t, system) {
				// unsafe has no source that means it, and the main program of a test is written by go test.
				if p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test") {
					continue
				}
				if p.Module.Main {
					own++
				}
				for _, err := range p.check(system, checked) {
					t.Error(err)
				}
			}
			if own < 50 {
				t.Errorf("only %d packages were checked", own)
			}
		})
	}
}

// source is a package as go list gives it for one system. A package that its own tests change is listed once with
// them and once without: "plan" and "plan [plan.test]".
type source struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string // from the path in an import to the package that it means, where they differ
	Module          struct {
		Main      bool
		GoVersion string
	}
}

// listed lists the module's packages, its tests, and all that they import, each after what it imports.
func listed(t *testing.T, system string) (all []source) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-test", "-json=ImportPath,Dir,GoFiles,ImportMap,Module", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v", system, err)
	}
	if all, err = decodeAll[source](out); err != nil {
		t.Fatal(err)
	}
	return all
}

// check checks the types of a package and adds it to those that are checked. It returns the faults of the
// module's own packages; of a library only what others see of it is read.
func (p source) check(system string, checked map[string]*types.Package) (faults []error) {
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return []error{err}
		}
		files = append(files, f)
	}
	config := types.Config{
		Importer:         mapped{p.ImportMap, checked},
		IgnoreFuncBodies: !p.Module.Main,
		Sizes:            types.SizesFor("gc", runtime.GOARCH),
		Error: func(err error) {
			if p.Module.Main {
				faults = append(faults, fmt.Errorf("%s: %w", system, err))
			}
		},
	}
	if p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	path, _, _ := strings.Cut(p.ImportPath, " ")                    // without the test that it is for
	checked[p.ImportPath], _ = config.Check(path, fset, files, nil) // Error has been told
	return faults
}

// mapped finds what a package imports among those that are checked.
type mapped struct {
	paths   map[string]string
	checked map[string]*types.Package
}

func (m mapped) Import(path string) (*types.Package, error) {
	if to := m.paths[path]; to != "" {
		path = to
	}
	if p := m.checked[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s is not listed before what imports it", path)
}
