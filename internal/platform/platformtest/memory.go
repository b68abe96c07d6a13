package platformtest

import (
	"context"
	"fmt"
	"html"
	"slices"
	"strings"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/sandbox/faults"
	"agentsync/schema"
)

// Memory is one app of a platform, kept in memory: as strict as the platforms about required,
// unknown and immutable fields, filling in defaults as they do. It is safe for concurrent use.
type Memory struct {
	schema *schema.Platform
	silent bool
	noRead bool
	keep   func(agent.Fields) agent.Fields // what is kept of what was sent; nil keeps it as it is
	unit   time.Duration                   // what createdAt is cut to

	mu     sync.Mutex
	agents []keptAgent // in order of creation; their fields are never handed out uncopied
	made   int
}

// MemoryOption changes how a Memory behaves.
type MemoryOption func(*Memory)

// SilentUpdates makes Update answer no agent, as CometChat does.
func SilentUpdates() MemoryOption { return func(m *Memory) { m.silent = true } }

// NoRead makes Read answer nothing, as CometChat does: the list is the only read.
func NoRead() MemoryOption { return func(m *Memory) { m.noRead = true } }

// Keeping passes what is sent through habit before it is kept, see Habit.
func Keeping(habit func(agent.Fields) agent.Fields) MemoryOption {
	return func(m *Memory) { m.keep = habit }
}

// WholeSeconds cuts createdAt to the second.
func WholeSeconds() MemoryOption { return func(m *Memory) { m.unit = time.Second } }

// NewMemory returns an empty app whose agents have the fields of s.
func NewMemory(s *schema.Platform, opts ...MemoryOption) *Memory {
	m := &Memory{schema: s, unit: time.Millisecond}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

var _ platform.Client = (*Memory)(nil)

// Properties implements platform.Client.
func (m *Memory) Properties() platform.Properties {
	return platform.Properties{ReadsOne: !m.noRead, AnswersUpdate: !m.silent}
}

// List implements platform.Client.
func (m *Memory) List(ctx context.Context) ([]platform.Remote, error) {
	if err := ctx.Err(); err != nil {
		return nil, unsentError("GET", "/agents", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]platform.Remote, len(m.agents))
	for i, k := range m.agents {
		list[i] = m.answer(k)
	}
	return list, nil
}

// Read implements platform.Client.
func (m *Memory) Read(ctx context.Context, uid string) (platform.Remote, error) {
	if m.noRead {
		return platform.Remote{}, platform.NoRead(uid)
	}
	if err := ctx.Err(); err != nil {
		return platform.Remote{}, unsentError("GET", "/agents/"+uid, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(uid)
	if i < 0 {
		return platform.Remote{}, noSuchAgent("GET", uid)
	}
	return m.answer(m.agents[i]), nil
}

// Create implements platform.Client. The agent gets the next of the uids "agent-0001", "agent-0002", …
func (m *Memory) Create(ctx context.Context, wanted agent.Content) (platform.Remote, error) {
	sent, err := m.accept(ctx, "POST", "/agents", wanted.Fields())
	if err != nil {
		return platform.Remote{}, err
	}
	for _, f := range m.schema.Fields {
		if _, ok := sent[f.Name]; f.Required && !ok {
			return platform.Remote{}, refusedError("POST", "/agents", f.Name+" is required")
		}
	}
	return m.answer(m.add(sent)), nil
}

// Update implements platform.Client.
func (m *Memory) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	path := "/agents/" + uid
	sent, err := m.accept(ctx, "PATCH", path, fields)
	if err != nil {
		return platform.Remote{}, err
	}
	for name := range sent {
		if f, _ := m.schema.Field(name); f.Immutable {
			return platform.Remote{}, refusedError("PATCH", path, name+" cannot be changed")
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(uid)
	if i < 0 {
		return platform.Remote{}, noSuchAgent("PATCH", uid)
	}
	for name, v := range sent {
		m.agents[i].fields[name] = v
	}
	if m.silent {
		return platform.Remote{UID: uid}, nil
	}
	return m.answer(m.agents[i]), nil
}

// Delete implements platform.Client.
func (m *Memory) Delete(ctx context.Context, uid string) error {
	if err := ctx.Err(); err != nil {
		return unsentError("DELETE", "/agents/"+uid, err)
	}
	if err := platform.Leaving(ctx); err != nil {
		return unsentError("DELETE", "/agents/"+uid, err)
	}
	if !m.Remove(uid) {
		return noSuchAgent("DELETE", uid)
	}
	return nil
}

// Agents returns what is really there, in order of creation, whatever decorators hide or add: marks stand
// in the fields.
func (m *Memory) Agents() []platform.Remote {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]platform.Remote, len(m.agents))
	for i, r := range m.agents {
		list[i] = r.remote()
	}
	return list
}

// Put makes an agent as someone else would, without any check.
func (m *Memory) Put(fields agent.Fields) platform.Remote { return m.add(fields.Clone()).remote() }

// Set changes one field of an agent as someone else would; nil takes the field away. It reports
// whether there is such an agent.
func (m *Memory) Set(uid, field string, value any) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(uid)
	if i < 0 {
		return false
	}
	if value == nil {
		delete(m.agents[i].fields, field)
	} else {
		m.agents[i].fields[field] = agent.CloneValue(value)
	}
	return true
}

// Remove takes an agent away as someone else would, and reports whether it was there.
func (m *Memory) Remove(uid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(uid)
	if i < 0 {
		return false
	}
	m.agents = slices.Delete(m.agents, i, i+1)
	return true
}

// Made returns how many agents were ever made, those since deleted included.
func (m *Memory) Made() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made
}

// accept checks the fields as the platforms do and sends them once through the wire's form, so that
// an unresolved secret or a value without JSON is found here as it would be there. Then the request leaves.
func (m *Memory) accept(ctx context.Context, method, path string, fields agent.Fields) (agent.Fields, error) {
	if err := ctx.Err(); err != nil {
		return nil, unsentError(method, path, err)
	}
	for name := range fields {
		if _, ok := m.schema.Field(name); !ok {
			return nil, refusedError(method, path, "unknown field "+name)
		}
	}
	body, err := platform.EncodeBody(fields)
	if err != nil {
		return nil, unsentError(method, path, err)
	}
	v, err := platform.Decode(body)
	if err != nil {
		return nil, unsentError(method, path, err)
	}
	o, _ := v.Object()
	known, err := platform.KnownFields(m.schema, o.Map())
	if err != nil {
		return nil, refusedError(method, path, err.Error())
	}
	if m.keep != nil {
		known = m.keep(known)
	}
	if err := platform.Leaving(ctx); err != nil {
		return nil, unsentError(method, path, err)
	}
	return known, nil
}

// add keeps fields as a new agent and returns a copy.
func (m *Memory) add(fields agent.Fields) keptAgent {
	for _, f := range m.schema.Fields {
		if _, ok := fields[f.Name]; !ok && f.Default != nil {
			fields[f.Name] = agent.CloneValue(f.Default)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	k := keptAgent{uid: fmt.Sprintf("agent-%04d", m.made), fields: fields, createdAt: time.Now().UTC().Truncate(m.unit)}
	m.agents = append(m.agents, k)
	return keptAgent{uid: k.uid, fields: fields.Clone(), createdAt: k.createdAt}
}

// find returns the index of uid, or -1. The caller holds mu.
func (m *Memory) find(uid string) int {
	return slices.IndexFunc(m.agents, func(k keptAgent) bool { return k.uid == uid })
}

// answer returns what is kept as an adapter reads it from the wire: marks apart from the content.
func (m *Memory) answer(k keptAgent) platform.Remote {
	body, err := platform.EncodeBody(k.fields)
	if err == nil {
		raw, _ := agent.ReadRaw(body)
		o, _ := raw.Object()
		var r platform.Remote
		if r, err = platform.NewRemote(m.schema, k.uid, nil, o); err == nil {
			r.CreatedAt = k.createdAt
			return r
		}
	}
	panic(fmt.Sprintf("memory holds what has no JSON: %v", err))
}

// keptAgent is an agent as the platform keeps it.
type keptAgent struct {
	uid       string
	fields    agent.Fields
	createdAt time.Time
}

// remote returns a copy, the mark in its field.
func (k keptAgent) remote() platform.Remote {
	return platform.Remote{UID: k.uid, Content: agent.ContentOf(k.fields.Clone()), CreatedAt: k.createdAt}
}

// noSuchAgent is a 404 in the platform's own words.
func noSuchAgent(method, uid string) error {
	return &platform.Error{Class: platform.Refused, Method: method, Path: "/agents/" + uid, Status: 404,
		Message: "there is no such agent", OwnWords: true, NoSuchAgent: true}
}

func refusedError(method, path, message string) error {
	return &platform.Error{Class: platform.Refused, Method: method, Path: path, Status: 400, Message: message}
}

func unsentError(method, path string, err error) error {
	return &platform.Error{Class: platform.Refused, Method: method, Path: path, NeverSent: true, Err: err}
}

// Habit is what a platform does to what it is sent, by the name that the sandbox has for it: trim, crlf, escape,
// slash, noslash or fill. It may be applied again to what it has made, and changes what it is given.
func Habit(name string) func(agent.Fields) agent.Fields {
	switch name {
	case "trim":
		return mapTexts(strings.TrimSpace)
	case "crlf":
		return mapTexts(func(s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n",
				"\r\n")
		})
	case "escape":
		return mapTexts(func(s string) string { return html.EscapeString(html.UnescapeString(s)) })
	case "slash":
		return mapTexts(func(s string) string { return hostURL(s, strings.TrimSuffix(s, "/")+"/") })
	case "noslash":
		return mapTexts(func(s string) string { return hostURL(s, strings.TrimSuffix(s, "/")) })
	case "fill":
		return fillMembers
	}
	panic("no habit is called " + name)
}

// mapTexts applies change to every text of an agent, however deep.
func mapTexts(change func(string) string) func(agent.Fields) agent.Fields {
	changed := faults.OnText(change)
	return func(fields agent.Fields) agent.Fields {
		for name, v := range fields {
			fields[name] = changed(v)
		}
		return fields
	}
}

// hostURL returns the other form of what is a URL of a host alone, and anything else as it is.
func hostURL(s, other string) string {
	if strings.HasPrefix(s, "https://") && strings.Count(strings.TrimSuffix(s, "/"), "/") == 2 {
		return other
	}
	return s
}

// fillMembers adds members that nobody sent.
func fillMembers(fields agent.Fields) agent.Fields {
	for _, name := range []string{"metaData", "integrationMeta"} {
		if o, ok := fields[name].(map[string]any); ok {
			o["schemaVersion"] = "2"
		}
	}
	return fields
}
