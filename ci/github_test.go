package ci

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// comment is a comment of a pull request, as GitHub answers it.
type comment struct {
	ID   int64  `json:"id"`
	Body string `json:"body"`
	User struct {
		Login string `json:"login"`
	} `json:"user"`
}

func commentBy(login, body string) comment {
	c := comment{Body: body}
	c.User.Login = login
	return c
}

const bot = "github-actions[bot]"

// fakeGitHub answers the calls about the comments of pull request 7 of acme/fleet.
type fakeGitHub struct {
	t  *testing.T
	mu sync.Mutex
	// guarded by mu
	comments []comment
	readOnly bool // the token may not write
	lose     int  // so many answers to a POST are lost, after the effect
	login    string
	writes   []string
}

// withGitHub points the run at a fake GitHub, in a pull request from the repository head.
func (r *runner) withGitHub(head string, seed ...comment) *fakeGitHub {
	g := &fakeGitHub{t: r.t, login: bot}
	for _, c := range seed {
		c.ID = int64(len(g.comments) + 1)
		g.comments = append(g.comments, c)
	}
	h := httptest.NewServer(g)
	r.t.Cleanup(h.Close)
	r.env["GITHUB_API_URL"] = h.URL
	r.event = fmt.Sprintf(`{"pull_request": {"number": 7, "head": {"sha": "0123456789abcdef", "repo": {"full_name": `+
		`%q}}}}`, head)
	return g
}

func (g *fakeGitHub) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if got := req.Header.Get("Authorization"); got != "Bearer test-token" {
		g.t.Errorf("authorization is %q", got)
	}
	if req.Method == http.MethodGet {
		g.list(w, req)
		return
	}
	if req.URL.Path == "/graphql" {
		_, _ = fmt.Fprintf(w, `{"data": {"viewer": {"login": %q}}}`, strings.TrimSuffix(g.login, "[bot]"))
		return
	}
	if g.readOnly {
		http.Error(w, `{"message": "Resource not accessible by integration"}`, http.StatusForbidden)
		return
	}
	var in struct{ Body string }
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
		g.t.Errorf("body: %v", err)
	}
	g.writes = append(g.writes, req.Method)
	switch id, isComment := strings.CutPrefix(req.URL.Path, "/repos/acme/fleet/issues/comments/"); {
	case req.Method == http.MethodPost && req.URL.Path == "/repos/acme/fleet/issues/7/comments":
		c := commentBy(g.login, in.Body)
		c.ID = int64(len(g.comments) + 1)
		g.comments = append(g.comments, c)
		if g.lose > 0 {
			g.lose--
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(c)
	case req.Method == http.MethodPatch && isComment:
		n, err := strconv.Atoi(id)
		if err != nil || n < 1 || n > len(g.comments) {
			http.NotFound(w, req)
			return
		}
		g.comments[n-1].Body = in.Body
		_ = json.NewEncoder(w).Encode(g.comments[n-1])
	default:
		g.t.Errorf("a call that GitHub does not know: %s %s", req.Method, req.URL)
		http.NotFound(w, req)
	}
}

// list answers a page of the comments.
func (g *fakeGitHub) list(w http.ResponseWriter, req *http.Request) {
	page, _ := strconv.Atoi(req.URL.Query().Get("page"))
	size, _ := strconv.Atoi(req.URL.Query().Get("per_page"))
	from := min((page-1)*size, len(g.comments))
	_ = json.NewEncoder(w).Encode(append([]comment{}, g.comments[from:min(from+size, len(g.comments))]...))
}

// set changes how the fake answers.
func (g *fakeGitHub) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// seen returns all comments and the methods of the writes so far.
func (g *fakeGitHub) seen() ([]comment, []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.comments), slices.Clone(g.writes)
}

// ours returns the comments that the action wrote.
func (g *fakeGitHub) ours() []comment {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ours []comment
	for _, c := range g.comments {
		if c.User.Login == g.login && strings.HasPrefix(c.Body, "<!-- agentsync:") {
			ours = append(ours, c)
		}
	}
	return ours
}
