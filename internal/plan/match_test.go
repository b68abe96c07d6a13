package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// mindLive is a live agent of Mindset as the platform answers it.
func mindLive(uid string, f fields, mark string) Live {
	shown := fields{"live": false, "access": "restrictedAccess"}
	for name, v := range f {
		shown[name] = v
	}
	return Live{UID: uid, Content: agent.ContentOf(shown), Mark: mark}
}

// found spells a match: the uid, "=" before uids of which nobody can say which, "~" before namesakes, "!" for a mark.
func found(m Match) string {
	s := m.UID
	if m.Marked {
		s += "!"
	}
	if len(m.Equal) > 0 {
		s += "=" + strings.Join(m.Equal, ",")
	}
	if len(m.Namesakes) > 0 {
		s += "~" + strings.Join(m.Namesakes, ",")
	}
	return s
}

func TestFind(t *testing.T) {
	p := platforms(t)["mindset"]
	no := func(Live) bool { return false }
	token := func(name string) any { return secret.Template("Coach ${secret:" + name + "}") }
	resolved := func(f fields) fields {
		r, err := f.Resolve(testSealer.Lookup)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, tt := range map[string]struct {
		wanted []Candidate
		free   []Live
		added  bool
		want   []string
	}{
		"nothing is live": {[]Candidate{{Fields: fields{"agentName": "A"}}}, nil, false, []string{""}},
		"equal": {[]Candidate{{Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "")}, false, []string{"1"}},
		"another name": {[]Candidate{{Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "B"}, "")}, false, []string{""}},
		"another tenant": {[]Candidate{{Fields: fields{"agentName": "A", "externalTenantId": "t1"}}},
			[]Live{mindLive("1", fields{"agentName": "A", "externalTenantId": "t2"}, "")}, false, []string{""}},
		"other content": {[]Candidate{{Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"x"}}, "")}, false, []string{"~1"}},
		"other content that added": {[]Candidate{{Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"x"}}, "")}, true, []string{"1"}},
		"content that cannot be read": {[]Candidate{{Fields: fields{"agentName": "A"}}}, []Live{{UID: "1"}}, false,
			[]string{""}},
		"texts as platforms make them": {[]Candidate{{Fields: fields{"agentName": "A & b ", "agentPurpose": "x\ny\n"}}},
			[]Live{mindLive("1", fields{"agentName": "A &amp; b", "agentPurpose": "x\r\ny"}, "")}, false,
			[]string{"1"}},
		"the exact one before the one that is like it": {
			[]Candidate{{Fields: fields{"agentName": "A", "agentPurpose": "x "}},
				{Fields: fields{"agentName": "A", "agentPurpose": "x"}}},
			[]Live{mindLive("1", fields{"agentName": "A", "agentPurpose": "x"}, ""),
				mindLive("2", fields{"agentName": "A", "agentPurpose": "x "}, "")}, false, []string{"2", "1"}},
		"the exact one, whatever the order of a list, before the one that is like it": {
			[]Candidate{{Fields: fields{"agentName": "A", "tags": list{"x ", "y"}}},
				{Fields: fields{"agentName": "A", "tags": list{"x", "y"}}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"y", "x"}}, "")}, false, []string{"", "1"}},
		"what sent more comes first": {
			[]Candidate{{Fields: fields{"agentName": "A"}}, {Fields: fields{"agentName": "A", "agentPurpose": "x"}}},
			[]Live{mindLive("1", fields{"agentName": "A", "agentPurpose": "x", "tags": list{"added"}}, "")}, true,
			[]string{"", "1"}},
		"two want the same": {
			[]Candidate{{Fields: fields{"agentName": "A"}}, {Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "A"}, ""), mindLive("2", fields{"agentName": "A"}, "")}, false,
			[]string{"1", "2"}},
		"two want the one that there is": {
			[]Candidate{{Fields: fields{"agentName": "A"}}, {Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "")}, false, []string{"1", ""}},
		"more are equal than are wanted": {[]Candidate{{Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "A"}, ""), mindLive("2", fields{"agentName": "A"}, "")}, false,
			[]string{"=1,2"}},
		"one that can be it": {[]Candidate{{Fields: fields{"agentName": "A"}, May: func(l Live) bool {
			return l.UID == "2"
		}}},
			[]Live{mindLive("1", fields{"agentName": "A"}, ""), mindLive("2", fields{"agentName": "A"}, "")}, false,
			[]string{"2"}},
		"one that cannot be it, and no name": {[]Candidate{{Fields: fields{"agentName": secret.Sealed{}}, May: no}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "")}, false, []string{""}},
		"another text, beside more": {[]Candidate{{Fields: fields{"agentName": "A", "agentPurpose": "x"}}},
			[]Live{mindLive("1", fields{"agentName": "A", "agentPurpose": "y"}, "")}, true, []string{"~1"}},
		"no name, and content that cannot be read": {[]Candidate{{Fields: fields{}}}, []Live{{UID: "1"}}, true,
			[]string{""}},
		"one that cannot be it": {[]Candidate{{Fields: fields{"agentName": "A"}, May: no}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "")}, false, []string{""}},
		"a namesake that cannot be it": {[]Candidate{{Fields: fields{"agentName": "A"}, May: no}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"x"}}, "")}, false, []string{""}},
		"its own mark, whatever it holds": {[]Candidate{{Fields: fields{"agentName": "A"}, Mark: "m"}},
			[]Live{mindLive("1", fields{"agentName": "Z"}, "m")}, false, []string{"1!"}},
		"its own mark twice": {[]Candidate{{Fields: fields{"agentName": "A"}, Mark: "m"}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "m"), mindLive("2", fields{"agentName": "A"}, "m")}, false,
			[]string{"=1,2"}},
		"its own mark on one that cannot be it": {[]Candidate{{Fields: fields{"agentName": "A"}, Mark: "m", May: no}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "m")}, false, []string{""}},
		"another's mark": {[]Candidate{{Fields: fields{"agentName": "A"}, Mark: "m"}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "n")}, false, []string{"~1"}},
		"a mark, and nobody asks for one": {[]Candidate{{Fields: fields{"agentName": "A"}}},
			[]Live{mindLive("1", fields{"agentName": "A"}, "n")}, false, []string{"~1"}},
		"a secret in the name": {[]Candidate{{Fields: resolved(fields{"agentName": token("TOKEN")})}},
			[]Live{mindLive("1", fields{"agentName": "Coach s3cret"}, "")}, false, []string{"1"}},
		"a secret that nobody knows": {[]Candidate{{Fields: fields{"agentName": secret.Sealed{}}}},
			[]Live{mindLive("1", fields{"agentName": "Coach s3cret"}, "")}, false, []string{"=1"}},
		"the same, and other content": {[]Candidate{{Fields: fields{"agentName": secret.Sealed{},
			"agentPurpose": "x"}}},
			[]Live{mindLive("1", fields{"agentName": "Coach s3cret", "agentPurpose": "y"}, "")}, false, []string{""}},
		"the same, and somebody's mark": {[]Candidate{{Fields: fields{"agentName": secret.Sealed{}}}},
			[]Live{mindLive("1", fields{"agentName": "Coach s3cret"}, "n")}, false, []string{""}},
		"the order of tags": {[]Candidate{{Fields: fields{"agentName": "A", "tags": list{"x", "y"}}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"y", "x"}}, "")}, false, []string{"1"}},
		"the order of tags that are trimmed": {[]Candidate{{Fields: fields{"agentName": "A", "tags": list{" y", "x"}}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"x", "y"}}, "")}, false, []string{"1"}},
		"the order of tags that are trimmed, beside more": {
			[]Candidate{{Fields: fields{"agentName": "A", "tags": list{" y", "x"}}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"x", "y"}, "agentPurpose": "added"}, "")}, true,
			[]string{"1"}},
		"repeats of a tag": {[]Candidate{{Fields: fields{"agentName": "A", "tags": list{"x", "x"}}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"x", "y"}}, "")}, false, []string{"~1"}},
		"fewer tags": {[]Candidate{{Fields: fields{"agentName": "A", "tags": list{"x", "y"}}}},
			[]Live{mindLive("1", fields{"agentName": "A", "tags": list{"x"}}, "")}, false, []string{"~1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range Find(p, tt.wanted, tt.free, tt.added) {
				got = append(got, found(m))
			}
			diffOf(t, "matches", tt.want, got)
		})
	}
}

// What a text may become is the same text, and nothing else is.
func TestFoldText(t *testing.T) {
	for _, same := range [][]string{
		{"x", " x\n", "x\r\n"}, {"a\nb", "a\r\nb", "a\rb"}, {"a & <b>", "a &amp; &lt;b&gt;", "a &amp;amp; &lt;b&gt;"},
		{"&b", "&amp;b"},
		{"https://a.example", "https://a.example/", "HTTPS://A.Example:443/"},
		{"http://a.example/x", "http://a.example:80/x/"},
	} {
		t.Run(same[0], func(t *testing.T) {
			for _, s := range same[1:] {
				if foldText(s) != foldText(same[0]) {
					t.Errorf("%q is not %q", s, same[0])
				}
			}
		})
	}
	for _, other := range [][2]string{
		{"a b", "ab"}, {"a\n\nb", "a\nb"}, {"https://a.example/X", "https://a.example/x"},
		{"https://a.example:80", "https://a.example"},
		{"https://a.example/?q=/", "https://a.example/?q="}, {"https://a.example/#x/", "https://a.example/#x"},
		{"see https://a.example/ now", "see https://a.example now"}, {"ftp://a.example/", "ftp://a.example"},
		{"https://a.example/x now/", "https://a.example/x now"}, {"https://A.example is", "https://a.example is"},
		{"A", "a"}, {"http", "http://"}, {"&b", "&amp;amp;amp;amp;b"},
	} {
		t.Run(other[0]+" and "+other[1], func(t *testing.T) {
			if foldText(other[0]) == foldText(other[1]) {
				t.Errorf("%q passes for %q", other[0], other[1])
			}
		})
	}
}

// A word says something of its own from 21 letters on, or where it has a space.
func TestLimitOfAWord(t *testing.T) {
	p := platforms(t)["mindset"]
	for text, shares := range map[string]bool{
		strings.Repeat("x", 19): false, strings.Repeat("x", 20): false, strings.Repeat("x", 21): true, "x y": true,
		"": false,
	} {
		t.Run(text, func(t *testing.T) {
			sent := fields{"agentName": "A", "agentPurpose": text}
			if got := Shares(p, sent, agent.ContentOf(fields{"agentName": "Z", "agentPurpose": text})); got != shares {
				t.Errorf("%d letters: %v", len(text), got)
			}
		})
	}
	for name, tt := range map[string]struct {
		sent, live fields
		want       bool
	}{
		"a name that was cut":      {fields{"agentName": "Coach of all"}, fields{"agentName": "coach of"}, true},
		"a name that was extended": {fields{"agentName": "coach of"}, fields{"agentName": "Coach of all"}, true},
		"an empty name":            {fields{"agentName": "coach"}, fields{"agentName": ""}, false},
		"a list of its own":        {fields{"tags": list{"x"}}, fields{"tags": list{"x"}}, true},
		"an empty list":            {fields{"tags": list{}}, fields{"tags": list{}}, false},
		"a truth":                  {fields{"live": true}, fields{"live": true}, false},
		"a blank name":             {fields{"agentName": " "}, fields{"agentName": "coach"}, false},
		"nothing on either side": {fields{"agentName": "A", "tags": nil}, fields{"agentName": "Z", "tags": nil},
			false},
		"a secret text": {fields{"agentPurpose": secret.Literal("a text of its own")},
			fields{"agentPurpose": "a text of its own"}, true},
		"another secret text": {fields{"agentPurpose": secret.Literal("a text of its own")},
			fields{"agentPurpose": "another text"}, false},
		"another list": {fields{"tags": list{"x"}}, fields{"tags": list{"y"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Shares(p, tt.sent, agent.ContentOf(tt.live)); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// Leftovers are members that were wanted once, or that came since the agent was last seen.
func TestLeftover(t *testing.T) {
	for name, tt := range map[string]struct {
		sent, live, applied, observed any
		want                          bool
	}{
		"nothing more": {object{"a": "1"}, object{"a": "1"}, object{"a": "1"}, object{"a": "1"}, false},
		"wanted once":  {object{}, object{"a": "1"}, object{"a": "1"}, object{"a": "1"}, true},
		"the platform's own": {object{"a": "1"}, object{"a": "1", "b": "2"}, object{"a": "1"},
			object{"a": "1", "b": "2"}, false},
		"new": {object{"a": "1"}, object{"a": "1", "b": "2"}, object{"a": "1"}, object{"a": "1"},
			true},
		"below": {object{"o": object{}}, object{"o": object{"a": "1"}},
			object{"o": object{"a": "1"}}, object{"o": object{"a": "1"}}, true},
		"below, the platform's own": {object{"o": object{}}, object{"o": object{"a": "1"}}, object{"o": object{}},
			object{"o": object{"a": "1"}}, false},
		"nothing":   {object{}, object{"a": nil}, object{"a": "1"}, object{"a": "1"}, false},
		"no object": {"x", "y", "x", "x", false},
		"a secret says nothing of this": {object{}, object{"a": secret.Sealed{}}, object{"a": secret.Sealed{}},
			object{},
			false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Leftover(tt.sent, tt.live, tt.applied, tt.observed); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A plan's creates are held against what is live: taken over, in the way, or made.
func TestAdopt(t *testing.T) {
	const a, b = "mindset/acme/a", "mindset/acme/b"
	equal, other := fields{"agentName": "A"}, fields{"agentName": "A", "tags": list{"x"}}
	mark := addr(t, a).Mark()
	id := addr(t, a).ID()
	for name, tt := range map[string]struct {
		desired []agent.Desired
		edit    func(*Input)
		live    []Live
		want    []string // action, uid, blocked, in the way
	}{
		"nobody is there": {[]agent.Desired{want(t, a, equal)}, nil,
			[]Live{mindLive("9", fields{"agentName": "Z"}, "")}, []string{"create"}},
		"equal": {[]agent.Desired{want(t, a, equal)}, nil, []Live{mindLive("1", equal, "")},
			[]string{"adopt 1"}},
		"not to be taken over": {[]agent.Desired{want(t, a, equal)}, func(in *Input) { in.NoAdopt = true },
			[]Live{mindLive("1", equal, "")}, []string{"create namesake 1"}},
		"in the way": {[]agent.Desired{want(t, a, equal)}, nil, []Live{mindLive("1", other, "")},
			[]string{"create namesake 1"}},
		"duplicates are allowed": {[]agent.Desired{want(t, a, equal)}, func(in *Input) { in.AllowDuplicates = true },
			[]Live{mindLive("1", other, "")}, []string{"create"}},
		"marked, with other content": {[]agent.Desired{want(t, a, equal)}, nil,
			[]Live{mindLive("1", fields{"agentName": "B"}, mark)},
			[]string{"adopt 1 sends agentName"}},
		"marked, and left to others": {[]agent.Desired{want(t, a, equal, ignoring("agentName"))}, nil,
			[]Live{mindLive("1", fields{"agentName": "B"}, mark)}, []string{"adopt 1"}},
		"marked, of another tenant": {[]agent.Desired{want(t, a, fields{"agentName": "A", "externalTenantId": "t1"})},
			nil,
			[]Live{mindLive("1", fields{"agentName": "A", "externalTenantId": "t2"}, mark)},
			[]string{"create namesake 1"}},
		"somebody's by a record": {[]agent.Desired{want(t, a, equal), want(t, b, equal)},
			func(in *Input) {
				in.Prior = map[agent.Address]agent.Record{addr(t, b): record(t, "1",
					equal)}
			}, []Live{mindLive("1", equal, "")}, []string{"create"}},
		"the old one of a replace": {[]agent.Desired{want(t, a, equal), want(t, b, equal)}, func(in *Input) {
			rec := record(t, "2", equal)
			rec.Obsolete = []string{"1"}
			in.Prior = map[agent.Address]agent.Record{addr(t, b): rec}
		}, []Live{mindLive("1", equal, ""), mindLive("2", equal, "")}, []string{"create", "replace 2 prune"}},
		"somebody's by an open request": {[]agent.Desired{want(t, a, equal)},
			func(in *Input) { in.Claimed = map[agent.AppID][]string{id: {"1"}} }, []Live{mindLive("1", equal,
				"")}, []string{"create"}},
		"its own request is open": {[]agent.Desired{want(t, a, equal)},
			func(in *Input) { in.Open = map[agent.Address]bool{addr(t, a): true} }, []Live{mindLive("1", equal,
				"")}, []string{"create"}},
		"who waits takes no other's": {[]agent.Desired{want(t, a, equal), want(t, b, equal)},
			func(in *Input) { in.Open = map[agent.Address]bool{addr(t, a): true} }, []Live{mindLive("1", equal,
				"")}, []string{"create", "adopt 1"}},
		"an open request about the agent it has": {[]agent.Desired{want(t, a, equal), want(t, b, equal)},
			func(in *Input) { in.Open = map[agent.Address]bool{addr(t, a): false} }, []Live{mindLive("1", equal,
				"")}, []string{"create", "adopt 1"}},
		"a namesake that another takes": {[]agent.Desired{want(t, a, other), want(t, b, equal)}, nil,
			[]Live{mindLive("1", equal, "")}, []string{"create", "adopt 1"}},
		"a replace takes what is there": {[]agent.Desired{want(t, a, fields{"agentName": "A",
			"externalTenantId": "t2"})},
			func(in *Input) {
				in.Prior = map[agent.Address]agent.Record{addr(t, a): record(t, "1",
					fields{"agentName": "A", "externalTenantId": "t1"})}
				in.Prune = true
			}, []Live{mindLive("1", fields{"agentName": "A", "externalTenantId": "t1"}, ""),
				mindLive("2", fields{"agentName": "A", "externalTenantId": "t2"}, "")}, []string{"replace 1 takes 2"}},
		"a replace that is blocked takes nothing": {[]agent.Desired{want(t, a, fields{"agentName": "A",
			"externalTenantId": "t2"})},
			func(in *Input) {
				in.Prior = map[agent.Address]agent.Record{addr(t, a): record(t, "1",
					fields{"agentName": "A", "externalTenantId": "t1"})}
			}, []Live{mindLive("1", fields{"agentName": "A", "externalTenantId": "t1"}, ""),
				mindLive("2", fields{"agentName": "A", "externalTenantId": "t2"}, "")}, []string{"replace 1 prune"}},
		"a replace that has its new one takes no other": {[]agent.Desired{want(t, a, equal)}, func(in *Input) {
			rec := record(t, "2", equal)
			rec.Obsolete = []string{"1"}
			in.Prior, in.Prune = map[agent.Address]agent.Record{addr(t, a): rec}, true
		}, []Live{mindLive("1", equal, ""), mindLive("2", equal, ""), mindLive("3", equal, "")}, []string{"replace 2"}},
		"a replace with its mark on another agent takes none that differs": {[]agent.Desired{want(t, a,
			fields{"agentName": "A", "externalTenantId": "t2", "tags": list{"x"}}, marking)},
			func(in *Input) {
				in.Prior = map[agent.Address]agent.Record{addr(t, a): withMark(record(t, "1",
					fields{"agentName": "A", "externalTenantId": "t1", "tags": list{"x"}}), mark)}
				in.Prune = true
			}, []Live{mindLive("1", fields{"agentName": "A", "externalTenantId": "t1", "tags": list{"x"}}, mark),
				mindLive("2", fields{"agentName": "B", "externalTenantId": "t2", "tags": list{"x"}}, mark)},
			[]string{"replace 1 namesake 2"}},
		"one with the mark of an address that has its own": {[]agent.Desired{want(t, a, equal), want(t, b, equal)},
			func(in *Input) {
				in.Prior = map[agent.Address]agent.Record{addr(t, b): record(t, "1", equal)}
			}, []Live{mindLive("1", equal, ""), mindLive("2", equal, addr(t, b).Mark())}, []string{"adopt 2"}},
		"one with the mark of an address that has none": {[]agent.Desired{want(t, a, equal)}, nil,
			[]Live{mindLive("2", equal, addr(t, b).Mark())}, []string{"create namesake 2"}},
		"one of two equal ones that nobody can tell apart": {[]agent.Desired{want(t, a, equal)}, nil,
			[]Live{mindLive("1", equal, ""), mindLive("2", equal, "")}, []string{"create namesake 1,2"}},
		"a list of another app, perhaps": {[]agent.Desired{want(t, a, equal), want(t, b, other)},
			func(in *Input) {
				in.Prior = map[agent.Address]agent.Record{addr(t, b): record(t, "9",
					other)}
			}, []Live{mindLive("1", equal, "")}, []string{"create"}},
		"a secret without a value": {[]agent.Desired{want(t, a,
			fields{"agentName": secret.Template("${secret:NONE}")})},
			nil, []Live{mindLive("1", equal, "")}, []string{"create"}},
		"a secret with one": {[]agent.Desired{want(t, a, fields{"agentName": secret.Template("${secret:TOKEN}")})}, nil,
			[]Live{mindLive("1", fields{"agentName": "s3cret"}, "")}, []string{"adopt 1"}},
		"a secret offline": {[]agent.Desired{want(t, a, fields{"agentName": secret.Template("${secret:TOKEN}")})},
			func(in *Input) { in.Sealer = secret.Sealer{Key: testSealer.Key} }, []Live{mindLive("1",
				fields{"agentName": "s3cret"}, "")}, []string{"create"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Desired: tt.desired, Live: map[agent.AppID][]Live{id: tt.live}}
			if tt.edit != nil {
				tt.edit(&in)
			}
			p := build(t, in)
			var got []string
			for _, ch := range p.Changes {
				s := strings.TrimSpace(fmt.Sprintf("%s %s", ch.Action, ch.UID))
				if ch.Action == Replace && ch.Adopts != "" {
					s += " takes " + ch.Adopts
				}
				if ch.Blocked != "" {
					s = strings.TrimSpace(s + " " + string(ch.Blocked) + " " + strings.Join(ch.InTheWay, ","))
				}
				if ch.Action == Adopt && len(ch.Send) > 0 {
					s += " sends " + strings.Join(ch.Send, ",")
				}
				got = append(got, s)
			}
			counted := Summary{Unchanged: p.Summary.Unchanged}
			for _, ch := range p.Changes {
				counted.Count(ch)
			}
			if counted != p.Summary || p.Summary.Adopt != strings.Count(strings.Join(got, " "), "adopt") {
				t.Errorf("%+v", p.Summary)
			}
			for _, l := range tt.live {
				free := !in.ownedUIDs()[id][l.UID] &&
					!slices.ContainsFunc(p.Changes, func(ch Change) bool { return ch.Adopts == l.UID })
				if free != slices.ContainsFunc(p.Unmanaged, func(u Unmanaged) bool { return u.UID == l.UID }) {
					t.Errorf("%s is free: %v, and the plan says %+v", l.UID, free, p.Unmanaged)
				}
			}
			diffOf(t, "changes", tt.want, got)
		})
	}
}

// A field that a platform takes and never shows says nothing of a live agent, be it the same, be something added to it.
func TestWhatIsNeverShownIsNotMissed(t *testing.T) {
	p := platforms(t)["mindset"].Version("v2")
	wanted := fields{"agentName": "A", "agentPurpose": "x", "templateAgentUid": "12345678901234567890"}
	shown := fields{"agentName": "A", "agentPurpose": "x", "live": false}
	for name, live := range map[string]fields{"the same": shown, "with more": {"agentName": "A", "agentPurpose": "x",
		"live": false, "tags": list{"added"}}} {
		t.Run(name, func(t *testing.T) {
			got := Find(p, []Candidate{{Fields: wanted}}, []Live{{UID: "1", Content: agent.ContentOf(live)}}, true)
			if found(got[0]) != "1" {
				t.Errorf("%s", found(got[0]))
			}
			if names := Unlike(p, wanted, agent.ContentOf(live)); len(names) > 0 {
				t.Errorf("unlike in %v", names)
			}
		})
	}
}
