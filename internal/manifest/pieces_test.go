package manifest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

// A file that is parsed in pieces gives the tree of the whole file, or none.
func TestPieces(t *testing.T) {
	const head = "version: 1\nmindset:\n  appUid: acme\n  agents:\n"
	for name, c := range map[string]struct {
		src string
		cut bool // this file can be cut
	}{
		"plain":              {head + agentsLike("    - key: k%d\n      agentName: A\n"), true},
		"comments":           {"version: 1\nmindset:\n  agents: # all\n    # the first\n" + agentsLike("    - key: k%d # one\n    # next\n\n"), true},
		"not indented":       {"version: 1\nmindset:\n  agents:\n" + agentsLike("  - key: k%d\n    tags:\n    - a\n    - b\n"), true},
		"block texts":        {head + agentsLike("    - key: k%d\n      agentPurpose: |\n        - key: no\n\n         x\n\n"), true},
		"kept line ends":     {head + agentsLike("    - key: k%d\n      agentPurpose: |+\n        x\n\n\n"), true},
		"folded plain text":  {head + agentsLike("    - key: k%d\n      agentPurpose: one\n        two\n\n        three\n"), true},
		"empty values":       {head + agentsLike("    - key: k%d\n      agentName:\n"), true},
		"two sections":       {head + agentsLike("    - key: k%d\n") + "cometchat:\n  appId: a\n  agents:\n" + agentsLike("    - key: c%d\n"), true},
		"members behind":     {head + agentsLike("    - key: k%d\n") + "  host: h\nx-more: [1]\n", true},
		"anchors inside":     {head + agentsLike("    - key: &k k%d\n      agentName: *k\n"), true},
		"anchor in the head": {"x-t: &t [a]\n" + head + agentsLike("    - key: k%d\n      tags: *t\n"), false},
		"quoted over lines":  {head + agentsLike("    - key: k%d\n      agentName: \"a\n    - key: b\n    - key: c\"\n"), false},
		"flow over lines":    {head + agentsLike("    - key: k%d\n      tags: [a,\n    - b,\n    - c]\n"), false},
		"text of lines":      {"x-old: |\n  agents:\n" + agentsLike("    - key: k%d\n"), false},
		"another list":       {head + "  - key: a\n  others:\n" + agentsLike("  - k%d\n"), true},
		"a key alone":        {head + agentsLike("    - key: k%d\n      ? x\n"), false},
		"a flow list":        {"version: 1\nmindset:\n  agents:\n            - key: a\nx:\n  agents: [a]\n" + agentsLike("            - k%d\n"), false},
		"two documents":      {head + agentsLike("    - key: k%d\n") + "---\n" + head + agentsLike("    - key: k%d\n"), false},
		"carriage returns":   {strings.ReplaceAll(head+agentsLike("    - key: k%d\n"), "\n", "\r\n"), false},
		"an error":           {head + agentsLike("    - key: k%d\n") + "    - key: \"\n", false},
		"a stray line":       {head + agentsLike("    - key: k%d\n") + "   x: 1\n", false},
		"dash before key":    {"version: 1\nmindset:\n    agents:\n" + agentsLike("  - key: k%d\n"), false},
		"no agents":          {strings.Repeat("# nothing\n", 100), false},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 2; n < 6; n++ {
				if cut := equalInPieces(t, []byte(c.src), n); cut != c.cut {
					t.Errorf("%d pieces: cut %t, want %t", n, cut, c.cut)
				}
			}
		})
	}
}

// agentsLike returns some agents of the form.
func agentsLike(form string) string {
	var b strings.Builder
	for i := range 40 {
		b.WriteString(strings.ReplaceAll(form, "%d", fmt.Sprint(i)))
	}
	return b.String()
}

// equalInPieces reports whether the file can be parsed in n pieces, which must make no difference.
func equalInPieces(t rapid.TB, src []byte, n int) bool {
	t.Helper()
	got, ok := parseCut(src, n)
	if !ok {
		return false
	}
	want, err := parseAll(src)
	if err != nil {
		t.Fatalf("the whole file has an error that its %d pieces do not have: %v", n, err)
	}
	stripComments(got)
	stripComments(want)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("the tree of %d pieces is another one than that of the whole file:\n%s", n, src)
	}
	return true
}

// stripComments takes out the comments, which nobody reads and which may belong to either side of a cut.
func stripComments(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, c := range n.Content {
		stripComments(c)
	}
}

// Lines of all kinds in any order: most such files are wrong, and the rest is read alike.
func TestPiecesOfAnyLines(t *testing.T) {
	heads := []string{
		"mindset:\n  agents:\n    - a: 1\n", "mindset:\n  agents:\n  - a: 1\n", "mindset:\n agents:\n   # one\n   - a: 1\n",
		"x: &x {a: 1}\nmindset:\n  agents:\n    - a: 1\n", "x: |\n  agents:\n    - a: 1\n",
	}
	lines := []string{
		"- a: 1\n", "- b\n", "- \n", "-\n", "- - c\n", "- |\n", "- >+\n", "- |1\n", "- &n d\n", "- *n\n", "- *x\n", "- !!str e\n", "- ? f\n", "? g\n", ": h\n",
		"- \"i\n", "j\"\n", "- 'k\n", "l'\n", "- [m,\n", "n]\n", "- {o: 1,\n", "p: 2}\n", "q: r\n", "s:\n", "t: |\n", "u\n", "# v\n", "\n", "w: x # y\n",
		"agents:\n", "z: {<<: *x}\n", "<<: *x\n", "- \t1\n", "---\n", "...\n", "- a: \"b\n",
	}
	indents := []string{"", "  ", "   ", "    ", "      ", "        "}
	cut := 0
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SampledFrom(heads).Draw(t, "head")
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			part := "    - a: 1\n" // some of it is right
			for range max(0, rapid.IntRange(-4, 3).Draw(t, "lines")) {
				part += rapid.SampledFrom(indents).Draw(t, "indent") + rapid.SampledFrom(lines).Draw(t, "line")
			}
			src += strings.Repeat(part, rapid.IntRange(1, 6).Draw(t, "times"))
		}
		if equalInPieces(t, []byte(src), rapid.IntRange(2, 8).Draw(t, "n")) {
			cut++
		}
	})
	if cut == 0 {
		t.Error("no file was cut: the test tests nothing")
	}
}

// FuzzPieces: whatever the file, its pieces make the tree of the whole or none.
func FuzzPieces(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s, "", 3)
	}
	f.Add([]byte("a:\n  agents:\n"), "    - key: \"a\n    - b\n    c\"\n", 4)
	f.Add([]byte("a:\n  agents:\n"), "    - |\n     x\n    - ? y\n", 5)
	f.Fuzz(func(t *testing.T, src []byte, more string, n int) {
		if n < 0 || n > 16 || len(more) > 1000 {
			return
		}
		equalInPieces(t, append(src, strings.Repeat(more, n)...), n)
	})
}
