package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestWhichCodeRuns: every file:function that the document names is there.
func TestWhichCodeRuns(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z_/]+\\.go):([A-Za-z.]+)`").FindAllStringSubmatch(string(b), -1)
	if len(named) < 30 {
		t.Fatalf("%s names only %d functions", document, len(named))
	}
	known := map[string]map[string]bool{} // by file
	for _, m := range named {
		file, function := m[1], m[2]
		if known[file] == nil {
			known[file] = functionsIn(t, file)
		}
		if !known[file][function] {
			t.Errorf("%s names %s, which %s does not have", document, function, file)
		}
	}
}

// functionsIn returns the functions of a file, methods with the name of their type before them.
func functionsIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("%s: %v", document, err)
		return nil
	}
	names := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := fn.Name.Name
		if fn.Recv != nil {
			of := fn.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			if id, ok := of.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		names[name] = true
	}
	return names
}
