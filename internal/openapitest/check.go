package openapitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// checker checks one exchange after the other against its documents.
type checker struct {
	t            testing.TB
	docs         []*document
	allowRefused bool
	requestsOnly bool
}

// readPages makes kin-openapi take HTML for what it is, a text. Its decoders are its own global state.
var readPages = sync.OnceFunc(func() {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
})

func newChecker(t testing.TB, name string, options []Option) *checker {
	t.Helper()
	readPages()
	c := &checker{t: t}
	names := []string{name}
	if name == Any {
		names = []string{CometChat, Mindset, MindsetV2}
	}
	for _, n := range names {
		c.docs = append(c.docs, load(t, n))
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

// exchange is one request on its way through the checker.
type exchange struct {
	checker *checker
	name    string // method and path, for reports
	input   *openapi3filter.RequestValidationInput
	breach  error // what is wrong with the request, or nil
}

// begin checks the request. body is the request's whole body; r itself is not read.
func (c *checker) begin(r *http.Request, body []byte) *exchange {
	x := &exchange{checker: c, name: r.Method + " " + r.URL.Path}
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
func (x *exchange) end(status int, header http.Header, body []byte) {
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
func (c *checker) route(r *http.Request) (*routers.Route, map[string]string) {
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
