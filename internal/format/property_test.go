package format_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// writer writes a random manifest in a random hand: indentation, comments, blank lines, quotes, flow
// and block style, anchors, aliases and merge keys. Each comment is numbered.
type writer struct {
	t        *rapid.T
	out      strings.Builder
	comments int
	anchors  []string
	maps     []string // the anchors of mappings
	made     int
	pending  string // the anchor of the mapping that is written next: it cannot refer to itself
}

func (w *writer) chance(percent int, label string) bool {
	return rapid.IntRange(0, 99).Draw(w.t, label) < percent
}

// pick returns one of some texts.
func (w *writer) pick(label string, texts ...string) string {
	return rapid.SampledFrom(texts).Draw(w.t, label)
}

func (w *writer) comment() string {
	w.comments++
	return fmt.Sprintf("# c%d. %s", w.comments, w.pick("comment", "note", "key: value", "- item", "'quote", "{",
		"ü  two"))
}

// note ends a line, with a comment or without.
func (w *writer) note() {
	w.out.WriteString(w.pick("trail", "", "", " ", "  "))
	if w.chance(20, "note") {
		w.out.WriteString(" " + w.comment())
	}
	w.out.WriteByte('\n')
}

// between writes blank lines and comments, at indent more or less.
func (w *writer) between(indent int) {
	for w.chance(30, "between") {
		if w.chance(50, "blank") {
			w.out.WriteString(w.pick("blank line", "\n", "\n\n", "   \n"))
			continue
		}
		at := max(0, indent+rapid.IntRange(-4, 4).Draw(w.t, "off"))
		w.out.WriteString(strings.Repeat(" ", at) + w.comment() + "\n")
	}
}

// anchor returns an anchor to write, now and then.
func (w *writer) anchor(isMap bool) string {
	if !w.chance(15, "anchor") {
		return ""
	}
	w.made++
	name := fmt.Sprintf("a%d", w.made)
	if w.chance(10, "again") && len(w.anchors) > 0 && !isMap {
		name = w.pick("same", w.anchors...)
		w.maps = slices.DeleteFunc(w.maps, func(m string) bool { return m == name })
	}
	if isMap {
		w.pending = name
	} else {
		w.anchors = append(w.anchors, name)
	}
	return "&" + name + " "
}

// flowValue returns a value on one line.
func (w *writer) flowValue(depth int) string {
	switch kind := rapid.IntRange(0, 9).Draw(w.t, "flow kind"); {
	case kind == 0 && len(w.anchors) > 0:
		return "*" + w.pick("alias", w.anchors...) + " "
	case kind == 1 && depth < 3:
		a, b := w.flowValue(depth+1), w.flowValue(depth+1)
		return w.pick("list", "[]", "[ "+a+" ]", "["+a+","+b+"]", "["+a+" , "+b+" ,]", "[ x: "+a+"]")
	case kind == 2 && depth < 3:
		a, b := w.flowValue(depth+1), w.flowValue(depth+1)
		return w.pick("map", "{}", "{ key: "+a+"}", "{\"name\":"+a+" ,key : "+b+"}", "{b , a: "+a+"}", "{c: , d: "+a+
			" }")
	default:
		return w.pick("scalar", "x", "1", "true", "null", "~", "'it''s'", "'q'", `"a\tb"`, `"it's"`, "''", "a b", "x#y",
			"it's", "http://h/p", "-1", `"${env:X}"`, "!!str 5", "<<", "2024-01-01")
	}
}

// blockScalar writes a block scalar that belongs to a key or dash at indent.
func (w *writer) blockScalar(indent int) {
	digit := ""
	deeper := rapid.IntRange(1, 4).Draw(w.t, "deeper")
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"text", "# no comment", "", "  more", "key: value", "- dash",
		"   ", "ü", "trail  "}), 0, 5).Draw(w.t, "lines")
	first := slices.IndexFunc(lines, func(s string) bool { return strings.TrimSpace(s) != "" })
	if w.chance(30, "digit") || first >= 0 && strings.HasPrefix(lines[first], " ") ||
		slices.Contains(lines[:max(first, 0)], "   ") || first < 0 {
		digit = fmt.Sprint(deeper)
	}
	w.out.WriteString(w.pick("style", "|", ">") + w.pick("chomp", digit, digit+"-", "+"+digit))
	w.note()
	for _, line := range lines {
		if line == "" {
			w.out.WriteString(strings.Repeat(" ", rapid.IntRange(0, indent).Draw(w.t, "empty")) + "\n")
			continue
		}
		w.out.WriteString(strings.Repeat(" ", indent+deeper) + line + "\n")
	}
}

// value writes what stands behind a key or dash at indent, down to the end of its last line.
func (w *writer) value(indent, depth int, names []string) {
	switch kind := rapid.IntRange(0, 11).Draw(w.t, "kind"); {
	case kind <= 2 && depth < 4:
		w.out.WriteString(" " + w.anchor(true))
		w.note()
		name := w.pending
		w.pending = ""
		w.mapping(indent+rapid.IntRange(1, 4).Draw(w.t, "step"), depth+1, names)
		if name != "" {
			w.anchors, w.maps = append(w.anchors, name), append(w.maps, name)
		}
	case kind <= 4 && depth < 4:
		w.out.WriteString(" " + w.anchor(false))
		w.note()
		w.list(indent+rapid.IntRange(1, 3).Draw(w.t, "step"), depth+1, names)
	case kind == 5:
		w.out.WriteString(" " + w.anchor(false))
		w.blockScalar(indent)
	case kind == 6:
		pad := "\n" + strings.Repeat(" ", indent+rapid.IntRange(1, 5).Draw(w.t, "pad"))
		w.out.WriteString(" " + w.anchor(false) +
			w.pick("lines", "plain"+pad+"on", "\"a"+pad+"\n"+pad+"b\"", "'a"+pad+"b'", "\"a\\"+pad+"b\"",
				"[a,"+pad+"b]", "{"+pad+"a: b,"+pad+"\"c\": \"d"+pad+"e\""+pad+"}", "[{"+pad+"}"+pad+"]"))
		w.note()
	case kind == 8 && w.chance(30, "flow comment"):
		w.out.WriteString(" [  " + w.comment() + "\n" + strings.Repeat(" ", indent+3) + "a, " + w.comment() + "\n" +
			strings.Repeat(" ", indent+1) + "]")
		w.note()
	case kind == 7:
		w.note()
	case kind == 8 && w.chance(50, "below"):
		w.note()
		w.between(indent)
		w.out.WriteString(strings.Repeat(" ", indent+2) + w.flowValue(0))
		w.note()
	default:
		v := w.flowValue(0)
		if v[0] != '*' {
			v = w.anchor(false) + v
		}
		w.out.WriteString(w.pick("gap", " ", "   ") + v)
		w.note()
	}
}

// mapping writes a mapping at indent, the cursor at the start of a line.
func (w *writer) mapping(indent, depth int, names []string) {
	members := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 5, rapid.ID).Draw(w.t, "members")
	for _, name := range members {
		w.between(indent)
		w.out.WriteString(strings.Repeat(" ", indent))
		w.member(name, indent, depth)
	}
	if len(w.maps) > 0 && w.chance(20, "merge") {
		w.out.WriteString(strings.Repeat(" ", indent) + "<<: *" + w.pick("merged", w.maps...))
		w.note()
	}
}

func (w *writer) member(name string, indent, depth int) {
	w.out.WriteString(w.pick("key", name, name, `"`+name+`"`, "'"+name+"'") + w.pick("colon", ":", " :"))
	below := fieldNames
	if depth == 0 {
		below = sectionNames
	}
	w.value(indent, depth, below)
}

func (w *writer) list(indent, depth int, names []string) {
	for range rapid.IntRange(1, 3).Draw(w.t, "elements") {
		w.between(indent)
		w.out.WriteString(strings.Repeat(" ", indent) + "-")
		if !w.chance(40, "compact") || depth > 3 {
			w.value(indent, depth, names)
			continue
		}
		w.out.WriteString(" ")
		members := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID).Draw(w.t, "members")
		for i, name := range members {
			if i > 0 {
				w.between(indent + 2)
				w.out.WriteString(strings.Repeat(" ", indent+2))
			}
			w.member(name, indent+2, depth+1)
		}
	}
}

var (
	rootNames    = []string{"version", "x-a", "x-b", "cometchat", "mindset", "other"}
	sectionNames = []string{"appId", "appUid", "agents", "defaults", "region", "x"}
	fieldNames   = []string{"key", "name", "agentName", "lifecycle", "integrationMeta", "baseUrl", "headers", "tags",
		"live", "no", "odd key"}
)

// TestFormatProperty: whatever a manifest looks like, its canonical form means the same, has each of
// its comments once, and is its own canonical form.
func TestFormatProperty(t *testing.T) {
	f := newFormatter(t)
	rapid.Check(t, func(t *rapid.T) {
		w := &writer{t: t}
		w.between(0)
		w.mapping(0, 0, rootNames)
		w.between(0)
		src := w.out.String()
		if w.chance(10, "cut") {
			src = strings.TrimSuffix(src, "\n")
		}
		if w.chance(10, "windows") {
			src = strings.ReplaceAll(src, "\n", "\r\n")
		}
		out, problems, err := f.Format("m.yaml", []byte(src))
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if problems != nil {
			t.Fatalf("%v\n%s", problems, src)
		}
		sameAgain(t, f, out)
		sameDecoded(t, []byte(src), out)
		for i := 1; i <= w.comments; i++ {
			if n := strings.Count(string(out), fmt.Sprintf("# c%d. ", i)); n != 1 {
				t.Fatalf("comment %d stands there %d times\n%s\n----\n%s", i, n, src, out)
			}
		}
	})
}

// FuzzFormat: what can be formatted means the same afterwards and is its own canonical form; nothing
// else happens.
func FuzzFormat(f *testing.F) {
	seeds := 0
	for _, pattern := range []string{"../../manifests/*.yaml", "../../testdata/bad/*.yaml", "testdata/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
			seeds++
		}
	}
	if seeds < 50 {
		f.Fatalf("only %d seeds", seeds)
	}
	formatter := newFormatter(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		out, problems, err := formatter.Format("m.yaml", src)
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if problems != nil {
			return
		}
		sameAgain(t, formatter, out)
		sameDecoded(t, src, out)
	})
}
