package agent_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

func TestNumberIsTheShortestTextOfTheSameValue(t *testing.T) {
	for text, want := range map[string]json.Number{
		"1": "1", "-0": "0", "1.0": "1", "1e3": "1000", "1.50": "1.5", "100000000000000000000": "100000000000000000000",
		"1e400": "", "1e401": "", "1e-401": "", "NaN": "", "": "", "1e60": "1e+60",
	} {
		t.Run(text, func(t *testing.T) {
			if got, err := agent.Number(text); got != want || (err == nil) != (want != "") {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
}

// fleetAgent is an agent with a value of each kind.
func fleetAgent() agent.Fields {
	return agent.Fields{
		"name": "Coach", "live": true, "weight": json.Number("3"), "tags": []any{"hr", nil},
		"meta": map[string]any{"headers": map[string]any{"key": secret.Template("Bearer ${secret:TOKEN}")}},
	}
}

func lookup(values map[string]string) secret.Lookup {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func TestACloneSharesNothing(t *testing.T) {
	whole, clone := fleetAgent(), fleetAgent().Clone()
	if !agent.Equal(map[string]any(whole), map[string]any(clone)) {
		t.Fatalf("the clone is %v", clone)
	}
	clone["tags"].([]any)[0] = "changed"
	clone["meta"].(map[string]any)["headers"] = nil
	if agent.Equal(map[string]any(whole), map[string]any(clone)) {
		t.Error("a change of the clone is not seen")
	}
	if !agent.Equal(map[string]any(whole), map[string]any(fleetAgent())) {
		t.Error("a change of the clone changed what it was made of")
	}
	if agent.Fields(nil).Clone() != nil {
		t.Error("the clone of nothing is something")
	}
}

func TestValuesOfOtherKindsAreNotEqual(t *testing.T) {
	values := []any{nil, true, "", json.Number("1"), []any{}, []any{nil}, map[string]any{}, map[string]any{"a": nil},
		secret.Sealed{Value: "aa", Template: "bb"}}
	for i, a := range values {
		for j, b := range values {
			if got := agent.Equal(a, b); got != (i == j) {
				t.Errorf("%#v equals %#v: %t", a, b, got)
			}
		}
	}
}

func TestSecretsAreResolvedAndSealedInACopy(t *testing.T) {
	f := fleetAgent()
	if _, err := f.Resolve(lookup(nil)); !errors.Is(err, secret.ErrUnset) || err.Error()[:17] != "/meta/headers/key" {
		t.Errorf("without the variable: %v", err)
	}
	resolved, err := f.Resolve(lookup(map[string]string{"TOKEN": "t"}))
	if err != nil {
		t.Fatal(err)
	}
	text := resolved["meta"].(map[string]any)["headers"].(map[string]any)["key"].(secret.Text)
	if s, err := text.Reveal(); err != nil || s != "Bearer t" {
		t.Errorf("resolved to %q, %v", s, err)
	}
	sealed := resolved.Seal(secret.Sealer{})
	if !f.HasSecrets() || sealed.HasSecrets() {
		t.Errorf("secrets: %t before, %t after sealing", f.HasSecrets(), sealed.HasSecrets())
	}
	if _, err := agent.Encode(f); err == nil {
		t.Error("a secret that is not sealed was encoded")
	}
	doc, err := agent.Encode(sealed)
	if err != nil || !doc.HasSecrets() {
		t.Fatalf("%s, %v", doc, err)
	}
	if back, err := doc.Fields(); err != nil || !agent.Equal(map[string]any(back), map[string]any(sealed)) {
		t.Errorf("%s was read as %v, %v; want %v", doc, back, err, sealed)
	}
}

// What only looks like a sealed secret is an object of somebody else, of which nothing may be lost.
func TestOnlyASealIsReadAsOne(t *testing.T) {
	for _, doc := range []string{
		`{"a":{"$secret":{"template":"bb","value":"zz"}}}`, `{"a":{"$secret":{"template":"bb"}}}`,
		`{"a":{"$secret":"x"}}`,
		`{"a":{"$secret":{"template":"bb","value":"aa"},"b":1}}`,
	} {
		f, err := agent.Doc(doc).Fields()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := agent.Encode(f); err != nil || string(again) != doc {
			t.Errorf("%s became %s, %v", doc, again, err)
		}
	}
}

func TestContentIsTheSameAsFieldsAndAsDocument(t *testing.T) {
	doc := agent.Doc(`{"a":[1,{"b":null}],"c":"d"}`)
	fields, err := doc.Fields()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]agent.Content{
		"fields": agent.ContentOf(fields), "document": agent.ContentOfDoc(doc),
	} {
		t.Run(name, func(t *testing.T) {
			if c.IsZero() || c.Value("c") != "d" || c.Value("e") != nil {
				t.Errorf("c is %v, e is %v", c.Value("c"), c.Value("e"))
			}
			if !agent.Equal(map[string]any(c.Fields()), map[string]any(fields)) {
				t.Errorf("the fields are %v", c.Fields())
			}
			if _, ok := c.Doc(); ok != (name == "document") {
				t.Errorf("the document is at hand: %t", ok)
			}
		})
	}
	if !(agent.Content{}).IsZero() || agent.ContentOf(agent.Fields{}).IsZero() {
		t.Error("an agent without fields is something; the zero content is nothing")
	}
	leaves := slices.Collect(agent.Leaves(map[string]any(fields)))
	if len(leaves) != 3 {
		t.Errorf("the leaves are %v", leaves)
	}
}

func TestDamagedDocumentsAreRefused(t *testing.T) {
	for _, doc := range []string{"", "[]", "{", `{} {}`, `{"a":1e999}`} {
		if f, err := agent.Doc(doc).Fields(); err == nil {
			t.Errorf("%q was read as %v", doc, f)
		}
	}
	if f, err := agent.Doc(nil).Fields(); f != nil || err != nil {
		t.Errorf("no document was read as %v, %v", f, err)
	}
}
