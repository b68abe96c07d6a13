package diag_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/diag"
)

func TestSortOrdersByPlaceAndDropsRepeats(t *testing.T) {
	var l diag.List
	at := func(file string, line, column int) diag.Pos { return diag.Pos{File: file, Line: line, Column: column} }
	l.Warnf(at("b.yaml", 1, 1), "w")
	l.Errorf(at("b.yaml", 1, 1), "z")
	l.Errorf(at("a.yaml", 10, 2), "late")
	l.Errorf(at("a.yaml", 9, 5), "shared by %d agents", 2)
	l.Errorf(at("a.yaml", 9, 5), "shared by %d agents", 2)
	l.Errorf(at("a.yaml", 9, 5), "another")
	l.Sort()
	var got []string
	for _, p := range l {
		got = append(got, p.String())
	}
	want := []string{
		"a.yaml:9:5: another", "a.yaml:9:5: shared by 2 agents", "a.yaml:10:2: late",
		"b.yaml:1:1: z", "b.yaml:1:1: warning: w",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if e, w := l.Count(); e != 4 || w != 1 || !l.HasErrors() {
		t.Errorf("%d errors, %d warnings", e, w)
	}
}

func TestPlaces(t *testing.T) {
	for want, p := range map[string]diag.Problem{
		"only words":        {Summary: "only words"},
		"f: whole file":     {Pos: diag.Pos{File: "f"}, Summary: "whole file"},
		"f:3: whole line":   {Pos: diag.Pos{File: "f", Line: 3}, Summary: "whole line"},
		"f:3:4: a place":    {Pos: diag.Pos{File: "f", Line: 3, Column: 4}, Summary: "a place"},
		"f: warning: aside": {Severity: diag.Warning, Pos: diag.Pos{File: "f"}, Summary: "aside"},
	} {
		t.Run(want, func(t *testing.T) {
			if got := p.String(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	if (diag.List{{Severity: diag.Warning}}).HasErrors() {
		t.Error("a warning is no error")
	}
}
