package yamltext

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestHiddenHidesCredentials: wherever a credential stands in a manifest, also in one that is no YAML, no line of it
// shows it.
func TestHiddenHidesCredentials(t *testing.T) {
	const credential = "hunter2+Zx9"
	for name, src := range map[string]string{
		"block":              "headers:\n  x-one: hunter2+Zx9\nname: a",
		"flow":               "meta: {baseUrl: https://a, headers: {x-one: hunter2+Zx9}, agentId: a}",
		"string":             "headers: hunter2+Zx9",
		"quoted key":         `"headers": {"x-one": "hunter2+Zx9"}`,
		"block text":         "headers:\n  x-one: |\n    first\n\n    hunter2+Zx9\nname: a",
		"folded quotes":      "headers: {x-one: \"first\n  and hunter2+Zx9\"}\nname: a",
		"list":               "headers:\n- a\n- hunter2+Zx9\n",
		"alias":              "x-shared: &shared\n  x-one: hunter2+Zx9\nheaders: *shared",
		"merge":              "x-shared: &shared {x-one: hunter2+Zx9}\nheaders:\n  <<: *shared\n",
		"anchor":             "headers: &h\n  x-one: !!str hunter2+Zx9\n",
		"deep":               "headers:\n  a:\n    b:\n      - c: hunter2+Zx9\n",
		"wrong level":        "authorization: hunter2+Zx9",
		"own api key":        "apiKey: hunter2+Zx9",
		"comment":            "name: a # token: hunter2+Zx9",
		"comment line":       "headers:\n  # x-one: hunter2+Zx9\n  x-two: a",
		"bearer in a text":   "agentPurpose: Call it with Bearer hunter2+Zx9 please",
		"key of a vendor":    "agentPurpose: use sk-hunter2Zx9hunter2",
		"no blank":           "authorization:hunter2+Zx9",
		"no YAML, block":     "headers:\n  x-one: hunter2+Zx9\n name: [",
		"no YAML, flow":      "meta: {headers: {x-one: hunter2+Zx9}",
		"no YAML, quote":     "headers: {x-one: \"hunter2+Zx9}\nname: a",
		"no YAML, text":      "headers:\n  x-one: 'it' hunter2+Zx9\n",
		"no YAML, next line": "meta: {headers:\n{x-one:\nhunter2+Zx9\n}\n",
		"windows":            "headers:\r\n  x-one: hunter2+Zx9\r\n",
		"tabs":               "headers:\n\tx-one: hunter2+Zx9\n",
		"dash":               "agents:\n  - headers: {x-one: hunter2+Zx9}\n    name: a\n",
	} {
		t.Run(name, func(t *testing.T) {
			var tree *yaml.Node
			doc := &yaml.Node{}
			if yaml.Unmarshal([]byte(src), doc) == nil && !strings.HasPrefix(name, "no YAML") {
				tree = doc.Content[0]
			}
			trees := []*yaml.Node{tree}
			if tree != nil && name != "alias" && name != "merge" { // without a tree nobody follows an alias
				trees = append(trees, nil)
			}
			for _, root := range trees {
				shown := masked(src, HiddenIn([]byte(src), root, "headers"))
				for part := range strings.SplitSeq(credential, "+") {
					if strings.Contains(shown, part) {
						t.Errorf("%s (tree: %v) shows it:\n%s", name, root != nil, shown)
					}
				}
			}
		})
	}
}

// TestHiddenShowsTheRest: what is no credential is shown, or a message would say nothing.
func TestHiddenShowsTheRest(t *testing.T) {
	for _, src := range []string{
		"key: Sales Coach", "previousKeys: [a, b]", "apiKeyEnv: SUPPORT_KEY", "access: open", "agentName: Token desk",
		"agentPurpose: Explain basic things", "mcpserverUids: [abcdefghij0123456789]",
		"baseUrl: https://agents.example.com/x",
	} {
		if h := HiddenIn([]byte(src), nil, "headers"); h != nil {
			t.Errorf("%s is shown as %s", src, masked(src, h))
		}
	}
	src := "headers:\n  x-one: a\nname: shown\nmeta:\n  headers: {a: b}\n  agentId: shown\n"
	src += "meta: {headers: {a: 'b}', c: [\"d\"]}, agentId: shown} # shown\n"
	if got := masked(src, HiddenIn([]byte(src), nil, "headers")); strings.Count(got, "shown") != 4 ||
		strings.Contains(got, "c:") {
		t.Errorf("too much is hidden:\n%s", got)
	}
}

// masked returns src with # in place of what is hidden.
func masked(src string, h Hidden) string {
	b := []byte(src)
	for i := range b {
		if h.Has(i) && b[i] != '\n' {
			b[i] = '#'
		}
	}
	return string(b)
}

func TestTokenLength(t *testing.T) {
	for _, c := range []struct {
		line string
		at   int
		want string
	}{
		{"key: Sales Coach", 5, "Sales Coach"}, {"key: Sales Coach", 0, "key"},
		{"key: Sales Coach  # why", 5, "Sales Coach"},
		{`key: "Sales \" Coach" # why`, 5, `"Sales \" Coach"`}, {"key: 'it''s'", 5, "'it''s'"}, {`key: "open`, 5, `"open`},
		{"tags: [a b, c]", 7, "a b"}, {"tags: [a b, c]", 6, "["}, {"- key: a", 0, "-"}, {"a: -1", 3, "-1"},
		{"meta: {a: b, headers: c}", 13, "headers"}, {"url: https://a.example.com", 5, "https://a.example.com"},
		{"tags: sales, coaching", 6, "sales, coaching"}, {"名前: 東京", 8, "東京"}, {"key:", 0, "key"}, {"key: ", 4, " "},
		{"key:", 4, ""},
		{"a: |", 3, "|"}, {"a: b\r", 3, "b"},
	} {
		t.Run(c.line, func(t *testing.T) {
			if got := c.line[c.at : c.at+TokenLength(c.line, c.at)]; got != c.want {
				t.Errorf("%q at %d: %q, want %q", c.line, c.at, got, c.want)
			}
		})
	}
}
