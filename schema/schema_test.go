package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v5"
)

var platformNames = []string{"cometchat", "mindset"}

// compiler knows the embedded schemas and fetches nothing.
func compiler(t *testing.T) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	c.LoadURL = func(url string) (io.ReadCloser, error) { return nil, fmt.Errorf("%s is not embedded", url) }
	for _, name := range Names() {
		b, err := Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("https://agentsync.invalid/"+name+suffix, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestSchemasAreDraft07(t *testing.T) {
	c := compiler(t)
	for _, name := range Names() {
		b, err := Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte(`"$schema": "http://json-schema.org/draft-07/schema#"`)) {
			t.Errorf("%s does not say that it is draft-07", name)
		}
		if _, err := c.Compile("https://agentsync.invalid/" + name + suffix); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBundleStandsAlone(t *testing.T) {
	for _, name := range Names() {
		b, err := Bundle(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(suffix)) {
			t.Errorf("the bundle of %s still refers to another file", name)
		}
		c := jsonschema.NewCompiler()
		c.LoadURL = func(url string) (io.ReadCloser, error) { return nil, fmt.Errorf("%s is outside", url) }
		if err := c.AddResource("bundle.json", bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Compile("bundle.json"); err != nil {
			t.Errorf("the bundle of %s: %v", name, err)
		}
	}
}

// TestBundleTakesReferences: an editor sees a text as it is written, before its references are filled in.
func TestBundleTakesReferences(t *testing.T) {
	b, err := Bundle("manifest")
	if err != nil {
		t.Fatal(err)
	}
	bundled, err := jsonschema.CompileString("bundle.json", string(b))
	if err != nil {
		t.Fatal(err)
	}
	long := "${env:" + strings.Repeat("A", 60) + "}"
	for _, text := range []string{
		`{"version": 1, "cometchat": {"appId": "${env:APP}", "region": "${env:REGION}", "endpoint": "${env:EP}", ` +
			`"agents": [{"key": "a", "name": "A", "icon": "${env:ICON}", "integrationMeta": {"baseUrl": "${env:URL}/x"}}]}}`,
		`{"version": 1, "mindset": {"appUid": "${env:APP}", "host": "${env:HOST}", "agents": [{"key": "${env:KEY}", ` +
			`"agentName": "` + long +
			`", "access": "${env:ACCESS}", "externalTenantId": "${env:TENANT}", "mcpserverUids": ["${env:MCP}"]}]}}`,
		`{"version": 1, "mindset": {"appUid": "a", "agents": [{"key": "a", "agentPurpose": "${file:prompts/coach.md}"}]}}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := bundled.Validate(v); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
	if bytes.Contains(b, []byte(`"x-`)) {
		t.Error("the bundle holds traits that only agentsync reads")
	}
}

func TestBundleMeansTheSame(t *testing.T) {
	whole, err := compiler(t).Compile("https://agentsync.invalid/manifest" + suffix)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Bundle("manifest")
	if err != nil {
		t.Fatal(err)
	}
	bundled, err := jsonschema.CompileString("bundle.json", string(b))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{"version": 1}`: true,
		`{"version": 2}`: false,
		`{"version": 1, "mindset": {"appUid": "acme", "agents": [{"key": "a", "agentName": "A"}]}}`: true,
		`{"version": 1, "mindset": {"appUid": "acme", "agents": [{"key": "A", "agentName": "A"}]}}`: false,
		`{"version": 1, "mindset": {"appUid": "acme", "agents": [{"key": "a", "agentName": "` +
			strings.Repeat("a", 51) +
			`"}]}}`: false,
		`{"version": 1, "mindset": {"appUid": "acme", "agents": [{"key": "a", "access": "open"}]}}`: false,
		`{"version": 1, "mindset": {"appUid": "acme", "defaults": {"key": "a"}}}`:                   false,
		`{"version": 1, "cometchat": {"appId": "a", "region": "us", "agents": [{"key": "a", "integrateWith": "rasa", ` +
			`"integrationMeta": {"agentId": "x"}}]}}`: false,
	} {
		t.Run(text, func(t *testing.T) {
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
			if got := whole.Validate(v) == nil; got != want {
				t.Errorf("the schema says %v of %s", got, text)
			}
			if got := bundled.Validate(v) == nil; got != want {
				t.Errorf("the bundle says %v of %s", got, text)
			}
		})
	}
}

func TestUnknownNames(t *testing.T) {
	for _, f := range []func(string) ([]byte, error){Read, Bundle} {
		if _, err := f("slack"); err == nil || !strings.Contains(err.Error(), strings.Join(Names(), ", ")) {
			t.Errorf("the error does not say which schemas there are: %v", err)
		}
	}
}

// TestTraits holds every trait of every field against a golden file: the facts of the platforms, in
// one view.
func TestTraits(t *testing.T) {
	for _, name := range platformNames {
		t.Run(name, func(t *testing.T) {
			p, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "app %s, key %s\n", p.AppField, p.APIKeyEnv)
			for _, s := range p.Settings {
				fmt.Fprintf(&b, "setting %s default %q\n", s.Name, s.Default)
			}
			for _, f := range p.Fields {
				fmt.Fprintf(&b,
					"%s %s default=%v required=%v identity=%v immutable=%v unordered=%v marker=%v secret=%v\n",
					f.Name, f.Type, f.Default, f.Required, f.Identity, f.Immutable, f.Unordered, f.Marker, f.Secret)
			}
			golden(t, "testdata/traits-"+name+".golden", b.String())
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestFieldsOfThePlatforms lists the fields as the platforms' documents do.
func TestFieldsOfThePlatforms(t *testing.T) {
	want := map[string]string{
		"cometchat": "name icon isActive integrateWith integrationType integrationMeta tools actions metaData",
		"mindset": "agentName agentPurpose formatting agentPersonality agentPolicyRules iceBreakerMessage live contextUids" +
			" mcpserverUids tags access externalTenantId",
	}
	for name, fields := range want {
		t.Run(name, func(t *testing.T) {
			p, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range p.Fields {
				got = append(got, f.Name)
			}
			slices.Sort(got)
			wanted := strings.Fields(fields)
			slices.Sort(wanted)
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// TestEveryFieldExplainsItself: an editor shows a description and an example on every field.
func TestEveryFieldExplainsItself(t *testing.T) {
	for _, name := range append([]string{"manifest"}, platformNames...) {
		b, err := Read(name)
		if err != nil {
			t.Fatal(err)
		}
		var root struct {
			Properties  map[string]map[string]any `json:"properties"`
			Definitions map[string]struct {
				Properties map[string]map[string]any `json:"properties"`
			} `json:"definitions"`
		}
		if err := json.Unmarshal(b, &root); err != nil {
			t.Fatal(err)
		}
		checkHover(t, name, root.Properties)
		for _, d := range []string{"section", "agent"} {
			checkHover(t, name+" "+d, root.Definitions[d].Properties)
		}
	}
}

func checkHover(t *testing.T, where string, properties map[string]map[string]any) {
	t.Helper()
	for field, p := range properties {
		if p["description"] == nil {
			t.Errorf("%s: %s has no description", where, field)
		}
		if p["examples"] == nil && p["default"] == nil && p["enum"] == nil && field != "agents" &&
			!strings.HasPrefix(where, "manifest") {
			t.Errorf("%s: %s has neither examples nor a default", where, field)
		}
	}
}

func TestCleared(t *testing.T) {
	for _, c := range []struct {
		platform, field string
		want            any
	}{
		{"cometchat", "isActive", true},
		{"cometchat", "tools", []any{}},
		{"cometchat", "metaData", map[string]any{}},
		{"mindset", "live", false},
		{"mindset", "access", "restrictedAccess"},
		{"mindset", "agentPurpose", ""},
	} {
		t.Run(c.field, func(t *testing.T) {
			p, err := Load(c.platform)
			if err != nil {
				t.Fatal(err)
			}
			f, ok := p.Field(c.field)
			if !ok {
				t.Fatalf("%s has no field %s", c.platform, c.field)
			}
			if diff := cmp.Diff(c.want, f.Cleared()); diff != "" {
				t.Errorf("%s.%s (-want +got):\n%s", c.platform, c.field, diff)
			}
		})
	}
}

func TestIsSecret(t *testing.T) {
	p, err := Load("cometchat")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/integrationMeta/headers":               true,
		"/integrationMeta/headers/authorization": true,
		"/integrationMeta/headersX":              false,
		"/integrationMeta":                       false,
		"/integrationMeta/baseUrl":               false,
		"/nowhere":                               false,
	} {
		t.Run(path, func(t *testing.T) {
			if got := p.IsSecret(path); got != want {
				t.Errorf("IsSecret(%s) is %v", path, got)
			}
		})
	}
}
