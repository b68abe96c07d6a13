package validate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"agentsync/schema"
)

// candidates are values that are right for some field and wrong for others.
var candidates = []any{
	"", "Concierge", "mastra", "langgraph", "rasa", "agno", "ag2", "agent", "https://agents.example.com",
	"http://agents.example.com",
	"openAccess", "abcdefghij0123456789", "tenant 1", "key-1", "Key", nil, true, json.Number("5"),
	[]any{}, []any{"a"}, []any{"a", "a"}, []any{"live"}, []any{json.Number("1")}, []any{nil},
	map[string]any{}, map[string]any{"baseUrl": "https://agents.example.com"}, map[string]any{"protect": true},
	map[string]any{"baseUrl": "https://agents.example.com", "agentId": "a"},
	map[string]any{"baseUrl": "https://agents.example.com", "headers": map[string]any{"a": "b"}},
	map[string]any{"baseUrl": "https://agents.example.com", "headers": "a: b"},
	map[string]any{"greetingMessage": "Hello", "suggestedMessages": []any{"a"}},
}

// right is one complete agent per platform.
var right = map[string]map[string]any{
	"cometchat": {"key": "a", "name": "A", "icon": "https://cdn.example.com/bot.png", "integrateWith": "mastra",
		"integrationType": "agent",
		"integrationMeta": map[string]any{"baseUrl": "https://agents.example.com", "agentId": "a"}},
	"mindset": {"key": "a", "agentName": "A"},
}

// TestQuickYesIsTrue: what accepts lets through, the validator lets through as well, and right agents
// take the quick way.
func TestQuickYesIsTrue(t *testing.T) {
	r, err := New(platforms(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range r.Platforms {
		if !acceptsValue(p.Complete, right[name]) {
			t.Errorf("a right agent of %s does not take the quick way", name)
		}
		fields := append([]string{"key", "previousKeys", "lifecycle", "unknown"}, p.FieldNames()...)
		yes := 0
		rapid.Check(t, func(t *rapid.T) {
			a := maps.Clone(right[name])
			for i := range rapid.IntRange(0, 3).Draw(t, "changes") {
				a[rapid.SampledFrom(fields).Draw(t, fmt.Sprint("field", i))] = rapid.SampledFrom(candidates).Draw(t,
					fmt.Sprint("value", i))
			}
			if drop := rapid.SampledFrom(fields).Draw(t, "drop"); rapid.Bool().Draw(t, "dropped") {
				delete(a, drop)
			}
			quick, full := acceptsValue(p.Complete, a), p.Complete.Validate(a)
			if quick && full != nil {
				t.Fatalf("accepts says yes, the validator: %v", full)
			}
			if quick {
				yes++
			}
		})
		if yes == 0 {
			t.Errorf("%s: no agent took the quick way, so nothing was compared", name)
		}
	}
}

// TestEveryKindIsQuick: each kind of integration takes the quick way with what belongs to it.
func TestEveryKindIsQuick(t *testing.T) {
	r, err := New(platforms(t))
	if err != nil {
		t.Fatal(err)
	}
	complete := r.Platforms["cometchat"].Complete
	for kind, meta := range map[string][]string{
		"mastra": {"agentId"}, "mastra-legacy": {"agentId"}, "langgraph": {"map"}, "crewai": {"map"},
		"vercelV5": {"map"},
		"ag-ui":    {"map"}, "ag2": {"defaultUserId", "string"}, "rasa": {"string"}, "agno": {"agentId", "string"},
	} {
		t.Run(kind, func(t *testing.T) {
			for _, all := range []string{"agentId", "defaultUserId", "map", "string"} {
				m := map[string]any{"baseUrl": "https://agents.example.com"}
				switch all {
				case "map":
					m["headers"] = map[string]any{"authorization": "x"}
				case "string":
					m["headers"] = "authorization: x"
				default:
					m[all] = "x"
				}
				a := maps.Clone(right["cometchat"])
				a["integrateWith"], a["integrationMeta"] = kind, m
				want := slices.Contains(meta, all)
				if got := complete.Validate(a) == nil; got != want {
					t.Errorf("%s with %s: right is %v", kind, all, got)
				}
				if got := acceptsValue(complete, a); got != want {
					t.Errorf("%s with %s: quick is %v", kind, all, got)
				}
			}
		})
	}
}

// platforms returns the registered platforms.
func platforms(t *testing.T) []*schema.Platform {
	t.Helper()
	var all []*schema.Platform
	for _, name := range []string{"cometchat", "mindset"} {
		p, err := schema.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}
