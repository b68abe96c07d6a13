package sandbox

import (
	"io"
	"net/http"
)

// serveControl answers what stands below /_sandbox/: for tests, not for platforms.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	// A web page that happens to be open must not be able to change anything here.
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		refused(403, "", err.Error()).answer("").send(w)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /_sandbox/agents":
		q := r.URL.Query()
		reply(200, map[string]any{"agents": s.Agents(q.Get("platform"), q.Get("app"))}).send(w)
	case "GET /_sandbox/requests":
		reply(200, map[string]any{"counts": s.Counts(), "recent": s.Requests()}).send(w)
	case "POST /_sandbox/faults":
		s.controlFaults(r).send(w)
	case "POST /_sandbox/reset":
		if err := s.Reset(); err != nil {
			refused(500, "", err.Error()).answer("").send(w)
			return
		}
		reply(200, map[string]any{"success": true}).send(w)
	default:
		refused(404, "", "Cannot "+r.Method+" "+r.URL.Path).answer("").send(w)
	}
}

// controlFaults replaces the script by the request's text, or leaves it where the text is wrong.
func (s *Server) controlFaults(r *http.Request) *answer {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return badRequest("the body ended early").answer("")
	}
	faults, err := ParseFaults(string(text))
	if err != nil {
		return badRequest("%v", err).answer("")
	}
	s.SetFaults(faults)
	return reply(200, map[string]any{"rules": len(faults)})
}

// send writes the whole answer.
func (a *answer) send(w http.ResponseWriter) { a.write(w, len(a.body)) }
