package sandbox

import (
	"regexp"
	"time"
)

// mindsetFields are what a create takes; an update takes the same without minimum lengths, and
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
	{name: "externalTenantId", fixed: true, check: textOf(0, 100, regexp.MustCompile(`^[A-Za-z0-9_-]*$`))},
}

// showMindset returns an agent as the platform answers it: lists are never missing, texts are where
// they were not sent.
func showMindset(g *agent) map[string]any {
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

// iso writes a time as both platforms do: ISO 8601 in UTC with milliseconds.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// mindsetQuery reads a list's parameters: where to start, and a filter.
func mindsetQuery(c *call) (after time.Time, keep func(*agent) bool, bad *problem) {
	if bad = onlyQuery(c, "startAfter", "contextUid", "mcpserverUid"); bad != nil {
		return after, nil, bad
	}
	if c.query.Has("startAfter") {
		t, err := time.Parse(time.RFC3339Nano, c.query.Get("startAfter"))
		if err != nil {
			return after, nil, badRequest("startAfter must be a time in ISO 8601")
		}
		after = t
	}
	context, server := c.query.Get("contextUid"), c.query.Get("mcpserverUid")
	keep = func(g *agent) bool {
		return holds(g.fields["contextUids"], context) && holds(g.fields["mcpserverUids"], server)
	}
	return after, keep, nil
}

// holds reports whether the list v holds want; any list holds the empty text.
func holds(v any, want string) bool {
	if want == "" {
		return true
	}
	items, _ := v.([]any)
	for _, e := range items {
		if e == want {
			return true
		}
	}
	return false
}
