package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// sample returns a value of the field that is neither its default nor empty.
func sample(f schema.Field) any {
	switch f.Type {
	case "boolean":
		return f.Default != true
	case "array":
		return list{"one", "two", "three"}
	case "object":
		return object{
			"text": "x", "count": json.Number("1"), "none": nil, "list": list{"b", "a"},
			"deep": object{"ratio": json.Number("0.5"), "empty": object{}},
		}
	default:
		return "text"
	}
}

// spelling is one way to write a value in a manifest.
type spelling struct {
	name  string
	value any // nil for a missing field
}

// spellings returns groups of values that mean the same to the platform, for one field.
func spellings(f schema.Field) map[string][]spelling {
	nothing := []spelling{{"missing", nil}, {"null", explicitNull}, {"cleared", f.Cleared()}}
	something := []spelling{{"as it is", sample(f)}}
	if f.Default != nil {
		nothing = append(nothing, spelling{"default", f.Default})
	} else {
		nothing = append(nothing, spelling{"empty", f.Empty()})
	}
	if f.Unordered {
		something = append(something, spelling{"reordered", list{"three", "one", "two"}})
	}
	if f.Type == "object" {
		respelled := agent.CloneValue(sample(f)).(object)
		respelled["count"], respelled["deep"].(object)["ratio"] = json.Number("1.0"), json.Number("5e-1")
		something = append(something, spelling{"numbers spelled otherwise", respelled})
	}
	return map[string][]spelling{"nothing": nothing, "something": something}
}

// explicitNull stands for a field that is there and null.
var explicitNull = struct{ null bool }{true}

func isNull(v any) bool {
	_, ok := v.(struct{ null bool })
	return ok
}

// phantom is one cell of the matrix: a field as it was applied, as the platform answered it, as a
// list shows it, and as it is wanted now.
type phantom struct {
	platform *schema.Platform
	field    schema.Field
	was, is  spelling
	answer   string
	observed fields // nil where the platform did not answer the agent
	live     fields // nil for an offline plan
}

func phantoms(all map[string]*schema.Platform) []phantom {
	var cells []phantom
	for _, p := range all {
		for _, f := range p.Fields {
			for _, group := range spellings(f) {
				for _, was := range group {
					for _, is := range group {
						cells = append(cells, answered(phantom{platform: p, field: f, was: was, is: is})...)
					}
				}
			}
		}
	}
	return cells
}

// answered spreads a cell over what the platform answers and then lists.
func answered(cell phantom) []phantom {
	var cells []phantom
	all := answers(cell.platform, cell.field, cell.was)
	for answer, observed := range all {
		cell.answer, cell.observed = answer, observed
		lists := []fields{nil, observed}
		if answer == "plainly" {
			lists = append(lists, all["filled in"])
		}
		for _, cell.live = range lists {
			cells = append(cells, cell)
		}
	}
	return cells
}

func (c phantom) input(t *testing.T, all map[string]*schema.Platform) Input {
	name := c.platform.Name
	a := addr(t, name+"/app/key")
	in := Input{
		Desired: []agent.Desired{want(t, a.String(), withField(required(c.platform), c.field, c.is))},
		Prior: map[agent.Address]agent.Record{a: {UID: "u1",
			Applied: doc(t, withField(required(c.platform), c.field, c.was)), Observed: doc(t, c.observed)}},
		Platforms: all, Prune: true,
	}
	if c.live != nil {
		in.Live = map[agent.AppID][]Live{a.ID(): {{UID: "u1", Content: agent.ContentOf(c.live)}}}
	}
	return in
}

// TestNoPhantomDifference applies each field of both platforms in each spelling, lets the platform
// answer it in its own way, and plans the manifest again in each other spelling of the same value,
// offline and against what the platform lists.
func TestNoPhantomDifference(t *testing.T) {
	all := platforms(t)
	cells := phantoms(all)
	if len(cells) < 3000 {
		t.Errorf("only %d cells", len(cells))
	}
	t.Logf("%d cells", len(cells))
	for _, c := range cells {
		if p := build(t, c.input(t, all)); len(p.Changes) > 0 || len(p.RecordUpdates) > 0 {
			t.Errorf("%s %s: applied %s, answered %s, listed %v, wanted %s: %+v, touches %+v",
				c.platform.Name, c.field.Name, c.was.name, c.answer, c.live, c.is.name, briefs(p), p.RecordUpdates)
		}
	}
}

// required are the required fields of an agent, each with some value.
func required(p *schema.Platform) fields {
	f := fields{}
	for _, field := range p.Fields {
		if field.Required {
			f[field.Name] = sample(field)
		}
	}
	return f
}

func withField(base fields, f schema.Field, s spelling) fields {
	out := base.Clone()
	delete(out, f.Name)
	if isNull(s.value) {
		out[f.Name] = nil
	} else if s.value != nil {
		out[f.Name] = s.value
	}
	return out
}

// answers are the ways in which a platform answers what it was sent: as it is, with every field filled
// in, with fields added, rewritten, or not at all.
func answers(p *schema.Platform, f schema.Field, sent spelling) map[string]fields {
	plain := withField(required(p), f, sent)
	for name, v := range plain {
		if v == nil {
			delete(plain, name) // adapters leave nulls out
		}
	}
	filled, added, rewritten := plain.Clone(), plain.Clone(), plain.Clone()
	for _, other := range p.Fields {
		if filled[other.Name] == nil {
			filled[other.Name] = other.Cleared()
		}
		if added[other.Name] == nil {
			added[other.Name] = sample(other)
		}
	}
	switch v := rewritten[f.Name].(type) {
	case string:
		rewritten[f.Name] = v + " (tidied)"
	case list:
		reversed := slices.Clone(v)
		slices.Reverse(reversed)
		rewritten[f.Name] = reversed
	case object:
		rewritten[f.Name] = object{"all": "else"}
	case bool:
		rewritten[f.Name] = !v
	}
	return map[string]fields{"plainly": plain, "filled in": filled, "with more": added, "rewritten": rewritten,
		"not": nil}
}

// TestEveryFieldShowsAChange guards the matrix above against a comparison that finds nothing at all.
func TestEveryFieldShowsAChange(t *testing.T) {
	for name, p := range platforms(t) {
		for _, f := range p.Fields {
			a := name + "/app/key"
			without, with := withField(required(p), f, spelling{}), withField(required(p), f,
				spelling{value: sample(f)})
			for _, tt := range []struct {
				what     string
				was, is  fields
				wantSent any
			}{
				{"set", without, with, sample(f)},
				{"taken out", with, without, f.Cleared()},
			} {
				t.Run(tt.what, func(t *testing.T) {
					in := Input{
						Desired: []agent.Desired{want(t, a, tt.is)},
						Prior:   records(t, map[string]agent.Record{a: record(t, "u1", tt.was)}), Prune: true,
					}
					got := build(t, in)
					if len(got.Changes) != 1 || len(got.Changes[0].Differences()) == 0 {
						t.Fatalf("%s %s %s: %+v", name, f.Name, tt.what, briefs(got))
					}
					ch := got.Changes[0]
					if f.Immutable {
						diffOf(t, fmt.Sprintf("%s %s %s: action", name, f.Name, tt.what), Replace, ch.Action)
						return
					}
					sent := fields{f.Name: tt.wantSent}
					for _, other := range f.SentWith {
						sent[other] = tt.is[other]
					}
					diffOf(t, fmt.Sprintf("%s %s %s: sent", name, f.Name, tt.what), sent, Payload(p, tt.is, ch.Send))
				})
			}
		}
	}
}

// TestMembersAreComparedExactly: below the top, null, missing and empty are different things.
func TestMembersAreComparedExactly(t *testing.T) {
	const bot = "cometchat/app/bot"
	meta := func(m object) fields { return fields{"name": "Bot", "metaData": m} }
	tests := []struct {
		name    string
		was, is object
		want    []FieldChange
	}{
		{"a member appears", object{"a": "1"}, object{"a": "1", "b": object{"c": true}},
			[]FieldChange{{Path: "/metaData/b/c", After: true}}},
		{"a member goes", object{"a": "1", "x/y": "2"}, object{"a": "1"},
			[]FieldChange{{Path: "/metaData/x~1y", Before: "2"}}},
		{"a list is one difference", object{"l": list{"b", "a"}}, object{"l": list{"a", "b"}},
			[]FieldChange{{Path: "/metaData/l", Before: list{"b", "a"}, After: list{"a", "b"}}}},
		{"null becomes a value", object{"a": nil}, object{"a": "1"}, []FieldChange{{Path: "/metaData/a", After: "1"}}},
		{"null and missing differ", object{"a": nil, "b": "1"}, object{"b": "1"},
			[]FieldChange{{Path: "/metaData", Before: object{"a": nil, "b": "1"}, After: object{"b": "1"}}}},
		{"empty and missing differ", object{"a": "", "b": "1"}, object{"b": "1"},
			[]FieldChange{{Path: "/metaData/a", Before: ""}}},
		{"a map becomes a text", object{"a": object{"b": "1"}}, object{"a": "1"},
			[]FieldChange{{Path: "/metaData/a", Before: object{"b": "1"}, After: "1"}}},
		{"an empty list becomes a text", object{"a": list{}}, object{"a": "1"},
			[]FieldChange{{Path: "/metaData/a", Before: list{}, After: "1"}}},
		{"an empty object becomes a text", object{"a": object{}}, object{"a": "1"},
			[]FieldChange{{Path: "/metaData/a", Before: object{}, After: "1"}}},
		{"an empty object becomes a list", object{"a": object{}}, object{"a": list{}},
			[]FieldChange{{Path: "/metaData/a", Before: object{}, After: list{}}}},
		{"a truth becomes a text", object{"a": true}, object{"a": "true"},
			[]FieldChange{{Path: "/metaData/a", Before: true, After: "true"}}},
		{"a number becomes a text", object{"a": json.Number("1")}, object{"a": "1"},
			[]FieldChange{{Path: "/metaData/a", Before: json.Number("1"), After: "1"}}},
		{"a member appears as null", object{"b": "1"}, object{"a": nil, "b": "1"},
			[]FieldChange{{Path: "/metaData", Before: object{"b": "1"}, After: object{"a": nil, "b": "1"}}}},
		{"all members go", object{"a": "1", "b": "2"}, nil,
			[]FieldChange{{Path: "/metaData/a", Before: "1"}, {Path: "/metaData/b", Before: "2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := build(t, Input{Desired: []agent.Desired{want(t, bot, meta(tt.is))},
				Prior: records(t, map[string]agent.Record{bot: record(t, "u1", meta(tt.was))})})
			diffOf(t, "changes", []brief{{Action: Update, Address: bot, UID: "u1", Send: []string{"metaData"},
				Fields: tt.want}}, briefs(p))
		})
	}
}

func TestAnUnorderedListIsArrangedForReview(t *testing.T) {
	p := build(t, Input{
		Desired: []agent.Desired{want(t, coach, fields{"agentName": "A", "tags": list{"a", "b", "new"}})},
		Prior: records(t, map[string]agent.Record{coach: record(t, "u1",
			fields{"agentName": "A", "tags": list{"old", "b", "a"}})}),
	})
	diffOf(t, "fields", []FieldChange{{Path: "/tags", Before: list{"a", "b", "old"}, After: list{"a", "b", "new"}}},
		p.Changes[0].Differences())
}

func TestSecretsAreNeverInAPlan(t *testing.T) {
	const bot = "cometchat/app/bot"
	with := func(headers any, greeting any) fields {
		return fields{"name": "Bot", "integrationMeta": object{"baseUrl": "https://x", "headers": headers},
			"metaData": object{"greetingMessage": greeting}}
	}
	in := Input{
		Desired: []agent.Desired{want(t, bot,
			with(object{"authorization": secret.Template("Bearer ${secret:OTHER}")},
				secret.Template("${secret:TOKEN}")))},
		Prior: records(t, map[string]agent.Record{bot: record(t, "u1",
			with(object{"authorization": secret.Template("Bearer ${secret:TOKEN}")}, "s3cret"))}),
	}
	p := build(t, in)
	ch := p.Changes[0]
	diffOf(t, "sent", []string{"integrationMeta", "metaData"}, ch.Send)
	for i, path := range []string{"/integrationMeta/headers/authorization", "/metaData/greetingMessage"} {
		f := ch.Differences()[i]
		_, before := f.Before.(secret.Sealed)
		_, after := f.After.(secret.Sealed)
		if f.Path != path || !f.Secret || !before || !after {
			t.Errorf("field %d: want %s sealed on both sides, got %+v", i, path, f)
		}
	}
}
