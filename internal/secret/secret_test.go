package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"agentsync/internal/secret"
)

const value = "s3cr3t-v4lue"

func lookup(name string) (string, bool) {
	if name == "TOKEN" {
		return value, true
	}
	return "", false
}

// A secret shows itself through no verb and no encoder, however deep it stands.
func TestNeverPrintsItself(t *testing.T) {
	type holder struct{ T secret.Text }
	for _, text := range []secret.Text{secret.Literal(value), secret.Template("Bearer " + value + " ${secret:TOKEN}")} {
		for name, v := range map[string]any{
			"value": text, "pointer": &text, "struct": holder{text}, "slice": []secret.Text{text},
			"map": map[string]any{"k": text}, "error": fmt.Errorf("x: %v", text),
		} {
			t.Run(name, func(t *testing.T) {
				var out []string
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%v"} {
					if verb == "%T%v" {
						out = append(out, fmt.Sprintf("%T%v", v, v))
						continue
					}
					out = append(out, fmt.Sprintf(verb, v))
				}
				var log bytes.Buffer
				slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
				slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
				asJSON, _ := json.Marshal(v)
				asYAML, _ := yaml.Marshal(v)
				out = append(out, log.String(), string(asJSON), string(asYAML))
				for _, s := range out {
					if strings.Contains(s, value) || strings.Contains(s, fmt.Sprintf("%x", value)) {
						t.Errorf("%s shows the secret: %s", name, s)
					}
				}
			})
		}
	}
}

func TestResolve(t *testing.T) {
	for template, want := range map[string]string{
		"":                               "",
		"plain":                          "plain",
		"Bearer ${secret:TOKEN}":         "Bearer " + value,
		"${secret:TOKEN}${secret:TOKEN}": value + value,
		"$${secret:TOKEN}":               "${secret:TOKEN}",
		"a$b ${x} ${secret:TOKEN} $${y}": "a$b ${x} " + value + " ${y}",
		"${secret:TOKEN":                 "${secret:TOKEN",
		"ends in $${":                    "ends in ${",
	} {
		t.Run(template, func(t *testing.T) {
			r, err := secret.Template(template).Resolve(lookup)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := r.Reveal(); err != nil || got != want {
				t.Errorf("%q resolves to %q, %v; want %q", template, got, err, want)
			}
		})
	}
	if got, _ := secret.Literal("${secret:TOKEN}").Reveal(); got != "${secret:TOKEN}" {
		t.Errorf("a literal was resolved to %q", got)
	}
}

func TestUnsetVariablesAreNamedAndNothingElse(t *testing.T) {
	text := secret.Template("Bearer ${secret:A} " + value + " ${secret:B} ${secret:TOKEN} ${secret:A}")
	if got := text.Names(); !slices.Equal(got, []string{"A", "B", "TOKEN"}) {
		t.Errorf("names %v", got)
	}
	_, err := text.Resolve(lookup)
	if !errors.Is(err, secret.ErrUnset) || strings.Contains(err.Error(), value) ||
		!strings.Contains(err.Error(), "${secret:A}") || !strings.Contains(err.Error(), "${secret:B}") {
		t.Errorf("error %v", err)
	}
	if _, err := text.Reveal(); err == nil {
		t.Error("an unresolved secret was revealed")
	}
}

func TestSeal(t *testing.T) {
	known := secret.Sealer{Key: []byte("lineage"), Lookup: lookup}
	blind := secret.Sealer{Key: []byte("lineage")}
	other := secret.Sealer{Key: []byte("another"), Lookup: lookup}
	text := secret.Template("Bearer ${secret:TOKEN}")

	sealed := known.Seal("/headers/a", text)
	if len(sealed.Value) != 32 || len(sealed.Template) != 32 || strings.Contains(fmt.Sprintf("%#v", sealed), value) {
		t.Errorf("sealed %#v", sealed)
	}
	for name, c := range map[string]struct {
		with secret.Sealed
		want bool
	}{
		"itself":                      {known.Seal("/headers/a", text), true},
		"without the variables":       {blind.Seal("/headers/a", text), true},
		"the same value, other words": {known.Seal("/headers/a", secret.Literal("Bearer "+value)), true},
		"another value":               {known.Seal("/headers/a", secret.Literal("Bearer x")), false},
		"another template, blind":     {blind.Seal("/headers/a", secret.Template("${secret:TOKEN}")), false},
		"another place":               {known.Seal("/headers/b", text), false},
		"another key":                 {other.Seal("/headers/a", text), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sealed.Equal(c.with); got != c.want {
				t.Errorf("equal to %s: %v, want %v", name, got, c.want)
			}
		})
	}
}

// TestStateKey: with a key of its own nothing of the state can be tried without that key, the same value is still the
// same, and what was sealed under another key, or none, is to be sealed anew.
func TestStateKey(t *testing.T) {
	with := func(key string) secret.Sealer {
		return secret.Sealer{Key: []byte("lineage"), Lookup: func(name string) (string, bool) {
			if name == secret.StateKeyEnv {
				return key, key != ""
			}
			return lookup(name)
		}}
	}
	text, literal := secret.Template("Bearer ${secret:TOKEN}"), secret.Literal("Bearer "+value)
	none, one, two, blind := with(""), with("k-one"), with("k-two"), secret.Sealer{Key: []byte("lineage")}
	for name, s := range map[string]secret.Text{"reference": text, "literal": literal} {
		t.Run(name, func(t *testing.T) {
			a, b := one.Seal("/a", s), none.Seal("/a", s)
			if a.Value == b.Value || strings.Contains(a.Value, b.Value) || name == "literal" &&
				strings.Contains(a.Template, b.Template) {
				t.Errorf("the lineage alone gives %#v", a)
			}
			if !a.Equal(one.Seal("/a", s)) || a.Equal(b) || a.Equal(two.Seal("/a", s)) {
				t.Error("compared under another key")
			}
			for sealed, want := range map[secret.Sealed]bool{a: true, b: false} {
				doc := fmt.Sprintf(`{"h":{"$secret":{"template":%q,"value":%q}},"value":"x"}`, sealed.Template,
					sealed.Value)
				if secret.HasStateKey([]byte(doc)) != want {
					t.Errorf("%s: has a key of its own: %v, want %v", doc, !want, want)
				}
			}
		})
	}
	if !one.Seal("/a", text).Equal(one.Seal("/a", literal)) ||
		one.Seal("/a", text).Equal(one.Seal("/a", secret.Literal("Bearer x"))) {
		t.Error("values under one key are not compared")
	}
	if !one.Seal("/a", text).Equal(blind.Seal("/a", text)) ||
		one.Seal("/a", text).Equal(blind.Seal("/a", secret.Template("${secret:TOKEN}"))) {
		t.Error("without the variables the template decides")
	}
	for value, want := range map[string]bool{"": true, "1234": true, strings.Repeat("x", 15): true,
		strings.Repeat("x", 16): false} {
		t.Run(value, func(t *testing.T) {
			if got := secret.Guessable(value, none.Lookup); got != want {
				t.Errorf("guessable %v", got)
			}
			if secret.Guessable(value, one.Lookup) {
				t.Errorf("%q is guessable although the state has its own key", value)
			}
		})
	}
}
