package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/schema"
)

// TestSchemas holds the JSON documents to the schemas that are published for them.
func TestSchemas(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	for _, name := range schema.Names() {
		b, err := schema.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(name+".schema.json", bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	for name, files := range map[string][]string{
		"plan":        {"plan.json", "plan-hostile.json", "error.json"},
		"report":      {"report.json", "error.json"},
		"diagnostics": {"diagnostics.json", "diagnostics-none.json", "error.json"},
	} {
		t.Run(name, func(t *testing.T) {
			compiled, err := compiler.Compile(name + ".schema.json")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				b, err := os.ReadFile(filepath.Join("testdata", file))
				if err != nil {
					t.Fatal(err)
				}
				var doc any
				if err := json.Unmarshal(b, &doc); err != nil {
					t.Fatal(err)
				}
				if err := compiled.Validate(doc); err != nil {
					t.Errorf("%s: %#v", file, err)
				}
			}
			if err := compiled.Validate(map[string]any{"formatVersion": "1.0"}); err == nil {
				t.Errorf("%s takes a document with neither a result nor an error", name)
			}
		})
	}
}

// TestJSONKeepsValues holds the escapes of the JSON output to changing no value.
func TestJSONKeepsValues(t *testing.T) {
	const value = "\x1b[31m \u009b \u202e \U000e0041 \u2028 <b>&amp;"
	p := &plan.Plan{Changes: []plan.Change{{Address: agent.Address{Platform: "a", App: "b", Key: "c"},
		Action: plan.Create,
		Fields: []plan.FieldChange{{Path: "/name", After: value}}}}}
	var b bytes.Buffer
	if err := report.PlanJSON(&b, p, nil); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Changes []struct{ Fields []struct{ After string } }
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if got := doc.Changes[0].Fields[0].After; got != value {
		t.Errorf("the value came out as %q, want %q", got, value)
	}
}
