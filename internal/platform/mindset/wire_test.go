package mindset_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/platform/mindset"
	"agentsync/internal/sandbox"
)

// serve returns a client of the app "acme" on handler.
func serve(t testing.TB, handler http.Handler) platform.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	p, err := mindset.New()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p.Client(agent.App{ID: agent.AppID{Platform: "mindset", App: "acme"}}, u, keyed(s.Client()))
}

// keyed adds an API key, for servers that want one.
func keyed(hc *http.Client) *http.Client {
	inner := hc.Transport
	hc.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("x-api-key", "k")
		return inner.RoundTrip(r)
	})
	return hc
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering answers every request with body, but a list that is asked for after something is empty
// once it is asked for after 2026-01-02T03:04:05.678Z, when the agents of these tests were made.
func answering(t testing.TB, body string) platform.Client {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if after := r.URL.Query().Get("startAfter"); after >= "2026-01-02T03:04:05.678Z" {
			fmt.Fprint(w, "[]")
			return
		}
		fmt.Fprint(w, body)
	}))
}

func TestListForms(t *testing.T) {
	const one = `[{"uid": "a", "createdAt": "2026-01-02T03:04:05.678Z", "agentName": "x", "new": 1}]`
	for body, want := range map[string]int{`{"agents": []}`: 0, `[]`: 0, one: 1, `{"agents": ` + one + `}`: 1, `{"data": ` + one + `}`: 1} {
		if list, err := answering(t, body).List(t.Context()); err != nil || len(list) != want {
			t.Errorf("%s: %v, %v", body, list, err)
		}
	}
	for body, says := range map[string]string{
		``: "empty", `{}`: "no list", `[{"agentName": "a"}]`: "without a usable uid", `[{"uid": "a"}]`: "no readable createdAt",
		`[{"uid": "a", "createdAt": 1767323045678}, {"uid": "a", "createdAt": 1767323045678}]`: "agent a twice",
	} {
		_, err := answering(t, body).List(t.Context())
		want := "GET /api/v1/appuid/acme/agents: "
		if platform.ClassOf(err) != platform.Unknown || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", body, err, says)
		}
	}
}

func TestAnswerForms(t *testing.T) {
	for _, body := range []string{`{"uid": "a"}`, `{"agent": {"uid": "a"}}`, `{"data": {"uid": "a"}}`} {
		made, err := answering(t, body).Create(t.Context(), agent.ContentOf(agent.Fields{"agentName": "x"}))
		if err != nil || made.UID != "a" {
			t.Errorf("create answered %s: %v, %v", body, made, err)
		}
	}
	for _, body := range []string{``, `{}`, `null`, `[]`, `{"uid": ""}`, `{"uid": "a b"}`, `<html>`} {
		if made, err := answering(t, body).Create(t.Context(), agent.ContentOf(agent.Fields{"agentName": "x"})); platform.ClassOf(err) != platform.Unknown {
			t.Errorf("create answered %s: %v, %v", body, made, err)
		}
	}
	r, err := answering(t, ``).Update(t.Context(), "a", agent.Fields{"agentName": "x"})
	if err != nil || r.UID != "a" || r.Content.Fields() != nil {
		t.Errorf("update answered nothing: %v, %v", r, err)
	}
	for _, body := range []string{`{"uid": "b"}`, `{}`, `<html>`} {
		if r, err := answering(t, body).Update(t.Context(), "a", agent.Fields{"agentName": "x"}); platform.ClassOf(err) != platform.Unknown {
			t.Errorf("update answered %s: %v, %v", body, r, err)
		}
	}
	if _, err := answering(t, ``).Read(t.Context(), "a"); platform.ClassOf(err) != platform.Unknown {
		t.Errorf("read answered nothing: %v", err)
	}
}

func TestBaseURL(t *testing.T) {
	p, err := mindset.New()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"": "https://a.api.mindset.ai", "c.api.mindset.ai": "https://c.api.mindset.ai", "e.api.mindset.ai": "", "evil.example": "",
	} {
		got, err := p.BaseURL(agent.App{Settings: map[string]string{"host": host}})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", host, got, err)
		}
	}
}

// The list is read over the sandbox in pages of 1,000, so the figure holds the sandbox's own time too.
func BenchmarkList10000(b *testing.B) {
	s, err := sandbox.New(sandbox.WithPageSize(1000))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	client := serve(b, s)
	for i := range 10_000 {
		fields := agent.Fields{
			"agentName": fmt.Sprint("Agent ", i), "agentPurpose": strings.Repeat("Help. ", 30), "tags": []any{"hr"},
			"externalTenantId": fmt.Sprint("tenant-", i),
		}
		if _, err := client.Create(b.Context(), agent.ContentOf(fields)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if list, err := client.List(b.Context()); err != nil || len(list) != 10_000 {
			b.Fatal(len(list), err)
		}
	}
}

// Of a long list each page goes wrong once: the page is read again, not the list.
func TestAPageIsTriedAgainAlone(t *testing.T) {
	const agents, size = 200, 50
	box, err := sandbox.New(sandbox.WithPageSize(size))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = box.Close() }()
	var mu sync.Mutex
	asked := map[string]int{}
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			mu.Lock()
			asked[r.URL.RawQuery]++
			first := asked[r.URL.RawQuery] == 1
			mu.Unlock()
			if first {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
		}
		box.ServeHTTP(w, r)
	}))
	for i := range agents {
		if _, err := c.Create(t.Context(), agent.ContentOf(agent.Fields{"agentName": fmt.Sprint("a", i)})); err != nil {
			t.Fatal(err)
		}
	}
	patient := platform.RetryReads(c, platform.RetryPolicy{Tries: 2, First: time.Microsecond, Max: time.Microsecond})
	list, err := patient.List(t.Context())
	if err != nil || len(list) != agents {
		t.Fatalf("%d agents: %v", len(list), err)
	}
	if len(asked) < agents/size {
		t.Errorf("%d pages", len(asked))
	}
	if n := asked[""]; n != 2 {
		t.Errorf("the list was begun %d times", n-1)
	}
}
