package platform

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"agentsync/internal/secret"
)

// redactor takes secrets out of text: those of the run, as wholes, and those of the request itself, eight characters
// of them and more.
type redactor struct{ run, own *secret.Finder }

// redact returns text without the secrets, in any of the spellings in which a server may echo them.
func (r redactor) redact(text string) string { return r.own.Hide(r.run.Hide(text)) }

// plain makes text from a platform fit to be shown: free of secrets, in one line, and n characters at the most. It is
// redacted both before and after it is made tidy, which can bring a secret's spelling back, and cut last.
func (r redactor) plain(text string, n int) string { return cut(r.redact(tidy(r.redact(text))), n) }

// error returns err with its text made plain. Its cause can still be asked for.
func (r redactor) error(err error) error {
	return hidden{text: r.plain(err.Error(), maxMessage), cause: err}
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
