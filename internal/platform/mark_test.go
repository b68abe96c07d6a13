package platform_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/schema"
)

const mark = "0123456789ab"

// marked are payloads and what they are with the mark, by platform.
var marked = map[string][]struct{ without, with agent.Fields }{
	"cometchat": {
		{agent.Fields{"name": "A"}, agent.Fields{"name": "A", "metaData": map[string]any{"agentsync": mark}}},
		{
			agent.Fields{"metaData": map[string]any{"greetingMessage": "Hi"}},
			agent.Fields{"metaData": map[string]any{"greetingMessage": "Hi", "agentsync": mark}},
		},
	},
	"mindset": {
		{agent.Fields{"agentName": "A"}, agent.Fields{"agentName": "A", "tags": []any{"agentsync:" + mark}}},
		{agent.Fields{"tags": []any{"hr"}}, agent.Fields{"tags": []any{"hr", "agentsync:" + mark}}},
	},
}

func TestAddMark(t *testing.T) {
	for name, payloads := range marked {
		t.Run(name, func(t *testing.T) {
			s := schemaOf(t, name)
			for _, p := range payloads {
				before := p.without.Clone()
				if diff := cmp.Diff(p.with, platform.AddMark(s, p.without, mark)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
				if diff := cmp.Diff(before, p.without); diff != "" {
					t.Errorf("the payload itself was changed (-before +after):\n%s", diff)
				}
				if diff := cmp.Diff(before, platform.AddMark(s, p.without, "")); diff != "" {
					t.Errorf("%s without a mark (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestTakeMark(t *testing.T) {
	for name, payloads := range marked {
		t.Run(name, func(t *testing.T) {
			s := schemaOf(t, name)
			for _, p := range payloads {
				rest, got := platform.TakeMark(s, p.with.Clone())
				f, _ := s.Marker()
				if p.without[f.Name] == nil { // what held nothing but the mark is empty
					p.without[f.Name] = f.Empty()
				}
				if diff := cmp.Diff(p.without, rest); diff != "" || got != mark {
					t.Errorf("mark %q, rest (-want +got):\n%s", got, diff)
				}
			}
		})
	}
}

// What is no mark of agentsync's is the user's, and stays.
func TestTakeMarkLeavesTheUsersOwn(t *testing.T) {
	for name, own := range map[string]agent.Fields{
		"cometchat": {"name": "A", "metaData": map[string]any{"agentsync": "see the handbook"}},
		"mindset":   {"agentName": "A", "tags": []any{"agentsync:", "agentsync:handbook", mark}},
	} {
		t.Run(name, func(t *testing.T) {
			rest, got := platform.TakeMark(schemaOf(t, name), own.Clone())
			if diff := cmp.Diff(own, rest); diff != "" || got != "" {
				t.Errorf("mark %q, rest (-want +got):\n%s", got, diff)
			}
		})
	}
}

func TestTakeMarkOfSeveral(t *testing.T) {
	rest, got := platform.TakeMark(schemaOf(t, "mindset"),
		agent.Fields{"tags": []any{"agentsync:" + mark, "hr", "agentsync:ffffffffffff"}})
	if diff := cmp.Diff(agent.Fields{"tags": []any{"hr"}}, rest); diff != "" || got != mark {
		t.Errorf("mark %q, rest (-want +got):\n%s", got, diff)
	}
}

func schemaOf(t *testing.T, name string) *schema.Platform {
	t.Helper()
	s, err := schema.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A platform without a field for marks carries none.
func TestNoFieldForMarks(t *testing.T) {
	none := &schema.Platform{}
	fields := agent.Fields{"tags": []any{"hr"}}
	if got := platform.AddMark(none, fields, mark); cmp.Diff(fields, got) != "" {
		t.Errorf("sent: %v", got)
	}
	if rest, got := platform.TakeMark(none, agent.Fields{"tags": []any{"agentsync:" + mark}}); got != "" ||
		len(rest["tags"].([]any)) != 1 {
		t.Errorf("mark %q, rest %v", got, rest)
	}
}
