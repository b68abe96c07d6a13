package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
)

const longPurpose = `Help a new colleague through the first week. Start from where they are.
Ask one question at a time, and never more than three in a row.
Point to the handbook for everything about pay, leave and travel.
`

// pair is a LikelyRename as it is compared here.
type pair struct {
	From, To string
	Why      string
}

func pairsOf(p *Plan) (pairs []pair) {
	for _, l := range p.LikelyRenames {
		pairs = append(pairs, pair{l.From.Key, l.To.Key, l.Why()})
	}
	return pairs
}

func TestLikelyRenames(t *testing.T) {
	named := func(name, purpose string) fields { return fields{"agentName": name, "agentPurpose": purpose} }
	edited := strings.Replace(longPurpose, "first week", "first month", 1)
	other := "Answer what is asked about invoices. Be brief.\nNever promise a date.\nSend what you cannot answer to " +
		"the people in finance.\n"
	policy := "Be kind to everybody, whatever they say. Never give away what others told you in confidence.\n"
	everybody := secret.Template("${secret:TOKEN} is for everybody")
	tests := []struct {
		name    string
		desired []agent.Desired
		prior   map[string]agent.Record
		want    []pair
	}{
		{
			name:    "the same name",
			desired: []agent.Desired{want(t, coach, named("Coach", other))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("Coach", longPurpose))},
			want:    []pair{{"helper", "coach", "both have the same name"}},
		},
		{
			name:    "the same name twice, in the order of the addresses",
			desired: []agent.Desired{want(t, coach, named("Coach", other)), want(t, third, named("Coach", policy))},
			prior: map[string]agent.Record{helper: record(t, "u1", named("Coach", longPurpose)),
				"mindset/acme/aide": record(t, "u2", named("Coach", longPurpose))},
			want: []pair{{"aide", "coach", "both have the same name"}, {"helper", "third", "both have the same name"}},
		},
		{
			name:    "the more similar of two that arrive",
			desired: []agent.Desired{want(t, coach, named("A", edited)), want(t, third, named("B", longPurpose))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("C", longPurpose))},
			want:    []pair{{"helper", "third", "99% of their content is the same"}},
		},
		{
			name:    "a name that is a secret is not known to be the same",
			desired: []agent.Desired{want(t, coach, fields{"agentName": secret.Template("${secret:TOKEN}")})},
			prior: map[string]agent.Record{helper: record(t, "u1",
				fields{"agentName": secret.Template("${secret:TOKEN}")})},
		},
		{
			name:    "the same secret says nothing",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "X", "agentPurpose": everybody})},
			prior: map[string]agent.Record{helper: record(t, "u1", fields{"agentName": "Y",
				"agentPurpose": everybody})},
		},
		{
			name:    "the same list",
			desired: []agent.Desired{want(t, coach, fields{"agentName": "X", "tags": list{"people-and-culture-team"}})},
			prior: map[string]agent.Record{helper: record(t, "u1", fields{"agentName": "Y",
				"tags": list{"people-and-culture-team"}})},
			want: []pair{{"helper", "coach", "95% of their content is the same"}},
		},
		{
			name: "the same object",
			desired: []agent.Desired{want(t, "cometchat/app/coach", fields{"name": "X",
				"metaData": object{"a": object{"b": "people and culture team"}, "n": json.Number("123456789")}})},
			prior: map[string]agent.Record{"cometchat/app/helper": record(t, "u1", fields{"name": "Y",
				"metaData": object{"a": object{"b": "people and culture team"}, "n": json.Number("123456789")}})},
			want: []pair{{"helper", "coach", "97% of their content is the same"}},
		},
		{
			name:    "an empty name says nothing",
			desired: []agent.Desired{want(t, coach, named(" ", other))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("", longPurpose))},
		},
		{
			name:    "a text of nothing but white space says nothing",
			desired: []agent.Desired{want(t, coach, named("", " \n"))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("", " \n"))},
		},
		{
			name:    "another name and nearly the same content",
			desired: []agent.Desired{want(t, coach, named("Coach", edited))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("Helper", longPurpose))},
			want:    []pair{{"helper", "coach", "75% of their content is the same"}},
		},
		{
			name:    "a prompt that is one long line",
			desired: []agent.Desired{want(t, coach, named("Coach", strings.ReplaceAll(edited, "\n", " ")))},
			prior: map[string]agent.Record{helper: record(t, "u1",
				named("Helper", strings.ReplaceAll(longPurpose, "\n", " ")))},
			want: []pair{{"helper", "coach", "75% of their content is the same"}},
		},
		{
			name:    "two agents that have nothing in common",
			desired: []agent.Desired{want(t, coach, named("Coach", other))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("Helper", longPurpose))},
		},
		{
			name:    "the same name in another app is another agent",
			desired: []agent.Desired{want(t, coach, named("Coach", longPurpose))},
			prior:   map[string]agent.Record{"mindset/other/helper": record(t, "u1", named("Coach", longPurpose))},
		},
		{
			name:    "previous keys that name it need no guess",
			desired: []agent.Desired{want(t, coach, named("Coach", longPurpose), previously("helper"))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("Coach", longPurpose))},
		},
		{
			name:    "previous keys with a slip of the pen do",
			desired: []agent.Desired{want(t, coach, named("Coach", longPurpose), previously("helpr"))},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("Coach", longPurpose))},
			want:    []pair{{"helper", "coach", "both have the same name"}},
		},
		{
			name:    "an empty list says that it is a new agent",
			desired: []agent.Desired{want(t, coach, named("Coach", longPurpose), previously())},
			prior:   map[string]agent.Record{helper: record(t, "u1", named("Coach", longPurpose))},
		},
		{
			name: "the most similar pair comes first, then the order of the addresses",
			desired: []agent.Desired{
				want(t, coach, named("A", longPurpose)), want(t, third, named("B", other+policy)),
			},
			prior: map[string]agent.Record{
				helper:              record(t, "u1", named("C", longPurpose+policy)),
				"mindset/acme/aide": record(t, "u2", named("D", longPurpose)),
			},
			want: []pair{{"aide", "coach", "99% of their content is the same"}},
		},
		{
			name: "what a template gives to many agents is no sign",
			desired: []agent.Desired{
				want(t, coach, named("Coach for tenant one", policy)), want(t, third, named("Tenant two", policy)),
				want(t, "mindset/acme/4", named("Tenant four", policy)),
			},
			prior: map[string]agent.Record{
				helper:           record(t, "u1", named("Tenant three", policy)),
				third:            record(t, "u3", named("Tenant two", policy)),
				"mindset/acme/4": record(t, "u4", named("Tenant four", policy)),
			},
		},
		{
			name: "a tag and a word are no sign",
			desired: []agent.Desired{
				want(t, coach, fields{"agentName": "X", "tags": list{"people-team"}}),
			},
			prior: map[string]agent.Record{helper: record(t, "u1", fields{"agentName": "Y",
				"tags": list{"people-team"}})},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Desired: tt.desired, Prior: records(t, tt.prior)}
			p := build(t, in)
			diffOf(t, "pairs", tt.want, pairsOf(p))
			if p.Summary.Blocked > 0 {
				t.Errorf("without --prune nothing is lost, and nothing is blocked: %+v", p.Summary)
			}
			in.Prune = true
			p = build(t, in)
			diffOf(t, "pairs with --prune", tt.want, pairsOf(p))
			blocked := 0
			for _, ch := range p.Changes {
				if ch.Blocked == BlockedByRename {
					blocked++
				}
				if (ch.Likely != nil) != (ch.Blocked == BlockedByRename) {
					t.Errorf("%s: likely %v, blocked %q", ch.Address, ch.Likely, ch.Blocked)
				}
			}
			if blocked != 2*len(tt.want) || p.Summary.Blocked < blocked {
				t.Errorf("with --prune both sides of each pair are blocked: %d", blocked)
			}
			in.Reviewed = true
			if rest := build(t, in); len(rest.LikelyRenames) > 0 {
				t.Errorf("the rest of a reviewed plan guesses: %+v", rest.LikelyRenames)
			}
		})
	}
}

// Likely renames of several apps are in the order of the addresses, whichever app is compared first.
func TestLikelyRenamesOfAppsAreInOrder(t *testing.T) {
	in := Input{Prior: map[agent.Address]agent.Record{}}
	var order []string
	for i := range 40 {
		named := fields{"agentName": fmt.Sprint("Coach ", i)}
		d := want(t, fmt.Sprintf("mindset/app%02d/new", i), named)
		in.Prior[addr(t, fmt.Sprintf("mindset/app%02d/old", i))] = record(t, fmt.Sprint("u", i), named)
		in.Desired, order = append(in.Desired, d), append(order, d.Address.String())
	}
	var got []string
	for _, l := range build(t, in).LikelyRenames {
		got = append(got, l.To.String())
	}
	if !slices.Equal(got, order) {
		t.Errorf("%q, want %q", got, order)
	}
}

// Half of the content has to be the same, at least 16 bytes of it, and three agents may hold it.
func TestLimitOfALikelyRename(t *testing.T) {
	line := func(letter string, n int) string { return strings.Repeat(letter, n) }
	guesses := func(left, arrived, beside []string) int {
		var in Input
		in.Prior = map[agent.Address]agent.Record{}
		for i, purpose := range left {
			in.Prior[addr(t, fmt.Sprintf("mindset/acme/left%d", i))] = record(t, fmt.Sprint("l", i),
				fields{"agentPurpose": purpose})
		}
		for i, purpose := range arrived {
			in.Desired = append(in.Desired, want(t, fmt.Sprintf("mindset/acme/new%d", i),
				fields{"agentPurpose": purpose}))
		}
		for i, purpose := range beside {
			d := want(t, fmt.Sprintf("mindset/acme/same%d", i), fields{"agentPurpose": purpose})
			in.Desired = append(in.Desired, d)
			in.Prior[d.Address] = record(t, fmt.Sprint("s", i), d.Fields)
		}
		return len(build(t, in).LikelyRenames)
	}
	for same, want := range map[int]int{49: 0, 50: 1, 51: 1} {
		t.Run(fmt.Sprint(same), func(t *testing.T) {
			one, other := line("a", same)+"\n"+line("b", 100-same), line("a", same)+"\n"+line("c", 100-same)
			if got := guesses([]string{one}, []string{other}, nil); got != want {
				t.Errorf("%d%% the same: %d guesses", same, got)
			}
		})
	}
	for size, want := range map[int]int{15: 0, 16: 1, 17: 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			if got := guesses([]string{line("a", size)}, []string{line("a", size)}, nil); got != want {
				t.Errorf("%d bytes the same: %d guesses", size, got)
			}
		})
	}
	text := line("a", 100)
	for beside, want := range map[int]int{0: 1, 1: 1, 2: 0} {
		t.Run(fmt.Sprint(beside), func(t *testing.T) {
			if got := guesses([]string{text}, []string{text}, slices.Repeat([]string{text}, beside)); got != want {
				t.Errorf("%d others hold it: %d guesses", beside, got)
			}
			if got := guesses(slices.Repeat([]string{text}, 1+beside), []string{text}, nil); got != want {
				t.Errorf("%d others that left hold it: %d guesses", beside, got)
			}
		})
	}
}

// An agent that is there already and is taken over does not arrive: whoever left has nothing to do with it.
func TestWhatIsAdoptedIsNoRename(t *testing.T) {
	one := fields{"agentName": "Coach", "agentPurpose": longPurpose}
	p := build(t, Input{
		Desired: []agent.Desired{want(t, coach, one), want(t, third, fields{"agentName": "Other"})},
		Prior: records(t, map[string]agent.Record{helper: record(t, "u1", one),
			third: record(t, "u3", fields{"agentName": "Other"})}),
		Live: map[agent.AppID][]Live{acme: {mindLive("u2", one, ""), mindLive("u3", fields{"agentName": "Other"}, "")}},
	})
	diffOf(t, "pairs", []pair(nil), pairsOf(p))
}

// What a plan looks at alone may be one side of a pair whose other side it leaves out.
func TestLikelyRenameOfATarget(t *testing.T) {
	one := fields{"agentName": "Coach"}
	for _, target := range []agent.Glob{coach, helper} {
		p := build(t, Input{Desired: []agent.Desired{want(t, coach, one)}, Targets: []agent.Glob{target}, Prune: true,
			Prior: records(t, map[string]agent.Record{helper: record(t, "u1", one)})})
		if len(p.Changes) != 1 || p.Changes[0].Blocked != BlockedByRename {
			t.Errorf("%s: %+v", target, briefs(p))
		}
	}
}

// What was guessed survives the plan's JSON form, and each change finds its pair.
func TestLikelyRenamesInADocument(t *testing.T) {
	p := build(t, Input{
		Desired: []agent.Desired{want(t, coach, fields{"agentName": "A"})},
		Prior:   records(t, map[string]agent.Record{helper: record(t, "u1", fields{"agentName": "A"})}),
	})
	again, err := p.Document().Plan()
	if err != nil {
		t.Fatal(err)
	}
	diffOf(t, "likely renames", p.LikelyRenames, again.LikelyRenames)
	for _, ch := range again.Changes {
		if ch.Likely == nil {
			t.Errorf("%s does not know its pair", ch.Address)
		}
	}
	l := p.LikelyRenames[0]
	diffOf(t, "place", diag.Pos{File: "agents.yaml", Line: 3, Column: 7}, l.Source)
	for _, part := range []string{"at agents.yaml:3:7:\n  previousKeys: [helper]\n", "\n  previousKeys: []"} {
		if !strings.Contains(l.Ways(), part) {
			t.Errorf("no %q in %q", part, l.Ways())
		}
	}
}

// A protected agent that left refuses the whole plan, also where it may have been renamed.
func TestLikelyRenameOfAProtectedAgent(t *testing.T) {
	rec := record(t, "u1", fields{"agentName": "A"})
	rec.Protect = true
	p := build(t, Input{
		Desired: []agent.Desired{want(t, coach, fields{"agentName": "A"})},
		Prior:   records(t, map[string]agent.Record{helper: rec}), Prune: true,
	})
	if p.Summary.Protected != 1 || len(p.LikelyRenames) != 1 || p.Changes[0].Blocked != BlockedByRename {
		t.Errorf("%+v, %+v", p.Summary, p.LikelyRenames)
	}
}

// BenchmarkLikelyRenames: every one of 10,000 agents of one template gets another key and another name.
func BenchmarkLikelyRenames(b *testing.B) {
	const agents = 10_000
	in := Input{Platforms: platforms(b), Sealer: testSealer, Prior: map[agent.Address]agent.Record{}, Unbound: true}
	for i := range agents {
		purpose := longPurpose +
			fmt.Sprintf("You work for tenant %d of the region %d. Its handbook is "+
				"https://example.com/handbooks/%d/index.html.\n", i, i%7, i)
		in.Prior[addr(b, fmt.Sprintf("mindset/acme/old-%d", i))] = record(b, fmt.Sprint("u", i),
			fields{"agentName": fmt.Sprint("Old ", i), "agentPurpose": purpose})
		in.Desired = append(in.Desired,
			want(b, fmt.Sprintf("mindset/acme/new-%d", i), fields{"agentName": fmt.Sprint("New ", i),
				"agentPurpose": purpose}))
	}
	b.ResetTimer()
	for range b.N {
		p, err := Build(in)
		if err != nil || len(p.LikelyRenames) != agents {
			b.Fatalf("%v, %d pairs", err, len(p.LikelyRenames))
		}
	}
}
