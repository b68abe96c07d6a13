package httpx

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"agentsync/internal/secret"
)

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
		t.say(fmt.Sprintf("%s: %v in %v", what, err, since(start)))
		return nil, err
	}
	line := fmt.Sprintf("%s: %s %s%s", what, resp.Proto, resp.Status, headers(resp.Header))
	resp.Body = &tracedBody{ReadCloser: resp.Body, done: func(n int64) {
		t.say(fmt.Sprintf("%s, %d bytes in %v", line, n, since(start)))
	}}
	return resp, nil
}

func (t *trace) say(line string) {
	t.print(t.key.Hide(t.run.Hide(line)))
}

func headers(h http.Header) string {
	var b strings.Builder
	for _, name := range tracedHeaders {
		if v := h.Get(name); v != "" {
			b.WriteString(", " + name + ": " + strconv.Quote(v))
		}
	}
	return b.String()
}

func since(start time.Time) time.Duration { return time.Since(start).Round(time.Microsecond) }

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
