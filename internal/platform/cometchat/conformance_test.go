package cometchat_test

import (
	"testing"

	"go.uber.org/goleak"

	"agentsync/internal/agent"
	"agentsync/internal/openapitest"
	"agentsync/internal/platform/cometchat"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	platformtest.Run(t, func(t *testing.T) platformtest.Fixture {
		p, err := cometchat.New()
		if err != nil {
			t.Fatal(err)
		}
		return platformtest.Fixture{
			Platform: p, Document: openapitest.CometChat, BasePath: "/cometchat/demo/v3",
			App: agent.App{ID: agent.AppID{Platform: p.Name(), App: "demo"},
				Settings: map[string]string{"region": "eu"}},
			Full: agent.Fields{
				"name": "Zoë & <Co>", "icon": "https://cdn.example.com/a.png", "isActive": false,
				"integrateWith": "langgraph", "integrationType": "agent",
				"integrationMeta": map[string]any{
					"baseUrl": "https://lg.example.com",
					"headers": map[string]any{"authorization": secret.Literal("Bearer 0123456789abcdef")},
				},
				"tools": []any{"weather"}, "actions": []any{"handoff"},
				"metaData": map[string]any{"greetingMessage": "Hi\n\"you\" 👋", "suggestedMessages": []any{"a", "b"}},
			},
			Change: agent.Fields{
				"name": "Max", "icon": "https://cdn.example.com/b.png", "isActive": true,
				"integrateWith": "crewai", "integrationType": "agent",
				"integrationMeta": map[string]any{
					"baseUrl": "https://x.example.com",
					"headers": map[string]any{"x-token": secret.Literal("another 123456")},
				},
				"tools": []any{"search", "weather"}, "actions": []any{},
				"metaData": map[string]any{"greetingMessage": ""},
			},
		}
	})
}
