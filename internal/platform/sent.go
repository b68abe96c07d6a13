package platform

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"agentsync/internal/httpx"
)

// departure notes of one request on its way out one request on its way out: how far it came, and which API key it carried, which
// only the layers below know and no error may show. Its hooks are called by several goroutines.
type departure struct {
	key string // see httpx.NoteKey

	mu      sync.Mutex // guards what follows
	conn    net.Conn   // what the request was handed to
	left    bool       // Leaving was called
	stopped error      // what it returned
	tried   bool       // a transport that reports what it does has taken the request
	gotConn bool
	wrote   bool
	since   time.Time // when one of these was noted last
}

// watch returns ctx with the hooks that note it.
func (w *departure) watch(ctx context.Context) context.Context {
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
			if err := w.leave(ctx); err != nil {
				_ = info.Conn.Close()
				return
			}
			w.mu.Lock()
			w.conn = info.Conn
			w.mu.Unlock()
			note(&w.gotConn)
		},
		WroteHeaders: func() { note(&w.wrote) },
	})
}

// leave calls Leaving once, and returns what it returned. A second connection for the same request, which only
// a GET can get, calls nothing.
func (w *departure) leave(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.left {
		w.left, w.stopped = true, Leaving(ctx)
	}
	return w.stopped
}

// giveUp closes the connection that the request was handed to, hard. It returns when that is done.
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

// sentAt returns the last sign of the request on its way out, zero where it waited for the pace to the end.
func (w *departure) sentAt() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since
}
