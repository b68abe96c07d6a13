package manifest

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

// rules are the schemas, compiled once for a whole Load. They are safe for concurrent use.
type rules struct {
	// shell is what a manifest may hold but for its agents.
	shell *jsonschema.Schema
	// sections are the platforms by the name of their section.
	sections map[string]*platformRules
	order    []string
	// locate are the values whose places are asked for.
	locate map[agent.Address][]string
	// own are the fields of an agent that belong to agentsync.
	own []string
	// raw are the schemas as they are written, by URL, for the sentences.
	raw map[string]any
}

// platformRules are one platform's traits and what holds of its agents after merging.
type platformRules struct {
	*schema.Platform
	complete *jsonschema.Schema
	// secretPaths are the pointers of the secret values, split.
	secretPaths [][]string
	// identity are the names of the fields by which people tell agents apart.
	identity []string
	// versions are the same platform's by each version of its API.
	versions map[string]*platformRules
}

// version returns the rules of a version of the platform's API; those of the first one for a version that is not known.
func (r *platformRules) version(api string) *platformRules {
	if v := r.versions[api]; v != nil {
		return v
	}
	return r
}

// baseURL is where the schemas are said to be, so that their references resolve; nothing is fetched.
const baseURL = "https://agentsync.invalid/"

func schemaURL(name string) string { return baseURL + name + ".schema.json" }

func newRules(platforms []*schema.Platform) (*rules, error) {
	r := &rules{sections: map[string]*platformRules{}, own: schema.Own(), raw: map[string]any{}}
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = r.open
	var err error
	if r.shell, err = c.Compile(schemaURL("manifest")); err != nil {
		return nil, err
	}
	for _, p := range platforms {
		versions := map[string]*platformRules{}
		for _, v := range p.Versions() {
			complete, err := c.Compile(schemaURL(v.File) + "#/definitions/complete")
			if err != nil {
				return nil, err
			}
			versions[v.API] = newPlatformRules(v, complete)
		}
		r.sections[p.Name] = versions[p.API]
		r.sections[p.Name].versions = versions
		r.order = append(r.order, p.Name)
	}
	return r, nil
}

// open gives the compiler an embedded schema and keeps what it says.
func (r *rules) open(url string) (io.ReadCloser, error) {
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

func newPlatformRules(p *schema.Platform, complete *jsonschema.Schema) *platformRules {
	r := &platformRules{Platform: p, complete: complete}
	for _, f := range p.Fields {
		if f.Identity {
			r.identity = append(r.identity, f.Name)
		}
		for _, s := range f.Secret {
			r.secretPaths = append(r.secretPaths, tokens(s))
		}
	}
	return r
}

// homeOf returns the platform whose agents have a field called name, or "".
func (r *rules) homeOf(name string) string {
	for _, platform := range r.order {
		if _, ok := r.sections[platform].Field(name); ok {
			return platform
		}
	}
	return ""
}

// fieldNames are the names of the platform's fields in canonical order.
func (r *platformRules) fieldNames() []string {
	names := make([]string, len(r.Fields))
	for i, f := range r.Fields {
		names[i] = f.Name
	}
	return names
}
