package sandbox

import (
	"crypto/rand"
	"maps"
	"regexp"
	"slices"
	"time"
)

// mindsetV1 and mindsetV2 are Mindset AI's agents API in both versions: the same agents under the same
// uids. They are kept in the fields of v1, and what only v2 has beside them.
var (
	mindsetV1 = mindsetOf("v1", mindsetFields, nil, showMindsetV1)
	mindsetV2 = mindsetOf("v2", mindsetV2Fields, keepMindsetV2, showMindsetV2)
)

// mindsetOf is what both versions share.
func mindsetOf(
	version string, fields []field,
	keep func(sent, have map[string]any) map[string]any,
	show func(s *Server, app string, g *agent) map[string]any,
) *dialect {
	roots := []string{"/api/" + version + "/appuid", "/mindset/api/" + version + "/appuid"}
	d := &dialect{
		platform: Mindset, version: version, title: "Mindset AI",
		paths: []path{
			{roots, "/{app}/agents", map[string]string{"GET": opList, "POST": opCreate}},
			{roots, "/{app}/agents/uid/{uid}", map[string]string{"GET": opRead, "PATCH": opUpdate, "DELETE": opDelete}},
		},
		keyHeader: "x-api-key",
		fields:    fields, nameField: "agentName",
		defaults: map[string]any{"live": false, "access": "restrictedAccess"},
		check:    checkMindset, keep: keep, show: show,
		newUID: func() string { return rand.Text()[:20] },
		listed: listing{
			wrap: "agents", paged: true,
			filters: map[string]string{"contextUid": "contextUids", "mcpserverUid": "mcpserverUids"},
		},
		about: func(a Agent) []any {
			return []any{
				label{"live", a.Fields["live"]}, a.Fields["access"],
				label{"tenant ", a.Fields["externalTenantId"]}, label{"tags ", a.Fields["tags"]},
			}
		},
	}
	if version == "v1" { // no path of v2 is known for them
		d.paths = append(d.paths, path{roots, "/{app}/contexts", map[string]string{"GET": opContexts}})
		d.references = map[string]listing{opContexts: {wrap: "contexts", paged: true}}
	}
	return d
}

// tenantForm is what a tenant's id may hold.
var tenantForm = regexp.MustCompile(`^[A-Za-z0-9_-]*$`)

// mindsetFields are what a create of v1 takes; an update takes the same without minimum lengths, and
// without externalTenantId.
var mindsetFields = []field{
	{name: "agentName", required: true, check: eased(1, 50)},
	{name: "agentPurpose", check: eased(1, 1000)},
	{name: "formatting", check: eased(1, 500)},
	{name: "agentPersonality", check: text(0, 500)},
	{name: "agentPolicyRules", check: text(0, 500)},
	{name: "iceBreakerMessage", check: text(0, 1000)},
	{name: "live", check: boolean},
	{name: "contextUids", check: list(30, eased(1, 30))},
	{name: "mcpserverUids", check: list(5, eased(20, 20))},
	{name: "tags", check: list(10, eased(1, 60))},
	{name: "access", check: oneOf("openAccess", "restrictedAccess")},
	{name: "externalTenantId", fixed: true, check: textOf(0, 100, tenantForm)},
}

// mindsetPolicies are the policies of v2, each with its further members besides enabled.
var mindsetPolicies = map[string][]string{
	"focusAndScope": {"scope"}, "knowledgeLimits": {"themeSpecificAllowance"},
	"nonContextSegmentMessage": {"message"}, "safeguarding": {"email"},
	"clarification": nil, "recommendations": nil, "neutrality": nil,
	"professionalConduct": nil, "legalFinancial": nil, "feedback": nil,
}

// mindsetV2Fields are what a create of v2 takes. Its minimum lengths hold in updates too.
var mindsetV2Fields = []field{
	{name: "agentName", required: true, check: text(1, 50)},
	{name: "agentPurpose", check: text(1, 1000)},
	{name: "templateAgentUid", fixed: true, check: text(1, 0)},
	{name: "personality", check: style},
	{name: "formatting", check: style},
	{name: "policies", check: objectOf(policyChecks())},
	{name: "additionalPolicyRules", check: text(0, 500)},
	{name: "additionalInformation", check: text(0, 65_535)},
	{name: "iceBreakerMessage", check: text(0, 1000)},
	{name: "memory", check: objectOf(map[string]check{
		"allowAccess": boolean, "allowContribution": boolean, "miningGuidance": text(0, 0),
	})},
	{name: "live", check: boolean},
	{name: "access", check: oneOf("openAccess", "restrictedAccess")},
	{name: "contextUids", check: list(30, text(1, 30))},
	{name: "mcpserverUids", check: list(5, text(20, 20))},
	{name: "tags", check: list(10, text(1, 60))},
	{name: "externalTenantId", fixed: true, check: textOf(0, 100, tenantForm)},
}

// style takes {preset, customText}. Which presets there are is not known.
var style = objectOf(map[string]check{"preset": text(1, 0), "customText": text(0, 0)})

func policyChecks() map[string]check {
	m := map[string]check{}
	for name, more := range mindsetPolicies {
		members := map[string]check{"enabled": boolean}
		for _, member := range more {
			members[member] = text(0, 0)
		}
		m[name] = objectOf(members)
	}
	return m
}

// checkMindset refuses a template and contexts that the app does not have.
func checkMindset(s *Server, c *call, _ map[string]any) *problem {
	if uid, sent := c.sent["templateAgentUid"].(string); sent {
		if g, done := s.store.find(c.key(), uid); g == nil {
			return badRequest("templateAgentUid: there is no agent %s", uid)
		} else {
			done()
		}
	}
	uids, _ := c.sent["contextUids"].([]any)
	for _, uid := range uids {
		if !s.references.holds("context", uid) {
			return badRequest("contextUids: there is no context %v", uid)
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

// showMindsetV1 returns an agent as v1 answers it: lists are never missing, texts are where they were not sent.
func showMindsetV1(_ *Server, _ string, g *agent) map[string]any {
	m := map[string]any{"uid": g.uid, "createdAt": iso(g.created)}
	for _, f := range mindsetFields {
		if v, ok := g.fields[f.name]; ok {
			m[f.name] = v
		}
	}
	for _, name := range []string{"contextUids", "mcpserverUids", "tags"} {
		if m[name] == nil {
			m[name] = []any{}
		}
	}
	return m
}

// showMindsetV2 returns an agent as v2 answers it: every member of each object is there, with its default
// where it was not sent, and members that the reference names but nobody can write.
func showMindsetV2(_ *Server, _ string, g *agent) map[string]any {
	m := map[string]any{
		"uid": g.uid, "createdAt": iso(g.created),
		"options": map[string]any{"theme": "default"}, "showPromptLibrary": false, "planUids": []any{}, "skillUids": []any{},
	}
	for _, f := range mindsetV2Fields {
		if v, ok := g.fields[f.name]; ok {
			m[f.name] = v
		}
	}
	for _, name := range []string{"contextUids", "mcpserverUids", "tags"} {
		if m[name] == nil {
			m[name] = []any{}
		}
	}
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

// iso writes a time as both platforms do: ISO 8601 in UTC with milliseconds.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// startAfter reads where a page begins; the zero time where nothing is said.
func (c *call) startAfter() (time.Time, *problem) {
	if !c.query.Has("startAfter") {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, c.query.Get("startAfter"))
	if err != nil {
		return t, badRequest("startAfter must be a time in ISO 8601")
	}
	return t, nil
}

// holdsItem reports whether the list v holds want.
func holdsItem(v any, want string) bool {
	items, _ := v.([]any)
	return slices.ContainsFunc(items, func(e any) bool { return e == want })
}
