// Package schema holds the published JSON Schemas (draft-07), embedded, and reads the traits of a
// platform's fields from them: required, limits, default, secret, cannot be changed, order does not
// matter. A trait stands in a schema file and nowhere else.
package schema

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"agentsync/internal/agent"
)

//go:embed *.schema.json
var files embed.FS

// suffix ends the name of every schema file.
const suffix = ".schema.json"

// Names returns the names of the schemas, sorted: "cometchat", "manifest", …
func Names() []string {
	entries, _ := files.ReadDir(".") // an embedded folder is always readable
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), suffix)
	}
	return names
}

// Read returns the schema called name as it is published. The error lists the names there are.
func Read(name string) ([]byte, error) {
	b, err := files.ReadFile(name + suffix)
	if err != nil {
		return nil, fmt.Errorf("no schema is called %q: there are %s", name, strings.Join(Names(), ", "))
	}
	return b, nil
}

// own are the fields of an agent in a manifest that belong to agentsync and are never sent.
var own = [...]string{"key", "previousKeys", "lifecycle"}

// Own returns the fields of an agent in a manifest that belong to agentsync and are never sent, in
// canonical order: they stand before the platform's own.
func Own() []string { return slices.Clone(own[:]) }

// IsOwn reports whether an agent's field belongs to agentsync itself.
func IsOwn(field string) bool { return slices.Contains(own[:], field) }

// Field is one field of a platform's agents, with its traits. Those that have a name in JSON are read as they stand.
type Field struct {
	Name string `json:"-"`
	// Type is the JSON type: "string", "boolean", "array" or "object".
	Type        string `json:"-"`
	Description string `json:"description"`
	// Required fields must be there when an agent is created.
	Required bool `json:"-"`
	// Default is what the platform takes where the field is missing, nil where that is empty.
	Default any `json:"default"`
	// Identity fields are those by which a person tells agents apart (x-identity).
	Identity bool `json:"x-identity"`
	// Immutable fields cannot be changed after creation (x-immutable).
	Immutable bool `json:"x-immutable"`
	// Unordered lists mean the same in any order (x-unordered).
	Unordered bool `json:"x-unordered"`
	// MaxItems is the most that a list may hold, 0 where nothing is said.
	MaxItems int `json:"maxItems"`
	// CreateOnly fields are taken on create and never answered (x-create-only): nothing can be compared with them.
	CreateOnly bool `json:"x-create-only"`
	// KeepsValue fields cannot be emptied once they have a value (x-keeps-value).
	KeepsValue bool `json:"x-keeps-value"`
	// RefersTo is what the items of a list are names of (x-refers-to): tool, action, context; empty for anything else.
	RefersTo string `json:"x-refers-to"`
	// Example is a value that the field may have, nil where the schema gives none.
	Example any `json:"-"`
	// FreeText reports that the field is a text of any form, within its length.
	FreeText bool `json:"-"`
	// SentWith are fields that an update sends along where it sends this one (x-sent-with).
	SentWith []string `json:"x-sent-with"`
	// Marker is the field, an object or a list of strings, that can carry a mark (x-marker).
	Marker bool `json:"x-marker"`
	// Secret are the JSON pointers, from the agent's root, of the values below this field that are
	// secret whatever they hold (writeOnly).
	Secret []string `json:"-"`
	// Pointer is the field's JSON pointer from the agent's root.
	Pointer string `json:"-"`
}

// IsSecret reports whether the value at the JSON pointer path, from the agent's root and at or below this
// field, is secret whatever it holds.
func (f *Field) IsSecret(path string) bool {
	for _, s := range f.Secret {
		if path == s || strings.HasPrefix(path, s) && path[len(s)] == '/' {
			return true
		}
	}
	return false
}

// Empty returns the empty value of the field's type: "", false, [] or {}.
func (f *Field) Empty() any {
	switch f.Type {
	case "boolean":
		return false
	case "array":
		return []any{}
	case "object":
		return map[string]any{}
	default:
		return ""
	}
}

// Cleared returns what is sent when the field is taken out of a manifest: its default, or empty.
func (f *Field) Cleared() any {
	if f.Default != nil {
		return f.Default
	}
	return f.Empty()
}

// Setting is one string of a section that belongs to the platform: region, host.
type Setting struct {
	Name, Default string
	// Example is a value that it may have, empty where the schema gives none.
	Example string
}

// Platform is what a platform's schema says of its section and of its agents' fields.
type Platform struct {
	Name string
	// File is the name of the schema that says it, for Read and LoadOrder.
	File string
	// API is the version of the platform's API that it is about, as the section's api says; empty where a platform has
	// one.
	API string
	// AppField names the section's field that holds the app's id: appId, appUid.
	AppField string
	// APIKeyEnv is the environment variable that holds the API key unless the section names another.
	APIKeyEnv string
	// Settings are the section's other platform-specific strings, in the schema's order.
	Settings []Setting
	// Fields are the agents' fields in canonical order.
	Fields []Field

	index  map[string]int
	byName []Field
	// others are the same platform by other versions of its API.
	others []*Platform
}

// Version returns what is said of the platform by a version of its API: p itself for "" and for one that is not known.
func (p *Platform) Version(api string) *Platform {
	for _, o := range p.others {
		if o.API == api {
			return o
		}
	}
	return p
}

// Recorded is API as a record has it: empty for the first version, whose records say nothing of it.
func (p *Platform) Recorded() string {
	if p.File == p.Name {
		return ""
	}
	return p.API
}

// Versions are p and the same platform by the other versions of its API.
func (p *Platform) Versions() []*Platform { return append([]*Platform{p}, p.others...) }

// ByName returns the agents' fields sorted by name, as they stand in a canonical document.
func (p *Platform) ByName() []Field { return p.byName }

// Field returns the field called name.
func (p *Platform) Field(name string) (*Field, bool) {
	i, ok := p.index[name]
	if !ok {
		return &Field{}, false
	}
	return &p.Fields[i], true
}

// Marker returns the field that can carry a mark; it is false where the platform has none.
func (p *Platform) Marker() (Field, bool) {
	i := slices.IndexFunc(p.Fields, func(f Field) bool { return f.Marker })
	if i < 0 {
		return Field{}, false
	}
	return p.Fields[i], true
}

// IsSecret reports whether the value at the JSON pointer path, from the agent's root, stands in a
// field that is secret whatever it holds.
func (p *Platform) IsSecret(path string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	f, ok := p.Field(top)
	return ok && f.IsSecret(path)
}

// schemaNode is as much of a schema as the traits need.
type schemaNode struct {
	Field
	Type        any                   `json:"type"`
	Properties  json.RawMessage       `json:"properties"`
	Required    []string              `json:"required"`
	WriteOnly   bool                  `json:"writeOnly"`
	AppID       bool                  `json:"x-app-id"`
	Examples    []any                 `json:"examples"`
	Enum        []any                 `json:"enum"`
	Pattern     string                `json:"pattern"`
	Format      string                `json:"format"`
	AllOf       []schemaNode          `json:"allOf"`
	Definitions map[string]schemaNode `json:"definitions"`
}

// Load reads the traits of the platform called name, by each version of its API: NAME.schema.json says the first,
// NAME.v2.schema.json another. It fails only where the embedded schema is not as this package needs it, which a
// test rules out.
func Load(name string) (*Platform, error) {
	p, err := loadFile(name, name)
	if err != nil {
		return nil, err
	}
	for _, file := range Names() {
		if api, ok := strings.CutPrefix(file, name+"."); ok {
			other, err := loadFile(name, file)
			if err != nil {
				return nil, err
			}
			other.API = api
			p.others = append(p.others, other)
		}
	}
	if i := slices.IndexFunc(p.Settings, func(s Setting) bool { return s.Name == APISetting }); i >= 0 {
		p.API = p.Settings[i].Default
	}
	return p, nil
}

// APISetting is the section's setting that names the version of the API.
const APISetting = "api"

// APIOf returns the version of the API that an app's section asks for; empty where its platform has one.
func APIOf(app agent.App) string { return app.Settings[APISetting] }

func loadFile(name, file string) (*Platform, error) {
	b, err := Read(file)
	if err != nil {
		return nil, err
	}
	var root schemaNode
	if err := decodeExact(b, &root); err != nil {
		return nil, fmt.Errorf("schema %s: %w", file, err)
	}
	p := &Platform{Name: name, File: file, index: map[string]int{}}
	if err := p.readSection(root.Definitions["section"]); err != nil {
		return nil, fmt.Errorf("schema %s: %w", file, err)
	}
	required := root.Definitions["complete"].requiredNames()
	err = eachMember(root.Definitions["agent"].Properties, func(field string, n schemaNode) error {
		if IsOwn(field) {
			return nil
		}
		f, err := n.field(field)
		f.Required = slices.Contains(required, field)
		p.index[field] = len(p.Fields)
		p.Fields = append(p.Fields, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", file, err)
	}
	if p.AppField == "" || len(p.Fields) == 0 {
		return nil, fmt.Errorf("schema %s: no x-app-id or no fields", file)
	}
	p.byName = slices.SortedFunc(slices.Values(p.Fields), func(a, b Field) int {
		return strings.Compare(a.Name, b.Name)
	})
	return p, nil
}

func (p *Platform) readSection(section schemaNode) error {
	return eachMember(section.Properties, func(name string, n schemaNode) error {
		def, _ := n.Default.(string)
		switch {
		case n.AppID:
			p.AppField = name
		case name == "apiKeyEnv":
			p.APIKeyEnv = def
		case n.Type == "string":
			set := Setting{Name: name, Default: def}
			if len(n.Examples) > 0 {
				set.Example, _ = n.Examples[0].(string)
			}
			p.Settings = append(p.Settings, set)
		}
		return nil
	})
}

func (n schemaNode) requiredNames() []string {
	names := slices.Clone(n.Required)
	for _, part := range n.AllOf {
		names = append(names, part.requiredNames()...)
	}
	return names
}

func (n schemaNode) field(name string) (f Field, err error) {
	f = n.Field
	f.Name, f.Pointer = name, "/"+agent.EscapePointer(name)
	if f.Default, err = agent.Canonical(n.Default); err != nil {
		return Field{}, err
	}
	f.Type, _ = n.Type.(string)
	f.FreeText = f.Type == "string" && n.Enum == nil && n.Pattern == "" && n.Format == ""
	if len(n.Examples) > 0 {
		if f.Example, err = agent.Canonical(n.Examples[0]); err != nil {
			return Field{}, err
		}
	}
	f.Secret, err = n.secretPaths(f.Pointer)
	return f, err
}

func (n schemaNode) secretPaths(path string) ([]string, error) {
	if n.WriteOnly {
		return []string{path}, nil
	}
	var paths []string
	err := eachMember(n.Properties, func(name string, sub schemaNode) error {
		below, err := sub.secretPaths(path + "/" + agent.EscapePointer(name))
		paths = append(paths, below...)
		return err
	})
	return paths, err
}

// eachMember calls visit for every member of a JSON object, in the order of the text.
func eachMember[T any](object json.RawMessage, visit func(name string, v T) error) error {
	if object == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var v T
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if err := visit(name.(string), v); err != nil {
			return err
		}
	}
	return nil
}

// decodeExact keeps numbers as they are written.
func decodeExact(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return dec.Decode(v)
}
