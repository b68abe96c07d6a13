package archtest

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestGoroutinesAreGuarded: the first statement of every goroutine is 'defer crash.Guard()'. Without it a panic there
// ends the process with 2, which says that there are changes.
func TestGoroutinesAreGuarded(t *testing.T) {
	found := 0
	for _, r := range shipped(rooms(t)) {
		if name := r.name(); name == "sandbox" || name == "crash" {
			continue // the sandbox imports no other room, and net/http guards what it starts; crash is the guard
		}
		fset, files := r.files(t)
		bodies := map[string]*ast.BlockStmt{} // of functions and methods, by name
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					bodies[fn.Name.Name] = fn.Body
				}
			}
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				started := startedBy(n)
				if started == nil {
					return true
				}
				found++
				body := bodies[calledName(started)]
				if lit, ok := started.(*ast.FuncLit); ok {
					body = lit.Body
				}
				if calledName(started) != "WatchMemory" && !guarded(body) {
					t.Errorf("%s: a goroutine that does not begin with 'defer crash.Guard()'", fset.Position(n.Pos()))
				}
				return true
			})
		}
	}
	if found < 10 {
		t.Errorf("only %d goroutines were found", found)
	}
}

// startedBy returns the function that n starts as a goroutine, nil where n starts none.
func startedBy(n ast.Node) ast.Expr {
	switch n := n.(type) {
	case *ast.GoStmt:
		return n.Call.Fun
	case *ast.CallExpr:
		if s, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 &&
			(s.Sel.Name == "Go" || s.Sel.Name == "TryGo" || s.Sel.Name == "AfterFunc") {
			return n.Args[len(n.Args)-1]
		}
	}
	return nil
}

func calledName(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

// guarded reports whether a function begins with 'defer crash.Guard()'.
func guarded(body *ast.BlockStmt) bool {
	if body == nil || len(body.List) == 0 {
		return false
	}
	d, ok := body.List[0].(*ast.DeferStmt)
	if !ok {
		return false
	}
	s, ok := d.Call.Fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Guard"
}

// TestPackageVariables: none changes; what a call does would depend on more than its arguments.
func TestPackageVariables(t *testing.T) {
	for _, r := range shipped(rooms(t)) {
		fset, files := r.files(t)
		vars := packageVars(files)
		for _, f := range files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				ast.Inspect(fn.Body, func(n ast.Node) bool {
					for _, target := range assigned(n) {
						if id := base(target); id != nil && vars[id.Name] != nil &&
							(id.Obj == nil || id.Obj == vars[id.Name]) {
							t.Errorf("%v: the package variable %s changes", fset.Position(id.Pos()), id.Name)
						}
					}
					return true
				})
			}
		}
	}
}

// packageVars are the variables that files declare outside functions.
//
//nolint:staticcheck // ast.Object tells a package's variable from a local one well enough, and types would need a build
func packageVars(files []*ast.File) map[string]*ast.Object {
	vars := map[string]*ast.Object{}
	for _, f := range files {
		for name, o := range f.Scope.Objects {
			if o.Kind == ast.Var {
				vars[name] = o
			}
		}
	}
	return vars
}

// assigned returns what a statement assigns to.
func assigned(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	}
	return nil
}

// base is the identifier that an assignment changes, or changes a part of.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// TestPackageDocs: each package says what it is for in the first sentence of its doc, once.
func TestPackageDocs(t *testing.T) {
	for _, r := range rooms(t) {
		begins := "Package " + filepath.Base(r.ImportPath) + " "
		if r.name() == "" {
			begins = "Agentsync "
		}
		if !strings.HasPrefix(r.Doc, begins) {
			t.Errorf("%s: its doc does not begin with %q: %q", r.ImportPath, begins, r.Doc)
		}
		docs := 0
		_, files := r.files(t)
		for _, f := range files {
			if f.Doc != nil {
				docs++
			}
		}
		if docs != 1 {
			t.Errorf("%s has %d package docs", r.ImportPath, docs)
		}
	}
}

// TestNames: a package that is named after nothing collects everything.
func TestNames(t *testing.T) {
	for _, r := range rooms(t) {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "types", "misc", "base"},
			filepath.Base(r.ImportPath)) {
			t.Errorf("%s: name it after what it is", r.ImportPath)
		}
	}
}
