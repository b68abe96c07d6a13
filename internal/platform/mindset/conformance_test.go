package mindset_test

import (
	"testing"

	"go.uber.org/goleak"

	"agentsync/internal/agent"
	"agentsync/internal/openapitest"
	"agentsync/internal/platform/mindset"
	"agentsync/internal/platform/platformtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	platformtest.Run(t, func(t *testing.T) platformtest.Fixture {
		p, err := mindset.New()
		if err != nil {
			t.Fatal(err)
		}
		return platformtest.Fixture{
			Platform: p, Document: openapitest.Mindset,
			App: agent.App{ID: agent.AppID{Platform: p.Name(), App: "acme"}},
			Full: agent.Fields{
				"agentName": "Zoë & <Co>", "agentPurpose": "Help\nwith \"all\" 👋", "formatting": "Markdown",
				"agentPersonality": "kind", "agentPolicyRules": "none", "iceBreakerMessage": "Hi", "live": true,
				"contextUids": []any{"c1", "c2"}, "mcpserverUids": []any{"abcdefghij0123456789"},
				"tags": []any{"hr", "onboarding"}, "access": "openAccess", "externalTenantId": "tenant-1",
			},
			Change: agent.Fields{
				"agentName": "Max", "agentPurpose": "Rest", "formatting": "Text", "agentPersonality": "dry",
				"agentPolicyRules": "some", "iceBreakerMessage": "Yo", "live": false, "contextUids": []any{},
				"mcpserverUids": []any{"9876543210abcdefghij"}, "tags": []any{"x"}, "access": "restrictedAccess",
			},
		}
	})
}
