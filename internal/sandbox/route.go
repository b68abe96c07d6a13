package sandbox

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// The platforms by name, as in paths, selectors and inspection.
const (
	CometChat = "cometchat"
	Mindset   = "mindset"
)

// Operations by name, as in selectors and counts.
const (
	opCreate = "create"
	opList   = "list"
	opRead   = "read"
	opUpdate = "update"
	opDelete = "delete"
)

var ops = []string{opCreate, opList, opRead, opUpdate, opDelete}

// cometChatApp is the app where the path does not name one.
const cometChatApp = "sandbox"

// call is one request to a platform.
type call struct {
	platform string // empty where the path belongs to neither
	app      string
	op       string // empty where the path or method is unknown
	uid      string
	method   string
	path     string
	query    url.Values
	header   http.Header
	body     []byte
	bad      *problem // what is wrong with the path, the method or the body's size

	fields map[string]any // the decoded body of a create or update
	name   string         // the agent's name, for selectors
}

var appForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// methods says which operation a method is on the collection and on one agent.
var methods = map[string]struct{ collection, item map[string]string }{
	CometChat: {
		collection: map[string]string{"GET": opList, "POST": opCreate},
		item:       map[string]string{"PATCH": opUpdate, "DELETE": opDelete},
	},
	Mindset: {
		collection: map[string]string{"GET": opList, "POST": opCreate},
		item:       map[string]string{"GET": opRead, "PATCH": opUpdate, "DELETE": opDelete},
	},
}

// route reads the platform, the app, the operation and the uid from the request line.
func route(r *http.Request) *call {
	c := &call{method: r.Method, path: r.URL.Path, query: r.URL.Query(), header: r.Header}
	parts := segments(r.URL.EscapedPath())
	c.platform = owner(parts)
	table, item, ok := methods[c.platform].collection, false, false
	switch c.platform {
	case CometChat:
		item, ok = c.cometChatPath(parts)
	case Mindset:
		item, ok = c.mindsetPath(parts)
	}
	if item {
		table = methods[c.platform].item
	}
	if !ok || !appForm.MatchString(c.app) {
		c.bad = refused(404, "", "Cannot "+r.Method+" "+r.URL.Path)
	} else if c.op = table[r.Method]; c.op == "" {
		c.bad = refused(405, "", r.Method+" is not allowed on "+r.URL.Path)
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

// owner tells whose envelope an answer has, right path or not.
func owner(parts []string) string {
	switch parts[0] {
	case "v3", CometChat:
		return CometChat
	case "api", Mindset:
		return Mindset
	}
	return ""
}

func (c *call) cometChatPath(parts []string) (item, ok bool) {
	c.app = cometChatApp
	if parts[0] == CometChat && len(parts) > 1 {
		c.app, parts = parts[1], parts[2:]
	}
	if len(parts) < 3 || parts[0] != "v3" || parts[1] != "ai-agents" || parts[2] != "agents" {
		return false, false
	}
	if len(parts) == 4 && parts[3] != "" {
		c.uid = parts[3]
		return true, true
	}
	return false, len(parts) == 3
}

func (c *call) mindsetPath(parts []string) (item, ok bool) {
	if parts[0] == Mindset {
		parts = parts[1:]
	}
	if len(parts) < 5 || parts[0] != "api" || parts[1] != "v1" || parts[2] != "appuid" || parts[4] != "agents" {
		return false, false
	}
	c.app = parts[3]
	if len(parts) == 7 && parts[5] == "uid" && parts[6] != "" {
		c.uid = parts[6]
		return true, true
	}
	return false, len(parts) == 5
}
