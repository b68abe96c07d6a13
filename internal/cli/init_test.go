package cli

import (
	"os"
	"strings"
	"testing"

	"agentsync/internal/manifest"
	"agentsync/schema"
)

// TestPlainExample: a platform without an example of its own gets one that validates.
func TestPlainExample(t *testing.T) {
	p, err := schema.Load("mindset")
	if err != nil {
		t.Fatal(err)
	}
	content := append([]byte("version: 1\n"), plainExample(p)...)
	o := manifest.Options{Env: func(string) (string, bool) { return "", false }, Platforms: []*schema.Platform{p}}
	parser, err := manifest.NewParser(o)
	if err != nil {
		t.Fatal(err)
	}
	fleet, problems, err := parser.Parse(t.Context(), manifest.Source{Path: "agents.yaml", Content: content})
	if err != nil || problems.HasErrors() || len(fleet.Agents) != 1 {
		t.Errorf("%v, %v in\n%s", err, problems, content)
	}
}

// TestIgnoredFiles: the documents show the lines of .gitignore that init and export write.
func TestIgnoredFiles(t *testing.T) {
	lines, err := initFiles.ReadFile("initfiles/gitignore")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"../../README.md", "../../docs/ci.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "```gitignore\n"+string(lines)+"```\n") {
			t.Errorf("%s has other lines than:\n%s", page, lines)
		}
	}
}
