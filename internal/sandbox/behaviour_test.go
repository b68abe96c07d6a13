package sandbox_test

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/sandbox"
)

const mindV2 = "/api/v2/appuid/acme/agents"

// TestMindsetVersionsSeeTheSameAgents, each in its own fields.
func TestMindsetVersionsSeeTheSameAgents(t *testing.T) {
	r := start(t, sandbox.Options{})
	made := r.create(mind,
		`{"agentName":"Coach","agentPersonality":"Warm","formatting":"Lists","agentPolicyRules":"No refunds"}`)
	uid := made["uid"].(string)
	got := r.must(200, "GET", mindV2+"/uid/"+uid, "")
	for field, want := range map[string]any{
		"agentName": "Coach", "additionalPolicyRules": "No refunds", "additionalInformation": "",
		"personality": map[string]any{"preset": "friendly", "customText": "Warm"},
		"formatting":  map[string]any{"preset": "conversational", "customText": "Lists"},
		"memory":      map[string]any{"allowAccess": false, "allowContribution": false, "miningGuidance": ""},
	} {
		t.Run(field, func(t *testing.T) {
			if diff := cmp.Diff(want, got[field]); diff != "" {
				t.Errorf("%s", diff)
			}
		})
	}
	// An object replaces the whole one: what is not sent goes back to its default.
	r.must(200, "PATCH", mindV2+"/uid/"+uid,
		`{"policies":{"safeguarding":{"enabled":true,"email":"a@b.example"}},"personality":{"preset":"dry"}}`)
	got = r.must(200, "PATCH", mindV2+"/uid/"+uid, `{"policies":{"feedback":{"enabled":true}}}`)
	policies := got["policies"].(map[string]any)
	if !cmp.Equal(policies["safeguarding"], map[string]any{"enabled": false, "email": ""}) ||
		!cmp.Equal(policies["feedback"], map[string]any{"enabled": true}) || len(policies) != 10 {
		t.Errorf("policies %v", policies)
	}
	if diff := cmp.Diff(map[string]any{"preset": "dry", "customText": ""}, got["personality"]); diff != "" {
		t.Error(diff)
	}
	if v1 := r.must(200, "GET", mind+"/uid/"+uid, ""); v1["agentPersonality"] != "" || v1["formatting"] != "Lists" ||
		v1["policies"] != nil {
		t.Errorf("v1 shows %v", v1)
	}
	second := r.create(mindV2, `{"agentName":"Two","templateAgentUid":"`+uid+`"}`)
	if _, ok := second["templateAgentUid"]; ok || r.names(mind) != "Coach Two" || r.names(mindV2) != "Coach Two" {
		t.Errorf("created %v; v1 lists %q, v2 %q", second, r.names(mind), r.names(mindV2))
	}
	for body, says := range map[string]string{
		`{"agentPurpose":""}`:                              "at least 1",
		`{"externalTenantId":"x"}`:                         "cannot be changed",
		`{"templateAgentUid":"x"}`:                         "cannot be changed",
		`{"agentPersonality":"x"}`:                         "should not exist",
		`{"policies":{"nope":{}}}`:                         "must not hold nope",
		`{"policies":{"neutrality":{"scope":"x"}}}`:        "neutrality must not hold scope",
		`{"formatting":"x"}`:                               "must be an object",
		`{"memory":{"allowAccess":1}}`:                     "true or false",
		`{"additionalInformation":"` + long(65_536) + `"}`: "at most 65535",
	} {
		t.Run(fmt.Sprintf("%.60s", body), func(t *testing.T) {
			if m := r.must(400, "PATCH", mindV2+"/uid/"+uid, body); !strings.Contains(m["message"].(string), says) {
				t.Errorf("%v, want %q", m, says)
			}
		})
	}
	r.must(400, "POST", mindV2, `{"agentName":"x","templateAgentUid":"nobody"}`)
	r.must(200, "PATCH", mindV2+"/uid/"+uid, `{"additionalInformation":"`+long(65_535)+`"}`)
	r.must(200, "DELETE", mindV2+"/uid/"+uid, "")
	r.must(404, "GET", mind+"/uid/"+uid, "")
}

func long(n int) string { return strings.Repeat("x", n) }

func TestVersionsApart(t *testing.T) {
	r := faulty(t, "versions-apart", sandbox.Options{})
	one, two := r.create(mind, nameMind("one"))["uid"].(string), r.create(mindV2, nameMind("two"))["uid"].(string)
	if r.names(mind) != "one" || r.names(mindV2) != "two" {
		t.Errorf("v1 lists %q, v2 %q", r.names(mind), r.names(mindV2))
	}
	r.must(404, "GET", mindV2+"/uid/"+one, "")
	r.must(404, "PATCH", mind+"/uid/"+two, `{"live":true}`)
}

// TestEndOfList in each of the forms that the reference leaves open, at every page size.
func TestEndOfList(t *testing.T) {
	for _, tc := range []struct {
		rule, body string
		status     int
	}{
		{"", `{"agents":[]}`, 404}, {"list-end", `{"agents":[]}`, 404}, {"list-end=200", `{"agents":[]}`, 200},
		{"null-list", `{"agents":null}`, 404}, {"null-list\nlist-end=200", `{"agents":null}`, 200},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			r := faulty(t, tc.rule, sandbox.Options{})
			if got := r.send("GET", mind, ""); got.status != tc.status || got.body != tc.body {
				t.Errorf("an empty app is answered %d %s", got.status, got.body)
			}
			at := r.create(mind, newMind)["createdAt"].(string)
			if got := r.send("GET", mind+"?startAfter="+at, ""); got.status != tc.status || got.body != tc.body {
				t.Errorf("the page after the last is answered %d %s", got.status, got.body)
			}
			if got := r.send("GET", mind, ""); got.status != 200 || !strings.Contains(got.body, "Coach") {
				t.Errorf("a page is answered %d %s", got.status, got.body)
			}
		})
	}
	r := faulty(t, "page-size=1\nlist-end", sandbox.Options{ListEnd: 200})
	r.create(mind, nameMind("a"))
	r.create(mind, nameMind("b"))
	if got := r.names(mind); got != "a" {
		t.Errorf("a page of one holds %q", got)
	}
}

// TestNotDone: a 200 that says something else than done, and nothing has happened.
func TestNotDone(t *testing.T) {
	for form, says := range map[string]string{
		"": `"error":{"code"`, "=error": `"error":{"code"`, "=status": `"statusCode":400`, "=false": `"success":false`,
		"=html": "Sign in", "=list": "[]", "=nothing": "{}",
	} {
		t.Run(form, func(t *testing.T) {
			r := faulty(t, "not-done"+form+" op=create nth=2\nnot-done"+form+" op=update,delete", sandbox.Options{})
			for _, p := range []struct{ path, one, body, change string }{
				{comet, "/", newComet, `{"name":"x"}`}, {mind, "/uid/", newMind, `{"agentName":"x"}`},
			} {
				r.SetFaults(r.Faults())
				uid := r.create(p.path, p.body)["uid"].(string)
				before := r.Agents("", "")
				for _, got := range []reply{
					r.send("POST", p.path, p.body), r.send("PATCH", p.path+p.one+uid, p.change),
					r.send("DELETE", p.path+p.one+uid, ""),
				} {
					if got.status != 200 || !strings.Contains(got.body, says) {
						t.Errorf("%d %s", got.status, got.body)
					}
				}
				if diff := cmp.Diff(before, r.Agents("", "")); diff != "" {
					t.Errorf("%q did something: %s", form, diff)
				}
			}
		})
	}
}

func TestIgnored(t *testing.T) {
	r := faulty(t, "ignored", sandbox.Options{})
	c, m := r.create(comet, newComet)["uid"].(string), r.create(mind, newMind)["uid"].(string)
	if got := r.must(200, "PATCH", comet+"/"+c, `{"name":"x"}`); got["success"] != true {
		t.Errorf("answered %v", got)
	}
	if got := r.must(200, "PATCH", mind+"/uid/"+m, `{"agentName":"x"}`); got["agentName"] != "Coach" {
		t.Errorf("answered %v", got)
	}
	r.must(200, "DELETE", comet+"/"+c, "")
	r.must(200, "DELETE", mind+"/uid/"+m, "")
	if r.names(comet)+r.names(mind) != "ConciergeCoach" {
		t.Error("something was done")
	}
}

// TestSpoiltAnswers are JSON in no client's eyes.
func TestSpoiltAnswers(t *testing.T) {
	for form, check := range map[string]func(body string) bool{
		"=html":  func(b string) bool { return strings.HasPrefix(b, "<!doctype html>") },
		"=empty": func(b string) bool { return b == "" },
		"=bom":   func(b string) bool { return strings.HasPrefix(b, "\ufeff{") },
		"=deflate": func(b string) bool {
			z, err := zlib.NewReader(strings.NewReader(b))
			if err != nil {
				return false
			}
			plain, err := io.ReadAll(z)
			return err == nil && json.Valid(plain)
		},
	} {
		t.Run(form, func(t *testing.T) {
			r := faulty(t, "garbage"+form+" op=create", sandbox.Options{})
			if got := r.send("POST", mind, newMind); got.status != 200 || !check(got.body) || r.made() != 1 {
				t.Errorf("garbage%s: %d %q, %d made", form, got.status, got.body, r.made())
			}
		})
	}
	r := faulty(t, "status-before=402 code=ERR_PLAN_QUOTA_RESTRICTION op=create\nstatus-before=409 body=bom op=list",
		sandbox.Options{})
	if got := r.send("POST", comet, newComet); got.status != 402 ||
		!strings.Contains(got.body, `"code":"ERR_PLAN_QUOTA_RESTRICTION"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.send("GET", mind, ""); got.status != 409 || !strings.HasPrefix(got.body, "\ufeff") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestRateHeadersInEveryForm(t *testing.T) {
	r := faulty(t,
		"throttle=1h reset-as=milliseconds op=create\nexhausted=1h reset-as=milliseconds op=list\nthrottle reset-as=none "+
			"op=update", sandbox.Options{})
	got := r.send("POST", comet, newComet)
	if got.status != 429 || got.header.Get("Retry-After") != "3600" || len(got.header.Get("X-Rate-Limit-Reset")) != 13 {
		t.Errorf("%d with %v", got.status, got.header)
	}
	got = r.send("GET", comet, "")
	if got.status != 200 || got.header.Get("X-Rate-Limit-Remaining") != "0" ||
		len(got.header.Get("X-Rate-Limit-Reset")) != 13 {
		t.Errorf("%d with %v", got.status, got.header)
	}
	if got = r.send("PATCH", comet+"/x", "{}"); got.header.Get("X-Rate-Limit-Reset") != "" {
		t.Errorf("%d with %v", got.status, got.header)
	}
}

// TestOddAgents are answered with their uid, or without it, and lists keep showing the others.
func TestOddAgents(t *testing.T) {
	for form, check := range map[string]func(a map[string]any) bool{
		"list":    func(a map[string]any) bool { _, ok := a["agentName"].([]any); return ok },
		"number":  func(a map[string]any) bool { return a["agentName"] == 7.0 },
		"null":    func(a map[string]any) bool { v, ok := a["agentName"]; return ok && v == nil },
		"no-name": func(a map[string]any) bool { return a["agentName"] == nil },
		"no-uid":  func(a map[string]any) bool { return a["uid"] == nil },
		"no-time": func(a map[string]any) bool { return a["createdAt"] == nil },
	} {
		t.Run(form, func(t *testing.T) {
			r := faulty(t, "odd-agents="+form+" agent=odd*", sandbox.Options{})
			if got := r.create(mind, nameMind("odd one")); !check(got) {
				t.Errorf("created %v", got)
			}
			r.create(mind, nameMind("even"))
			agents := r.must(200, "GET", mind, "")["agents"].([]any)
			if len(agents) != 2 || !check(agents[0].(map[string]any)) ||
				agents[1].(map[string]any)["agentName"] != "even" {
				t.Errorf("listed %v", agents)
			}
		})
	}
	r := faulty(t, "odd-agents=deep", sandbox.Options{})
	if got := r.send("POST", comet, newComet).body; !strings.Contains(got, strings.Repeat("[", 20_000)) {
		t.Errorf("created %.100s", got)
	}
}

func TestListsThatLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "lag=2s op=update,delete\nlag-lists=1 op=create", sandbox.Options{ListEnd: 200})
		list := func() string { return ask(t, s, "GET", mind, "").Body.String() }
		uid := func() string { return s.Agents("", "")[0].UID }
		ask(t, s, "POST", mind, newMind)
		if first, second := list(), list(); strings.Contains(first, "Coach") || !strings.Contains(second, "Coach") {
			t.Errorf("after the create: %s then %s", first, second)
		}
		ask(t, s, "PATCH", mind+"/uid/"+uid(), `{"agentName":"New"}`)
		if got := list(); !strings.Contains(got, "Coach") || strings.Contains(got, "New") {
			t.Errorf("after the update: %s", got)
		}
		if got := ask(t, s, "GET", mind+"/uid/"+uid(), "").Body.String(); !strings.Contains(got, "New") {
			t.Errorf("a read does not lag: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := list(); !strings.Contains(got, "New") {
			t.Errorf("when the lag is over: %s", got)
		}
		ask(t, s, "DELETE", mind+"/uid/"+uid(), "")
		if got := list(); !strings.Contains(got, "New") {
			t.Errorf("after the delete: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := list(); strings.Contains(got, "New") {
			t.Errorf("when the lag is over: %s", got)
		}
	})
}

func TestListsThatAreCut(t *testing.T) {
	r := faulty(t, "cap-list=2\nlist-lacks=tags", sandbox.Options{PageSize: 1})
	for _, name := range []string{"a", "b", "c"} {
		r.create(comet, nameComet(name))
		r.create(mind, nameMind(name))
	}
	if got := r.names(comet) + "|" + r.names(comet); got != "a b|a b" {
		t.Errorf("CometChat lists %q", got)
	}
	agents := r.Agents("mindset", "")
	from := func(i int) string {
		return mind + "?startAfter=" + agents[i].CreatedAt.Format("2006-01-02T15:04:05.000Z")
	}
	if agents[1].CreatedAt.After(agents[0].CreatedAt) && agents[2].CreatedAt.After(agents[1].CreatedAt) {
		if got := r.names(from(0)) + "|" + r.names(from(1)); got != "b|" {
			t.Errorf("the pages after the first hold %q", got)
		}
	}
	if got := r.send("GET", mind, "").body; strings.Contains(got, "tags") {
		t.Errorf("listed %s", got)
	}
	if got := r.must(200, "GET", mind+"/uid/"+agents[0].UID, ""); got["tags"] == nil {
		t.Errorf("read %v", got)
	}
}

// TestSlowOutlivesItsClient: the effect comes after the client's time-out, once, and not before its time.
func TestSlowOutlivesItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "slow=34s op=create", sandbox.Options{})
		done := make(chan int)
		go func() { done <- ask(t, s, "POST", mind, newMind).Code }()
		time.Sleep(34*time.Second - 1)
		synctest.Wait()
		if n := len(s.Agents("", "")); n != 0 {
			t.Errorf("%d agents before their time", n)
		}
		if status := <-done; status != 200 || len(s.Agents("", "")) != 1 {
			t.Errorf("answered %d, %d agents", status, len(s.Agents("", "")))
		}
		go func() { done <- ask(t, s, "POST", mind, newMind).Code }()
		synctest.Wait()
		if err := s.Close(); err != nil { // the end of the process does not take back what was begun
			t.Fatal(err)
		}
		if <-done; len(s.Agents("", "")) != 2 {
			t.Errorf("%d agents after the close, want 2", len(s.Agents("", "")))
		}
	})
}

func TestWhatPlatformsMakeOfValues(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	r := faulty(t,
		"rewrite=*:trim\nrewrite=*:crlf\nrewrite=*:escape\nrewrite=icon:noslash\nrewrite=integrationMeta:slash\n"+
			"rewrite=metaData:fill\nrewrite=integrationMeta:fill\nwhole-seconds\nclock=-3s",
		sandbox.Options{Now: func() time.Time { return clock }})
	a := r.create(comet,
		`{"name":" A & B\n","icon":"https://i.example/","integrateWith":"langgraph","integrationType":"agent",
		"integrationMeta":{"baseUrl":"https://b.example"},"metaData":{"greetingMessage":" one\ntwo "}}`)
	for field, want := range map[string]any{
		"name": "A &amp; B", "icon": "https://i.example", "createdAt": "2026-01-02T03:04:02.000Z",
		"integrationMeta": map[string]any{"baseUrl": "https://b.example/", "timeout": 30.0, "stream": true},
		"metaData": map[string]any{"greetingMessage": "one\r\ntwo", "suggestedMessages": []any{},
			"theme": "default"},
	} {
		t.Run(field, func(t *testing.T) {
			if diff := cmp.Diff(want, a[field]); diff != "" {
				t.Errorf("%s", diff)
			}
		})
	}
	r = faulty(t, "echo-secrets\nmask-headers op=list\nstrict-meta", sandbox.Options{})
	a = r.create(comet, fullComet)
	if strings.Count(sprint(a), "s3cret") != 3 || strings.Count(r.send("GET", comet, "").body, "s3cret") != 2 {
		t.Errorf("created %v, listed %s", a, r.send("GET", comet, "").body)
	}
	one := comet + "/" + a["uid"].(string)
	r.must(400, "PATCH", one, `{"integrationMeta":{"baseUrl":"https://b.example"}}`)
	r.must(200, "PATCH", one, `{"integrateWith":"langgraph","integrationMeta":{"baseUrl":"https://b.example"}}`)
}

func TestReferences(t *testing.T) {
	known, err := sandbox.ParseReferences("# tools\ntool weather The weather\naction handoff\n\ncontext c1 " +
		"Handbook\ncontext c2\n")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, sandbox.Options{References: known, Tools: []string{"search"}, PageSize: 1})
	list := func(path string) string { return r.send("GET", path, "").body }
	const tools = "/cometchat/2754abc/v3/ai-agents/tools"
	if got := list(tools); !strings.Contains(got, `"displayName":"The weather"`) ||
		strings.Count(got, `"type":"tool"`) != 2 || strings.Count(got, `"type":"action"`) != 1 {
		t.Errorf("tools %s", got)
	}
	if got := list(tools + "?type=action"); strings.Contains(got, "weather") || !strings.Contains(got, "handoff") {
		t.Errorf("actions %s", got)
	}
	r.must(400, "GET", tools+"?type=other", "")
	r.must(405, "POST", tools, "{}")
	const contexts = "/api/v1/appuid/acme/contexts"
	first := r.must(200, "GET", contexts, "")["contexts"].([]any)
	at := first[0].(map[string]any)["createdAt"].(string)
	if got := list(contexts + "?startAfter=" + at); len(first) != 1 || !strings.Contains(got, `"c2"`) {
		t.Errorf("contexts %v, then %s", first, got)
	}
	r.must(400, "POST", comet, with(newComet, `"tools":["handoff"]`))
	r.must(400, "POST", mind, with(newMind, `"contextUids":["c3"]`))
	r.must(200, "POST", comet, with(newComet, `"tools":["weather","search"],"actions":["handoff"]`))
	for text, want := range map[string]string{"tool": "reference 1: want tool",
		"tool a\nthing b": "reference 2: want tool"} {
		t.Run(text, func(t *testing.T) {
			if _, err := sandbox.ParseReferences(text); err == nil || !strings.Contains(err.Error(), want) {
				t.Error(err)
			}
		})
	}
	free := start(t, sandbox.Options{})
	free.must(200, "POST", comet, with(newComet, `"tools":["any"],"actions":["other"]`))
	free.must(200, "POST", mind, with(newMind, `"contextUids":["any"]`))
	if got := free.send("GET", tools, ""); got.status != 200 || got.body != "[]" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestReopenedAfterEachWrite: a server that has just opened the file shows what the one before it showed.
func TestReopenedAfterEachWrite(t *testing.T) {
	for _, p := range []struct{ path, one, body, change string }{
		{comet, "/", newComet, `{"name":"New"}`}, {mind, "/uid/", newMind, `{"agentName":"New"}`},
		{mindV2, "/uid/", newMind, `{"agentName":"New"}`},
	} {
		path := filepath.Join(t.TempDir(), "sandbox.jsonl")
		var uid string
		reopened := func(what string, act func(r *rig) reply) {
			t.Helper()
			r := start(t, sandbox.Options{File: path})
			if got := act(r); got.status != 200 {
				t.Fatalf("%s %s: %d %s", what, p.path, got.status, got.body)
			}
			list, agents := r.send("GET", p.path, "").body, r.Agents("", "")
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			next := start(t, sandbox.Options{File: path})
			if got := next.send("GET", p.path, "").body; got != list {
				t.Errorf("%s %s: listed %s, and opened anew %s", what, p.path, list, got)
			}
			if diff := cmp.Diff(agents, next.Agents("", "")); diff != "" {
				t.Errorf("%s %s: %s", what, p.path, diff)
			}
			if err := next.Close(); err != nil {
				t.Fatal(err)
			}
		}
		reopened("create", func(r *rig) reply {
			got := r.send("POST", p.path, p.body)
			uid = r.Agents("", "")[0].UID
			return got
		})
		reopened("another create", func(r *rig) reply { return r.send("POST", p.path, p.body) })
		reopened("update", func(r *rig) reply { return r.send("PATCH", p.path+p.one+uid, p.change) })
		reopened("delete", func(r *rig) reply { return r.send("DELETE", p.path+p.one+uid, "") })
		reopened("create after a delete", func(r *rig) reply { return r.send("POST", p.path, p.body) })
	}
}

// TestForeignPagesAreRefused: neither a web page of another origin nor a host name that was made to mean this
// machine gets at anything.
func TestForeignPagesAreRefused(t *testing.T) {
	r := start(t, sandbox.Options{})
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"} {
		for _, path := range []string{comet, mind} {
			body := map[string]string{comet: newComet, mind: newMind}[path]
			if got := r.send("POST", path, body, header); got.status != 403 {
				t.Errorf("%s with %s: %d", path, header, got.status)
			}
		}
	}
	for host, want := range map[string]int{"evil.example:8787": 403, "localhost.evil.example": 403,
		"localhost:8787": 200,
		"127.0.0.1:1":    200, "[::1]:1": 200, "10.0.0.1": 403} {
		t.Run(host, func(t *testing.T) {
			for _, path := range []string{"/_sandbox/agents", "/", comet} {
				if got := r.sendTo(host, "GET", path); got != want {
					t.Errorf("%s as %s: %d, want %d", path, host, got, want)
				}
			}
		})
	}
	if r.made() != 0 {
		t.Errorf("%d agents were made", r.made())
	}
}

// TestFaultsHelp explains every fault in lines that fit a terminal.
func TestFaultsHelp(t *testing.T) {
	_, err := sandbox.ParseFaults("?")
	_, names, _ := strings.Cut(err.Error(), "there are ")
	grammar := sandbox.FaultsHelp()
	for name := range strings.SplitSeq(names, ", ") {
		if !strings.Contains(grammar, "\n  "+name) {
			t.Errorf("%s is not explained", name)
		}
	}
	for line := range strings.Lines(grammar) {
		if len(bytes.TrimSpace([]byte(line))) > 130 {
			t.Errorf("too long: %s", line)
		}
	}
	if diff := cmp.Diff([]string{"cometchat", "mindset"}, sandbox.Platforms()); diff != "" {
		t.Error(diff)
	}
	if base, ok := sandbox.BasePath("cometchat"); base != "/cometchat/{app}/v3" || !ok {
		t.Errorf("base path %q", base)
	}
	if _, ok := sandbox.BasePath("other"); ok {
		t.Error("the sandbox claims to play another platform")
	}
}
