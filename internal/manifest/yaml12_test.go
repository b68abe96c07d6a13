package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// purpose returns the agentPurpose of the one agent in a manifest.
func purpose(t *testing.T, text string) any {
	t.Helper()
	return loadText(t, text).Agents[0].Fields["agentPurpose"]
}

// TestTextsAreReadAsYAML12AndJSON: what YAML 1.1 reads otherwise.
func TestTextsAreReadAsYAML12AndJSON(t *testing.T) {
	const head = "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - key: coach\n      agentName: Coach\n      " +
		"agentPurpose: "
	for name, c := range map[string]struct{ text, want string }{
		"a pair of surrogates": {`"Hi \ud83d\ude00\uD83D\uDE00!"`, "Hi 😀😀!"},
		"an escaped slash":     {`"https:\/\/a.example"`, "https://a.example"},
		"an escaped backslash": {`"a\\/b \\ud83d\\ude00"`, `a\/b \ud83d\ude00`},
		"no quotes":            {`a\/b \ud83d\ude00`, `a\/b \ud83d\ude00`},
		"single quotes":        {`'a\/b \ud83d\ude00'`, `a\/b \ud83d\ude00`},
		"U+2028 in a block": {"|\n        First.\u2028        indented\n        Third.",
			"First.\u2028        indented\nThird.\n"},
		"U+2029 and U+0085": {"|\n        First.\u2029Second.\u0085Third.\n",
			"First.\u2029Second.\u0085Third.\n"},
		"U+2028 in quotes":               {"\"a\u2028  b\"", "a\u2028  b"},
		"U+2028 before what looks a key": {"|\n        Hello\u2028Note: be kind\n", "Hello\u2028Note: be kind\n"},
		"no newline at the end":          {"|\n        text", "text\n"},
		"none, and blanks":               {"|\n        text\n  ", "text\n"},
		"none, and none is wanted":       {"|-\n        text", "text"},
		"private use characters":         {"\ue000\ue001 \u2028 a", "\ue000\ue001 \u2028 a"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, purpose(t, head+c.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, problems := tryText(t, head+"|\n        a\u2028b\u0085c\n      nope: \"\\ud83d\\ude00\", live: 1\n")
	if !strings.HasPrefix(lines(problems), "a.yaml:9:") {
		t.Errorf("places behind a line separator:\n%s", lines(problems))
	}
	_, problems = tryText(t,
		"version: 1\nmindset: {appUid: acme, agents: [{agentName: \"\\ud83d\\ude00\\/\", key: A}]}\n")
	if want := "a.yaml:2:69: "; !strings.HasPrefix(lines(problems), want) {
		t.Errorf("places behind an escape; want %s\n%s", want, lines(problems))
	}
}
