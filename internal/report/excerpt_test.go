package report

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/diag"
	"agentsync/internal/report/show"
)

// excerptOf shows one line with problems at columns, as a terminal of width columns has it.
func excerptOf(t *testing.T, line diag.Line, width int, columns ...int) string {
	t.Helper()
	var l diag.List
	for _, c := range columns {
		l.Errorf(diag.Pos{File: "a.yaml", Line: 12, Column: c}, "wrong %d", len(l))
	}
	var b strings.Builder
	s := Style{Width: width, Source: func(p diag.Pos) (diag.Line, bool) {
		token := line
		if at := min(p.Column-1, len([]rune(line.Text))); at >= 0 {
			rest := string([]rune(line.Text)[at:])
			if first, _, _ := strings.Cut(rest, " "); token.Token == 0 {
				token.Token = len(first)
			}
		}
		return token, true
	}}
	if err := DiagText(&b, l, s); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	return strings.Join(lines[len(columns):len(lines)-2], "\n")
}

func TestExcerpts(t *testing.T) {
	long := strings.Repeat("word ", 40) + "wrong " + strings.Repeat("more ", 40)
	for _, c := range []struct {
		name    string
		line    diag.Line
		columns []int
		want    []string
	}{
		{"a value", diag.Line{Text: "access: open"}, []int{9}, []string{
			"   12 │ access: open",
			"      │         ^^^^"}},
		{"two places, one of them twice", diag.Line{Text: "prmpt: x"}, []int{1, 8, 8}, []string{
			"   12 │ prmpt: x",
			"      │ ^^^^^^ ^"}},
		{"wide characters", diag.Line{Text: "名前: 東京 x"}, []int{5}, []string{
			"   12 │ 名前: 東京 x",
			"      │       ^^^^"}},
		{"an emoji of several code points", diag.Line{Text: "👨‍👩‍👧 x"}, []int{7}, []string{
			"   12 │ 👨‍👩‍👧 x",
			"      │    ^"}},
		{"a combining accent", diag.Line{Text: "e\u0301t\u0301 x"}, []int{6}, []string{
			"   12 │ e\u0301t\u0301 x",
			"      │    ^"}},
		{"tabs", diag.Line{Text: "\tkey:\tx"}, []int{7}, []string{
			"   12 │     key:    x",
			"      │             ^"}},
		{"control characters", diag.Line{Text: "a\x1b[31mb\u202e x"}, []int{10}, []string{
			`   12 │ a\x1b[31mb\u202e x`,
			"      │                  ^"}},
		{"behind the end", diag.Line{Text: "key:"}, []int{6}, []string{
			"   12 │ key:",
			"      │     ^"}},
		{"the whole line", diag.Line{Text: "key: a"}, []int{0}, []string{"   12 │ key: a"}},
		{"nothing", diag.Line{}, []int{1}, []string{
			"   12 │",
			"      │ ^"}},
		{"a credential before the place", diag.Line{Text: "{a: hunter2, b: c}", Hidden: [][2]int{{4, 11}}}, []int{17},
			[]string{
				"   12 │ {a: (secret), b: c}",
				"      │                  ^^"}},
		{"a credential at the place", diag.Line{Text: "a: hunter2", Hidden: [][2]int{{3, 10}}}, []int{6}, []string{
			"   12 │ a: (secret)",
			"      │    ^^^^^^^^"}},
		{"a place in the middle of a long line", diag.Line{Text: long}, []int{201}, []string{
			"   12 │ …rd word word word word wrong more more more more more more more more m…",
			"      │                         ^^^^^"}},
		{"a place at the beginning of a long line", diag.Line{Text: long}, []int{1}, []string{
			"   12 │ word word word word word word word word word word word word word word…",
			"      │ ^^^^"}},
		{"two places far apart", diag.Line{Text: "wrong " + strings.Repeat("東京 ", 60) + "wrong"}, []int{1, 187},
			[]string{
				"   12 │ wrong 東京 東京 東京 東京 東京 東京 東京 東京 東京 東京 東京 東京 東京…",
				"      │ ^^^^^",
				"   12 │ …東京 東京 東京 東京 東京 東京 東京 東京 東京 東京 東京 東京 東京 wrong",
				"      │                                                                   ^^^^^"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := excerptOf(t, c.line, 82, c.columns...)
			if d := cmp.Diff(strings.Join(c.want, "\n"), got); d != "" {
				t.Errorf("%s (-want +got):\n%s\n%s", c.name, d, got)
			}
			for line := range strings.SplitSeq(got, "\n") {
				if show.Width(line) > 81 {
					t.Errorf("%d columns in a terminal of 82", show.Width(line))
				}
			}
		})
	}
}

// TestExcerptsNeverBreak: whatever a line holds and however narrow a terminal is, nothing is shown that was hidden.
func TestExcerptsNeverBreak(t *testing.T) {
	line := "a\t東\u202e\x1b👨‍👩‍👧\xff" + strings.Repeat("e\u0301 ", 20) + "hunter2 東京"
	at := strings.Index(line, "hunter2")
	for width := 1; width < 60; width++ {
		for column := 0; column < 80; column += 3 {
			got := excerptOf(t, diag.Line{Text: line, Hidden: [][2]int{{at, at + 7}}}, width, column, column+1)
			if strings.Contains(got, "hunter") || strings.ContainsAny(got, "\x1b\t\u202e") ||
				!utf8.ValidString(got) {
				t.Fatalf("width %d, column %d:\n%q", width, column, got)
			}
		}
	}
}

func TestExcerptColours(t *testing.T) {
	var l diag.List
	l.Errorf(diag.Pos{File: "a.yaml", Line: 1, Column: 1}, "wrong")
	l.Warnf(diag.Pos{File: "a.yaml", Line: 1, Column: 3}, "odd")
	l.Errorf(diag.Pos{File: "gone.yaml", Line: 1, Column: 1}, "wrong")
	l.Errorf(diag.Pos{File: "z.yaml"}, "all of it is wrong")
	var b strings.Builder
	err := DiagText(&b, l, Style{Width: 80, Color: true, Source: func(p diag.Pos) (diag.Line, bool) {
		return diag.Line{Text: "a b", Token: 1}, p.File == "a.yaml"
	}})
	want := "\x1b[1ma.yaml:1:1:\x1b[0m \x1b[31merror:\x1b[0m wrong\n" +
		"\x1b[1ma.yaml:1:3:\x1b[0m \x1b[33mwarning:\x1b[0m odd\n" +
		"\x1b[2m    1 │\x1b[0m a b\n" +
		"\x1b[2m      │\x1b[0m \x1b[31m^\x1b[0m \x1b[33m^\x1b[0m\n" +
		"\x1b[1mgone.yaml:1:1:\x1b[0m \x1b[31merror:\x1b[0m wrong\n" +
		"\x1b[1mz.yaml:\x1b[0m \x1b[31merror:\x1b[0m all of it is wrong\n" +
		"3 errors, 1 warning\n"
	if d := cmp.Diff(want, b.String()); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}
