package agent_test

import (
	"testing"

	"agentsync/internal/agent"
)

func TestHolds(t *testing.T) {
	const doc = `{"a":1,"b":{"a":1,"c":[1,{"d":"x"}]},"c":"a\"b","d":[],"é":true}`
	for other, want := range map[string]bool{
		`{"a":1}`:                             true,
		`{"é":true}`:                          true,
		`{"a":1,"d":[]}`:                      true,
		`{"b":{"a":1,"c":[1,{"d":"x"}]}}`:     true,
		`{"c":"a\"b","d":[]}`:                 true,
		doc:                                   true,
		`{}`:                                  false, // says nothing, and is looked at more closely
		``:                                    false,
		`{"a":2}`:                             false,
		`{"a":11}`:                            false,
		`{"a":1,"aa":1}`:                      false,
		`{"b":{"a":1}}`:                       false,
		`{"c":[1,{"d":"x"}]}`:                 false,
		`{"d":"x"}`:                           false,
		`{"e":1}`:                             false,
		`{"a":1,"b":{"a":1,"c":[1]},"c":"d"}`: false,
	} {
		t.Run(other, func(t *testing.T) {
			if got := agent.Doc(doc).Holds(agent.Doc(other)); got != want {
				t.Errorf("%s holds %s: %t, want %t", doc, other, got, want)
			}
		})
	}
}
