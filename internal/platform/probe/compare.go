package probe

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// secretValue stands where a credential would: it opens nothing.
const secretValue = "Bearer agentsync-check-platform"

// prose holds what platforms are known to change in texts: blanks around it, line ends, characters of HTML.
const prose = " A < B & \"C\"\r\nsecond line\n"

// special are values of a platform for which the schema's examples will not do: one that carries a credential.
var special = map[string]agent.Fields{
	"cometchat": {
		"icon":          "https://example.com/",
		"integrateWith": "langgraph",
		"integrationMeta": map[string]any{
			"baseUrl": "https://example.com",
			"headers": map[string]any{"authorization": secret.Literal(secretValue)},
		},
		"metaData": map[string]any{"greetingMessage": prose},
	},
}

// wantedFields is the agent that the probe makes: every field whose value needs nothing else to be there. Nobody is to
// meet it: what it can be switched off by is off, and who may reach it is left to the platform.
func wantedFields(s *schema.Platform, name string) agent.Fields {
	fields := agent.Fields{}
	for _, f := range s.Fields {
		v, given := special[s.Name][f.Name]
		switch {
		case given:
		case f.Identity && f.Required:
			v = name
		case f.RefersTo != "" || f.CreateOnly || f.Immutable:
			continue
		case f.Type == "boolean":
			v = false
		case f.FreeText:
			v = prose
		case f.Required, f.Type == "object", f.Marker:
			v = f.Example
		}
		if v != nil {
			fields[f.Name] = v
		}
	}
	return fields
}

// changedFields is what the update sends.
func changedFields(s *schema.Platform, name string) agent.Fields {
	field := identityField(s)
	change := agent.Fields{field.Name: name + " changed"}
	for _, f := range s.Fields {
		if f.FreeText && !f.Identity {
			change[f.Name] = "changed" + prose
			break
		}
	}
	return change
}

// identityField returns the field that an agent's name stands in.
func identityField(s *schema.Platform) schema.Field {
	i := slices.IndexFunc(s.Fields, func(f schema.Field) bool { return f.Identity && f.Required })
	if i < 0 {
		return schema.Field{}
	}
	return s.Fields[i]
}

// compareShown says how what the platform shows differs from what was sent, value by value, and where a credential
// stands besides. when is what showed it; a difference that something before it showed as well is not told again.
func (p *probeRun) compareShown(when string, sent, shown agent.Fields) {
	var differs []valueDifference
	for _, f := range p.Schema.Fields {
		v, ok := sent[f.Name]
		if !ok {
			continue
		}
		if got, there := shown[f.Name]; there || isEmpty(v) {
			differs = append(differs, compareValue(f.Name, v, got)...)
		} else {
			differs = append(differs, valueDifference{f.Name, "not shown"})
		}
	}
	if where := findLeak(shown); where != "" {
		differs = append(differs, valueDifference{"secrets", "the credential is repeated in " + where})
	}
	fresh := 0
	for _, d := range differs {
		if known := d.path + ": " + d.found; !p.told[known] {
			p.told[known] = true
			p.odd(when+": "+d.path, "%s", d.found)
			fresh++
		}
	}
	switch {
	case len(differs) == 0:
		p.say(when+": values", "as they were sent")
	case fresh == 0:
		p.say(when+": values", "as they were answered before")
	}
}

// valueDifference is one value that is shown otherwise than it was sent.
type valueDifference struct{ path, found string }

func compareValue(path string, sent, got any) (differs []valueDifference) {
	switch sent := sent.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok {
			return []valueDifference{{path, "an object was sent, and something else is shown"}}
		}
		var filled []string
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if _, known := sent[name]; !known {
				filled = append(filled, name)
			}
		}
		if filled != nil {
			differs = append(differs, valueDifference{path, "filled in by the platform: " + strings.Join(filled, ", ")})
		}
		for _, name := range slices.Sorted(maps.Keys(sent)) {
			differs = append(differs, compareValue(path+"."+name, sent[name], m[name])...)
		}
		return differs
	case secret.Text:
		if text := plainText(got); text != secretValue {
			return []valueDifference{{path, "a credential is " + concealedAs(text)}}
		}
		return nil
	case string:
		if text := plainText(got); text != sent {
			return []valueDifference{{path, nameRewriting(sent, text)}}
		}
		return nil
	}
	if !agent.Equal(sent, got) {
		return []valueDifference{{path, "shown as another value"}}
	}
	return nil
}

func plainText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case secret.Text:
		text, _ := v.Reveal()
		return text
	}
	return ""
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return v == nil
}

func concealedAs(text string) string {
	if text == "" {
		return "not shown"
	}
	return "masked: another text stands in its place"
}

// nameRewriting names what was done to a text, as far as it is one of the things that platforms do.
func nameRewriting(sent, got string) string {
	if got == "" {
		return "a text is not shown"
	}
	var done []string
	step := func(applies bool, name string, change func(string) string) {
		if next := change(sent); applies && next != sent {
			sent, done = next, append(done, name)
		}
	}
	unix := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
	bare := strings.Count(got, "\n") - strings.Count(got, "\r\n")
	step(strings.Contains(got, "&amp;") || strings.Contains(got, "&lt;"), "its HTML is escaped", html.EscapeString)
	step(strings.TrimSpace(got) == got, "it is trimmed", strings.TrimSpace)
	step(!strings.Contains(got, "\r"), "its line ends are LF", unix)
	step(bare == 0, "its line ends are CRLF", func(s string) string {
		return strings.ReplaceAll(unix(s), "\n", "\r\n")
	})
	step(strings.ToLower(got) == got, "it is in lower case", strings.ToLower)
	step(strings.ToUpper(got) == got, "it is in upper case", strings.ToUpper)
	step(strings.TrimRight(sent, "/") == strings.TrimRight(got, "/"), "its URL has another end", func(string) string {
		return got
	})
	if sent != got {
		done = append(done, fmt.Sprintf("it is another text, of %d characters for %d", len([]rune(got)),
			len([]rune(sent))))
	}
	return "a text comes back changed: " + strings.Join(done, ", ")
}

// findLeak returns where the credential stands outside its place, "" where it does not.
func findLeak(shown agent.Fields) string {
	where := ""
	agent.Walk("", map[string]any(shown.Clone()), func(path string, leaf any) any {
		if text, ok := leaf.(string); ok && strings.Contains(text, secretValue) {
			where = path
		}
		return leaf
	})
	return where
}
