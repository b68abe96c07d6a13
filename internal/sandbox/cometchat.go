package sandbox

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

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

func urlOf(schemes ...string) func(any, bool) string {
	return func(v any, _ bool) string {
		s, _ := v.(string)
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) || strings.ContainsAny(s, " \t\r\n") {
			return "must be a URL of " + strings.Join(schemes, " or ")
		}
		return ""
	}
}

func checkMetaData(v any, _ bool) string {
	m, ok := v.(map[string]any)
	if !ok {
		return "must be an object"
	}
	for _, known := range []struct {
		name  string
		check func(any, bool) string
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

// checkCometChat refuses what the platform would. have is the agent's fields before an update.
func (s *Server) checkCometChat(body, have map[string]any, update bool) *problem {
	if p := checkFields(cometChatFields, body, update); p != nil {
		return p
	}
	merged := body
	if update {
		merged = maps.Clone(have)
		maps.Copy(merged, body)
	}
	kind, _ := merged["integrateWith"].(string)
	if meta, ok := merged["integrationMeta"].(map[string]any); ok {
		if p := checkMeta(kind, meta, update); p != nil {
			return p
		}
	}
	if p := known("tool", s.tools, body["tools"]); p != nil {
		return p
	}
	return known("action", s.actions, body["actions"])
}

// known refuses names that do not exist in the app.
func known(what string, have map[string]bool, v any) *problem {
	names, _ := v.([]any)
	for _, n := range names {
		if name, _ := n.(string); !have[name] {
			return refused(400, "ERR_TOOL_NOT_FOUND", fmt.Sprintf("the %s %s does not exist in this app", what, name))
		}
	}
	return nil
}

// showCometChat returns an agent as the platform answers it: every field, null where it is not set.
func (s *Server) showCometChat(appID string, g *agent, mask bool) map[string]any {
	m := map[string]any{
		"_id": objectID(g.uid), "uid": g.uid, "appId": appID, "instruction": nil,
		"createdAt": s.stamp(g.created), "updatedAt": s.stamp(g.updated), "deletedAt": nil,
	}
	if !g.deleted.IsZero() {
		m["deletedAt"] = s.stamp(g.deleted)
	}
	for _, f := range cometChatFields {
		m[f.name] = g.fields[f.name]
	}
	if meta, ok := m["integrationMeta"].(map[string]any); ok && mask {
		m["integrationMeta"] = maskHeaders(meta)
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

// asterisks stand for a value that is not shown.
const asterisks = "********"

func maskHeaders(meta map[string]any) map[string]any {
	meta = maps.Clone(meta)
	switch h := meta["headers"].(type) {
	case string:
		meta["headers"] = asterisks
	case map[string]any:
		h = maps.Clone(h)
		for k := range h {
			h[k] = asterisks
		}
		meta["headers"] = h
	}
	return meta
}

// objectID makes an _id of 24 hexadecimal digits out of a uid.
func objectID(uid string) string { return strings.ReplaceAll(uid, "-", "")[:24] }
