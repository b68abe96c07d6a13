// Package reply is what the sandbox sends back: an answer, a refusal in its envelope, a page, and an answer that is
// spoiled.
package reply

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"net/http"
	"strconv"

	"agentsync/internal/sandbox/wire"
)

// Problem is a refusal. Its code is CometChat's own; a dialect without codes leaves it out.
type Problem struct {
	Status  int
	Code    string
	Message string
}

// Refused is a refusal with a code.
func Refused(status int, code, message string) *Problem { return &Problem{status, code, message} }

// BadRequest is a refusal with 400 and no code.
func BadRequest(format string, args ...any) *Problem {
	return &Problem{Status: 400, Message: fmt.Sprintf(format, args...)}
}

// As returns p with a code where it has none of its own.
func (p *Problem) As(code string) *Problem {
	if p == nil || p.Code != "" {
		return p
	}
	return &Problem{p.Status, code, p.Message}
}

// Answer puts the problem into an envelope; StatusEnvelope where it is nil.
func (p *Problem) Answer(envelope func(*Problem) any) *Answer {
	if envelope == nil {
		envelope = StatusEnvelope
	}
	return JSON(p.Status, envelope(p))
}

// StatusEnvelope is the error of services without codes, CometChat's agent service among them.
func StatusEnvelope(p *Problem) any {
	return map[string]any{"statusCode": p.Status, "message": p.Message, "error": http.StatusText(p.Status)}
}

// Answer is what goes back, before faults have had their way with it.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Type   string // the Content-Type; empty with an empty body
}

// The types of bodies.
const (
	JSONType = "application/json; charset=utf-8"
	HTMLType = "text/html; charset=utf-8"
)

// Set sets a header.
func (a *Answer) Set(name, value string) {
	if a.Header == nil {
		a.Header = http.Header{}
	}
	a.Header.Set(name, value)
}

// Write sends the first n bytes of a, under a Content-Length that promises all of them.
func (a *Answer) Write(w http.ResponseWriter, n int) {
	for k, v := range a.Header {
		w.Header()[k] = v
	}
	if a.Type != "" {
		w.Header().Set("Content-Type", a.Type)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body[:n]) // a client that went away has no use for the error
}

// Send writes the whole answer.
func (a *Answer) Send(w http.ResponseWriter) { a.Write(w, len(a.Body)) }

// JSON is an answer that holds v as JSON.
func JSON(status int, v any) *Answer {
	return &Answer{Status: status, Body: wire.Encode(v), Type: JSONType}
}

// Page is an answer for people, as proxies and frameworks give it.
func Page(status int, title string) *Answer {
	text := fmt.Sprintf("<!doctype html><html><head><title>%d %s</title></head><body><h1>%[2]s</h1></body></html>\n",
		status, title)
	return &Answer{Status: status, Type: HTMLType, Body: []byte(text)}
}

// Spoiled returns an answer in a form that is not the JSON that its Content-Type promises.
func Spoiled(a *Answer, form string) *Answer {
	spoiled := &Answer{Status: a.Status, Header: a.Header, Type: JSONType}
	switch form {
	case "text":
		spoiled.Status, spoiled.Body = 200, []byte("<<< not JSON >>>")
	case "html":
		return Page(200, "Sign in")
	case "empty":
		spoiled.Type = ""
	case "deflate":
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, _ = w.Write(a.Body) // a buffer takes everything
		_ = w.Close()
		spoiled.Body = b.Bytes()
	case "bom":
		spoiled.Body = append([]byte("\ufeff"), a.Body...)
	default:
		return a
	}
	return spoiled
}
