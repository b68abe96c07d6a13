package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server speaks both platforms' APIs. It is an http.Handler, safe for concurrent use, and starts no
// goroutine of its own.
type Server struct {
	config
	store   *store
	script  atomic.Pointer[script]
	limiter *limiter
	book    book
	later   later
	closed  chan struct{}
	once    sync.Once
}

// New makes a server. It fails where the file of WithFile is damaged, foreign or in use.
func New(options ...Option) (*Server, error) {
	s := &Server{config: defaults(), store: newStore(), closed: make(chan struct{})}
	for _, o := range options {
		o(&s.config)
	}
	s.limiter = &limiter{limit: s.limit, apps: map[appKey]*window{}}
	s.script.Store(newScript(s.faults))
	if s.file == "" {
		return s, nil
	}
	log, err := openLog(s.file, s.restore)
	if err != nil {
		return nil, err
	}
	s.store.log = log
	if err := s.compact(); err != nil {
		return nil, errors.Join(err, log.close())
	}
	return s, nil
}

// Close lets go of requests that hang, carries out at once what is still late, and gives the file
// back. A server that had a file refuses every change after it, with 500.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		s.later.flush()
		err = s.store.log.close()
	})
	return err
}

// SetFaults replaces the script; its counts start anew.
func (s *Server) SetFaults(f Faults) { s.script.Store(newScript(f)) }

// Faults returns the running script.
func (s *Server) Faults() Faults { return s.script.Load().source }

// Reset forgets every agent, deleted ones too, and every count. Faults stay and count anew.
func (s *Server) Reset() error {
	s.book.reset()
	s.SetFaults(s.Faults())
	return s.store.reset()
}

// ServeHTTP answers one request. A fault that drops the answer ends in a panic with
// http.ErrAbortHandler, as net/http wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		s.servePage(w)
	case strings.HasPrefix(r.URL.Path, "/_sandbox/"):
		s.serveControl(w, r)
	default:
		s.serveAPI(w, r)
	}
}

// serveAPI takes a request through the script and the platform.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	c := route(r)
	if c.platform == "" {
		http.NotFound(w, r)
		return
	}
	c.read(w, r)
	entry := s.book.arrive(c)
	if c.bad == nil {
		s.recognise(c)
	}
	t := s.script.Load().meet(c)
	o := s.perform(r.Context(), c, t)
	s.book.leave(entry, c, t, o)
	s.deliver(r.Context(), w, o)
}

// read takes the whole body in, as far as it is allowed to be long. The connection is watched for the
// client's leaving only once the body has been read.
func (c *call) read(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		c.bad = refused(413, "", fmt.Sprintf("the body is longer than %d bytes", maxBody))
	case err != nil && !errors.Is(err, io.EOF):
		c.bad = badRequest("the body ended early")
	}
	c.body = b.Bytes()
}

// recognise decodes the body and finds the agent's name, which rules may select by. A body that is
// wrong becomes the call's problem only where the platform looks at it.
func (s *Server) recognise(c *call) {
	if c.op == opCreate || c.op == opUpdate {
		c.bad = c.decode()
	}
	field := nameField(c.platform)
	c.name, _ = c.fields[field].(string)
	if _, sent := c.fields[field]; sent || c.uid == "" {
		return
	}
	if a := s.store.peek(appKey{c.platform, c.app}); a != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		if g := a.live(c.uid); g != nil {
			c.name, _ = g.fields[field].(string)
		}
	}
}

// nameField is the field that a platform keeps an agent's name in.
func nameField(platform string) string {
	if platform == Mindset {
		return "agentName"
	}
	return "name"
}

// perform does what the request asks, as far as the faults let it, and says what goes back.
func (s *Server) perform(ctx context.Context, c *call, t *trouble) outcome {
	if t.latency > 0 && !wait(ctx, s.closed, t.latency) {
		return outcome{how: dropped}
	}
	if t.instead != nil {
		return s.before(c, t.instead)
	}
	if t.late > 0 {
		s.later.after(t.late, func() { s.handle(c, t) })
		return outcome{how: dropped}
	}
	o := outcome{answer: s.handle(c, t)}
	if t.afterward != nil {
		s.after(c, t.afterward, &o)
	}
	return o
}

// wait returns true when d is over and false when the client or the server went first.
func wait(ctx context.Context, closed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-closed:
	}
	return false
}
