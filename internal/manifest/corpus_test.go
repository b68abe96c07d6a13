package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// corpus holds bad manifests, each beside the lines that it must give.
const corpus = "../../testdata/bad"

// platforms returns the registered platforms.
func platforms(t testing.TB) []*schema.Platform {
	t.Helper()
	var all []*schema.Platform
	for _, name := range []string{"cometchat", "mindset"} {
		p, err := schema.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// variables returns a Lookup over pairs of name and value.
func variables(pairs ...string) secret.Lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// load loads paths with the variable APP set and fails on an error that is no problem of a manifest.
func load(t testing.TB, paths ...string) (*Fleet, diag.List) {
	t.Helper()
	fleet, problems, err := Load(t.Context(), paths,
		Options{Env: variables("APP", "2754abc", "SUPPORT_KEY", "k", "BACKEND_TOKEN", "b", "MINDSET_API_KEY", "m",
			"GITHUB_TOKEN", "g"), Platforms: platforms(t)})
	if err != nil {
		t.Fatal(err)
	}
	return fleet, problems
}

func lines(problems diag.List) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// TestBadManifests holds every case of the corpus against its .want file, one line per problem.
func TestBadManifests(t *testing.T) {
	t.Chdir(corpus)
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".want" {
			continue
		}
		cases++
		t.Run(e.Name(), func(t *testing.T) {
			_, problems := load(t, e.Name())
			checkGolden(t, strings.TrimSuffix(e.Name(), ".yaml")+".want", lines(problems))
			if len(problems) == 0 {
				t.Error("a bad manifest gave no problem")
			}
		})
	}
	if cases < 50 {
		t.Errorf("the corpus holds %d cases; there must be 50 at least", cases)
	}
}

// checkGolden compares got with a file, or renews the file where AGENTSYNC_GOLDEN=1.
func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
