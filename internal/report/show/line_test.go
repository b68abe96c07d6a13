package show

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
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
		t.Run(in, func(t *testing.T) {
			if got := Line(in); got != want {
				t.Errorf("Line(%q) is %q, want %q", in, got, want)
			}
		})
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b]8;;https://evil.example\x07link\r\x9b31m \u200b\u2028\xff", "###[x",
		"\u202e\u2066", "\xe2\x80", "##\x00[", "tab\t"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Line(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Line(%q) is no valid UTF-8: %q", s, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
				t.Fatalf("Line(%q) kept %U", s, r)
			}
		}
		if strings.Contains(got, "##[") {
			t.Fatalf("Line(%q) kept a runner's command: %q", s, got)
		}
		if again := Line(got); again != got {
			t.Fatalf("Line is not stable: %q, then %q", got, again)
		}
	})
}
