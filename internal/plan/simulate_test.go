package plan

import (
	"fmt"
	"maps"
	"testing"

	"agentsync/internal/agent"
)

func records(t testing.TB, byAddress map[string]agent.Record) map[agent.Address]agent.Record {
	prior := make(map[agent.Address]agent.Record, len(byAddress))
	for a, rec := range byAddress {
		prior[addr(t, a)] = rec
	}
	return prior
}

// carriedOut returns the state's records after p was applied, as apply keeps them: the renames first,
// then each change and the touches. The platform answers what it is sent.
func carriedOut(t testing.TB, in Input, p *Plan) map[agent.Address]agent.Record {
	t.Helper()
	wanted := map[agent.Address]agent.Desired{}
	for _, d := range in.Desired {
		wanted[d.Address] = d
	}
	state := maps.Clone(in.Prior)
	if state == nil {
		state = map[agent.Address]agent.Record{}
	}
	moved := map[agent.Address]agent.Record{}
	for _, r := range p.Renames() {
		moved[r.To] = state[r.From].Moved(r.From.Key, r.To.Key)
	}
	for _, r := range p.Renames() {
		delete(state, r.From)
	}
	for to, rec := range moved {
		if _, taken := state[to]; taken {
			t.Fatalf("a record is moved onto %s, where another one stands", to)
		}
		state[to] = rec
	}
	for i, ch := range p.Changes {
		if ch.Blocked != "" {
			continue
		}
		switch ch.Action {
		case Delete:
			delete(state, ch.Address)
		case Create, Replace:
			state[ch.Address] = applied(t, wanted[ch.Address], agent.Record{FormerKeys: state[ch.Address].FormerKeys},
				fmt.Sprint("new-", i), nil)
		case Update:
			state[ch.Address] = applied(t, wanted[ch.Address], state[ch.Address], ch.UID, ch.Send)
		}
	}
	for _, touch := range p.RecordUpdates {
		state[touch.Address] = touch.Record
	}
	return state
}

func applied(t testing.TB, d agent.Desired, prior agent.Record, uid string, sent []string) agent.Record {
	t.Helper()
	doc, err := AppliedDoc(d, prior, testSealer)
	if err != nil {
		t.Fatal(err)
	}
	mark := MarkOf(platforms(t)[d.Address.Platform], d, prior, sent)
	return agent.Record{UID: uid, Applied: doc, Observed: doc, Protect: d.Protect, Mark: mark,
		FormerKeys: prior.FormerKeys}
}
