package httpx

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"agentsync/internal/secret"
)

// The layers between the pace and the transport, from the outside in.

// timeLimit ends each request, the reading of its body included, after limit.
type timeLimit struct {
	next  http.RoundTripper
	limit time.Duration
}

// ErrTimeout is the cause of a request that did not end in time. It is a context.DeadlineExceeded.
var ErrTimeout = fmt.Errorf("no complete answer in time: %w", context.DeadlineExceeded)

// RoundTrip implements http.RoundTripper.
func (t *timeLimit) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), t.limit, ErrTimeout)
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		err = t.explain(ctx, err)
		cancel()
		return nil, err
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, limit: t}
	return resp, nil
}

// explain says how long was waited where it was this layer that ended the request, and what to do about a server
// whose certificate nobody here knows.
func (t *timeLimit) explain(ctx context.Context, err error) error {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fmt.Errorf("%w; if it is signed by an authority of your own, name its file in SSL_CERT_FILE", err)
	}
	if errors.Is(context.Cause(ctx), ErrTimeout) {
		return fmt.Errorf("%w (%v)", ErrTimeout, t.limit)
	}
	return err
}

// limitedBody frees the request's timer when the body is done with.
type limitedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelFunc
	limit  *timeLimit
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.limit.explain(b.ctx, err)
	}
	return n, err
}

func (b *limitedBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// trace tells of each request and its answer in one line when the answer's body is done with. It
// shows headers from a fixed list and the sizes of bodies, never a body: what is not printed cannot
// leak. It stands outside of authentication, so the key does not pass through it.
type trace struct {
	next  http.RoundTripper
	print func(line string)
	// run and key find what is to be taken out of an answer's headers, should a server echo it.
	run, key *secret.Finder
}

// tracedHeaders are the headers of an answer that are shown.
var tracedHeaders = []string{
	"Content-Type", "Retry-After", "X-Rate-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset",
	"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id", "Location",
}

// RoundTrip implements http.RoundTripper.
func (t *trace) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	what := req.Method + " " + req.URL.RequestURI()
	if req.ContentLength > 0 {
		what += fmt.Sprintf(" (%d bytes)", req.ContentLength)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.printHidden(fmt.Sprintf("%s: %v in %v", what, err, elapsedSince(start)))
		return nil, err
	}
	line := fmt.Sprintf("%s: %s %s%s", what, resp.Proto, resp.Status, shownHeaders(resp.Header))
	resp.Body = &tracedBody{ReadCloser: resp.Body, done: func(n int64) {
		t.printHidden(fmt.Sprintf("%s, %d bytes in %v", line, n, elapsedSince(start)))
	}}
	return resp, nil
}

func (t *trace) printHidden(line string) {
	t.print(t.key.Hide(t.run.Hide(line)))
}

func shownHeaders(h http.Header) string {
	var b strings.Builder
	for _, name := range tracedHeaders {
		if v := h.Get(name); v != "" {
			b.WriteString(", " + name + ": " + strconv.Quote(v))
		}
	}
	return b.String()
}

func elapsedSince(start time.Time) time.Duration { return time.Since(start).Round(time.Microsecond) }

// tracedBody counts what is read and tells it once.
type tracedBody struct {
	io.ReadCloser
	n    int64
	told atomic.Bool
	done func(n int64)
}

func (b *tracedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

func (b *tracedBody) Close() error {
	err := b.ReadCloser.Close()
	if b.told.CompareAndSwap(false, true) {
		b.done(b.n)
	}
	return err
}

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
	return u.Scheme == a.base.Scheme && u.Host == a.base.Host || originOf(u) == a.origin
}

// keyNote is the key of the context that says where a request's API key is noted.
type keyNote struct{}

// NoteKey returns a context for one request whose API key is written to to before it leaves, so that it
// can be kept out of what is said of the answer. To is written before RoundTrip returns, and not after.
func NoteKey(ctx context.Context, to *string) context.Context {
	return context.WithValue(ctx, keyNote{}, to)
}

// originOf returns scheme://host:port in one spelling.
func originOf(u *url.URL) string {
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
