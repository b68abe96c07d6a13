package cometchat_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/platform/cometchat"
)

// answering returns a client whose every request is answered 200 with body.
func answering(t testing.TB, body string) platform.Client {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
}

// serve returns a client on handler.
func serve(t testing.TB, handler http.Handler) platform.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	p, err := cometchat.New()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.URL + "/v3")
	if err != nil {
		t.Fatal(err)
	}
	return p.Client(agent.App{}, u, s.Client())
}

func TestListForms(t *testing.T) {
	for body, want := range map[string]string{
		`[]`: "", `{"data": []}`: "", `{"agents": [{"uid": "a"}]}`: "a",
		`[{"uid": "a", "deletedAt": null}, {"uid": "b", "deletedAt": "2026-01-02T03:04:05Z"}, {"uid": "c", "deletedAt": ` +
			`1767323045678}, {"uid": "d", "deletedAt": ""}]`: "a d",
		`[{"uid": 7, "createdAt": 1767323045678, "_id": {}}]`: "7",
		`[{"uid": "b", "deletedAt": 1}, {"uid": "b"}]`:        "b",
		`{"data": [{"uid": "a"}], "meta": {"pagination": {"total": 0, "count": 1, "per_page": 100, "current_page": 1, ` +
			`"total_pages": 1}}}`: "a",
		`{"data": [{"uid": "a"}], "meta": {"pagination": {"total": 1}, "cursor": {"updatedAt": 1}}}`: "a",
	} {
		t.Run(body, func(t *testing.T) {
			list, err := answering(t, body).List(t.Context())
			var got []string
			for _, r := range list {
				got = append(got, r.UID)
			}
			if err != nil || strings.Join(got, " ") != want {
				t.Errorf("%v, %v; want %s", got, err, want)
			}
		})
	}
	for body, says := range map[string]string{
		``: "empty", `{}`: "no list", `[{"name": "a"}]`: "without a usable uid",
		`[{"uid": "a/b"}]`: `without a usable uid: "a/b"`, `[{"uid": ""}]`: "without a usable uid",
		`{"data": [{"uid": "a"}], "meta": {"pagination": {"total": 250, "per_page": 100, "current_page": 1, ` +
			`"total_pages": 3}}}`: "page 1 of 3",
		`{"data": [{"uid": "a"}], "meta": {"pagination": {"total": 2}}}`: "shows 1 agents of 2",
		`[{"uid": "a"}, {"uid": "a"}]`:                                   "agent a twice",
	} {
		t.Run(body, func(t *testing.T) {
			_, err := answering(t, body).List(t.Context())
			if platform.ClassOf(err) != platform.Unknown || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		})
	}
}

// An agent whose rest is odd is there all the same, in a list beside others and in the answer to a create.
func TestOddAgentsKeepTheirUID(t *testing.T) {
	for _, odd := range []string{
		`{"uid": "a", "tools": "x"}`, `{"uid": "a", "name": ["x"]}`, `{"uid": "a", "metaData": 1}`,
		`{"uid": "a", "metaData": {"n": 1e400}}`,
	} {
		list, err := answering(t, `[`+odd+`, {"uid": "b", "name": "y"}]`).List(t.Context())
		if err != nil || len(list) != 2 || list[0].UID != "a" || list[0].Unreadable == nil ||
			!list[0].Content.IsZero() ||
			list[1].Unreadable != nil || list[1].Content.Fields()["name"] != "y" {
			t.Errorf("listed %s: %+v, %v", odd, list, err)
		}
		made, err := answering(t, `{"agent": `+odd+`}`).Create(t.Context(), agent.ContentOf(agent.Fields{"name": "x"}))
		if err != nil || made.UID != "a" || made.Unreadable == nil || !made.Content.IsZero() {
			t.Errorf("created %s: %+v, %v", odd, made, err)
		}
	}
}

func TestCreateForms(t *testing.T) {
	for _, body := range []string{
		`{"agent": {"uid": "a", "name": "x"}}`, `{"uid": "a", "name": "x"}`, `{"data": {"uid": "a", "name": "x"}}`,
		`{"data": {"agent": {"uid": "a", "name": "x"}}}`, `{"success": true, "agent": {"uid": "a", "name": "x"}}`,
	} {
		made, err := answering(t, body).Create(t.Context(), agent.ContentOf(agent.Fields{"name": "x"}))
		if err != nil || made.UID != "a" || made.Content.Fields()["name"] != "x" {
			t.Errorf("%s: %v, %v", body, made, err)
		}
	}
	for _, body := range []string{``, `{}`, `null`, `[]`, `{"success": true}`, `{"agent": {"name": "x"}}`,
		`{"agent": {"uid": ""}}`, `{"agent": {"uid": "../x"}}`, `<html>`} {
		if made, err := answering(t, body).Create(t.Context(),
			agent.ContentOf(agent.Fields{"name": "x"})); platform.ClassOf(err) != platform.Unknown {
			t.Errorf("%s: %v, %v", body, made, err)
		}
	}
}

func TestUpdateForms(t *testing.T) {
	for body, fields := range map[string]bool{
		`{"success": true}`: false, `{"success": true, "error": null}`: false,
		`{"agent": {"uid": "a", "name": "x"}}`: true,
		`{"data": {"uid": "a"}}`:               true,
		`{"data": {"success": true}}`:          false, `{"agent": {"uid": "a", "name": ["odd"]}}`: false,
	} {
		t.Run(body, func(t *testing.T) {
			r, err := answering(t, body).Update(t.Context(), "a", agent.Fields{"name": "x"})
			if err != nil || r.UID != "a" || (r.Content.Fields() != nil) != fields {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
	for _, body := range []string{
		``, ` `, `{}`, `{"success": false}`, `{"success": "no"}`, `{"data": {"success": false}}`, `[]`, `null`,
		`{"agent": {"uid": "b"}}`, `<html>`,
		`{"error": {"code": "ERR_PLAN", "message": "no"}}`, `{"success": true, "error": "no"}`, `{"success": true`,
		`{"message": "done"}`,
		`{"statusCode": 403, "message": "Forbidden", "error": "Forbidden"}`,
	} {
		if err := answering(t, body).Delete(t.Context(), "a"); body != `{"agent": {"uid": "b"}}` &&
			platform.ClassOf(err) != platform.Unknown {
			t.Errorf("delete answered %s: %v", body, err)
		}
		if r, err := answering(t, body).Update(t.Context(), "a",
			agent.Fields{"name": "x"}); platform.ClassOf(err) != platform.Unknown {
			t.Errorf("%s: %v, %v", body, r, err)
		}
	}
	for _, body := range []string{`{"success": true}`, `{"success": true, "message": "x"}`,
		`{"data": {"success": true}}`} {
		if err := answering(t, body).Delete(t.Context(), "a"); err != nil {
			t.Errorf("delete answered %s: %v", body, err)
		}
	}
	// What the platform said is in the error of a create, too, that was answered by a 200.
	_, err := answering(t, `{"success": false, "message": "quota reached"}`).Create(t.Context(),
		agent.ContentOf(agent.Fields{"name": "x"}))
	if platform.ClassOf(err) != platform.Unknown || !strings.Contains(err.Error(), "quota reached") {
		t.Errorf("create that was not done: %v", err)
	}
}

// The statuses of the platform's codes are not documented, so its code says whether it refused the key or the request.
func TestWhatTheCodeSaysOfTheKey(t *testing.T) {
	for code, refused := range map[string]map[int]bool{
		"AUTH_ERR_APIKEY_NOT_FOUND":    {200: true, 400: true, 401: true, 403: true, 404: true, 500: true},
		"AUTH_ERR_INVALID_APPID":       {400: true, 403: true, 404: true},
		"ERR_PLAN_QUOTA_RESTRICTION":   {200: false, 400: false, 401: false, 403: false},
		"ERR_TOOL_NOT_FOUND":           {403: false, 404: false},
		"403":                          {403: true, 400: false},
		"AUTHOR_OF_NO_CODE_WE_KNOW_OF": {400: false, 403: true},
	} {
		for status, want := range refused {
			t.Run(fmt.Sprint(code, status), func(t *testing.T) {
				client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(status)
					fmt.Fprintf(w, `{"error": {"code": %q, "message": "no"}}`, code)
				}))
				_, listed := client.List(t.Context())
				_, created := client.Create(t.Context(), agent.ContentOf(agent.Fields{"name": "x"}))
				_, updated := client.Update(t.Context(), "a", agent.Fields{"name": "x"})
				for _, err := range []error{listed, created, updated, client.Delete(t.Context(), "a")} {
					if err == nil || errors.Is(err, platform.ErrKeyRefused) != want {
						t.Errorf("the key is refused is not %v: %v", want, err)
					}
				}
			})
		}
	}
}

// There is no such agent if the platform's own code says so, whatever the status, and for nothing else.
func TestWhoSaysThatThereIsNoSuchAgent(t *testing.T) {
	const code = `{"error": {"code": "ERR_AGENT_NOT_FOUND", "message": "The agent does not exist."}}`
	for _, c := range []struct {
		status    int
		body      string
		is, is404 bool
	}{
		{404, code, true, true}, {400, code, true, false}, {200, code, true, false},
		{404, `{"error": {"code": "ERR_APP_NOT_FOUND", "message": "ERR_AGENT_NOT_FOUND"}}`, false, true},
		{404, `<html>ERR_AGENT_NOT_FOUND</html>`, false, true}, {404, ``, false, true},
		{404, `{"message": "Not Found"}`, false, true},
	} {
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		_, updateErr := client.Update(t.Context(), "a", agent.Fields{"name": "x"})
		for what, err := range map[string]error{"update": updateErr, "delete": client.Delete(t.Context(), "a")} {
			t.Run(what, func(t *testing.T) {
				if errors.Is(err, platform.ErrNoSuchAgent) != c.is || errors.Is(err, platform.ErrNotFound) != c.is404 {
					t.Errorf("%s answered %d %s: %v", what, c.status, c.body, err)
				}
			})
		}
	}
}

func TestBaseURL(t *testing.T) {
	p, err := cometchat.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ app, region, want string }{
		{"2754abc", "eu", "https://2754abc.api-eu.cometchat.io/v3"},
		{"2754abc", "", ""}, {"2754abc", "EU", ""}, {"evil.example/", "us", ""}, {"a-", "us", ""}, {"", "us", ""},
	} {
		t.Run(c.app+" in "+c.region, func(t *testing.T) {
			app := agent.App{ID: agent.AppID{Platform: "cometchat", App: c.app},
				Settings: map[string]string{"region": c.region}}
			if got, err := p.BaseURL(app); got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q in %q: %q, %v", c.app, c.region, got, err)
			}
		})
	}
}

func BenchmarkList10000(b *testing.B) {
	var body strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&body,
			`,{"uid":"6f1e2c9a-0b7d-4a51-9c64-%012d","appId":"demo","name":"Agent %d",`+
				`"icon":"https://cdn.example.com/bot.png","isActive":true,"integrateWith":"langgraph","integrationType":"agent",`+
				`"tools":["weather"],"actions":[],"instruction":null,"integrationMeta":{"baseUrl":"https://lg.example.com",`+
				`"headers":{"authorization":"********"}},"metaData":{"greetingMessage":"Hello","suggestedMessages":["a","b"]},`+
				`"deletedAt":null,"createdAt":1767323045678,"updatedAt":1767323045678}`, i, i)
	}
	client := answering(b, "["+body.String()[1:]+"]")
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if list, err := client.List(b.Context()); err != nil || len(list) != 10_000 {
			b.Fatal(len(list), err)
		}
	}
}

func TestReferences(t *testing.T) {
	for body, want := range map[string]string{
		`[]`: "[] <nil>",
		`[{"name":"a","type":"tool","displayName":"A"},` +
			`{"name":"b","type":"action"},{"type":"tool"}]`: "[{tool a A} {action b }] <nil>",
		`{"data":[{"name":"a","type":"tool"}]}`:                                                          "[{tool a }] <nil>",
		`{"data":[{"name":"a","type":"tool"}],"meta":{"pagination":{"current_page":1,"total_pages":2}}}`: "cut short",
		`{"error":{"code":"X","message":"m"}}`:                                                           "no list",
	} {
		t.Run(body, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
				r *http.Request) {
				fmt.Fprint(w, body)
			}))
			p, err := cometchat.New()
			if err != nil {
				t.Fatal(err)
			}
			base, _ := url.Parse(s.URL)
			got, err := p.References(t.Context(), agent.App{}, base, s.Client())
			if text := fmt.Sprint(got, err); !strings.Contains(text, want) {
				t.Errorf("%s, want %s", text, want)
			}
			s.Close()
		})
	}
}
