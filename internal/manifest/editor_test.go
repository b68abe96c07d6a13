package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v5"
	"gopkg.in/yaml.v3"

	"agentsync/schema"
)

// goodManifests returns the manifests of the examples, of the first fleet and of the scripts that are right, by name.
func goodManifests(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"../../manifests/*.yaml", "../../testdata/script/*.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatal(pattern, err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(path) == ".yaml" {
				all[path] = string(b)
				continue
			}
			for _, f := range txtar.Parse(b).Files {
				if strings.Contains(string(f.Data), "version: 1\n") {
					all[filepath.Base(path)+"/"+f.Name] = string(f.Data)
				}
			}
		}
	}
	parser, err := NewParser(Options{Platforms: platforms(t), Env: variables()})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		_, problems, err := parser.Parse(t.Context(), Source{Path: name, Content: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		if problems.HasErrors() { // it is wrong on purpose, or no manifest
			delete(all, name)
		}
	}
	return all
}

// editorSchema is what an editor checks manifests with: the file that init writes.
func editorSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	b, err := schema.Bundle("manifest")
	if err != nil {
		t.Fatal(err)
	}
	s, err := jsonschema.CompileString("manifest.schema.json", string(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGoodManifestsInEditors: what we take, an editor takes. It sees an agent before its defaults are merged, and marks
// the null that takes one away: docs/manifest.md says so.
func TestGoodManifestsInEditors(t *testing.T) {
	s := editorSchema(t)
	checked := 0
	for name, text := range goodManifests(t) {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			continue // a second reader: what ours takes beyond it, such as escapes of JSON, has tests of its own
		}
		b, err := json.Marshal(v)
		if err != nil || strings.Contains(string(b), "null") {
			continue
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		checked++
		if err := s.Validate(v); err != nil {
			t.Errorf("%s\n%s\n%#v", name, text, err)
		}
	}
	if checked < 100 {
		t.Errorf("only %d manifests were checked", checked)
	}
}

// TestSchemaExamplesInEditors: an agent of a field's example passes the file that an editor gets.
func TestSchemaExamplesInEditors(t *testing.T) {
	s := editorSchema(t)
	for _, first := range platforms(t) {
		for _, p := range first.Versions() {
			for _, f := range p.Fields {
				if f.Example == nil {
					continue
				}
				section := map[string]any{p.AppField: "a", "agents": []any{map[string]any{"key": "a",
					f.Name: f.Example}}}
				for _, set := range p.Settings {
					if set.Default == "" {
						section[set.Name] = set.Example
					}
				}
				if p.Recorded() != "" {
					section["api"] = p.API
				}
				b, err := json.Marshal(map[string]any{"version": 1, p.Name: section})
				if err != nil {
					t.Fatal(err)
				}
				var v any
				if err := json.Unmarshal(b, &v); err != nil {
					t.Fatal(err)
				}
				if err := s.Validate(v); err != nil {
					t.Errorf("%s\n%#v", b, err)
				}
			}
		}
	}
}
