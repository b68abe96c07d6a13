package sandbox_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"agentsync/internal/openapitest"
	"agentsync/internal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	comet    = "/v3/ai-agents/agents"
	cometApp = "/cometchat/2754abc/v3/ai-agents/agents"
	mind     = "/api/v1/appuid/acme/agents"
	newComet = `{"name":"Concierge","icon":"https://cdn.example.com/a.png","integrateWith":"mastra",` +
		`"integrationType":"agent"}`
	newMind   = `{"agentName":"Coach"}`
	fullComet = `{"name":"Analyst","icon":"https://cdn.example.com/a.png","isActive":false,"integrateWith":"langgraph",
		"integrationType":"agent","integrationMeta":{"baseUrl":"https://lg.example.com","headers":{"authorization":"Bearer s3cret"}},
		"tools":["weather"],"actions":["handoff"],"metaData":{"greetingMessage":"Hi","suggestedMessages":["a","b"],"other":{"n":1.50}}}`
	fullMind = `{"agentName":"Träger 🤖","agentPurpose":"p","formatting":"f","agentPersonality":"x","agentPolicyRules":"y",
		"iceBreakerMessage":"z","live":true,"contextUids":["c1"],"mcpserverUids":["abcdefghij0123456789"],"tags":["hr"],
		"access":"openAccess","externalTenantId":"tenant-1"}`
)

// rig is a sandbox on loopback and a client of it.
type rig struct {
	*sandbox.Server
	t      *testing.T
	url    string
	client *http.Client
}

// start serves a sandbox whose every exchange is held against the OpenAPI documents.
func start(t *testing.T, o sandbox.Options) *rig {
	t.Helper()
	return serve(t, nil, o)
}

// faulty serves a sandbox that runs this script. Its answers may break the contract.
func faulty(t *testing.T, script string, o sandbox.Options) *rig {
	t.Helper()
	var err error
	if o.Faults, err = sandbox.ParseFaults(script); err != nil {
		t.Fatal(err)
	}
	return serve(t, []openapitest.Option{openapitest.RequestsOnly()}, o)
}

func serve(t *testing.T, checks []openapitest.Option, o sandbox.Options) *rig {
	t.Helper()
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	checked := openapitest.Middleware(t, openapitest.Any, s, append(checks, openapitest.AllowRefused())...)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s)
	mux.Handle("/_sandbox/", s)
	mux.Handle("/", checked)
	srv := httptest.NewServer(mux)
	client := &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		srv.Close()
	})
	return &rig{s, t, srv.URL, client}
}

// reply is what a request came back with.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

// send makes one request with a good key and a JSON body. A header is written "name: value"; an empty
// value takes the header away.
func (r *rig) send(method, path, body string, headers ...string) reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("apikey", "k")
	req.Header.Set("x-api-key", "k")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Del(name); value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), errors.Join(err, resp.Body.Close())}
}

// must sends and ends the test where the status is another one; it returns the decoded body.
func (r *rig) must(status int, method, path, body string, headers ...string) map[string]any {
	r.t.Helper()
	got := r.send(method, path, body, headers...)
	if got.err != nil || got.status != status {
		r.t.Fatalf("%s %s: %d %s %v, want %d", method, path, got.status, got.body, got.err, status)
	}
	var m map[string]any
	if got.body != "" {
		if err := json.Unmarshal([]byte(got.body), &m); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, got.body)
		}
	}
	return m
}

// create makes an agent and returns what was answered of it.
func (r *rig) create(path, body string) map[string]any {
	r.t.Helper()
	m := r.must(200, "POST", path, body)
	if agent, ok := m["agent"].(map[string]any); ok {
		return agent
	}
	return m
}

// names lists the agents at path by name, in order. The empty page that ends a list of Mindset's is answered 404.
func (r *rig) names(path string) string {
	r.t.Helper()
	got := r.send("GET", path, "")
	if got.err != nil || got.status != 200 && (got.status != 404 || got.body != `{"agents":[]}`) {
		r.t.Fatalf("list: %d %s %v", got.status, got.body, got.err)
	}
	var agents []map[string]any
	if err := json.Unmarshal([]byte(got.body), &agents); err != nil {
		var wrapped map[string][]map[string]any
		if err := json.Unmarshal([]byte(got.body), &wrapped); err != nil {
			r.t.Fatalf("list: %v in %s", err, got.body)
		}
		agents = append(wrapped["agents"], wrapped["data"]...)
	}
	var names []string
	for _, a := range agents {
		name, _ := a["name"].(string)
		if name == "" {
			name, _ = a["agentName"].(string)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// untilHeld returns as soon as a request hangs.
func (r *rig) untilHeld() {
	r.t.Helper()
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		for _, seen := range r.Requests() {
			if seen.Outcome == "held" {
				tick.Stop()
				return
			}
		}
		if r.t.Context().Err() != nil {
			r.t.Fatal("no request hangs")
		}
	}
}

// made returns how many agents there are, whatever lists show.
func (r *rig) made() int { return len(r.Agents("", "")) }

func nameComet(name string) string { return strings.Replace(newComet, "Concierge", name, 1) }
func nameMind(name string) string  { return strings.Replace(newMind, "Coach", name, 1) }

// sendTo makes a request under a host name and returns the status.
func (r *rig) sendTo(host, method, path string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("apikey", "k")
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
