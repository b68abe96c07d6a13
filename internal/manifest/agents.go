package manifest

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// loaded is an agent with what the checks over all files need.
type loaded struct {
	agent.Desired
	previous []diag.Pos // where each of PreviousKeys stands
	secrets  []*text
	places   map[string]diag.Pos
	identity string // the values of the identity fields, empty where they are not known
}

// agent reads one element of a section's agents. It is false where the agent has no usable address.
func (f *file) agent(part *sectionPart, id agent.AppID, node *yaml.Node) (loaded, bool) {
	target := deref(node)
	if target.Kind != yaml.MappingNode {
		f.errorf(node, "an agent is a mapping with a `key` and the platform's fields, not %s", kindName(target))
		return loaded{}, false
	}
	own, _ := f.value(node, 3).(map[string]any)
	if f.stopped || own == nil {
		return loaded{}, false
	}
	if part.defaults != nil {
		if !f.countDefaults(part, node, own) {
			return loaded{}, false
		}
		mergeDefaults(own, part.defaults)
	}
	dropNulls(own)
	f.checkAgent(part, node, own)
	a := loaded{}
	a.Address = agent.Address{Platform: id.Platform, App: id.App, Key: f.ownFields(node, own, &a)}
	a.Source = f.keyPos(node)
	for _, at := range f.rules.locate[a.Address] {
		if a.places == nil {
			a.places = map[string]diag.Pos{}
		}
		a.places[at] = f.pos(f.inAgentOrDefaults(part, node, at))
	}
	f.checkIgnored(part, node, a.IgnoreChanges)
	if part.marker() {
		a.Mark = a.Address.Mark()
	}
	f.checkMark(part, node, own)
	f.warnLiterals(part, node, own)
	if f.hasTexts {
		eachText(own, func(t *text) {
			if t.names != nil {
				a.secrets = append(a.secrets, t)
			}
		})
	}
	a.Fields = seal(own, part.rules, f.hasTexts)
	a.identity = identity(part.rules.identity, a.Fields)
	return a, id.App != "" && agent.ValidKey(a.Address.Key)
}

// countDefaults counts what the agent takes of its section's defaults, and reports whether it may: large
// defaults under many agents are more than the file.
func (f *file) countDefaults(part *sectionPart, node *yaml.Node, own map[string]any) bool {
	for name, c := range part.costs {
		v, replaced := own[name]
		if _, merges := v.(map[string]any); replaced && !merges {
			continue
		}
		f.merged += c.values
		f.content += c.bytes
	}
	if f.merged > 4*f.limits.Values {
		f.stop(node, "the file holds more than %s values once its defaults are merged into each agent; split it into several files",
			count(4*f.limits.Values))
	}
	return f.grow(node, 0, 0)
}

// checkAgent checks a merged agent against its platform's schema.
func (f *file) checkAgent(part *sectionPart, node *yaml.Node, merged map[string]any) {
	faults := f.rules.faults(part.rules.complete, merged)
	if len(faults) == 0 {
		return
	}
	key, _ := merged["key"].(string)
	owner := "agent " + ticked(key)
	if key == "" {
		owner = "the agent"
	}
	for _, fault := range faults {
		if fault.onKey() && fault.at == "" {
			fault.home = f.rules.homeOf(fault.name)
		}
		fault.secret = part.rules.IsSecret(fault.at)
		if fault.aboutText() && isTemplate(lookup(merged, tokens(fault.at))) {
			continue // what the secret holds is known only when it is sent
		}
		if root, ok := f.standsInDefaults(part, node, fault); ok {
			f.reportShared(fault, root, node, key, owner)
			continue
		}
		f.reportFault(fault, node, node, fault.at, owner)
	}
}

// aboutText reports whether the fault is about the very text of a string.
func (f fault) aboutText() bool {
	switch f.keyword {
	case "minLength", "maxLength", "pattern", "format":
		return true
	}
	return false
}

func isTemplate(v any) bool {
	t, ok := v.(*text)
	return ok && t.names != nil
}

// standsInDefaults returns the defaults' node where the value that a fault is about came from there.
func (f *file) standsInDefaults(part *sectionPart, node *yaml.Node, fault fault) (*yaml.Node, bool) {
	at := fault.at
	if fault.onKey() {
		at += "/" + agent.EscapePointer(fault.name)
	}
	if part.defaultsNode == nil || at == "" || f.locate(node, at).found || !f.locate(part.defaultsNode, at).found {
		return nil, false
	}
	return part.defaultsNode, true
}

// reportShared notes a problem with a value of the defaults. What is wrong with the defaults alone
// was reported there already.
func (f *file) reportShared(fault fault, root, node *yaml.Node, key, owner string) {
	pos, ok := f.faultPos(fault, root, node)
	sentence := fault.sentence(field(fault.at), owner, f.shown(fault, root))
	id := toldError{pos, sentence}
	if !ok || f.told[id] {
		return
	}
	s := f.inDefaults[id]
	if s == nil {
		s = &shared{key: key, line: f.pos(node).Line}
		f.inDefaults[id] = s
	}
	s.agents++
}

// ownFields takes agentsync's own fields out of the agent and returns its key.
func (f *file) ownFields(node *yaml.Node, own map[string]any, a *loaded) string {
	if f.hasTexts {
		for _, name := range f.rules.own {
			if v, ok := own[name]; ok {
				f.refuseSecrets(name, f.locate(node, "/"+name).value, v)
				own[name] = plain(v)
			}
		}
	}
	key, _ := own["key"].(string)
	if lifecycle, ok := own["lifecycle"].(map[string]any); ok {
		a.Protect, _ = lifecycle["protect"].(bool)
		a.IgnoreChanges = stringsOf(lifecycle["ignoreChanges"])
	}
	if previous, ok := own["previousKeys"]; ok {
		a.PreviousKeys = stringsOf(previous)
		for i := range a.PreviousKeys {
			a.previous = append(a.previous, f.pos(f.locate(node, "/previousKeys/"+strconv.Itoa(i)).value))
		}
	}
	for _, name := range f.rules.own {
		delete(own, name)
	}
	return key
}

// stringsOf returns the strings of a list; what is no string was reported by the schema.
func stringsOf(v any) []string {
	items, _ := v.([]any)
	var s []string
	for _, e := range items {
		if e, ok := e.(string); ok {
			s = append(s, e)
		}
	}
	return s
}

// keyPos returns where an agent's key stands. It is the one place that is looked up for every agent.
func (f *file) keyPos(node *yaml.Node) diag.Pos {
	if n := deref(node); len(n.Content) > 1 && n.Content[0].Value == "key" {
		return f.pos(n.Content[1])
	}
	if p := f.locate(node, "/key"); p.found {
		return f.pos(p.value)
	}
	return f.pos(node)
}

// checkIgnored refuses names in lifecycle.ignoreChanges that are no fields of the platform.
func (f *file) checkIgnored(part *sectionPart, node *yaml.Node, names []string) {
	for i, name := range names {
		if _, ok := part.rules.Field(name); ok {
			continue
		}
		at := f.inAgentOrDefaults(part, node, "/lifecycle/ignoreChanges/"+strconv.Itoa(i))
		if schema.IsOwn(name) {
			f.errorf(at, "lifecycle.ignoreChanges names %s, which is agentsync's own and never sent; name fields of %s", ticked(name), part.rules.Name)
			continue
		}
		f.errorf(at, "lifecycle.ignoreChanges names %s, which is no field of %s%s", ticked(name), part.rules.Name, didYouMean(name, part.rules.fieldNames()))
	}
}

// warnLiterals warns of credentials that stand in the manifest as they are.
func (f *file) warnLiterals(part *sectionPart, node *yaml.Node, merged map[string]any) {
	for _, path := range part.rules.secretPaths {
		if v := lookup(merged, path); v != nil {
			f.warnBelow(part, node, path, v)
		}
	}
}

func (f *file) warnBelow(part *sectionPart, node *yaml.Node, path []string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, e := range v {
			f.warnBelow(part, node, append(slices.Clip(path), name), e)
		}
	case []any:
		for i, e := range v {
			f.warnBelow(part, node, append(slices.Clip(path), strconv.Itoa(i)), e)
		}
	case string:
		if v != "" {
			f.warnLiteral(part, node, pointer(path))
		}
	}
}

func (f *file) warnLiteral(part *sectionPart, node *yaml.Node, at string) {
	value := f.inAgentOrDefaults(part, node, at)
	if f.bad[value] || f.bad[deref(value)] || f.warned[value] {
		return
	}
	if f.warned == nil {
		f.warned = map[*yaml.Node]bool{}
	}
	f.warned[value] = true // however many agents share it, through defaults or an alias
	f.problems.Warnf(f.pos(value), "%s stands here in the clear; write ${secret:NAME}, which is filled in only when it is sent", field(at))
}

// identity joins the values by which people tell agents apart.
func identity(names []string, fields agent.Fields) string {
	var b strings.Builder
	for _, name := range names {
		switch v := fields[name].(type) {
		case string:
			b.WriteString(strconv.Quote(v))
		case nil:
		case secret.Text:
			return ""
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}
