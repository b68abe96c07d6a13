// Package openapitest holds requests and answers against the OpenAPI documents in testdata/openapi,
// so that neither the adapters nor the sandbox drift from what is known of the platforms. It is for
// tests alone: it reports through testing.TB and never lets a violation pass in silence. It does not
// change what goes through it.
package openapitest

import (
	"net/http"
	"testing"
)

// Names of the documents, as they stand in testdata/openapi.
const (
	CometChat = "cometchat"
	Mindset   = "mindset"
	MindsetV2 = "mindset.v2"
	// Any is whichever document knows the request's path, for a server that speaks both.
	Any = ""
)

// Option changes what is taken for a violation.
type Option func(*checker)

// AllowRefused lets a request break the contract as long as it is answered with 4xx. It is for tests
// of a server: there a breach that is NOT refused is the violation.
func AllowRefused() Option { return func(c *checker) { c.allowRefused = true } }

// RequestsOnly leaves answers unchecked, for tests in which the server breaks the contract on purpose.
func RequestsOnly() Option { return func(c *checker) { c.requestsOnly = true } }

// Middleware returns a handler that passes each request to next and reports every request and every
// answer that breaks the document doc through t.Errorf. An answer that is dropped or hijacked is not
// checked. It may be used by several goroutines, until the test ends.
func Middleware(t testing.TB, doc string, next http.Handler, options ...Option) http.Handler {
	t.Helper()
	return &handler{checker: newChecker(t, doc, options), next: next}
}

// Transport returns a RoundTripper that passes each request to next (http.DefaultTransport if nil)
// and reports every request and every answer that breaks the document doc through t.Errorf. The whole
// body of an answer is read before it is handed on; a read error reaches the caller at its place.
func Transport(t testing.TB, doc string, next http.RoundTripper, options ...Option) http.RoundTripper {
	t.Helper()
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{checker: newChecker(t, doc, options), next: next}
}
