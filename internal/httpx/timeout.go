package httpx

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

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
	if err != nil && err != io.EOF {
		err = b.limit.explain(b.ctx, err)
	}
	return n, err
}

func (b *limitedBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
