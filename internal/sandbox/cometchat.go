package sandbox

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"agentsync/internal/sandbox/faults"
	"agentsync/internal/sandbox/fields"
	"agentsync/internal/sandbox/reply"
)

// cometChat is CometChat's API for BYO agents. It has no read of one agent.
var cometChat = &dialect{
	platform: CometChat, version: "v3", title: "CometChat",
	base: "/cometchat/{app}/v3",
	paths: []callPath{
		{cometChatRoots, "/ai-agents/agents", map[string]string{"GET": faults.OpList, "POST": faults.OpCreate}},
		{cometChatRoots, "/ai-agents/agents/{uid}", map[string]string{"PATCH": faults.OpUpdate,
			"DELETE": faults.OpDelete}},
		{cometChatRoots, "/ai-agents/tools", map[string]string{"GET": faults.OpTools}},
	},
	keyHeader: "apikey",
	head: func(c *call) *reply.Problem {
		if v := c.header.Get("chatApiVersion"); v != "" && v != "v3.0" {
			return reply.BadRequest("chatApiVersion must be v3.0")
		}
		return nil
	},
	fields: cometChatFields, nameField: "name", defaults: map[string]any{"isActive": true},
	check: checkCometChat, show: showCometChat,
	secret: []string{"integrationMeta", "headers"},
	filled: map[string]map[string]any{
		"metaData":        {"greetingMessage": "", "suggestedMessages": []any{}, "theme": "default"},
		"integrationMeta": {"timeout": int64(30), "stream": true},
	},
	newUID:  uuid4,
	wrapOne: "agent",
	updated: `{"success":true}`, deleted: `{"message":"Agent deleted successfully.","success":true}`,
	keepsDeleted: true,
	references:   map[string]listForm{faults.OpTools: {}},
	rateHeaders:  true,
	envelope: func(p *reply.Problem) any {
		if p.Code == "" {
			return reply.StatusEnvelope(p)
		}
		return map[string]any{"error": map[string]any{
			"code": p.Code, "message": p.Message, "devMessage": p.Message, "source": "sandbox",
		}}
	},
	about: func(a Agent) []any {
		meta, _ := a.Fields["integrationMeta"].(map[string]any)
		base, _ := meta["baseUrl"].(string)
		if u, err := url.Parse(base); err == nil {
			base = u.Host // the rest may hold a token
		}
		return []any{pageLabel{"active", a.Fields["isActive"]}, a.Fields["integrateWith"], base,
			pageLabel{"tools ", a.Fields["tools"]}}
	},
}

var cometChatRoots = []string{"/v3", "/cometchat/{app}/v3"}

// CometChat's kinds of integration, by what their integrationMeta holds besides baseUrl.
var (
	metaText    = map[string]string{"agentId": "string"}
	metaHeaders = map[string]string{"headers": "object"}
	metaOf      = map[string]map[string]string{
		"mastra": metaText, "mastra-legacy": metaText,
		"langgraph": metaHeaders, "crewai": metaHeaders, "vercelV5": metaHeaders, "ag-ui": metaHeaders,
		"ag2":  {"defaultUserId": "string", "headers": "string"},
		"rasa": {"headers": "string"},
		"agno": {"agentId": "string", "headers": "string"},
	}
)

// cometChatFields are what a create or update takes, and what an answer always shows.
var cometChatFields = []fields.Field{
	{Name: "name", Required: true, Check: fields.Text(1, 100)},
	{Name: "icon", Required: true, Check: fields.URL("http", "https")},
	{Name: "isActive", Check: fields.Bool},
	{Name: "integrateWith", Required: true, Check: fields.OneOf(slices.Sorted(maps.Keys(metaOf))...)},
	{Name: "integrationType", Required: true, Check: fields.OneOf("agent")},
	{Name: "integrationMeta", Check: fields.Object},
	{Name: "tools", Check: fields.List(0, fields.Text(1, 0))},
	{Name: "actions", Check: fields.List(0, fields.Text(1, 0))},
	{Name: "metaData", Check: fields.OpenObject(map[string]fields.Check{
		"greetingMessage": fields.Text(0, 0), "introductoryMessage": fields.Text(0, 0),
		"suggestedMessages": fields.List(0, fields.Text(0, 0)),
	})},
}

// checkMeta refuses an integrationMeta that does not fit its integrateWith. An empty one takes the
// settings away and fits each kind, on update.
func checkMeta(kind string, meta map[string]any, update bool) *reply.Problem {
	if update && len(meta) == 0 {
		return nil
	}
	if wrong := fields.URL("https")(meta["baseUrl"], update); wrong != "" {
		return reply.BadRequest("integrationMeta.baseUrl %s", wrong)
	}
	for _, name := range slices.Sorted(maps.Keys(meta)) {
		want, ok := metaOf[kind][name]
		if name == "baseUrl" {
			continue
		}
		if !ok {
			return reply.BadRequest("integrationMeta.%s should not exist with integrateWith %s", name, kind)
		}
		if !isOfKind(want, meta[name]) {
			return reply.BadRequest("integrationMeta.%s must be %s with integrateWith %s", name,
				map[string]string{"string": "a string", "object": "an object of strings"}[want], kind)
		}
	}
	return nil
}

func isOfKind(want string, v any) bool {
	switch v := v.(type) {
	case string:
		return want == "string"
	case map[string]any:
		for _, e := range v {
			if _, ok := e.(string); !ok {
				return false
			}
		}
		return want == "object"
	}
	return false
}

// checkCometChat refuses what single fields cannot show: settings of another kind of integration, and
// tools and actions that the app does not have.
func checkCometChat(s *Server, c *call, have map[string]any) *reply.Problem {
	merged := maps.Clone(have)
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, c.sent)
	kind, _ := merged["integrateWith"].(string)
	if meta, ok := merged["integrationMeta"].(map[string]any); ok {
		if p := checkMeta(kind, meta, have != nil); p != nil {
			return p
		}
	}
	for _, of := range []struct{ field, kind string }{{"tools", "tool"}, {"actions", "action"}} {
		names, _ := c.sent[of.field].([]any)
		for _, name := range names {
			if !s.references.holds(of.kind, name) {
				return reply.Refused(400, "ERR_TOOL_NOT_FOUND", fmt.Sprintf("the %s %v does not exist in this app",
					of.kind, name))
			}
		}
	}
	return nil
}

// showCometChat returns an agent as the platform answers it: every field is there, null where it was not sent.
func showCometChat(s *Server, app string, g *agent) map[string]any {
	m := map[string]any{
		"_id": objectID(g.uid), "uid": g.uid, "appId": app, "instruction": nil,
		"deletedAt": nil, "createdAt": s.stamp(g.created), "updatedAt": s.stamp(g.updated),
	}
	for _, f := range cometChatFields {
		m[f.Name] = g.fields[f.Name]
	}
	if !g.deleted.IsZero() {
		m["deletedAt"] = s.stamp(g.deleted)
	}
	return m
}

// uuid4 is a UUID of version 4.
func uuid4() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
