package plan

import (
	"testing"

	"agentsync/internal/agent"
)

// An agent that another version of the API made is recorded in the fields of this one once this one shows it. What it
// does not show is neither written to nor deleted: it might answer that there is no such agent.
func TestAnAgentOfAnotherAPI(t *testing.T) {
	old := record(t, "u1", fields{"agentName": "Coach", "agentPurpose": "Helps."})
	old.Observed = doc(t, fields{"agentName": "Coach", "agentPersonality": "kind"}) // a field that v2 does not have
	tenant := record(t, "u1", fields{"agentName": "Coach", "agentPurpose": "Helps.", "externalTenantId": "t1"})
	same := fields{"agentName": "Coach", "agentPurpose": "Helps."}
	shown := []Live{{UID: "u1", Content: agent.ContentOf(fields{"agentName": "Coach", "agentPurpose": "Helps.",
		"live": true})}}
	other := []Live{{UID: "u2", Content: agent.ContentOf(same)}}
	blocked := brief{Action: Update, Address: coach, UID: "u1", Blocked: BlockedByAPI}
	for _, tt := range []struct {
		name   string
		wanted []agent.Desired
		rec    agent.Record
		live   []Live
		want   []brief
		// api and observed are those of the record that is to be stored, where there is one.
		stored        bool
		api, observed string
	}{
		{name: "not looked at", wanted: []agent.Desired{want(t, coach, same)}, rec: old},
		{name: "shown", wanted: []agent.Desired{want(t, coach, same)}, rec: old, live: shown, stored: true, api: "v2",
			observed: `{"agentName":"Coach","agentPurpose":"Helps.","live":true}`},
		{name: "not shown", wanted: []agent.Desired{want(t, coach, same)}, rec: old, live: other,
			want: []brief{blocked}},
		{name: "shown, and to be replaced", rec: tenant, live: shown, stored: true,
			wanted: []agent.Desired{want(t, coach, fields{"agentName": "Coach", "agentPurpose": "Helps.",
				"externalTenantId": "t2"}, protected)},
			want: []brief{{Action: Replace, Address: coach, UID: "u1", Blocked: BlockedByProtect,
				Fields: []FieldChange{{Path: "/externalTenantId", Before: "t1", After: "t2", Immutable: true}}}}},
		{name: "shown, and it left", rec: old, live: shown, want: []brief{{Action: Delete, Address: coach, UID: "u1"}}},
		{name: "not shown, and it left", rec: old, live: other,
			want: []brief{{Action: Delete, Address: coach, UID: "u1", Blocked: BlockedByAPI}}},
		{name: "not looked at, and it left", rec: old, want: []brief{{Action: Delete, Address: coach, UID: "u1"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Desired: tt.wanted, Prior: records(t, map[string]agent.Record{coach: tt.rec}), Prune: true,
				Apps: map[agent.AppID]bool{acme: true}, Versions: map[agent.AppID]string{acme: "v2"}}
			if tt.live != nil {
				in.Live = map[agent.AppID][]Live{acme: tt.live}
			}
			p := build(t, in)
			diffOf(t, "changes", tt.want, briefs(p))
			if (len(p.RecordUpdates) == 1) != tt.stored {
				t.Fatalf("stored: %+v", p.RecordUpdates)
			}
			if tt.stored && (p.RecordUpdates[0].Record.API != tt.api ||
				string(p.RecordUpdates[0].Record.Observed) != tt.observed) {
				t.Errorf("stored: %+v", p.RecordUpdates[0].Record)
			}
		})
	}
}

// Of several agents by another version each is looked for in the same list.
func TestAgentsOfAnotherAPIAreLookedForOneByOne(t *testing.T) {
	one := fields{"agentName": "Coach", "agentPurpose": "Helps."}
	p := build(t, Input{
		Desired: []agent.Desired{want(t, coach, one), want(t, helper, one), want(t, third, one)},
		Prior: records(t, map[string]agent.Record{coach: record(t, "u1", one), helper: record(t, "u2", one),
			third: record(t, "u3", one)}),
		Live:     map[agent.AppID][]Live{acme: {{UID: "u2", Content: agent.ContentOf(one)}}},
		Versions: map[agent.AppID]string{acme: "v2"},
	})
	diffOf(t, "changes", []brief{
		{Action: Update, Address: coach, UID: "u1", Blocked: BlockedByAPI},
		{Action: Update, Address: third, UID: "u3", Blocked: BlockedByAPI},
	}, briefs(p))
}
