package httpx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// authenticate adds the API key and the User-Agent to requests that go to origin, and stops all others. It
// changes the request, which is the time limit's copy of the caller's, and not the caller's header.
type authenticate struct {
	next           http.RoundTripper
	base           url.URL
	origin         string   // of base
	header         string   // in the canonical form of net/http
	key, userAgent []string // as values of a header, which nobody changes
}

// errForeignHost is why a request was stopped.
var errForeignHost = errors.New("the request would go to another host than the one that the API key belongs to")

// RoundTrip implements http.RoundTripper.
func (a *authenticate) RoundTrip(req *http.Request) (*http.Response, error) {
	if !a.atHome(req.URL) || req.Host != "" && !strings.EqualFold(req.Host, req.URL.Host) {
		closeBody(req)
		return nil, unsent{fmt.Errorf("%s: %w", req.URL.Host, errForeignHost)}
	}
	if to, ok := req.Context().Value(keyNote{}).(*string); ok {
		*to = a.key[0]
	}
	req.Header = maps.Clone(req.Header)
	req.Header[a.header] = a.key
	req.Header["User-Agent"] = a.userAgent
	return a.next.RoundTrip(req)
}

// atHome reports whether the API key belongs where u leads.
func (a *authenticate) atHome(u *url.URL) bool {
	return u.Scheme == a.base.Scheme && u.Host == a.base.Host || origin(u) == a.origin
}

// keyNote is the key of the context that says where a request's API key is noted.
type keyNote struct{}

// NoteKey returns a context for one request whose API key is written to to before it leaves, so that it
// can be kept out of what is said of the answer. To is written before RoundTrip returns, and not after.
func NoteKey(ctx context.Context, to *string) context.Context {
	return context.WithValue(ctx, keyNote{}, to)
}

// origin returns scheme://host:port in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

// closeBody keeps the promise that a RoundTripper closes the body even where it sends nothing.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
