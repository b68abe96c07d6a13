package httpx

import (
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
	origin         string
	header         string   // in the canonical form of net/http
	key, userAgent []string // as values of a header, which nobody changes
}

// errForeignHost is why a request was stopped.
var errForeignHost = errors.New("the request would go to another host than the one that the API key belongs to")

// RoundTrip implements http.RoundTripper.
func (a *authenticate) RoundTrip(req *http.Request) (*http.Response, error) {
	if origin(req.URL) != a.origin || req.Host != "" && !strings.EqualFold(req.Host, req.URL.Host) {
		closeBody(req)
		return nil, unsent{fmt.Errorf("%s: %w", req.URL.Host, errForeignHost)}
	}
	req.Header = maps.Clone(req.Header)
	req.Header[a.header] = a.key
	req.Header["User-Agent"] = a.userAgent
	return a.next.RoundTrip(req)
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
