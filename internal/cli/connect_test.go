package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/manifest"
	"agentsync/internal/secret"
)

// A long wait is one line on stderr: on the run's progress, or where no run is shown.
func TestWaitsAreTold(t *testing.T) {
	var out bytes.Buffer
	a := &app{streams: Streams{Err: &out}}
	wait := httpx.Wait{For: 30 * time.Second, Reason: "429 Too Many Requests, Retry-After: 30"}
	tell := func() string {
		out.Reset()
		a.tellWait(agent.AppID{Platform: "mindset", App: "acme"}, wait)
		return out.String()
	}
	const want = "waiting for mindset/acme: it asks to wait 30s (429 Too Many Requests, Retry-After: 30)\n"
	if got := tell(); got != want {
		t.Errorf("outside a run: %q", got)
	}
	d := &display{app: a}
	d.begin(1)
	if got := tell(); got != want {
		t.Errorf("within a run: %q", got)
	}
	d.end()
	if got := tell(); got != want {
		t.Errorf("behind a run: %q", got)
	}
	a.common.quiet = true
	if got := tell(); got != "" {
		t.Errorf("quiet: %q", got)
	}
}

// What a manifest writes in clear is no secret of the run, and what it refers to is one, as is the API key.
func TestRunSecrets(t *testing.T) {
	a := &app{env: map[string]string{"KEY": "the-api-key-1", "TOKEN": "tok-4f9a8b7c", "STAGE": "production"}}
	fleet := &manifest.Fleet{
		Apps: map[agent.AppID]agent.App{{Platform: "cometchat", App: "a"}: {APIKeyEnv: "KEY"}},
		Agents: []agent.Desired{
			{Fields: agent.Fields{"name": "in production", "meta": map[string]any{"l": []any{secret.Template("Bearer ${secret:TOKEN}")}}}},
			{Fields: agent.Fields{"name": "b", "stage": secret.Template("${secret:STAGE}"), "unset": secret.Template("${secret:UNSET}")}},
		},
	}
	found := a.runSecrets(fleet)
	for text, want := range map[string]bool{
		"x the-api-key-1 x": true, "x TOK-4F9A8B7C x": true, "all of production": false, "Bearer token": false, strings.Repeat("x", 20): false,
	} {
		if found.In(text) != want {
			t.Errorf("%q: %v, want %v", text, !want, want)
		}
	}
}
