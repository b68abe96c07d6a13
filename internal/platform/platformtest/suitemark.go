package platformtest

import (
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// testMark covers the opt-in mark: the platform keeps it, the adapter tells it apart from the agent's
// fields in every answer, and sending the field without it takes it away.
func testMark(t *testing.T, f Fixture) {
	s := f.schema()
	field, ok := s.Marker()
	if !ok {
		t.Skip("the platform's agents cannot carry a mark")
	}
	r := newRig(t, f)
	mark := agent.Address{Platform: s.Name, App: f.App.ID.App, Key: "a"}.Mark()
	made, err := r.client.Create(t.Context(), agent.ContentOf(platform.AddMark(s, f.Full, mark)))
	if err != nil {
		t.Fatal(err)
	}
	is := func(what string, got platform.Remote, want agent.Fields, mark string) {
		t.Helper()
		if got.Content.IsZero() && what == "update" {
			return // the platform answers no agent
		}
		equal(t, what, want, got.Content.Fields())
		if got.Mark != mark {
			t.Errorf("%s: the mark is %q, want %q", what, got.Mark, mark)
		}
	}
	is("create", made, f.Full, mark)
	is("list", r.list()[0], f.Full, mark)

	want := f.Full.Clone()
	want[field.Name] = f.Change[field.Name]
	for _, mark := range []string{mark, ""} {
		change := platform.AddMark(s, agent.Fields{field.Name: want[field.Name]}, mark)
		answered, err := r.client.Update(t.Context(), made.UID, change)
		if err != nil {
			t.Fatal(err)
		}
		is("update", answered, want, mark)
		is("list", r.list()[0], want, mark)
		if r.client.Properties().ReadsOne {
			got, err := r.client.Read(t.Context(), made.UID)
			if err != nil {
				t.Fatal(err)
			}
			is("read", got, want, mark)
		}
	}
}
