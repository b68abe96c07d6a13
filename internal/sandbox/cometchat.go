package sandbox

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cometChat is CometChat's API for BYO agents. It has no read of one agent.
var cometChat = &dialect{
	platform: CometChat, version: "v3", title: "CometChat",
	base: "/cometchat/{app}/v3",
	paths: []path{
		{cometChatRoots, "/ai-agents/agents", map[string]string{"GET": opList, "POST": opCreate}},
		{cometChatRoots, "/ai-agents/agents/{uid}", map[string]string{"PATCH": opUpdate, "DELETE": opDelete}},
		{cometChatRoots, "/ai-agents/tools", map[string]string{"GET": opTools}},
	},
	keyHeader: "apikey",
	head: func(c *call) *problem {
		if v := c.header.Get("chatApiVersion"); v != "" && v != "v3.0" {
			return badRequest("chatApiVersion must be v3.0")
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
	references:   map[string]listing{opTools: {}},
	rateHeaders:  true,
	envelope: func(p *problem) any {
		if p.code == "" {
			return statusEnvelope(p)
		}
		return map[string]any{"error": map[string]any{
			"code": p.code, "message": p.message, "devMessage": p.message, "source": "sandbox",
		}}
	},
	about: func(a Agent) []any {
		meta, _ := a.Fields["integrationMeta"].(map[string]any)
		base, _ := meta["baseUrl"].(string)
		if u, err := url.Parse(base); err == nil {
			base = u.Host // the rest may hold a token
		}
		return []any{label{"active", a.Fields["isActive"]}, a.Fields["integrateWith"], base, label{"tools ", a.Fields["tools"]}}
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
var cometChatFields = []field{
	{name: "name", required: true, check: text(1, 100)},
	{name: "icon", required: true, check: urlOf("http", "https")},
	{name: "isActive", check: boolean},
	{name: "integrateWith", required: true, check: oneOf(slices.Sorted(maps.Keys(metaOf))...)},
	{name: "integrationType", required: true, check: oneOf("agent")},
	{name: "integrationMeta", check: object},
	{name: "tools", check: list(0, text(1, 0))},
	{name: "actions", check: list(0, text(1, 0))},
	{name: "metaData", check: checkMetaData},
}

func checkMetaData(v any, _ bool) string {
	m, ok := v.(map[string]any)
	if !ok {
		return "must be an object"
	}
	for _, known := range []struct {
		name  string
		check check
	}{{"greetingMessage", text(0, 0)}, {"introductoryMessage", text(0, 0)}, {"suggestedMessages", list(0, text(0, 0))}} {
		if e, ok := m[known.name]; ok {
			if wrong := known.check(e, false); wrong != "" {
				return known.name + " " + wrong
			}
		}
	}
	return ""
}

// checkMeta refuses an integrationMeta that does not fit its integrateWith. An empty one takes the
// settings away and fits each kind, on update.
func checkMeta(kind string, meta map[string]any, update bool) *problem {
	if update && len(meta) == 0 {
		return nil
	}
	if wrong := urlOf("https")(meta["baseUrl"], update); wrong != "" {
		return badRequest("integrationMeta.baseUrl %s", wrong)
	}
	for _, name := range slices.Sorted(maps.Keys(meta)) {
		want, ok := metaOf[kind][name]
		if name == "baseUrl" {
			continue
		}
		if !ok {
			return badRequest("integrationMeta.%s should not exist with integrateWith %s", name, kind)
		}
		if !isA(want, meta[name]) {
			return badRequest("integrationMeta.%s must be %s with integrateWith %s", name,
				map[string]string{"string": "a string", "object": "an object of strings"}[want], kind)
		}
	}
	return nil
}

func isA(want string, v any) bool {
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
func checkCometChat(s *Server, c *call, have map[string]any) *problem {
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
				return refused(400, "ERR_TOOL_NOT_FOUND", fmt.Sprintf("the %s %v does not exist in this app", of.kind, name))
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
		m[f.name] = g.fields[f.name]
	}
	if !g.deleted.IsZero() {
		m["deletedAt"] = s.stamp(g.deleted)
	}
	return m
}

// stamp writes a time as CometChat does.
func (s *Server) stamp(t time.Time) any {
	if s.times == Millis {
		return t.UnixMilli()
	}
	return iso(t)
}

// objectID makes an _id of 24 hexadecimal digits out of a uid.
func objectID(uid string) string { return fmt.Sprintf("%-24.24s", strings.ReplaceAll(uid, "-", "")) }

// uuid4 is a UUID of version 4.
func uuid4() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
