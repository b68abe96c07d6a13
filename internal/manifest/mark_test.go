package manifest

import (
	"testing"
)

// A section that asks for marks gives one to each of its agents, and no other section does.
func TestMarks(t *testing.T) {
	source := Source{Path: "fleet.yaml", Content: []byte(`version: 1
mindset:
  appUid: acme
  marker: true
  agents:
    - {key: coach, agentName: Coach}
cometchat:
  appId: 2754abc
  region: us
  agents:
    - key: concierge
      name: Concierge
      icon: https://cdn.example.com/bot.png
      integrateWith: mastra
      integrationType: agent
      integrationMeta: {baseUrl: https://agents.example.com, agentId: a}
`)}
	p, err := NewParser(Options{Env: variables(), Platforms: platforms(t)})
	if err != nil {
		t.Fatal(err)
	}
	fleet, problems, err := p.Parse(t.Context(), source)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if len(fleet.Agents) != 2 {
		t.Fatalf("there are %d agents", len(fleet.Agents))
	}
	for _, d := range fleet.Agents {
		want := ""
		if d.Address.Platform == "mindset" {
			want = d.Address.Mark()
		}
		if d.Mark != want {
			t.Errorf("%s is to carry %q, want %q", d.Address, d.Mark, want)
		}
	}
}
