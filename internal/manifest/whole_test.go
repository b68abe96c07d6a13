package manifest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const literalHeaders = `version: 1
cometchat:
  appId: 2754abc
  region: us
  defaults:
    icon: https://cdn.example.com/bot.png
    integrateWith: crewai
    integrationType: agent
    integrationMeta:
      baseUrl: https://agents.example.com
      headers: {a: one, b: two, c: three, d: four, e: five}
  agents:
`

// TestWarningsDropNothing: however many warnings there are, every agent is read, and an error behind them is
// told. A literal in the defaults is one warning.
func TestWarningsDropNothing(t *testing.T) {
	const n = 1_010
	var shared, own strings.Builder
	for i := range n {
		fmt.Fprintf(&shared, "    - {key: k%d, name: Agent %d}\n", i, i)
		fmt.Fprintf(&own, "    - {key: k%d, name: Agent %d, integrationMeta: {headers: {x: literal%d}}}\n", i, i, i)
	}
	fleet, problems := tryText(t, literalHeaders+shared.String())
	if errors, warnings := problems.Count(); errors != 0 || warnings != 5 || len(fleet.Agents) != n {
		t.Errorf("headers in the defaults: %d errors, %d warnings, %d agents", errors, warnings, len(fleet.Agents))
	}
	fleet, problems = tryText(t, literalHeaders+own.String())
	if errors, warnings := problems.Count(); errors != 0 || warnings != n+5 || len(fleet.Agents) != n {
		t.Errorf("headers of their own: %d errors, %d warnings, %d agents", errors, warnings, len(fleet.Agents))
	}
	_, problems = tryText(t, literalHeaders+own.String()+"    - {key: last}\n")
	if !strings.Contains(lines(problems), "agent `last` has no `name`") {
		t.Error("the error behind the warnings is not told")
	}
}

// TestFileNotReadToItsEnd: whatever stops the reading of a file, or leaves an agent out, is an error.
func TestFileNotReadToItsEnd(t *testing.T) {
	var many strings.Builder
	for i := range 30 {
		fmt.Fprintf(&many, "    - {key: k%d, agentName: [1, 2]}\n", i)
	}
	for name, limits := range map[string]Limits{
		"errors": {Problems: 5}, "values": {Values: 60}, "depth": {Depth: 4}, "texts": {ContentBytes: 20},
		"text": {TextBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("a.yaml", []byte("version: 1\nmindset:\n  appUid: acme\n  agents:\n"+many.String()),
				0o644); err != nil {
				t.Fatal(err)
			}
			_, problems, err := Load(t.Context(), []string{"a.yaml"},
				Options{Env: variables(), Platforms: platforms(t), Limits: limits})
			if err != nil || !problems.HasErrors() {
				t.Errorf("%v, %v", problems, err)
			}
		})
	}
	f := &manifestFile{written: 2}
	if f.isComplete([]platformSection{{agents: make([]loadedAgent, 1)}}) {
		t.Error("one agent of two is complete")
	}
}

// TestTextsAreBounded: what aliases, defaults and variables make of a file is bounded, and told at its place.
func TestTextsAreBounded(t *testing.T) {
	text := strings.Repeat("a", 700)
	limits := Limits{TextBytes: 1000, ContentBytes: 3000}
	head := "version: 1\nx-a: &a " + text + "\nmindset:\n  appUid: acme\n"
	for name, c := range map[string]struct{ body, want string }{
		"aliases": {"  agents:\n" + times("    - {key: k%d, agentName: N%[1]d, agentPurpose: *a}\n", 9),
			"a.yaml:10:46: the texts of this file hold more than 3000 bytes once its aliases, defaults and variables are " +
				"filled in; split it into several files\n"},
		"defaults": {"  defaults: {agentPurpose: *a}\n  agents:\n" + times("    - {key: k%d, agentName: N%[1]d}\n", 9),
			"a.yaml:10:7: the texts of this file hold more than 3000 bytes once its aliases, defaults and variables are " +
				"filled in; split it into several files\n"},
		"one text": {"  agents:\n    - {key: a, agentName: A, agentPurpose: \"${env:BIG}${env:BIG}\"}\n",
			"a.yaml:6:44: this text is longer than 1000 bytes; shorten it\n"},
		"a text as written": {"  agents:\n    - {key: a, agentName: A, agentPurpose: " + text + text + "}\n",
			"a.yaml:6:44: this text is longer than 1000 bytes; shorten it\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("a.yaml", []byte(head+c.body), 0o644); err != nil {
				t.Fatal(err)
			}
			_, problems, err := Load(t.Context(), []string{"a.yaml"},
				Options{Env: variables("BIG", text), Platforms: platforms(t), Limits: limits})
			if got := lines(problems); err != nil || got != c.want {
				t.Errorf("%v\ngot  %swant %s", err, got, c.want)
			}
		})
	}
}

func times(form string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, form, i)
	}
	return b.String()
}

// TestMergedDefaultsAreBounded: defaults that are merged into each agent count there.
func TestMergedDefaultsAreBounded(t *testing.T) {
	t.Chdir(t.TempDir())
	text := literalHeaders + "    - {key: k, name: N, metaData: {x: 1}}\n"
	text = strings.Replace(text, "    icon:", "    metaData: {"+times("m%d: 1, ", 50)+"m: 1}\n    icon:", 1)
	for i := range 20 {
		text += fmt.Sprintf("    - {key: k%d, name: N%[1]d, metaData: {x: 1}}\n", i)
	}
	if err := os.WriteFile("a.yaml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, problems, err := Load(t.Context(), []string{"a.yaml"},
		Options{Env: variables(), Platforms: platforms(t), Limits: Limits{Values: 200}})
	if got := lines(problems); err != nil ||
		!strings.Contains(got, "more than 800 values once its defaults are merged into each agent") {
		t.Errorf("%v\n%s", err, got)
	}
}
