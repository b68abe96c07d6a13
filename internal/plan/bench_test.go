package plan

import (
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// fleet returns n agents, half per platform, with prompts of some 300 characters; with secrets, each
// agent of CometChat holds one.
func fleet(tb testing.TB, n int, secrets bool) []agent.Desired {
	prompt := strings.Repeat("Help a new colleague through the first week.\n", 7)
	wanted := make([]agent.Desired, 0, n)
	for i := range n {
		key := fmt.Sprintf("agent-%06d", i)
		if i < n/2 {
			headers := object{}
			if secrets {
				headers["authorization"] = secret.Template("Bearer ${secret:TOKEN}")
			}
			wanted = append(wanted, want(tb, "cometchat/2754abc/"+key, fields{
				"name": "Agent " + key, "icon": "https://cdn.example.com/bot.png", "integrateWith": "langgraph",
				"integrationType": "agent",
				"integrationMeta": object{"baseUrl": "https://agents.example.com", "headers": headers},
				"metaData": object{"greetingMessage": prompt, "suggestedMessages": list{"Hello",
					"What can you do?"}},
			}))
			continue
		}
		wanted = append(wanted, want(tb, "mindset/acme/"+key, fields{
			"agentName": "Agent " + key, "agentPurpose": prompt, "live": true, "tags": list{"hr", "onboarding"},
			"externalTenantId": key,
		}))
	}
	return wanted
}

func known(tb testing.TB, wanted []agent.Desired) map[agent.Address]agent.Record {
	prior := make(map[agent.Address]agent.Record, len(wanted))
	for i, d := range wanted {
		prior[d.Address] = record(tb, fmt.Sprint("uid-", i), d.Fields)
	}
	return prior
}

func BenchmarkBuild(b *testing.B) {
	const n = 10_000
	plain, secrets := fleet(b, n, false), fleet(b, n, true)
	live := map[agent.AppID][]Live{}
	for i, d := range plain {
		live[d.Address.ID()] = append(live[d.Address.ID()],
			Live{UID: fmt.Sprint("uid-", i), Content: agent.ContentOf(d.Fields)})
	}
	for _, bb := range []struct {
		name string
		in   Input
	}{
		{"unchanged", Input{Desired: plain, Prior: known(b, plain), Sealer: testSealer}},
		{"unchanged with secrets", Input{Desired: secrets, Prior: known(b, secrets), Sealer: testSealer}},
		{"unchanged with secrets that are not known",
			Input{Desired: secrets, Prior: known(b, secrets), Sealer: secret.Sealer{Key: testSealer.Key}}},
		{"unchanged against a list", Input{Desired: plain, Prior: known(b, plain), Live: live, Sealer: testSealer}},
		{"creates", Input{Desired: plain, Sealer: testSealer}},
	} {
		bb.in.Platforms = platforms(b)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := Build(bb.in)
				if err != nil {
					b.Fatal(err)
				}
				if p.Summary.Unchanged+p.Summary.Create != n {
					b.Fatalf("%+v", p.Summary)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/agent")
		})
	}
}
