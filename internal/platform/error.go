package platform

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"agentsync/internal/httpx"
	"agentsync/internal/secret"
)

// Class says what became of a request.
type Class int

const (
	// Done: the platform did it.
	Done Class = iota
	// Refused: it was certainly not done and asking again would not help. Any 4xx but 408, 409, 425, 429 and
	// 499; or the request certainly never left this machine; or the platform asks to wait longer than
	// httpx.MaxWait.
	Refused
	// Throttled: it was certainly not done; wait, then ask again. Status 429, and 503 with Retry-After.
	Throttled
	// Unknown: it may or may not have been done. Everything else: time-outs, resets, redirects, 5xx, the other
	// 4xx, and a 2xx whose body does not say what it must: one that is cut, no JSON, or an error.
	Unknown
)

// String returns the class in lower case.
func (c Class) String() string {
	return [...]string{"done", "refused", "throttled", "unknown"}[c]
}

// classify says what became of a request, as far as the answer's status tells. It is the one place that decides:
// what is not known to be done or not done is unknown.
func classify(status int, h http.Header) Class {
	switch {
	case status >= 200 && status < 300:
		return Done // if the body agrees
	case httpx.Throttled(status, h):
		return Throttled
	case status < 400 || status >= 500:
		return Unknown
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, statusClientClosed:
		return Unknown // each may be said of a request that is still being worked on, or that was
	}
	return Refused
}

// statusClientClosed is what proxies of the nginx family answer where they gave up: what became of the request
// behind them they do not know.
const statusClientClosed = 499

// Subject is what an error finds fault with. Where a platform's code says it, the status is of no account.
type Subject int

const (
	// SubjectUnsaid leaves it to the status.
	SubjectUnsaid Subject = iota
	// SubjectKey is the API key, or the app that it should belong to: no other request goes better.
	SubjectKey
	// SubjectRequest is what this request asked for; the key is good.
	SubjectRequest
)

// Error is what went wrong with one request. Its text names the request's method, path and status
// and never holds the API key, a secret or a query string; text from the platform in it is bounded
// and free of control characters.
type Error struct {
	Class  Class
	Method string
	// Path is the URL's path, without host and query.
	Path string
	// Status is the HTTP status, or 0 where no answer came.
	Status int
	// Code is the platform's own error code (ERR_AGENT_NOT_FOUND), or empty.
	Code string
	// Message is what the platform said: its own sentence, or one that describes what it answered. It is empty
	// where no answer came, and where a JSON answer without an error in it is not what was asked for.
	Message string
	// NoSuchAgent reports that the platform itself says, in its own words, that it has no such agent.
	NoSuchAgent bool
	// Subject is what the platform's own code finds fault with, where that is known.
	Subject Subject
	// OwnWords reports that Code or Message stand in an error envelope of the answer. Where it is false
	// Message describes what the answer was instead: an HTML page, an empty body, a list.
	OwnWords bool
	// RetryAfter is how long the platform asks to wait, or 0 where it does not say.
	RetryAfter time.Duration
	// NeverSent reports that no byte of the request left this machine (refused connection, unknown
	// host, failed TLS handshake).
	NeverSent bool
	// Stale reports, of a request that was NeverSent, that it got a connection from before, which the platform had
	// closed: on another one it may do well.
	Stale bool
	// SentAt is when the request left, by this machine's clock: after all waiting for the pace and for a
	// connection. Zero where that is not known.
	SentAt time.Time
	// Err is the cause where no answer came or it could not be read, or nil.
	Err error
}

// Error returns one line: "POST /v3/ai-agents/agents: 400 Bad Request: ERR_TOOL_NOT_FOUND: …".
func (e *Error) Error() string {
	s := e.Method + " " + e.Path
	if e.Status != 0 {
		s += ": " + statusLine(e.Status)
	}
	if e.Code != "" {
		s += ": " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is lets errors.Is tell the conditions below.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrKeyRefused:
		return e.Subject == SubjectKey || e.Subject == SubjectUnsaid && (e.Status == 401 || e.Status == 403)
	case ErrNotFound:
		return e.Status == 404
	case ErrNoSuchAgent:
		return e.NoSuchAgent
	case ErrConflict:
		return e.Status == http.StatusConflict && e.OwnWords
	}
	return false
}

var (
	// ErrKeyRefused matches an *Error whose code, or else status, says that the API key is wrong or lacks access.
	ErrKeyRefused = errors.New("the platform refused the API key")
	// ErrNotFound matches an *Error of status 404, whoever answered it: a mistyped endpoint does so for
	// everything.
	ErrNotFound = errors.New("not found")
	// ErrNoSuchAgent matches an *Error in which the platform says in its own words that it has no such agent.
	ErrNoSuchAgent = errors.New("the platform knows no such agent")
	// ErrConflict matches an *Error of status 409 in which the platform says in its own words that the request
	// conflicts with what is there. It may have been carried out all the same: a gateway answers so to its repetition.
	ErrConflict = errors.New("the request conflicts with what is there")
)

// ClassOf returns the class of the outcome that err stands for: Done for nil, Unknown for an error
// that is not an *Error.
func ClassOf(err error) Class {
	if err == nil {
		return Done
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Unknown
}

func statusLine(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprintf("%d", status)
}

// Bounds of what an error shows of an answer, in characters.
const (
	maxCode    = 80
	maxMessage = 500
)

// explainAnswer returns the code and the sentence that an answer gives for its status, or a plain sentence
// about what it gives instead. Both envelopes of the platforms' references are read:
// {"error": {"code", "message"}} and {"statusCode", "message", "error"}. It reports whether they are the
// platform's own words. An answer of status 2xx that is JSON and no error envelope needs no explanation of its own.
func explainAnswer(resp *http.Response, a Answer, r redactor) (code, message string, own bool) {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		message = "the answer redirects elsewhere, which is not followed"
		if to, err := resp.Location(); err == nil && to.Host != "" {
			// Without its query, in which sign-in pages get their tokens.
			to = &url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}
			message = fmt.Sprintf("the answer redirects to %s, which is not followed", to)
		}
		return "", r.plainText(message, maxMessage), false
	}
	done, body := resp.StatusCode < 300, withoutByteOrderMark(a.Body)
	if !done || isRefusal(body) {
		code, message = readEnvelope(body)
	}
	own = code != "" || message != ""
	if !own && !(done && json.Valid(body)) {
		message = describeBody(resp.Header, body, done)
	}
	return r.plainText(code, maxCode), r.plainText(message, maxMessage), own
}

// isRefusal reports whether a body is an error envelope: an object with an error, an "errors", a status that is one,
// or that says of itself that it is no success.
func isRefusal(body []byte) bool {
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
	return holdsError(e.Error) || holdsError(e.Errors) || e.Success == false || status >= 400 ||
		e.Data != nil && e.Data.Success == false
}

// holdsError reports whether a member that is there for errors holds one.
func holdsError(v any) bool {
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

// readEnvelope reads a JSON error, returning nothing where the body is none.
func readEnvelope(body []byte) (code, message string) {
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
		return scalarText(inner.Code), sentencesOf(inner.Message)
	}
	for _, said := range []json.RawMessage{e.Message, e.Detail, e.Error, e.Errors, e.Title} {
		if message = sentencesOf(said); message != "" {
			break
		}
	}
	return scalarText(e.Code), message
}

// sentencesOf reads a string, a list of them, or a list of objects that each hold one.
func sentencesOf(raw json.RawMessage) string {
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

func scalarText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return fmt.Sprint(v)
	}
	return ""
}

var htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// maxShown bounds what is shown of a JSON answer that names no error, in bytes.
const maxShown = 200

// describeBody says in plain words what a body without an envelope is. Of an answer that should have been agents it
// shows no JSON: agents hold secrets, also of others than the one that was asked about.
func describeBody(h http.Header, body []byte, done bool) string {
	text := string(body)
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	lower := strings.ToLower(text[:min(len(text), len("<!doctype html"))])
	switch coding := h.Get("Content-Encoding"); {
	case text == "":
		return "an empty body"
	case coding != "" && !strings.EqualFold(coding, "identity"):
		return fmt.Sprintf("a body in the coding %q, which was not asked for", coding)
	case kind == "text/html" || strings.HasPrefix(lower, "<!doctype html") || strings.HasPrefix(lower, "<html"):
		if m := htmlTitle.FindStringSubmatch(text); m != nil && strings.TrimSpace(m[1]) != "" {
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

// redactor takes secrets out of text: those of the run, as wholes, and those of the request itself, eight characters
// of them and more.
type redactor struct{ run, own *secret.Finder }

// hideSecrets returns text without the secrets, in any of the spellings in which a server may echo them.
func (r redactor) hideSecrets(text string) string { return r.own.Hide(r.run.Hide(text)) }

// plainText makes text from a platform fit to be shown: free of secrets, in one line, and n characters at the most. It
// is redacted both before and after it is made tidy, which can bring a secret's spelling back, and cut last.
func (r redactor) plainText(text string, n int) string {
	return cutText(r.hideSecrets(tidyLine(r.hideSecrets(text))), n)
}

// plainError returns err with its text made plain. Its cause can still be asked for.
func (r redactor) plainError(err error) error {
	return hiddenError{text: r.plainText(err.Error(), maxMessage), cause: err}
}

// tidyLine makes text from a platform fit for one line of a terminal, a log or a comment: white space
// becomes single spaces, and every other character that does not print becomes U+FFFD.
func tidyLine(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, strings.Join(strings.Fields(text), " "))
}

// cutText shortens text to n characters at the most.
func cutText(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// hiddenError is an error whose text went through a redactor. Its cause can still be asked for by
// errors.Is and errors.As.
type hiddenError struct {
	text  string
	cause error
}

func (h hiddenError) Error() string { return h.text }

func (h hiddenError) Unwrap() error { return h.cause }
