package torture

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
)

// Each test of this file is a way in which plan and apply believed something that was not so.

// keep returns the files that people commit, and back puts them back, as a git revert does.
func (s *site) keep() (back func()) {
	manifest, state := s.read("manifests/fleet.yaml"), s.read("state.json")
	return func() {
		s.save("manifests/fleet.yaml", manifest)
		s.save("state.json", state)
	}
}

// TestGitRevert: manifest and state go back together. What is live goes back as well.
func TestGitRevert(t *testing.T) {
	t.Run("of an update", func(t *testing.T) {
		s := newSite(t, manners{})
		s.write(concierge("a"), coach("a"))
		s.apply(0)
		revert := s.keep()
		s.write(concierge("a", "name: Bad"), coach("a", "agentName: Bad"))
		s.apply(0)
		revert()
		s.apply(0)
		s.whole("Concierge a", "Coach a")
	})
	t.Run("of a delete", func(t *testing.T) {
		s := newSite(t, manners{})
		s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
		s.apply(0)
		revert := s.keep()
		s.write(concierge("a"), coach("a"))
		s.apply(0, "--prune")
		revert()
		s.apply(0)
		s.whole("Concierge a", "Concierge b", "Coach a", "Coach b")
	})
	t.Run("of a create, and back again", func(t *testing.T) {
		s := newSite(t, manners{})
		s.write(concierge("a"), coach("a"))
		s.apply(0)
		revert := s.keep()
		s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
		s.apply(0)
		revert()
		s.apply(0) // the two of b are nobody's now
		s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
		s.apply(0)
		s.whole("Concierge a", "Concierge b", "Coach a", "Coach b")
	})
}

// changes is what a plan in JSON says of each address.
func changes(t *testing.T, text string) map[string]string {
	t.Helper()
	var plan struct {
		Changes []struct{ Address, Action, Blocked string }
	}
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	actions := map[string]string{}
	for _, c := range plan.Changes {
		if actions[c.Address] = c.Action; c.Blocked != "" {
			actions[c.Address] += ", blocked by " + c.Blocked
		}
	}
	return actions
}

// TestRefreshSaysWhatApplyDoes: the state is lost. plan --refresh says that what is live is adopted, and a plan that is
// saved does so.
func TestRefreshSaysWhatApplyDoes(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), coach("a"))
	s.apply(0)
	s.forget()
	s.write(concierge("a"), coach("a"), concierge("new"), coach("new"))
	s.must(0, "plan", "--refresh", "--json", "plan.json", "--out", "plan.bin")
	want := map[string]string{"cometchat/app1/a": "adopt", "cometchat/app1/new": "create", "mindset/acme/a": "adopt",
		"mindset/acme/new": "create"}
	for address, action := range changes(t, s.read("plan.json")) {
		if want[address] != action {
			t.Errorf("%s: the plan says %s, want %s", address, action, want[address])
		}
	}
	s.apply(0, "--plan", "plan.bin")
	s.whole("Concierge a", "Coach a", "Concierge new", "Coach new")
}

// TestRefreshSaysWhatIsInTheWay: somebody made an agent of the same name. The plan does not say that ours is created,
// for apply does not create it.
func TestRefreshSaysWhatIsInTheWay(t *testing.T) {
	s := newSite(t, manners{})
	s.put("mindset", body{"agentName": "Coach a", "agentPurpose": "Another thing."})
	s.write(coach("a"))
	s.run("plan", "--refresh", "--json", "plan.json")
	if got := changes(t, s.read("plan.json"))["mindset/acme/a"]; got != "create, blocked by namesake" {
		t.Errorf("the plan says %s", got)
	}
	s.apply(6)
	s.there("Coach a")
}

// TestLostUpdateThatTakesMembersOut: an update that takes members out of objects is lost before its effect, or
// answered 503. It is not done, and is repeated, or stays in the plan.
func TestLostUpdateThatTakesMembersOut(t *testing.T) {
	for name, lose := range map[string]func(q *query) bool{
		"dropped": func(q *query) bool { return q.drop() },
		"503":     func(q *query) bool { return q.send(http.StatusServiceUnavailable, "<html>Unavailable</html>") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, manners{})
			s.write(concierge("a", "metaData: {greetingMessage: Hi}"),
				concierge("b", "metaData: {greetingMessage: Hi, introductoryMessage: I}"),
				concierge("c"), coach("a", "tags: [a, b]"))
			s.apply(0)
			var left atomic.Int64
			left.Store(4)
			s.behave(manners{before: func(q *query) bool { return q.op == "update" && left.Add(-1) >= 0 && lose(q) }})
			s.write(concierge("a"), concierge("b", "metaData: {greetingMessage: Hi}"),
				concierge("c", "integrationMeta: {baseUrl: https://agents.example.com}"), coach("a", "tags: [a]"))
			s.run(quick("apply", "--auto-approve")...)
			s.behave(manners{})
			s.apply(0)
			s.whole("Concierge a", "Concierge b", "Concierge c", "Coach a")
			for _, is := range []struct{ name, field, want string }{
				{"Concierge a", "metaData", `{}`}, {"Concierge b", "metaData", `{"greetingMessage":"Hi"}`},
				{"Concierge c", "integrationMeta", `{"baseUrl":"https://agents.example.com"}`},
				{"Coach a", "tags", `["a"]`},
			} {
				t.Run(is.field, func(t *testing.T) {
					if got, _ := json.Marshal(s.field(is.name, is.field)); string(got) != is.want {
						t.Errorf("%s of %s is %s, want %s", is.field, is.name, got, is.want)
					}
				})
			}
		})
	}
}

// TestUpdateSwallowsNoDrift: somebody changed one field at the platform, we change another. The first stays drift.
func TestUpdateSwallowsNoDrift(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), coach("a"))
	s.apply(0)
	s.change("Concierge a", "isActive", false)
	s.change("Coach a", "live", true)
	s.write(concierge("a", "metaData: {greetingMessage: Hi}"), coach("a", "agentPurpose: New."))
	s.apply(0, "--no-refresh")
	if code, out := s.run("plan", "--refresh", "--detailed-exitcode"); code != 2 {
		t.Errorf("plan --refresh: exit %d\n%s", code, out)
	}
	s.apply(0)
	s.whole("Concierge a", "Coach a")
	if s.field("Concierge a", "isActive") != true || s.field("Coach a", "live") != false {
		t.Error("the drift is live")
	}
}

// TestFieldRemovedAfterImport: the manifest names fields when an agent is imported, and then does not.
func TestFieldRemovedAfterImport(t *testing.T) {
	s := newSite(t, manners{})
	fields := body{"agentName": "Coach a", "agentPurpose": "Help with a.", "agentPersonality": "Dry.", "live": true}
	uid := s.put("mindset", fields).uid
	s.write(coach("a", "agentPersonality: Dry.", "live: true"))
	s.must(0, "import", "mindset/acme/a", uid)
	s.same()
	s.write(coach("a"))
	s.apply(0)
	s.whole("Coach a")
	if p, live := s.field("Coach a", "agentPersonality"), s.field("Coach a", "live"); p != "" || live != false {
		t.Errorf("agentPersonality is %v, live is %v", p, live)
	}
}

// TestApplyReadsBeforeItBelieves: nothing has changed here, and something has there.
func TestApplyReadsBeforeItBelieves(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), coach("a"))
	s.apply(0)
	s.change("Coach a", "live", true)
	s.apply(0, "--no-refresh")
	if s.asked("update") > 0 {
		t.Error("--no-refresh looked")
	}
	s.apply(0)
	s.whole("Coach a", "Concierge a")
	if s.field("Coach a", "live") != false {
		t.Error("the drift is live")
	}
	before := s.read("state.json")
	s.apply(0)
	if s.read("state.json") != before || s.read("state.json.journal") != "" {
		t.Error("an apply with nothing to do wrote")
	}
}
