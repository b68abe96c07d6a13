package sandbox_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"agentsync/internal/sandbox"
)

func TestInspection(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.create(comet, newComet)
	r.create(mind, newMind)
	r.names(mind)
	r.send("PUT", mind, "")
	if got := sprint(r.Counts().Requests); got != "map[cometchat:map[create:1] mindset:map[create:1 list:1 other:1]]" {
		t.Errorf("counts %s", got)
	}
	all := r.must(200, "GET", "/_sandbox/agents", "")["agents"].([]any)
	some := r.must(200, "GET", "/_sandbox/agents?platform=mindset&app=acme", "")["agents"].([]any)
	if len(all) != 2 || len(some) != 1 || some[0].(map[string]any)["name"] != "Coach" {
		t.Errorf("agents %v, some %v", all, some)
	}
	seen := r.must(200, "GET", "/_sandbox/requests", "")
	recent := seen["recent"].([]any)
	if first := recent[0].(map[string]any); len(recent) != 4 || first["method"] != "PUT" || first["status"] != 405.0 ||
		first["outcome"] != "answered" {
		t.Errorf("recent %v", recent)
	}
	if sprint(seen["counts"].(map[string]any)["throttled"]) != "map[]" {
		t.Errorf("counts %v", seen["counts"])
	}
	for range 130 {
		r.names(comet)
	}
	if got := r.Requests(); len(got) != 50 || got[0].At.Before(got[49].At) {
		t.Errorf("%d recent requests", len(got))
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	r := faulty(t, "html=500", sandbox.Options{})
	if got := r.must(200, "POST", "/_sandbox/faults", "# none\nstatus-before=503 op=list\n"); got["rules"] != 1.0 {
		t.Errorf("answered %v", got)
	}
	if got := r.send("GET", mind, "").status; got != 503 {
		t.Errorf("status %d", got)
	}
	bad := r.must(400, "POST", "/_sandbox/faults", "explode")
	if !strings.Contains(bad["message"].(string), `"explode" is no fault`) ||
		r.Faults().String() != "status-before=503 op=list" {
		t.Errorf("%v, script %q", bad, r.Faults())
	}
	r.must(403, "POST", "/_sandbox/faults", "", "Sec-Fetch-Site: cross-site")
	r.must(403, "POST", "/_sandbox/reset", "", "Origin: https://evil.example")
	r.must(404, "GET", "/_sandbox/nope", "")
	r.must(200, "POST", "/_sandbox/faults", "")
	r.names(mind)
}

// TestPage: what a person needs is there, escaped, and no secret is.
func TestPage(t *testing.T) {
	r := start(t, sandbox.Options{})
	if got := r.send("GET", "/", "").body; !strings.Contains(got, "No agents yet") ||
		!strings.Contains(got, "None yet") {
		t.Errorf("the empty page: %s", got)
	}
	r.create(comet, strings.Replace(fullComet, "Analyst", `<script>alert(1)</script>`, 1))
	r.create(mind, fullMind)
	got := r.send("GET", "/", "")
	for _, want := range []string{
		"CometChat <code>sandbox</code>", "Mindset AI <code>acme</code>", "· 1 agent<",
		"&lt;script&gt;alert(1)&lt;/script&gt;", "Träger 🤖", r.Agents("mindset", "")[0].UID,
		"not active · langgraph · lg.example.com · tools weather", "live · openAccess · tenant tenant-1 · tags hr",
		"POST <code>/api/v1/appuid/acme/agents</code>", "<td>200</td>",
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "s3cret", "Bearer"} {
		if strings.Contains(got.body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("content security policy %q", csp)
	}
	if t.Failed() {
		t.Log(got.body)
	}
}

func TestPageIsBounded(t *testing.T) {
	r := start(t, sandbox.Options{})
	for range 205 {
		r.create(mind, newMind)
	}
	got := r.send("GET", "/", "").body
	if !strings.Contains(got, "205 agents") || !strings.Contains(got, "and 5 older ones") ||
		strings.Count(got, "<td>Coach</td><td><code>") != 200 {
		t.Error("the page does not show 200 of 205 agents")
	}
}

// TestManyAtOnce runs creates, updates, lists, deletes and looks at once; -race watches.
func TestManyAtOnce(t *testing.T) {
	r := start(t, sandbox.Options{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got := r.send("GET", "/", ""); got.status != http.StatusOK {
				t.Errorf("page: %d %v", got.status, got.err)
			}
			for range 10 {
				for _, p := range []struct{ path, item, body, change string }{
					{comet, comet + "/", newComet, `{"name":"x"}`}, {mind, mind +
						"/uid/", newMind, `{"agentName":"x"}`},
				} {
					kept, gone := r.create(p.path, p.body), r.create(p.path, p.body)
					for _, want := range []reply{
						r.send("PATCH", p.item+kept["uid"].(string), p.change),
						r.send("DELETE", p.item+gone["uid"].(string), ""),
						r.send("GET", p.path, ""),
						r.send("GET", "/_sandbox/agents", ""),
					} {
						if want.status != http.StatusOK {
							t.Errorf("%d %s %v", want.status, want.body, want.err)
						}
					}
				}
			}
		})
	}
	group.Wait()
	if r.made() != 160 {
		t.Errorf("%d agents, want 160", r.made())
	}
}

// TestDeletesAreSwept: a list stays right over many deletes in any order.
func TestDeletesAreSwept(t *testing.T) {
	r := start(t, sandbox.Options{PageSize: 1000})
	var uids []string
	for range 300 {
		uids = append(uids, r.create(mind, newMind)["uid"].(string))
	}
	for i := range 299 {
		r.must(200, "DELETE", mind+"/uid/"+uids[(i*7)%300], "")
	}
	if got := r.names(mind); got != "Coach" || r.made() != 1 {
		t.Errorf("listed %q of %d", got, r.made())
	}
}
