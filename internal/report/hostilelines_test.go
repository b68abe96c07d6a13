package report_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestNoRunnerCommand holds every text output to no line that a CI runner would take for a command.
func TestNoRunnerCommand(t *testing.T) {
	for name, doc := range hostileOutputs(t) {
		if name == "github" {
			continue // its lines are commands; what is in them is tested by a golden
		}
		for line := range strings.Lines(doc) {
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
				t.Errorf("%s: a runner would obey %q", name, line)
			}
		}
	}
}

// TestNoControl holds every output to no character that could steer a terminal.
func TestNoControl(t *testing.T) {
	for name, doc := range hostileOutputs(t) {
		for _, r := range doc {
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r >= 0xe0000 &&
				r <= 0xe0fff) {
				t.Errorf("%s holds %U", name, r)
				break
			}
		}
		if !utf8.ValidString(doc) {
			t.Errorf("%s is no valid UTF-8", name)
		}
	}
}
