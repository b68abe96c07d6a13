package torture

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// Each test of this file is a way in which a uid was lost, or a change was believed that did not happen.

// TestPruneWhereNothingIsFound: every path is answered 404, by HTML or by a platform that has other agents. Nothing
// counts as deleted.
func TestPruneWhereNothingIsFound(t *testing.T) {
	noAgent := body{"error": body{"code": "ERR_AGENT_NOT_FOUND", "message": "The agent does not exist."}}
	cases := map[string]func(q *query) bool{
		"another path": func(q *query) bool { return q.send(http.StatusNotFound, "<html>Not Found</html>") },
		"another app, empty": func(q *query) bool {
			switch {
			case q.op != "list":
				return q.send(http.StatusNotFound, noAgent)
			case q.platform == "cometchat":
				return q.send(http.StatusOK, []any{})
			}
			return q.send(http.StatusOK, body{"agents": []any{}})
		},
	}
	for name, lost := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, manners{})
			s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
			s.apply(0)
			s.write(concierge("a"), coach("a"))
			s.behave(manners{before: lost})
			s.run(quick("apply", "--auto-approve", "--prune")...) // its exit code depends on what it could tell
			s.everyUID()
			s.behave(manners{})
			s.apply(0, "--prune")
			s.whole("Concierge a", "Coach a")
		})
	}
}

// untrue are answers of 200 that do not say that anything was done.
var untrue = map[string]any{
	"sign-in page":  "<html><form>Sign in</form></html>",
	"error":         body{"error": body{"code": "ERR_PLAN", "message": "not in your plan"}},
	"error service": body{"statusCode": 403, "message": "not in your plan", "error": "Forbidden"},
	"success false": body{"success": false, "message": "not in your plan"},
}

// TestOKThatIsNotDone: writes are answered 200 with a body that is no success. They are failures, what the platform
// said is shown, and they are done once it does them.
func TestOKThatIsNotDone(t *testing.T) {
	for name, answer := range untrue {
		t.Run(name, func(t *testing.T) {
			lie := manners{before: func(q *query) bool {
				return q.op != "list" && q.op != "read" && q.send(http.StatusOK, answer)
			}}
			says := func(out string) {
				t.Helper()
				if _, page := answer.(string); !page && !strings.Contains(out, "not in your plan") {
					t.Errorf("what the platform said is not shown:\n%s", out)
				}
			}
			s := newSite(t, lie)
			s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
			code, out := s.run(quick("apply", "--auto-approve")...)
			if code == 0 || len(s.known()) > 0 {
				t.Errorf("creates: exit %d, the state knows %v", code, s.known())
			}
			says(out)
			s.behave(manners{})
			s.apply(0)
			s.whole("Concierge a", "Concierge b", "Coach a", "Coach b")

			s.behave(lie)
			s.write(concierge("a", "name: New"), coach("a", "agentName: New"))
			if code, out = s.run(quick("apply", "--auto-approve", "--prune")...); code == 0 {
				t.Errorf("updates and deletes: exit 0\n%s", out)
			}
			says(out)
			s.everyUID()
			s.behave(manners{})
			s.apply(0, "--prune")
			s.whole("New", "New")
		})
	}
}

// TestUpdateThatIsNotApplied: an update is answered as a success, and nothing changes.
func TestUpdateThatIsNotApplied(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), coach("a"))
	s.apply(0)
	s.behave(manners{before: func(q *query) bool {
		if q.op != "update" {
			return false
		}
		if q.platform == "cometchat" {
			return q.send(http.StatusOK, body{"success": true})
		}
		q.op, q.fields = "read", nil
		return q.send(s.act(q))
	}})
	s.write(concierge("a", "name: New"), coach("a", "agentName: New"))
	if code, out := s.run(quick("apply", "--auto-approve")...); code == 0 {
		t.Errorf("exit 0\n%s", out)
	}
	if code, out := s.run("plan", "--detailed-exitcode"); code != 2 {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	s.behave(manners{})
	s.apply(0)
	s.whole("New", "New")
}

// odd gives an agent members of a kind that its field does not have, one of them nested deeper than anybody reads.
func odd(agent body) {
	deep := any("end")
	for range 2_000 {
		deep = []any{deep}
	}
	agent["icon"], agent["agentPurpose"], agent["metaData"], agent["tags"] = []any{1}, body{"a": 1}, deep, "none"
}

// TestAnswerWhoseRestIsOdd: the answer to a create has a uid that can be read, and content that cannot.
func TestAnswerWhoseRestIsOdd(t *testing.T) {
	var playing atomic.Bool
	playing.Store(true)
	s := newSite(t, manners{show: func(op string, agent body) {
		if name := nameOf(agent); playing.Load() && strings.HasSuffix(name, " a") {
			odd(agent)
		}
	}})
	s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
	s.run(quick("apply", "--auto-approve")...)
	s.there("Concierge a", "Concierge b", "Coach a", "Coach b")
	s.everyUID()
	playing.Store(false)
	s.apply(0)
	s.whole("Concierge a", "Concierge b", "Coach a", "Coach b")
	if n := s.asked("create"); n != 4 {
		t.Errorf("%d creates for 4 agents", n)
	}
}

// TestOddStrangerInTheList: an agent that nobody manages cannot be read. It stops no other.
func TestOddStrangerInTheList(t *testing.T) {
	s := newSite(t, manners{show: func(_ string, agent body) {
		if nameOf(agent) == "Odd" {
			odd(agent)
		}
	}})
	s.put("cometchat", body{"name": "Odd"})
	s.put("mindset", body{"agentName": "Odd"})
	s.write(concierge("a"), coach("a"))
	s.apply(0)
	s.there("Concierge a", "Coach a", "Odd", "Odd")
	s.everyUID("Odd")
}

// TestEndOfTheList: the list of Mindset ends with an empty page, or with 404 and an empty list, at every size of its
// pages.
func TestEndOfTheList(t *testing.T) {
	for _, ends := range []bool{false, true} {
		for _, pageSize := range []int{0, 1, 2, 3, 4} {
			t.Run(fmt.Sprintf("404 %v, pages of %d", ends, pageSize), func(t *testing.T) {
				s := newSite(t, manners{pageSize: pageSize, end404: ends})
				names, agents := []string{}, []string{}
				for _, key := range []string{"a", "b", "c"} {
					names, agents = append(names, "Coach "+key), append(agents, coach(key))
					s.write(agents...)
					s.apply(0)
					s.whole(names...)
				}
				s.write(agents[:1]...)
				s.apply(0, "--prune", "--refresh")
				s.whole("Coach a")
			})
		}
	}
}

// TestPagesOfOneAgent: each two agents share a time, so the list shows every other one. Those that are known are read
// alone. A create whose answer was lost may have made one that is hidden: it is not sent again.
func TestPagesOfOneAgent(t *testing.T) {
	s := newSite(t, manners{pageSize: 1, samePair: true})
	s.write(coach("a"), coach("b"), coach("c"))
	s.apply(0)
	s.whole("Coach a", "Coach b", "Coach c")
	s.write(coach("a"), coach("b"), coach("c"), coach("d"), coach("e"))
	s.apply(0)
	s.whole("Coach a", "Coach b", "Coach c", "Coach d", "Coach e")
	s.behave(manners{pageSize: 1, samePair: true,
		after: func(q *query, _ int, _ any) bool { return q.op == "create" && q.drop() }})
	s.write(coach("a"), coach("b"), coach("c"), coach("d"), coach("e"), coach("f"))
	for range 2 {
		code, out := s.run(quick("apply", "--auto-approve")...)
		if code != 3 || !strings.Contains(out, "hold one agent each") ||
			!strings.Contains(out, "agentsync apply --allow-duplicate-names") {
			t.Errorf("exit %d\n%s", code, out)
		}
	}
	s.there("Coach a", "Coach b", "Coach c", "Coach d", "Coach e", "Coach f")
}

// TestListThatIsNull: an empty app is {"agents": null}.
func TestListThatIsNull(t *testing.T) {
	s := newSite(t, manners{before: func(q *query) bool {
		return q.op == "list" &&
			q.send(http.StatusOK, `{"agents": null}`)
	}})
	s.write(coach("a"))
	s.run(quick("apply", "--auto-approve")...)
	if n := s.asked("create"); n == 0 {
		t.Error("nothing was created")
	}
	s.behave(manners{})
	s.apply(0)
	s.whole("Coach a")
}

// TestManyWarningsDropNothing: each of 1,010 agents draws a warning, and --prune deletes none of them.
func TestManyWarningsDropNothing(t *testing.T) {
	const n = 1_010
	s := newSite(t, manners{})
	fleet := func(header string) {
		var b strings.Builder
		b.WriteString("version: 1\ncometchat:\n  appId: app1\n  region: eu\n  defaults:\n    icon: " +
			"https://cdn.example.com/bot.png\n" +
			"    integrateWith: langgraph\n    integrationType: agent\n" +
			"    integrationMeta: {baseUrl: https://agents.example.com" + header + "}\n  agents:\n")
		for i := range n {
			fmt.Fprintf(&b, "    - {key: a%04d, name: Agent %d}\n", i, i)
		}
		s.save("manifests/fleet.yaml", b.String())
	}
	fleet("")
	s.apply(0, "--parallelism", "50")
	fleet(`, headers: {authorization: "Bearer of-no-secret"}`)
	s.run(quick("apply", "--auto-approve", "--prune", "--parallelism", "50")...)
	if s.asked("delete") > 0 || len(s.names()) != n {
		t.Errorf("%d deletes, %d agents are live, want %d", s.asked("delete"), len(s.names()), n)
	}
	s.everyUID()
}

// TestValueThatBecomesEmpty: a text deep in an object becomes "".
func TestValueThatBecomesEmpty(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a", `metaData: {button: {label: Hi, value: "abc"}}`))
	s.apply(0)
	s.write(concierge("a", `metaData: {button: {label: Hi, value: ""}}`))
	if code, out := s.run("plan", "--detailed-exitcode"); code != 2 {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
	s.apply(0)
	s.whole("Concierge a")
	if got, _ := json.Marshal(s.field("Concierge a",
		"metaData")); string(got) != `{"button":{"label":"Hi","value":""}}` {
		t.Errorf("live is %s", got)
	}
}

// TestProtectedAgentRefusesTheRun: the folder lacks a protected agent. Nothing is sent.
func TestProtectedAgentRefusesTheRun(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), concierge("b"), coach("a", "lifecycle: {protect: true}"), coach("b"))
	s.apply(0)
	s.write(concierge("a", "name: New"), concierge("c"), coach("b"))
	s.apply(6, "--prune")
	s.there("Concierge a", "Concierge b", "Coach a", "Coach b")
	if n := s.asked("update") + s.asked("delete"); n > 0 || s.asked("create") != 4 {
		t.Errorf("%d updates and deletes, %d creates", n, s.asked("create"))
	}
}

// TestPlanOfAnotherPlace: a plan that was reviewed for one place is not carried out at another.
func TestPlanOfAnotherPlace(t *testing.T) {
	s := newSite(t, manners{})
	production := newStranger(t, manners{})
	s.write(concierge("a"), coach("a"))
	s.must(0, "plan", "--out", "plan.bin")
	s.moveTo(production.server.URL)
	if code, out := s.run(quick("apply", "--auto-approve", "--plan", "plan.bin")...); code == 0 {
		t.Errorf("exit 0\n%s", out)
	}
	if n := len(production.names()); n > 0 {
		t.Errorf("%d agents were made at the other place", n)
	}
}

// habits are what platforms do to what they are sent.
var habits = map[string]func(text string) any{
	"trims":   func(text string) any { return strings.TrimSpace(text) },
	"CRLF":    func(text string) any { return strings.ReplaceAll(text, "\n", "\r\n") },
	"escapes": func(text string) any { return html.EscapeString(text) },
	"normalises URLs": func(text string) any {
		return strings.TrimSuffix(strings.Replace(text, "//Agents", "//agents", 1), "/")
	},
	"URLs with a slash": func(text string) any { return withSlash(text) },
}

func withSlash(text string) string {
	if strings.HasSuffix(text, ".example.com") {
		return text + "/"
	}
	return text
}

// each applies a habit to all texts of a value.
func each(v any, habit func(string) any) any {
	switch v := v.(type) {
	case string:
		return habit(v)
	case []any:
		for i := range v {
			v[i] = each(v[i], habit)
		}
	case body:
		for name := range v {
			v[name] = each(v[name], habit)
		}
	}
	return v
}

// rewritten are agents with texts that some platform rewrites.
func rewritten() []string {
	return []string{
		concierge("a", "integrationMeta: {baseUrl: https://agents.example.com, agentId: a}",
			`metaData: {greetingMessage: "Hello <you> & all\nof you\n", suggestedMessages: ["A & B ", "\"C\""]}`),
		concierge("b", "integrationMeta: {baseUrl: https://Agents.example.com/, agentId: b}"),
		coach("a", "agentPurpose: |\n        Help <new> colleagues & others.\n        Step by step."),
		coach("b", "agentPurpose: \"It's fine. \"", "tags: [b, a]"),
	}
}

// TestLostStateWherePlatformsRewrite: the state is lost at a platform that does not keep texts as they were sent. All
// agents are found again. The same holds for answers that are lost.
func TestLostStateWherePlatformsRewrite(t *testing.T) {
	names := []string{"Concierge a", "Concierge b", "Coach a", "Coach b"}
	ways := map[string]func(fields body) body{
		"fills in defaults": func(fields body) body {
			for _, name := range []string{"metaData", "integrationMeta"} {
				if o, ok := fields[name].(body); ok {
					o["version"], o["theme"] = 2, body{"dark": false}
				}
			}
			return fields
		},
	}
	for name, habit := range habits {
		ways[name] = func(fields body) body { return each(fields, habit).(body) }
	}
	for name, keep := range ways {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, manners{keep: keep})
			s.write(rewritten()...)
			s.apply(0)
			s.whole(names...)
			s.forget()
			s.apply(0)
			s.whole(names...)
			if n := s.asked("create"); n != 4 {
				t.Errorf("%d creates for 4 agents", n)
			}
		})
		t.Run(name+", answers lost", func(t *testing.T) {
			s := newSite(t, manners{keep: keep,
				after: func(q *query, _ int, _ any) bool { return q.op == "create" && q.drop() }})
			s.write(rewritten()...)
			s.apply(0)
			s.whole(names...)
			if n := s.asked("create"); n != 4 {
				t.Errorf("%d creates for 4 agents", n)
			}
		})
	}
}
