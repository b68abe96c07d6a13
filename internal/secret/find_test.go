package secret_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"agentsync/internal/secret"
)

// token holds what every coding treats in its own way.
const token = `kA9/x+Zq==&"w<7\t%3`

// spellings are ways in which a server may echo s, each by its name.
func spellings(s string) map[string]string {
	quoted, _ := json.Marshal(s)
	inner := strings.Trim(string(quoted), `"`)
	numbered := ""
	for _, r := range s {
		numbered += fmt.Sprintf(`\u%04X`, r)
	}
	return map[string]string{
		"itself": s, "upper case": strings.ToUpper(s), "lower case": strings.ToLower(s), "JSON": inner,
		"PHP's JSON":   strings.ReplaceAll(inner, "/", `\/`),
		"JSON in JSON": strings.ReplaceAll(strings.ReplaceAll(inner, `\`, `\\`), `"`, `\"`),
		"by number":    numbered, "query": url.QueryEscape(s), "path": url.PathEscape(s),
		"query in lower case": strings.ToLower(url.QueryEscape(s)), "query twice": url.QueryEscape(url.QueryEscape(s)),
		"query that keeps /": strings.ReplaceAll(url.QueryEscape(s), "%2F", "/"), "HTML": html.EscapeString(s),
		"HTML by number":  strings.ReplaceAll(strings.ReplaceAll(html.EscapeString(s), "/", "&#x2F;"), "=", "&#61;"),
		"HTML in JSON":    strings.ReplaceAll(html.EscapeString(inner), "/", `\/`),
		"base64":          base64.StdEncoding.EncodeToString([]byte(s)),
		"base64, one on":  base64.StdEncoding.EncodeToString([]byte("u" + s + "x")),
		"base64, two on":  base64.StdEncoding.EncodeToString([]byte("u:" + s)),
		"base64 of a URL": base64.URLEncoding.EncodeToString([]byte("u:" + s)),
		"hex":             hex.EncodeToString([]byte(s)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(s))),
		"with spaces":       s[:5] + " \n " + s[5:],
		"base64 in a query": url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("u:" + s))),
	}
}

func TestFinderFindsEverySpelling(t *testing.T) {
	for kind, f := range map[string]*secret.Finder{"whole": secret.Whole("another-one", "Bearer "+token),
		"parts": secret.Parts("Bearer " + token)} {
		t.Run(kind, func(t *testing.T) {
			for name, spelled := range spellings(token) {
				text := `{"message": "sent <` + spelled + `> to /v3"}`
				got := f.Hide(text)
				if !strings.HasPrefix(got, `{"message": "sent <`) || !strings.HasSuffix(got, `> to /v3"}`) ||
					!strings.Contains(got, secret.Placeholder) {
					t.Errorf("%s is hidden as %s", name, got)
				}
				// What base64 shows of a secret's neighbours may stay.
				if rest := strings.Replace(got, secret.Placeholder, "",
					1); len(rest) > len(`{"message": "sent <> to /v3"}`)+8 {
					t.Errorf("of %s %s is left", name, rest)
				}
				if !f.In(text) {
					t.Errorf("%s is not found", name)
				}
			}
		})
	}
}

func TestFinderLeavesOtherTextAlone(t *testing.T) {
	f := secret.Parts("Bearer "+token, "https://user:hunter22@db.corp/x")
	for _, text := range []string{
		"", "Bearer", "the Bearer is missing", "see https://docs.example.org/%20x &amp; \\n", "%", "\\", "\\u00",
		"100% &c;",
		"Zoë\xff",
		`{"icon": "https://cdn.example.net/a.png"}`,
	} {
		if got := f.Hide(text); got != text || f.In(text) {
			t.Errorf("%q is hidden as %q", text, got)
		}
	}
	var none *secret.Finder
	if none.Hide("x") != "x" || none.In("x") || secret.Whole().In("x") ||
		secret.Whole("", "ab").Hide("ab abc") != "ab abc" {
		t.Error("a finder of nothing finds something")
	}
}

// A secret is found from three characters on, and where up to six codings stand in one another.
func TestLimitsOfAFinder(t *testing.T) {
	coded := func(n int) string { return "%" + strings.Repeat("25", n-1) + "73k_live_4f9a" }
	for text, found := range map[string]bool{
		"ab": false, "abc": true, "abcd": true, coded(5): true, coded(6): true, coded(7): false,
	} {
		t.Run(text, func(t *testing.T) {
			what := text
			if strings.HasPrefix(text, "%") {
				what = "sk_live_4f9a"
			}
			if got := secret.Whole(what).Hide("say " + text + "."); (got == "say (secret).") != found {
				t.Errorf("it is shown as %q", got)
			}
		})
	}
}

func TestFinderOfParts(t *testing.T) {
	const s = "sk_live_4f9a8b7c6d5e"
	parts, whole := secret.Parts(s), secret.Whole(s)
	for text, want := range map[string]string{
		"the key sk_live_4f… is unknown":                  "the key (secret)… is unknown",
		"ends in 7c6d5e":                                  "ends in 7c6d5e", // six characters
		"ends in 8b7c6d5e":                                "ends in (secret)",
		"Ends In 8B7C6D5E!":                               "Ends In (secret)!",
		"sk_live_4f9a8b7c6d5e twice sk_live_4f9a8b7c6d5e": "(secret) twice (secret)",
	} {
		t.Run(text, func(t *testing.T) {
			if got := parts.Hide(text); got != want {
				t.Errorf("%s", got)
			}
			if strings.Contains(text, s) == (whole.Hide(text) == text) {
				t.Errorf("whole: %s: %s", text, whole.Hide(text))
			}
		})
	}
	// Short ones are hidden where they stand as they are, and nothing is sealed for their sake.
	pin := secret.Parts("4711")
	if got := pin.Hide("PIN 4711 is wrong"); got != "PIN (secret) is wrong" || pin.In("PIN 4711 is wrong") {
		t.Errorf("a short secret: %s", got)
	}
}

// The quick look misses nothing that the long one finds.
func TestFinderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[A-Za-z0-9/=&"<._-]{8,40}`).Draw(t, "secret")
		f := secret.Whole(s)
		all := spellings(s)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			spelled := all[name]
			text := rapid.StringMatching(`[a-z {}":]{0,10}`).Draw(t, "before") + spelled +
				rapid.StringMatching(`[ }"]{0,10}`).Draw(t, "behind")
			if hidden := f.Hide(text) != text; hidden != f.In(text) {
				t.Fatalf("%s of %q in %q: hidden %v, found %v", name, s, text, hidden, f.In(text))
			}
		}
		if !f.In("x " + s + " y") {
			t.Fatalf("%q is not found", s)
		}
	})
}

func BenchmarkFinderIn(b *testing.B) {
	var secrets []string
	for i := range 10_000 {
		secrets = append(secrets, fmt.Sprintf("Bearer tok-%05d-%x", i, i*7919*7919*7919))
	}
	f := secret.Whole(secrets...)
	text := strings.Repeat(`{"name":"Agent","icon":"https://cdn.example.com/bot.png",`+
		`"metaData":{"greetingMessage":"Hello\n"}}`, 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if f.In(text) {
			b.Fatal("found")
		}
	}
}
