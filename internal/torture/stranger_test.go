package torture

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// stranger is both platforms as somebody else would have written them, from their references alone: it takes
// whatever it is sent, and keeps, shows and answers it as its manners say. It shares no line with the sandbox,
// so that one misunderstanding cannot hide on both sides.
type stranger struct {
	server *httptest.Server

	mu      sync.Mutex // guards what follows; manners are called with it held unless they say otherwise
	manners manners
	agents  []*being // in order of creation
	log     []entry  // every request, in order of arrival
	clock   time.Time
}

// body is an agent, or any other object, as JSON.
type body = map[string]any

// being is an agent that is there.
type being struct {
	platform, uid string
	fields        body
	created       time.Time
}

// entry is a request that arrived.
type entry struct{ platform, op, name, uid string }

// manners say in what a stranger differs from what its references say. Those that are nil change nothing.
type manners struct {
	// before answers a request in the platform's place and reports whether it did. The lock is not held.
	before func(q *query) bool
	// after answers when the effect has happened, and reports whether it did. The lock is not held.
	after func(q *query, status int, answer any) bool
	// keep returns what is stored of an agent's fields.
	keep func(fields body) body
	// show changes an agent on its way out, in answers and in lists.
	show func(op string, agent body)
	// list returns the agents that a list shows, of those that it should.
	list func(platform string, all []*being) []*being
	// pageSize is how many agents a page of Mindset holds, all where it is 0.
	pageSize int
	// end404 answers the end of Mindset's list with 404 and an empty list.
	end404 bool
	// seconds truncates the times that are shown.
	seconds bool
	// samePair gives each two agents that follow one another the same time.
	samePair bool
}

// query is a request that is being answered.
type query struct {
	entry
	fields body // of a create or an update
	w      http.ResponseWriter
	r      *http.Request
}

// send answers: a string as it is, HTML where it looks like that, anything else as JSON.
func (q *query) send(status int, v any) bool {
	text, plain := v.(string)
	q.w.Header().Set("Content-Type", "application/json")
	if plain && strings.HasPrefix(text, "<") {
		q.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	if !plain && v != nil {
		b, _ := json.Marshal(v) // it came from JSON, or a test wrote it
		text = string(b)
	}
	q.w.WriteHeader(status)
	_, _ = io.WriteString(q.w, text) // the client may have gone
	return true
}

// drop closes the connection without an answer.
func (q *query) drop() bool { panic(http.ErrAbortHandler) }

// until waits for the client to give the request up.
func (q *query) until() { <-q.r.Context().Done() }

func newStranger(t *testing.T, m manners) *stranger {
	return startStranger(t, m, (*httptest.Server).Start)
}

// startStranger starts its server otherwise than by HTTP/1.1 without TLS.
func startStranger(t *testing.T, m manners, start func(*httptest.Server)) *stranger {
	s := &stranger{manners: m, clock: time.Now().UTC()}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	start(s.server)
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

// behave replaces the manners.
func (s *stranger) behave(m manners) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manners = m
}

func (s *stranger) serve(w http.ResponseWriter, r *http.Request) {
	q := &query{w: w, r: r}
	q.platform, q.op, q.uid = route(r)
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return // it ended in the middle: nothing arrived
	}
	_ = json.Unmarshal(b, &q.fields) // what is no object has no fields
	q.name = nameOf(q.fields)
	s.mu.Lock()
	s.log = append(s.log, q.entry)
	m := s.manners
	s.mu.Unlock()
	if m.before != nil && m.before(q) {
		return
	}
	status, answer := s.act(q)
	if m.after != nil && m.after(q, status, answer) {
		return
	}
	q.send(status, answer)
}

// route returns what a request asks for; the platform is empty for a path that there is not.
func route(r *http.Request) (platform, op, uid string) {
	path, of, ok := strings.Cut(r.URL.Path, "/agents")
	switch {
	case ok && strings.HasSuffix(path, "/v3/ai-agents"):
		platform, uid = "cometchat", strings.TrimPrefix(of, "/")
	case ok && strings.Contains(path, "/api/v1/appuid/"):
		platform, uid = "mindset", strings.TrimPrefix(strings.TrimPrefix(of, "/uid"), "/")
	default:
		return "", r.Method, ""
	}
	op = map[string]string{"GET": "list", "POST": "create", "PATCH": "update", "DELETE": "delete"}[r.Method]
	if op == "list" && uid != "" {
		op = "read"
	}
	return platform, op, uid
}

func nameOf(fields body) string {
	for _, field := range []string{"name", "agentName"} {
		if name, ok := fields[field].(string); ok {
			return name
		}
	}
	return ""
}

// act is the effect of a request, and what it is answered.
func (s *stranger) act(q *query) (int, any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.agents, func(a *being) bool { return a.platform == q.platform && a.uid == q.uid })
	switch {
	case q.platform == "" || q.op == "" || q.op == "read" && q.platform == "cometchat":
		return http.StatusNotFound, "<html><h1>Not Found</h1></html>"
	case q.op == "list":
		return s.page(q)
	case q.op == "create":
		a := s.add(q.platform, q.fields)
		if q.platform == "cometchat" {
			return http.StatusOK, body{"agent": s.shown(q.op, a)}
		}
		return http.StatusCreated, s.shown(q.op, a)
	case i < 0:
		return http.StatusNotFound, body{"error": body{"code": "ERR_AGENT_NOT_FOUND",
			"message": "The agent does not exist."}}
	case q.op == "update":
		for name, v := range s.stored(q.fields) {
			s.agents[i].fields[name] = v
		}
	case q.op == "delete":
		s.agents = slices.Delete(s.agents, i, i+1)
	}
	switch {
	case q.platform == "cometchat":
		return http.StatusOK, body{"success": true}
	case q.op == "delete":
		return http.StatusOK, nil
	}
	return http.StatusOK, s.shown(q.op, s.agents[i])
}

func (s *stranger) stored(fields body) body {
	kept := body{}
	for name, v := range fields {
		kept[name] = v
	}
	if s.manners.keep != nil {
		kept = s.manners.keep(kept)
	}
	return kept
}

// defaults are what an agent has where nothing else was sent.
var defaults = map[string]body{
	"cometchat": {"isActive": true, "tools": []any{}, "actions": []any{}, "metaData": body{}, "instruction": "",
		"deletedAt": nil},
	"mindset": {"live": false, "access": "restrictedAccess", "tags": []any{}, "contextUids": []any{},
		"mcpserverUids": []any{}},
}

// add makes an agent. The caller holds mu.
func (s *stranger) add(platform string, fields body) *being {
	if !s.manners.samePair || len(s.agents)%2 == 0 {
		s.clock = s.clock.Add(time.Millisecond) // never two at the same time
		if now := time.Now().UTC(); now.After(s.clock) {
			s.clock = now
		}
	}
	a := &being{platform: platform, fields: body{}, created: s.clock, uid: strings.ToLower(rand.Text()[:20])}
	if platform == "cometchat" {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // it never fails
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		a.uid = fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	for name, v := range defaults[platform] {
		a.fields[name] = v
	}
	for name, v := range s.stored(fields) {
		a.fields[name] = v
	}
	s.agents = append(s.agents, a)
	return a
}

// shown is an agent as it is answered. The caller holds mu.
func (s *stranger) shown(op string, a *being) body {
	created := a.created.Truncate(time.Millisecond)
	if s.manners.seconds {
		created = created.Truncate(time.Second)
	}
	shown := body{"uid": a.uid, "createdAt": created.Format("2006-01-02T15:04:05.000Z")}
	for name, v := range a.fields {
		shown[name] = v
	}
	if s.manners.show != nil {
		s.manners.show(op, shown)
	}
	return shown
}

// page is a list, or the page of one that is asked for. The caller holds mu.
func (s *stranger) page(q *query) (int, any) {
	var all []*being
	for _, a := range s.agents {
		if a.platform == q.platform {
			all = append(all, a)
		}
	}
	if s.manners.list != nil {
		all = s.manners.list(q.platform, all)
	}
	page, after := []any{}, q.r.URL.Query().Get("startAfter")
	for _, a := range all {
		shown := s.shown("list", a)
		if created, _ := shown["createdAt"].(string); q.platform == "mindset" && created <= after {
			continue
		}
		if s.manners.pageSize == 0 || q.platform == "cometchat" || len(page) < s.manners.pageSize {
			page = append(page, shown)
		}
	}
	switch {
	case q.platform == "cometchat":
		return http.StatusOK, page
	case len(page) == 0 && s.manners.end404:
		return http.StatusNotFound, body{"agents": page}
	}
	return http.StatusOK, body{"agents": page}
}

// put makes an agent as somebody else does.
func (s *stranger) put(platform string, fields body) *being {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(platform, fields)
}

// remove takes the agents of a name away, as somebody does in the dashboard.
func (s *stranger) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = slices.DeleteFunc(s.agents, func(a *being) bool { return nameOf(a.fields) == name })
}

// change sets a field of the agents of a name, as somebody does in the dashboard.
func (s *stranger) change(name, field string, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.agents {
		if nameOf(a.fields) == name {
			a.fields[field] = v
		}
	}
}

// names are the names of all agents that are there, sorted.
func (s *stranger) names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.agents {
		names = append(names, nameOf(a.fields))
	}
	slices.Sort(names)
	return names
}

// field is the value of a field of the one agent of a name.
func (s *stranger) field(name, field string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.agents {
		if nameOf(a.fields) == name {
			return a.fields[field]
		}
	}
	return nil
}

// uids are the names of all agents that are there, by their uids.
func (s *stranger) uids() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	uids := map[string]string{}
	for _, a := range s.agents {
		uids[a.uid] = nameOf(a.fields)
	}
	return uids
}

// asked is how many requests of an operation arrived.
func (s *stranger) asked(op string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.log {
		if e.op == op {
			n++
		}
	}
	return n
}

// order is the names that the creates which arrived since the n-th request had, in order.
func (s *stranger) order(since int) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.log[since:] {
		if e.op == "create" {
			names = append(names, e.name)
		}
	}
	return names
}

// requests is how many requests arrived.
func (s *stranger) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log)
}
