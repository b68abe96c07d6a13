package httpx_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"agentsync/internal/httpx"
	"agentsync/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "the-api-key-0123456789"

func options(t *testing.T, base string) httpx.Options {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return httpx.Options{Base: u, KeyHeader: "x-api-key", Key: secret.Literal(key), UserAgent: "agentsync/1.2.3"}
}

func client(t *testing.T, o httpx.Options) *http.Client {
	t.Helper()
	c, err := httpx.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, c *http.Client, target string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestKeyGoesToItsHostAlone(t *testing.T) {
	seen := make(chan http.Header, 10)
	record := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Clone() })
	home, foreign := httptest.NewServer(record), httptest.NewServer(record)
	defer home.Close()
	defer foreign.Close()
	c := client(t, options(t, home.URL+"/v3"))
	if _, err := get(t, c, home.URL+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if h := <-seen; h.Get("X-Api-Key") != key || h.Get("User-Agent") != "agentsync/1.2.3" {
		t.Errorf("headers %v", h)
	}
	for _, target := range []string{
		foreign.URL, strings.Replace(home.URL, "http:", "https:", 1), strings.Replace(home.URL, "127.0.0.1",
			"localhost", 1),
	} {
		_, err := get(t, c, target)
		if !httpx.NeverSent(err) || strings.Contains(fmt.Sprint(err), key) {
			t.Errorf("%s: %v", target, err)
		}
	}
	if len(seen) != 0 {
		t.Errorf("%d requests arrived elsewhere", len(seen))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*httpx.Options){
		"no base":     func(o *httpx.Options) { o.Base = nil },
		"no host":     func(o *httpx.Options) { o.Base = &url.URL{Scheme: "https", Path: "/x"} },
		"ftp":         func(o *httpx.Options) { o.Base = &url.URL{Scheme: "ftp", Host: "h"} },
		"empty key":   func(o *httpx.Options) { o.Key = secret.Literal("") },
		"line end":    func(o *httpx.Options) { o.Key = secret.Literal(key + "\n") },
		"inner break": func(o *httpx.Options) { o.Key = secret.Literal(key + "\r\nHost: x") },
		"no ASCII":    func(o *httpx.Options) { o.Key = secret.Literal(key + "é") },
		"unresolved":  func(o *httpx.Options) { o.Key = secret.Template("${secret:" + key + "}") },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "https://a.example")
			change(&o)
			if _, err := httpx.NewClient(o); err == nil || strings.Contains(err.Error(), key) {
				t.Error(err)
			}
		})
	}
}

func TestTimeoutCoversTheBody(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	}))
	defer s.Close()
	defer close(release)
	o := options(t, s.URL)
	o.Timeout = 50 * time.Millisecond
	c := client(t, o)
	for _, path := range []string{"/headers", "/body"} {
		got, err := get(t, c, s.URL+path)
		if !errors.Is(err, httpx.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "50ms") {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestTraceShowsNoSecret(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=hush")
		w.Header().Set("X-Request-Id", "id \u202e"+r.Header.Get("X-Api-Key"))
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "hush")
	}))
	var mu sync.Mutex
	var lines []string
	o := options(t, s.URL)
	o.Trace = func(line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	}
	c := client(t, o)
	resp, err := c.Post(s.URL+"/agents?startAfter=x", "application/json", strings.NewReader(`{"a":"hush"}`))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	_ = resp.Body.Close()
	s.Close()
	if _, err := get(t, c, s.URL); err == nil {
		t.Fatal("a closed server answered")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(lines) != 2 {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	want := `POST /agents?startAfter=x (12 bytes): HTTP/1.1 418 I'm a teapot, Content-Type: "text/plain; ` +
		`charset=utf-8", X-Request-Id: "id \u202e(secret)", 4 bytes in `
	if !strings.HasPrefix(lines[0], want) {
		t.Errorf("got  %s\nwant %s…", lines[0], want)
	}
	if all := strings.Join(lines, "\n"); strings.Contains(all, "hush") || strings.Contains(all, key) ||
		!strings.Contains(lines[1], "refused") {
		t.Errorf("lines %q", lines)
	}
}

// Over HTTP/2 a request cannot be given up without the others on its connection.
func TestHTTP2IsNotSpoken(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	o := options(t, s.URL)
	o.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
	c := client(t, o)
	for range 2 {
		if got, err := get(t, c, s.URL); got != "HTTP/1.1" {
			t.Errorf("spoke %q, %v", got, err)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the failed handshake is meant
	s.StartTLS()
	defer s.Close()
	o := options(t, s.URL)
	o.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	o.TLS.MinVersion = tls.VersionTLS10
	if _, err := get(t, client(t, o), s.URL); err == nil || !strings.Contains(err.Error(), "tls") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	const n = 8
	var arrived sync.WaitGroup
	var mu sync.Mutex
	conns := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wave" {
			arrived.Done()
			arrived.Wait() // n requests are in flight at once
		}
		mu.Lock()
		defer mu.Unlock()
		conns[r.RemoteAddr] = true
	}))
	defer s.Close()
	o := options(t, s.URL)
	o.Concurrency = n
	c := client(t, o)
	for range 5 {
		arrived.Add(n)
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				for i := range 30 { // the next one often comes before the connection of the last is free
					path := "/"
					if i == 0 {
						path = "/wave"
					}
					if _, err := get(t, c, s.URL+path); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	if len(conns) != n {
		t.Errorf("%d connections for %d in flight", len(conns), n)
	}
}

func TestProxyIsAsked(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "via proxy to "+r.URL.Host)
	}))
	defer proxy.Close()
	o := options(t, "http://platform.test")
	o.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	if got, err := get(t, client(t, o), "http://platform.test/x"); got != "via proxy to platform.test" {
		t.Errorf("%q, %v", got, err)
	}
}
