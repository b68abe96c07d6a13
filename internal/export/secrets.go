package export

import (
	"fmt"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
)

// Reference is a string that is written as it stands, because it refers to secrets:
// "Bearer ${secret:ANALYST_AUTHORIZATION}".
type Reference string

// Variable is an environment variable that stands in for a secret.
type Variable struct {
	Name string `json:"name"`
	// Address and Path are where it stands first: the agent, and the JSON pointer in it.
	Address agent.Address `json:"address"`
	Path    string        `json:"path"`
	// Agents counts the agents that refer to it.
	Agents int `json:"agents"`
	// Hidden reports that the platform masks the value.
	Hidden bool `json:"hidden"`
	// Value is what the platform answered, not known where Hidden.
	Value secret.Text `json:"-"`
}

// Secrets puts references in place of the agents' secrets and returns the variables that these name,
// in the order of first use. Names are made from the agent's key and the header, or from the app and
// the header where several agents hold the same value, which then share one variable. A name that
// inUse says has another value already is not taken. Agents that hold no secret are returned as they are.
func Secrets(app agent.AppID, agents []Agent, inUse secret.Lookup) ([]Agent, []Variable) {
	v := secretVault{app: app, inUse: inUse, holders: map[string]int{}, byValue: map[string]int{},
		byName: map[string]bool{}}
	for _, a := range agents {
		v.countHolders(a)
	}
	out := slices.Clone(agents)
	for i, a := range agents {
		if a.Fields.HasSecrets() {
			out[i].Fields = v.replaceSecrets(a)
		}
	}
	return out, v.variables
}

// LookupIn returns a lookup of the variables' values; those that are hidden are not set.
func LookupIn(variables []Variable) secret.Lookup {
	values := make(map[string]string, len(variables))
	for _, v := range variables {
		if s, err := v.Value.Reveal(); err == nil && !v.Hidden {
			values[v.Name] = s
		}
	}
	return func(name string) (string, bool) {
		s, ok := values[name]
		return s, ok
	}
}

// secretVault names the secrets of one app.
type secretVault struct {
	app   agent.AppID
	inUse secret.Lookup
	// holders counts by value how many agents hold it; byValue is its variable once it has one.
	holders   map[string]int
	byValue   map[string]int
	byName    map[string]bool
	variables []Variable
}

func (v *secretVault) countHolders(a Agent) {
	seen := map[string]bool{}
	agent.Walk("", map[string]any(a.Fields.Clone()), func(_ string, leaf any) any {
		if t, ok := leaf.(secret.Text); ok && !plan.Masked(t) {
			if _, value := splitScheme(t); !seen[value] {
				seen[value] = true
				v.holders[value]++
			}
		}
		return leaf
	})
}

func (v *secretVault) replaceSecrets(a Agent) agent.Fields {
	used := map[string]bool{}
	fields := agent.Walk("", map[string]any(a.Fields.Clone()), func(path string, leaf any) any {
		t, ok := leaf.(secret.Text)
		if !ok {
			return leaf
		}
		scheme, value := splitScheme(t)
		if scheme+value == "" {
			return "" // nothing to hide
		}
		at := v.variableFor(a.Key, path, value, plan.Masked(t))
		if name := v.variables[at].Name; !used[name] {
			used[name] = true
			v.variables[at].Agents++
		}
		return Reference(scheme + "${secret:" + v.variables[at].Name + "}")
	})
	return agent.Fields(fields.(map[string]any))
}

// variableFor returns which variable stands for a value.
func (v *secretVault) variableFor(key, path, value string, hidden bool) int {
	if at, ok := v.byValue[value]; ok && !hidden {
		return at
	}
	words := []string{key, path[strings.LastIndexByte(path, '/')+1:]}
	if v.holders[value] > 1 && !hidden {
		words = []string{v.app.Platform, v.app.App, words[1]}
	}
	v.variables = append(v.variables, Variable{
		Name:    v.freeName(variableName(words...), value, hidden),
		Address: agent.Address{Platform: v.app.Platform, App: v.app.App, Key: key}, Path: path,
		Hidden: hidden, Value: secret.Literal(value),
	})
	at := len(v.variables) - 1
	if !hidden {
		v.byValue[value] = at
	}
	return at
}

// freeName returns base, or base with a number, so that it names nothing else.
func (v *secretVault) freeName(base, value string, hidden bool) string {
	name := base
	for n := 2; ; n++ {
		set, ok := v.inUse(name)
		if !v.byName[name] && (!ok || hidden || set == value) {
			v.byName[name] = true
			return name
		}
		name = fmt.Sprintf("%s_%d", base, n)
	}
}

// variableName joins words in the form of an environment variable.
func variableName(words ...string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(strings.Join(words, "_")) {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if !strings.HasSuffix(b.String(), "_") {
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_")
	if name == "" || name[0] <= '9' {
		name = "AGENT_" + name
	}
	return name
}

// authSchemes are the words that stand before a credential in a header and are none themselves.
var authSchemes = []string{"Bearer ", "Basic ", "Token "}

// splitScheme takes the scheme off a secret, so that the manifest stays readable and the variable holds the
// credential alone.
func splitScheme(t secret.Text) (scheme, value string) {
	s, err := t.Reveal()
	if err != nil {
		return "", "" // a template: an answer never holds one
	}
	for _, scheme := range authSchemes {
		if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return s[:len(scheme)], s[len(scheme):]
		}
	}
	return "", s
}
