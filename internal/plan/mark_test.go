package plan

import (
	"testing"

	"agentsync/internal/agent"
)

func marking(d *agent.Desired) { d.Mark = d.Address.Mark() }

// with returns rec carrying a mark.
func withMark(rec agent.Record, mark string) agent.Record {
	rec.Mark = mark
	return rec
}

func TestMarker(t *testing.T) {
	const coach = "mindset/acme/coach"
	one := fields{"agentName": "Coach", "tags": list{"hr"}}
	own := addr(t, coach).Mark()
	rec := record(t, "u1", one)
	imported := agent.Record{UID: "u1", Observed: doc(t, one)}
	for _, tt := range []struct {
		name   string
		want   agent.Desired
		rec    agent.Record
		action Action
		marker MarkerChange
		send   []string
		fields int
	}{
		{name: "neither", want: want(t, coach, one), rec: rec},
		{name: "as it should be", want: want(t, coach, one, marking), rec: withMark(rec, own)},
		{name: "turned on", want: want(t, coach, one, marking), rec: rec, action: Update, marker: MarkerAdd,
			send: []string{"tags"}},
		{name: "turned off", want: want(t, coach, one), rec: withMark(rec, own), action: Update, marker: MarkerRemove,
			send: []string{"tags"}},
		{
			name: "of another address", want: want(t, coach, one, marking),
			rec:    withMark(rec, addr(t, "mindset/acme/old").Mark()),
			action: Update, marker: MarkerRenew, send: []string{"tags"},
		},
		{
			name: "beside a change", want: want(t, coach,
				fields{"agentName": "Trainer", "tags": list{"hr"}, "access": "openAccess"}, marking),
			rec: rec, action: Update, marker: MarkerAdd, send: []string{"agentName", "tags", "access"}, fields: 2,
		},
		{
			name: "beside a change of its field", want: want(t, coach, fields{"agentName": "Coach"}, marking),
			rec: rec, action: Update, marker: MarkerAdd, send: []string{"tags"}, fields: 1,
		},
		{name: "left to somebody else", want: want(t, coach, one, marking, ignoring("tags")), rec: rec},
		{name: "of an imported agent", want: want(t, coach, one, marking), rec: imported, action: Update,
			marker: MarkerAdd,
			send:   []string{"tags"}},
		{
			name: "of an agent that is replaced",
			want: want(t, coach, fields{"agentName": "Coach", "tags": list{"hr"}, "externalTenantId": "t"}, marking),
			rec:  rec, action: Replace, fields: 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Desired: []agent.Desired{tt.want}, Prior: records(t, map[string]agent.Record{coach: tt.rec}),
				Prune: true}
			p := build(t, in)
			var ch Change
			if len(p.Changes) > 0 {
				ch = p.Changes[0]
			}
			if ch.Action != tt.action || ch.Marker != tt.marker || len(ch.Differences()) != tt.fields {
				t.Errorf("%s, marker %q, %d fields; want %s, %q, %d", ch.Action, ch.Marker, len(ch.Differences()),
					tt.action,
					tt.marker, tt.fields)
			}
			diffOf(t, "send", tt.send, ch.Send)
			in.Prior = carriedOut(t, in, p)
			if again := build(t, in); len(again.Changes) > 0 {
				t.Errorf("the plan after apply is not empty: %+v", again.Changes)
			}
		})
	}
}

// A renamed agent gets the mark of its new address with the rename.
func TestMarkerOfARename(t *testing.T) {
	one := fields{"agentName": "Coach"}
	old := addr(t, "mindset/acme/old")
	in := Input{
		Desired: []agent.Desired{want(t, "mindset/acme/coach", one, marking, previously("old"))},
		Prior:   map[agent.Address]agent.Record{old: withMark(record(t, "u1", one), old.Mark())},
	}
	p := build(t, in)
	diffOf(t, "plan", []brief{{Action: Update, Address: "mindset/acme/coach", From: old.String(), UID: "u1",
		Send: []string{"tags"}}}, briefs(p))
	if p.Changes[0].Marker != MarkerRenew {
		t.Errorf("marker %q", p.Changes[0].Marker)
	}
}

// A mark counts where it is asked whether a reviewed change still holds.
func TestMarkerMakesASavedPlanStale(t *testing.T) {
	const coach = "mindset/acme/coach"
	one := fields{"agentName": "Coach"}
	in := Input{
		Desired: []agent.Desired{want(t, coach, fields{"agentName": "Trainer"})},
		Prior:   records(t, map[string]agent.Record{coach: record(t, "u1", one)}),
	}
	saved := &Saved{Plan: build(t, in)}
	in.Prior = records(t, map[string]agent.Record{coach: withMark(record(t, "u1", one), addr(t, coach).Mark())})
	if _, stale := saved.Check(build(t, in), ""); len(stale) != 1 || stale[0].Reason != reasonRecord {
		t.Errorf("the record has a mark now: %+v", stale)
	}
}

// Somebody who edits the field that carries the mark takes the mark away: a plan that looks at what is live puts it
// back.
func TestAMarkThatIsLostIsPutBack(t *testing.T) {
	const coach = "mindset/acme/coach"
	one := fields{"agentName": "Coach", "tags": list{"hr"}}
	own, foreign := addr(t, coach).Mark(), addr(t, "mindset/acme/other").Mark()
	for _, tt := range []struct {
		name       string
		edits      []func(*agent.Desired)
		recorded   string
		live       Live
		wantMarker MarkerChange
	}{
		{"there", []func(*agent.Desired){marking}, own, Live{Content: agent.ContentOf(one), Mark: own}, ""},
		{"gone", []func(*agent.Desired){marking}, own, Live{Content: agent.ContentOf(one)}, MarkerAdd},
		{"foreign", []func(*agent.Desired){marking}, own, Live{Content: agent.ContentOf(one), Mark: foreign},
			MarkerRenew},
		{"not shown", []func(*agent.Desired){marking}, own, Live{}, ""},
		{"nobody asks", nil, "", Live{Content: agent.ContentOf(one), Mark: foreign}, ""},
		{"left to others", []func(*agent.Desired){marking, ignoring("tags")}, own, Live{Content: agent.ContentOf(one)},
			""},
		{"to be added, and there", []func(*agent.Desired){marking}, "", Live{Content: agent.ContentOf(one), Mark: own},
			MarkerAdd},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := addr(t, coach)
			tt.live.UID = "u1"
			rec := withMark(record(t, "u1", one), tt.recorded)
			if tt.live.Content.IsZero() {
				rec.Observed = nil
			}
			p := build(t, Input{
				Desired: []agent.Desired{want(t, coach, one, tt.edits...)},
				Prior:   map[agent.Address]agent.Record{a: rec}, Live: map[agent.AppID][]Live{a.ID(): {tt.live}},
			})
			var got MarkerChange
			for _, ch := range p.Changes {
				got = ch.Marker
			}
			if got != tt.wantMarker {
				t.Errorf("marker %q, want %q: %+v", got, tt.wantMarker, briefs(p))
			}
		})
	}
}
