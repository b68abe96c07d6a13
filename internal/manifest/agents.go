package manifest

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/internal/validate"
	"agentsync/internal/yamltext"
	"agentsync/schema"
)

// loadedAgent is an agent with what the checks over all files need.
type loadedAgent struct {
	agent.Desired
	previous []diag.Pos // where each of PreviousKeys stands
	secrets  []*validate.Text
	places   map[string]diag.Pos // of the values that Options.Locate asked for
	identity string              // the values of the identity fields, empty where they are not known
}

// agent reads one element of a section's agents. It is false where the agent has no usable address.
func (f *manifestFile) agent(part *sectionPart, id agent.AppID, node *yaml.Node) (loadedAgent, bool) {
	target := yamltext.Deref(node)
	if target.Kind != yaml.MappingNode {
		f.errorf(node, "an agent is a mapping with a `key` and the platform's fields, not %s",
			yamltext.KindName(target))
		return loadedAgent{}, false
	}
	own, _ := f.value(node, 3).(map[string]any)
	if f.stopped || own == nil {
		return loadedAgent{}, false
	}
	if part.defaults != nil {
		// While it is only a count: every agent gets a copy of the secret parts.
		if !f.countDefaults(part, node, own) {
			return loadedAgent{}, false
		}
		mergeDefaults(own, part.defaults)
	}
	// Behind the merge: a null of the agent takes a default away.
	dropNulls(own)
	// Before ownFields takes out what is agentsync's own: the schema says how that is written, too.
	f.checkAgent(part, node, own)
	a := loadedAgent{}
	a.Address = agent.Address{Platform: id.Platform, App: id.App, Key: f.ownFields(node, own, &a)}
	a.Source = f.keyPos(node)
	for _, at := range f.wanted[a.Address] {
		if a.places == nil {
			a.places = map[string]diag.Pos{}
		}
		a.places[at] = f.Pos(f.inAgentOrDefaults(part, node, at))
	}
	f.checkIgnored(part, node, a.IgnoreChanges)
	if part.marker() {
		a.Mark = a.Address.Mark()
	}
	f.checkMark(part, node, own)
	f.warnLiterals(part, node, own)
	if f.hasTexts {
		validate.EachText("", own, func(at string, t *validate.Text) {
			if t.Names != nil {
				a.secrets = append(a.secrets, t)
			}
			if t.File != "" {
				if a.TextFiles == nil {
					a.TextFiles = map[string]string{}
				}
				a.TextFiles[at] = t.File
			}
		})
	}
	// Last: the checks above look at texts, and a secret shows none.
	a.Fields = sealSecrets(own, part.rules, f.hasTexts)
	a.identity = identityOf(part.rules.Identity, a.Fields)
	return a, id.App != "" && agent.ValidKey(a.Address.Key)
}

// countDefaults counts what the agent takes of its section's defaults, and reports whether it may: large
// defaults under many agents are more than the file.
func (f *manifestFile) countDefaults(part *sectionPart, node *yaml.Node, own map[string]any) bool {
	for name, c := range part.costs {
		v, replaced := own[name]
		if _, merges := v.(map[string]any); replaced && !merges {
			continue
		}
		f.merged += c.values
		f.content += c.bytes
	}
	if f.merged > 4*f.limits.Values {
		f.stop(node,
			"the file holds more than %s values once its defaults are merged into each agent; split it into several files",
			diag.Count(4*f.limits.Values))
	}
	return f.countText(node, 0, 0)
}

// checkAgent checks a merged agent against its platform's schema.
func (f *manifestFile) checkAgent(part *sectionPart, node *yaml.Node, merged map[string]any) {
	faults := f.rules.Faults(part.rules.Complete, merged)
	if len(faults) == 0 {
		return
	}
	key, _ := merged["key"].(string)
	owner := "agent " + diag.Ticked(key)
	if key == "" {
		owner = "the agent"
	}
	for _, fault := range faults {
		if fault.OnKey() && fault.At == "" {
			fault.Home = f.rules.HomeOf(fault.Name)
		}
		fault.Secret = part.rules.IsSecret(fault.At)
		if fault.AboutText() && isTemplate(validate.Lookup(merged, agent.SplitPointer(fault.At))) {
			continue // what the secret holds is known only when it is sent
		}
		if root, ok := f.standsInDefaults(part, node, fault); ok {
			f.reportShared(fault, root, node, key, owner)
			continue
		}
		f.reportFault(fault, node, node, fault.At, owner)
	}
}

func isTemplate(v any) bool {
	t, ok := v.(*validate.Text)
	return ok && t.Names != nil
}

// standsInDefaults returns the defaults' node where the value that a fault is about came from there.
func (f *manifestFile) standsInDefaults(part *sectionPart, node *yaml.Node, fault validate.Fault) (*yaml.Node, bool) {
	at := fault.At
	if fault.OnKey() {
		at += "/" + agent.EscapePointer(fault.Name)
	}
	if part.defaultsNode == nil || at == "" || f.Locate(node, at).Found || !f.Locate(part.defaultsNode, at).Found {
		return nil, false
	}
	return part.defaultsNode, true
}

// reportShared notes a problem with a value of the defaults. What is wrong with the defaults alone
// was reported there already.
func (f *manifestFile) reportShared(fault validate.Fault, root, node *yaml.Node, key, owner string) {
	pos, ok := f.faultPos(fault, root, node)
	sentence := fault.Sentence(validate.FieldName(fault.At), owner, f.shown(fault, root))
	id := toldError{pos, sentence}
	if !ok || f.told[id] {
		return
	}
	s := f.inDefaults[id]
	if s == nil {
		s = &sharedProblem{key: key, line: f.Pos(node).Line}
		f.inDefaults[id] = s
	}
	s.agents++
}

// ownFields takes agentsync's own fields out of the agent and returns its key.
func (f *manifestFile) ownFields(node *yaml.Node, own map[string]any, a *loadedAgent) string {
	if f.hasTexts {
		for _, name := range f.rules.Own {
			if v, ok := own[name]; ok {
				f.refuseSecrets(name, f.Locate(node, "/"+name).Value, v)
				own[name] = validate.Plain(v)
			}
		}
	}
	key, _ := own["key"].(string)
	if lifecycle, ok := own["lifecycle"].(map[string]any); ok {
		a.Protect, _ = lifecycle["protect"].(bool)
		a.IgnoreChanges = stringsOf(lifecycle["ignoreChanges"])
	}
	if previous, ok := own["previousKeys"]; ok {
		// an empty list says that the agent is new: it is not nil
		a.PreviousKeys = append([]string{}, stringsOf(previous)...)
		for i := range a.PreviousKeys {
			a.previous = append(a.previous, f.Pos(f.Locate(node, "/previousKeys/"+strconv.Itoa(i)).Value))
		}
	}
	for _, name := range f.rules.Own {
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
func (f *manifestFile) keyPos(node *yaml.Node) diag.Pos {
	if node.Kind == yaml.AliasNode { // the key is where another agent's is; this one is where the alias is
		return f.Start(node)
	}
	if n := yamltext.Deref(node); len(n.Content) > 1 && n.Content[0].Value == "key" {
		return f.Pos(n.Content[1])
	}
	if p := f.Locate(node, "/key"); p.Found {
		return f.Pos(p.Value)
	}
	return f.Pos(node)
}

// checkIgnored refuses names in lifecycle.ignoreChanges that are no fields of the platform.
func (f *manifestFile) checkIgnored(part *sectionPart, node *yaml.Node, names []string) {
	for i, name := range names {
		if _, ok := part.rules.Field(name); ok {
			continue
		}
		at := f.inAgentOrDefaults(part, node, "/lifecycle/ignoreChanges/"+strconv.Itoa(i))
		if schema.IsOwn(name) {
			f.errorf(at, "lifecycle.ignoreChanges names %s, which is agentsync's own and never sent; name fields of %s",
				diag.Ticked(name), part.rules.Name)
			continue
		}
		f.errorf(at, "lifecycle.ignoreChanges names %s, which is no field of %s%s", diag.Ticked(name), part.rules.Name,
			diag.DidYouMean(name, part.rules.FieldNames()))
	}
}

// warnLiterals warns of credentials that stand in the manifest as they are.
func (f *manifestFile) warnLiterals(part *sectionPart, node *yaml.Node, merged map[string]any) {
	for _, path := range part.rules.SecretPaths {
		if v := validate.Lookup(merged, path); v != nil {
			f.warnBelow(part, node, path, v)
		}
	}
}

func (f *manifestFile) warnBelow(part *sectionPart, node *yaml.Node, path []string, v any) {
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
			f.warnLiteral(part, node, agent.JoinPointer(path))
		}
	case *validate.Text:
		if v.File != "" {
			f.warnLiteral(part, node, agent.JoinPointer(path))
		}
	}
}

func (f *manifestFile) warnLiteral(part *sectionPart, node *yaml.Node, at string) {
	value := f.inAgentOrDefaults(part, node, at)
	if !f.bad[value] && !f.bad[yamltext.Deref(value)] { // however many agents share it, it is one warning
		f.warn(value, "%s is here in the clear; write ${secret:NAME}, which is filled in only when it is sent",
			validate.FieldName(at))
	}
}

// identityOf joins the values by which people tell agents apart.
func identityOf(names []string, fields agent.Fields) string {
	var b strings.Builder
	named := false
	for _, name := range names {
		switch v := fields[name].(type) {
		case string:
			b.WriteString(strconv.Quote(v))
			named = named || v != ""
		case nil:
		case secret.Text:
			return ""
		}
		b.WriteByte(' ')
	}
	if !named { // that they have no name is another problem
		return ""
	}
	return strings.TrimSpace(b.String())
}

// checkMark refuses, where the section asks for marks, what leaves no room for one or takes its name;
// and always what would be taken for a mark when the platform answers it.
func (f *manifestFile) checkMark(part *sectionPart, node *yaml.Node, merged map[string]any) {
	field, ok := part.rules.Marker()
	if !ok {
		return
	}
	on, at := part.marker(), "/"+agent.EscapePointer(field.Name)
	reserved := func(value string) bool { return on || agent.IsMark(value) }
	switch v := merged[field.Name].(type) {
	case map[string]any:
		mine, there := v[agent.MarkName]
		value, _ := validate.Plain(mine).(string)
		if there && reserved(value) {
			f.errorf(f.inAgentOrDefaults(part, node, at+"/"+agent.MarkName),
				"%s.%s is where agentsync leaves its mark; give it another name", field.Name, agent.MarkName)
		}
	case []any:
		for i, e := range v {
			s, _ := validate.Plain(e).(string)
			if value, found := strings.CutPrefix(s, agent.MarkName+":"); found && reserved(value) {
				f.errorf(f.inAgentOrDefaults(part, node, at+"/"+strconv.Itoa(i)),
					"%s[%d] begins with %s:, as agentsync's own mark does; give it another name", field.Name, i,
					agent.MarkName)
			}
		}
		if on && field.MaxItems > 0 && len(v) == field.MaxItems {
			f.errorf(f.inAgentOrDefaults(part, node, at),
				"%s holds %d items, and with marker: true the most is %d: the mark is one more", field.Name, len(v),
				field.MaxItems-1)
		}
	}
}

// inAgentOrDefaults returns the value that the pointer leads to: in the agent as it is written, else in
// the defaults of its section.
func (f *manifestFile) inAgentOrDefaults(part *sectionPart, node *yaml.Node, at string) *yaml.Node {
	p := f.Locate(node, at)
	if !p.Found && part.defaultsNode != nil {
		p = f.Locate(part.defaultsNode, at)
	}
	return p.Value
}
