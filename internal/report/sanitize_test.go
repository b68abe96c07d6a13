package report_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"agentsync/internal/report"
)

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"":          "",
		"Concierge": "Concierge",
		"Zoë 東京 👩‍💻 می‌خواهم": "Zoë 東京 👩‍💻 می‌خواهم",
		"a\x1b[31mred":                  `a\x1b[31mred`,
		"a\u009b31m":                    `a\u009b31m`,
		"bell\a del\x7f nul\x00":        `bell\x07 del\x7f nul\x00`,
		"two\nlines\r\tand a tab":       `two\nlines\r\tand a tab`,
		"\u202egnp.exe\u2069":           `\u202egnp.exe\u2069`,
		"zero\u200bwidth\ufeff\u00adno": `zero\u200bwidth\ufeff\u00adno`,
		"tag\U000e0041\U000e0100":       `tag\U000e0041\U000e0100`,
		"line\u2028para\u2029":          `line\u2028para\u2029`,
		"filler\u3164":                  `filler\u3164`,
		"broken \xff\xc3":               `broken \xff\xc3`,
		"kept \ufffd":                   "kept \ufffd",
		"##[add-mask]x ##[error]":       `##\x5badd-mask]x ##\x5berror]`,
		"number sign \u0600":            "number sign \u0600",
	} {
		if got := report.Sanitize(in); got != want {
			t.Errorf("Sanitize(%q) is %q, want %q", in, got, want)
		}
	}
}

func FuzzSanitize(f *testing.F) {
	for _, s := range []string{"", "plain", evil, "###[x", "\u202e\u2066", "\xe2\x80", "##\x00[", "tab\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := report.Sanitize(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Sanitize(%q) is no valid UTF-8: %q", s, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Fatalf("Sanitize(%q) kept %U", s, r)
			}
		}
		if strings.Contains(got, "##[") {
			t.Fatalf("Sanitize(%q) kept a runner's command: %q", s, got)
		}
		if again := report.Sanitize(got); again != got {
			t.Fatalf("Sanitize is not stable: %q, then %q", got, again)
		}
	})
}

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
			if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r >= 0xe0000 && r <= 0xe0fff) {
				t.Errorf("%s holds %U", name, r)
				break
			}
		}
		if !utf8.ValidString(doc) {
			t.Errorf("%s is no valid UTF-8", name)
		}
	}
}
