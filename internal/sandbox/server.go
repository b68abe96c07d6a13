package sandbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"agentsync/internal/sandbox/faults"
	"agentsync/internal/sandbox/reply"
	"agentsync/internal/sandbox/wire"
)

// Server speaks the platforms' APIs. It is an http.Handler, safe for concurrent use, and starts no
// goroutine of its own.
type Server struct {
	options    Options
	references knownReferences
	store      *store
	script     atomic.Pointer[faults.Running]
	limiter    *rateLimiter
	history    requestLog
	later      lateEffects
	closed     chan struct{}
	once       sync.Once
}

// New makes a server. It fails where the file of the options is damaged, foreign or in use.
func New(o Options) (*Server, error) {
	s := &Server{options: o.withDefaults(), references: o.knownReferences(), store: newStore(),
		closed: make(chan struct{})}
	s.limiter = &rateLimiter{RateLimit: o.Limit, apps: map[appKey]*rateWindow{}}
	s.script.Store(faults.Run(o.Faults))
	if o.File == "" {
		return s, nil
	}
	log, err := openLog(o.File, s.store.restore)
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
		s.later.runNow()
		err = s.store.log.close()
	})
	return err
}

// SetFaults replaces the script; its counts start anew.
func (s *Server) SetFaults(f faults.Script) { s.script.Store(faults.Run(f)) }

// Faults returns the running script.
func (s *Server) Faults() faults.Script { return s.script.Load().Source }

// Reset forgets every agent, deleted ones too, and every count. Faults stay and count anew.
func (s *Server) Reset() error {
	s.history.reset()
	s.SetFaults(s.Faults())
	return s.store.reset()
}

// ServeHTTP answers one request. A fault that drops the answer ends in a panic with
// http.ErrAbortHandler, as net/http wants it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := refuseForeign(r); err != nil {
		reply.Refused(403, "", err.Error()).Answer(nil).Send(w)
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

// refuseForeign refuses what a web page that happens to be open can send: a foreign Origin, and a Host that
// somebody has made to mean this machine.
func refuseForeign(r *http.Request) error {
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
	c := routeCall(r)
	if c == nil {
		http.NotFound(w, r)
		return
	}
	c.readBody(w, r)
	entry := s.history.noteArrival(c)
	s.recognise(c)
	t := s.script.Load().Meet(faults.Target{Platform: c.platform, App: c.app, Method: c.method, Op: c.op, Name: c.name})
	o := s.carryOut(r.Context(), c, t)
	s.history.noteOutcome(entry, c, t, o)
	s.deliver(r.Context(), w, o)
}

// readBody takes the whole body in, as far as it is allowed to be long. The connection is watched for the
// client's leaving only once the body has been read.
func (c *call) readBody(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		c.bad = reply.Refused(413, "", fmt.Sprintf("the body is longer than %d bytes", maxBody))
	case err != nil && !errors.Is(err, io.EOF):
		c.bad = reply.BadRequest("the body ended early")
	}
	c.body = b.Bytes()
}

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

// recognise decodes the body and finds the agent's name, which rules may select by. A body that is
// wrong becomes the call's problem only where the platform looks at it.
func (s *Server) recognise(c *call) {
	if c.bad != nil || c.nowhere {
		return
	}
	if c.op == faults.OpCreate || c.op == faults.OpUpdate {
		c.bad = c.decodeBody()
	}
	c.name, _ = c.sent[c.nameField].(string)
	if _, sent := c.sent[c.nameField]; sent || c.uid == "" {
		return
	}
	if g, done := s.store.find(c.appKey(), c.uid); g != nil {
		defer done()
		c.name, _ = g.fields[c.nameField].(string)
	}
}

// decodeBody reads the body of a create or update: exactly one JSON object.
func (c *call) decodeBody() *reply.Problem {
	if t, _, err := mime.ParseMediaType(c.header.Get("Content-Type")); err != nil || t != "application/json" {
		return reply.Refused(415, "", "the body must be application/json")
	}
	v, err := wire.Decode(c.body)
	if err != nil {
		return reply.BadRequest("the body is not JSON as it should be: %v", err)
	}
	var ok bool
	if c.sent, ok = v.(map[string]any); !ok {
		return reply.BadRequest("the body must be a JSON object")
	}
	return nil
}

// carryOut does what the request asks, as far as the faults let it, and says what goes back.
func (s *Server) carryOut(ctx context.Context, c *call, t faults.Hits) callOutcome {
	// A client that leaves while it waits has sent nothing: the effect comes after the wait.
	for _, r := range t {
		if r.Kind == "latency" && !waitFor(ctx, s.closed, r.Jittered()) {
			return callOutcome{how: dropped}
		}
	}
	if r := t.In(faults.Instead); r != nil {
		return s.answerInstead(c, &r.Rule)
	}
	if r := t.First("late"); r != nil {
		s.later.runAfter(r.Wait, func() { s.askPlatform(c, t) })
		return callOutcome{how: dropped}
	}
	if r := t.First("slow"); r != nil {
		// Carried out by a timer, so that neither the client's leaving nor the server's end takes it back.
		answered := make(chan *reply.Answer, 1)
		s.later.runAfter(r.Wait, func() { answered <- s.askPlatform(c, t) })
		return s.answerAfter(c, t, <-answered)
	}
	return s.answerAfter(c, t, s.askPlatform(c, t))
}

// answerAfter is what becomes of an answer whose effect has happened.
func (s *Server) answerAfter(c *call, t faults.Hits, a *reply.Answer) callOutcome {
	o := callOutcome{answer: a}
	if r := t.First("exhausted"); r != nil && a.Status < 300 && c.rateHeaders {
		a.Set("X-Rate-Limit", "100")
		a.Set("X-Rate-Limit-Remaining", "0")
		setReset(&r.Rule, a, time.Now().Add(r.Wait))
	}
	r := t.In(faults.After)
	if r == nil {
		return o
	}
	switch r.Kind {
	case "drop-after":
		o.how = dropped
	case "hang", "hang-after":
		o.how, o.hold = held, r.Wait
	case "cut-body":
		o.how = cut
	case "garbage":
		o.answer = reply.Spoiled(a, r.Form)
	case "status-after":
		o.answer = errorAnswer(&r.Rule, c, r.Number)
	}
	return o
}

// waitFor returns true when d is over and false when the client or the server went first.
func waitFor(ctx context.Context, closed <-chan struct{}, d time.Duration) bool {
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

// answerInstead answers in the platform's place; nothing has happened and nothing will.
func (s *Server) answerInstead(c *call, r *faults.Rule) callOutcome {
	switch r.Kind {
	case "drop-before":
		return callOutcome{how: dropped}
	case "hang-before":
		return callOutcome{how: held, hold: r.Wait}
	case "redirect":
		a := &reply.Answer{Status: r.Number}
		to := r.To
		if to == "" {
			to = c.path
			if len(c.query) > 0 {
				to += "?" + c.query.Encode()
			}
		}
		a.Set("Location", to)
		return callOutcome{answer: a}
	case "throttle":
		return callOutcome{answer: waitAnswer(r, c, 429)}
	case "unavailable":
		return callOutcome{answer: waitAnswer(r, c, 503)}
	case "not-done":
		return callOutcome{answer: notDoneAnswer(r)}
	default: // status-before, html, empty
		return callOutcome{answer: errorAnswer(r, c, r.Number)}
	}
}

// waitAnswer is an answer that says when to ask again.
func waitAnswer(r *faults.Rule, c *call, status int) *reply.Answer {
	a := errorAnswer(r, c, status)
	at := time.Now().Add(r.Wait)
	switch r.RetryAs {
	case "none":
	case "date":
		a.Set("Retry-After", at.Add(time.Second-1).UTC().Format(http.TimeFormat))
	default:
		a.Set("Retry-After", strconv.Itoa(wholeSeconds(r.Wait)))
	}
	if c.rateHeaders && status == 429 && r.RetryAs != "none" {
		setReset(r, a, at)
	}
	return a
}

// setReset says when the rate limit is reset, in the rule's form.
func setReset(r *faults.Rule, a *reply.Answer, at time.Time) {
	switch r.ResetAs {
	case "none":
	case "milliseconds":
		a.Set("X-Rate-Limit-Reset", strconv.FormatInt(at.UnixMilli(), 10))
	default:
		a.Set("X-Rate-Limit-Reset", strconv.FormatInt(at.Add(time.Second-1).Unix(), 10))
	}
}

// errorAnswer is an error answer with the body that the rule wants.
func errorAnswer(r *faults.Rule, c *call, status int) *reply.Answer {
	a := tooMany().Answer(c.envelope)
	if status != 429 {
		code := cmp.Or(r.Code, "ERR_INTERNAL")
		a = reply.Refused(status, code, "the sandbox was told to answer "+strconv.Itoa(status)).Answer(c.envelope)
	}
	if r.Body == "html" {
		return reply.Page(status, http.StatusText(status))
	}
	return reply.Spoiled(a, r.Body)
}

// notDoneAnswer is an answer 200 to a write that was not carried out.
func notDoneAnswer(r *faults.Rule) *reply.Answer {
	const why = "the sandbox was told not to do it"
	switch r.Form {
	case "error":
		return reply.JSON(200, map[string]any{"error": map[string]any{"code": "ERR_INTERNAL", "message": why}})
	case "status":
		return reply.JSON(200, map[string]any{"statusCode": 400, "message": why, "error": "Bad Request"})
	case "false":
		return reply.JSON(200, map[string]any{"success": false, "message": why})
	case "html":
		return reply.Page(200, "Sign in")
	case "list":
		return reply.JSON(200, []any{})
	default: // nothing
		return reply.JSON(200, map[string]any{})
	}
}

// deliveryWay is how an answer reaches the client, if it does.
type deliveryWay int

const (
	answered deliveryWay = iota
	dropped
	cut
	held
)

// callOutcome is what becomes of a request.
type callOutcome struct {
	answer *reply.Answer // as the platform meant it; nil where there is none
	how    deliveryWay
	hold   time.Duration // how long a held request is held; 0 for as long as the client stays
}

// deliver sends the outcome. All but a whole answer end in the panic by which net/http closes a
// connection without a further byte.
func (s *Server) deliver(ctx context.Context, w http.ResponseWriter, o callOutcome) {
	switch o.how {
	case answered:
		o.answer.Send(w)
		return
	case cut:
		if len(o.answer.Body) == 0 {
			o.answer.Body = []byte("{}") // something must be there to be cut
		}
		o.answer.Write(w, len(o.answer.Body)/2)
		_ = http.NewResponseController(w).Flush() // where nothing can be flushed, nothing arrives: cut all the same
	case held:
		waitFor(ctx, s.closed, cmp.Or(o.hold, 1<<63-1))
	}
	panic(http.ErrAbortHandler)
}

// lateEffects holds effects that happen after their connection was closed, or whether or not it was.
type lateEffects struct {
	mu      sync.Mutex // guards pending and flushed
	pending map[*time.Timer]func()
	flushed bool
	running sync.WaitGroup
}

// runAfter runs effect when d is over, or at the flush if that comes first.
func (l *lateEffects) runAfter(d time.Duration, effect func()) {
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

// runNow runs everything that is pending and returns when all of it is done.
func (l *lateEffects) runNow() {
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
