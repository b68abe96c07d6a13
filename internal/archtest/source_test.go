package archtest

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// call is a function that few may call, and why.
type call struct {
	pkg, name string
	// in are the files that may, from the module's folder, each with its own reason in why.
	in  []string
	why string
}

var calls = []call{
	{"os", "Exit", []string{"main.go", "internal/crash/crash.go"},
		"only main and a crash end the process: what is deferred elsewhere must run"},
	{"log", "Fatal", nil, "only main ends the process: what is deferred elsewhere must run"},
	{"os", "Getenv", nil, "the environment is a parameter of cli.Run, so that tests have one of their own"},
	{"os", "LookupEnv", nil, "the environment is a parameter of cli.Run, so that tests have one of their own"},
	{"os", "Environ", []string{"main.go"},
		"the environment is a parameter of cli.Run, so that tests have one of their own"},
	{"context", "Background", []string{"main.go", "internal/workspace/sandbox.go"},
		"contexts are made in main, or an interrupt does not reach everywhere; the sandbox is shut down after it"},
	{"context", "TODO", nil, "contexts are made in main, or an interrupt does not reach everywhere"},
	{"", "panic", []string{"internal/sandbox/server.go"},
		"input never panics; the sandbox cuts a connection in the one way that net/http has for it"},
}

func TestCalls(t *testing.T) {
	for _, r := range shipped(rooms(t)) {
		fset, files := r.files(t)
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if n, ok := n.(*ast.CallExpr); ok {
					checkCall(t, fset, n)
				}
				return true
			})
		}
	}
}

func checkCall(t *testing.T, fset *token.FileSet, n *ast.CallExpr) {
	pkg, name := "", ""
	switch fun := n.Fun.(type) {
	case *ast.Ident:
		name = fun.Name
	case *ast.SelectorExpr:
		x, _ := fun.X.(*ast.Ident)
		if x == nil {
			return
		}
		pkg, name = x.Name, fun.Sel.Name
	}
	at := fset.Position(n.Pos())
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Rel(folder, at.Filename)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		if c.pkg == pkg && c.name == name && !slices.Contains(c.in, filepath.ToSlash(file)) {
			t.Errorf("%s:%d calls %s: %s", file, at.Line, strings.TrimPrefix(pkg+"."+name, "."), c.why)
		}
	}
}

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

// TestNothingHappensByImport: no init function, and no package variable that changes. Both make what a
// call does depend on more than its arguments.
func TestNothingHappensByImport(t *testing.T) {
	for _, r := range shipped(rooms(t)) {
		fset, files := r.files(t)
		vars := packageVars(files)
		for _, f := range files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				if fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%v: an init function", fset.Position(fn.Pos()))
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
