package checkout

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"agentsync/internal/diag"
)

// put writes files below a folder.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTracks: what the index names is tracked, in a repository, in a work tree of it, and nowhere else.
func TestTracks(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"repo/.git/index": "…secrets/all.env\x00…", "repo/secrets/all.env": "", "repo/other.env": "",
		"tree/.git": "gitdir: ../repo/.git\n", "tree/secrets/all.env": "", "loose/secrets/all.env": "",
	})
	for name, want := range map[string]bool{
		"repo/secrets/all.env": true, "repo/other.env": false, "tree/secrets/all.env": true,
		"loose/secrets/all.env": false,
	} {
		t.Run(name, func(t *testing.T) {
			if got := Tracks(filepath.Join(dir, filepath.FromSlash(name))); got != want {
				t.Errorf("%s is tracked: %v", name, got)
			}
		})
	}
}

// TestIgnore: lines that are there, with a slash or without, are added no second time.
func TestIgnore(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".gitignore")
	for _, c := range []struct {
		lines string
		added bool
		want  string
	}{
		{"a\nb\n", true, "a\nb\n"},
		{"/b\nc\n", true, "a\nb\nc\n"},
		{"a\n/c\n", false, "a\nb\nc\n"},
	} {
		t.Run(c.lines, func(t *testing.T) {
			added, err := Ignore(path, []byte(c.lines))
			if got, _ := os.ReadFile(path); err != nil || added != c.added || string(got) != c.want {
				t.Errorf("added %v, %v, file %q", added, err, got)
			}
		})
	}
}

// TestLinks: only a whole and harmless origin makes links, and a path cannot end one.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"repo/.git/HEAD": "", "repo/fleet/x": ""})
	t.Chdir(filepath.Join(dir, "repo", "fleet"))
	github := map[string]string{"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/a(b)",
		"GITHUB_SHA": "0123abc"}
	links := Links(func(name string) string { return github[name] })
	for pos, want := range map[diag.Pos]string{
		{File: "a b.yaml", Line: 3}: "https://github.com/acme/a%28b%29/blob/0123abc/fleet/a%20b.yaml#L3",
		{File: "../top)|.yaml"}:     "https://github.com/acme/a%28b%29/blob/0123abc/top%29%7C.yaml",
		{File: "../../out.yaml"}:    "",
	} {
		t.Run(fmt.Sprint(pos), func(t *testing.T) {
			if got := links(pos); got != want {
				t.Errorf("%v: %q, want %q", pos, got, want)
			}
		})
	}
	for name, value := range map[string]string{"GITHUB_SHA": "main", "GITHUB_SERVER_URL": "javascript:alert(1)"} {
		t.Run(name, func(t *testing.T) {
			broken := map[string]string{"GITHUB_REPOSITORY": "a/b", "GITHUB_SERVER_URL": "https://github.com",
				"GITHUB_SHA": "0123abc", name: value}
			if Links(func(name string) string { return broken[name] }) != nil {
				t.Errorf("%s=%s makes links", name, value)
			}
		})
	}
}
