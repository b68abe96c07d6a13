package mindset_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/platform"
	"agentsync/internal/platform/mindset"
	"agentsync/internal/sandbox"
	"agentsync/internal/secret"
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
	hc, err := httpx.NewClient(httpx.Options{Base: u, KeyHeader: p.APIKeyHeader(), Key: secret.Literal("a-key"),
		Retry: httpx.Retry{Tries: 2, First: time.Microsecond, Max: time.Microsecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hc.CloseIdleConnections)
	return p.Client(agent.App{ID: agent.AppID{Platform: "mindset", App: "acme"}}, u, hc)
}

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
	for body, want := range map[string]int{`{"agents": []}`: 0, `[]`: 0, one: 1, `{"agents": ` + one + `}`: 1,
		`{"data": ` + one + `}`: 1} {
		t.Run(body, func(t *testing.T) {
			if list, err := answering(t, body).List(t.Context()); err != nil || len(list) != want {
				t.Errorf("%v, %v", list, err)
			}
		})
	}
	for body, says := range map[string]string{
		``: "empty", `{}`: "no list", `[{"agentName": "a"}]`: "without a usable uid",
		`[{"uid": "a"}]`: "no readable createdAt",
		`[{"uid": "a", "createdAt": 1767323045678}, {"uid": "a", "createdAt": 1767323045678}]`: "agent a twice",
	} {
		t.Run(body, func(t *testing.T) {
			_, err := answering(t, body).List(t.Context())
			want := "GET /api/v1/appuid/acme/agents: "
			if platform.ClassOf(err) != platform.Unknown || !strings.HasPrefix(err.Error(), want) ||
				!strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		})
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
		if made, err := answering(t, body).Create(t.Context(),
			agent.ContentOf(agent.Fields{"agentName": "x"})); platform.ClassOf(err) != platform.Unknown {
			t.Errorf("create answered %s: %v, %v", body, made, err)
		}
	}
	for _, body := range []string{
		``, `{"uid": "b"}`, `{}`, `<html>`, `{"error": "no"}`, `{"success": true}`, `{"uid": "a", "agentName": "x`,
		`{"uid": "a"}}`,
	} {
		if r, err := answering(t, body).Update(t.Context(), "a",
			agent.Fields{"agentName": "x"}); platform.ClassOf(err) != platform.Unknown {
			t.Errorf("update answered %s: %v, %v", body, r, err)
		}
	}
	if _, err := answering(t, ``).Read(t.Context(), "a"); platform.ClassOf(err) != platform.Unknown {
		t.Errorf("read answered nothing: %v", err)
	}
	for body, done := range map[string]bool{
		``: true, " \n": true, `{}`: false, `null`: false, `{"success": true}`: true, `{"uid": "a"}`: true,
		`{"error": {"code": "ERR_PLAN", "message": "no"}}`: false, `{"error": "no"}`: false,
		`<html>Sign in</html>`: false,
		`{"statusCode": 403, "message": "Forbidden", "error": "Forbidden"}`: false, `{"success": false}`: false,
		`[]`:               false,
		`{"message": "x"}`: false, `OK`: false, `{`: false, `true`: false,
	} {
		t.Run(body, func(t *testing.T) {
			if err := answering(t, body).Delete(t.Context(), "a"); (err == nil) != done || !done &&
				platform.ClassOf(err) != platform.Unknown {
				t.Errorf("delete answered %q: %v", body, err)
			}
		})
	}
}

// status answers every request with a status and a body.
func status(t *testing.T, code int, body string) platform.Client {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
}

// A 404 whose body is an empty list is the end of a list, also the first page; any other is an error.
func TestA404ThatIsAnEmptyList(t *testing.T) {
	for body, ends := range map[string]bool{
		`[]`: true, `{"agents": []}`: true, `{"agents": null}`: true, ` {"agents": [ ]} `: true, `{"data": []}`: true,
		`{"agents": [], "total": 0}`: true,
		``:                           false, `{}`: false, `null`: false, `{"data": null}`: false, `<html>`: false,
		`{"error": "Not Found"}`: false, `{"agents": {}}`: false,
		`{"message": "Not Found"}`: false, `{"agents": [], "error": "no such app"}`: false,
		`{"agents": null, "error": "x"}`:                      false,
		`[{"uid": "a", "createdAt": "2026-01-02T03:04:05Z"}]`: false, `[] []`: false, `"agents"`: false,
	} {
		t.Run(body, func(t *testing.T) {
			list, err := status(t, 404, body).List(t.Context())
			if ends && (err != nil || len(list) != 0) {
				t.Errorf("%v, %v", list, err)
			}
			if !ends && (!errors.Is(err, platform.ErrNotFound) || platform.ClassOf(err) != platform.Refused) {
				t.Errorf("%v, want a 404", err)
			}
		})
	}
	for _, body := range []string{`{"agents": null}`, `[]`, `{"agents": []}`} {
		if list, err := answering(t, body).List(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("200 with %s: %v, %v", body, list, err)
		}
	}
	// Other statuses are what they are.
	if _, err := status(t, 403, `{"agents": []}`).List(t.Context()); !errors.Is(err, platform.ErrKeyRefused) {
		t.Errorf("403 with an empty list: %v", err)
	}
}

// At every page size, with a 404 at the end of each list.
func TestListsThatEndIn404(t *testing.T) {
	for size := 2; size <= 8; size++ { // a page of one has no room for what shows that nothing lies between two
		for n := range 7 {
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			clock := func() time.Time { now = now.Add(time.Millisecond); return now }
			box, err := sandbox.New(sandbox.Options{PageSize: size, Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				box.ServeHTTP(rec, r)
				if r.Method == http.MethodGet && strings.TrimSpace(rec.Body.String()) == `{"agents":[]}` {
					rec.Code = http.StatusNotFound
				}
				w.WriteHeader(rec.Code)
				_, _ = w.Write(rec.Body.Bytes())
			}))
			for i := range n {
				if _, err := c.Create(t.Context(), agent.ContentOf(agent.Fields{"agentName": fmt.Sprint("a",
					i)})); err != nil {
					t.Fatal(err)
				}
			}
			if list, err := c.List(t.Context()); err != nil || len(list) != n {
				t.Errorf("%d agents in pages of %d: %d, %v", n, size, len(list), err)
			}
			if err := box.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Who says that there is no such agent: the platform, in JSON of its own, and not whoever answers 404.
func TestWhoSaysThatThereIsNoSuchAgent(t *testing.T) {
	for body, own := range map[string]bool{
		`{"error": "Agent not found"}`: true, `{"statusCode": 404, "message": "no"}`: true, `{"message": "no"}`: true,
		``: false, `{}`: false, `<html><title>404</title>`: false, `Not Found`: false, `[]`: false,
	} {
		t.Run(body, func(t *testing.T) {
			_, err := status(t, 404, body).Read(t.Context(), "a")
			if !errors.Is(err, platform.ErrNotFound) || errors.Is(err, platform.ErrNoSuchAgent) != own {
				t.Errorf("read answered 404 %s: %v, no such agent: %v", body, err, !own)
			}
			for what, err := range map[string]error{
				"delete": status(t, 404, body).Delete(t.Context(), "a"),
				"update": func() error {
					_, err := status(t, 404, body).Update(t.Context(), "a", agent.Fields{"agentName": "x"})
					return err
				}(),
			} {
				if !errors.Is(err, platform.ErrNotFound) || errors.Is(err, platform.ErrNoSuchAgent) {
					t.Errorf("%s answered 404 %s: %v", what, body, err)
				}
			}
		})
	}
	if _, err := status(t, 410, `{"error": "gone"}`).Read(t.Context(), "a"); errors.Is(err, platform.ErrNoSuchAgent) ||
		errors.Is(err, platform.ErrNotFound) {
		t.Errorf("410: %v", err)
	}
}

func TestBaseURL(t *testing.T) {
	p, err := mindset.New()
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"": "https://a.api.mindset.ai", "c.api.mindset.ai": "https://c.api.mindset.ai", "e.api.mindset.ai": "",
		"evil.example": "",
	} {
		t.Run(host, func(t *testing.T) {
			got, err := p.BaseURL(agent.App{Settings: map[string]string{"host": host}})
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// The list is read over the sandbox in pages of 1,000, so the figure holds the sandbox's own time too.
func BenchmarkList10000(b *testing.B) {
	s, err := sandbox.New(sandbox.Options{PageSize: 1000})
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
	box, err := sandbox.New(sandbox.Options{PageSize: size})
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
	list, err := c.List(t.Context())
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

// TestReferences over the sandbox: every context, whatever the page size and whichever way the list ends.
func TestReferences(t *testing.T) {
	for _, end := range []int{200, 404} {
		for size := 2; size <= 5; size++ {
			s, err := sandbox.New(sandbox.Options{Contexts: []string{"a", "b", "c", "d"}, PageSize: size, ListEnd: end})
			if err != nil {
				t.Fatal(err)
			}
			h := httptest.NewServer(s)
			p, err := mindset.New()
			if err != nil {
				t.Fatal(err)
			}
			base, err := url.Parse(h.URL)
			if err != nil {
				t.Fatal(err)
			}
			hc, err := httpx.NewClient(httpx.Options{Base: base, KeyHeader: p.APIKeyHeader(),
				Key: secret.Literal("a-key")})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.References(t.Context(), agent.App{ID: agent.AppID{Platform: "mindset", App: "acme"}}, base,
				hc)
			hc.CloseIdleConnections()
			if err != nil || fmt.Sprint(got) != "[{context a a} {context b b} {context c c} {context d d}]" {
				t.Errorf("pages of %d, ended by %d: %v, %v", size, end, got, err)
			}
			h.Close()
		}
	}
}

// A server that drips page after page, each within its time limit, ends nevertheless.
func TestAListEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pages, start := 0, time.Now()
		list, err := listOver(t, func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(29 * time.Second):
			case <-r.Context().Done():
				return nil, context.Cause(r.Context())
			}
			pages++
			return agentsAt(pages-1, pages), nil
		})
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "within 30m0s") ||
			took > 31*time.Minute {
			t.Errorf("%d agents after %v: %v", len(list), took, err)
		}
	})
}

// A list whose pages do not fit together is begun three times.
func TestLimitOfTries(t *testing.T) {
	for changes, whole := range map[int]bool{2: true, 3: false, 4: false} {
		t.Run(fmt.Sprint(changes), func(t *testing.T) {
			tries := 0
			list, err := listOver(t, func(r *http.Request) (*http.Response, error) {
				switch after := r.URL.Query().Get("startAfter"); {
				case after == "":
					tries++
					return agentsAt(0, 1), nil
				case tries <= changes: // without the last one of the page before
					return agentsAt(2), nil
				case strings.Contains(after, "00:00:01"): // from just before the last one
					return agentsAt(2), nil
				default:
					return agentsAt(1, 2), nil
				}
			})
			if (err == nil) != whole || whole && len(list) != 3 || tries != 3 {
				t.Errorf("%d tries, %d agents: %v", tries, len(list), err)
			}
		})
	}
}

// A list may be read for half an hour, whatever its pages take.
func TestLimitOfTheTimeForAList(t *testing.T) {
	for over, whole := range map[time.Duration]bool{-time.Millisecond: true, time.Millisecond: false} {
		t.Run(over.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				list, err := listOver(t, func(r *http.Request) (*http.Response, error) {
					if r.URL.Query().Get("startAfter") == "" {
						return agentsAt(0, 1), nil
					}
					select {
					case <-time.After(30*time.Minute + over):
						return agentsAt(1), nil
					case <-r.Context().Done():
						return nil, context.Cause(r.Context())
					}
				})
				if (err == nil) != whole || whole && len(list) != 2 {
					t.Errorf("%d agents: %v", len(list), err)
				}
			})
		})
	}
}

// listOver reads a list that answer answers, page by page.
func listOver(t *testing.T, answer roundTrips) ([]platform.Remote, error) {
	t.Helper()
	p, err := mindset.New()
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("https://platform.test")
	if err != nil {
		t.Fatal(err)
	}
	return p.Client(agent.App{ID: agent.AppID{Platform: "mindset", App: "acme"}}, base,
		&http.Client{Transport: answer}).List(t.Context())
}

// agentsAt is a page of agents that were made in the given seconds.
func agentsAt(seconds ...int) *http.Response {
	var page []string
	for _, n := range seconds {
		at := time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC).Format(time.RFC3339)
		page = append(page, fmt.Sprintf(`{"uid": "a%d", "createdAt": %q}`, n, at))
	}
	body := "[" + strings.Join(page, ", ") + "]"
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}
}

type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
