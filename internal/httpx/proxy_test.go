package httpx_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"agentsync/internal/httpx"
	"agentsync/internal/secret"
)

func TestCheckProxy(t *testing.T) {
	for v, ok := range map[string]bool{
		"": true, "http://proxy:3128": true, "https://user:pass@proxy:3128/": true, "proxy:3128": true, "proxy": true,
		"10.0.0.1:3128": true, "socks5://proxy:1080": true, "[::1]:3128": true,
		"ftp://proxy:21": false, "http://": false, "http://pro xy:3128": false, "http:// proxy": false,
		"http://proxy:port": false, "://x": false,
	} {
		t.Run(v, func(t *testing.T) {
			for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
				err := httpx.CheckProxy(func(asked string) string {
					if asked == name {
						return v
					}
					return ""
				})
				if (err == nil) != ok || err != nil &&
					(!strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "3128")) {
					t.Errorf("%s=%s: %v", name, v, err)
				}
			}
		})
	}
}

// A proxy that refuses is named: it is not the platform that said so.
func TestAProxysRefusalNamesTheProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer proxy.Close()
	at, err := url.Parse(strings.Replace(proxy.URL, "http://", "http://user:hunter2@", 1))
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, "https://platform.test")
	o.Proxy = http.ProxyURL(at)
	_, err = get(t, client(t, o), "https://platform.test/x")
	want := "the proxy " + at.Host + " refused to connect to platform.test:443: 403 Forbidden"
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAnUnknownAuthorityNamesTheVariable(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the failed handshake is meant
	s.StartTLS()
	defer s.Close()
	o := options(t, s.URL)
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if _, err := get(t, client(t, o), s.URL); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("got %v", err)
	}
}

func TestKeysThatCannotStandInAHeader(t *testing.T) {
	for key, says := range map[string]string{
		"Bearer abc": "without a word such as Bearer", "abc\n": "line end around it", " abc": "white space",
		"a\u00fcb": "umlaut", "": "empty", "a\tb": "line end",
	} {
		t.Run(key, func(t *testing.T) {
			o := options(t, "https://platform.test")
			o.Key = secret.Literal(key)
			if _, err := httpx.NewClient(o); err == nil || !strings.Contains(err.Error(), says) || key != "" &&
				strings.Contains(err.Error(), key) {
				t.Errorf("%v, want %q", err, says)
			}
		})
	}
}
