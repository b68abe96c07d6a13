package sandbox

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// recentRequests is how many requests the page and the inspection show.
const recentRequests = 50

// Counts are the requests since the start or the last reset.
type Counts struct {
	// Requests are all that arrived, by platform and operation: create, list, read, update, delete,
	// and "other" for unknown paths and methods. Those that a fault swallowed count too.
	Requests map[string]map[string]int `json:"requests"`
	// Throttled are the answers 429, by platform.
	Throttled map[string]int `json:"throttled"`
}

// Request is one request that the server has seen.
type Request struct {
	At       time.Time     `json:"at"`
	Platform string        `json:"platform"`
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

// book counts the requests and remembers the last ones.
type book struct {
	mu     sync.Mutex // guards the rest and what recent points to
	counts map[string]map[string]int
	limits map[string]int
	recent []*Request // oldest first, twice recentRequests at most
}

// arrive notes a request.
func (b *book) arrive(c *call) *Request {
	r := &Request{
		At: time.Now(), Platform: c.platform, App: c.app, Op: c.op,
		Method: c.method, Path: c.path, Outcome: "underway",
	}
	if r.Op == "" {
		r.Op = "other"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts, b.limits = map[string]map[string]int{}, map[string]int{}
	}
	if b.counts[r.Platform] == nil {
		b.counts[r.Platform] = map[string]int{}
	}
	b.counts[r.Platform][r.Op]++
	if len(b.recent) == 2*recentRequests {
		b.recent = slices.Clone(b.recent[recentRequests:])
	}
	b.recent = append(b.recent, r)
	return r
}

// leave notes what became of it.
func (b *book) leave(r *Request, c *call, t *trouble, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Took, r.Name, r.Faults = time.Since(r.At), c.name, t.names
	r.Outcome = [...]string{answered: "answered", dropped: "dropped", cut: "cut", held: "held"}[o.how]
	if o.answer == nil || o.how == dropped || o.how == held {
		return
	}
	if r.Status = o.answer.status; r.Status == 429 {
		b.limits[r.Platform]++
	}
}

func (b *book) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts, b.limits, b.recent = map[string]map[string]int{}, map[string]int{}, nil
}

// Counts returns the counts of requests so far.
func (s *Server) Counts() Counts {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	c := Counts{Requests: map[string]map[string]int{}, Throttled: maps.Clone(b.limits)}
	if c.Throttled == nil {
		c.Throttled = map[string]int{}
	}
	for platform, ops := range b.counts {
		c.Requests[platform] = maps.Clone(ops)
	}
	return c
}

// Requests returns the last 50 requests, newest first.
func (s *Server) Requests() []Request {
	b := &s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.recent[max(0, len(b.recent)-recentRequests):]
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
	// Fields are what was sent, and the platform's defaults. Numbers are json.Number. Secrets stand
	// in them as they were sent. The map must not be changed.
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
			if a.live(g.uid) != nil {
				agents = append(agents, a.export(g))
			}
		}
		a.mu.Unlock()
	}
	return agents
}

// export copies what is seen of an agent. The app is locked.
func (a *app) export(g *agent) Agent {
	name, _ := g.fields[nameField(a.key.platform)].(string)
	return Agent{
		Platform: a.key.platform, App: a.key.app, UID: g.uid, Name: name,
		Fields: g.fields, CreatedAt: g.created, UpdatedAt: g.updated,
	}
}
