package platform_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/schema"
)

func load(t *testing.T, name string) *schema.Platform {
	t.Helper()
	s, err := schema.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func known(t *testing.T, text string) (agent.Fields, error) {
	t.Helper()
	v, err := platform.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o, _ := v.Object()
	return platform.KnownFields(load(t, "cometchat"), o.Map())
}

func TestKnownFields(t *testing.T) {
	for text, want := range map[string]agent.Fields{
		`{"_id": 1, "uid": "u", "instruction": "x", "name": "a"}`: {"name": "a"},
		`{"name": null, "metaData": {"a": null, "b": [null]}}`:    {"metaData": map[string]any{"b": []any{nil}}},
		`{"metaData": [], "tools": {}, "isActive": 1, "name": 12.0}`: {"metaData": map[string]any{}, "tools": []any{},
			"isActive": true, "name": "12.0"},
		`{"isActive": "false"}`: {"isActive": false},
		`{"metaData": {"n": 1.50, "m": 1e2, "big": 12345678901234567}}`: {"metaData": map[string]any{"n": json.Number("1.5"),
			"m": json.Number("100"), "big": json.Number("12345678901234567")}},
		`{"integrationMeta": {"baseUrl": "u", "headers": "tok"}}`: {"integrationMeta": map[string]any{"baseUrl": "u",
			"headers": secret.Literal("tok")}},
		`{"integrationMeta": {"headers": {"a/b": "tok", "n": 7, "x": null}}}`: {"integrationMeta": map[string]any{
			"headers": map[string]any{"a/b": secret.Literal("tok"), "n": secret.Literal("7")}}},
	} {
		t.Run(text, func(t *testing.T) {
			got, err := known(t, text)
			if err != nil || !agent.Equal(map[string]any(want), map[string]any(got)) {
				t.Errorf("%s\n got %#v, %v\nwant %#v", text, got, err, want)
			}
		})
	}
	for text, want := range map[string]string{
		`{"name": {"a": "hush"}}`:       "field name: an object where the type is string",
		`{"tools": "hush"}`:             "field tools: a string where the type is array",
		`{"isActive": 2}`:               "field isActive: a number where the type is boolean",
		`{"metaData": ["hush"]}`:        "field metaData: an array where the type is object",
		`{"metaData": {"n": 1e999999}}`: `field metaData: "1e999999" is not a finite number`,
	} {
		t.Run(text, func(t *testing.T) {
			if _, err := known(t, text); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

func TestUIDOf(t *testing.T) {
	for want, v := range map[string]any{
		"6f1e2c9a-0b7d-4a51-9c64-2f0f4f6f9a11": "6f1e2c9a-0b7d-4a51-9c64-2f0f4f6f9a11",
		"Zx81kQpLmN0vRtYw3bCd":                 "Zx81kQpLmN0vRtYw3bCd",
		"42":                                   json.Number("42"),
	} {
		t.Run(want, func(t *testing.T) {
			if got := platform.UIDOf(v); got != want {
				t.Errorf("%v: %q", v, got)
			}
		})
	}
	for _, v := range []any{nil, "", ".", "..", "a/b", "a b", "a\x1b", "a?b", "ä", true, strings.Repeat("a", 129),
		json.Number("-1")} {
		if got := platform.UIDOf(v); got != "" {
			t.Errorf("%v was taken for the uid %q", v, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	for _, v := range []any{
		"2026-01-02T03:04:05.678Z", "2026-01-02T05:04:05.678+02:00", "2026-01-02T05:04:05.678+0200",
		"2026-01-02T03:04:05.678", "2026-01-02 03:04:05.678", json.Number("1767323045678"), "1767323045678",
		json.Number("1767323045.678"), json.Number("1.767323045678e12"),
	} {
		if got := platform.ParseTime(v); !got.Equal(want) {
			t.Errorf("%v is %v, want %v", v, got, want)
		}
	}
	if got := platform.ParseTime(json.Number("1767323045")); !got.Equal(want.Truncate(time.Second)) {
		t.Errorf("seconds: %v", got)
	}
	for _, v := range []any{nil, "", "yesterday", json.Number("0"), json.Number("-5"), json.Number("1e300"), "NaN",
		true} {
		if got := platform.ParseTime(v); !got.IsZero() {
			t.Errorf("%v is %v, want no time", v, got)
		}
	}
}

func TestEncodeBody(t *testing.T) {
	fields := agent.Fields{
		"b": []any{json.Number("1"), nil, true}, "a": "<&>\u2028",
		"s": map[string]any{"y": secret.Literal("tok\"en"), "x": "1"},
	}
	got, err := platform.EncodeBody(fields)
	want := `{"a":"<&>\u2028","b":[1,null,true],"s":{"x":"1","y":"tok\"en"}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	if diff := cmp.Diff(secret.Literal("tok\"en"), fields["s"].(map[string]any)["y"],
		cmp.Comparer(func(a, b secret.Text) bool { return a == b })); diff != "" {
		t.Error("the caller's fields were changed")
	}
	if got, err := platform.EncodeBody(nil); err != nil || string(got) != "{}" {
		t.Errorf("nil fields: %s, %v", got, err)
	}
	for name, v := range map[string]any{"template": secret.Template("${secret:A}"),
		"sealed": secret.Sealed{Value: "ab"}} {
		t.Run(name, func(t *testing.T) {
			if got, err := platform.EncodeBody(agent.Fields{"f": map[string]any{"g": v}}); err == nil ||
				!strings.Contains(err.Error(), "/f/g") {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

// FuzzDecode makes sure that no answer can do more than be refused, and that what is let through can
// be stored and sent again, and holds the short way from an answer to a document against the long one.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"uid": "u", "name": "a", "metaData": {"a": [1, null, {"$secret": {}}]}, "integrationMeta": {"headers": {"a": ` +
			`"b"}}}`,
		`[{"uid": 1, "tools": {}, "isActive": "1"}]`, `{"metaData": 1e400}`, `{"name": 1e-400}`,
		`{"name": "a", "name": "b", "icon": null}`,
		`{"name": "\u0061<\u2028é", "metaData": {"b": {"y": 1.0, "x": -0}, "a": [], "n": null, "c": [{"z": null}]}, ` +
			`"isActive": true}`,
		`{"metaData": {"a": 1, "a": 2}}`, `{"metaData": {"agentsync": "0123456789ab"}}`,
		`{"metaData": {"\u0061gentsync": "0123456789ab"}}`, `{"integrationMeta": {"h\u0065aders": {"a": "b"}}}`,
		"{\"name\": \"half a \xc3\"}",
		`{"name": "a", "integrationMeta": {"baseUrl": "https://a.example", "agentId": "b"}, "tools": ["a", "b"]}`,
	} {
		f.Add([]byte(seed))
	}
	s, err := schema.Load("cometchat")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := platform.Decode(body)
		o, ok := v.Object()
		if err != nil || !ok {
			return
		}
		r, short := platform.NewRemote(s, "u", nil, o)
		if short != nil {
			t.Fatalf("the uid is lost: %v", short)
		}
		short = r.Unreadable
		fields, err := platform.KnownFields(s, o.Map())
		if (err == nil) != (short == nil) {
			t.Fatalf("NewRemote says %v, KnownFields %v", short, err)
		}
		if err != nil {
			return
		}
		fields, mark := platform.TakeMark(s, fields)
		if doc, ok := r.Content.Doc(); ok {
			if want, err := agent.Encode(fields); err != nil || string(doc) != string(want) || mark != "" {
				t.Errorf("the document is %s, want %s, %v, mark %q", doc, want, err, mark)
			}
		}
		if got := r.Content.Fields(); !agent.Equal(map[string]any(got), map[string]any(fields)) || r.Mark != mark {
			t.Errorf("read as %v, %q, want %v, %q", got, r.Mark, fields, mark)
		}
		if _, err := platform.EncodeBody(fields); err != nil {
			t.Errorf("cannot be sent again: %v", err)
		}
		if _, err := agent.Encode(fields.Seal(secret.Sealer{Key: []byte("k")})); err != nil {
			t.Errorf("cannot be stored: %v", err)
		}
	})
}
