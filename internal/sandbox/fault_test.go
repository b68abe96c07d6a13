package sandbox_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"agentsync/internal/sandbox"
)

// TestFaultsThatAnswer sends one create to each platform under each fault whose answer arrives whole.
func TestFaultsThatAnswer(t *testing.T) {
	for _, tc := range []struct {
		rule, method string
		status, made int
		header, want string // one header of the answer
		kind, says   string // the content type's beginning, and part of the body
	}{
		{rule: "status-before=503", status: 503, kind: "application/json", says: "told to answer 503"},
		{rule: "status-before=500 body=empty", status: 500},
		{rule: "status-before=502 body=html", status: 502, kind: "text/html", says: "<h1>Bad Gateway"},
		{rule: "status-after=504", status: 504, made: 1, kind: "application/json", says: "504"},
		{rule: "status-after=500 body=html", status: 500, made: 1, kind: "text/html", says: "<h1>"},
		{rule: "html", status: 502, kind: "text/html", says: "<h1>Bad Gateway"},
		{rule: "html=404", status: 404, kind: "text/html", says: "<h1>Not Found"},
		{rule: "empty=500", status: 500},
		{rule: "throttle", status: 429, header: "Retry-After", want: "1", kind: "application/json", says: "too many"},
		{rule: "throttle=1500ms", status: 429, header: "Retry-After", want: "2", kind: "application/json",
			says: "too many"},
		{rule: "throttle retry-as=none body=html", status: 429, header: "Retry-After", kind: "text/html",
			says: "Too Many"},
		{rule: "unavailable=7s", status: 503, header: "Retry-After", want: "7", kind: "application/json", says: "503"},
		{rule: "unavailable=7s body=empty", status: 503, header: "Retry-After", want: "7"},
		{rule: "garbage", status: 200, made: 1, kind: "application/json", says: "<<<"},
		{rule: "redirect=307 to=https://elsewhere.example/x", status: 307, header: "Location",
			want: "https://elsewhere.example/x"},
		{rule: "latency=1ms jitter=1ms", status: 200, made: 1, kind: "application/json", says: "uid"},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			r := faulty(t, tc.rule, sandbox.Options{})
			for i, p := range [][2]string{{comet, newComet}, {mind, newMind}} {
				got := r.send("POST", p[0], p[1])
				if got.err != nil || got.status != tc.status || r.made() != tc.made*(i+1) {
					t.Errorf("%s: %d %v with %d agents made, want %d and %d", p[0], got.status, got.err, r.made(),
						tc.status,
						tc.made*(i+1))
				}
				if v := got.header.Get(tc.header); v != tc.want {
					t.Errorf("%s: %s is %q, want %q", p[0], tc.header, v, tc.want)
				}
				if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, tc.kind) ||
					(tc.kind == "") != (kind == "") {
					t.Errorf("%s: content type %q, want %q", p[0], kind, tc.kind)
				}
				if !strings.Contains(got.body, tc.says) || (tc.says == "") != (got.body == "") {
					t.Errorf("%s: body %q, want %q in it", p[0], got.body, tc.says)
				}
			}
		})
	}
}

// TestFaultsThatClose counts the agents that are there when the connection ends without an answer.
func TestFaultsThatClose(t *testing.T) {
	for rule, made := range map[string]int{
		"drop-before": 0, "drop-after": 1, "hang-before=1ms": 0, "hang-after=1ms": 1, "hang=1ms": 1, "cut-body": 1,
	} {
		t.Run(rule, func(t *testing.T) {
			r := faulty(t, rule+" op=create,update,delete", sandbox.Options{})
			for i, p := range [][2]string{{comet, newComet}, {mind, newMind}} {
				got := r.send("POST", p[0], p[1])
				if got.err == nil {
					t.Fatalf("%s: answered %d %s", p[0], got.status, got.body)
				}
				if cut := strings.HasPrefix(rule, "cut"); cut != (got.status == 200 && got.body != "") {
					t.Errorf("%s: %d with %q arrived", p[0], got.status, got.body)
				}
				if r.made() != made*(i+1) {
					t.Errorf("%s: %d agents made, want %d", p[0], r.made(), made*(i+1))
				}
			}
		})
	}
}

// TestEffectsOfUpdateAndDelete drops the answers of both; a delete's empty answer is cut as well.
func TestEffectsOfUpdateAndDelete(t *testing.T) {
	r := faulty(t, "drop-after op=update\ncut-body op=delete", sandbox.Options{})
	uid := r.create(mind, newMind)["uid"].(string)
	if got := r.send("PATCH", mind+"/uid/"+uid, `{"agentName":"New"}`); got.err == nil {
		t.Errorf("the update was answered %d", got.status)
	}
	if got := r.names(mind); got != "New" {
		t.Errorf("listed %q", got)
	}
	if got := r.send("DELETE", mind+"/uid/"+uid, ""); !errors.Is(got.err, io.ErrUnexpectedEOF) {
		t.Errorf("the delete was answered %d %q %v", got.status, got.body, got.err)
	}
	if r.made() != 0 {
		t.Error("the agent is still there")
	}
}

func TestRetryAfterAsDate(t *testing.T) {
	r := faulty(t, "throttle=90s retry-as=date", sandbox.Options{})
	before := time.Now()
	got := r.send("GET", comet, "")
	at, err := http.ParseTime(got.header.Get("Retry-After"))
	if err != nil || at.Before(before.Add(90*time.Second)) || at.After(time.Now().Add(91*time.Second)) {
		t.Errorf("Retry-After %q: %v", got.header.Get("Retry-After"), err)
	}
	if reset, _ := strconv.ParseInt(got.header.Get("X-Rate-Limit-Reset"), 10, 64); reset != at.Unix() {
		t.Errorf("X-Rate-Limit-Reset %d, want %d", reset, at.Unix())
	}
}

func TestRedirectToTheSamePlace(t *testing.T) {
	r := faulty(t, "redirect=308 nth=1 op=create", sandbox.Options{})
	got := r.send("POST", cometApp, newComet)
	if got.status != 308 || got.header.Get("Location") != cometApp || r.made() != 0 {
		t.Fatalf("%d to %q, %d made", got.status, got.header.Get("Location"), r.made())
	}
	r.client.CheckRedirect = nil // a client that follows sends the create again
	r.SetFaults(r.Faults())
	if got := r.send("POST", cometApp, newComet); got.status != 200 || r.Counts().Requests["cometchat"]["create"] != 3 {
		t.Errorf("followed to %d, counts %v", got.status, r.Counts())
	}
}

// TestHangEndsWithItsClient also shows that a hang without a length lasts until then.
func TestHangEndsWithItsClient(t *testing.T) {
	r := faulty(t, "hang op=create", sandbox.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+mind, strings.NewReader(newMind))
	req.Header.Set("x-api-key", "k")
	req.Header.Set("Content-Type", "application/json")
	done := make(chan error)
	go func() {
		resp, err := r.client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	r.untilHeld()
	select {
	case err := <-done:
		t.Fatalf("the request ended: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client saw %v", err)
	}
	if r.made() != 1 {
		t.Errorf("%d agents, want 1", r.made())
	}
}

// TestCloseLetsGo of a hang that has no end and carries a late effect out.
func TestCloseLetsGo(t *testing.T) {
	r := faulty(t, "late=1h nth=1 op=create\nhang-before op=list", sandbox.Options{})
	if got := r.send("POST", mind, newMind); got.err == nil {
		t.Errorf("the late create was answered %d", got.status)
	}
	if r.made() != 0 {
		t.Error("the late create came at once")
	}
	done := make(chan reply)
	go func() { done <- r.send("GET", mind, "") }()
	r.untilHeld()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err == nil {
		t.Errorf("the hanging list was answered %d", got.status)
	}
	if r.made() != 1 {
		t.Errorf("%d agents after the close, want 1", r.made())
	}
}

func TestLists(t *testing.T) {
	for _, p := range []struct {
		path  string
		named func(string) string
	}{{comet, nameComet}, {mind, nameMind}} {
		for rule, want := range map[string]string{
			"short-list":              "a b | a b c d",
			"short-list=1":            "a b c | a b c d",
			"short-list=9":            " | a b c d",
			"empty-list":              " | a b c d",
			"lag=1h name=c":           "a b d | a b d",
			"lag-lists=1 name=c":      "a b d | a b c d",
			"lag-lists=2 name=?":      " | ",
			"lag-lists=1 name=nobody": "a b c d | a b c d",
			"short-list=2 app=nope":   "a b c d | a b c d",
		} {
			if !strings.Contains(rule, "lag") {
				rule += " nth=1"
			}
			t.Run(p.path+" "+rule, func(t *testing.T) {
				r := faulty(t, rule, sandbox.Options{})
				for _, name := range []string{"a", "b", "c", "d"} {
					r.create(p.path, p.named(name))
				}
				if got := r.names(p.path) + " | " + r.names(p.path); got != want {
					t.Errorf("two lists: %q, want %q", got, want)
				}
			})
		}
	}
}

func TestRepeatedPages(t *testing.T) {
	r := faulty(t, "repeat-page", sandbox.Options{PageSize: 1})
	r.create(comet, nameComet("a"))
	first := r.create(mind, nameMind("a"))
	r.create(mind, nameMind("b"))
	if got := r.names(comet); got != "a a" {
		t.Errorf("CometChat listed %q", got)
	}
	if got := r.names(mind + "?startAfter=" + first["createdAt"].(string)); got != "a" {
		t.Errorf("Mindset's second page is %q, want the first again", got)
	}
}

func TestMaskingAndRewriting(t *testing.T) {
	r := faulty(t, "mask-headers op=list\nrewrite=name:trim\nrewrite=tools:reverse\nrewrite=tags:sort\n"+
		"rewrite=agentName:upper\nrewrite=metaData:drop\nrewrite=icon:lower op=update",
		sandbox.Options{Tools: []string{"a", "b"}})
	body := strings.NewReplacer("Analyst", " Analyst ", `["weather"]`, `["a","b"]`).Replace(fullComet)
	a := r.create(comet, body)
	if a["name"] != "Analyst" || sprint(a["tools"]) != "[b a]" || a["metaData"] != nil ||
		!strings.Contains(sprint(a), "s3cret") {
		t.Errorf("created %v", a)
	}
	if got := r.send("GET", comet, "").body; strings.Contains(got, "s3cret") ||
		!strings.Contains(got, `"authorization":"********"`) {
		t.Errorf("listed %s", got)
	}
	r.must(200, "PATCH", comet+"/"+a["uid"].(string), `{"icon":"https://CDN.example.com/X"}`)
	if got := r.Agents("cometchat", "")[0].Fields["icon"]; got != "https://cdn.example.com/x" {
		t.Errorf("icon %v", got)
	}
	m := r.create(mind, `{"agentName":"coach","tags":["z","a"]}`)
	if m["agentName"] != "COACH" || sprint(m["tags"]) != "[a z]" {
		t.Errorf("created %v", m)
	}
}

func TestRefusedTools(t *testing.T) {
	r := faulty(t, "refuse-tools", sandbox.Options{})
	for _, what := range []string{`"tools":["weather"]`, `"actions":["handoff"]`} {
		if got := r.send("POST", comet, with(newComet, what)); got.status != 400 ||
			!strings.Contains(got.body, "ERR_TOOL_NOT_FOUND") {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	r.create(comet, newComet)
}

func TestSelectors(t *testing.T) {
	r := faulty(t, strings.Join([]string{
		`status-before=500 name="Support *"`,
		`status-before=501 platform=mindset method=POST nth=2`,
		`status-before=502 app=2754abc every=2`,
		`status-before=503 op=read,delete times=1`,
	}, "\n"), sandbox.Options{})
	status := func(method, path, body string) int { return r.send(method, path, body).status }
	equal := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	equal("name", status("POST", comet, nameComet("Support EU")), 500)
	equal("other name", status("POST", comet, nameComet("Sales")), 200)
	equal("first create", status("POST", mind, newMind), 200)
	equal("second create", status("POST", mind, newMind), 501)
	equal("third create", status("POST", mind, newMind), 200)
	equal("first of app", status("POST", cometApp, newComet), 200)
	equal("second of app", status("GET", cometApp, ""), 502)
	equal("third of app", status("GET", cometApp, ""), 200)
	one := mind + "/uid/" + r.Agents("mindset", "acme")[0].UID
	equal("first read", status("GET", one, ""), 503)
	equal("second read", status("GET", one, ""), 200)
	equal("name sent", status("PATCH", one, `{"agentName":"Support team"}`), 500)
	r.SetFaults(nil)
	r.must(200, "PATCH", one, `{"agentName":"Support team"}`)
	faults, err := sandbox.ParseFaults(`status-before=500 name="Support *"`)
	if err != nil {
		t.Fatal(err)
	}
	r.SetFaults(faults)
	equal("stored name", status("GET", one, ""), 500)
}

func TestChanceIsTheSameForTheSameSeed(t *testing.T) {
	draw := func(seed string) string {
		r := faulty(t, "status-before=500 p=0.5 seed="+seed, sandbox.Options{})
		var b strings.Builder
		for range 40 {
			b.WriteString(strconv.Itoa(r.send("GET", mind, "").status / 500))
		}
		return b.String()
	}
	a, b, other := draw("7"), draw("7"), draw("8")
	if a != b || a == other || !strings.Contains(a, "0") || !strings.Contains(a, "1") {
		t.Errorf("drew\n%s\n%s\n%s", a, b, other)
	}
}

func TestRulesCombine(t *testing.T) {
	r := faulty(t, "latency=20ms\nlatency=20ms\nlag-lists=1\ndrop-after op=create\nstatus-after=500 op=create",
		sandbox.Options{})
	began := time.Now()
	if got := r.send("POST", mind, newMind); got.err == nil {
		t.Errorf("answered %d", got.status)
	}
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("two latencies of 20ms took %v", took)
	}
	if got := r.names(mind); got != "" || r.made() != 1 {
		t.Errorf("listed %q of %d", got, r.made())
	}
	if got := strings.Join(r.Requests()[1].Faults, " "); got != "latency latency lag-lists drop-after status-after" {
		t.Errorf("the record says %q", got)
	}
}

// TestHalfARequest: a client that goes in the middle of its body has made nothing.
func TestHalfARequest(t *testing.T) {
	s, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		s.ServeHTTP(w, r)
	})}
	go func() { _ = srv.Serve(listener) }()
	defer func() { _ = srv.Close() }()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn,
		"POST "+mind+
			" HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n"+
			newMind)
	_ = conn.Close()
	<-done
	if n := len(s.Agents("", "")); n != 0 {
		t.Errorf("%d agents made by half a request", n)
	}
}
