package probe_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/platform"
	"agentsync/internal/platform/cometchat"
	"agentsync/internal/platform/mindset"
	"agentsync/internal/platform/probe"
	"agentsync/internal/sandbox"
	"agentsync/internal/secret"
	"agentsync/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialect is one API that the sandbox plays.
type dialect struct {
	name, api, base string
	open            func() (platform.Platform, error)
}

var dialects = []dialect{
	{"cometchat", "", "/cometchat/acme/v3", cometchat.New},
	{"mindset", "v1", "", mindset.New},
	{"mindset", "v2", "", mindset.New},
}

// look probes a sandbox that runs the script, with some agents in it already, and returns what was found as text.
func look(t *testing.T, d dialect, script string, o sandbox.Options) (text string, rep *probe.Report,
	s *sandbox.Server) {
	t.Helper()
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		_ = s.Close() // lets go of what hangs
		h.Close()
	})
	p, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse(h.URL + d.base)
	if err != nil {
		t.Fatal(err)
	}
	hc, err := httpx.NewClient(httpx.Options{Base: base, KeyHeader: p.APIKeyHeader(), Key: secret.Literal("a-key"),
		Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hc.CloseIdleConnections)
	app := agent.App{ID: agent.AppID{Platform: d.name, App: "acme"}, Settings: map[string]string{"api": d.api}}
	target := probe.Target{App: app.ID, Schema: p.Schema().Version(schema.APIOf(app)),
		Others: map[string]platform.Client{}}
	target.API = target.Schema.API
	for range 3 { // lists that are cut, or lag, must have something to show
		target.Client = p.Client(app, base, hc)
		fields := agent.Fields{"agentName": "Other"}
		if d.name == "cometchat" {
			fields = agent.Fields{"name": "Other", "icon": "https://e.example/i.png", "integrateWith": "mastra",
				"integrationType": "agent"}
		}
		if _, err := target.Client.Create(t.Context(), agent.ContentOf(fields)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // the platform's times are in milliseconds
	}
	for _, v := range p.Schema().Versions() {
		if v.API != target.API {
			target.Others[v.API] = p.Client(agent.App{ID: app.ID, Settings: map[string]string{"api": v.API}}, base, hc)
		}
	}
	recorded := *hc
	target.Exchanges = probe.Record(&recorded, "acme")
	target.Client = p.Client(app, base, &recorded)
	faults, err := sandbox.ParseFaults(script)
	if err != nil {
		t.Fatal(err)
	}
	s.SetFaults(faults)
	now := time.Now()
	rep, err = probe.Run(t.Context(), target, probe.Options{
		Name: "agentsync check-platform x", Patience: 20 * time.Second, Cleanup: 5 * time.Second,
		Now: func() time.Time { return now },
		Sleep: func(_ context.Context, d time.Duration) error {
			now = now.Add(d)
			time.Sleep(20 * time.Millisecond) // for effects that come late in real time
			return nil
		},
	})
	var b strings.Builder
	for _, f := range rep.Findings {
		if f.Odd {
			b.WriteString("! ")
		}
		b.WriteString(f.Topic + ": " + f.Found + "\n")
	}
	if err != nil {
		b.WriteString("ended: " + err.Error() + "\n")
	}
	return b.String(), rep, s
}

// TestHealthyPlatform: one create, everything as it was sent, nothing left, and nothing of the app in the report.
func TestHealthyPlatform(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name+d.api, func(t *testing.T) {
			text, rep, s := look(t, d, "", sandbox.Options{})
			for _, want := range []string{"create: status 200", "list: after the create: shown at once",
				"update: status 200",
				"delete: status 200", "rate headers: none"} {
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
			if strings.Contains(text, "! ") && d.api != "v2" { // v2 fills its objects in
				t.Errorf("something is odd:\n%s", text)
			}
			if n := s.Counts().Requests[d.name]["create"]; n != 4 || len(s.Agents("", "")) != 3 || len(rep.Left) > 0 {
				t.Errorf("%d creates, %d agents, left %v", n, len(s.Agents("", "")), rep.Left)
			}
			for _, e := range rep.Requests {
				if strings.Contains(e.Path, "acme") || e.Status == 0 {
					t.Errorf("request %+v", e)
				}
			}
			if len(rep.Requests) < 8 {
				t.Errorf("%d requests", len(rep.Requests))
			}
		})
	}
}

// TestEveryFaultIsNamed runs the probe against each thing that the sandbox can play, and looks for the words for it.
func TestEveryFaultIsNamed(t *testing.T) {
	for _, tc := range []struct {
		script string
		says   string // in every dialect
		only   string // the platform that it is about, "" for all
		left   int    // agents that cannot be taken away again, for the fault lasts
	}{
		{script: "latency=1ms", says: "create: status 200"},
		{script: "slow=1100ms op=create", says: "! create: effect: the agent was made all the same"},
		{script: "late=1ms op=create", says: "! create: "},
		{script: "drop-before op=create", says: "ended: it is not known whether the agent was made"},
		{script: "hang-before op=create", says: "! create: "},
		{script: "status-before=402 op=create", says: "! create: POST /", left: 0},
		{script: "status-before=409 op=update", says: "! update: PATCH /"},
		{script: "html op=create", says: "an HTML page"},
		{script: "empty=500 op=create", says: "an empty body"},
		{script: "throttle=1h op=update reset-as=milliseconds",
			says: "! rate: PATCH was answered 429 with Retry-After: 3600"},
		{script: "throttle op=update retry-as=none",
			says: "! rate: PATCH was answered 429 with no header that says when to come back"},
		{script: "unavailable=7s op=update", says: "! rate: PATCH was answered 503 with Retry-After: 7"},
		{script: "redirect=307 op=create", says: "! create: "},
		{script: "not-done op=delete nth=1", says: "! delete: "},
		{script: "not-done=false op=update", says: "! update: "},
		{script: "not-done=html op=update", says: "an HTML page"},
		{script: "ignored op=update", says: "answered as done, and the agent is as it was before", only: "mindset"},
		{script: "ignored op=update", says: "! list: after the update: not shown within 20s", only: "cometchat"},
		{script: "ignored op=delete nth=1", says: "! delete: again: answered as done"},
		{script: "strict-meta", says: "update: status 200"},
		{script: "exhausted=1h reset-as=milliseconds", says: "X-Rate-Limit-Remaining: 0", only: "cometchat"},
		{script: "drop-after op=create", says: "! create: effect: the agent was made all the same"},
		{script: "status-after=502 op=create", says: "! create: effect: the agent was made all the same"},
		{script: "cut-body op=create", says: "! create: "},
		{script: "garbage op=create", says: "! create: effect: the agent was made all the same"},
		{script: "garbage=bom op=create", says: "create: status 200"},
		{script: "garbage=deflate op=create", says: "! create: effect: the agent was made all the same"},
		{script: "rewrite=*:trim", says: "a text comes back changed: it is trimmed"},
		{script: "rewrite=*:lf", says: "a text comes back changed: its line ends are LF"},
		{script: "rewrite=*:crlf", says: "a text comes back changed: its line ends are CRLF"},
		{script: "rewrite=*:escape", says: "a text comes back changed: its HTML is escaped"},
		{script: "rewrite=icon:noslash", says: "! create: icon: a text comes back changed: its URL has another end",
			only: "cometchat"},
		{script: "rewrite=metaData:fill",
			says: "! create: metaData: filled in by the platform: suggestedMessages, theme",
			only: "cometchat"},
		{script: "rewrite=agentPurpose:drop", says: "! create: agentPurpose: not shown", only: "mindset"},
		{script: "whole-seconds", says: "! clock: the platform's is "},
		{script: "clock=-3s", says: "behind this machine's"},
		{script: "mask-headers", says: "a credential is masked", only: "cometchat"},
		{script: "echo-secrets", says: "the credential is repeated in /metaData/connection/authorization",
			only: "cometchat"},
		{script: "odd-agents=deep op=create", says: "! create: answer: "},
		{script: "odd-agents=list op=list agent=Other", says: "! list: odd agent: "},
		{script: "odd-agents=no-uid op=list agent=Other", says: "without a usable uid"},
		{script: "odd-agents=no-time op=create", says: "! clock: the answer has no readable createdAt"},
		{script: "list-lacks=agentPurpose", says: "! list: agentPurpose: not shown", only: "mindset"},
		{script: "lag-lists=3", says: "lists lag"},
		{script: "lag-lists=2 op=update", says: "! list: after the update: shown by list "},
		{script: "short-list=1",
			says: "! list: after the create: not shown within 20s: lists lag more than that, or are cut"},
		{script: "cap-list=3", says: "! list: after the create: not shown within 20s"},
		{script: "empty-list", says: "! list: after the create: not shown within 20s"},
		{script: "repeat-page", says: "! list: before: failed: ", only: "cometchat"},
		{script: "page-size=2", says: "pages of up to 2", only: "mindset"},
		{script: "list-end=200", says: "under status 200", only: "mindset"},
		{script: "versions-apart", says: ": not found: ", only: "mindset"},
	} {
		for _, d := range dialects {
			if tc.only != "" && tc.only != d.name {
				continue
			}
			t.Run(d.name+d.api+"/"+tc.script, func(t *testing.T) {
				t.Parallel()
				text, rep, s := look(t, d, tc.script, sandbox.Options{})
				if !strings.Contains(text, tc.says) {
					t.Errorf("does not say %q:\n%s", tc.says, text)
				}
				if n := s.Counts().Requests[d.name]["create"]; n != 4 {
					t.Errorf("%d creates, want one more than the 3 of before", n)
				}
				if left := len(s.Agents("", "")) - 3; left != len(rep.Left) {
					t.Errorf("%d agents are left, and the report says %v:\n%s", left, rep.Left, text)
				}
			})
		}
	}
}

// TestInterruptedProbeCleansUp in the middle of its agent's life.
func TestInterruptedProbeCleansUp(t *testing.T) {
	s, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	defer h.Close()
	p, err := mindset.New()
	if err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse(h.URL)
	hc, err := httpx.NewClient(httpx.Options{Base: base, KeyHeader: p.APIKeyHeader(), Key: secret.Literal("a-key")})
	if err != nil {
		t.Fatal(err)
	}
	defer hc.CloseIdleConnections()
	app := agent.App{ID: agent.AppID{Platform: "mindset", App: "acme"}}
	exchanges := probe.Record(hc)
	ctx, cancel := context.WithCancel(t.Context())
	client := &interrupting{Client: p.Client(app, base, hc), cancel: cancel}
	rep, err := probe.Run(ctx, probe.Target{App: app.ID, Client: client, Schema: p.Schema(), Exchanges: exchanges},
		probe.Options{Name: "agentsync check-platform x", Patience: time.Second, Cleanup: 5 * time.Second})
	if err == nil || len(s.Agents("", "")) != 0 || len(rep.Left) != 0 || s.Counts().Requests["mindset"]["create"] != 1 {
		t.Errorf("%v: %d agents, left %v, %v", err, len(s.Agents("", "")), rep.Left, s.Counts())
	}
}

// interrupting ends its context once the agent has been made.
type interrupting struct {
	platform.Client
	cancel func()
}

func (c *interrupting) Create(ctx context.Context, wanted agent.Content) (platform.Remote, error) {
	made, err := c.Client.Create(ctx, wanted)
	c.cancel()
	return made, err
}
