package export

import (
	"agentsync/internal/agent"
	"agentsync/schema"
)

// Agent is one agent as a manifest will hold it.
type Agent struct {
	Key string
	// Fields are what is written, in the values of agent.Fields; a Reference stands where a secret
	// stood. A secret.Text is not written: Secrets comes first.
	Fields agent.Fields
}

// Tidy returns what of a live agent is worth writing: not what the platform takes by itself where the
// field is missing, which is its default or, in a field without one, empty. The values are live's own.
func Tidy(p *schema.Platform, live agent.Fields) agent.Fields {
	fields := make(agent.Fields, len(live))
	for _, f := range p.Fields {
		v := live[f.Name]
		if v == nil || agent.Equal(v, f.Default) || f.Default == nil && agent.Equal(v, emptyLike(v)) {
			continue
		}
		fields[f.Name] = v
	}
	return fields
}

// emptyLike returns the empty value of v's own type, nil where the type has none: false is a value like
// another.
func emptyLike(v any) any {
	switch v.(type) {
	case string:
		return ""
	case []any:
		return []any{}
	case map[string]any:
		return map[string]any{}
	}
	return nil
}

// minShared is from how many agents on a value that all of them have becomes a default.
const minShared = 2

// Share takes the fields that all agents hold alike out of them, to be written once as the section's
// defaults. What tells agents apart, and what holds secrets, stays. agents is left as it is.
func Share(p *schema.Platform, agents []Agent) (defaults agent.Fields, rest []Agent) {
	if len(agents) < minShared {
		return nil, agents
	}
	defaults = agent.Fields{}
	for _, f := range p.Fields {
		if v := agents[0].Fields[f.Name]; v != nil && !f.Identity && !hasReference(v) && allHold(agents, f.Name, v) {
			defaults[f.Name] = v
		}
	}
	if len(defaults) == 0 {
		return nil, agents
	}
	rest = make([]Agent, len(agents))
	for i, a := range agents {
		rest[i] = Agent{Key: a.Key, Fields: make(agent.Fields, len(a.Fields))}
		for name, v := range a.Fields {
			if _, shared := defaults[name]; !shared {
				rest[i].Fields[name] = v
			}
		}
	}
	return defaults, rest
}

func allHold(agents []Agent, name string, v any) bool {
	for _, a := range agents {
		if !agent.Equal(a.Fields[name], v) {
			return false
		}
	}
	return true
}

// hasReference reports whether v holds a Reference.
func hasReference(v any) bool {
	switch v := v.(type) {
	case Reference:
		return true
	case map[string]any:
		for _, e := range v {
			if hasReference(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if hasReference(e) {
				return true
			}
		}
	}
	return false
}
