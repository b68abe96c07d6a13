package agent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"agentsync/internal/agent"
)

// standard is what Raw.Value must be like.
func standard(b []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil, false
	}
	_, err := dec.Token()
	return v, errors.Is(err, io.EOF)
}

func FuzzRaw(f *testing.F) {
	for _, s := range []string{
		``, ` `, `null`, `true`, `false`, `nul`, `truex`, `0`, `-0`, `-`, `01`, `1.5e+10`, `1.`, `1e`, `.5`, `12 `,
		`"a"`,
		`"a`, `"\`,
		`"a\n\t\"\\\/\b\f\r"`, `"\u00e9\ud83d\ude00"`, `"\ud83d"`, `"\u12"`, `"\x"`, "\"a\nb\"", "\"\xff\"",
		`"é\u0000"`,
		`"\n\u00e9"`,
		`{}`, `[]`, `{"a": 1, "b": [true, null, {"c": "d"}], "a": 2}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[1 2]`,
		`{"a":1}}`, `{a:1}`,
		`[` + strings.Repeat(`[`, 300) + strings.Repeat(`]`, 300) + `]`, `{"\u0061": 1, "a": 2}`,
		`{"a": "\u00000\`, `{"a":1,"b":[null,-2,{}],"c":{"d":"é"}}`, "{\"a\":\"\u2028\"}", `{"b":1,"a":null}`,
		`[1000000000000000000000,-0]`,
		`{"a":0,"a":null}`, `{"a":null,"a":0}`, `{"a":null,"b":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, ok := agent.ReadRaw(b)
		if !ok {
			return
		}
		got := raw.Value()
		want, right := standard(b)
		if !right {
			t.Fatalf("%q was read as %v; it is no JSON", b, got)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q was read as %#v, want %#v", b, got, want)
		}
		if o, isObject := raw.Object(); isObject {
			if !reflect.DeepEqual(any(o.Map()), got) {
				t.Fatalf("%q has the members %#v", b, o)
			}
			for name, v := range o.Map() {
				if !reflect.DeepEqual(o.Value(name), v) {
					t.Fatalf("%q holds %#v as %q", b, o.Value(name), name)
				}
			}
		}
		if doc, isCanonical := raw.AppendCanonical(nil); isCanonical {
			checkCanonical(t, raw, doc)
		}
		if list, isList := raw.List(); isList {
			all := []any{}
			for _, e := range list {
				all = append(all, e.Value())
			}
			if !reflect.DeepEqual(any(all), got) {
				t.Fatalf("%q has the elements %#v", b, list)
			}
		}
	})
}

// checkCanonical holds what AppendCanonical makes of raw against Encode.
func checkCanonical(t *testing.T, raw agent.Raw, got []byte) {
	t.Helper()
	v, err := agent.Canonical(withoutNulls(raw.Value()))
	if err != nil {
		t.Fatalf("%q became %q, and is %v", raw, got, err)
	}
	want, err := agent.Encode(agent.Fields{"": v})
	if err != nil || string(want) != `{"":`+string(got)+`}` {
		t.Fatalf("%q became %q; Encode makes %s of it, %v", raw, got, want, err)
	}
}

// withoutNulls takes the null members out of objects.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			v[k] = withoutNulls(e)
		}
	case []any:
		for i, e := range v {
			v[i] = withoutNulls(e)
		}
	}
	return v
}

func TestAgentsAreReadStrictly(t *testing.T) {
	for _, s := range []string{
		`{"uid": "a", "name": "É", "live": true, "tags": ["x", "y\n"], "n": -1.5e3, "meta": {"a": {}, "b": [], "c": null}}`,
		`"\u00e9"`, ` [ 1 , 2 ] `,
	} {
		if _, ok := agent.ReadRaw([]byte(s)); !ok {
			t.Errorf("%s is refused", s)
		}
	}
}
