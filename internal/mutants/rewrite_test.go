package mutants

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mutant is one fault that can be switched on in a rewritten file.
type mutant struct {
	number int
	file   string
	line   int
	kind   string
	text   string // the code that it changes
}

// key names a mutant as long as its line says the same, wherever it stands.
func (m mutant) key() string { return fmt.Sprintf("%s: %s: %s", m.file, m.kind, m.text) }

func (m mutant) String() string { return fmt.Sprintf("%s:%d: %s: %s", m.file, m.line, m.kind, m.text) }

// The kinds of fault. A clause of && is left out by taking it for true, one of || by taking it for false.
const (
	negated  = "condition negated"
	noClause = "clause left out"
	moved    = "bound moved"
	dropped  = "statement left out"
)

// insertion is text that goes into a file. Nothing of the file is replaced, so that faults may lie within one another.
type insertion struct {
	offset int
	closes bool
	order  int
	text   string
}

// rewriter adds switches to one file.
type rewriter struct {
	file, src  string
	fset       *token.FileSet
	first      int
	mutants    []mutant
	insertions []insertion
}

// rewrite returns the file with a switch for each fault that can be made in it, numbered from first on:
// 'mutated(n)' is to report whether fault n is on.
func rewrite(file, src string, first int) (string, []mutant, error) {
	r := &rewriter{file: file, src: src, fset: token.NewFileSet(), first: first}
	f, err := parser.ParseFile(r.fset, file, src, 0)
	if err != nil {
		return "", nil, err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			r.around(n.Cond, negated, "(", ") != mutated(#)")
		case *ast.SwitchStmt:
			if n.Tag == nil {
				r.cases(n)
			}
		case *ast.BinaryExpr:
			r.binary(n)
		case *ast.BlockStmt:
			r.statements(n.List)
		case *ast.CaseClause:
			r.statements(n.Body)
		case *ast.CommClause:
			r.statements(n.Body)
		}
		_, declares := n.(*ast.GenDecl)
		return !declares || n.(*ast.GenDecl).Tok != token.CONST
	})
	slices.SortFunc(r.insertions, func(a, b insertion) int {
		switch {
		case a.offset != b.offset:
			return cmp.Compare(a.offset, b.offset)
		case a.closes != b.closes:
			return map[bool]int{true: -1, false: 1}[a.closes]
		case a.closes:
			return cmp.Compare(b.order, a.order)
		}
		return cmp.Compare(a.order, b.order)
	})
	var b strings.Builder
	at := 0
	for _, i := range r.insertions {
		b.WriteString(src[at:i.offset])
		b.WriteString(i.text)
		at = i.offset
	}
	b.WriteString(src[at:])
	return b.String(), r.mutants, nil
}

// around makes a fault of text before and after a node, in which # is its number.
func (r *rewriter) around(n ast.Node, kind, before, after string) {
	number := r.first + len(r.mutants)
	from, to := r.fset.Position(n.Pos()), r.fset.Position(n.End())
	text := strings.Join(strings.Fields(r.src[from.Offset:to.Offset]), " ")
	r.mutants = append(r.mutants, mutant{number, r.file, from.Line, kind, text})
	numbered := func(s string) string { return strings.Replace(s, "#", strconv.Itoa(number), 1) }
	r.insertions = append(r.insertions,
		insertion{from.Offset, false, number, numbered(before)},
		insertion{to.Offset, true, number, numbered(after)})
}

func (r *rewriter) cases(s *ast.SwitchStmt) {
	for _, c := range s.Body.List {
		for _, e := range c.(*ast.CaseClause).List {
			r.around(e, negated, "(", ") != mutated(#)")
		}
	}
}

func (r *rewriter) binary(e *ast.BinaryExpr) {
	text := func(x ast.Expr) string {
		return r.src[r.fset.Position(x.Pos()).Offset:r.fset.Position(x.End()).Offset]
	}
	switch e.Op {
	case token.LAND:
		for _, x := range []ast.Expr{e.X, e.Y} {
			r.around(x, noClause, "(", " || mutated(#))")
		}
	case token.LOR:
		for _, x := range []ast.Expr{e.X, e.Y} {
			r.around(x, noClause, "((", ") && !mutated(#))")
		}
	case token.LSS, token.GTR:
		r.around(e, moved, "(", " || mutated(#) && ("+text(e.X)+") == ("+text(e.Y)+"))")
	case token.LEQ, token.GEQ:
		r.around(e, moved, "(", " && !(mutated(#) && ("+text(e.X)+") == ("+text(e.Y)+")))")
	}
}

// statements lets calls and assignments be left out. What declares a variable, or ends a function, has to stay.
func (r *rewriter) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
					continue
				}
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		r.around(s, dropped, "if !mutated(#) { ", " }")
	}
}

func TestRewrite(t *testing.T) {
	const src = `package p

func f(a, b int) bool {
	if a < b && b > 0 {
		a = b
	}
	switch {
	case a == 1:
		g()
	}
	return a <= b || b == 2
}
`
	const want = `package p

func f(a, b int) bool {
	if (((a < b || mutated(4) && (a) == (b)) || mutated(2)) && ((b > 0 || mutated(5) && (b) == (0)) || mutated(3))) != mutated(1) {
		if !mutated(6) { a = b }
	}
	switch {
	case (a == 1) != mutated(7):
		if !mutated(8) { g() }
	}
	return (((a <= b && !(mutated(11) && (a) == (b)))) && !mutated(9)) || ((b == 2) && !mutated(10))
}
`
	got, mutants, err := rewrite("p.go", src, 1)
	if err != nil || got != want || len(mutants) != 11 {
		t.Fatalf("%v, %d mutants\n%s", err, len(mutants), got)
	}
	if m := mutants[3].String(); m != "p.go:4: bound moved: a < b" {
		t.Error(m)
	}
}
