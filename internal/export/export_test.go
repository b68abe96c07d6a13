package export_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"agentsync/internal/agent"
	"agentsync/internal/export"
	"agentsync/internal/manifest"
	"agentsync/internal/secret"
	"agentsync/schema"
)

func load(t testing.TB, name string) *schema.Platform {
	t.Helper()
	p, err := schema.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// read parses a manifest as the tool does. Problems of the content are the caller's affair.
func read(t testing.TB, content []byte) (*manifest.Fleet, []string) {
	t.Helper()
	p, err := parser()
	if err != nil {
		t.Fatal(err)
	}
	fleet, problems, err := p.Parse(context.Background(), manifest.Source{Path: "m.yaml", Content: content})
	if err != nil {
		t.Fatal(err)
	}
	var sentences []string
	for _, p := range problems {
		sentences = append(sentences, p.String())
	}
	return fleet, sentences
}

func platformsOf(t testing.TB) map[string]*schema.Platform {
	return map[string]*schema.Platform{"cometchat": load(t, "cometchat"), "mindset": load(t, "mindset")}
}

// parser is made once: the schemas are compiled for it.
var parser = sync.OnceValues(func() (*manifest.Parser, error) {
	cometchat, err := schema.Load("cometchat")
	if err != nil {
		return nil, err
	}
	mindset, err := schema.Load("mindset")
	if err != nil {
		return nil, err
	}
	return manifest.NewParser(manifest.Options{
		Env:       func(string) (string, bool) { return "", false },
		Platforms: []*schema.Platform{cometchat, mindset},
	})
})

func cometchatApp() agent.App {
	return agent.App{ID: agent.AppID{Platform: "cometchat", App: "2754abc"},
		Settings:  map[string]string{"region": "us"},
		APIKeyEnv: "COMETCHAT_API_KEY"}
}

func mindsetApp() agent.App {
	return agent.App{ID: agent.AppID{Platform: "mindset", App: "acme"},
		Settings: map[string]string{"api": "v1", "host": "b.api.mindset.ai"}, APIKeyEnv: "ACME_KEY", Marker: true}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("AGENTSYNC_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestGoldenFile(t *testing.T) {
	p := load(t, "cometchat")
	live := []agent.Fields{
		{
			"name": "Concierge", "icon": "https://cdn.example.com/bot.png", "isActive": true, "integrateWith": "mastra",
			"integrationType": "agent",
			"integrationMeta": map[string]any{"baseUrl": "https://agents.example.com", "agentId": "concierge"},
			"tools":           []any{}, "metaData": map[string]any{
				"greetingMessage":   "Hello!\n\n  Ask me anything.\n",
				"suggestedMessages": []any{"Where is my order?", "on"},
				"note": "A long line that nobody broke: it goes on and on, past the edge of every screen, and it " +
					"is easier to review when it is folded.",
				"2nd":                 json.Number("1.5"),
				"introductoryMessage": "costs ${amount}",
			},
		},
		{
			"name": "Order analyst", "icon": "https://cdn.example.com/bot.png", "isActive": false,
			"integrateWith":   "langgraph",
			"integrationType": "agent", "tools": []any{"search_orders", "refund"}, "integrationMeta": map[string]any{
				"baseUrl": "https://lg.example.com",
				"headers": map[string]any{"authorization": secret.Literal("Bearer s3cret"),
					"x-team": secret.Literal("orders")},
			},
		},
	}
	var agents []export.Agent
	keys := export.Keys{}
	for _, f := range live {
		agents = append(agents, export.Agent{Key: keys.Name(p, f, "u"), Fields: export.Tidy(p, f)})
	}
	agents, vars := export.Secrets(cometchatApp().ID, agents, export.LookupIn(nil))
	defaults, rest := export.Share(p, agents)
	got := export.File(p, "../schema/manifest.schema.json",
		export.Section{App: cometchatApp(), Defaults: defaults, Agents: rest})
	golden(t, "file.yaml", got)
	if strings.Contains(string(got), "s3cret") {
		t.Error("the secret stands in the manifest")
	}
	fleet, problems := read(t, got)
	if problems != nil {
		t.Fatal(problems)
	}
	for i, key := range []string{"concierge", "order-analyst"} {
		d := fleet.Agents[i]
		if d.Address.Key != key {
			t.Errorf("agent %d has the key %s, want %s", i, d.Address.Key, key)
		}
		resolved, err := d.Fields.Resolve(export.LookupIn(vars))
		if err != nil {
			t.Fatal(err)
		}
		if want := export.Tidy(p, live[i]); !agent.Equal(map[string]any(resolved), map[string]any(want)) {
			t.Errorf("%s reads back as %v, want %v", key, resolved, want)
		}
	}
	if got := fleet.Apps[cometchatApp().ID]; got.Settings["region"] != "us" || got.APIKeyEnv != "COMETCHAT_API_KEY" {
		t.Errorf("the app reads back as %+v", got)
	}
}

// awkward are pieces of text that YAML, the manifests or an editor could change.
var awkward = []string{
	"a", "Ünïcode", "line\n", "\n", " ", "  ", "\t", ": ", " #", "#", "- ", "---", "...", "'", `"`, `\`, "${env:X}",
	"${secret:X}",
	"$${", "$", "{", "}", "[", "]", ",", "&a", "*a", "!t", "%", "@", "`", "|", ">", "yes", "null", "~", "1e3", "0x1f",
	"2024-01-02",
	"<<", "\r", "\r\n", "\x00", "\x1b[31m", "\u0085", "\u2028", "\u202e", "\ufeff", "😀", "👩\u200d👩", "\x7f", "=", "?",
	"? ", "word ", "long-word-without-a-break",
}

func awkwardText() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "any") {
			return rapid.String().Draw(t, "text")
		}
		n := rapid.SampledFrom([]int{1, 2, 3, 8, 40}).Draw(t, "pieces")
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(awkward), 1, n).Draw(t, "text"), "")
	})
}

func anyValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 6).Draw(t, "kind")
		switch {
		case kind == 0:
			return rapid.Bool().Draw(t, "bool")
		case kind == 1:
			n, err := agent.Number(rapid.SampledFrom([]string{"0", "-7", "1.5", "1e300", "1e-7",
				"123456789012345678901234567890"}).Draw(t, "number"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		case kind == 2 && depth > 0:
			return rapid.SliceOfN(anyValue(depth-1), 0, 4).Draw(t, "list")
		case kind == 3 && depth > 0:
			return rapid.MapOfN(awkwardText().Filter(func(s string) bool {
				return s != agent.ReservedKey && len(s) < 100
			}),
				anyValue(depth-1), 0, 4).Draw(t, "map")
		default:
			return awkwardText().Draw(t, "string")
		}
	})
}

// Whatever an agent holds, it reads back as it was written.
// TestDisplayNames: what people call a tool stands beside its name, whatever the platform answers for it.
func TestDisplayNames(t *testing.T) {
	p := load(t, "cometchat")
	fields := agent.Fields{
		"name": "A", "icon": "https://cdn.example.com/a.png", "integrateWith": "mastra",
		"integrationType": "agent", "integrationMeta": map[string]any{"baseUrl": "https://a.example.com"},
		"tools": []any{"weather", "bare", "same", "odd # one", "evil", "long"}, "actions": []any{"handoff"},
	}
	names := export.DisplayNames{"tool": {
		"weather": "The weather", "same": "same", "odd # one": "Odd", "handoff": "not an action",
		"evil": "x\n  - more\u2028\u202e\x1b[31m: {a: b} # c", "long": strings.Repeat("é", 70),
	}}
	got := export.File(p, "",
		export.Section{App: cometchatApp(), Agents: []export.Agent{{Key: "a", Fields: fields}}, Names: names})
	want := `      tools:
        - weather  # The weather
        - bare
        - same
        - "odd # one"  # Odd
        - evil  # x - more [31m: {a: b} # c
        - long  # ` + strings.Repeat("é", 59) + `…
      actions: [handoff]
`
	if !strings.Contains(string(got), want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
	fleet, problems := read(t, got)
	if problems != nil {
		t.Fatal(problems)
	}
	if read := fleet.Agents[0].Fields["tools"]; !agent.Equal(read, fields["tools"]) {
		t.Errorf("read back as %v", read)
	}
}

func TestRoundTrip(t *testing.T) {
	p := load(t, "cometchat")
	rapid.Check(t, func(rt *rapid.T) {
		var agents []export.Agent
		for i := range rapid.IntRange(1, 3).Draw(rt, "agents") {
			agents = append(agents, export.Agent{Key: "k" + string(rune('0'+i)), Fields: agent.Fields{
				"name": awkwardText().Draw(rt, "name"),
				"metaData": rapid.MapOfN(rapid.SampledFrom([]string{"a", "b: c", "on", "x-y", "é"}), anyValue(3), 1, 3).
					Draw(rt,
						"metaData"),
			}})
		}
		defaults, rest := export.Share(p, agents)
		content := export.File(p, "", export.Section{App: cometchatApp(), Defaults: defaults, Agents: rest})
		compare(t, rt, content, agents)
	})
}

// compare reads content and holds its agents against what was written.
func compare(t *testing.T, rt *rapid.T, content []byte, agents []export.Agent) {
	fleet, problems := read(t, content)
	if len(fleet.Agents) != len(agents) {
		rt.Fatalf("%d agents of %d in\n%s\n%q", len(fleet.Agents), len(agents), content, problems)
	}
	for i, a := range agents {
		got, want := fleet.Agents[i].Fields, a.Fields
		if !agent.Equal(map[string]any(got), map[string]any(want)) {
			rt.Fatalf("reads back otherwise (-want +got):\n%s\nin\n%s",
				cmp.Diff(map[string]any(want), map[string]any(got)),
				content)
		}
	}
}

func TestSettings(t *testing.T) {
	p := load(t, "mindset")
	agents := []export.Agent{{Key: "a", Fields: agent.Fields{"agentName": "A"}}}
	fleet, problems := read(t, export.File(p, "", export.Section{App: mindsetApp(), Agents: agents}))
	if problems != nil {
		t.Fatal(problems)
	}
	got := fleet.Apps[mindsetApp().ID]
	got.Source = mindsetApp().Source
	if diff := cmp.Diff(mindsetApp(), got); diff != "" {
		t.Errorf("the app reads back otherwise (-want +got):\n%s", diff)
	}
}

// TestNoRunnerCommands: a manifest that a job prints holds no line that its CI runner takes for a command.
func TestNoRunnerCommands(t *testing.T) {
	p := load(t, "mindset")
	long := strings.Repeat("word ", 30)
	for _, purpose := range []string{"::error::x", "a\n  ::add-mask::b\nc\n", long + "::stop-commands::x " + long,
		"##[error]x", "a\n##[group]b\n"} {
		fields := agent.Fields{"agentName": "A", "agentPurpose": purpose}
		got := export.File(p, "", export.Section{App: mindsetApp(), Agents: []export.Agent{{Key: "a", Fields: fields}}})
		for line := range strings.Lines(string(got)) {
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
				t.Errorf("%q is written as\n%s", purpose, got)
			}
		}
		fleet, problems := read(t, got)
		if problems != nil || fleet.Agents[0].Fields["agentPurpose"] != purpose {
			t.Errorf("%q reads back as %v, %v", purpose, fleet.Agents[0].Fields["agentPurpose"], problems)
		}
	}
}
