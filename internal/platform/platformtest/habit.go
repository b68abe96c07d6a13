package platformtest

import (
	"html"
	"strings"

	"agentsync/internal/agent"
)

// Habit is what a platform does to what it is sent, by the name that the sandbox has for it: trim, crlf, escape,
// slash, noslash or fill. It may be applied again to what it has made, and changes what it is given.
func Habit(name string) func(agent.Fields) agent.Fields {
	switch name {
	case "trim":
		return texts(strings.TrimSpace)
	case "crlf":
		return texts(func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n") })
	case "escape":
		return texts(func(s string) string { return html.EscapeString(html.UnescapeString(s)) })
	case "slash":
		return texts(func(s string) string { return hostURL(s, strings.TrimSuffix(s, "/")+"/") })
	case "noslash":
		return texts(func(s string) string { return hostURL(s, strings.TrimSuffix(s, "/")) })
	case "fill":
		return fill
	}
	panic("no habit is called " + name)
}

// texts applies change to every text of an agent, however deep.
func texts(change func(string) string) func(agent.Fields) agent.Fields {
	var within func(v any) any
	within = func(v any) any {
		switch v := v.(type) {
		case string:
			return change(v)
		case []any:
			for i := range v {
				v[i] = within(v[i])
			}
		case map[string]any:
			for name := range v {
				v[name] = within(v[name])
			}
		}
		return v
	}
	return func(fields agent.Fields) agent.Fields {
		for name := range fields {
			fields[name] = within(fields[name])
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

// fill adds members that nobody sent.
func fill(fields agent.Fields) agent.Fields {
	for _, name := range []string{"metaData", "integrationMeta"} {
		if o, ok := fields[name].(map[string]any); ok {
			o["schemaVersion"] = "2"
		}
	}
	return fields
}
