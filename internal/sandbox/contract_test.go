package sandbox_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/sandbox"
)

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestCometChatLife(t *testing.T) {
	r := start(t, sandbox.Options{})
	a := r.create(cometApp, newComet)
	uid := a["uid"].(string)
	if !uuid4.MatchString(uid) {
		t.Errorf("uid %q is no UUID of version 4", uid)
	}
	for field, want := range map[string]any{
		"appId": "2754abc", "isActive": true, "deletedAt": nil, "instruction": nil, "tools": nil,
		"integrationMeta": nil, "metaData": nil, "createdAt": a["updatedAt"],
	} {
		t.Run(field, func(t *testing.T) {
			if got, ok := a[field]; !ok || got != want {
				t.Errorf("%v (there: %v), want %v", got, ok, want)
			}
		})
	}
	got := r.must(200, "PATCH", cometApp+"/"+uid, `{"name":"New","isActive":false}`)
	if diff := cmp.Diff(map[string]any{"success": true}, got); diff != "" {
		t.Error(diff)
	}
	if names := r.names(cometApp); names != "New" {
		t.Errorf("listed %q", names)
	}
	if got := r.must(200, "DELETE", cometApp+"/"+uid, ""); got["success"] != true || got["message"] == "" {
		t.Errorf("delete answered %v", got)
	}
	for _, again := range []string{"DELETE", "PATCH"} {
		got := r.must(404, again, cometApp+"/"+uid, map[string]string{"PATCH": `{"name":"x"}`}[again])
		if code := got["error"].(map[string]any)["code"]; code != "ERR_AGENT_NOT_FOUND" {
			t.Errorf("%s again: %v", again, code)
		}
	}
	if names := r.names(cometApp); names != "" {
		t.Errorf("listed %q after the delete", names)
	}
}

func TestMindsetLife(t *testing.T) {
	r := start(t, sandbox.Options{})
	a := r.create("/mindset"+mind, newMind)
	uid := a["uid"].(string)
	want := map[string]any{
		"uid": uid, "agentName": "Coach", "live": false, "access": "restrictedAccess", "createdAt": a["createdAt"],
		"contextUids": []any{}, "mcpserverUids": []any{}, "tags": []any{},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
	want["tags"], want["live"], want["agentPurpose"] = []any{"x"}, true, ""
	if diff := cmp.Diff(want,
		r.must(200, "PATCH", mind+"/uid/"+uid, `{"tags":["x"],"live":true,"agentPurpose":""}`)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, r.must(200, "GET", mind+"/uid/"+uid, "")); diff != "" {
		t.Error(diff)
	}
	if got := r.send("DELETE", mind+"/uid/"+uid, ""); got.status != 200 || got.body != "" {
		t.Errorf("delete answered %d %q", got.status, got.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		r.must(404, method, mind+"/uid/"+uid, "")
	}
}

func TestEveryFieldIsKept(t *testing.T) {
	r := start(t, sandbox.Options{})
	c := r.create(comet, fullComet)
	if got := c["integrationMeta"].(map[string]any)["headers"]; !cmp.Equal(got,
		map[string]any{"authorization": "Bearer s3cret"}) {
		t.Errorf("headers: %v", got)
	}
	if got := r.send("GET", comet, "").body; !strings.Contains(got, `"other":{"n":1.50}`) {
		t.Errorf("metaData was not kept as sent: %s", got)
	}
	uid := c["uid"].(string)
	r.must(200, "PATCH", comet+"/"+uid, `{"tools":[],"actions":[],"metaData":{},"integrationMeta":{},"isActive":true}`)
	got := r.Agents("cometchat", "sandbox")[0].Fields
	for _, field := range []string{"tools", "actions", "metaData", "integrationMeta"} {
		if s := strings.NewReplacer("map", "").Replace(strings.TrimSpace(sprint(got[field]))); s != "[]" {
			t.Errorf("%s was not cleared: %v", field, got[field])
		}
	}
	m := r.create(mind, fullMind)
	if m["agentName"] != "Träger 🤖" || m["externalTenantId"] != "tenant-1" || m["access"] != "openAccess" {
		t.Errorf("answered %v", m)
	}
}

func TestCreateIsNeverDeduplicated(t *testing.T) {
	r := start(t, sandbox.Options{})
	for _, p := range [][2]string{{comet, newComet}, {mind, newMind}} {
		a, b := r.create(p[0], p[1]), r.create(p[0], p[1])
		if a["uid"] == b["uid"] {
			t.Errorf("%s: two creates gave one agent", p[0])
		}
	}
	if r.made() != 4 {
		t.Errorf("%d agents, want 4", r.made())
	}
}

func TestWaysToAnswer(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	r := start(t, sandbox.Options{Millis: true, WrappedList: true, MaskHeaders: true, ShowDeleted: true,
		CreatedStatus: 201, Precision: time.Second, Now: func() time.Time { return clock }})
	a := r.must(201, "POST", comet, fullComet)["agent"].(map[string]any)
	if got := a["createdAt"]; got != float64(clock.Truncate(time.Second).UnixMilli()) {
		t.Errorf("createdAt %v", got)
	}
	if got := sprint(a["integrationMeta"]); strings.Contains(got, "s3cret") ||
		!strings.Contains(got, "authorization:***") {
		t.Errorf("headers are not masked: %v", got)
	}
	r.must(200, "DELETE", comet+"/"+a["uid"].(string), "")
	data := r.must(200, "GET", comet, "")["data"].([]any)
	if got := data[0].(map[string]any)["deletedAt"]; got != a["createdAt"] {
		t.Errorf("deletedAt %v in %v", got, data)
	}
	if got := r.must(201, "POST", mind, newMind)["createdAt"]; got != "2026-01-02T03:04:05.000Z" {
		t.Errorf("createdAt %v", got)
	}
}

func TestMindsetPages(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := start(t, sandbox.Options{PageSize: 2, Now: func() time.Time { return now }})
	var created []string
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		if i != 2 { // b and c share their createdAt, over the end of the first page
			now = now.Add(time.Millisecond)
		}
		created = append(created, r.create(mind, nameMind(name))["createdAt"].(string))
	}
	from := func(t string) string { return mind + "?startAfter=" + url.QueryEscape(t) }
	for _, tc := range []struct{ path, want string }{
		{mind, "a b"},
		{from(created[1]), "d e"}, // c is lost, as with the platform
		{from(created[0]), "b c"},
		{from(created[4]), ""},
		{from("2026-01-02T04:04:05.002+01:00"), "d e"},
		{from("2020-01-01T00:00:00Z"), "a b"},
	} {
		t.Run(tc.path, func(t *testing.T) {
			if got := r.names(tc.path); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	now = now.Add(-time.Hour) // a clock that was set back
	r.create(mind, nameMind("early"))
	if got := r.names(mind); got != "early a" {
		t.Errorf("after the clock went back: %q", got)
	}
}

func TestMindsetFilters(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.create(mind, `{"agentName":"a","contextUids":["c1"]}`)
	r.create(mind, `{"agentName":"b","mcpserverUids":["abcdefghij0123456789"]}`)
	for query, want := range map[string]string{"?contextUid=c1": "a", "?mcpserverUid=abcdefghij0123456789": "b",
		"?contextUid=zz": ""} {
		t.Run(query, func(t *testing.T) {
			if got := r.names(mind + query); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestAppsAreApart(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.create(cometApp, nameComet("one"))
	r.create(comet, nameComet("two"))
	r.create(mind, nameMind("three"))
	if got := r.names(cometApp) + "|" + r.names(comet) + "|" +
		r.names("/api/v1/appuid/other/agents"); got != "one|two|" {
		t.Errorf("listed %q", got)
	}
	if got := len(r.Agents("cometchat", "")); got != 2 {
		t.Errorf("%d agents at CometChat, want 2", got)
	}
}
