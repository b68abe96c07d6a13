package workspace

import (
	"io"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/manifest"
	"agentsync/internal/secret"
	"agentsync/internal/ui"
)

func TestMeantAddress(t *testing.T) {
	known := []agent.Address{
		{Platform: "mindset", App: "acme", Key: "onboarding-coach"},
		{Platform: "cometchat", App: "2754abc", Key: "concierge"},
		{Platform: "cometchat", App: "other", Key: "concierge"},
	}
	for pattern, want := range map[string]string{
		"conciege":                     "did you mean cometchat/2754abc/concierge?",
		"mindset/acme/onbording-coach": "did you mean mindset/acme/onboarding-coach?",
		"analyst":                      "see a list",
		"":                             "see a list",
	} {
		if got := meantAddress(pattern, known, "see a list"); got != want {
			t.Errorf("%q: %q, want %q", pattern, got, want)
		}
	}
}

// What a manifest writes in clear is no secret of the run, and what it refers to is one, as is the API key.
func TestRunSecrets(t *testing.T) {
	w := &Workspace{UI: ui.New([]string{"KEY=the-api-key-1\n", "TOKEN=tok-4f9a8b7c", "STAGE=production"}, nil, nil, io.Discard)}
	w.Fleet = &manifest.Fleet{
		Apps: map[agent.AppID]agent.App{{Platform: "cometchat", App: "a"}: {APIKeyEnv: "KEY"}},
		Agents: []agent.Desired{
			{Fields: agent.Fields{"name": "in production", "meta": map[string]any{"l": []any{secret.Template("Bearer ${secret:TOKEN}")}}}},
			{Fields: agent.Fields{"name": "b", "stage": secret.Template("${secret:STAGE}"), "unset": secret.Template("${secret:UNSET}")}},
		},
	}
	found := w.runSecrets()
	for text, want := range map[string]bool{
		"x the-api-key-1 x": true, "x TOK-4F9A8B7C x": true, "all of production": false, "Bearer token": false, strings.Repeat("x", 20): false,
	} {
		if found.In(text) != want {
			t.Errorf("%q: %v, want %v", text, !want, want)
		}
	}
}
