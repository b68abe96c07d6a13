package plan

import (
	"bytes"
	"testing"

	"agentsync/internal/agent"
)

// Where keys go is part of the plan, whatever becomes of the agents.
func TestOrigins(t *testing.T) {
	app := agent.AppID{Platform: "cometchat", App: "2754abc"}
	usual := agent.Origin{BaseURL: "https://2754abc.api-us.cometchat.io/v3", KeyEnv: "COMETCHAT_API_KEY"}
	gateway := agent.Origin{BaseURL: "https://gateway.example.com/v3", KeyEnv: "COMETCHAT_API_KEY"}
	token := agent.Origin{BaseURL: usual.BaseURL, KeyEnv: "GITHUB_TOKEN"}
	for _, tt := range []struct {
		name    string
		was     agent.Origin
		is      Place
		listed  bool
		changed bool
	}{
		{"as ever", usual, Place{usual, false}, false, false},
		{"first seen at the platform's own", agent.Origin{}, Place{usual, false}, false, false},
		{"first seen elsewhere", agent.Origin{}, Place{gateway, true}, true, false},
		{"elsewhere as ever", gateway, Place{gateway, true}, true, false},
		{"to another host", usual, Place{gateway, true}, true, true},
		{"back to the platform's own", gateway, Place{usual, false}, true, true},
		{"with another key", usual, Place{token, false}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Places: map[agent.AppID]Place{app: tt.is}}
			if tt.was != (agent.Origin{}) {
				in.Origins = map[agent.AppID]agent.Origin{app: tt.was}
			}
			p := build(t, in)
			var want []Origin
			if tt.listed {
				want = []Origin{{App: app, Before: tt.was, After: tt.is.Origin, Foreign: tt.is.Foreign}}
			}
			diffOf(t, "origins", want, p.Origins)
			if p.Summary.Any() != tt.changed {
				t.Errorf("there is something to agree to: %v", p.Summary.Any())
			}
			read, err := p.Document().Plan()
			if err != nil {
				t.Fatal(err)
			}
			diffOf(t, "read again", p.Origins, read.Origins)
		})
	}
}

// A saved plan belongs to the places where it was made.
func TestASavedPlanIsBoundToItsOrigins(t *testing.T) {
	app, other := agent.AppID{Platform: "mindset", App: "acme"}, agent.AppID{Platform: "mindset", App: "new"}
	staging := agent.Origin{BaseURL: "https://staging.example.com", KeyEnv: "MINDSET_API_KEY"}
	production := agent.Origin{BaseURL: "https://a.api.mindset.ai", KeyEnv: "MINDSET_API_KEY"}
	places := map[agent.AppID]Place{app: {Origin: staging}}
	var file bytes.Buffer
	p := build(t, Input{Places: places})
	if err := Save(&file, p, Binding{Version: "v1", Origins: OriginsOf(places)}); err != nil {
		t.Fatal(err)
	}
	saved, err := ReadSaved(&file, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if moved := saved.Moved(places); moved != nil {
		t.Errorf("moved at once: %+v", moved)
	}
	moved := saved.Moved(map[agent.AppID]Place{app: {production, false}, other: {Origin: staging}})
	diffOf(t, "moved", []Origin{{App: app, Before: staging, After: production}}, moved)
	moved = saved.Moved(map[agent.AppID]Place{app: {Origin: agent.Origin{BaseURL: staging.BaseURL, KeyEnv: "OTHER"}}})
	if len(moved) != 1 {
		t.Errorf("another key is no other place: %+v", moved)
	}
}
