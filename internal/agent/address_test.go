package agent_test

import (
	"regexp"
	"strings"
	"testing"

	"agentsync/internal/agent"
)

// The forms are checked byte by byte for speed; the patterns are what the documents and schemas say.
func TestNamesHaveTheirPatterns(t *testing.T) {
	for name, form := range map[string]struct {
		pattern string
		valid   func(string) bool
		longest int
	}{
		"key": {agent.KeyPattern, agent.ValidKey, 63},
		"app": {`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`, agent.ValidApp, 128},
	} {
		pattern := regexp.MustCompile(form.pattern)
		texts := []string{"", strings.Repeat("a", form.longest), strings.Repeat("a", form.longest+1), "a\n", "é", "aé"}
		for c := range 256 {
			texts = append(texts, string([]byte{byte(c)}), string([]byte{'a', byte(c)}), string([]byte{byte(c), 'a'}))
		}
		for _, s := range texts {
			if got, want := form.valid(s), pattern.MatchString(s); got != want {
				t.Errorf("%s %q: valid is %v, its pattern says %v", name, s, got, want)
			}
		}
	}
}

func TestParseAddress(t *testing.T) {
	for _, s := range []string{"cometchat/2754abc/concierge", "mindset/Acme-1/a.b_c-d"} {
		a, err := agent.ParseAddress(s)
		if err != nil || a.String() != s {
			t.Errorf("%q: %q, %v", s, a, err)
		}
	}
	for _, s := range []string{"", "a", "a/b", "a/b/", "/b/c", "a//c", "a/b/c/d", "a/b/c/", "a/b/C", "a/b c/d",
		"a/b/-"} {
		if a, err := agent.ParseAddress(s); err == nil {
			t.Errorf("%q was read as %v", s, a)
		}
	}
}
