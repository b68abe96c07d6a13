package sandbox

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"agentsync/internal/sandbox/faults"
	"agentsync/internal/sandbox/reply"
)

// recentRequests is how many requests the page and the inspection show.
const recentRequests = 50

// Counts are the requests since the start or the last reset.
type Counts struct {
	// Requests are all that arrived, by platform and operation: create, list, read, update, delete, tools,
	// contexts, and "other" for unknown paths and methods. Those that a fault swallowed count too.
	Requests map[string]map[string]int `json:"requests"`
	// Throttled are the answers 429, by platform.
	Throttled map[string]int `json:"throttled"`
}

// Request is one request that the server has seen.
type Request struct {
	At       time.Time     `json:"at"`
	Platform string        `json:"platform"`
	Version  string        `json:"version"` // of its API
	App      string        `json:"app"`
	Op       string        `json:"op"`
	Method   string        `json:"method"`
	Path     string        `json:"path"`
	Name     string        `json:"name,omitempty"` // the agent's
	Status   int           `json:"status"`         // 0 where nothing was answered, or not yet
	Outcome  string        `json:"outcome"`        // answered, cut, dropped, held or underway
	Faults   []string      `json:"faults,omitempty"`
	Took     time.Duration `json:"tookNanoseconds"`
}

// requestLog counts the requests and remembers the last ones.
type requestLog struct {
	mu     sync.Mutex // guards the rest and what recent points to
	counts map[string]map[string]int
	limits map[string]int
	recent []*Request // oldest first, twice recentRequests at most
}

// noteArrival notes a request.
func (h *requestLog) noteArrival(c *call) *Request {
	r := &Request{
		At: time.Now(), Platform: c.platform, Version: c.version, App: c.app, Op: cmp.Or(c.op, "other"),
		Method: c.method, Path: c.path, Outcome: "underway",
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		h.counts, h.limits = map[string]map[string]int{}, map[string]int{}
	}
	if h.counts[r.Platform] == nil {
		h.counts[r.Platform] = map[string]int{}
	}
	h.counts[r.Platform][r.Op]++
	if len(h.recent) == 2*recentRequests {
		h.recent = slices.Clone(h.recent[recentRequests:])
	}
	h.recent = append(h.recent, r)
	return r
}

// noteOutcome notes what became of it.
func (h *requestLog) noteOutcome(r *Request, c *call, t faults.Hits, o callOutcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.Took, r.Name, r.Faults = time.Since(r.At), c.name, t.Names()
	r.Outcome = [...]string{answered: "answered", dropped: "dropped", cut: "cut", held: "held"}[o.how]
	if o.answer == nil || o.how == dropped || o.how == held {
		return
	}
	if r.Status = o.answer.Status; r.Status == 429 {
		h.limits[r.Platform]++
	}
}

func (h *requestLog) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts, h.limits, h.recent = map[string]map[string]int{}, map[string]int{}, nil
}

// Counts returns the counts of requests so far.
func (s *Server) Counts() Counts {
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	c := Counts{Requests: map[string]map[string]int{}, Throttled: maps.Clone(h.limits)}
	if c.Throttled == nil {
		c.Throttled = map[string]int{}
	}
	for platform, ops := range h.counts {
		c.Requests[platform] = maps.Clone(ops)
	}
	return c
}

// Requests returns the last 50 requests, newest first.
func (s *Server) Requests() []Request {
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.recent[max(0, len(h.recent)-recentRequests):]
	requests := make([]Request, 0, len(last))
	for _, r := range slices.Backward(last) {
		requests = append(requests, *r)
	}
	return requests
}

// Agent is one live agent as a test sees it.
type Agent struct {
	Platform string `json:"platform"`
	App      string `json:"app"`
	UID      string `json:"uid"`
	Name     string `json:"name"`
	// Fields are what was sent, and the platform's defaults, in the names of the platform's first API
	// version. Numbers are json.Number. Secrets stand in them as they were sent. The map must not be changed.
	Fields    map[string]any `json:"fields"`
	CreatedAt time.Time      `json:"createdAt"`
	UpdatedAt time.Time      `json:"updatedAt"`
}

// Agents returns the live agents of an app in the order of their creation; all platforms or all apps
// where the name is empty, in the order of platform and app. Lists that lag do not hide them here.
func (s *Server) Agents(platform, app string) []Agent {
	agents := []Agent{}
	for _, a := range s.store.all() {
		if platform != "" && platform != a.key.platform || app != "" && app != a.key.app {
			continue
		}
		a.mu.Lock()
		for _, g := range a.agents {
			if a.liveAgent(g.uid) == g {
				agents = append(agents, a.exportAgent(g))
			}
		}
		a.mu.Unlock()
	}
	return agents
}

// exportAgent copies what is seen of an agent. The app is locked.
func (a *app) exportAgent(g *agent) Agent {
	name, _ := g.fields[a.dialect().nameField].(string)
	return Agent{
		Platform: a.key.platform, App: a.key.app, UID: g.uid, Name: name,
		Fields: g.fields, CreatedAt: g.created, UpdatedAt: g.updated,
	}
}

// dialect is the first of the app's platform, by whose names its agents are kept.
func (a *app) dialect() *dialect {
	i := slices.IndexFunc(dialects, func(d *dialect) bool { return d.platform == a.key.platform })
	return dialects[i] // requests and files name no other platform
}

// serveControl answers what stands below /_sandbox/: for tests, not for platforms.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /_sandbox/agents":
		q := r.URL.Query()
		reply.JSON(200, map[string]any{"agents": s.Agents(q.Get("platform"), q.Get("app"))}).Send(w)
	case "GET /_sandbox/requests":
		reply.JSON(200, map[string]any{"counts": s.Counts(), "recent": s.Requests()}).Send(w)
	case "POST /_sandbox/faults":
		s.controlFaults(r).Send(w)
	case "POST /_sandbox/reset":
		if err := s.Reset(); err != nil {
			reply.Refused(500, "", err.Error()).Answer(nil).Send(w)
			return
		}
		reply.JSON(200, map[string]any{"success": true}).Send(w)
	default:
		reply.Refused(404, "", "Cannot "+r.Method+" "+r.URL.Path).Answer(nil).Send(w)
	}
}

// controlFaults replaces the script by the request's text, or keeps it where the text is wrong.
func (s *Server) controlFaults(r *http.Request) *reply.Answer {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return reply.BadRequest("the body ended early").Answer(nil)
	}
	faults, err := faults.Parse(Platforms(), string(text))
	if err != nil {
		return reply.BadRequest("%v", err).Answer(nil)
	}
	s.SetFaults(faults)
	return reply.JSON(200, map[string]any{"rules": len(faults)})
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageAgents is how many agents of one app the page shows; the newest ones.
const pageAgents = 200

// pageData is what the page is made of.
type pageData struct {
	Apps     []pageApp
	Requests []pageRequest
	Faults   []faults.Rule
}

type pageApp struct {
	Platform, App string
	Count, More   int
	Agents        []pageAgent
}

type pageAgent struct{ Name, UID, About, Created string }

type pageRequest struct{ At, Method, Path, Name, Status, Took, Faults string }

// servePage answers the page for people. It shows no secret and needs no script.
func (s *Server) servePage(w http.ResponseWriter) {
	d := pageData{Faults: s.Faults()}
	for _, a := range s.store.all() {
		if p := a.pageOf(); p.Count > 0 {
			d.Apps = append(d.Apps, p)
		}
	}
	for _, r := range s.Requests() {
		d.Requests = append(d.Requests, r.pageOf())
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, d); err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	a := reply.Answer{Status: 200, Type: reply.HTMLType, Body: b.Bytes()}
	a.Set("Cache-Control", "no-store")
	a.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	a.Set("X-Content-Type-Options", "nosniff")
	a.Send(w)
}

func (a *app) pageOf() pageApp {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.dialect()
	p := pageApp{Platform: d.title, App: a.key.app}
	for _, g := range slices.Backward(a.agents) {
		if a.liveAgent(g.uid) != g {
			continue
		}
		if p.Count++; p.Count > pageAgents {
			p.More++
			continue
		}
		e := a.exportAgent(g)
		p.Agents = append(p.Agents, pageAgent{
			Name: e.Name, UID: e.UID, About: aboutLine(d.about(e)), Created: g.created.Format("2006-01-02 15:04:05"),
		})
	}
	return p
}

// pageLabel is a value with words before it, for the page.
type pageLabel struct {
	words string
	value any
}

// aboutLine is one line of what is to be shown of an agent.
func aboutLine(values []any) string {
	var words []string
	for _, v := range values {
		l, ok := v.(pageLabel)
		if !ok {
			l = pageLabel{value: v}
		}
		switch v := l.value.(type) {
		case string:
			if v != "" {
				words = append(words, l.words+v)
			}
		case bool:
			if !v {
				l.words = "not " + l.words
			}
			words = append(words, l.words)
		case []any:
			if len(v) > 0 {
				words = append(words, l.words+strings.Trim(fmt.Sprint(v), "[]"))
			}
		}
	}
	return strings.Join(words, " · ")
}

func (r Request) pageOf() pageRequest {
	p := pageRequest{
		At: r.At.Format("15:04:05.000"), Method: r.Method, Path: r.Path, Name: r.Name,
		Status: r.Outcome, Took: r.Took.Round(10 * time.Microsecond).String(), Faults: strings.Join(r.Faults, ", "),
	}
	if r.Status != 0 {
		p.Status = fmt.Sprint(r.Status)
		if r.Outcome != "answered" {
			p.Status += " " + r.Outcome
		}
	}
	return p
}
