package platform

import (
	"cmp"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"agentsync/internal/secret"
)

// wordLength is from how many characters on a part of a secret is a secret itself: of "Bearer abc…"
// a server may echo the part behind the space.
const wordLength = 8

// redactor takes secrets out of text.
type redactor struct{ secrets []string }

// redact returns text without the secrets, in any of the spellings in which a server may echo them.
func (r redactor) redact(text string) string {
	var forms []string
	for _, s := range r.secrets {
		for _, part := range append([]string{s}, longWords(s)...) {
			forms = append(forms, spellings(part)...)
		}
	}
	slices.SortFunc(forms, func(a, b string) int { // the longest first, so that no rest is left
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	var pairs []string
	for _, f := range slices.Compact(forms) {
		if f != "" {
			pairs = append(pairs, f, secret.Placeholder)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func longWords(s string) []string {
	return slices.DeleteFunc(strings.Fields(s), func(w string) bool { return len(w) < wordLength })
}

func spellings(s string) []string {
	asJSON, _ := json.Marshal(s) // a string always encodes
	return []string{
		s, strings.Trim(string(asJSON), `"`), html.EscapeString(s), url.QueryEscape(s), url.PathEscape(s), tidy(s),
	}
}

// tidy makes text from a platform fit for one line of a terminal, a log or a comment: white space
// becomes single spaces, and every other character that does not print becomes U+FFFD.
func tidy(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, strings.Join(strings.Fields(text), " "))
}

// cut shortens text to n characters at the most.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// hidden is an error whose text went through a redactor. Its cause can still be asked for by
// errors.Is and errors.As.
type hidden struct {
	text  string
	cause error
}

func (h hidden) Error() string { return h.text }
func (h hidden) Unwrap() error { return h.cause }
