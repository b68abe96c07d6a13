package platform

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/secret"
)

// Bounds of bodies, in bytes.
const (
	// MaxAgentBody bounds the answer to a request about one agent.
	MaxAgentBody = 1 << 20
	// MaxListBody bounds one page of a list.
	MaxListBody = 64 << 20

	maxErrorBody = 64 << 10
)

// Caller sends the requests of one adapter and says of each what became of it. It is safe for
// concurrent use, and a copy of it is as good.
type Caller struct {
	transport http.RoundTripper
	retry     httpx.Retry
	secrets   *secret.Finder
	base      *url.URL
	bodies    *sync.Pool // of *bytes.Buffer, for answers about one agent
}

// NewCaller returns a Caller for requests below base through hc's transport, and nothing else of hc: no
// redirect is followed and no cookie kept, whatever it says. Reads are tried again as httpx.RetryOf says. It keeps
// the API key that httpx.NoteKey tells of, and the secrets of httpx.SecretsOf, out of errors.
func NewCaller(hc *http.Client, base *url.URL) *Caller {
	transport := hc.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	root := *base
	if root.Path == "" {
		root.Path = "/" // JoinPath makes a relative path where there is no slash to join at
	}
	bodies := &sync.Pool{New: func() any { return new(bytes.Buffer) }}
	return &Caller{transport: transport, retry: httpx.RetryOf(hc), secrets: httpx.SecretsOf(hc), base: root.JoinPath(),
		bodies: bodies}
}

// Secrets returns what finds the secrets of this run, for Shape.
func (c *Caller) Secrets() *secret.Finder { return c.secrets }

// Request is one request of an adapter.
type Request struct {
	Method string
	// Path is what comes behind the base URL, one element per segment, unescaped.
	Path  []string
	Query url.Values
	// Header is sent besides those that every request has.
	Header http.Header
	// Body is what is sent, zero for nothing. Secrets in it are literal.
	Body agent.Content
	// Limit bounds the answer's body in bytes; zero stands for MaxAgentBody.
	Limit int64
	// Accept reports whether a whole answer that its status calls refused is what was asked for nevertheless; nil
	// accepts none.
	Accept func(Answer) bool
}

// Do sends the request and hands the answer to decode, if its status says "done". An error of decode, which must
// not keep the body, makes the request's outcome unknown. Every error is an *Error.
//
// A request that changes something is sent once. A GET is sent again where its outcome is unknown or it never left,
// as often as the Caller's policy says, and where it is throttled for as long as httpx.MaxWait; decode may then be
// called more than once.
func (c *Caller) Do(ctx context.Context, r Request, decode func(Answer) error) error {
	if r.Method != http.MethodGet {
		return c.sendOnce(ctx, r, decode) // no loop is near a request that must not be sent twice
	}
	start := time.Now()
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: c.retry.First, MaxInterval: c.retry.Max, Multiplier: 1.5, RandomizationFactor: 0.5,
	}
	for try := uint(1); ; {
		err := c.sendOnce(ctx, r, decode)
		e, failed := errors.AsType[*Error](err)
		if !failed {
			return err
		}
		pause := max(pauses.NextBackOff(), e.RetryAfter)
		switch {
		case c.retry.Tries <= 1 || ctx.Err() != nil || errors.Is(err, httpx.ErrWaitTooLong):
			return err
		case e.Class == Throttled:
			// Bounded by time and not counted: a platform that says "later" has not failed.
			if time.Since(start)+pause > httpx.MaxWait {
				return err
			}
		case e.Class != Unknown && !e.NeverSent || try == c.retry.Tries:
			return err
		default:
			try++
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err // what the platform said, not that the waiting was called off
		}
	}
}

// sendOnce sends the request once, and says what became of it. The order of its steps is what the guarantee rests on.
func (c *Caller) sendOnce(ctx context.Context, r Request, decode func(Answer) error) error {
	u := c.urlOf(r)
	u.RawQuery = r.Query.Encode()
	w := &departure{}
	req, secrets, err := c.buildRequest(w.watchRequest(ctx), r, u)
	if err != nil {
		return r.failedWith(u, Error{Class: Refused, NeverSent: true, Err: err})
	}
	resp, err := c.transport.RoundTrip(req)
	// Not before the request was sent: until then the layers below have not told which key it carries.
	hide := sync.OnceValue(func() redactor { return redactor{c.secrets, secret.Parts(append(secrets, w.key)...)} })
	// Before the transport's own error: what Leaving stopped never left, whatever is said of the connection that was
	// closed under it, and an answer to it is somebody else's.
	if why := w.stoppedBy(); why != nil {
		if err == nil {
			_ = resp.Body.Close()
		}
		return r.failedWith(u, Error{Class: Refused, NeverSent: true, Err: why})
	}
	if err != nil {
		fail := Error{Class: Unknown, SentAt: w.sentAt(), Err: hide().plainError(withoutURL(err))}
		if w.neverSent(ctx, err) {
			fail.Class, fail.NeverSent, fail.Stale = Refused, true, w.gotStale()
		}
		// Before the error is returned: from then on the request counts as given up, and nothing of it that the
		// kernel still holds may be delivered later.
		w.giveUp()
		return r.failedWith(u, fail)
	}
	defer func() { _ = resp.Body.Close() }() // what was read is judged, not how it ended
	fail := Error{Class: classify(resp.StatusCode, resp.Header), Status: resp.StatusCode, SentAt: w.sentAt()}
	limit := int64(maxErrorBody)
	if fail.Class == Done {
		limit = cmp.Or(r.Limit, MaxAgentBody)
	}
	answer, free := c.readBody(resp, limit)
	defer free()
	if answer.Cut != nil {
		w.giveUp() // an answer that is not whole is no sign that the request arrived whole
		answer.Cut = hide().plainError(answer.Cut)
	} else if fail.Class == Refused && r.Accept != nil && r.Accept(answer) {
		fail.Class = Done
	}
	switch fail.Class {
	case Done:
		if decode == nil {
			decode = Answer.cutError
		}
		// The body is asked before anything is believed of the status: proxies and gateways say 200 to everything.
		if err = decode(answer); err == nil {
			return nil
		}
		fail.Class, fail.Err = Unknown, hide().plainError(err)
	case Throttled:
		if fail.RetryAfter = httpx.RetryAfter(resp.Header, time.Now()); fail.RetryAfter > httpx.MaxWait {
			// It was not processed, and nobody waits for so long: for the caller that is a refusal.
			fail.Class, fail.Err = Refused, fmt.Errorf("%w: %v", httpx.ErrWaitTooLong,
				fail.RetryAfter.Round(time.Second))
		}
	}
	fail.Code, fail.Message, fail.OwnWords = explainAnswer(resp, answer, hide())
	return r.failedWith(u, fail)
}

// failedWith returns e as the error of the request to u.
func (r Request) failedWith(u *url.URL, e Error) error {
	e.Method, e.Path = r.Method, tidyLine(u.Path)
	return &e
}

// Doubt returns err as the outcome of requests that were answered and cannot be believed together, such
// as the pages of a list: an *Error of class Unknown. An err that is an *Error already is returned as
// it is.
func (c *Caller) Doubt(r Request, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return r.failedWith(c.urlOf(r), Error{Class: Unknown, Err: err})
}

// buildRequest makes a request that can be sent once and not again: without GetBody no layer of net/http has
// a second copy of the body, and a DELETE has a body, an empty one, for the same reason.
func (c *Caller) buildRequest(ctx context.Context, r Request, u *url.URL) (*http.Request, []string, error) {
	for _, segment := range r.Path {
		// Such a one would make the request one about something else: a DELETE of the whole list, say.
		if segment == "" || segment == "." || segment == ".." {
			return nil, nil, fmt.Errorf("%q cannot stand in a path", segment)
		}
	}
	var body io.Reader
	var secrets []string
	var length int64
	if !r.Body.IsZero() {
		encoded, revealed, err := encodeBody(r.Body)
		if err != nil {
			return nil, nil, err
		}
		// A reader that net/http knows to be in memory leaves with the header, in one packet.
		body, secrets, length = bytes.NewReader(encoded), revealed, int64(len(encoded))
	} else if r.Method != http.MethodGet {
		body = readOnce{strings.NewReader("")}
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, "", body)
	if err != nil {
		return nil, nil, withoutURL(err)
	}
	req.URL, req.Host = u, u.Host
	req.ContentLength, req.GetBody = length, nil
	req.Header["Accept"] = mediaJSON
	if !r.Body.IsZero() {
		req.Header["Content-Type"] = mediaJSON
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	return req, secrets, nil
}

// mediaJSON is a header's value that is never changed.
var mediaJSON = []string{"application/json"}

// readOnce hides from net/http that a body could be read twice.
type readOnce struct{ io.Reader }

// urlOf returns the request's URL without its query.
func (c *Caller) urlOf(r Request) *url.URL {
	var room [8]string
	segments := append(room[:0], r.Path...)
	plain := c.base.RawPath == ""
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
		plain = plain && segments[i] == segment
	}
	if !plain {
		return c.base.JoinPath(segments...)
	}
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + strings.Join(segments, "/")
	return &u
}

// withoutURL takes off the layer of net/http that repeats the URL, query and all.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// readBody reads the answer's body up to limit. The answer's body is of no use any more once free was called.
func (c *Caller) readBody(resp *http.Response, limit int64) (a Answer, free func()) {
	// a list is large, and io.ReadAll would make five times as much garbage of it
	b, free := new(bytes.Buffer), func() {}
	if limit <= MaxAgentBody {
		b = c.bodies.Get().(*bytes.Buffer)
		free = func() { c.bodies.Put(b) }
		b.Reset()
	}
	if n := resp.ContentLength; n > 0 && n <= limit {
		b.Grow(int(n) + bytes.MinRead)
	}
	a.Status = resp.StatusCode
	// One byte beyond the limit, or a body of just the limit's length could not be told from a longer one.
	_, err := b.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if a.Body = b.Bytes(); err != nil {
		a.Cut = fmt.Errorf("the answer was cut short: %w", err)
	} else if int64(len(a.Body)) > limit {
		a.Cut = fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	return a, free
}

// EncodeBody returns fields as the JSON body of a request, keys sorted. It is the one place where a
// secret becomes plain text. The error names the field that holds a secret without a value (a
// template that was not resolved, or a sealed one) and never shows one.
func EncodeBody(fields agent.Fields) ([]byte, error) {
	body, _, err := encodeBody(agent.ContentOf(fields))
	return body, err
}

// usualBody is the room that the body of most agents needs, in bytes. More is no harm.
const usualBody = 1024

// encodeBody also returns the secrets that the body holds, so that they can be kept out of errors.
func encodeBody(content agent.Content) (body []byte, secrets []string, err error) {
	if doc, ok := content.Doc(); ok {
		return doc, nil, nil
	}
	fields := content.Fields()
	// Most agents hold no secret, which cannot be encoded as long as it is one.
	if body, err := agent.AppendDoc(make([]byte, 0, usualBody), fields); err == nil && !agent.Doc(body).HasSecrets() {
		return body, nil, nil
	}
	reveal := func(path string, leaf any) any {
		switch leaf := leaf.(type) {
		case secret.Text:
			plain, revealErr := leaf.Reveal()
			if revealErr != nil && err == nil {
				err = fmt.Errorf("%s: %w", path, revealErr)
			}
			secrets = append(secrets, plain)
			return plain
		case secret.Sealed:
			if err == nil {
				err = fmt.Errorf("%s: %w", path, errSealed)
			}
		}
		return leaf
	}
	plain := fields.Clone()
	agent.Walk("", map[string]any(plain), reveal)
	if err == nil {
		body, err = agent.AppendDoc(nil, plain) // with nothing sealed in it, plain JSON
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encode agent: %w", err)
	}
	return body, secrets, nil
}

var errSealed = errors.New("a sealed secret cannot be sent")

// departure notes of one request on its way out: how far it came, and which API key it carried, which
// only the layers below know and no error may show. Its hooks are called by several goroutines.
type departure struct {
	key string // see httpx.NoteKey

	mu      sync.Mutex // guards what follows
	conn    net.Conn   // what the request was handed to
	reused  bool       // conn had carried another request before
	left    bool       // Leaving was called
	stopped error      // what it returned
	tried   bool       // a transport that reports what it does has taken the request
	gotConn bool
	wrote   bool
	since   time.Time // when one of these was noted last
}

// watchRequest returns ctx with the hooks that note it.
func (w *departure) watchRequest(ctx context.Context) context.Context {
	note := func(flag *bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		*flag, w.since = true, time.Now()
	}
	return httptrace.WithClientTrace(httpx.NoteKey(ctx, &w.key), &httptrace.ClientTrace{
		GetConn: func(string) { note(&w.tried) },
		GotConn: func(info httptrace.GotConnInfo) {
			// The connection is this request's alone and nothing of the request is in it yet: once it is closed
			// nothing can get there.
			if err := w.callLeaving(ctx); err != nil {
				_ = info.Conn.Close()
				return
			}
			w.mu.Lock()
			w.conn, w.reused = info.Conn, info.Reused
			w.mu.Unlock()
			note(&w.gotConn)
		},
		WroteHeaders: func() { note(&w.wrote) },
		PutIdleConn: func(err error) {
			// The answer was read to its end: from now on another request may have the connection, and closing it
			// would lose that one's answer.
			w.mu.Lock()
			defer w.mu.Unlock()
			if err == nil {
				w.conn = nil
			}
		},
	})
}

// callLeaving calls Leaving once, and returns what it returned. A second connection for the same request, which only
// a GET can get, calls nothing.
func (w *departure) callLeaving(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.left {
		w.left, w.stopped = true, Leaving(ctx)
	}
	return w.stopped
}

// giveUp closes the connection that the request was handed to, hard, unless its answer was read to its end. It returns
// when that is done.
func (w *departure) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		httpx.CloseHard(w.conn)
	}
}

// stoppedBy returns why Leaving kept the request from leaving, nil where it did not.
func (w *departure) stoppedBy() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// neverSent reports whether err certainly came before the platform could read the request. It needs
// proof: without a connection nothing leaves, and a header that was not written to its end cannot be
// acted on. The second is not believed of a request that was called off, for then the writer may
// still be at work while the error is already here.
func (w *departure) neverSent(ctx context.Context, err error) bool {
	if httpx.NeverSent(err) {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.tried || w.wrote {
		return false
	}
	calledOff := ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	return !w.gotConn || !calledOff
}

// gotStale reports whether the connection of a request that never left had carried another one: its server has closed
// it since, as servers do with what is idle.
func (w *departure) gotStale() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reused
}

// sentAt returns the last sign of the request on its way out, zero where it waited for the pace to the end.
func (w *departure) sentAt() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since
}
