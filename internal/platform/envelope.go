package platform

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"mime"
	"net/http"
	"regexp"
	"slices"
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
// platform's own words. An answer of status 2xx that is JSON and no error envelope needs no explanation of its own.
func explain(resp *http.Response, a Answer, r redactor) (code, message string, own bool) {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return "", "the answer redirects elsewhere, which is not followed", false
	}
	done, body := resp.StatusCode < 300, withoutMark(a.Body)
	if !done || refuses(body) {
		code, message = envelope(body)
	}
	own = code != "" || message != ""
	if !own && !(done && json.Valid(body)) {
		message = describe(resp.Header, body, done)
	}
	return r.plain(code, maxCode), r.plain(message, maxMessage), own
}

// refuses reports whether a body is an error envelope: an object with an error, an "errors", a status that is one,
// or that says of itself that it is no success.
func refuses(body []byte) bool {
	var e struct {
		Error      any `json:"error"`
		Errors     any `json:"errors"`
		Success    any `json:"success"`
		StatusCode any `json:"statusCode"`
		Data       *struct {
			Success any `json:"success"`
		} `json:"data"`
	}
	if len(body) > maxErrorBody || json.Unmarshal(body, &e) != nil {
		return false
	}
	status, _ := e.StatusCode.(float64)
	return says(e.Error) || says(e.Errors) || e.Success == false || status >= 400 || e.Data != nil && e.Data.Success == false
}

// says reports whether a member that is there for errors holds one.
func says(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0
	case []any:
		return len(v) > 0
	}
	return true
}

// withoutMark returns body without the byte order mark that some servers put before it, and the white space.
func withoutMark(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
}

// envelope reads a JSON error, returning nothing where the body is none.
func envelope(body []byte) (code, message string) {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
		Code    any             `json:"code"`
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
		Title   json.RawMessage `json:"title"`
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
	for _, said := range []json.RawMessage{e.Message, e.Detail, e.Error, e.Errors, e.Title} {
		if message = sentences(said); message != "" {
			break
		}
	}
	return scalar(e.Code), message
}

// sentences reads a string, a list of them, or a list of objects that each hold one.
func sentences(raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var many []json.RawMessage
	_ = json.Unmarshal(raw, &many) // anything else is no sentence
	var all []string
	for _, m := range many {
		var object struct{ Message, Msg, Detail, Title string }
		switch {
		case json.Unmarshal(m, &one) == nil:
			all = append(all, one)
		case json.Unmarshal(m, &object) == nil:
			all = append(all, cmp.Or(object.Message, object.Msg, object.Detail, object.Title))
		}
	}
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "; ")
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

// maxShown bounds what is shown of a JSON answer that names no error, in bytes.
const maxShown = 200

// describe says in plain words what a body without an envelope is. Of an answer that should have been agents it
// shows no JSON: agents hold secrets, also of others than the one that was asked about.
func describe(h http.Header, body []byte, done bool) string {
	text := string(body)
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	lower := strings.ToLower(text[:min(len(text), len("<!doctype html"))])
	switch coding := h.Get("Content-Encoding"); {
	case text == "":
		return "an empty body"
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return fmt.Sprintf("a body in the coding %q, which was not asked for", coding)
	case kind == "text/html" || strings.HasPrefix(lower, "<!doctype html") || strings.HasPrefix(lower, "<html"):
		if m := title.FindStringSubmatch(text); m != nil && strings.TrimSpace(m[1]) != "" {
			return fmt.Sprintf("an HTML page titled '%s'", html.UnescapeString(strings.TrimSpace(m[1])))
		}
		return "an HTML page"
	case !utf8.ValidString(text):
		return fmt.Sprintf("%d bytes that are no text", len(body))
	case done && (text[0] == '{' || text[0] == '['):
		return "what begins like JSON and is none"
	case json.Valid(body) && (text[0] == '{' || text[0] == '['):
		return "JSON that names no error: " + strings.ToValidUTF8(text[:min(len(text), maxShown)], "")
	default:
		return text
	}
}
