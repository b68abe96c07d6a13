package cli

import (
	"os"
	"strings"
	"testing"

	"agentsync/internal/agent"
)

// TestIgnoredFiles: README.md shows the lines of .gitignore that init writes, and export and the documents mean the same.
func TestIgnoredFiles(t *testing.T) {
	lines, err := initFiles.ReadFile("initfiles/gitignore")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```gitignore\n"+string(lines)+"```\n") {
		t.Errorf("README.md has other lines than:\n%s", lines)
	}
}

func TestNearestAddress(t *testing.T) {
	known := []agent.Address{
		{Platform: "mindset", App: "acme", Key: "onboarding-coach"},
		{Platform: "cometchat", App: "2754abc", Key: "concierge"},
	}
	for pattern, want := range map[string]string{
		"conciege":                     "cometchat/2754abc/concierge",
		"mindset/acme/onbording-coach": "mindset/acme/onboarding-coach",
		"analyst":                      "",
		"":                             "",
	} {
		if got := nearestAddress(pattern, known); got != want {
			t.Errorf("%q: %q, want %q", pattern, got, want)
		}
	}
}
