package agent

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzEncodeString holds encodeString to what encoding/json writes.
func FuzzEncodeString(f *testing.F) {
	for c := range rune(0x21) {
		f.Add("a" + string(c) + "z")
	}
	for _, s := range []string{"", `"\`, "<a href='x'>&</a>", "\u2028\u2029\u2030", "é🙂", "\x7f", "\xff\xc3", "a\xe2\x80", "\ufffd", "line\r\nline"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want strings.Builder
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		encodeString(&got, s)
		if w := strings.TrimSuffix(want.String(), "\n"); got.String() != w {
			t.Errorf("%q: got %s, encoding/json writes %s", s, got.String(), w)
		}
	})
}
