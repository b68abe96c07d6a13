package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server speaks the platforms' APIs. It is an http.Handler, safe for concurrent use, and starts no
// goroutine of its own.
type Server struct {
	config
	store   *store
	script  atomic.Pointer[script]
	limiter *limiter
	history history
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
	log, err := openLog(s.file, s.store.restore)
	if err != nil {
		return nil, err
	}
	s.store.log = log
	if err := s.store.compact(); err != nil {
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
	s.history.reset()
	s.SetFaults(s.Faults())
	return s.store.reset()
}

// ServeHTTP answers one request. A fault that drops the answer ends in a panic with
// http.ErrAbortHandler, as net/http wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := own(r); err != nil {
		refused(403, "", err.Error()).answer(nil).send(w)
		return
	}
	switch {
	case r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		s.servePage(w)
	case strings.HasPrefix(r.URL.Path, "/_sandbox/"):
		s.serveControl(w, r)
	default:
		s.serveAPI(w, r)
	}
}

// own refuses what a web page that happens to be open can send: a foreign Origin, and a Host that
// somebody has made to mean this machine.
func own(r *http.Request) error {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("the sandbox answers to localhost and loopback addresses, not to the host %q", r.Host)
	}
	return http.NewCrossOriginProtection().Check(r)
}

// serveAPI takes a request through the script and the platform.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	c := route(r)
	if c == nil {
		http.NotFound(w, r)
		return
	}
	c.read(w, r)
	entry := s.history.arrive(c)
	s.recognise(c)
	t := s.script.Load().meet(c)
	o := s.perform(r.Context(), c, t)
	s.history.leave(entry, c, t, o)
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
	if c.bad != nil || c.nowhere {
		return
	}
	if c.op == opCreate || c.op == opUpdate {
		c.bad = c.decode()
	}
	c.name, _ = c.sent[c.nameField].(string)
	if _, sent := c.sent[c.nameField]; sent || c.uid == "" {
		return
	}
	if g, done := s.store.find(c.key(), c.uid); g != nil {
		defer done()
		c.name, _ = g.fields[c.nameField].(string)
	}
}

// perform does what the request asks, as far as the faults let it, and says what goes back.
func (s *Server) perform(ctx context.Context, c *call, t trouble) outcome {
	// A client that leaves while it waits has sent nothing: the effect comes after the wait.
	for _, r := range t {
		if r.kind == "latency" && !wait(ctx, s.closed, r.jittered()) {
			return outcome{how: dropped}
		}
	}
	if r := t.in(instead); r != nil {
		return s.instead(c, &r.Rule)
	}
	if r := t.first("late"); r != nil {
		s.later.after(r.wait, func() { s.handle(c, t) })
		return outcome{how: dropped}
	}
	if r := t.first("slow"); r != nil {
		// Carried out by a timer, so that neither the client's leaving nor the server's end takes it back.
		answered := make(chan *answer, 1)
		s.later.after(r.wait, func() { answered <- s.handle(c, t) })
		return s.gone(c, t, <-answered)
	}
	return s.gone(c, t, s.handle(c, t))
}

// gone is what becomes of an answer whose effect has happened.
func (s *Server) gone(c *call, t trouble, a *answer) outcome {
	o := outcome{answer: a}
	if r := t.first("exhausted"); r != nil && a.status < 300 && c.rateHeaders {
		a.set("X-Rate-Limit", "100")
		a.set("X-Rate-Limit-Remaining", "0")
		r.resetAt(a, time.Now().Add(r.wait))
	}
	r := t.in(after)
	if r == nil {
		return o
	}
	switch r.kind {
	case "drop-after":
		o.how = dropped
	case "hang", "hang-after":
		o.how, o.hold = held, r.wait
	case "cut-body":
		o.how = cut
	case "garbage":
		o.answer = spoil(a, r.form)
	case "status-after":
		o.answer = r.broken(c, r.number)
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

// instead answers in the platform's place; nothing has happened and nothing will.
func (s *Server) instead(c *call, r *Rule) outcome {
	switch r.kind {
	case "drop-before":
		return outcome{how: dropped}
	case "hang-before":
		return outcome{how: held, hold: r.wait}
	case "redirect":
		a := &answer{status: r.number}
		to := r.to
		if to == "" {
			to = c.path
			if len(c.query) > 0 {
				to += "?" + c.query.Encode()
			}
		}
		a.set("Location", to)
		return outcome{answer: a}
	case "throttle":
		return outcome{answer: r.comeBack(c, 429)}
	case "unavailable":
		return outcome{answer: r.comeBack(c, 503)}
	case "not-done":
		return outcome{answer: r.notDone()}
	default: // status-before, html, empty
		return outcome{answer: r.broken(c, r.number)}
	}
}

// comeBack is an answer that says when to ask again.
func (r *Rule) comeBack(c *call, status int) *answer {
	a := r.broken(c, status)
	at := time.Now().Add(r.wait)
	switch r.retryAs {
	case "none":
	case "date":
		a.set("Retry-After", at.Add(time.Second-1).UTC().Format(http.TimeFormat))
	default:
		a.set("Retry-After", strconv.Itoa(wholeSeconds(r.wait)))
	}
	if c.rateHeaders && status == 429 && r.retryAs != "none" {
		r.resetAt(a, at)
	}
	return a
}

// resetAt says when the rate limit is reset, in the rule's form.
func (r *Rule) resetAt(a *answer, at time.Time) {
	switch r.resetAs {
	case "none":
	case "milliseconds":
		a.set("X-Rate-Limit-Reset", strconv.FormatInt(at.UnixMilli(), 10))
	default:
		a.set("X-Rate-Limit-Reset", strconv.FormatInt(at.Add(time.Second-1).Unix(), 10))
	}
}

// broken is an error answer with the body that the rule wants.
func (r *Rule) broken(c *call, status int) *answer {
	a := tooMany().answer(c.dialect)
	if status != 429 {
		code := r.code
		if code == "" {
			code = "ERR_INTERNAL"
		}
		a = refused(status, code, "the sandbox was told to answer "+strconv.Itoa(status)).answer(c.dialect)
	}
	if r.body == "html" {
		return page(status, http.StatusText(status))
	}
	return spoil(a, r.body)
}

// notDone is an answer 200 to a write that was not carried out.
func (r *Rule) notDone() *answer {
	const why = "the sandbox was told not to do it"
	switch r.form {
	case "error":
		return reply(200, map[string]any{"error": map[string]any{"code": "ERR_INTERNAL", "message": why}})
	case "status":
		return reply(200, map[string]any{"statusCode": 400, "message": why, "error": "Bad Request"})
	case "false":
		return reply(200, map[string]any{"success": false, "message": why})
	case "html":
		return page(200, "Sign in")
	case "list":
		return reply(200, []any{})
	default: // nothing
		return reply(200, map[string]any{})
	}
}

// delivery is how an answer reaches the client, if it does.
type delivery int

const (
	answered delivery = iota
	dropped
	cut
	held
)

// outcome is what becomes of a request.
type outcome struct {
	answer *answer // as the platform meant it; nil where there is none
	how    delivery
	hold   time.Duration // how long a held request is held; 0 for as long as the client stays
}

// deliver sends the outcome. All but a whole answer end in the panic by which net/http closes a
// connection without a further byte.
func (s *Server) deliver(ctx context.Context, w http.ResponseWriter, o outcome) {
	switch o.how {
	case answered:
		o.answer.send(w)
		return
	case cut:
		if len(o.answer.body) == 0 {
			o.answer.body = []byte("{}") // something must be there to be cut
		}
		o.answer.write(w, len(o.answer.body)/2)
		_ = http.NewResponseController(w).Flush() // where nothing can be flushed, nothing arrives: cut all the same
	case held:
		hold := o.hold
		if hold == 0 {
			hold = 1<<63 - 1
		}
		wait(ctx, s.closed, hold)
	}
	panic(http.ErrAbortHandler)
}

// answer is what goes back, before faults have had their way with it.
type answer struct {
	status int
	header http.Header
	body   []byte
	kind   string // the Content-Type; empty with an empty body
}

const (
	jsonType = "application/json; charset=utf-8"
	htmlType = "text/html; charset=utf-8"
)

func (a *answer) set(name, value string) {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(name, value)
}

// write sends the first n bytes of a, under a Content-Length that promises all of them.
func (a *answer) write(w http.ResponseWriter, n int) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body[:n]) // a client that went away has no use for the error
}

// send writes the whole answer.
func (a *answer) send(w http.ResponseWriter) { a.write(w, len(a.body)) }

// reply is an answer that holds v as JSON.
func reply(status int, v any) *answer {
	return &answer{status: status, body: encode(v), kind: jsonType}
}

// page is an answer for people, as proxies and frameworks give it.
func page(status int, title string) *answer {
	text := fmt.Sprintf("<!doctype html><html><head><title>%d %s</title></head><body><h1>%[2]s</h1></body></html>\n", status, title)
	return &answer{status: status, kind: htmlType, body: []byte(text)}
}

// later holds effects that happen after their connection was closed, or whether or not it was.
type later struct {
	mu      sync.Mutex // guards pending and flushed
	pending map[*time.Timer]func()
	flushed bool
	running sync.WaitGroup
}

// after runs effect when d is over, or at the flush if that comes first.
func (l *later) after(d time.Duration, effect func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flushed {
		d = 0
	}
	if l.pending == nil {
		l.pending = map[*time.Timer]func(){}
	}
	l.running.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		l.mu.Lock() // held above until the timer is in the map
		delete(l.pending, timer)
		l.mu.Unlock()
		effect()
		l.running.Done()
	})
	l.pending[timer] = effect
}

// flush runs everything that is pending and returns when all of it is done.
func (l *later) flush() {
	l.mu.Lock()
	var now []func()
	for timer, effect := range l.pending {
		if timer.Stop() {
			now = append(now, effect)
		}
	}
	l.pending, l.flushed = nil, true
	l.mu.Unlock()
	for _, effect := range now {
		effect()
		l.running.Done()
	}
	l.running.Wait()
}
