package manifest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"agentsync/internal/diag"
)

// TestSourcesShowWhatWasRead: a line of a manifest, of a text that it refers to, and of nothing else.
func TestSourcesShowWhatWasRead(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"a.yaml": "version: 1\r\nmindset:\r\n  appUid: acme\r\n  agents:\r\n    - key: coach\r\n      agentName: 東京 " +
			"Coach\r\n" +
			"      agentPurpose: ${file:coach.md}\r\n",
		"coach.md":  "# Coach\n\nBe kind: always.\n",
		"other.txt": "nobody's",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fleet, problems := load(t, "a.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		file         string
		line, column int
		text, token  string
	}{
		{"a.yaml", 6, 18, "      agentName: 東京 Coach", "東京 Coach"},
		{"a.yaml", 1, 1, "version: 1", "version"},
		{"a.yaml", 6, 0, "      agentName: 東京 Coach", " "},
		{"a.yaml", 6, 400, "      agentName: 東京 Coach", ""},
		{"a.yaml", 900, 1, "", ""},
		{"coach.md", 3, 1, "Be kind: always.", "B"},
	} {
		t.Run(fmt.Sprint(c.file, ":", c.line, ":", c.column), func(t *testing.T) {
			line, ok := fleet.Sources.Line(diag.Pos{File: c.file, Line: c.line, Column: c.column})
			at := strings.Index(line.Text, c.token)
			if !ok || line.Text != c.text || line.Token != len(c.token) || at < 0 {
				t.Errorf("%s:%d:%d: %q, a token of %d bytes (%v)", c.file, c.line, c.column, line.Text, line.Token, ok)
			}
		})
	}
	for _, pos := range []diag.Pos{{File: "other.txt", Line: 1}, {File: "a.yaml"}, {File: "../a.yaml", Line: 1}, {}} {
		if line, ok := fleet.Sources.Line(pos); ok {
			t.Errorf("%v is shown: %q", pos, line.Text)
		}
	}
	var none *Sources
	if _, ok := none.Line(diag.Pos{File: "a.yaml", Line: 1}); ok {
		t.Error("nothing was read")
	}
}
