package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// delivery is how an answer reaches the client, if it does.
type delivery int

const (
	answered delivery = iota
	dropped
	cut
	held
)

// outcome is what becomes of a request.
type outcome struct {
	answer *answer // as the platform meant it; nil where there is none
	how    delivery
	hold   time.Duration // how long a held request is held; 0 for as long as the client stays
}

// deliver sends the outcome. All but a whole answer end in the panic by which net/http closes a
// connection without a further byte.
func (s *Server) deliver(ctx context.Context, w http.ResponseWriter, o outcome) {
	switch o.how {
	case answered:
		o.answer.send(w)
		return
	case cut:
		if len(o.answer.body) == 0 {
			o.answer.body = []byte("{}") // something must be there to be cut
		}
		o.answer.write(w, len(o.answer.body)/2)
		_ = http.NewResponseController(w).Flush() // where nothing can be flushed, nothing arrives: cut all the same
	case held:
		hold := o.hold
		if hold == 0 {
			hold = 1<<63 - 1
		}
		wait(ctx, s.closed, hold)
	}
	panic(http.ErrAbortHandler)
}

// before answers in the platform's place; nothing has happened and nothing will.
func (s *Server) before(c *call, r *Rule) outcome {
	switch r.kind {
	case "drop-before":
		return outcome{how: dropped}
	case "hang-before":
		return outcome{how: held, hold: r.wait}
	case "redirect":
		a := &answer{status: r.number}
		to := r.to
		if to == "" {
			to = (&url.URL{Path: c.path}).EscapedPath()
			if len(c.query) > 0 {
				to += "?" + c.query.Encode()
			}
		}
		a.set("Location", to)
		return outcome{answer: a}
	case "throttle":
		return outcome{answer: r.comeBack(c, 429)}
	case "unavailable":
		return outcome{answer: r.comeBack(c, 503)}
	default: // status-before, html, empty
		return outcome{answer: r.broken(c, r.number)}
	}
}

// comeBack is an answer that says when to ask again.
func (r *Rule) comeBack(c *call, status int) *answer {
	a := r.broken(c, status)
	at := time.Now().Add(r.wait)
	switch r.retryAs {
	case "none":
	case "date":
		a.set("Retry-After", at.Add(time.Second-1).UTC().Format(http.TimeFormat))
	default:
		a.set("Retry-After", strconv.Itoa(wholeSeconds(r.wait)))
	}
	if c.platform == CometChat && status == 429 && r.retryAs != "none" {
		a.set("X-Rate-Limit-Reset", strconv.FormatInt(at.Add(time.Second-1).Unix(), 10))
	}
	return a
}

// broken is an error answer with the body that the rule wants.
func (r *Rule) broken(c *call, status int) *answer {
	text := http.StatusText(status)
	switch r.body {
	case "html":
		page := fmt.Sprintf("<!doctype html><html><head><title>%d %s</title></head><body><h1>%[2]s</h1></body></html>\n", status, text)
		return &answer{status: status, kind: "text/html; charset=utf-8", body: []byte(page)}
	case "empty":
		return &answer{status: status}
	}
	if status == 429 {
		return tooMany().answer(c.platform)
	}
	return refused(status, "ERR_INTERNAL", "the sandbox was told to answer "+strconv.Itoa(status)).answer(c.platform)
}

// after changes what becomes of an answer whose effect has happened.
func (s *Server) after(c *call, r *Rule, o *outcome) {
	switch r.kind {
	case "drop-after":
		o.how = dropped
	case "hang", "hang-after":
		o.how, o.hold = held, r.wait
	case "cut-body":
		o.how = cut
	case "garbage":
		o.answer = &answer{status: 200, kind: jsonType, body: []byte("<<< not JSON >>>")}
	case "status-after":
		o.answer = r.broken(c, r.number)
	}
}
