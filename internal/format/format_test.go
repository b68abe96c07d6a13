package format_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"agentsync/internal/format"
	"agentsync/internal/manifest"
	"agentsync/internal/yamltext"
	"agentsync/schema"
)

// newFormatter returns a formatter for both platforms.
func newFormatter(t testing.TB) *format.Formatter {
	t.Helper()
	var o manifest.Options
	for _, name := range []string{"cometchat", "mindset"} {
		p, err := schema.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		o.Platforms = append(o.Platforms, p)
	}
	f, err := format.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestGolden formats testdata/*.in.yaml into *.out.yaml, and those once more into themselves.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	f := newFormatter(t)
	for _, in := range files {
		name := strings.TrimSuffix(filepath.Base(in), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			got := mustFormat(t, f, src)
			golden := filepath.Join("testdata", name+".out.yaml")
			if os.Getenv("AGENTSYNC_GOLDEN") != "" {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
			sameAgain(t, f, got)
			sameDecoded(t, src, got)
		})
	}
}

// TestManifests holds the example fleet to its own standard.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob("../../manifests/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	f := newFormatter(t)
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sameAgain(t, f, src)
	}
}

// mustFormat formats what must be possible to format.
func mustFormat(t interface {
	Helper()
	Fatalf(string, ...any)
}, f *format.Formatter, src []byte) []byte {
	t.Helper()
	out, problems, err := f.Format("m.yaml", src)
	if err != nil || problems != nil {
		t.Fatalf("%v %v\n%s", problems, err, src)
	}
	return out
}

// sameAgain checks that formatting changes nothing any more.
func sameAgain(t interface {
	Helper()
	Fatalf(string, ...any)
}, f *format.Formatter, formatted []byte) {
	t.Helper()
	if again := mustFormat(t, f, formatted); !bytes.Equal(again, formatted) {
		t.Fatalf("formatting twice is not formatting once (-once +twice):\n%s",
			cmp.Diff(string(formatted), string(again)))
	}
}

// sameDecoded checks with the decoder of yaml.v3, which the package does not use, that two texts hold
// the same. What the decoder refuses is left out.
func sameDecoded(t interface {
	Helper()
	Fatalf(string, ...any)
}, before, after []byte) {
	t.Helper()
	var a, b any
	if yaml.Unmarshal(yamltext.Ended(before), &a) != nil {
		return
	}
	if err := yaml.Unmarshal(after, &b); err != nil {
		t.Fatalf("the result cannot be decoded: %v\n%s", err, after)
	}
	// Printed, a NaN equals itself, and deep nesting costs no more than its text.
	if was, is := fmt.Sprintf("%#v", a), fmt.Sprintf("%#v", b); was != is {
		t.Fatalf("the value changed from\n%s\nto\n%s\n%s", was, is, after)
	}
}

// TestRefused lists what is left alone, and where it says so.
func TestRefused(t *testing.T) {
	f := newFormatter(t)
	for _, test := range []struct{ src, want string }{
		{"version: 1\na: {b: 1\n", "m.yaml:2:4: the { that opens here is not closed, or a comma is missing behind it"},
		{"a: 1\n...\n", "m.yaml:2:1: fmt does not keep what stands behind the manifest's end; take it out"},
		{"a: 1\n---\n", "m.yaml:2:1: fmt does not keep what stands behind the manifest's end; take it out"},
		{"a: 1\n---\nb: 2\n", "m.yaml:2:1: a second document begins here; put it into a file of its own"},
		{"%YAML 1.1\n---\na: 1\n", "m.yaml:1:1: fmt does not keep YAML directives; take this line out"},
		{"version: 1\n? a\n: b\n", "m.yaml:2:1: fmt does not keep keys behind a question mark; write `key: value`"},
		{"a: {? b : c}\n", "m.yaml:1:5: fmt does not keep keys behind a question mark; write `key: value`"},
		{"{a: b}: c\n", "m.yaml:1:1: a key must be a string; write it in quotes if it is one"},
		{"a: &x\n  !!map\n  b: c\n",
			"m.yaml:1:6: fmt does not keep an anchor and a tag on several lines; write them on one"},
		{"&x\na: 1\n", "m.yaml:1:1: fmt does not keep an anchor or a tag of the whole manifest; take it out"},
		{"--- {a: 1}\n", "m.yaml:1:5: " + puzzled},
		{"a: ! b\n", "m.yaml:1:4: " + puzzled},
		{"just text\n", "m.yaml:1:1: a manifest is a mapping that begins with `version: 1`"},
		{"",
			"m.yaml:1:1: the file holds no manifest; a manifest begins with `version: 1` and has a section per platform: " +
				"cometchat and mindset"},
		{"a: 1\n!!null : b\n", "m.yaml:2:1: a key must be a string; write it in quotes if it is one"},
		{"a: {!!null : b}\n", "m.yaml:1:5: a key must be a string; write it in quotes if it is one"},
		{"a: b\rc: d\n", "m.yaml:1:5: fmt does not keep the line break U+000D; write it as an escape in double quotes"},
	} {
		t.Run(test.src, func(t *testing.T) {
			out, problems, err := f.Format("m.yaml", []byte(test.src))
			if err != nil || out != nil || len(problems) != 1 || problems[0].String() != test.want {
				t.Errorf("%q gives %q, %v, %v\nwant %s", test.src, out, problems, err, test.want)
			}
		})
	}
}

const puzzled = "fmt cannot tell how this is written, so it leaves the file alone; write it in a plainer way"
