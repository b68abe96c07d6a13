package manifest

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/endpoint"
	"agentsync/internal/secret"
	"agentsync/internal/validate"
	"agentsync/internal/yamltext"
)

// platformSection is one file's section of one platform, as far as it could be read.
type platformSection struct {
	app    agent.App
	places map[string]diag.Pos // where the app's settings stand, by name
	agents []loadedAgent
}

// sectionPart is a section while its file is read.
type sectionPart struct {
	rules *validate.Platform
	node  *yaml.Node
	// shell is the section as the manifest schema sees it: without its agents.
	shell    map[string]any
	defaults map[string]any
	// costs are what each default costs in each agent that takes it.
	costs  map[string]valueCost
	agents []*yaml.Node
	// defaultsNode is nil where there are no defaults.
	defaultsNode *yaml.Node
}

// sectionPart decodes a section but for its agents.
func (f *manifestFile) sectionPart(p *validate.Platform, node *yaml.Node) *sectionPart {
	part := &sectionPart{rules: p, node: node, shell: map[string]any{}}
	f.entries(yamltext.Deref(node), 1, func(name string, _, value *yaml.Node) {
		target := yamltext.Deref(value)
		// The agents are read one by one later, with the defaults, which may stand below them.
		if name == "agents" && target.Kind == yaml.SequenceNode {
			part.agents = target.Content
			part.shell[name] = []any{}
			return
		}
		v := f.value(value, 2)
		if v == nil {
			return // left empty: the same as left out
		}
		if defaults, ok := v.(map[string]any); ok && name == "defaults" {
			dropNulls(defaults)
			part.defaults, part.defaultsNode = defaults, value
			part.costs = make(map[string]valueCost, len(defaults))
			for name, v := range defaults {
				part.costs[name] = costOf(v)
			}
		} else {
			f.refuseSecrets(name, value, v)
		}
		part.shell[name] = v
	})
	return part
}

// refuseSecrets reports ${secret:} where it would be needed before a request is sent.
func (f *manifestFile) refuseSecrets(name string, n *yaml.Node, v any) {
	validate.EachText("", v, func(_ string, t *validate.Text) {
		if t.Names != nil {
			f.errorAt(n, t.Pos,
				"%s cannot hold ${secret:%s}: a secret is filled in only inside an agent that is sent; write ${env:%s}",
				name, diag.Clip(t.Names[0]), diag.Clip(t.Names[0]))
		}
	})
}

// checkShell checks everything but the agents against the manifest schema.
func (f *manifestFile) checkShell(shell map[string]any) {
	if f.stopped {
		return
	}
	for _, fault := range f.rules.Faults(f.rules.Shell, shell) {
		path, owner := agent.SplitPointer(fault.At), "the manifest"
		var rules *validate.Platform // of the section that it is in
		if len(path) > 0 {
			owner, rules = "the "+diag.Clip(path[0])+" section", f.rules.Platforms[path[0]]
			if len(path) > 1 || rules != nil {
				path = path[1:]
			}
		}
		switch {
		case rules == nil:
		case len(path) == 0 && fault.OnKey():
			if f.rules.HomeOf(fault.Name) != "" {
				fault.Home = "agents: write it below `agents` or `defaults`"
			}
		case len(path) > 0 && path[0] == "apiKeyEnv":
			fault.Secret = true // what is no variable's name is likely the key itself
		// Schemas say what is secret in an agent, and defaults are written as one.
		case len(path) > 0 && path[0] == "defaults":
			owner, path = "defaults", path[1:]
			fault.Secret = rules.IsSecret(agent.JoinPointer(path))
		}
		f.reportFault(fault, f.root, f.root, agent.JoinPointer(path), owner)
	}
}

// reportFault adds the problem that a fault stands for. root is the node that the fault's pointer starts
// from, home where a missing value would stand.
func (f *manifestFile) reportFault(fault validate.Fault, root, home *yaml.Node, subject, owner string) {
	pos, ok := f.faultPos(fault, root, home)
	if !ok {
		return
	}
	sentence := fault.Sentence(validate.FieldName(subject), owner, f.shown(fault, root))
	if text := f.textAt[yamltext.Deref(f.Locate(root, fault.At).Value)]; text != nil && !fault.OnKey() &&
		fault.Keyword != "required" {
		// It has to be mended in the file; what uses it may as well be the wrong field.
		f.report(diag.Pos{File: text.shown, Line: 1, Column: 1}, "%s (the text is used at %s)", sentence, pos)
		sentence += " (the text of " + text.shown + ")"
	}
	f.report(pos, "%s", sentence)
}

// faultPos returns where a fault is reported: the key of a member that should not be there, the place
// of what misses a member, the second of two equal items, the value otherwise. It is false where the
// value is known to be bad already.
func (f *manifestFile) faultPos(fault validate.Fault, root, home *yaml.Node) (diag.Pos, bool) {
	at := fault.At
	if fault.OnKey() {
		at += "/" + agent.EscapePointer(fault.Name)
	}
	if items, ok := fault.Value.([]any); ok && fault.Keyword == "uniqueItems" {
		if _, j := validate.Repeat(items); j > 0 {
			at += "/" + strconv.Itoa(j)
		}
	}
	p := f.Locate(root, at)
	switch {
	// It has an error already, which says more: the schema only sees what stands in for the value.
	case f.bad[p.Value] || f.bad[yamltext.Deref(p.Value)]:
		return diag.Pos{}, false
	case fault.Keyword == "required" && at == "":
		return f.Pos(home), true
	case fault.OnKey() && p.Key != nil:
		return f.Pos(p.Key), true
	default:
		return f.Pos(p.Value), true
	}
}

// shown returns the value concerned as it is written, in quotes; empty where it must not be shown.
func (f *manifestFile) shown(fault validate.Fault, root *yaml.Node) string {
	v, ok := fault.Value.(string)
	if !ok || fault.Secret {
		return ""
	}
	if n := yamltext.Deref(f.Locate(root, fault.At).Value); n.Kind == yaml.ScalarNode {
		if n.Value != v { // what a variable holds is not shown
			return diag.Quoted(n.Value) + " (variables filled in)"
		}
	}
	return diag.Quoted(v)
}

// section reads a section's agents.
func (f *manifestFile) section(part *sectionPart) platformSection {
	s := platformSection{places: map[string]diag.Pos{}}
	s.app = f.app(part, s.places)
	s.agents = make([]loadedAgent, 0, len(part.agents))
	for _, n := range part.agents {
		if f.stopped {
			break
		}
		if a, ok := f.agent(part, s.app.ID, n); ok {
			s.agents = append(s.agents, a)
		}
	}
	return s
}

// app reads what the section says of its app, as far as it is right.
func (f *manifestFile) app(part *sectionPart, places map[string]diag.Pos) agent.App {
	read := func(name, def string) string {
		places[name] = f.Pos(part.node)
		if p := f.Locate(part.node, "/"+name); p.Found {
			places[name] = f.Pos(p.Value)
		}
		if v, ok := validate.Plain(part.shell[name]).(string); ok {
			return v
		}
		return def
	}
	app := agent.App{ID: agent.AppID{Platform: part.rules.Name}, Source: f.Pos(part.node),
		Settings: map[string]string{}}
	if id := read(part.rules.AppField, ""); agent.ValidApp(id) {
		app.ID.App = id
	}
	if n := f.Locate(part.node, "/"+part.rules.AppField); n.Found {
		app.FromVariable = strings.Contains(yamltext.Deref(n.Value).Value, "${env:")
	}
	for _, s := range part.rules.Settings {
		if v := read(s.Name, s.Default); v != "" {
			app.Settings[s.Name] = v
		}
	}
	app.APIKeyEnv = read("apiKeyEnv", part.rules.APIKeyEnv)
	base := read("endpoint", "")
	app.Endpoint = strings.TrimSuffix(base, "/")
	if hasWebScheme(base) { // what has none the schema reports
		if _, err := endpoint.Parse(base, "app"); err != nil {
			f.report(places["endpoint"], "endpoint %s", err)
		}
	}
	if secret.IsCIToken(app.APIKeyEnv) {
		f.report(places["apiKeyEnv"],
			"apiKeyEnv names %s, which holds a credential of the CI and would be sent to %s; name the variable of the app's "+
				"own key",
			app.APIKeyEnv, part.rules.Name)
	}
	read("marker", "")
	app.Marker = part.marker()
	return app
}

func hasWebScheme(base string) bool {
	return strings.HasPrefix(base, "https://") || strings.HasPrefix(base, "http://")
}

// marker reports whether the section asks for a mark in each agent.
func (part *sectionPart) marker() bool {
	on, _ := part.shell["marker"].(bool)
	return on
}
