package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
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
	paths     []path
	keyHeader string
	// head returns what is wrong with the request's further headers, or nil; it may be missing.
	head func(c *call) *problem

	fields    []field
	nameField string         // the field that an agent's name stands in
	defaults  map[string]any // what a create that does not send them gets
	// check refuses what single fields cannot show; it may be missing. have is the agent's before an update; nil for a
	// create.
	check func(s *Server, c *call, have map[string]any) *problem
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
	listed       listing
	references   map[string]listing   // the other lists, by operation
	rateHeaders  bool                 // whether answers announce the rate limit
	envelope     func(p *problem) any // of an error; statusEnvelope where it is missing
	about        func(a Agent) []any  // what the page shows of an agent, none of it secret
}

// listing is how a list is answered.
type listing struct {
	// wrap is the member that the list stands in; "" for a bare one, which WithWrappedList wraps in data.
	wrap string
	// paged lists answer a page, and begin after ?startAfter=.
	paged bool
	// filters are its further parameters, each with the field that must hold the value.
	filters map[string]string
}

// path is one path of a dialect, below each of its roots.
type path struct {
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

// Operations by name, as in selectors and counts.
const (
	opCreate   = "create"
	opList     = "list"
	opRead     = "read"
	opUpdate   = "update"
	opDelete   = "delete"
	opTools    = "tools"
	opContexts = "contexts"
)

var ops = []string{opCreate, opList, opRead, opUpdate, opDelete, opTools, opContexts}

// call is one request to a platform.
type call struct {
	*dialect
	at      path
	app     string
	op      string // empty where the path or method is unknown
	uid     string
	method  string
	path    string
	query   url.Values
	header  http.Header
	body    []byte
	nowhere bool     // the path is none of the platform's
	bad     *problem // what is wrong with the method or the body

	sent map[string]any // the decoded body of a create or update
	name string         // the agent's name, for selectors
}

func (c *call) key() appKey { return appKey{c.platform, c.app} }

var appForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// defaultApp is the app where the path does not name one.
const defaultApp = "sandbox"

// route reads the platform, the app, the operation and the uid from the request line. It returns nil
// where no platform's paths begin like this one.
func route(r *http.Request) *call {
	parts := segments(r.URL.EscapedPath())
	c := &call{method: r.Method, path: r.URL.Path, query: r.URL.Query(), header: r.Header, nowhere: true}
	for _, d := range dialects {
		for _, p := range d.paths {
			for _, root := range p.roots {
				form := segments(root + p.form)
				if c.dialect == nil && form[0] == parts[0] {
					c.dialect = d // whose requests a path beside the others counts among
				}
				values, ok := fit(form, parts)
				if !ok || !appForm.MatchString(values["app"]) {
					continue
				}
				c.dialect, c.at, c.app, c.uid, c.nowhere = d, p, values["app"], values["uid"], false
				if c.op = p.methods[r.Method]; c.op == "" {
					c.bad = refused(405, "", r.Method+" is not allowed on "+r.URL.Path)
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

// segments splits an escaped path; a segment that cannot be unescaped stays as it is.
func segments(escaped string) []string {
	parts := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, p := range parts {
		if u, err := url.PathUnescape(p); err == nil {
			parts[i] = u
		}
	}
	return parts
}

// fit returns the values of a form's variables where the parts fit it.
func fit(form, parts []string) (map[string]string, bool) {
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

// allowed lists the methods of the call's path.
func (c *call) allowed() string {
	var names []string
	for _, m := range []string{"GET", "POST", "PATCH", "DELETE"} {
		if c.at.methods[m] != "" {
			names = append(names, m)
		}
	}
	return strings.Join(names, ", ")
}

// onlyQuery refuses query parameters that the call does not know.
func (c *call) onlyQuery(known ...string) *problem {
	for _, name := range slices.Sorted(maps.Keys(c.query)) {
		if !slices.Contains(known, name) {
			return badRequest("unknown query parameter %s", name)
		}
	}
	return nil
}

// problem is a refusal. Its code is CometChat's own; a dialect without codes leaves it out.
type problem struct {
	status  int
	code    string
	message string
}

func refused(status int, code, message string) *problem { return &problem{status, code, message} }

func badRequest(format string, args ...any) *problem {
	return &problem{status: 400, message: fmt.Sprintf(format, args...)}
}

// as returns p with a code where it has none of its own.
func (p *problem) as(code string) *problem {
	if p == nil || p.code != "" {
		return p
	}
	return &problem{p.status, code, p.message}
}

// answer puts the problem into the platform's envelope; d is nil for what is not a platform's.
func (p *problem) answer(d *dialect) *answer {
	if d != nil && d.envelope != nil {
		return reply(p.status, d.envelope(p))
	}
	return reply(p.status, statusEnvelope(p))
}

// statusEnvelope is the error of services without codes, CometChat's agent service among them.
func statusEnvelope(p *problem) any {
	return map[string]any{"statusCode": p.status, "message": p.message, "error": http.StatusText(p.status)}
}

// field is what a platform takes as one field of an agent.
type field struct {
	name     string
	required bool // on create
	fixed    bool // refused on update
	// check returns what is wrong with v, or "".
	check check
}

type check func(v any, update bool) string

// checkFields refuses unknown fields, missing ones and wrong values, the first in the order of the
// body's sorted names.
func checkFields(known []field, body map[string]any, update bool) *problem {
	for _, name := range slices.Sorted(maps.Keys(body)) {
		i := slices.IndexFunc(known, func(f field) bool { return f.name == name })
		switch {
		case i < 0:
			return badRequest("property %s should not exist", name)
		case update && known[i].fixed:
			return badRequest("%s cannot be changed", name)
		}
		if wrong := known[i].check(body[name], update); wrong != "" {
			return badRequest("%s %s", name, wrong)
		}
	}
	for _, f := range known {
		if _, ok := body[f.name]; f.required && !update && !ok {
			return badRequest("%s is required", f.name)
		}
	}
	if update && len(body) == 0 {
		return badRequest("there is nothing to change")
	}
	return nil
}

// text takes a string of least to most code points; without bound where most is 0.
func text(least, most int) check { return textOf(least, most, nil) }

// eased takes a string that may be shorter than least on update, as the update of Mindset's v1 does.
func eased(least, most int) check {
	create, change := text(least, most), text(0, most)
	return func(v any, update bool) string {
		if update {
			return change(v, update)
		}
		return create(v, update)
	}
}

func textOf(least, most int, form *regexp.Regexp) check {
	return func(v any, _ bool) string {
		s, ok := v.(string)
		n := len([]rune(s))
		switch {
		case !ok:
			return "must be a string"
		case n < least:
			return fmt.Sprintf("must be at least %d characters long", least)
		case most > 0 && n > most:
			return fmt.Sprintf("must be at most %d characters long, not %d", most, n)
		case form != nil && !form.MatchString(s):
			return "must match " + form.String()
		}
		return ""
	}
}

func oneOf(values ...string) check {
	return func(v any, _ bool) string {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			return fmt.Sprintf("must be one of %v", values)
		}
		return ""
	}
}

func boolean(v any, _ bool) string {
	if _, ok := v.(bool); !ok {
		return "must be true or false"
	}
	return ""
}

func object(v any, _ bool) string {
	if _, ok := v.(map[string]any); !ok {
		return "must be an object"
	}
	return ""
}

// objectOf takes an object of these members and no others, none of them required.
func objectOf(members map[string]check) check {
	return func(v any, update bool) string {
		m, ok := v.(map[string]any)
		if !ok {
			return "must be an object"
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if members[name] == nil {
				return "must not hold " + name
			}
			if wrong := members[name](m[name], update); wrong != "" {
				return name + " " + wrong
			}
		}
		return ""
	}
}

// list takes an array of at most most items (without bound where most is 0), each as item takes it.
func list(most int, item check) check {
	return func(v any, update bool) string {
		items, ok := v.([]any)
		switch {
		case !ok:
			return "must be an array"
		case most > 0 && len(items) > most:
			return fmt.Sprintf("must hold at most %d items, not %d", most, len(items))
		}
		for i, e := range items {
			if wrong := item(e, update); wrong != "" {
				return fmt.Sprintf("item %d %s", i, wrong)
			}
		}
		return ""
	}
}

func urlOf(schemes ...string) check {
	return func(v any, _ bool) string {
		s, _ := v.(string)
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) || strings.ContainsAny(s, " \t\r\n") {
			return "must be a URL of " + strings.Join(schemes, " or ")
		}
		return ""
	}
}
