package sandbox

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"agentsync/internal/sandbox/faults"
	"agentsync/internal/sandbox/fields"
	"agentsync/internal/sandbox/reply"
	"agentsync/internal/sandbox/wire"
)

// askPlatform is the platform: path, key, rate limit, then the operation.
func (s *Server) askPlatform(c *call, t faults.Hits) *reply.Answer {
	if c.nowhere {
		return unknownPath(c)
	}
	if p := s.options.refuseKey(c.header.Get(c.keyHeader)); p != nil {
		return p.Answer(c.envelope)
	}
	now := time.Now()
	q := s.limiter.countRequest(c.appKey(), now)
	var a *reply.Answer
	if q.over {
		a = tooMany().Answer(c.envelope)
	} else {
		a = s.runOperation(c, t)
	}
	s.limiter.setHeaders(a, c.dialect, q, now)
	return a
}

// unknownPath is the answer to a path that the platform does not have: a page, as the frameworks of both give it,
// and not the error envelope of an agent that does not exist.
func unknownPath(c *call) *reply.Answer {
	text := fmt.Sprintf("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta "+
		"charset=\"utf-8\">\n<title>Error</title>\n</head>\n"+
		"<body>\n<pre>Cannot %s %s</pre>\n</body>\n</html>\n", c.method, html.EscapeString(c.path))
	return &reply.Answer{Status: 404, Type: reply.HTMLType, Body: []byte(text)}
}

func (s *Server) runOperation(c *call, t faults.Hits) *reply.Answer {
	if c.bad == nil && c.head != nil {
		c.bad = c.head(c)
	}
	if c.bad != nil {
		a := c.bad.Answer(c.envelope)
		if c.bad.Status == http.StatusMethodNotAllowed {
			a.Set("Allow", c.allowedMethods())
		}
		return a
	}
	var a *reply.Answer
	var p *reply.Problem
	switch c.op {
	case faults.OpList:
		a, p = s.list(c, t)
	case faults.OpTools, faults.OpContexts:
		a, p = s.listReferences(c, t)
	default:
		if p = c.onlyQuery(); p != nil {
			break
		}
		switch c.op {
		case faults.OpCreate:
			a, p = s.create(c, t)
		case faults.OpRead:
			a, p = s.readOne(c, t)
		case faults.OpUpdate:
			a, p = s.update(c, t)
		default: // route lets nothing else through
			a, p = s.delete(c, t)
		}
	}
	if p != nil {
		return p.Answer(c.envelope)
	}
	return a
}

// refuseFields refuses what the platform would refuse of a create (have is nil) or an update.
func (s *Server) refuseFields(c *call, t faults.Hits, have map[string]any) *reply.Problem {
	for _, field := range []string{"tools", "actions"} {
		if names, _ := c.sent[field].([]any); t.Has("refuse-tools") && len(names) > 0 {
			return reply.Refused(400, "ERR_TOOL_NOT_FOUND",
				fmt.Sprintf("the %s %v does not exist in this app", strings.TrimSuffix(field, "s"), names[0]))
		}
	}
	var p *reply.Problem
	if wrong := fields.CheckAll(c.fields, c.sent, have != nil); wrong != "" {
		p = reply.BadRequest("%s", wrong)
	}
	if _, kind := c.sent["integrateWith"]; p == nil && t.Has("strict-meta") && c.sent["integrationMeta"] != nil &&
		!kind {
		p = reply.BadRequest("integrateWith is required")
	}
	if p == nil && c.check != nil {
		p = c.check(s, c, have)
	}
	if have == nil {
		p = p.As("ERR_AGENT_CREATION_FAILED")
	}
	return p
}

// platformTime is the platform's time now, as it is kept.
func (s *Server) platformTime(t faults.Hits) time.Time {
	at := s.options.Now().UTC()
	if r := t.First("clock"); r != nil {
		at = at.Add(r.Wait)
	}
	if t.Has("whole-seconds") {
		at = at.Truncate(time.Second)
	}
	return at.Truncate(s.options.Precision)
}

// keptFields returns the fields as the platform keeps them.
func (c *call) keptFields(t faults.Hits, have map[string]any) map[string]any {
	fields := maps.Clone(c.sent)
	for _, r := range t {
		if r.Kind != "rewrite" {
			continue
		}
		for name, v := range fields {
			switch {
			case r.How == "fill" && (r.Field == name || r.Field == "*") && c.filled[name] != nil:
				filled := maps.Clone(c.filled[name])
				sent, _ := v.(map[string]any)
				maps.Copy(filled, sent)
				v = filled
			case r.How != "fill" && (r.Field == name || r.Field == "*"):
				v = r.Rewrite(v)
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

// lagAfter is what lists show for a while in place of a change. The app is locked.
func (a *app) lagAfter(t faults.Hits, before *agent) listLag {
	l := listLag{before: before}
	for _, r := range t {
		switch r.Kind {
		case "lag":
			l.until = time.Now().Add(max(r.Wait, time.Until(l.until)))
		case "lag-lists":
			l.lists = max(l.lists, a.lists+r.Number)
		}
	}
	return l
}

// create makes an agent, however many there are like it already.
func (s *Server) create(c *call, t faults.Hits) (*reply.Answer, *reply.Problem) {
	if p := s.refuseFields(c, t, nil); p != nil {
		return nil, p
	}
	g := &agent{uid: s.uidFor(c), version: c.version, fields: map[string]any{}}
	maps.Copy(g.fields, c.defaults)
	maps.Copy(g.fields, c.keptFields(t, nil))

	a := s.store.app(c.appKey())
	a.mu.Lock()
	defer a.mu.Unlock()
	g.created = s.platformTime(t)
	g.updated = g.created
	g.lag = a.lagAfter(t, nil)
	if err := s.store.log.appendRecord(a.recordOf(g)); err != nil {
		return nil, notStored(err)
	}
	a.insert(g)
	return s.answerAgent(c, s.options.CreatedStatus, g, t), nil
}

func (s *Server) uidFor(c *call) string {
	if s.options.UIDs != nil {
		return s.options.UIDs(c.platform, c.app)
	}
	return c.newUID()
}

// update changes the fields that were sent and no others.
func (s *Server) update(c *call, t faults.Hits) (*reply.Answer, *reply.Problem) {
	a, g, p := s.findAgent(c, t)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	if p := s.refuseFields(c, t, g.fields); p != nil {
		return nil, p
	}
	if !t.Has("ignored") {
		next := g.copy()
		maps.Copy(next.fields, c.keptFields(t, g.fields))
		next.updated = s.platformTime(t)
		next.lag = a.lagAfter(t, g.copy())
		if err := s.store.log.appendRecord(a.recordOf(next)); err != nil {
			return nil, notStored(err)
		}
		*g = *next
	}
	if c.updated != "" {
		return &reply.Answer{Status: 200, Body: []byte(c.updated), Type: reply.JSONType}, nil
	}
	return s.answerAgent(c, 200, g, t), nil
}

// delete takes an agent away; a platform that keeps deleted agents marks it.
func (s *Server) delete(c *call, t faults.Hits) (*reply.Answer, *reply.Problem) {
	a, g, p := s.findAgent(c, t)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	if !t.Has("ignored") {
		next := g.copy()
		next.deleted, next.gone = s.platformTime(t), !c.keepsDeleted
		next.lag = a.lagAfter(t, g.copy())
		if err := s.store.log.appendRecord(a.recordOf(next)); err != nil {
			return nil, notStored(err)
		}
		*g = *next
		if g.gone {
			a.remove(g)
		}
	}
	if c.deleted == "" {
		return &reply.Answer{Status: 200}, nil
	}
	return &reply.Answer{Status: 200, Body: []byte(c.deleted), Type: reply.JSONType}, nil
}

// copy returns an agent that can be changed and does not lag.
func (g *agent) copy() *agent {
	next := *g
	next.fields, next.docs, next.lag = maps.Clone(g.fields), nil, listLag{}
	return &next
}

func (s *Server) readOne(c *call, t faults.Hits) (*reply.Answer, *reply.Problem) {
	a, g, p := s.findAgent(c, t)
	if p != nil {
		return nil, p
	}
	defer a.mu.Unlock()
	return s.answerAgent(c, 200, g, t), nil
}

// findAgent returns the live agent that the call is about, with its app locked, or the platform's 404.
func (s *Server) findAgent(c *call, t faults.Hits) (*app, *agent, *reply.Problem) {
	if a := s.store.peek(c.appKey()); a != nil {
		a.mu.Lock()
		if g := a.liveAgent(c.uid); g != nil && !(t.Has("versions-apart") && g.version != c.version) {
			return a, g, nil
		}
		a.mu.Unlock()
	}
	return nil, nil, reply.Refused(404, "ERR_AGENT_NOT_FOUND", "there is no agent "+c.uid)
}

// notStored is the answer to a change that the file did not take; it has not happened.
func notStored(err error) *reply.Problem { return reply.Refused(500, "ERR_INTERNAL", err.Error()) }

// answerAgent answers a single agent. Its app is locked.
func (s *Server) answerAgent(c *call, status int, g *agent, t faults.Hits) *reply.Answer {
	doc := s.documentOf(c, g, t)
	if c.wrapOne != "" {
		doc = slices.Concat([]byte(`{"`+c.wrapOne+`":`), doc, []byte{'}'})
	}
	return &reply.Answer{Status: status, Body: doc, Type: reply.JSONType}
}

// documentOf is an agent as it is answered. Its app is locked.
func (s *Server) documentOf(c *call, g *agent, t faults.Hits) []byte {
	mask := s.options.MaskHeaders || t.Has("mask-headers")
	if !mask && t.In(faults.Shown) == nil {
		if g.docs[c.version] == nil {
			if g.docs == nil {
				g.docs = map[string][]byte{}
			}
			g.docs[c.version] = wire.Encode(c.show(s, c.app, g))
		}
		return g.docs[c.version]
	}
	m := c.show(s, c.app, g)
	if t.Has("echo-secrets") {
		c.echoSecrets(m)
	}
	if mask {
		c.maskSecrets(m)
	}
	for _, r := range t {
		switch r.Kind {
		case "list-lacks":
			delete(m, r.Field)
		case "odd-agents":
			if name, _ := m[c.nameField].(string); r.Agent == nil || r.Agent.MatchString(name) {
				c.distortAgent(m, r.Form)
			}
		}
	}
	return wire.Encode(m)
}

// echoSecrets repeats the agent's credentials where nobody asked for them.
func (d *dialect) echoSecrets(m map[string]any) {
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

// maskSecrets puts asterisks in the place of the agent's credentials.
func (d *dialect) maskSecrets(m map[string]any) {
	v := d.credentials(m)
	if v == nil {
		return
	}
	parent := maps.Clone(m[d.secret[0]].(map[string]any))
	parent[d.secret[1]] = faults.OnText(func(string) string { return asterisks })(v)
	m[d.secret[0]] = parent
}

// distortAgent makes an agent odd.
func (d *dialect) distortAgent(m map[string]any, form string) {
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
func (s *Server) list(c *call, t faults.Hits) (*reply.Answer, *reply.Problem) {
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
	if a := s.store.peek(c.appKey()); a != nil {
		docs = s.collectDocs(a, c, from, t)
	}
	return s.answerList(c.listed, docs, t), nil
}

// collectDocs returns the agents of a list, or of the page that begins after from, as they are answered. The
// app is locked only while their texts are gathered, not while the answer is put together.
func (s *Server) collectDocs(a *app, c *call, from time.Time, t faults.Hits) [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if from.IsZero() {
		a.lists++
	}
	agents := a.agents
	if r := t.First("cap-list"); r != nil {
		agents = a.firstLive(r.Number)
	}
	size := s.sizeOf(c.listed, t)
	if t.Has("repeat-page") {
		from = time.Time{}
	}
	now := time.Now()
	var docs [][]byte
	first := 0
	if !from.IsZero() {
		first = min(a.firstAfter(from), len(agents))
	}
	for _, g := range agents[first:] {
		g = a.shownInList(g, now, s.options.ShowDeleted && c.keepsDeleted)
		if g == nil || !c.passesFilters(g) || t.Has("versions-apart") && g.version != c.version {
			continue
		}
		if docs = append(docs, s.documentOf(c, g, t)); len(docs) == size {
			break
		}
	}
	return docs
}

// firstLive returns the agents up to the n-th live one.
func (a *app) firstLive(n int) []*agent {
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
func (s *Server) sizeOf(l listForm, t faults.Hits) int {
	if r := t.First("page-size"); r != nil && l.paged {
		return r.Number
	}
	if l.paged {
		return s.options.PageSize
	}
	return 0
}

// passesFilters reports whether the list's filters let an agent through.
func (c *call) passesFilters(g *agent) bool {
	for parameter, field := range c.listed.filters {
		if want := c.query.Get(parameter); want != "" && !holdsItem(g.fields[field], want) {
			return false
		}
	}
	return true
}

// answerList puts a list into its envelope, as the script wants it.
func (s *Server) answerList(l listForm, docs [][]byte, t faults.Hits) *reply.Answer {
	null := false
	for _, r := range t {
		switch r.Kind {
		case "short-list":
			lack := (len(docs) + 1) / 2
			if r.Number > 0 {
				lack = min(len(docs), r.Number)
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
		status = s.options.ListEnd
		if r := t.First("list-end"); r != nil {
			status = map[string]int{"404": 404, "200": 200}[r.Form]
		}
	}
	wrap := l.wrap
	if wrap == "" && s.options.WrappedList {
		wrap = "data"
	}
	before, after := "[", "]"
	if null && len(docs) == 0 {
		before, after = "null", ""
	}
	if wrap != "" {
		before, after = `{"`+wrap+`":`+before, after+"}"
	}
	return &reply.Answer{Status: status, Body: joinDocs(docs, before, after), Type: reply.JSONType}
}

func joinDocs(docs [][]byte, before, after string) []byte {
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

// Reference is something of an app that agents refer to: a tool, an action or a context.
type Reference struct {
	Kind        string // tool, action or context
	Name        string // the name of a tool or action, the uid of a context
	DisplayName string
}

// knownReferences are what exists in every app. Of a kind that has no entry, every name exists.
type knownReferences map[string][]Reference

func (r knownReferences) holds(kind string, name any) bool {
	known, limited := r[kind]
	return !limited || slices.ContainsFunc(known, func(e Reference) bool { return e.Name == name })
}

// listReferences answers the tools and actions, or the contexts, that exist in the app. They were all made in the
// first milliseconds of 2026.
func (s *Server) listReferences(c *call, t faults.Hits) (*reply.Answer, *reply.Problem) {
	l := c.references[c.op]
	from, p := c.startAfter()
	if p != nil {
		return nil, p
	}
	if t.Has("repeat-page") {
		from = time.Time{}
	}
	kinds := []string{"context"}
	known := []string{"startAfter"}
	if c.op == faults.OpTools {
		kinds, known = []string{"tool", "action"}, []string{"type"}
		if kind := c.query.Get("type"); slices.Contains(kinds, kind) {
			kinds = []string{kind}
		} else if kind != "" {
			return nil, reply.BadRequest("type must be one of [tool action]")
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
				docs = append(docs, wire.Encode(r.show(s, c.app, at)))
			}
		}
	}
	return s.answerList(l, docs, t), nil
}

func (r Reference) show(s *Server, app string, at time.Time) map[string]any {
	display := cmp.Or(r.DisplayName, r.Name)
	if r.Kind == "context" {
		return map[string]any{"uid": r.Name, "name": display, "externalId": nil, "externalTenantId": nil,
			"createdAt": isoTime(at)}
	}
	return map[string]any{
		"_id": objectID(r.Name), "appId": app, "name": r.Name, "type": r.Kind, "displayName": display,
		"executionText": nil, "doNotExecute": false, "createdAt": s.stamp(at), "updatedAt": s.stamp(at),
		"tool": map[string]any{"name": r.Name, "description": display, "parameters": map[string]any{"type": "object"}},
	}
}

// startAfter reads where a page begins; the zero time where nothing is said.
func (c *call) startAfter() (time.Time, *reply.Problem) {
	if !c.query.Has("startAfter") {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, c.query.Get("startAfter"))
	if err != nil {
		return t, reply.BadRequest("startAfter must be a time in ISO 8601")
	}
	return t, nil
}

// holdsItem reports whether the list v holds want.
func holdsItem(v any, want string) bool {
	items, _ := v.([]any)
	return slices.ContainsFunc(items, func(e any) bool { return e == want })
}

// isoTime writes a time as both platforms do: ISO 8601 in UTC with milliseconds.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// stamp writes a time as CometChat does.
func (s *Server) stamp(t time.Time) any {
	if s.options.Millis {
		return t.UnixMilli()
	}
	return isoTime(t)
}

// objectID makes an _id of 24 hexadecimal digits out of a uid.
func objectID(uid string) string { return fmt.Sprintf("%-24.24s", strings.ReplaceAll(uid, "-", "")) }

// refuseKey reports what is wrong with an API key, or nil.
func (o *Options) refuseKey(key string) *reply.Problem {
	switch {
	case key == "":
		return reply.Refused(401, "AUTH_ERR_EMPTY_APIKEY", "no API key was sent")
	case o.Keys != nil && !slices.Contains(o.Keys, key), o.Keys == nil && strings.HasPrefix(key, "wrong"):
		return reply.Refused(401, "AUTH_ERR_APIKEY_NOT_FOUND", "the API key does not exist")
	case o.Keys == nil && strings.HasPrefix(key, "forbidden"):
		return reply.Refused(403, "AUTH_ERR_NO_ACCESS", "the API key has no access to this app")
	}
	return nil
}
