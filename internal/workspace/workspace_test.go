package workspace

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/manifest"
	"agentsync/internal/secret"
	"agentsync/internal/state"
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
		"COMETCHAT/other/concierge":    "did you mean cometchat/other/concierge?",
		"cometchat/othr/concierge":     "did you mean cometchat/other/concierge?",
		"mindset/acme/concierge":       "did you mean cometchat/2754abc/concierge?",
		"analyst":                      "see a list",
		"":                             "see a list",
	} {
		t.Run(pattern, func(t *testing.T) {
			if got := meantAddress(pattern, known, "see a list"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// What a manifest writes in clear is no secret of the run, and what it refers to is one, as is the API key.
func TestRunSecrets(t *testing.T) {
	w := &Workspace{UI: ui.New([]string{"KEY=the-api-key-1\n", "TOKEN=tok-4f9a8b7c", "STAGE=production"}, nil, nil,
		io.Discard)}
	w.Fleet = &manifest.Fleet{
		Apps: map[agent.AppID]agent.App{{Platform: "cometchat", App: "a"}: {APIKeyEnv: "KEY"}},
		Agents: []agent.Desired{
			{Fields: agent.Fields{"name": "in production",
				"meta": map[string]any{"l": []any{secret.Template("Bearer ${secret:TOKEN}")}}}},
			{Fields: agent.Fields{"name": "b", "stage": secret.Template("${secret:STAGE}"),
				"unset": secret.Template("${secret:UNSET}")}},
		},
	}
	found := w.runSecrets()
	for text, want := range map[string]bool{
		"x the-api-key-1 x": true, "x TOK-4F9A8B7C x": true, "all of production": false, "Bearer token": false,
		strings.Repeat("x", 20): false,
	} {
		t.Run(text, func(t *testing.T) {
			if found.In(text) != want {
				t.Errorf("%v, want %v", !want, want)
			}
		})
	}
}

// testApp is the app of testWorkspace.
var testApp = agent.AppID{Platform: "cometchat", App: "a"}

// testWorkspace is a workspace with one app in its manifests, a state, and nobody to ask.
func testWorkspace(t *testing.T, section agent.App, s *state.State, environ ...string) *Workspace {
	t.Helper()
	all, err := Platforms()
	if err != nil {
		t.Fatal(err)
	}
	section.ID, section.APIKeyEnv = testApp, "KEY"
	if section.Settings == nil {
		section.Settings = map[string]string{"region": "eu"}
	}
	return &Workspace{UI: ui.New(environ, strings.NewReader(""), io.Discard, io.Discard), Platforms: all,
		File: state.NewFile("state.json"), Snap: &state.Snapshot{State: s},
		Fleet: &manifest.Fleet{Apps: map[agent.AppID]agent.App{testApp: section}}}
}

// TestAllowHosts: to which hosts a key goes without a yes.
func TestAllowHosts(t *testing.T) {
	own := "https://a.api-eu.cometchat.io/v3"
	knows := func(url string) *state.State {
		return &state.State{Apps: map[agent.AppID]agent.Origin{testApp: {BaseURL: url, KeyEnv: "KEY"}}}
	}
	const variable = "AGENTSYNC_COMETCHAT_ENDPOINT="
	for _, c := range []struct {
		name    string
		section agent.App
		s       *state.State
		environ string
		allowed []string
		refused string
	}{
		{"the platform's own, for the first time", agent.App{}, &state.State{}, "", nil, ""},
		{"the platform's own, as before", agent.App{}, knows(own), "", nil, ""},
		{"another one in a manifest", agent.App{Endpoint: "https://elsewhere.example/v3"}, &state.State{}, "", nil,
			"elsewhere.example"},
		{"another one in a manifest, which was allowed", agent.App{Endpoint: "https://elsewhere.example/v3"},
			&state.State{},
			"",
			[]string{"https://elsewhere.example"}, ""},
		{"another one, which the state knows", agent.App{Endpoint: "https://elsewhere.example/v3"},
			knows("https://elsewhere.example/v2"), "", nil, ""},
		{"another region than before", agent.App{Settings: map[string]string{"region": "us"}}, knows(own), "", nil,
			"a.api-us.cometchat.io"},
		{"another one in the environment", agent.App{}, knows(own), variable + "https://proxy.example/v3", nil,
			"proxy.example"},
		{"this machine in the environment", agent.App{}, knows(own), variable + "http://127.0.0.1:8787/v3", nil, ""},
		{"this machine in a manifest, after another", agent.App{Endpoint: "http://127.0.0.1:8787/v3"}, knows(own), "",
			nil, "127.0.0.1:8787"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := testWorkspace(t, c.section, c.s, c.environ)
			w.AllowEndpoints = c.allowed
			err := w.AllowHosts(t.Context(), testApp)
			f, _ := errors.AsType[*exit.Failure](err)
			switch {
			case c.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.refused != "" && (f == nil || f.Code != exit.Refused ||
				!strings.Contains(f.Hint, "--allow-endpoint "+c.refused)):
				t.Errorf("got %v, want a refusal of %s", err, c.refused)
			}
			w.Sandbox = true
			if err := w.AllowHosts(t.Context(), testApp); err != nil {
				t.Errorf("with --sandbox: %v", err)
			}
		})
	}
}

// TestSecondApp: an app takes the place of another one where its id comes from a variable, or nothing of the fleet is
// known.
func TestSecondApp(t *testing.T) {
	of := func(app string) *state.State {
		return &state.State{Agents: map[agent.Address]agent.Record{{Platform: "cometchat", App: app,
			Key: "k"}: {UID: "u"}}}
	}
	for _, c := range []struct {
		name    string
		section agent.App
		s       *state.State
		paths   []string
		want    bool
	}{
		{"a new state", agent.App{FromVariable: true}, &state.State{}, nil, false},
		{"the same app", agent.App{FromVariable: true}, of("a"), nil, false},
		{"another app of a variable", agent.App{FromVariable: true}, of("staging"), []string{"manifests"}, true},
		{"another app, the whole fleet", agent.App{}, of("staging"), nil, true},
		{"another app, one file of the fleet", agent.App{}, of("staging"), []string{"new.yaml"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := testWorkspace(t, c.section, c.s)
			w.Paths = c.paths
			if f := w.SecondApp(); (f != nil) != c.want {
				t.Errorf("refused: %v", f)
			}
			w.AllowApps = []string{"cometchat/a"}
			if f := w.SecondApp(); f != nil {
				t.Errorf("with --allow-app: %v", f)
			}
		})
	}
}

// TestOpenStore: what a URL may not say is refused, and no refusal shows the URL, which may hold what must not be in
// it.
func TestOpenStore(t *testing.T) {
	for _, name := range []string{
		"ftp://user:hunter2@host/x", "s3://bucket/p?region=eu&lease=9s&x=hunter2", "s3://bucket/p?lease=hunter2",
		"postgres://user:hunter2@host/db", "s3://bu cket%zz/hunter2", "s3://bucket/p?lease=601s",
	} {
		_, _, err := OpenStore(name)
		f, _ := errors.AsType[*exit.Failure](err)
		if f == nil || f.Code != exit.Usage || f.Hint == "" {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(f.Error(), "hunter2") && !strings.Contains(f.Error(), "lease=hunter2") {
			t.Errorf("%s is shown: %v", name, f)
		}
	}
	if _, lease, err := OpenStore("s3://bucket/p?region=eu-central-1&lease=90s"); err != nil ||
		lease != 90*time.Second {
		t.Errorf("lease %v, %v", lease, err)
	}
}
