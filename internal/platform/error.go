package platform

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"agentsync/internal/httpx"
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
	// OwnWords reports that Code or Message stand in an error envelope of the answer. Where it is false
	// Message describes what the answer was instead: an HTML page, an empty body, a list.
	OwnWords bool
	// RetryAfter is how long the platform asks to wait, or 0 where it does not say.
	RetryAfter time.Duration
	// NeverSent reports that no byte of the request left this machine (refused connection, unknown
	// host, failed TLS handshake).
	NeverSent bool
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
		return e.Status == 401 || e.Status == 403
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
	// ErrKeyRefused matches an *Error whose status says that the API key is wrong or lacks access.
	ErrKeyRefused = errors.New("the platform refused the API key")
	// ErrNotFound matches an *Error of status 404, whoever answered it: a mistyped endpoint does so for
	// everything.
	ErrNotFound = errors.New("not found")
	// ErrNoSuchAgent matches an *Error in which the platform says in its own words that it has no such agent.
	ErrNoSuchAgent = errors.New("the platform knows no such agent")
	// ErrConflict matches an *Error of status 409 in which the platform says in its own words that the request conflicts
	// with what is there. It may have been carried out all the same: a gateway answers so to its repetition.
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
