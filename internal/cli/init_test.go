package cli

import (
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
