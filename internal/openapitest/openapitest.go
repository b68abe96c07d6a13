// Package openapitest holds requests and answers against the OpenAPI documents in testdata/openapi,
// so that neither the adapters nor the sandbox drift from what is known of the platforms. It is for
// tests alone: it reports through testing.TB and never lets a violation pass in silence. It does not
// change what goes through it.
package openapitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
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
type Option func(*exchangeChecker)

// AllowRefused lets a request break the contract as long as it is answered with 4xx. It is for tests
// of a server: there a breach that is NOT refused is the violation.
func AllowRefused() Option { return func(c *exchangeChecker) { c.allowRefused = true } }

// RequestsOnly leaves answers unchecked, for tests in which the server breaks the contract on purpose.
func RequestsOnly() Option { return func(c *exchangeChecker) { c.requestsOnly = true } }

// Middleware returns a handler that passes each request to next and reports every request and every
// answer that breaks the document doc through t.Errorf. An answer that is dropped or hijacked is not
// checked. It may be used by several goroutines, until the test ends.
func Middleware(t testing.TB, doc string, next http.Handler, options ...Option) http.Handler {
	t.Helper()
	return &checkedHandler{exchangeChecker: newChecker(t, doc, options), next: next}
}

// Transport returns a RoundTripper that passes each request to next (http.DefaultTransport if nil)
// and reports every request and every answer that breaks the document doc through t.Errorf. The whole
// body of an answer is read before it is handed on; a read error reaches the caller at its place.
func Transport(t testing.TB, doc string, next http.RoundTripper, options ...Option) http.RoundTripper {
	t.Helper()
	if next == nil {
		next = http.DefaultTransport
	}
	return &checkedTransport{exchangeChecker: newChecker(t, doc, options), next: next}
}

// exchangeChecker checks one exchange after the other against its documents.
type exchangeChecker struct {
	t            testing.TB
	docs         []*openDocument
	allowRefused bool
	requestsOnly bool
}

// readPages makes kin-openapi take HTML for what it is, a text. Its decoders are its own global state.
var readPages = sync.OnceFunc(func() {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
})

func newChecker(t testing.TB, name string, options []Option) *exchangeChecker {
	t.Helper()
	readPages()
	c := &exchangeChecker{t: t}
	names := []string{name}
	if name == Any {
		names = []string{CometChat, Mindset, MindsetV2}
	}
	for _, n := range names {
		c.docs = append(c.docs, loadDocument(t, n))
	}
	for _, o := range options {
		o(c)
	}
	return c
}

// filterOptions makes the check as strict as kin-openapi can be.
var filterOptions = &openapi3filter.Options{
	IncludeResponseStatus:             true,
	RejectWhenRequestBodyNotSpecified: true,
	SkipSettingDefaults:               true,
	MultiError:                        true,
	AuthenticationFunc: func(_ context.Context, in *openapi3filter.AuthenticationInput) error {
		if header := in.SecurityScheme.Name; in.RequestValidationInput.Request.Header.Get(header) == "" {
			return fmt.Errorf("no %s header", header)
		}
		return nil
	},
}

// checkedExchange is one request on its way through the checker.
type checkedExchange struct {
	checker *exchangeChecker
	name    string // method and path, for reports
	input   *openapi3filter.RequestValidationInput
	breach  error // what is wrong with the request, or nil
}

// begin checks the request. body is the request's whole body; r itself is not read.
func (c *exchangeChecker) begin(r *http.Request, body []byte) *checkedExchange {
	x := &checkedExchange{checker: c, name: r.Method + " " + r.URL.Path}
	route, params := c.route(r)
	if route == nil {
		x.breach = errors.New("no document knows this method and path")
	} else {
		copied := r.Clone(context.WithoutCancel(r.Context()))
		copied.Body = io.NopCloser(bytes.NewReader(body))
		copied.ContentLength, copied.GetBody = int64(len(body)), nil
		x.input = &openapi3filter.RequestValidationInput{
			Request: copied, PathParams: params, Route: route, Options: filterOptions,
		}
		x.breach = openapi3filter.ValidateRequest(copied.Context(), x.input)
		copied.Body = io.NopCloser(bytes.NewReader(body))
	}
	if x.breach != nil && !c.allowRefused {
		c.t.Errorf("openapi: %s: the request breaks the contract: %v\nbody: %.2000s", x.name, x.breach, body)
	}
	return x
}

// end checks the answer.
func (x *checkedExchange) end(status int, header http.Header, body []byte) {
	c := x.checker
	if c.allowRefused && x.breach != nil && (status < 400 || status > 499) {
		c.t.Errorf("openapi: %s: answered %d, though the request breaks the contract: %v", x.name, status, x.breach)
	}
	if c.requestsOnly || x.input == nil {
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: x.input, Status: status, Header: header, Options: filterOptions,
	}
	in.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(x.input.Request.Context(), in); err != nil {
		c.t.Errorf("openapi: %s: the answer %d breaks the contract: %v\nbody: %.2000s", x.name, status, err, body)
	}
}

// route finds the operation that r is meant for, or nil.
func (c *exchangeChecker) route(r *http.Request) (*routers.Route, map[string]string) {
	for _, d := range c.docs {
		if path, params, ok := d.match(r.URL.EscapedPath()); ok {
			item := d.spec.Paths.Value(path)
			if op := item.GetOperation(r.Method); op != nil {
				return &routers.Route{
					Spec: d.spec, Server: d.spec.Servers[0], Path: path,
					PathItem: item, Method: r.Method, Operation: op,
				}, params
			}
		}
	}
	return nil, nil
}

// openDocument is one OpenAPI document and the path templates that it knows.
type openDocument struct {
	spec  *openapi3.T
	paths []string // longest first, so that the most specific one is tried first
}

// loadDocument reads and validates the document called name, or ends the test.
func loadDocument(t testing.TB, name string) *openDocument {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromFile(filepath.Join(documentFolder(t), name+".yaml"))
	if err != nil {
		t.Fatalf("openapi: read %s: %v", name, err)
	}
	if err := spec.Validate(t.Context()); err != nil {
		t.Fatalf("openapi: %s is no valid document: %v", name, err)
	}
	d := &openDocument{spec: spec, paths: spec.Paths.Keys()}
	slices.SortFunc(d.paths, func(a, b string) int { return len(b) - len(a) })
	return d
}

// documentFolder finds testdata/openapi beside the go.mod above the test's own folder.
func documentFolder(t testing.TB) string {
	t.Helper()
	at, err := os.Getwd()
	if err != nil {
		t.Fatalf("openapi: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, "testdata", "openapi")
		}
		up := filepath.Dir(at)
		if up == at {
			t.Fatal("openapi: no go.mod above the test's folder")
		}
		at = up
	}
}

// match returns the path template that the end of path fits and the values of its variables. Only
// the end counts: what stands before it is the base URL, which a test's server is free to choose.
func (d *openDocument) match(path string) (template string, values map[string]string, ok bool) {
	have := strings.Split(path, "/")
	for _, template := range d.paths {
		want := strings.Split(strings.TrimPrefix(template, "/"), "/")
		if len(have) <= len(want) {
			continue
		}
		if values, ok := fitSegments(want, have[len(have)-len(want):]); ok {
			return template, values, true
		}
	}
	return "", nil, false
}

func fitSegments(want, have []string) (map[string]string, bool) {
	values := map[string]string{}
	for i, w := range want {
		if !strings.HasPrefix(w, "{") {
			if have[i] != w {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(have[i])
		if err != nil || v == "" {
			return nil, false
		}
		values[strings.Trim(w, "{}")] = v
	}
	return values, true
}

// checkedHandler is the server's side.
type checkedHandler struct {
	*exchangeChecker
	next http.Handler
}

func (h *checkedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(&bodyReplay{bytes.NewReader(body), err})
	x := h.begin(r, body)
	tee := &teeWriter{ResponseWriter: w, status: http.StatusOK}
	h.next.ServeHTTP(tee, r) // an answer that is dropped leaves here as a panic, unchecked
	if !tee.taken {
		x.end(tee.status, w.Header().Clone(), tee.body.Bytes())
	}
}

// teeWriter passes an answer on and keeps a copy of it.
type teeWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
	taken  bool // someone asked for the writer below, so the copy may not be complete
	body   bytes.Buffer
}

func (w *teeWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *teeWriter) Write(p []byte) (int, error) {
	w.wrote = true
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// Flush passes on, so that it does not count as taking the writer.
func (w *teeWriter) Flush() {
	w.wrote = true
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a writer that cannot flush has nothing held back
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *teeWriter) Unwrap() http.ResponseWriter {
	w.taken = true
	return w.ResponseWriter
}

// checkedTransport is the client's side.
type checkedTransport struct {
	*exchangeChecker
	next http.RoundTripper
}

func (t *checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		read, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		sent := r.Clone(r.Context())
		sent.Body = io.NopCloser(&bodyReplay{bytes.NewReader(read), err})
		if r.Body == http.NoBody || len(read) == 0 && err == nil {
			sent.Body = http.NoBody
		}
		body, r = read, sent
	}
	x := t.begin(r, body)
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(&bodyReplay{bytes.NewReader(answer), err})
	if err == nil {
		x.end(resp.StatusCode, resp.Header, answer)
	}
	return resp, nil
}

// CloseIdleConnections passes on to the transport below.
func (t *checkedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// bodyReplay yields what was read, and then the error that reading ended with.
type bodyReplay struct {
	*bytes.Reader
	err error
}

func (r *bodyReplay) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

// WriteTo hides the reader's own, which would leave the error out.
func (r *bodyReplay) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}
