package export_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"agentsync/internal/agent"
	"agentsync/internal/export"
)

var newcomer = export.Agent{Key: "new", Fields: agent.Fields{"agentName": "New", "agentPurpose": "One.\nTwo.\n"}}

func TestSplice(t *testing.T) {
	const item = "    - key: new\n      agentName: New\n      agentPurpose: |\n        One.\n        Two.\n"
	const head = "version: 1\nmindset:\n  appUid: acme\n"
	for _, tt := range []struct{ name, src, want string }{
		{"behind the last", head + "  agents:\n    - key: a\n      agentName: A\n",
			head + "  agents:\n    - key: a\n      agentName: A\n" + item},
		{"no newline at the end", head + "  agents:\n    - {key: a, agentName: A}",
			head + "  agents:\n    - {key: a, agentName: A}\n" + item},
		{"blank lines between", head +
			"  agents:\n    - {key: a, agentName: A}\n\n    - {key: b, agentName: B}\n\n# end\n",
			head + "  agents:\n    - {key: a, agentName: A}\n\n    - {key: b, agentName: B}\n\n" + item + "\n# end\n"},
		{"before the rest of the section",
			head + "  agents:\n    - key: a\n      agentName: A\n      # its own\n  # of host\n  host: b.api.mindset.ai\n",
			head + "  agents:\n    - key: a\n      agentName: A\n      # its own\n" + item +
				"  # of host\n  host: b.api.mindset.ai\n"},
		{"dashes in the section's column", head + "  agents:\n  - key: a\n    agentName: A\n",
			head + "  agents:\n  - key: a\n    agentName: A\n" + strings.ReplaceAll("\n"+item, "\n  ", "\n")[1:]},
		{"an empty list", head + "  agents: [] # none yet\n  host: b.api.mindset.ai\n",
			head + "  agents: # none yet\n" + item + "  host: b.api.mindset.ai\n"},
		{"nothing behind agents", head + "  agents:\n  host: b.api.mindset.ai\n",
			head + "  agents:\n" + item + "  host: b.api.mindset.ai\n"},
		{"behind a text that keeps blank lines",
			head +
				"  agents:\n    - key: b\n      agentName: B\n\n    - key: a\n      agentName: A\n      agentPurpose: |+\n      " +
				"  x\n\n",
			head +
				"  agents:\n    - key: b\n      agentName: B\n\n    - key: a\n      agentName: A\n      agentPurpose: |+\n      " +
				"  x\n\n" + item},
		{"behind a text without a newline at the end",
			head + "  agents:\n    - key: a\n      agentName: A\n      agentPurpose: |\n        x",
			head + "  agents:\n    - key: a\n      agentName: A\n      agentPurpose: |\n        x\n" + item},
		{"a list with an anchor", head + "  agents: &all\n    - key: a\n      agentName: A\n",
			head + "  agents: &all\n    - key: a\n      agentName: A\n" + item},
		{"behind a quoted text", head +
			"  agents:\n    - key: a\n      agentName: A\n      agentPurpose: \"one\n\n    two\"\n",
			head + "  agents:\n    - key: a\n      agentName: A\n      agentPurpose: \"one\n\n    two\"\n" + item},
		{"no agents", head + "\n# end\n", head + "  agents:\n" + item + "\n# end\n"},
		{"no section", "version: 1\n# end\n", "version: 1\n# end\n\nmindset:\n  appUid: acme\n\n  agents:\n" + item},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := mindsetApp()
			app.Settings, app.APIKeyEnv, app.Marker = nil, "MINDSET_API_KEY", false
			got, err := export.Splice([]byte(tt.src), load(t, "mindset"), app, newcomer)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tt.want)
			}
			if _, problems := read(t, got); problems != nil {
				t.Error(problems)
			}
		})
	}
}

func TestSpliceRefuses(t *testing.T) {
	for _, src := range []string{
		"{version: 1}", "- 1", "version: 1\nmindset: {appUid: acme}\n",
		"version: 1\nx-a: &a {appUid: acme}\nmindset: *a\n",
		"version: 1\nmindset:\n  appUid: acme\n  agents: [{key: a, agentName: A}]\n",
		"version: 1\nmindset:\n  appUid: acme\n  agents: [\n  ]\n", "a: b: c",
	} {
		if got, err := export.Splice([]byte(src), load(t, "mindset"), mindsetApp(), newcomer); !errors.Is(err,
			export.ErrSplice) {
			t.Errorf("%q becomes %q, %v; want ErrSplice", src, got, err)
		}
	}
}

// Whatever stands in a file that this package wrote, one more agent leaves the others as they are.
func TestSpliceKeeps(t *testing.T) {
	p := load(t, "mindset")
	rapid.Check(t, func(rt *rapid.T) {
		var agents []export.Agent
		for i := range rapid.IntRange(1, 3).Draw(rt, "agents") {
			agents = append(agents, export.Agent{Key: "a" + string(rune('0'+i)), Fields: agent.Fields{
				"agentName": "A", "agentPurpose": strings.TrimRight(awkwardText().Draw(rt, "purpose"), "\n") + "."}})
		}
		content := export.File(p, "", export.Section{App: mindsetApp(), Agents: agents})
		spliced, err := export.Splice(content, p, mindsetApp(), newcomer)
		if err != nil {
			rt.Fatalf("%v in\n%s", err, content)
		}
		compare(t, rt, spliced, append(agents, newcomer))
	})
}
