package sandbox

import (
	"crypto/rand"
	"maps"
	"regexp"

	"agentsync/internal/sandbox/faults"
	"agentsync/internal/sandbox/fields"
	"agentsync/internal/sandbox/reply"
)

// mindsetV1 and mindsetV2 are Mindset AI's agents API in both versions: the same agents under the same
// uids. They are kept in the fields of v1, and what only v2 has beside them.
var (
	mindsetV1 = mindsetOf("v1", mindsetFields, nil, showMindsetV1)
	mindsetV2 = mindsetOf("v2", mindsetV2Fields, keepMindsetV2, showMindsetV2)
)

// mindsetOf is what both versions share.
func mindsetOf(
	version string, fields []fields.Field,
	keep func(sent, have map[string]any) map[string]any,
	show func(s *Server, app string, g *agent) map[string]any,
) *dialect {
	roots := []string{"/api/" + version + "/appuid", "/mindset/api/" + version + "/appuid"}
	d := &dialect{
		platform: Mindset, version: version, title: "Mindset AI",
		paths: []callPath{
			{roots, "/{app}/agents", map[string]string{"GET": faults.OpList, "POST": faults.OpCreate}},
			{roots, "/{app}/agents/uid/{uid}",
				map[string]string{"GET": faults.OpRead, "PATCH": faults.OpUpdate, "DELETE": faults.OpDelete}},
		},
		keyHeader: "x-api-key",
		fields:    fields, nameField: "agentName",
		defaults: map[string]any{"live": false, "access": "restrictedAccess"},
		check:    checkMindset, keep: keep, show: show,
		newUID: func() string { return rand.Text()[:20] },
		listed: listForm{
			wrap: "agents", paged: true,
			filters: map[string]string{"contextUid": "contextUids", "mcpserverUid": "mcpserverUids"},
		},
		about: func(a Agent) []any {
			return []any{
				pageLabel{"live", a.Fields["live"]}, a.Fields["access"],
				pageLabel{"tenant ", a.Fields["externalTenantId"]}, pageLabel{"tags ", a.Fields["tags"]},
			}
		},
	}
	if version == "v1" { // no path of v2 is known for them
		d.paths = append(d.paths, callPath{roots, "/{app}/contexts", map[string]string{"GET": faults.OpContexts}})
		d.references = map[string]listForm{faults.OpContexts: {wrap: "contexts", paged: true}}
	}
	return d
}

// tenantForm is what a tenant's id may hold.
var tenantForm = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

// mindsetFields are what a create of v1 takes; an update takes the same without minimum lengths, and
// without externalTenantId.
var mindsetFields = []fields.Field{
	{Name: "agentName", Required: true, Check: fields.Eased(1, 50)},
	{Name: "agentPurpose", Check: fields.Eased(1, 1000)},
	{Name: "formatting", Check: fields.Eased(1, 500)},
	{Name: "agentPersonality", Check: fields.Text(0, 500)},
	{Name: "agentPolicyRules", Check: fields.Text(0, 500)},
	{Name: "iceBreakerMessage", Check: fields.Text(0, 1000)},
	{Name: "live", Check: fields.Bool},
	{Name: "contextUids", Check: fields.List(30, fields.Eased(1, 30))},
	{Name: "mcpserverUids", Check: fields.List(5, fields.Eased(20, 20))},
	{Name: "tags", Check: fields.List(10, fields.Eased(1, 60))},
	{Name: "access", Check: fields.OneOf("openAccess", "restrictedAccess")},
	{Name: "externalTenantId", Fixed: true, Check: fields.Pattern(0, 100, tenantForm)},
}

// mindsetPolicies are the policies of v2, each with its further members besides enabled.
var mindsetPolicies = map[string][]string{
	"focusAndScope": {"scope"}, "knowledgeLimits": {"themeSpecificAllowance"},
	"nonContextSegmentMessage": {"message"}, "safeguarding": {"email"},
	"clarification": nil, "recommendations": nil, "neutrality": nil,
	"professionalConduct": nil, "legalFinancial": nil, "feedback": nil,
}

// mindsetV2Fields are what a create of v2 takes. Its minimum lengths hold in updates too.
var mindsetV2Fields = []fields.Field{
	{Name: "agentName", Required: true, Check: fields.Text(1, 50)},
	{Name: "agentPurpose", Check: fields.Text(1, 1000)},
	{Name: "templateAgentUid", Fixed: true, Check: fields.Text(1, 0)},
	{Name: "personality", Check: style},
	{Name: "formatting", Check: style},
	{Name: "policies", Check: fields.ObjectOf(policyChecks())},
	{Name: "additionalPolicyRules", Check: fields.Text(0, 500)},
	{Name: "additionalInformation", Check: fields.Text(0, 65_535)},
	{Name: "iceBreakerMessage", Check: fields.Text(0, 1000)},
	{Name: "memory", Check: fields.ObjectOf(map[string]fields.Check{
		"allowAccess": fields.Bool, "allowContribution": fields.Bool, "miningGuidance": fields.Text(0, 0),
	})},
	{Name: "live", Check: fields.Bool},
	{Name: "access", Check: fields.OneOf("openAccess", "restrictedAccess")},
	{Name: "contextUids", Check: fields.List(30, fields.Text(1, 30))},
	{Name: "mcpserverUids", Check: fields.List(5, fields.Text(20, 20))},
	{Name: "tags", Check: fields.List(10, fields.Text(1, 60))},
	{Name: "externalTenantId", Fixed: true, Check: fields.Pattern(0, 100, tenantForm)},
}

// style takes {preset, customText}. Which presets there are is not known.
var style = fields.ObjectOf(map[string]fields.Check{"preset": fields.Text(1, 0), "customText": fields.Text(0, 0)})

func policyChecks() map[string]fields.Check {
	m := map[string]fields.Check{}
	for name, more := range mindsetPolicies {
		members := map[string]fields.Check{"enabled": fields.Bool}
		for _, member := range more {
			members[member] = fields.Text(0, 0)
		}
		m[name] = fields.ObjectOf(members)
	}
	return m
}

// checkMindset refuses a template and contexts that the app does not have.
func checkMindset(s *Server, c *call, _ map[string]any) *reply.Problem {
	if uid, sent := c.sent["templateAgentUid"].(string); sent {
		if g, done := s.store.find(c.appKey(), uid); g == nil {
			return reply.BadRequest("templateAgentUid: there is no agent %s", uid)
		} else {
			done()
		}
	}
	uids, _ := c.sent["contextUids"].([]any)
	for _, uid := range uids {
		if !s.references.holds("context", uid) {
			return reply.BadRequest("contextUids: there is no context %v", uid)
		}
	}
	return nil
}

// Names under which what only v2 has is kept, beside the fields of v1.
const (
	personalityPreset = "personality.preset"
	formattingPreset  = "formatting.preset"
)

// The presets that v2 answers where none was sent.
var defaultPresets = map[string]string{"personality": "friendly", "formatting": "conversational"}

// keepMindsetV2 turns fields of v2 into what is kept. An object replaces the whole one: a member that
// is not sent goes back to its default.
func keepMindsetV2(sent, _ map[string]any) map[string]any {
	kept := maps.Clone(sent)
	for _, of := range []struct{ field, text, preset string }{
		{"personality", "agentPersonality", personalityPreset}, {"formatting", "formatting", formattingPreset},
	} {
		if m, ok := sent[of.field].(map[string]any); ok {
			delete(kept, of.field)
			kept[of.text], kept[of.preset] = orEmpty(m["customText"]), m["preset"]
		}
	}
	if v, ok := sent["additionalPolicyRules"]; ok {
		kept["agentPolicyRules"] = v
	}
	delete(kept, "additionalPolicyRules")
	delete(kept, "templateAgentUid") // copies the presentation, and is never answered
	return kept
}

// showMindset returns what both versions answer of an agent: lists are never missing, the other fields are where they
// were not sent.
func showMindset(g *agent, known []fields.Field) map[string]any {
	m := map[string]any{"uid": g.uid, "createdAt": isoTime(g.created), "contextUids": []any{}, "mcpserverUids": []any{},
		"tags": []any{}}
	for _, f := range known {
		if v := g.fields[f.Name]; v != nil {
			m[f.Name] = v
		}
	}
	return m
}

func showMindsetV1(_ *Server, _ string, g *agent) map[string]any {
	return showMindset(g, mindsetFields)
}

// showMindsetV2 returns an agent as v2 answers it: every member of each object is there, with its default
// where it was not sent, and members that the reference names but nobody can write.
func showMindsetV2(_ *Server, _ string, g *agent) map[string]any {
	m := showMindset(g, mindsetV2Fields)
	maps.Copy(m, map[string]any{"options": map[string]any{"theme": "default"}, "showPromptLibrary": false,
		"planUids": []any{}, "skillUids": []any{}})
	for _, of := range []struct{ field, text, preset string }{
		{"personality", "agentPersonality", personalityPreset}, {"formatting", "formatting", formattingPreset},
	} {
		preset := g.fields[of.preset]
		if preset == nil {
			preset = defaultPresets[of.field]
		}
		m[of.field] = map[string]any{"preset": preset, "customText": orEmpty(g.fields[of.text])}
	}
	m["additionalPolicyRules"] = orEmpty(g.fields["agentPolicyRules"])
	m["additionalInformation"] = orEmpty(g.fields["additionalInformation"])
	sent, _ := g.fields["policies"].(map[string]any)
	policies := map[string]any{}
	for name, more := range mindsetPolicies {
		policy := map[string]any{"enabled": false}
		for _, member := range more {
			policy[member] = ""
		}
		one, _ := sent[name].(map[string]any)
		maps.Copy(policy, one)
		policies[name] = policy
	}
	m["policies"] = policies
	memory := map[string]any{"allowAccess": false, "allowContribution": false, "miningGuidance": ""}
	of, _ := g.fields["memory"].(map[string]any)
	maps.Copy(memory, of)
	m["memory"] = memory
	return m
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}
