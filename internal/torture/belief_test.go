package torture

import (
	"encoding/json"
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

// changes is what a plan in JSON says of each address.
func changes(t *testing.T, text string) map[string]string {
	t.Helper()
	var plan struct {
		Changes []struct{ Address, Action string }
	}
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	actions := map[string]string{}
	for _, c := range plan.Changes {
		actions[c.Address] = c.Action
	}
	return actions
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
