package platform_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"agentsync/internal/httpx"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
)

// answering serves one answer to every request.
func answering(t *testing.T, status int, header map[string]string, body string) *platform.Caller {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, v := range header {
			w.Header().Set(name, v)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return caller(t, s.URL+"/v3", nil)
}

func TestErrorsAreOnePlainSentence(t *testing.T) {
	html := map[string]string{"Content-Type": "text/html"}
	for _, c := range []struct {
		status int
		header map[string]string
		body   string
		want   string
	}{
		{400, nil, `{"error": {"code": "ERR_TOOL_NOT_FOUND", "message": "no tool x"}}`,
			"400 Bad Request: ERR_TOOL_NOT_FOUND: no tool x"},
		{400, nil, `{"statusCode": 400, "message": ["a is short", "b is long"], "error": "Bad Request"}`,
			"400 Bad Request: a is short; b is long"},
		{422, nil, `{"message": "nope"}`, "422 Unprocessable Entity: nope"},
		{404, nil, `{"error": "Not Found"}`, "404 Not Found: Not Found"},
		{502, html, "<html><head><title>502\n Bad &amp; ugly</title>",
			"502 Bad Gateway: an HTML page titled '502 Bad & ugly'"},
		{502, nil, "<!DOCTYPE html><p>x", "502 Bad Gateway: an HTML page"},
		{502, html, "<html><title> </title>", "502 Bad Gateway: an HTML page"},
		{500, nil, "", "500 Internal Server Error: an empty body"},
		{500, nil, "\xff\xfe", "500 Internal Server Error: 2 bytes that are no text"},
		{400, nil, `{"error": {"x": 1}, "message": "nope"}`, "400 Bad Request: nope"},
		{400, nil, `{"error": {"message": "nope"}, "message": "not this"}`, "400 Bad Request: nope"},
		{400, nil, `{"error": {"code": "ERR_X"}, "message": "not this"}`, "400 Bad Request: ERR_X"},
		{500, nil, `{"a": 1}`, `500 Internal Server Error: JSON that names no error: {"a": 1}`},
		{422, nil, `{"detail": [{"loc": ["body", "name"], "msg": "too long"}, {"msg": "no icon"}]}`,
			"422 Unprocessable Entity: too long; no icon"},
		{422, nil, `{"errors": ["a", {"message": "b"}, 3]}`, "422 Unprocessable Entity: a; b"},
		{400, map[string]string{"Content-Type": "application/problem+json"}, `{"title": "Bad", "status": 400}`,
			"400 Bad Request: Bad"},
		{400, nil, "\ufeff" + `{"message": "nope"}`, "400 Bad Request: nope"},
		{502, map[string]string{"Content-Encoding": "deflate"}, "x\x9c\x8b",
			`502 Bad Gateway: a body in the coding "deflate", which was not asked for`},
		{200, map[string]string{"Content-Encoding": "br"}, "\x8b\x01",
			`200 OK: a body in the coding "br", which was not asked for: the answer is not JSON`},
		{200, html, "<html><title>Sign in</title>", "200 OK: an HTML page titled 'Sign in': the answer is not JSON"},
		{200, nil, "", "200 OK: an empty body: the answer is empty"},
		{200, nil, "OK", "200 OK: OK: the answer is not JSON"},
		{200, nil, `{"uid": "secrets of`, "200 OK: what begins like JSON and is none: the answer is not JSON"},
		{200, nil, `{"error": {"code": "ERR_PLAN", "message": "not allowed"}}`,
			"200 OK: ERR_PLAN: not allowed: the answer says that it was not done"},
		{201, nil, `{"statusCode": 403, "message": "Forbidden", "error": "x"}`,
			"201 Created: Forbidden: the answer says that it was not done"},
		{200, nil, `{"success": false, "message": "quota reached"}`,
			"200 OK: quota reached: the answer says that it was not done"},
		{200, nil, `{"success": false}`, "200 OK: the answer says that it was not done"},
		{200, nil, `[1, 2]`, "200 OK: it is a list"},
		{400, nil, `{"message": "red \u001b[31m\u202e\u0007 alert\n\tnow"}`,
			"400 Bad Request: red \ufffd[31m\ufffd\ufffd alert now"},
		{400, nil, `{"message": "key ` + testKey + ` is wrong"}`, "400 Bad Request: key (secret) is wrong"},
		{400, nil, `{"error": {"code": "` + testKey + `", "message": "token s3cr3t-value-42"}}`,
			"400 Bad Request: (secret): token (secret)"},
		{400, nil, `{"message": "got Bearer s3cr3t-value-42!"}`, "400 Bad Request: got (secret)!"},
		{302, map[string]string{"Location": "https://u:pw@evil.example/" + testKey + "?k=token"}, "",
			"302 Found: the answer redirects to https://evil.example/(secret), which is not followed"},
		{308, map[string]string{"Location": "//portal.example/v4"}, "",
			"308 Permanent Redirect: the answer redirects to http://portal.example/v4, which is not followed"},
		{301, nil, "", "301 Moved Permanently: the answer redirects elsewhere, which is not followed"},
	} {
		t.Run(c.want, func(t *testing.T) {
			err := answering(t, c.status, c.header, c.body).Do(t.Context(), changes[0], func(a platform.Answer) error {
				if err := a.NotDone(); err != nil {
					return err
				}
				return errors.New("it is a list")
			})
			if want := "POST /v3/agents: " + c.want; err == nil || err.Error() != want {
				t.Errorf("%s\n got %v\nwant %s", c.body, err, want)
			}
		})
	}
}

func TestErrorsAreBounded(t *testing.T) {
	err := answering(t, 400, nil, `{"message": "`+strings.Repeat("x", 60_000)+`"}`).Do(t.Context(), changes[0], nil)
	if n := len(err.Error()); n < 400 || n > 700 {
		t.Errorf("%d bytes of error", n)
	}
}

// A secret in the cause of an error, which net/http makes of what the server sent, is hidden too.
func TestCausesAreRedacted(t *testing.T) {
	c := answering(t, 200, nil, "{}")
	leak := errors.New("it was " + testKey + " and \x1b[0m s3cr3t-value-42")
	err := c.Do(t.Context(), changes[0], func(platform.Answer) error { return leak })
	if want := "POST /v3/agents: 200 OK: it was (secret) and \ufffd[0m (secret)"; err.Error() != want ||
		!errors.Is(err, leak) {
		t.Errorf("got %v", err)
	}
	if platform.ClassOf(err) != platform.Unknown {
		t.Errorf("class %v", platform.ClassOf(err))
	}
}

// An answer that is none shows in an error of net/http's own, before there is a response to speak of.
func TestTheKeyIsHiddenWhereTheAnswerIsNone(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", r.Header.Get("apikey"))
		_ = conn.Close()
	}))
	defer s.Close()
	err := caller(t, s.URL, nil).Do(t.Context(), changes[0], nil)
	if err == nil || !strings.Contains(err.Error(), `malformed HTTP status code "(secret)"`) ||
		platform.ClassOf(err) != platform.Unknown {
		t.Errorf("got %v", err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	r := changes[0]
	r.Limit = 10
	for body, ok := range map[string]bool{"0123456789": true, "01234567890": false} {
		t.Run(body, func(t *testing.T) {
			err := answering(t, 200, nil, body).Do(t.Context(), r, nil)
			if (err == nil) != ok || !ok && platform.ClassOf(err) != platform.Unknown {
				t.Errorf("%d bytes: %v", len(body), err)
			}
		})
	}
}

func TestPathsAreEscaped(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter,
		r *http.Request) {
		got = r.URL.EscapedPath()
	}))
	defer s.Close()
	c := caller(t, s.URL+"/base", nil)
	if err := c.Do(t.Context(), platform.Request{Method: "GET", Path: []string{"a b", "x/../y?z"}}, nil); err != nil {
		t.Fatal(err)
	}
	if want := "/base/a%20b/x%2F..%2Fy%3Fz"; got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}

// What an error shows of an answer holds no secret of this run: the request's, the key, or another agent's.
func TestErrorsHideSecretsInEverySpelling(t *testing.T) {
	const other = "another-agents-token"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		hex := fmt.Sprintf("%x", "s3cr3t-value-42")
		fmt.Fprintf(w, `{"message": "a %s b %s c %s d %s e"}`, hex, strings.ToUpper(testKey), "S3cr3t%2dvalue%2D42",
			other)
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	hc, err := httpx.NewClient(httpx.Options{Base: u, KeyHeader: "apikey", Key: secret.Literal(testKey),
		Secrets: secret.Whole(other)})
	if err != nil {
		t.Fatal(err)
	}
	defer hc.CloseIdleConnections()
	err = platform.NewCaller(hc, u).Do(t.Context(), changes[0], nil)
	if want := "POST /agents: 400 Bad Request: a (secret) b (secret) c (secret) d (secret) e"; err == nil ||
		err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// What an adapter adds to the headers of a request is sent, under the canonical name.
func TestHeadersOfARequest(t *testing.T) {
	var got http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer s.Close()
	r := platform.Request{Method: http.MethodGet, Header: http.Header{"chatApiVersion": {"v3.0"}}}
	if err := caller(t, s.URL, nil).Do(t.Context(), r, nil); err != nil || got.Get("chatApiVersion") != "v3.0" ||
		got.Get("Accept") != "application/json" {
		t.Errorf("%v, %v", got, err)
	}
}
