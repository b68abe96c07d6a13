package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/state"
)

// sample is a state with everything that a state file can hold.
func sample() *state.State {
	cc := agent.Address{Platform: "cometchat", App: "2754abc", Key: "concierge"}
	return &state.State{
		Serial: 7, Lineage: "0123456789abcdef0123456789abcdef",
		Apps: map[agent.AppID]agent.Origin{
			addr("coach").ID(): {BaseURL: "https://a.api.mindset.ai/api/v1", KeyEnv: "MINDSET_API_KEY"},
			cc.ID():            {BaseURL: "https://2754abc.api-us.cometchat.io/v3", KeyEnv: "COMETCHAT_API_KEY"},
		},
		Agents: map[agent.Address]agent.Record{
			addr("coach"): {
				UID: "C0ffee",
				Applied: agent.Doc(`{"agentName":"Coach <b>&\"ü\n","externalTenantId":"t-1","live":true,"tags":["hr",{},[],1.5,` +
					`null]}`),
				Observed: agent.Doc(`{"agentName":"Coach"}`),
				Obsolete: []string{"old-1", "old-2"},
				Protect:  true,
				Mark:     "3fa9c1d2e4b5",

				FormerKeys: []string{"helper", "guide"},
			},
			addr("adopted"): {UID: "plain"},
			cc: {
				UID:     "5a1d2f7e-0000-4000-8000-000000000001",
				Applied: agent.Doc(`{"integrationMeta":{"headers":{"$secret":{"template":"aa","value":"bb"}}},"name":"Concierge"}`),
			},
		},
	}
}

func TestEncodeGolden(t *testing.T) {
	b, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "state.json", b)
	s, err := state.Decode("state.json", b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), s); diff != "" {
		t.Errorf("the state did not survive the file (-want +got):\n%s", diff)
	}
	empty, err := (&state.State{Serial: 1, Lineage: "ab"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "empty.json", empty)
	if _, err := state.Decode("empty.json", empty); err != nil {
		t.Error(err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		agents agents
		want   string
	}{
		"no uid": {agents{addr("a"): {}}, "without a uid"},
		"uid twice": {agents{addr("a"): {UID: "u"}, addr("b"): {UID: "u"}},
			"mindset/acme/a and mindset/acme/b both have the uid u"},
		"own old uid": {agents{addr("a"): {UID: "u", Obsolete: []string{"u"}}}, "the uid u stands twice"},
		"no JSON":     {agents{addr("a"): {UID: "u", Applied: agent.Doc(`{"a":}`)}}, "mindset/acme/a"},
		"no object":   {agents{addr("a"): {UID: "u", Applied: agent.Doc(`[]`)}}, "no JSON object"},
		"two values":  {agents{addr("a"): {UID: "u", Applied: agent.Doc(`{}{}`)}}, "after top-level value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&state.State{Lineage: "l", Agents: c.agents}).Encode()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
	// The same uid in two apps is two agents.
	other := agent.Address{Platform: "mindset", App: "other", Key: "a"}
	if _, err := (&state.State{Lineage: "l",
		Agents: agents{addr("a"): {UID: "u"}, other: {UID: "u"}}}).Encode(); err != nil {
		t.Error(err)
	}
}

// badStates are files that are refused, in the order of testdata/bad.golden.
func badStates(t testing.TB) []struct{ name, content string } {
	t.Helper()
	good, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	in := func(old, with string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the sample does not hold %q", old)
		}
		return strings.Replace(text, old, with, 1)
	}
	agentOf := func(members string) string {
		return `{"version": 1, "serial": 1, "lineage": "l", "agents": {"mindset/acme/a": {` + members + `}}}`
	}
	return []struct{ name, content string }{
		{"a former key that is none", in(`"guide"`, `"Guide/"`)},
		{"empty", ""},
		{"only spaces", " \n\n"},
		{"zero bytes", text[:300] + strings.Repeat("\x00", 100)},
		{"cut in a string", text[:strings.Index(text, "Coach <b>")+3]},
		{"cut after a comma", text[:strings.Index(text, ",")+1]},
		{"cut in a literal", text[:strings.LastIndex(text, "true")+2]},
		{"last brace missing", strings.TrimSuffix(text, "}\n")},
		{"git conflict", in("  \"serial\": 7,\n",
			"<<<<<<< HEAD\n  \"serial\": 7,\n=======\n  \"serial\": 8,\n>>>>>>> other\n")},
		{"half-resolved git conflict", in("  \"serial\": 7,\n", "  \"serial\": 8,\n>>>>>>> other\n")},
		{"newer version", in(`"version": 1`, `"version": 2`)},
		{"newer version with new members", `{"version": 3, "lineage": "l", "agents": [], "more": {}}`},
		{"version 0", in(`"version": 1`, `"version": 0`)},
		{"version as text", in(`"version": 1`, `"version": "1"`)},
		{"Terraform", `{"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "x", "resources": []}`},
		{"an array", `[{"uid": "x"}]`},
		{"another object", `{"name": "package", "version": "1.0.0"}`},
		{"no JSON", "apiVersion: v1\n"},
		{"binary", "\x1f\x8b\x08\x00\x00"},
		{"byte order mark", "\ufeff" + text},
		{"no lineage", in("  \"lineage\": \"0123456789abcdef0123456789abcdef\",\n", "")},
		{"empty lineage", in("0123456789abcdef0123456789abcdef", "")},
		{"negative serial", in(`"serial": 7`, `"serial": -7`)},
		{"fractional serial", in(`"serial": 7`, `"serial": 7.5`)},
		{"huge serial", in(`"serial": 7`, `"serial": 18446744073709551616`)},
		{"serial twice", in(`"serial": 7`, `"serial": 7, "serial": 8`)},
		{"unknown member", in(`"serial": 7`, `"serial": 7, "comment": "mine"`)},
		{"unknown member of an agent", in(`"protect": true`, `"protected": true`)},
		{"agent twice", in(`"mindset/acme/coach"`, `"mindset/acme/adopted"`)},
		{"uid twice", in(`"plain"`, `"C0ffee"`)},
		{"uid is another's obsolete one", in(`"plain"`, `"old-2"`)},
		{"no uid", agentOf(`"applied": {}`)},
		{"empty uid", agentOf(`"uid": ""`)},
		{"null uid", agentOf(`"uid": null`)},
		{"bad app", in(`"mindset/acme": {`, `"mindset/ac/me": {`)},
		{"app twice", in(`"mindset/acme": {`, `"cometchat/2754abc": {`)},
		{"unknown member of an app", in(`"keyEnv"`, `"apiKeyEnv"`)},
		{"bad address", in(`"mindset/acme/coach"`, `"mindset/acme/Coach"`)},
		{"applied is text", agentOf(`"uid": "u", "applied": "x"`)},
		{"applied is null", agentOf(`"uid": "u", "applied": null`)},
		{"member of applied twice", agentOf(`"uid": "u", "applied": {"a": {"x": 1, "b": 2, "x": 3}}`)},
		{"member of applied twice, escaped", agentOf(`"uid": "u", "applied": {"a": 1, "\u0061": 2}`)},
		{"protect is text", agentOf(`"uid": "u", "protect": "yes"`)},
		{"protect is null", agentOf(`"uid": "u", "protect": null`)},
		{"trailing comma", in("\"protect\": true\n", "\"protect\": true,\n")},
		{"missing comma", in(`"serial": 7,`, `"serial": 7`)},
		{"text after the end", text + "{}"},
		{"raw newline in a string", in("C0ffee", "C0\nffee")},
		{"bad escape", in("C0ffee", `C0\xffee`)},
		{"not UTF-8", in("C0ffee", "C0\xff\xfe")},
		{"number with leading zero", agentOf(`"uid": "u", "applied": {"a": 01}`)},
		{"number without digits", agentOf(`"uid": "u", "applied": {"a": 1.}`)},
		{"number out of range", agentOf(`"uid": "u", "applied": {"a": 1e999}`)},
		{"deep nesting", agentOf(`"uid": "u", "applied": {"a": ` + strings.Repeat("[", 100_000))},
		{"stray brace", text[:len(text)-2] + "]\n"},
	}
}

func TestDecodeRefuses(t *testing.T) {
	var b strings.Builder
	for _, c := range badStates(t) {
		_, err := state.Decode("conf/state.json", []byte(c.content))
		var format *state.FormatError
		if !errors.As(err, &format) {
			t.Errorf("%s: got %v, want a *FormatError", c.name, err)
			continue
		}
		if format.Hint == "" {
			t.Errorf("%s: the error has no way back: %v", c.name, err)
		}
		hint, _, _ := strings.Cut(format.Hint, "\n")
		fmt.Fprintf(&b, "# %s\n%s [%s]\nhint: %s\n", c.name, err, format.Reason, hint)
	}
	golden(t, "bad.golden", []byte(b.String()))
}

// TestDecodeTidiesUp reads a file that a person edited: other order, other spacing, other spellings
// of the same values come out as agentsync writes them.
func TestDecodeTidiesUp(t *testing.T) {
	edited := `{"agents": {
		"mindset/acme/a": {"applied": {"z": 1.0, "a": {"y": "\u0061\/", "b": 1e2}}, "uid": "u"}},
	"lineage": "l", "serial": 3, "version": 1}`
	s, err := state.Decode("state.json", []byte(edited))
	if err != nil {
		t.Fatal(err)
	}
	want := &state.State{Serial: 3, Lineage: "l", Agents: agents{
		addr("a"): {UID: "u", Applied: agent.Doc(`{"a":{"b":100,"y":"a/"},"z":1}`)}}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	crlf := strings.ReplaceAll(edited, "\n", "\r\n")
	if s2, err := state.Decode("state.json", []byte(crlf)); err != nil || !cmp.Equal(s, s2) {
		t.Errorf("with CRLF: %v", err)
	}
}

// corpus returns the files of testdata that match the pattern, of which there must be some.
func corpus(t testing.TB, pattern string) [][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no seeds match %s: %v", pattern, err)
	}
	var files [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	return files
}

func FuzzDecodeState(f *testing.F) {
	for _, b := range corpus(f, "*.json") {
		f.Add(b)
	}
	bad := badStates(f)
	if len(bad) < 40 {
		f.Fatalf("only %d bad seeds", len(bad))
	}
	for _, c := range bad {
		if len(c.content) < 10_000 {
			f.Add([]byte(c.content))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := state.Decode("state.json", b)
		if err != nil {
			var format *state.FormatError
			if !errors.As(err, &format) || format.Hint == "" || format.Offset > len(b) {
				t.Fatalf("not a good error: %#v", err)
			}
			return
		}
		once, err := s.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := state.Decode("state.json", once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Fatalf("reading, writing and reading changes the state:\n%s", diff)
		}
		for a, r := range s.Agents {
			checkCanonical(t, a, r.Applied)
			checkCanonical(t, a, r.Observed)
		}
	})
}

// checkCanonical checks that a document is as agent.Encode would write it.
func checkCanonical(t *testing.T, a agent.Address, d agent.Doc) {
	t.Helper()
	if d == nil {
		return
	}
	f, err := d.Fields()
	if err != nil {
		t.Fatalf("%s: %v: %s", a, err, d)
	}
	if want, err := agent.Encode(f); err != nil || string(want) != string(d) {
		t.Fatalf("%s: not canonical: %s, want %s (%v)", a, d, want, err)
	}
}
