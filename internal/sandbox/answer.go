package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
)

// answer is what goes back, before faults have had their way with it.
type answer struct {
	status int
	header http.Header
	body   []byte
	kind   string // the Content-Type; empty with an empty body
}

const jsonType = "application/json; charset=utf-8"

func (a *answer) set(name, value string) {
	if a.header == nil {
		a.header = http.Header{}
	}
	a.header.Set(name, value)
}

// write sends the first n bytes of a, under a Content-Length that promises all of them.
func (a *answer) write(w http.ResponseWriter, n int) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	if a.kind != "" {
		w.Header().Set("Content-Type", a.kind)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body[:n]) // a client that went away has no use for the error
}

// reply is an answer that holds v as JSON.
func reply(status int, v any) *answer {
	return &answer{status: status, body: encode(v), kind: jsonType}
}

// problem is a refusal. Its code is CometChat's own; without one CometChat answers in the envelope
// that its other services use.
type problem struct {
	status  int
	code    string
	message string
}

func refused(status int, code, message string) *problem { return &problem{status, code, message} }

func badRequest(format string, args ...any) *problem {
	return &problem{status: 400, message: fmt.Sprintf(format, args...)}
}

// as returns p with CometChat's code where it has none of its own.
func (p *problem) as(code string) *problem {
	if p == nil || p.code != "" {
		return p
	}
	return &problem{p.status, code, p.message}
}

// answer puts the problem into the platform's envelope.
func (p *problem) answer(platform string) *answer {
	if platform == CometChat && p.code != "" {
		return reply(p.status, map[string]any{"error": map[string]any{
			"code": p.code, "message": p.message, "devMessage": p.message, "source": "sandbox",
		}})
	}
	return reply(p.status, map[string]any{
		"statusCode": p.status, "message": p.message, "error": http.StatusText(p.status),
	})
}
