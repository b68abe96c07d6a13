package export_test

import (
	"errors"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/export"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
)

// TestPullIntoATextFile: what is live goes into the text file, if the manifest reads it back and finds it valid.
func TestPullIntoATextFile(t *testing.T) {
	const src = "version: 1\nmindset:\n  appUid: acme\n  agents:\n" +
		"    - {key: a, agentName: A, agentPurpose: '${file:p/a.md}'}\n    - {key: b, agentName: B, agentPurpose: Other.}\n"
	for _, c := range []struct{ name, was, live, want, reason string }{
		{"a text", "Old.\n", "New.\nAnd more.", "New.\nAnd more.\n", ""},
		{"line ends of the file", "Old.\r\n", "New.\nAnd more.", "New.\r\nAnd more.\r\n", ""},
		{"longer than the platform says", "Old.\n", strings.Repeat("x", 1001), "", "would not be valid"},
		{"no text for a file", "Old.\n", "a\x01", "", "cannot be a text in m/p/a.md"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := parser()
			if err != nil {
				t.Fatal(err)
			}
			fleet, problems, err := p.Parse(t.Context(),
				manifest.Source{Path: "m/f.yaml", Content: []byte(src),
					Texts: map[string][]byte{"p/a.md": []byte(c.was)}})
			if err != nil || problems != nil {
				t.Fatal(problems, err)
			}
			puller := export.Puller{Parser: p, Fleet: fleet, Files: map[string][]byte{}, Was: map[string][]byte{},
				Read: func(name string) ([]byte, error) {
					switch name {
					case "m/f.yaml":
						return []byte(src), nil
					case "m/p/a.md":
						return []byte(c.was), nil
					}
					return nil, errors.New("read " + name)
				}}
			got, err := puller.Agent(t.Context(), load(t, "mindset"), plan.Change{
				Address: agent.Address{Platform: "mindset", App: "acme", Key: "a"}, Action: plan.Update,
				Fields: []plan.FieldChange{{Path: "/agentPurpose", Before: "Old.", After: "Old.", Live: c.live,
					Drift: true}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if text := string(puller.Files["m/p/a.md"]); text != c.want || puller.Files["m/f.yaml"] != nil {
				t.Errorf("the text is %q, want %q; the manifest %q", text, c.want, puller.Files["m/f.yaml"])
			}
			if c.reason == "" && (len(got.Left) > 0 || got.Wanted["agentPurpose"] != c.live) ||
				c.reason != "" && (len(got.Left) != 1 || !strings.Contains(got.Left[0].Reason, c.reason)) {
				t.Errorf("%+v, want the reason %q", got, c.reason)
			}
		})
	}
}
