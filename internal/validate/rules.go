package validate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"agentsync/internal/agent"
	"agentsync/schema"
)

// Rules are the schemas, compiled once for a whole Load. They are safe for concurrent use.
type Rules struct {
	// Shell is what a manifest may hold but for its agents.
	Shell *jsonschema.Schema
	// Platforms are the platforms by the name of their section.
	Platforms map[string]*Platform
	// Order are the names of the platforms in the order in which they are registered.
	Order []string
	// Own are the fields of an agent that belong to agentsync.
	Own []string
	// raw are the schemas as they are written, by URL, for the sentences.
	raw map[string]any
}

// Platform is one platform's traits and what holds of its agents after merging.
type Platform struct {
	*schema.Platform
	// Complete is what an agent must be.
	Complete *jsonschema.Schema
	// SecretPaths are the pointers of the secret values, split.
	SecretPaths [][]string
	// Identity are the names of the fields by which people tell agents apart.
	Identity []string
	// versions are the same platform's by each version of its API.
	versions map[string]*Platform
}

// Version returns the rules of a version of the platform's API; those of the first one for a version that is not known.
func (r *Platform) Version(api string) *Platform {
	if v := r.versions[api]; v != nil {
		return v
	}
	return r
}

// baseURL is where the schemas are said to be, so that their references resolve; nothing is fetched.
const baseURL = "https://agentsync.invalid/"

func schemaURL(name string) string { return baseURL + name + ".schema.json" }

// New compiles the schemas of the platforms. The error is for an embedded schema that cannot be used.
func New(platforms []*schema.Platform) (*Rules, error) {
	r := &Rules{Platforms: map[string]*Platform{}, Own: schema.Own(), raw: map[string]any{}}
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = r.open
	var err error
	if r.Shell, err = c.Compile(schemaURL("manifest")); err != nil {
		return nil, err
	}
	for _, p := range platforms {
		versions := map[string]*Platform{}
		for _, v := range p.Versions() {
			complete, err := c.Compile(schemaURL(v.File) + "#/definitions/complete")
			if err != nil {
				return nil, err
			}
			versions[v.API] = newPlatformRules(v, complete)
		}
		r.Platforms[p.Name] = versions[p.API]
		r.Platforms[p.Name].versions = versions
		r.Order = append(r.Order, p.Name)
	}
	return r, nil
}

// open gives the compiler an embedded schema and keeps what it says.
func (r *Rules) open(url string) (io.ReadCloser, error) {
	name, ok := strings.CutPrefix(url, baseURL)
	if !ok {
		return nil, fmt.Errorf("%s is no embedded schema", url)
	}
	name = strings.TrimSuffix(name, ".schema.json")
	b, err := schema.Read(name)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var raw any
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	r.raw[url] = raw
	return io.NopCloser(bytes.NewReader(b)), nil
}

func newPlatformRules(p *schema.Platform, complete *jsonschema.Schema) *Platform {
	r := &Platform{Platform: p, Complete: complete}
	for _, f := range p.Fields {
		if f.Identity {
			r.Identity = append(r.Identity, f.Name)
		}
		for _, s := range f.Secret {
			r.SecretPaths = append(r.SecretPaths, agent.SplitPointer(s))
		}
	}
	return r
}

// HomeOf returns the platform whose agents have a field called name, or "".
func (r *Rules) HomeOf(name string) string {
	for _, platform := range r.Order {
		if _, ok := r.Platforms[platform].Field(name); ok {
			return platform
		}
	}
	return ""
}

// FieldNames are the names of the platform's fields in canonical order.
func (r *Platform) FieldNames() []string {
	names := make([]string, len(r.Fields))
	for i, f := range r.Fields {
		names[i] = f.Name
	}
	return names
}

// KnowsSection reports whether the manifest's schema has a section called name, whatever this program knows.
func (r *Rules) KnowsSection(name string) bool {
	properties, _ := Lookup(r.raw[schemaURL("manifest")], []string{"properties"}).(map[string]any)
	return name != "version" && hasMember(properties, name)
}

// Schema returns the schema of a name as it is written, nil where New did not read it.
func (r *Rules) Schema(name string) any { return r.raw[schemaURL(name)] }
