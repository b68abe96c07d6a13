package endpoint

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for raw, want := range map[string]string{
		"https://gateway.example.com/v3":     "https://gateway.example.com/v3",
		"https://Gateway.Example.com/V3/":    "https://gateway.example.com/V3",
		"https://{app}.gateway.example.com":  "https://acme.gateway.example.com",
		"https://xn--bnk-6cd.example:8443":   "https://xn--bnk-6cd.example:8443",
		"http://localhost:8080":              "http://localhost:8080",
		"http://127.0.0.1:8080/v3":           "http://127.0.0.1:8080/v3",
		"http://[::1]:8080":                  "http://[::1]:8080",
		"":                                   "is not a URL",
		"gateway.example.com":                "is not a URL",
		"https://":                           "is not a URL",
		"ftp://gateway.example.com":          "is not a URL",
		"https:gateway.example.com":          "is not a URL",
		"https://gate way.example.com":       "is not a URL",
		"http://127.0.0.1.example.com":       "is plain http",
		"http://localhost.example.com":       "is plain http",
		"http://example.com":                 "is plain http",
		"https://u@example.com":              "holds a user name",
		"https://example.com/?":              "holds a query",
		"https://example.com/?a=b":           "holds a query",
		"https://example.com/#":              "holds a fragment",
		"https://b\u0430nk.example":          "write it as xn--bnk-6cd.example",
		"https://b\u00fccher.example/v3":     "write it as xn--bcher-kva.example",
		"https://\u4ed6\u4eec.example":       "write it as xn--8mqxb.example",
		"https://b%C3%BCcher.example":        "write it as xn--bcher-kva.example",
		"https://example.com\u3002evil.test": "not in plain ASCII",
	} {
		t.Run(raw, func(t *testing.T) {
			got := ""
			u, err := Parse(raw, "acme")
			if err != nil {
				got = err.Error()
			} else {
				got = u.String()
			}
			if got != want && (err == nil || !strings.Contains(got, want)) {
				t.Errorf("%s; want %s", got, want)
			}
		})
	}
}

// TestPunycode holds the encoder against examples of RFC 3492, section 7.1.
func TestPunycode(t *testing.T) {
	for label, want := range map[string]string{
		"\u0644\u064a\u0647\u0645\u0627\u0628\u062a\u0643" +
			"\u0644\u0645\u0648\u0634\u0639\u0631\u0628\u064a\u061f": "egbpdaj6bu4bxfgehfvwxn",
		"\u4ed6\u4eec\u4e3a\u4ec0\u4e48\u4e0d\u8bf4\u4e2d\u6587": "ihqwcrb4cv8a8dqg056pqjye",
		"3\u5e74b\u7d44\u91d1\u516b\u5148\u751f":                 "3b-ww4c5e180e575a65lsy2b",
		"\u305d\u306e\u30b9\u30d4\u30fc\u30c9\u3067":             "d9juau41awczczp",
	} {
		t.Run(label, func(t *testing.T) {
			if got := punycode([]rune(label)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
