package platform

import (
	"encoding/json"
	"fmt"
	"html"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of what an error shows of an answer, in characters.
const (
	maxCode    = 80
	maxMessage = 500
)

// explain returns the code and the sentence that an answer gives for its status, or a plain sentence
// about what it gives instead. Both envelopes of the platforms' references are read:
// {"error": {"code", "message"}} and {"statusCode", "message", "error"}. It reports whether they are the
// platform's own words.
func explain(resp *http.Response, body []byte, r redactor) (code, message string, own bool) {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return "", "the answer redirects elsewhere, which is not followed", false
	}
	code, message = envelope(body)
	own = code != "" || message != ""
	if !own {
		message = describe(resp.Header, body)
	}
	// Redacted both before and after: tidying can bring a secret's spelling back, and cutting comes last.
	code, message = r.redact(tidy(r.redact(code))), r.redact(tidy(r.redact(message)))
	return cut(code, maxCode), cut(message, maxMessage), own
}

// envelope reads a JSON error, returning nothing where the body is none.
func envelope(body []byte) (code, message string) {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Code    any             `json:"code"`
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &e) != nil {
		return "", ""
	}
	var inner struct {
		Code    any             `json:"code"`
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(e.Error, &inner) == nil && (inner.Code != nil || inner.Message != nil) {
		return scalar(inner.Code), sentences(inner.Message)
	}
	message = sentences(e.Message)
	if message == "" {
		message = sentences(e.Detail)
	}
	if message == "" {
		message = sentences(e.Error)
	}
	return scalar(e.Code), message
}

// sentences reads a string or a list of them.
func sentences(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var many []string
	_ = json.Unmarshal(raw, &many) // anything else is no sentence
	return strings.Join(many, "; ")
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return fmt.Sprint(v)
	}
	return ""
}

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// describe says in plain words what a body without an envelope is.
func describe(h http.Header, body []byte) string {
	text := strings.TrimSpace(string(body))
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case text == "":
		return "an empty body"
	case kind == "text/html" || strings.HasPrefix(strings.ToLower(text), "<!doctype html") || strings.HasPrefix(strings.ToLower(text), "<html"):
		if m := title.FindStringSubmatch(text); m != nil && strings.TrimSpace(m[1]) != "" {
			return fmt.Sprintf("an HTML page titled '%s'", html.UnescapeString(strings.TrimSpace(m[1])))
		}
		return "an HTML page"
	case !utf8.ValidString(text):
		return fmt.Sprintf("%d bytes that are no text", len(body))
	case text[0] == '{' || text[0] == '[':
		return "JSON that names no error"
	default:
		return text
	}
}
