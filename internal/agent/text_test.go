package agent

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzAppendString holds AppendString to what encoding/json writes.
func FuzzAppendString(f *testing.F) {
	for c := range rune(0x21) {
		f.Add("a" + string(c) + "z")
	}
	for _, s := range []string{"", `"\`, "<a href='x'>&</a>", "\u2028\u2029\u2030", "é🙂", "\x7f", "\xff\xc3",
		"a\xe2\x80",
		"\ufffd", "line\r\nline"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return // nothing that is read lets it through
		}
		var want strings.Builder
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			t.Fatal(err)
		}
		got := string(AppendString(nil, s))
		if w := strings.TrimSuffix(want.String(), "\n"); got != w {
			t.Errorf("%q: got %s, encoding/json writes %s", s, got, w)
		}
	})
}
