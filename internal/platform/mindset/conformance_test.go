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
			Platform: p, Document: openapitest.Mindset, NullLists: true,
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

func TestConformanceV2(t *testing.T) {
	platformtest.Run(t, func(t *testing.T) platformtest.Fixture {
		p, err := mindset.New()
		if err != nil {
			t.Fatal(err)
		}
		app := agent.App{ID: agent.AppID{Platform: p.Name(), App: "acme"}, Settings: map[string]string{"api": "v2"}}
		return platformtest.Fixture{
			Platform: p, Document: openapitest.MindsetV2, App: app,
			Full: agent.Fields{
				"agentName": "Zoë & <Co>", "agentPurpose": "Help\nwith \"all\" 👋",
				"personality":           map[string]any{"preset": "friendly", "customText": "kind"},
				"formatting":            map[string]any{"preset": "conversational", "customText": "Markdown"},
				"policies":              policies(map[string]any{"enabled": true, "email": "a@b.example"}),
				"additionalPolicyRules": "none", "additionalInformation": "Long", "iceBreakerMessage": "Hi",
				"memory":      map[string]any{"allowAccess": true, "allowContribution": false, "miningGuidance": "x"},
				"live":        true,
				"contextUids": []any{"c1", "c2"}, "mcpserverUids": []any{"abcdefghij0123456789"},
				"tags": []any{"hr", "onboarding"}, "access": "openAccess", "externalTenantId": "tenant-1",
			},
			Change: agent.Fields{
				"agentName": "Max", "agentPurpose": "Rest",
				"personality":           map[string]any{"preset": "dry", "customText": ""},
				"formatting":            map[string]any{"preset": "conversational", "customText": "Text"},
				"policies":              policies(map[string]any{"enabled": true, "email": "b@b.example"}),
				"additionalPolicyRules": "some", "additionalInformation": "Longer", "iceBreakerMessage": "Yo",
				"memory":      map[string]any{"allowAccess": true, "allowContribution": true, "miningGuidance": ""},
				"live":        false,
				"contextUids": []any{}, "mcpserverUids": []any{"9876543210abcdefghij"}, "tags": []any{"x"},
				"access": "restrictedAccess",
			},
			// What v2 shows of an object that was sent empty: every member's default.
			Cleared: agent.Fields{
				"personality": map[string]any{"preset": "friendly", "customText": ""},
				"formatting":  map[string]any{"preset": "conversational", "customText": ""},
				"policies":    policies(map[string]any{"enabled": false, "email": ""}),
				"memory":      map[string]any{"allowAccess": false, "allowContribution": false, "miningGuidance": ""},
			},
		}
	})
}

// policies are all ten of v2 as it answers them, switched off but for safeguarding.
func policies(safeguarding map[string]any) map[string]any {
	off := func(more string) map[string]any {
		p := map[string]any{"enabled": false}
		if more != "" {
			p[more] = ""
		}
		return p
	}
	return map[string]any{
		"focusAndScope": off("scope"), "knowledgeLimits": off("themeSpecificAllowance"),
		"nonContextSegmentMessage": off("message"),
		"safeguarding":             safeguarding, "clarification": off(""), "recommendations": off(""),
		"neutrality":          off(""),
		"professionalConduct": off(""), "legalFinancial": off(""), "feedback": off(""),
	}
}
