package agent_test

import (
	"slices"
	"testing"

	"agentsync/internal/agent"
)

func TestMovedRemembersEachFormerKeyOnce(t *testing.T) {
	rec := agent.Record{UID: "u"}
	for _, step := range []struct {
		from, to string
		want     []string
	}{
		{"a", "b", []string{"a"}},
		{"b", "c", []string{"a", "b"}},
		{"c", "a", []string{"b", "c"}}, // never its key of now
		{"a", "b", []string{"c", "a"}},
	} {
		before := slices.Clone(rec.FormerKeys)
		moved := rec.Moved(step.from, step.to)
		if !slices.Equal(moved.FormerKeys, step.want) {
			t.Errorf("%s to %s: %v, want %v", step.from, step.to, moved.FormerKeys, step.want)
		}
		if !slices.Equal(rec.FormerKeys, before) {
			t.Errorf("%s to %s changed the record that it was made of", step.from, step.to)
		}
		rec = moved
	}
}
