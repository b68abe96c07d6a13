package plan

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// A member that becomes empty is a change, whatever it is called and wherever it stands: nothing that a manifest may
// hold looks like a secret whose value is not known.
func TestAValueThatBecomesEmptyIsSeen(t *testing.T) {
	const bot = "cometchat/app/bot"
	for name, shape := range map[string]func(v any) object{
		"the last member":  func(v any) object { return object{"button": object{"label": "Hi", "value": v}} },
		"below a template": func(v any) object { return object{"button": object{"template": "Hi", "value": v}} },
		"two at once": func(v any) object {
			return object{"a": object{"b": "1", "value": v}, "c": object{"d": "1", "value": v}}
		},
		"in a list": func(v any) object { return object{"l": list{object{"k": object{"a": "", "value": v}}}} },
		"beside a secret": func(v any) object {
			return object{"s": secret.Template("${secret:TOKEN}"), "x": object{"k": object{"a": "1", "value": v}}}
		},
		"behind a lookalike": func(v any) object {
			return object{"s": `","value":""}}`, "x": object{"k": object{"a": "1", "value": v}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, sealer := range []secret.Sealer{testSealer, {Key: testSealer.Key}} {
				was := fields{"name": "Bot", "metaData": shape("abc")}
				in := Input{
					Desired: []agent.Desired{want(t, bot, fields{"name": "Bot", "metaData": shape("")})},
					Prior:   records(t, map[string]agent.Record{bot: record(t, "u1", was)}), Sealer: sealer,
				}
				if p := build(t, in); len(p.Changes) != 1 || p.Changes[0].Action != Update {
					t.Errorf("the change is not seen: %+v", briefs(p))
				}
				in.Desired[0].Fields = was
				if p := build(t, in); len(p.Changes)+len(p.RecordUpdates) != 0 {
					t.Errorf("nothing changed: %+v, touches %+v", briefs(p), p.RecordUpdates)
				}
			}
		})
	}
}

// An agent whose manifest holds such a value gets its full record.
func TestAnAdoptedAgentWithEmptyValuesGetsItsRecord(t *testing.T) {
	const bot = "cometchat/app/bot"
	one := fields{"name": "Bot", "metaData": object{"button": object{"label": "Hi", "value": ""}}}
	p := build(t, Input{
		Desired: []agent.Desired{want(t, bot, one)},
		Prior:   records(t, map[string]agent.Record{bot: {UID: "u1", Observed: doc(t, one)}}),
	})
	if len(p.Changes) != 0 || len(p.RecordUpdates) != 1 ||
		string(p.RecordUpdates[0].Record.Applied) != string(doc(t, one)) {
		t.Errorf("changes %+v, touches %+v", briefs(p), p.RecordUpdates)
	}
}

// Whether a reviewed change holds does not depend on the values of secrets, and does depend on everything that looks
// like one.
func TestTheBasisTellsValuesFromSecrets(t *testing.T) {
	const bot = "cometchat/app/bot"
	basis := func(sealer secret.Sealer, token, value string) string {
		p := build(t, Input{Desired: []agent.Desired{want(t, bot, fields{
			"name": "Bot", "metaData": object{"s": secret.Template(token), "k": object{"a": "1", "value": value}},
		})}, Sealer: sealer})
		return p.Changes[0].Basis.Desired
	}
	const token = "${secret:TOKEN}"
	first := basis(testSealer, token, "x")
	if first != basis(secret.Sealer{Key: testSealer.Key}, token, "x") {
		t.Error("the basis depends on a secret's value")
	}
	if first == basis(testSealer, token, "y") || first == basis(testSealer, "${secret:OTHER}", "x") {
		t.Error("the basis misses a change")
	}
}

// Only what Encode wrote of a secret is read as one; a platform may answer anything.
func TestOnlyASealIsASecret(t *testing.T) {
	for text, isSecret := range map[string]bool{
		`{"a":{"$secret":{"template":"00","value":"ff"}}}`:        true,
		`{"a":{"$secret":{"template":"00","value":""}}}`:          true,
		`{"a":{"$secret":{"template":"00"}}}`:                     false,
		`{"a":{"$secret":{"value":"hunter2","template":"00"}}}`:   false,
		`{"a":{"$secret":{"value":"","template":"00","more":1}}}`: false,
		`{"a":{"$secret":"x"}}`:                                   false,
		`{"a":{"$secret":{"template":"00","value":""},"b":1}}`:    false,
	} {
		t.Run(text, func(t *testing.T) {
			f, err := agent.Doc(text).Fields()
			if err != nil {
				t.Fatal(err)
			}
			if _, got := f["a"].(secret.Sealed); got != isSecret {
				t.Errorf("secret %v", got)
			}
			if again, err := agent.Encode(f); err != nil || !isSecret && len(again) != len(text) {
				t.Errorf("%s is lost: %s, %v", text, again, err)
			}
		})
	}
}

// Lists in any order are compared with their repeats, whatever they hold.
func TestUnorderedListsCountRepeats(t *testing.T) {
	x, y, n := object{"a": "1"}, object{"a": "2"}, json.Number("1")
	for _, tt := range []struct {
		a, b list
		want bool
	}{
		{list{x, x}, list{x, y}, false},
		{list{x, y}, list{x, x}, false},
		{list{x, y}, list{y, x}, true},
		{list{x, x, y}, list{x, y, y}, false},
		{list{x, x, y}, list{y, x, x}, true},
		{list{x}, list{x, x}, false},
		{list{}, list{}, true},
		{list{"a", "a"}, list{"a", "b"}, false},
		{list{"a", x}, list{x, "a"}, true},
		{list{"a", n}, list{json.Number("1.0"), "a"}, true},
		{list{"1"}, list{n}, false},
		{list{list{"a"}, list{"a"}}, list{list{"a"}, list{"b"}}, false},
	} {
		t.Run(fmt.Sprint(tt.a, " and ", tt.b), func(t *testing.T) {
			if got := sameSet(tt.a, tt.b); got != tt.want {
				t.Errorf("sameSet(%v, %v) = %v", tt.a, tt.b, got)
			}
		})
	}
	diffOf(t, "arranged", list{x, x, y}, arrangedBy(list{y, x, x}, list{x, x}))
	diffOf(t, "arranged", list{x, y}, arrangedBy(list{y, x}, list{x, x}))
}

// A fleet is planned in parts; none of their ends drops or repeats an agent.
func TestPartsOfAFleet(t *testing.T) {
	for _, n := range []int{1, partSize - 1, partSize, partSize + 1, 2*partSize - 1, 2 * partSize,
		2*partSize + 1} {
		var in Input
		for i := range n {
			key := strings.Repeat("a", i%50+1) + strings.Repeat("b", i/50)
			in.Desired = append(in.Desired, want(t, "mindset/acme/"+key, fields{"agentName": key}))
		}
		p := build(t, in)
		seen := map[agent.Address]bool{}
		for _, ch := range p.Changes {
			seen[ch.Address] = true
		}
		if len(p.Changes) != n || len(seen) != n || p.Summary.Create != n {
			t.Errorf("of %d agents %d are planned, %d of them different, %d counted", n, len(p.Changes), len(seen),
				p.Summary.Create)
		}
	}
}
