package openapitest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"agentsync/internal/openapitest"
)

// recorder takes down what would have failed the test.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

const (
	goodAgent = `{"uid":"7f9c24e8-3b12-4fef-91d0-56a7f2a3b1c4","name":"A","createdAt":1700000000000,"_id":"x"}`
	newAgent  = `{"name":"A","icon":"https://e.example/i.png","integrateWith":"mastra","integrationType":"agent"}`
)

func TestChecksEachExchange(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, key, body string
		status                        int
		answer                        string
		options                       []openapitest.Option
		want                          string // part of the one report, or nothing
	}{
		{name: "right", method: "POST", path: "/x/v3/ai-agents/agents", key: "k", body: newAgent, status: 200,
			answer: `{"agent":` + goodAgent + `}`},
		{name: "bare list", method: "GET", path: "/v3/ai-agents/agents", key: "k", status: 200,
			answer: `[` + goodAgent + `]`},
		{name: "wrapped list", method: "GET", path: "/v3/ai-agents/agents", key: "k", status: 200,
			answer: `{"data":[` + goodAgent + `]}`},
		{name: "other error envelope", method: "GET", path: "/v3/ai-agents/agents", key: "k", status: 400,
			answer: `{"statusCode":400,"message":"m","error":"Bad Request"}`},
		{name: "no key", method: "GET", path: "/v3/ai-agents/agents", status: 200, answer: `[]`,
			want: "no apikey header"},
		{name: "unknown field", method: "POST", path: "/v3/ai-agents/agents", key: "k", body: `{"key":"a",` +
			newAgent[1:],
			status: 200, answer: `{"agent":` + goodAgent + `}`, want: "request breaks the contract"},
		{name: "wrong meta for its kind", method: "POST", path: "/v3/ai-agents/agents", key: "k",
			body: `{"integrationMeta":{"baseUrl":"https://b.example","headers":{}},` + newAgent[1:], status: 200,
			answer: `{"agent":` + goodAgent + `}`, want: "request breaks the contract"},
		{name: "unknown path", method: "GET", path: "/v3/agents", key: "k", status: 200, answer: `[]`,
			want: "no document knows"},
		{name: "wrong uid", method: "GET", path: "/v3/ai-agents/agents", key: "k", status: 200,
			answer: `[{"uid":"7","name":"A","createdAt":1}]`, want: "answer 200 breaks the contract"},
		{name: "undocumented status", method: "GET", path: "/v3/ai-agents/agents", key: "k", status: 204,
			want: "answer 204 breaks the contract"},
		{name: "wrong answer, requests only", method: "GET", path: "/v3/ai-agents/agents", key: "k", status: 204,
			options: []openapitest.Option{openapitest.RequestsOnly()}},
		{name: "breach refused", method: "GET", path: "/v3/ai-agents/agents", status: 401,
			answer:  `{"error":{"code":"AUTH_ERR_EMPTY_APIKEY","message":"m"}}`,
			options: []openapitest.Option{openapitest.AllowRefused()}},
		{name: "breach let through", method: "GET", path: "/v3/ai-agents/agents", status: 200, answer: `[]`,
			options: []openapitest.Option{openapitest.AllowRefused()}, want: "answered 200, though"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got, _ := io.ReadAll(r.Body); string(got) != tc.body {
					t.Errorf("the server read %q, want %q", got, tc.body)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.answer)
			})
			plain := httptest.NewServer(server)
			defer plain.Close()
			viaServer, viaClient := &recorder{TB: t}, &recorder{TB: t}
			checked := httptest.NewServer(openapitest.Middleware(viaServer, openapitest.CometChat, server,
				tc.options...))
			defer checked.Close()
			client := &http.Client{Transport: openapitest.Transport(viaClient, openapitest.Any, nil, tc.options...)}

			for _, side := range []struct {
				base   string
				client *http.Client
				rec    *recorder
			}{{checked.URL, http.DefaultClient, viaServer}, {plain.URL, client, viaClient}} {
				req, err := http.NewRequestWithContext(t.Context(), tc.method, side.base+
					tc.path, strings.NewReader(tc.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				if tc.key != "" {
					req.Header.Set("apikey", tc.key)
				}
				resp, err := side.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if string(got) != tc.answer || resp.StatusCode != tc.status {
					t.Errorf("answer: %d %q, want %d %q", resp.StatusCode, got, tc.status, tc.answer)
				}
				reports := strings.Join(side.rec.said, "\n")
				if (tc.want == "") != (reports == "") || !strings.Contains(reports, tc.want) {
					t.Errorf("reported %q, want %q", reports, tc.want)
				}
			}
		})
	}
}

func TestDroppedAnswerIsNotChecked(t *testing.T) {
	rec := &recorder{TB: t}
	drop := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	srv := httptest.NewServer(openapitest.Middleware(rec, openapitest.Mindset, drop))
	defer srv.Close()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/appuid/acme/agents", nil)
	req.Header.Set("x-api-key", "k")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatal("the dropped answer arrived")
	}
	if len(rec.said) > 0 {
		t.Errorf("reported %q", rec.said)
	}
}
