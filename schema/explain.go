package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
)

// Place is one place of a manifest that the schemas describe: a field of an agent or what is below it, a setting of a
// section, or a member of the file itself.
type Place struct {
	// Path names it from where it is written: integrationMeta.headers, region.
	Path string
	// In says where that is: "an agent of mindset (api v2)", "the cometchat section", "a manifest".
	In string
	// Type says what a value is: "string", "list of strings".
	Type string
	// Limits are clauses that say what a value must be beyond its type: "1 to 50 characters".
	Limits []string
	// Traits are sentences about how the platform and agentsync treat the value.
	Traits      []string
	Description string
	// Default is what holds where the value is missing, nil where the schema does not say.
	Default any
	// Example is a value that is right, nil where the schema gives none.
	Example any
	// Order is the canonical order of what the value holds.
	Order *Order
	// Required reports that the value must be there: in an agent, in it or in its section's defaults.
	Required bool
	// Members are what an object holds, in canonical order.
	Members []Place
}

// Name is the last part of Path.
func (p *Place) Name() string { return p.Path[strings.LastIndex(p.Path, ".")+1:] }

// The levels of a manifest in which a name is looked for, one after the other.
const (
	levelAgent = iota
	levelSection
	levelManifest
	levelAny = -1
)

// explainRoot is where paths begin.
type explainRoot struct {
	level    int
	platform string
	in       string
	piece    map[string]any
	order    *Order
}

// Explain returns every place that path can mean. A path may begin with a platform, and with agents or defaults behind
// that. Without them the fields of all agents are meant, else the settings of the sections, else what stands at the
// top of a manifest. An empty path is the manifest itself. Where nothing is called so the result is empty, and near is
// what was probably meant, or empty.
func Explain(path []string) (places []Place, near string, err error) {
	roots, err := explainRoots()
	if err != nil {
		return nil, "", err
	}
	places, near = explainIn(roots, path)
	return places, near, nil
}

// explainIn is Explain in what was read.
func explainIn(roots []explainRoot, path []string) (places []Place, near string) {
	platform, level := "", levelAny
	switch {
	case len(path) == 0:
		level = levelManifest
	case slices.ContainsFunc(roots, func(r explainRoot) bool { return r.platform == path[0] }):
		if platform, path = path[0], path[1:]; len(path) == 0 {
			level = levelSection
		}
	}
	if len(path) > 0 && (path[0] == "agents" || path[0] == "defaults") {
		path, level = path[1:], levelAgent
	}
	here := slices.DeleteFunc(slices.Clone(roots), func(r explainRoot) bool {
		return platform != "" && r.platform != platform || level != levelAny && r.level != level
	})
	for _, root := range here {
		if piece, order, ok := findPlace(root.piece, root.order, path); ok &&
			(level == levelAny || root.level == level) {
			level = root.level // a name that an agent has is not looked for further up
			places = append(places, describePlace(piece, order, strings.Join(path, "."), root.in, true))
		}
	}
	if len(places) > 0 {
		return places, ""
	}
	var names []string
	for _, root := range here {
		if near = knownAs(root.piece, path); near != "" {
			return nil, near
		}
		for _, name := range memberPaths(root.piece, root.order, "") {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	near = diag.Nearest(strings.Join(path, "."), names)
	if i := slices.IndexFunc(names,
		func(n string) bool { return strings.HasSuffix(n, "."+path[len(path)-1]) }); near == "" && i >= 0 {
		near = names[i]
	}
	return nil, near
}

// findPlace follows a path through the properties of a piece.
func findPlace(piece map[string]any, order *Order, path []string) (map[string]any, *Order, bool) {
	for _, name := range path {
		properties, _ := piece["properties"].(map[string]any)
		below, ok := properties[name].(map[string]any)
		if !ok {
			return nil, nil, false
		}
		piece, order = below, order.Member(name)
	}
	return piece, order, true
}

// memberPaths are the paths of everything below a piece.
func memberPaths(piece map[string]any, order *Order, lead string) []string {
	properties, _ := piece["properties"].(map[string]any)
	var names []string
	for _, name := range order.Names() {
		if below, ok := properties[name].(map[string]any); ok {
			names = append(append(names, lead+name), memberPaths(below, order.Member(name), lead+name+".")...)
		}
	}
	return names
}

// describePlace says in words what a piece of a schema says.
func describePlace(piece map[string]any, order *Order, path, in string, members bool) Place {
	p := Place{Path: path, In: in, Type: typeWords(piece), Limits: limitWords(piece), Traits: traitWords(piece),
		Order: order, Default: piece["default"]}
	p.Description, _ = piece["description"].(string)
	p.Required, _ = piece[requiredTrait].(bool)
	if examples, _ := piece["examples"].([]any); len(examples) > 0 {
		p.Example = examples[0]
	}
	if !members {
		return p
	}
	properties, _ := piece["properties"].(map[string]any)
	for _, name := range order.Names() {
		if below, ok := properties[name].(map[string]any); ok {
			p.Members = append(p.Members,
				describePlace(below, order.Member(name), strings.TrimPrefix(path+"."+name, "."), in, false))
		}
	}
	return p
}

// typeWords says what kind of value a piece describes.
func typeWords(piece map[string]any) string {
	types, _ := piece["type"].([]any)
	if one, ok := piece["type"].(string); ok {
		types = []any{one}
	}
	var words []string
	for _, t := range types {
		switch t {
		case "boolean":
			words = append(words, "true or false")
		case "array":
			items, _ := piece["items"].(map[string]any)
			words = append(words, "list of "+typeWords(items)+"s")
		case "object":
			if members, ok := piece["additionalProperties"].(map[string]any); ok && piece["properties"] == nil {
				words = append(words, "object of "+typeWords(members)+"s")
				continue
			}
			words = append(words, "object")
		default:
			words = append(words, fmt.Sprint(t))
		}
	}
	switch {
	case len(words) == 0 && piece["const"] != nil:
		return "number"
	case len(words) == 0:
		return "object" // a section, which is one of several by the version of its API
	}
	return strings.Join(words, ", or ")
}

// limitWords says what a value must be beyond its type.
func limitWords(piece map[string]any) []string {
	var limits []string
	if enum, ok := piece["enum"].([]any); ok {
		words := make([]string, len(enum))
		for i, e := range enum {
			words[i] = fmt.Sprint(e)
		}
		limits = append(limits, "one of "+strings.Join(words, ", "))
	}
	if c, ok := piece["const"]; ok {
		limits = append(limits, fmt.Sprintf("always %v", c))
	}
	limits = append(limits, rangeWords(piece, "minLength", "maxLength", "character")...)
	limits = append(limits, rangeWords(piece, "minItems", "maxItems", "item")...)
	if unique, _ := piece["uniqueItems"].(bool); unique {
		limits = append(limits, "none twice")
	}
	if words, ok := piece["patternErrorMessage"].(string); ok {
		limits = append(limits, words)
	}
	if items, ok := piece["items"].(map[string]any); ok {
		for _, l := range limitWords(items) {
			limits = append(limits, "each "+l)
		}
	}
	return limits
}

// rangeWords says the least and the most of something.
func rangeWords(piece map[string]any, least, most, noun string) []string {
	low, hasLow := Whole(piece, least)
	high, hasHigh := Whole(piece, most)
	switch {
	case hasLow && hasHigh && low == high:
		return []string{"exactly " + diag.Plural(low, noun)}
	case hasLow && hasHigh:
		return []string{diag.Count(low) + " to " + diag.Plural(high, noun)}
	case hasHigh:
		return []string{"at most " + diag.Plural(high, noun)}
	case hasLow:
		return []string{"at least " + diag.Plural(low, noun)}
	}
	return nil
}

// Whole returns the whole number that a member of a schema piece is, and whether it is one.
func Whole(piece map[string]any, name string) (int, bool) {
	n, ok := piece[name].(json.Number)
	i, err := n.Int64()
	return int(i), ok && err == nil
}

// traitWords says what the traits of a field mean to who writes it.
func traitWords(piece map[string]any) []string {
	var traits []string
	for _, t := range []struct{ name, words string }{
		{"writeOnly", "Secret: it is never shown, and the state has a keyed hash of it."},
		{"x-immutable",
			"It cannot be changed: another value makes a new agent and deletes the old one, with --prune alone."},
		{"x-create-only", "It is sent when the agent is made, and never again."},
		{"x-unordered", "The order does not matter."},
		{"x-identity", "People tell agents apart by it: an agent that has it already is in the way of a new one."},
		{"x-marker", "The mark of a section with marker: true is written here."},
	} {
		if on, _ := piece[t.name].(bool); on {
			traits = append(traits, t.words)
		}
	}
	if kind, ok := piece["x-refers-to"].(string); ok {
		traits = append(traits, "apply checks that each "+kind+" exists before anything is sent.")
	}
	return traits
}

// requiredTrait marks, in a merged piece, a member that must be there.
const requiredTrait = "required-here"

// explainRoots returns the agents and the sections of every platform by each version of its API, and the manifest.
func explainRoots() ([]explainRoot, error) {
	var agents, sections []explainRoot
	m := schemaMerger{read: map[string]any{}}
	for _, file := range Names() {
		m.file = file
		section, complete := m.definition("#/definitions/section"), m.definition("#/definitions/complete")
		if section == nil || complete == nil {
			continue // no platform's
		}
		platform, _, _ := strings.Cut(file, ".")
		p, err := Load(platform)
		if err != nil {
			return nil, err
		}
		api := ""
		if len(p.Versions()) > 1 {
			api = " (api " + p.API + ")"
			if file != platform {
				api = " (api " + strings.TrimPrefix(file, platform+".") + ")"
			}
		}
		order, err := LoadOrder(file)
		if err != nil {
			return nil, err
		}
		m.file = file
		agents = append(agents, explainRoot{levelAgent, platform, "an agent of " + platform + api, m.whole(complete),
			order.Member("agents").Items()})
		sections = append(sections,
			explainRoot{levelSection, platform, "the " + platform + " section" + api, m.whole(section), order})
	}
	m.file = "manifest"
	order, err := LoadOrder(m.file)
	return append(append(agents, sections...),
		explainRoot{levelManifest, "", "a manifest", m.whole(m.definition("")), order}), err
}

// schemaMerger puts the parts of a schema together: what a reference or allOf leads to stands beside what is said on
// the spot, which comes first.
type schemaMerger struct {
	file string         // that holds the piece at hand
	read map[string]any // the files by name
}

// whole returns a piece with its parts merged in, and marks the members that must be there.
func (m *schemaMerger) whole(v any) map[string]any {
	piece, _ := v.(map[string]any)
	merged := maps.Clone(piece)
	var parts []any
	if ref, ok := piece["$ref"].(string); ok {
		home := m.file
		below := m.definition(ref)
		parts = append(parts, m.whole(below))
		m.file = home
	}
	all, _ := piece["allOf"].([]any)
	for _, part := range append(parts, all...) {
		mergeInto(merged, m.whole(part))
	}
	for _, name := range []string{"$ref", "allOf", "if", "then", "else"} {
		delete(merged, name)
	}
	properties, _ := merged["properties"].(map[string]any)
	required, _ := merged["required"].([]any)
	whole := make(map[string]any, len(properties))
	for name, below := range properties {
		w := m.whole(below)
		if slices.Contains(required, any(name)) {
			w[requiredTrait] = true
		}
		whole[name] = w
	}
	if properties != nil {
		merged["properties"] = whole
	}
	if items, ok := merged["items"]; ok {
		merged["items"] = m.whole(items)
	}
	return merged
}

// definition returns what a reference names, in its own file or in another, which is at hand then.
func (m *schemaMerger) definition(ref string) any {
	file, path, _ := strings.Cut(ref, "#")
	if file = strings.TrimSuffix(file, suffix); file != "" {
		m.file = file
	}
	v, ok := m.read[m.file]
	if !ok {
		b, _ := Read(m.file)
		_ = decodeExact(b, &v) // what cannot be read says nothing: a test holds each field to a description
		m.read[m.file] = v
	}
	for _, name := range agent.SplitPointer(path) {
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v
}

// mergeInto adds to piece what part says and piece does not: maps deep, and required as both together.
func mergeInto(piece, part map[string]any) {
	for name, v := range part {
		mine, there := piece[name]
		object, isObject := mine.(map[string]any)
		list, _ := mine.([]any)
		switch below, _ := v.(map[string]any); {
		case !there:
			piece[name] = v
		case isObject && below != nil:
			object = maps.Clone(object)
			mergeInto(object, below)
			piece[name] = object
		case name == "required":
			more, _ := v.([]any)
			piece[name] = append(slices.Clone(list), more...)
		}
	}
}

// knownAs returns the path of the field that other tools call path, or "".
func knownAs(piece map[string]any, path []string) string {
	if len(path) == 0 {
		return ""
	}
	parent, last := strings.Join(path[:len(path)-1], "."), path[len(path)-1]
	above, _, ok := findPlace(piece, nil, path[:len(path)-1])
	if !ok {
		return ""
	}
	name := KnownAs(above, last)
	if name == "" {
		return ""
	}
	return strings.TrimPrefix(parent+"."+name, ".")
}

// KnownAs returns the member of the schema piece that other tools call name (x-known-as), or the one below a member, as
// member.name; empty where there is none, or more than one.
func KnownAs(piece map[string]any, name string) string {
	found := membersKnownAs(piece, foldName(name), "")
	found = slices.DeleteFunc(found, func(f string) bool { return f == name })
	if here := slices.DeleteFunc(slices.Clone(found),
		func(f string) bool { return strings.Contains(f, ".") }); len(here) > 0 {
		found = here
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// membersKnownAs returns the paths of every member that goes by a name.
func membersKnownAs(piece map[string]any, folded, lead string) []string {
	properties, _ := piece["properties"].(map[string]any)
	var found []string
	for _, member := range slices.Sorted(maps.Keys(properties)) {
		body, _ := properties[member].(map[string]any)
		others, _ := body["x-known-as"].([]any)
		if foldName(member) == folded ||
			slices.ContainsFunc(others, func(o any) bool { return foldName(fmt.Sprint(o)) == folded }) {
			found = append(found, lead+member)
		}
		found = append(found, membersKnownAs(body, folded, lead+member+".")...)
	}
	return found
}

// foldName makes system_prompt, System-Prompt and systemPrompt one name.
func foldName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
}
