package sandbox

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// handle is the platform: path, key, rate limit, then the operation.
func (s *Server) handle(c *call, t trouble) *answer {
	if c.nowhere {
		return nowhere(c)
	}
	if p := s.accepts(c.header.Get(c.keyHeader)); p != nil {
		return p.answer(c.dialect)
	}
	now := time.Now()
	q := s.limiter.take(c.key(), now)
	var a *answer
	if q.over {
		a = tooMany().answer(c.dialect)
	} else {
		a = s.operate(c, t)
	}
	s.limiter.announce(a, c.dialect, q, now)
	return a
}

// nowhere is the answer to a path that the platform does not have: a page, as the frameworks of both give it,
// and not the error envelope of an agent that does not exist.
func nowhere(c *call) *answer {
	text := fmt.Sprintf("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n"+
		"<body>\n<pre>Cannot %s %s</pre>\n</body>\n</html>\n", c.method, html.EscapeString(c.path))
	return &answer{status: 404, kind: htmlType, body: []byte(text)}
}

func (s *Server) operate(c *call, t trouble) *answer {
	if c.bad == nil && c.head != nil {
		c.bad = c.head(c)
	}
	if c.bad != nil {
		a := c.bad.answer(c.dialect)
		if c.bad.status == http.StatusMethodNotAllowed {
			a.set("Allow", c.allowed())
		}
		return a
	}
	var a *answer
	var p *problem
	switch c.op {
	case opList:
		a, p = s.list(c, t)
	case opTools, opContexts:
		a, p = s.listReferences(c, t)
	default:
		if p = c.onlyQuery(); p != nil {
			break
		}
		switch c.op {
		case opCreate:
			a, p = s.create(c, t)
		case opRead:
			a, p = s.readOne(c, t)
		case opUpdate:
			a, p = s.update(c, t)
		default: // route lets nothing else through
			a, p = s.delete(c, t)
		}
	}
	if p != nil {
		return p.answer(c.dialect)
	}
	return a
}

// judge refuses what the platform would refuse of a create (have is nil) or an update.
func (s *Server) judge(c *call, t trouble, have map[string]any) *problem {
	for _, field := range []string{"tools", "actions"} {
		if names, _ := c.sent[field].([]any); t.has("refuse-tools") && len(names) > 0 {
			return refused(400, "ERR_TOOL_NOT_FOUND", fmt.Sprintf("the %s %v does not exist in this app", strings.TrimSuffix(field, "s"), names[0]))
		}
	}
	p := checkFields(c.fields, c.sent, have != nil)
	if _, kind := c.sent["integrateWith"]; p == nil && t.has("strict-meta") && c.sent["integrationMeta"] != nil && !kind {
		p = badRequest("integrateWith is required")
	}
	if p == nil && c.check != nil {
		p = c.check(s, c, have)
	}
	if have == nil {
		p = p.as("ERR_AGENT_CREATION_FAILED")
	}
	return p
}

// clock is the platform's time now, as it is kept.
func (s *Server) clock(t trouble) time.Time {
	at := s.now().UTC()
	if r := t.first("clock"); r != nil {
		at = at.Add(r.wait)
	}
	if t.has("whole-seconds") {
		at = at.Truncate(time.Second)
	}
	return at.Truncate(s.precision)
}

// kept returns the fields as the platform keeps them.
func (c *call) kept(t trouble, have map[string]any) map[string]any {
	fields := maps.Clone(c.sent)
	for _, r := range t {
		if r.kind != "rewrite" {
			continue
		}
		for name, v := range fields {
			switch {
			case r.how == "fill" && (r.field == name || r.field == "*") && c.filled[name] != nil:
				filled := maps.Clone(c.filled[name])
				sent, _ := v.(map[string]any)
				maps.Copy(filled, sent)
				v = filled
			case r.how != "fill" && (r.field == name || r.field == "*"):
				v = rewrites[r.how](v)
			}
			if fields[name] = v; v == nil {
				delete(fields, name)
			}
		}
	}
	if c.keep == nil {
		return fields
	}
	return c.keep(fields, have)
}

// lagging is what lists show for a while in place of a change. The app is locked.
func (t trouble) lagging(a *app, before *agent) lag {
	l := lag{before: before}
	for _, r := range t {
		switch r.kind {
		case "lag":
			l.until = time.Now().Add(max(r.wait, time.Until(l.until)))
		case "lag-lists":
			l.lists = max(l.lists, a.lists+r.number)
		}
	}
	return l
}

// create makes an agent, however many there are like it already.
func (s *Server) create(c *call, t trouble) (*answer, *problem) {
	if p := s.judge(c, t, nil); p != nil {
		return nil, p
	}
	g := &agent{uid: s.uidFor(c), version: c.version, fields: map[string]any{}}
	maps.Copy(g.fields, c.defaults)
	maps.Copy(g.fields, c.kept(t, nil))

	a := s.store.app(c.key())
	a.mu.Lock()
	defer a.mu.Unlock()
	g.created = s.clock(t)
	g.updated = g.created
	g.lag = t.lagging(a, nil)
	if err := s.store.log.put(a.record(g)); err != nil {
		return nil, unstored(err)
	}
	a.insert(g)
	return s.one(c, s.created, g, t), nil
}

func (s *Server) uidFor(c *call) string {
	if s.uids != nil {
		return s.uids(c.platform, c.app)
	}
	return c.newUID()
}

// update changes the fields that were sent and no others.
func (s *Server) update(c *call, t trouble) (*answer, *problem) {
	a, g, p := s.find(c, t)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	if p := s.judge(c, t, g.fields); p != nil {
		return nil, p
	}
	if !t.has("ignored") {
		next := g.copy()
		maps.Copy(next.fields, c.kept(t, g.fields))
		next.updated = s.clock(t)
		next.lag = t.lagging(a, g.copy())
		if err := s.store.log.put(a.record(next)); err != nil {
			return nil, unstored(err)
		}
		*g = *next
	}
	if c.updated != "" {
		return &answer{status: 200, body: []byte(c.updated), kind: jsonType}, nil
	}
	return s.one(c, 200, g, t), nil
}

// delete takes an agent away; a platform that keeps deleted agents marks it.
func (s *Server) delete(c *call, t trouble) (*answer, *problem) {
	a, g, p := s.find(c, t)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	if !t.has("ignored") {
		next := g.copy()
		next.deleted, next.gone = s.clock(t), !c.keepsDeleted
		next.lag = t.lagging(a, g.copy())
		if err := s.store.log.put(a.record(next)); err != nil {
			return nil, unstored(err)
		}
		*g = *next
		if g.gone {
			a.remove(g)
		}
	}
	if c.deleted == "" {
		return &answer{status: 200}, nil
	}
	return &answer{status: 200, body: []byte(c.deleted), kind: jsonType}, nil
}

// copy returns an agent that can be changed and does not lag.
func (g *agent) copy() *agent {
	next := *g
	next.fields, next.docs, next.lag = maps.Clone(g.fields), nil, lag{}
	return &next
}

func (s *Server) readOne(c *call, t trouble) (*answer, *problem) {
	a, g, p := s.find(c, t)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	return s.one(c, 200, g, t), nil
}

// find returns the live agent that the call is about, with its app locked, or the platform's 404.
func (s *Server) find(c *call, t trouble) (*app, *agent, *problem) {
	if a := s.store.peek(c.key()); a != nil {
		a.mu.Lock()
		if g := a.live(c.uid); g != nil && !(t.has("versions-apart") && g.version != c.version) {
			return a, g, nil
		}
		a.mu.Unlock()
	}
	return nil, nil, refused(404, "ERR_AGENT_NOT_FOUND", "there is no agent "+c.uid)
}

// unstored is the answer to a change that the file did not take; it has not happened.
func unstored(err error) *problem { return refused(500, "ERR_INTERNAL", err.Error()) }

// one answers a single agent. Its app is locked.
func (s *Server) one(c *call, status int, g *agent, t trouble) *answer {
	doc := s.document(c, g, t)
	if c.wrapOne != "" {
		doc = slices.Concat([]byte(`{"`+c.wrapOne+`":`), doc, []byte{'}'})
	}
	return &answer{status: status, body: doc, kind: jsonType}
}

// document is an agent as it is answered. Its app is locked.
func (s *Server) document(c *call, g *agent, t trouble) []byte {
	mask := s.mask || t.has("mask-headers")
	if !mask && t.in(shown) == nil {
		if g.docs[c.version] == nil {
			if g.docs == nil {
				g.docs = map[string][]byte{}
			}
			g.docs[c.version] = encode(c.show(s, c.app, g))
		}
		return g.docs[c.version]
	}
	m := c.show(s, c.app, g)
	if t.has("echo-secrets") {
		c.echo(m)
	}
	if mask {
		c.mask(m)
	}
	for _, r := range t {
		switch r.kind {
		case "list-lacks":
			delete(m, r.field)
		case "odd-agents":
			if name, _ := m[c.nameField].(string); r.agent == nil || r.agent.MatchString(name) {
				c.distort(m, r.form)
			}
		}
	}
	return encode(m)
}

// echo repeats the agent's credentials where nobody asked for them.
func (d *dialect) echo(m map[string]any) {
	if v := d.credentials(m); v != nil {
		meta, _ := m["metaData"].(map[string]any)
		meta = maps.Clone(meta)
		if meta == nil {
			meta = map[string]any{}
		}
		meta["connection"], m["metaData"] = v, meta
		m["connection"] = map[string]any{"headers": v}
	}
}

// credentials returns what stands in the dialect's secret place, or nil.
func (d *dialect) credentials(m map[string]any) any {
	if len(d.secret) == 0 {
		return nil
	}
	parent, _ := m[d.secret[0]].(map[string]any)
	return parent[d.secret[1]]
}

// asterisks stand for a value that is not shown.
const asterisks = "********"

// mask puts asterisks in the place of the agent's credentials.
func (d *dialect) mask(m map[string]any) {
	v := d.credentials(m)
	if v == nil {
		return
	}
	parent := maps.Clone(m[d.secret[0]].(map[string]any))
	parent[d.secret[1]] = onText(func(string) string { return asterisks })(v)
	m[d.secret[0]] = parent
}

// distort makes an agent odd.
func (d *dialect) distort(m map[string]any, form string) {
	switch form {
	case "list":
		m[d.nameField] = []any{m[d.nameField], "second"}
	case "number":
		m[d.nameField] = int64(7)
	case "null":
		m[d.nameField] = nil
	case "deep":
		var nested any = "bottom"
		for range 20_000 {
			nested = []any{nested}
		}
		m["metaData"], m["tags"] = map[string]any{"deep": nested}, []any{nested}
	case "no-name":
		delete(m, d.nameField)
	case "no-uid":
		delete(m, "uid")
	case "no-time":
		delete(m, "createdAt")
	}
}

// list answers all agents of an app, or one page of them.
func (s *Server) list(c *call, t trouble) (*answer, *problem) {
	known := slices.Collect(maps.Keys(c.listed.filters))
	if c.listed.paged {
		known = append(known, "startAfter")
	}
	if p := c.onlyQuery(known...); p != nil {
		return nil, p
	}
	from, p := c.startAfter()
	if p != nil {
		return nil, p
	}
	var docs [][]byte
	if a := s.store.peek(c.key()); a != nil {
		docs = s.collect(a, c, from, t)
	}
	return s.listing(c, c.listed, docs, t), nil
}

// collect returns the agents of a list, or of the page that begins after from, as they are answered. The
// app is locked only while their texts are gathered, not while the answer is put together.
func (s *Server) collect(a *app, c *call, from time.Time, t trouble) [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if from.IsZero() {
		a.lists++
	}
	agents := a.agents
	if r := t.first("cap-list"); r != nil {
		agents = a.capped(r.number)
	}
	size := s.sizeOf(c.listed, t)
	if t.has("repeat-page") {
		from = time.Time{}
	}
	now := time.Now()
	var docs [][]byte
	first := 0
	if !from.IsZero() {
		first = min(a.firstAfter(from), len(agents))
	}
	for _, g := range agents[first:] {
		g = a.shown(g, now, s.showDeleted && c.keepsDeleted)
		if g == nil || !c.wanted(g) || t.has("versions-apart") && g.version != c.version {
			continue
		}
		if docs = append(docs, s.document(c, g, t)); len(docs) == size {
			break
		}
	}
	return docs
}

// capped returns the agents up to the n-th live one.
func (a *app) capped(n int) []*agent {
	for i, g := range a.agents {
		if g.deleted.IsZero() {
			n--
		}
		if n < 0 {
			return a.agents[:i]
		}
	}
	return a.agents
}

// sizeOf is the number of entries of a page; 0 where the list is answered whole.
func (s *Server) sizeOf(l listing, t trouble) int {
	if r := t.first("page-size"); r != nil && l.paged {
		return r.number
	}
	if l.paged {
		return s.pageSize
	}
	return 0
}

// wanted reports whether the list's filters let an agent through.
func (c *call) wanted(g *agent) bool {
	for parameter, field := range c.listed.filters {
		if want := c.query.Get(parameter); want != "" && !holdsItem(g.fields[field], want) {
			return false
		}
	}
	return true
}

// listing puts a list into its envelope, as the script wants it.
func (s *Server) listing(c *call, l listing, docs [][]byte, t trouble) *answer {
	null := false
	for _, r := range t {
		switch r.kind {
		case "short-list":
			lack := (len(docs) + 1) / 2
			if r.number > 0 {
				lack = min(len(docs), r.number)
			}
			docs = docs[:len(docs)-lack]
		case "empty-list":
			docs = nil
		case "null-list":
			null = true
		case "repeat-page":
			if !l.paged {
				docs = append(docs[:len(docs):len(docs)], docs...)
			}
		}
	}
	status := http.StatusOK
	if len(docs) == 0 && l.paged {
		status = s.listEnd
		if r := t.first("list-end"); r != nil {
			status = map[string]int{"404": 404, "200": 200}[r.form]
		}
	}
	wrap := l.wrap
	if wrap == "" && s.wrapped {
		wrap = "data"
	}
	before, after := "[", "]"
	if null && len(docs) == 0 {
		before, after = "null", ""
	}
	if wrap != "" {
		before, after = `{"`+wrap+`":`+before, after+"}"
	}
	return &answer{status: status, body: join(docs, before, after), kind: jsonType}
}

func join(docs [][]byte, before, after string) []byte {
	n := len(before) + len(after)
	for _, d := range docs {
		n += len(d) + 1
	}
	var b bytes.Buffer
	b.Grow(n)
	b.WriteString(before)
	for i, d := range docs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(d)
	}
	b.WriteString(after)
	return b.Bytes()
}

// spoil returns an answer in a form that is not the JSON that its Content-Type promises.
func spoil(a *answer, form string) *answer {
	spoiled := &answer{status: a.status, header: a.header, kind: jsonType}
	switch form {
	case "text":
		spoiled.status, spoiled.body = 200, []byte("<<< not JSON >>>")
	case "html":
		return page(200, "Sign in")
	case "empty":
		spoiled.kind = ""
	case "deflate":
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, _ = w.Write(a.body) // a buffer takes everything
		_ = w.Close()
		spoiled.body = b.Bytes()
	case "bom":
		spoiled.body = append([]byte("\ufeff"), a.body...)
	default:
		return a
	}
	return spoiled
}

// Reference is something of an app that agents refer to: a tool, an action or a context.
type Reference struct {
	Kind        string // tool, action or context
	Name        string // the name of a tool or action, the uid of a context
	DisplayName string
}

// references are what exists in every app. Of a kind that has no entry, every name exists.
type references map[string][]Reference

func (r references) holds(kind string, name any) bool {
	known, limited := r[kind]
	return !limited || slices.ContainsFunc(known, func(e Reference) bool { return e.Name == name })
}

// listReferences answers the tools and actions, or the contexts, that exist in the app. They were all made in the
// first milliseconds of 2026.
func (s *Server) listReferences(c *call, t trouble) (*answer, *problem) {
	l := c.references[c.op]
	from, p := c.startAfter()
	if p != nil {
		return nil, p
	}
	if t.has("repeat-page") {
		from = time.Time{}
	}
	kinds := []string{"context"}
	known := []string{"startAfter"}
	if c.op == opTools {
		kinds, known = []string{"tool", "action"}, []string{"type"}
		if kind := c.query.Get("type"); slices.Contains(kinds, kind) {
			kinds = []string{kind}
		} else if kind != "" {
			return nil, badRequest("type must be one of [tool action]")
		}
	}
	if p := c.onlyQuery(known...); p != nil {
		return nil, p
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var docs [][]byte
	for _, kind := range kinds {
		for _, r := range s.references[kind] {
			at = at.Add(time.Millisecond)
			if at.After(from) && (len(docs) < s.sizeOf(l, t) || s.sizeOf(l, t) == 0) {
				docs = append(docs, encode(r.show(s, c.app, at)))
			}
		}
	}
	return s.listing(c, l, docs, t), nil
}

func (r Reference) show(s *Server, app string, at time.Time) map[string]any {
	display := r.DisplayName
	if display == "" {
		display = r.Name
	}
	if r.Kind == "context" {
		return map[string]any{"uid": r.Name, "name": display, "externalId": nil, "externalTenantId": nil, "createdAt": iso(at)}
	}
	return map[string]any{
		"_id": objectID(r.Name), "appId": app, "name": r.Name, "type": r.Kind, "displayName": display,
		"executionText": nil, "doNotExecute": false, "createdAt": s.stamp(at), "updatedAt": s.stamp(at),
		"tool": map[string]any{"name": r.Name, "description": display, "parameters": map[string]any{"type": "object"}},
	}
}
