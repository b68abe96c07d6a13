package sandbox

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// handle is the platform: key, rate limit, then the operation.
func (s *Server) handle(c *call, t *trouble) *answer {
	key := appKey{c.platform, c.app}
	header := "apikey"
	if c.platform == Mindset {
		header = "x-api-key"
	}
	if p := s.accepts(c.header.Get(header)); p != nil {
		return p.answer(c.platform)
	}
	now := time.Now()
	q := s.limiter.take(key, now)
	var a *answer
	if q.over {
		a = tooMany().answer(c.platform)
	} else {
		a = s.operate(c, t)
	}
	s.limiter.announce(a, c.platform, q, now)
	return a
}

func (s *Server) operate(c *call, t *trouble) *answer {
	if c.bad == nil {
		c.bad = c.checkHead()
	}
	if c.bad != nil {
		a := c.bad.answer(c.platform)
		if c.bad.status == http.StatusMethodNotAllowed {
			a.set("Allow", c.allowed())
		}
		return a
	}
	a, p := s.dispatch(c, t)
	if p != nil {
		return p.answer(c.platform)
	}
	return a
}

func (s *Server) dispatch(c *call, t *trouble) (*answer, *problem) {
	switch c.op {
	case opCreate:
		return s.create(c, t)
	case opList:
		return s.list(c, t)
	case opRead:
		return s.readOne(c, t)
	case opUpdate:
		return s.update(c, t)
	default: // route lets nothing else through
		return s.delete(c)
	}
}

// checkHead refuses headers and parameters that the platform does not know.
func (c *call) checkHead() *problem {
	if v := c.header.Get("chatApiVersion"); c.platform == CometChat && v != "" && v != "v3.0" {
		return badRequest("chatApiVersion must be v3.0")
	}
	if c.platform == Mindset && c.op == opList {
		return nil // mindsetQuery looks at them
	}
	return onlyQuery(c)
}

// allowed lists the methods of the call's path.
func (c *call) allowed() string {
	table := methods[c.platform].collection
	if c.uid != "" {
		table = methods[c.platform].item
	}
	var names []string
	for _, m := range []string{"GET", "POST", "PATCH", "DELETE"} {
		if table[m] != "" {
			names = append(names, m)
		}
	}
	return strings.Join(names, ", ")
}

// checkBody refuses what the platform would refuse of a create (have is nil) or an update.
func (s *Server) checkBody(c *call, t *trouble, have map[string]any) *problem {
	update := c.op == opUpdate
	if c.platform == Mindset {
		return checkFields(mindsetFields, c.fields, update)
	}
	if names, _ := c.fields["tools"].([]any); t.noTools && len(names) > 0 {
		return refused(400, "ERR_TOOL_NOT_FOUND", fmt.Sprintf("the tool %v does not exist in this app", names[0]))
	}
	if names, _ := c.fields["actions"].([]any); t.noTools && len(names) > 0 {
		return refused(400, "ERR_TOOL_NOT_FOUND", fmt.Sprintf("the action %v does not exist in this app", names[0]))
	}
	p := s.checkCometChat(c.fields, have, update)
	if !update {
		p = p.as("ERR_AGENT_CREATION_FAILED")
	}
	return p
}

// rewritten returns the fields as the platform stores them.
func rewritten(fields map[string]any, t *trouble) map[string]any {
	if len(t.rewrites) == 0 {
		return fields
	}
	fields = maps.Clone(fields)
	for _, r := range t.rewrites {
		v, ok := fields[r.field]
		if !ok {
			continue
		}
		if v = rewrites[r.how](v); v == nil {
			delete(fields, r.field)
		} else {
			fields[r.field] = v
		}
	}
	return fields
}

// create makes an agent, however many there are like it already.
func (s *Server) create(c *call, t *trouble) (*answer, *problem) {
	if p := s.checkBody(c, t, nil); p != nil {
		return nil, p
	}
	g := &agent{uid: s.uids(c.platform, c.app), fields: map[string]any{}}
	if c.platform == Mindset {
		g.fields["live"], g.fields["access"] = false, "restrictedAccess"
	} else {
		g.fields["isActive"] = true
	}
	maps.Copy(g.fields, rewritten(c.fields, t))

	a := s.store.app(appKey{c.platform, c.app})
	a.mu.Lock()
	defer a.mu.Unlock()
	g.created = s.now().UTC().Truncate(s.precision)
	g.updated = g.created
	g.hiddenUntil = time.Now().Add(t.hidden)
	if t.lists > 0 {
		g.hiddenLists = a.lists + t.lists
	}
	g.doc = s.render(a, g, s.mask)
	if err := s.store.log.put(a.record(g)); err != nil {
		return nil, unstored(err)
	}
	a.insert(g)
	return s.one(s.created, a, g, t), nil
}

// update changes the fields that were sent and no others.
func (s *Server) update(c *call, t *trouble) (*answer, *problem) {
	a, g, p := s.find(c)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	if p := s.checkBody(c, t, g.fields); p != nil {
		return nil, p
	}
	next := *g
	next.fields = maps.Clone(g.fields)
	maps.Copy(next.fields, rewritten(c.fields, t))
	next.updated = s.now().UTC().Truncate(s.precision)
	next.doc = s.render(a, &next, s.mask)
	if err := s.store.log.put(a.record(&next)); err != nil {
		return nil, unstored(err)
	}
	*g = next
	if c.platform == CometChat {
		return reply(200, map[string]any{"success": true}), nil
	}
	return s.one(200, a, g, t), nil
}

// delete takes an agent away; CometChat keeps it, marked.
func (s *Server) delete(c *call) (*answer, *problem) {
	a, g, p := s.find(c)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	next := *g
	next.deleted = s.now().UTC().Truncate(s.precision)
	next.doc = s.render(a, &next, s.mask)
	rec := a.record(&next)
	if c.platform == Mindset {
		rec = record{Platform: a.key.platform, App: a.key.app, UID: g.uid, Gone: true}
	}
	if err := s.store.log.put(rec); err != nil {
		return nil, unstored(err)
	}
	if c.platform == Mindset {
		a.remove(g, next.deleted)
		return &answer{status: 200}, nil
	}
	*g = next
	return reply(200, map[string]any{"success": true, "message": "Agent deleted successfully."}), nil
}

func (s *Server) readOne(c *call, t *trouble) (*answer, *problem) {
	a, g, p := s.find(c)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	return s.one(200, a, g, t), nil
}

// find returns the live agent that the call is about, with its app locked, or the platform's 404.
func (s *Server) find(c *call) (*app, *agent, *problem) {
	if a := s.store.peek(appKey{c.platform, c.app}); a != nil {
		a.mu.Lock()
		if g := a.live(c.uid); g != nil {
			return a, g, nil
		}
		a.mu.Unlock()
	}
	return nil, nil, refused(404, "ERR_AGENT_NOT_FOUND", "there is no agent "+c.uid)
}

// one answers a single agent. The app is locked.
func (s *Server) one(status int, a *app, g *agent, t *trouble) *answer {
	doc := g.doc
	if t.mask {
		doc = s.render(a, g, true)
	}
	if a.key.platform == CometChat {
		doc = append(append([]byte(`{"agent":`), doc...), '}')
	}
	return &answer{status: status, body: doc, kind: jsonType}
}

// render is an agent as its platform answers it.
func (s *Server) render(a *app, g *agent, mask bool) []byte {
	if a.key.platform == Mindset {
		return encode(showMindset(g))
	}
	return encode(s.showCometChat(a.key.app, g, mask))
}

// unstored is the answer to a change that the file did not take; it has not happened.
func unstored(err error) *problem { return refused(500, "ERR_INTERNAL", err.Error()) }

// newUID makes a uid as the platform's are: a UUID of version 4, or 20 letters and digits.
func newUID(platform, _ string) string {
	if platform == Mindset {
		return rand.Text()[:20]
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
