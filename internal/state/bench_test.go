package state

import (
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/agent"
)

// fleet returns a state of n agents of about 800 bytes each.
func fleet(n int) *State {
	s := &State{Serial: 7, Lineage: "0123456789abcdef0123456789abcdef", Agents: make(map[agent.Address]agent.Record, n)}
	prompt := strings.Repeat("Help the customer kindly. ", 12)
	for i := range n {
		doc := agent.Doc(fmt.Sprintf(`{"agentName":"Agent %d","agentPurpose":%q,"live":true,"tags":["hr","onboarding"]}`, i, prompt))
		a := agent.Address{Platform: "mindset", App: "acme", Key: fmt.Sprintf("tenant-%05d", i)}
		s.Agents[a] = agent.Record{UID: fmt.Sprintf("uid-%08d", i), Applied: doc, Observed: doc}
	}
	return s
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			content, err := fleet(n).Encode()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode("state.json", content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := fleet(n)
			b.ReportAllocs()
			for b.Loop() {
				content, err := s.Encode()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(content)))
			}
		})
	}
}
