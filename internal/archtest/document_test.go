package archtest

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// document is the page that these tests keep true.
var document = filepath.Join(root, "docs", "architecture.md")

// pictureForm is where the picture of the imports stands.
var pictureForm = regexp.MustCompile(`(?s)(<!-- imports: written by a test -->\n).*?(<!-- end -->)`)

// TestGoldenPicture holds the picture of docs/architecture.md against what is imported, and draws it
// where AGENTSYNC_GOLDEN=1.
func TestGoldenPicture(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !pictureForm.Match(b) {
		t.Fatalf("%s has no place for the picture", document)
	}
	want := pictureForm.ReplaceAllString(string(b), "${1}"+picture(rooms(t))+"${2}")
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("%s shows other imports than there are; 'make golden' draws it anew (-want +got):\n%s", document, diff)
	}
}

// picture draws which room imports which, without the arrows that follow from others.
func picture(all []room) string {
	imports := map[string][]string{}
	for _, r := range shipped(all) {
		imports[r.name()] = nil
		for _, path := range r.Imports {
			if strings.HasPrefix(path, module+"/") {
				imports[r.name()] = append(imports[r.name()], short(path))
			}
		}
	}
	var b strings.Builder
	b.WriteString("\n```mermaid\nflowchart TD\n")
	for _, r := range shipped(all) {
		from := r.name()
		for _, to := range imports[from] {
			implied := slices.ContainsFunc(imports[from],
				func(via string) bool { return via != to && reaches(imports, via, to) })
			if !implied {
				fmt.Fprintf(&b, "    %s --> %s\n", node(from), node(to))
			}
		}
	}
	b.WriteString("```\n\n")
	return b.String()
}

// reaches reports whether from imports to, directly or not. Imports have no circles.
func reaches(imports map[string][]string, from, to string) bool {
	return slices.ContainsFunc(imports[from], func(next string) bool {
		return next == to || reaches(imports, next, to)
	})
}

// node is a room in the picture: an id without slashes, and its name where that differs.
func node(name string) string {
	switch {
	case name == "":
		return "main"
	case strings.Contains(name, "/"):
		return filepath.Base(name) + "[" + name + "]"
	}
	return name
}

// rowForm is a library's row in the document.
var rowForm = regexp.MustCompile("(?m)^\\| `([a-z][^`]*/[^`]*)` \\| (v[^ ]+) \\|")

// TestLibraries holds the table of libraries against the direct requirements and the tools in
// go.mod.
func TestLibraries(t *testing.T) {
	var want, got []string
	for _, r := range requirements(t) {
		if !r.Indirect || r.Tool {
			want = append(want, r.Path+" "+r.Version)
		}
	}
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range rowForm.FindAllStringSubmatch(string(b), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s lists other libraries than go.mod requires (-want +got):\n%s", document, diff)
	}
}

// TestEveryRoomIsDescribed: the table of rooms in the document has each of them, and no other.
func TestEveryRoomIsDescribed(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:internal/|schema|ci|docs/ci|main)[^`]*)` \\|").
		FindAllStringSubmatch(string(b), -1) {
		described[m[1]] = true
	}
	for _, r := range rooms(t) {
		path := strings.TrimPrefix(strings.TrimPrefix(r.ImportPath, module), "/")
		if path == "" {
			path = "main.go"
		}
		if !described[path] {
			t.Errorf("%s does not describe %s", document, path)
		}
		delete(described, path)
	}
	for path := range described {
		t.Errorf("%s describes %s, which is not there", document, path)
	}
}

// variableForm is the name of an environment variable in the code.
var variableForm = regexp.MustCompile(`^"([A-Z]+(_[A-Z0-9]+)+|CI|TERM|CLICOLOR)"$`)

// TestEnvironmentIsDescribed: docs/environment.md has each variable that the code reads. Those of a list with
// GITHUB_TOKEN in it are credentials that are refused.
func TestEnvironmentIsDescribed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "environment.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, r := range shipped(rooms(t)) {
		if isBelow(r.name(), "sandbox") {
			continue // what it names are codes of errors
		}
		fset, files := r.files(t)
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if list, ok := n.(*ast.CompositeLit); ok && slices.ContainsFunc(list.Elts, isGitHubToken) {
					return false
				}
				lit, ok := n.(*ast.BasicLit)
				// Codes of answers, and init's example, are none.
				isOther := ok && (strings.HasPrefix(lit.Value, `"ERR_`) || lit.Value == `"LANGGRAPH_TOKEN"`)
				if !ok || isOther || !variableForm.MatchString(lit.Value) {
					return true
				}
				found++
				if name := strings.Trim(lit.Value, `"`); !strings.Contains(string(page), "`"+name) {
					t.Errorf("%s: docs/environment.md does not have %s", fset.Position(n.Pos()), name)
				}
				return true
			})
		}
	}
	if found < 15 {
		t.Errorf("only %d variables were found", found)
	}
}

// isGitHubToken reports whether an element of a list is that name, or has it as its key.
func isGitHubToken(e ast.Expr) bool {
	if pair, ok := e.(*ast.KeyValueExpr); ok {
		e = pair.Key
	}
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Value == `"GITHUB_TOKEN"`
}

// TestLinks: what the documents link to inside the repository is there, and so is the heading that a link names.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	links := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range linkForm.FindAllStringSubmatch(fenceForm.ReplaceAllString(string(b), ""), -1) {
			links++
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			} else if m[2] != "" && filepath.Ext(target) == ".md" && !headings(t, target)[m[2]] {
				t.Errorf("%s links to %s#%s, and the page has no such heading", page, m[1], m[2])
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

var (
	linkForm    = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	fenceForm   = regexp.MustCompile("(?ms)^```.*?^```$")
	headingForm = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noSlugForm  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// headings are the names by which GitHub links to the headings of a page.
func headings(t *testing.T, page string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	slugs := map[string]bool{}
	for _, m := range headingForm.FindAllStringSubmatch(fenceForm.ReplaceAllString(string(b), ""), -1) {
		slugs[strings.ReplaceAll(noSlugForm.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return slugs
}
