package ci

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestDrift: what somebody changed at the platform is a change of the nightly plan, and of no other.
func TestDrift(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	server := r.withSandbox()
	r.withRepository(fleet("coach", "guide"))
	if res := r.run(map[string]string{"command": "apply"}); res.failed {
		t.Fatal(res.log)
	}
	plan := map[string]string{"command": "plan", "marker": "drift", "refresh": "true"}
	res := r.run(plan)
	wantOutputs(t, res, map[string]string{"exit-code": "0", "has-changes": "false"})
	wantAll(t, "log", res.log, "no run of a pull request")

	req := httptest.NewRequest(http.MethodPatch, "http://localhost/api/v1/appuid/acme/agents/uid/"+
		server.Agents("", "")[0].UID,
		strings.NewReader(`{"agentPurpose": "Mine"}`))
	req.Header.Set("x-api-key", "somebody-else")
	req.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	if server.ServeHTTP(answer, req); answer.Code != 200 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	res = r.run(plan)
	wantOutputs(t, res, map[string]string{"exit-code": "0", "has-changes": "true", "update": "1", "create": "0"})
	wantAll(t, "summary", res.summary, "<!-- agentsync:drift -->")
	plan["refresh"] = "false"
	wantOutputs(t, r.run(plan), map[string]string{"has-changes": "false"})
}
