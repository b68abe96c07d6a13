package docgen

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/cli"
)

var (
	// shownForm is a command in a fence, spanForm one within a sentence. Either ends where a shell begins another one,
	// or a comment.
	shownForm = regexp.MustCompile(`(?m)^\$ (?:.*(?:&&|\|\||;) )?agentsync (.*)$`)
	spanForm  = regexp.MustCompile("`agentsync ([^`]+)`")
	// messageForm is a message in the list of them.
	messageForm = regexp.MustCompile("(?m)^- `.*$")
	endForm     = regexp.MustCompile(`\s(?:[|;>#]|&&|2>).*`)
)

// TestDocumentsNameWhatIsThere: every command and every flag that a document shows exists. Placeholders may stand for
// values.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	pages := []string{"../../README.md", "../../SECURITY.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md"}
	more, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range slices.Concat(pages, more) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if filepath.Base(page) == "messages.md" {
			text = messageForm.ReplaceAllString(text, "")
		}
		for _, m := range append(shownForm.FindAllStringSubmatch(text, -1),
			spanForm.FindAllStringSubmatch(text, -1)...) {
			found++
			words := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(endForm.ReplaceAllString(m[1], "")))
			cmd, rest, err := cli.Command().Find(words)
			switch {
			case len(words) == 0 || words[0] == "COMMAND" || strings.HasPrefix(words[0], "…"):
				continue // any command
			case err != nil:
				t.Errorf("%s: agentsync %s: %v", page, m[1], err)
				continue
			case cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") &&
				rest[0] != strings.ToUpper(rest[0]):
				t.Errorf("%s: agentsync %s: there is no %s", page, m[1], rest[0])
			}
			if err := cmd.ParseFlags(rest); err != nil && strings.HasPrefix(err.Error(), "unknown") {
				t.Errorf("%s: agentsync %s: %v", page, m[1], err)
			}
		}
	}
	if found < 150 {
		t.Errorf("only %d commands were found", found)
	}
}
