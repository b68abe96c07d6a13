package cli

import (
	"os"
	"strings"
	"testing"

	"agentsync/internal/agent"
)

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
