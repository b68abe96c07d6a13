package sandbox

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"agentsync/internal/sandbox/fields"
	"agentsync/internal/sandbox/reply"
)

// The platforms by name, as in paths, selectors and inspection.
const (
	CometChat = "cometchat"
	Mindset   = "mindset"
)

// A dialect is one version of one platform's API as a value: paths, key, fields, envelopes, paging. The
// rest of the package asks it and never which platform it is; a platform more is a value more here.
// Dialects of one platform see the same agents.
type dialect struct {
	platform string // as in selectors, counts and the file
	version  string
	title    string // for people
	// base is what a client is given as its base URL, below the server's own address; {app} is the app's id.
	base string
	// paths are what it answers, each with its methods.
	paths     []callPath
	keyHeader string
	// head returns what is wrong with the request's further headers, or nil; it may be missing.
	head func(c *call) *reply.Problem

	fields    []fields.Field
	nameField string         // the field that an agent's name stands in
	defaults  map[string]any // what a create that does not send them gets
	// check refuses what single fields cannot show; it may be missing. have is the agent's before an update; nil for a
	// create.
	check func(s *Server, c *call, have map[string]any) *reply.Problem
	// keep turns what was sent into what is kept; where it is missing they are the same.
	keep func(sent, have map[string]any) map[string]any
	// show is an agent as it is answered.
	show func(s *Server, app string, g *agent) map[string]any
	// secret is the way to the object or text below which an agent's credentials stand; empty for none.
	secret []string
	// filled are members that this platform may add to what is sent in a field, see the fault rewrite.
	filled map[string]map[string]any
	newUID func() string

	wrapOne      string // the member that a created or read agent stands in; answered flat where it is empty
	updated      string // what an update answers; the agent where it is empty
	deleted      string // what a delete answers; nothing where it is empty
	keepsDeleted bool   // deleted agents stay, marked
	listed       listForm
	references   map[string]listForm        // the other lists, by operation
	rateHeaders  bool                       // whether answers announce the rate limit
	envelope     func(p *reply.Problem) any // of an error; statusEnvelope where it is missing
	about        func(a Agent) []any        // what the page shows of an agent, none of it secret
}

// listForm is how a list is answered.
type listForm struct {
	// wrap is the member that the list stands in; "" for a bare one, which Options.WrappedList wraps in data.
	wrap string
	// paged lists answer a page, and begin after ?startAfter=.
	paged bool
	// filters are its further parameters, each with the field that must hold the value.
	filters map[string]string
}

// callPath is one path of a dialect, below each of its roots.
type callPath struct {
	roots   []string
	form    string            // with {app} and {uid}
	methods map[string]string // the operation of each method
}

// dialects are all there are. It is read, never written.
var dialects = []*dialect{cometChat, mindsetV1, mindsetV2}

// Platforms returns the names of the platforms that the sandbox plays, in the order in which they are told.
func Platforms() []string {
	var names []string
	for _, d := range dialects {
		if !slices.Contains(names, d.platform) {
			names = append(names, d.platform)
		}
	}
	return names
}

// BasePath returns what a client's base URL is below the server's address, {app} for the app's id. It
// reports whether the sandbox plays the platform.
func BasePath(platform string) (string, bool) {
	for _, d := range dialects {
		if d.platform == platform {
			return d.base, true
		}
	}
	return "", false
}

// call is one request to a platform.
type call struct {
	*dialect
	at      callPath
	app     string
	op      string // empty where the path or method is unknown
	uid     string
	method  string
	path    string
	query   url.Values
	header  http.Header
	body    []byte
	nowhere bool           // the path is none of the platform's
	bad     *reply.Problem // what is wrong with the method or the body

	sent map[string]any // the decoded body of a create or update
	name string         // the agent's name, for selectors
}

func (c *call) appKey() appKey { return appKey{c.platform, c.app} }

var appForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// defaultApp is the app where the path does not name one.
const defaultApp = "sandbox"

// routeCall reads the platform, the app, the operation and the uid from the request line. It returns nil
// where no platform's paths begin like this one.
func routeCall(r *http.Request) *call {
	parts := splitPath(r.URL.EscapedPath())
	c := &call{method: r.Method, path: r.URL.Path, query: r.URL.Query(), header: r.Header, nowhere: true}
	for _, d := range dialects {
		for _, p := range d.paths {
			for _, root := range p.roots {
				form := splitPath(root + p.form)
				if c.dialect == nil && form[0] == parts[0] {
					c.dialect = d // whose requests a path beside the others counts among
				}
				values, ok := fitPath(form, parts)
				if !ok || !appForm.MatchString(values["app"]) {
					continue
				}
				c.dialect, c.at, c.app, c.uid, c.nowhere = d, p, values["app"], values["uid"], false
				if c.op = p.methods[r.Method]; c.op == "" {
					c.bad = reply.Refused(405, "", r.Method+" is not allowed on "+r.URL.Path)
				}
				return c
			}
		}
	}
	if c.dialect == nil {
		return nil
	}
	return c
}

// splitPath splits an escaped path; a segment that cannot be unescaped stays as it is.
func splitPath(escaped string) []string {
	parts := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, p := range parts {
		if u, err := url.PathUnescape(p); err == nil {
			parts[i] = u
		}
	}
	return parts
}

// fitPath returns the values of a form's variables where the parts fit it.
func fitPath(form, parts []string) (map[string]string, bool) {
	if len(form) != len(parts) {
		return nil, false
	}
	values := map[string]string{"app": defaultApp}
	for i, f := range form {
		switch name := strings.Trim(f, "{}"); {
		case name == f && f != parts[i], parts[i] == "":
			return nil, false
		case name != f:
			values[name] = parts[i]
		}
	}
	return values, true
}

// allowedMethods lists the methods of the call's path.
func (c *call) allowedMethods() string {
	var names []string
	for _, m := range []string{"GET", "POST", "PATCH", "DELETE"} {
		if c.at.methods[m] != "" {
			names = append(names, m)
		}
	}
	return strings.Join(names, ", ")
}

// onlyQuery refuses query parameters that the call does not know.
func (c *call) onlyQuery(known ...string) *reply.Problem {
	for _, name := range slices.Sorted(maps.Keys(c.query)) {
		if !slices.Contains(known, name) {
			return reply.BadRequest("unknown query parameter %s", name)
		}
	}
	return nil
}
