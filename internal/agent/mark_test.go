package agent_test

import (
	"testing"

	"agentsync/internal/agent"
)

// The mark of an address is written into agents at the platforms: it must never change.
func TestMark(t *testing.T) {
	a := agent.Address{Platform: "cometchat", App: "2754abc", Key: "concierge"}
	if got, want := a.Mark(), "afc263c1778e"; got != want || !agent.IsMark(got) {
		t.Errorf("the mark of %s is %q, want %q", a, got, want)
	}
	for _, s := range []string{"", "0123456789a", "0123456789abc", "0123456789AB", "0123456789a ",
		"agentsync:0123456789ab"} {
		if agent.IsMark(s) {
			t.Errorf("%q was taken for a mark", s)
		}
	}
}
