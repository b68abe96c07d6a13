package manifest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds returns the manifests below the folders of examples and of bad manifests.
func seeds(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, root := range []string{"../../manifests", corpus} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !isManifestName(e.Name()) {
				return err
			}
			b, err := os.ReadFile(path)
			all = append(all, b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestFuzzSeedsAreThere(t *testing.T) {
	if n := len(seeds(t)); n < 50 {
		t.Errorf("there are %d seeds for the fuzz target", n)
	}
}

// FuzzLoad: no bytes make the decoder panic or leave a problem without a place and a sentence.
func FuzzLoad(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	o := Options{Platforms: platforms(f), Env: variables("APP", "2754abc"),
		Limits: Limits{Values: 20_000, Problems: 50}}
	l := newLoader(o)
	f.Fuzz(func(t *testing.T, src []byte) {
		result := fileResult{path: "f.yaml"}
		if err := l.decode(Source{Path: result.path, Content: src}, &result); err != nil {
			t.Fatal(err)
		}
		problems := result.problems
		lineCount := strings.Count(string(src), "\n") + 1
		for _, p := range problems {
			if p.Pos.File != "f.yaml" || p.Summary == "" || p.Pos.Line > lineCount+strings.Count(string(src), "\r")+
				strings.Count(string(src), "\u2028") {
				t.Errorf("a problem without a right place or sentence: %#v", p)
			}
			if strings.ContainsAny(p.Summary, "\n\r\x1b") {
				t.Errorf("a sentence of several lines: %q", p.Summary)
			}
		}
		fleet := joinFiles([]fileResult{result}, nil, &problems)
		_ = fleet.MissingSecrets(variables())
		if problems.HasErrors() {
			return
		}
		for _, a := range fleet.Agents {
			if a.Address.App == "" || a.Address.Key == "" || a.Source.IsZero() {
				t.Errorf("an agent without an address or a place: %+v", a)
			}
		}
	})
}
