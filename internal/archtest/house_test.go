package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the module's folder.
const root = "../.."

// module is the module's path; rooms are the packages below it.
const module = "agentsync"

// room is one package of the module, as go list gives it.
type room struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	Imports      []string
	Deps         []string // with what they import in turn
	TestImports  []string // of tests in the package
	XTestImports []string // of tests beside it
}

// name is the import path without the module and internal: "plan", "platform/mindset", "" for main.
func (r room) name() string { return short(r.ImportPath) }

func short(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	return strings.TrimPrefix(path, "internal/")
}

// rooms lists the module's packages.
func rooms(t *testing.T) []room {
	t.Helper()
	all, err := listRooms()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var listRooms = sync.OnceValues(func() ([]room, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports,Deps,TestImports,XTestImports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	all, err := decodeAll[room](out)
	if err == nil && len(all) < 10 {
		err = fmt.Errorf("go list shows %d packages only", len(all))
	}
	return all, err
})

// decodeAll reads what go list -json writes.
func decodeAll[T any](out []byte) (all []T, err error) {
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var next T
		if err := dec.Decode(&next); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
}

// files parses the files that a room ships.
func (r room) files(t *testing.T) (fset *token.FileSet, files []*ast.File) {
	t.Helper()
	fset = token.NewFileSet()
	for _, name := range r.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(r.Dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return fset, files
}

// testOnly are rooms for tests and for writing documents, which the tool does not ship.
var testOnly = []string{"archtest", "ci", "docgen", "mutants", "openapitest", "platform/platformtest",
	"state/statetest", "state/store/storetest", "torture"}

// shipped leaves the rooms for tests out.
func shipped(all []room) []room {
	return slices.DeleteFunc(slices.Clone(all), func(r room) bool { return slices.Contains(testOnly, r.name()) })
}

// matches reports whether an import path is what a pattern says: the path itself, or everything below
// it and itself where the pattern ends in "/...". Patterns of the house are written from internal/ on
// where they begin with a dot: "./plan".
func matches(pattern, path string) bool {
	if rest, ok := strings.CutPrefix(pattern, "./"); ok {
		if path != module && !strings.HasPrefix(path, module+"/") {
			return false
		}
		pattern, path = rest, short(path)
		if pattern == "..." {
			return true
		}
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return path == pattern
}

func anyMatches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}

// TestNamesForEverySystem: a checkout is possible where names are reserved (Windows: NUL with any ending, and some
// characters) or differ by case alone (macOS). The same for the files that scripts make.
func TestNamesForEverySystem(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("no checkout: %v", err)
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	seen := map[string]string{}
	for _, name := range names {
		folded := strings.ToLower(name)
		if other := seen[folded]; other != "" {
			t.Errorf("%s and %s are one file where case does not matter", name, other)
		}
		seen[folded] = name
		inside := []string{name}
		if strings.HasSuffix(name, ".txtar") {
			b, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range scriptFileForm.FindAllStringSubmatch(string(b), -1) {
				inside = append(inside, m[1])
			}
		}
		for _, path := range inside {
			for part := range strings.SplitSeq(path, "/") {
				if reservedForm.MatchString(part) {
					t.Errorf("%s: Windows has no file that is called %q", name, part)
				}
			}
		}
	}
	if len(names) < 500 {
		t.Errorf("only %d files were found", len(names))
	}
}

var (
	scriptFileForm = regexp.MustCompile(`(?m)^-- (.+) --$`)
	reservedForm   = regexp.MustCompile(`(?i)^(nul|con|aux|prn|com[0-9]|lpt[0-9])(\..*)?$|[:*?"<>|\\]|[. ]$`)
)
