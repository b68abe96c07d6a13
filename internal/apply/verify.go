package apply

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/schema"
)

// verifyBatch is how many records share one line of the journal, and so one fsync.
const verifyBatch = 256

// verifyWrites holds what was written against the list after the writes. What a platform made of what was sent becomes
// the observed side of each record, so that a platform that rewrites what it is sent causes one warning and no lasting
// difference. A value that is still the one from before an update was not rewritten: the update was not carried out.
// But lists lag: unless this is the last time, such an update waits for the next list. How many do is returned,
// by app.
func (e *Engine) verifyWrites(t *tally, last bool) (late map[agent.AppID]int) {
	late = map[agent.AppID]int{}
	var seen []state.Result
	said := map[agent.AppID]bool{}
	for _, ch := range t.changes {
		if !t.toVerify(ch) {
			continue
		}
		id := ch.Address.ID()
		if err := e.unlisted[id]; err != nil {
			if !said[id] {
				t.warnings = append(t.warnings, fmt.Sprintf("%s: what was written could not be read back: %v", id, err))
			}
			said[id], t.verified[ch.Address] = true, true
			continue
		}
		again, res, err := e.verifyAgent(e.lists[id], t.results[ch.Address])
		if res.Status != StatusDone && !last {
			late[id]++
			continue
		}
		t.verified[ch.Address] = true
		if err != nil {
			t.warnings = append(t.warnings, fmt.Sprintf("%s: %v", ch.Address, err))
		}
		t.results[ch.Address] = res
		seen = append(seen, again...)
	}
	for batch := range slices.Chunk(seen, verifyBatch) {
		if err := e.commitResults(batch...); err != nil {
			t.warnings = append(t.warnings, fmt.Sprintf("what was read back could not be kept: %v", err))
			break
		}
	}
	return late
}

// verifyAgent compares one agent, and returns what is to be recorded of it.
func (e *Engine) verifyAgent(l *listing, res Result) ([]state.Result, Result, error) {
	live, listed := l.byUID[res.UID]
	rec, _ := e.fleet.Record(res.Address)
	switch {
	case rec.UID != res.UID:
		return nil, res, nil
	case !listed:
		if res.Warning == "" {
			res.Warning = "the platform's list does not show the agent yet"
		}
		return nil, res, nil
	case live.Content.IsZero():
		return nil, res, nil // what cannot be read is not known
	}
	up, updated := e.answered[res.Address]
	if !updated && res.Action == plan.Update {
		// Recovery found what became of it, and recorded what it sent: any other field may have been changed by
		// somebody.
		return nil, res, nil
	}
	sent, like, err := e.sentOf(rec, res.Address)
	if err != nil {
		return nil, res, err
	}
	if updated {
		sent = maps.Clone(sent)
		maps.DeleteFunc(sent, func(name string, _ any) bool { return !slices.Contains(up.sent, name) })
	}
	names, err := e.notCarriedOut(l, &rec, up, live, like)
	if err != nil {
		return nil, res, err
	}
	if len(names) > 0 {
		res.Status = StatusFailed
		res.Err = fmt.Errorf("the platform said that it was done, and still has the old value of %s",
			strings.Join(names, ", "))
		res.Hint = "it stays in the plan, and the next apply sends it again:\n  agentsync apply"
	} else if names = e.rewrittenFields(l, rec, sent, live); len(names) > 0 && res.Warning == "" {
		res.Warning = "the platform keeps another value than was sent for " + strings.Join(names, ", ")
	}
	before := rec.Observed
	if updated {
		rec.Observed, err = plan.ObservedAfter(up.before.Observed, live.Content, like, up.sent, e.sealer)
	} else {
		rec.Observed, err = plan.ObservedDoc(live.Content, like, e.sealer)
	}
	if err != nil || bytes.Equal(before, rec.Observed) && len(names) == 0 {
		return nil, res, err
	}
	return []state.Result{{Kind: state.Recorded, Address: res.Address, Record: rec}}, res, nil
}

// rewrittenFields names what the live agent does not hold as it was sent.
func (e *Engine) rewrittenFields(l *listing, rec agent.Record, sent agent.Fields, live platform.Remote) []string {
	var names []string
	if doc, _ := live.Content.Doc(); !doc.Holds(rec.Applied) {
		names = plan.Unlike(l.schema, sent, live.Content)
	}
	f, _ := l.schema.Marker()
	if _, sentMark := sent[f.Name]; live.Mark != rec.Mark && (sentMark || rec.Mark != "") {
		names = append(names, "the marker")
	}
	return names
}

// notCarriedOut names the fields of an update that show what they showed before it, and takes them out of what the
// record says was applied, so that they stay in the plan.
func (e *Engine) notCarriedOut(l *listing, rec *agent.Record, up answeredUpdate, live platform.Remote,
	like agent.Fields) ([]string, error) {
	if len(up.sent) == 0 {
		return nil, nil
	}
	late := e.lateUpdates[rec.UID]
	applied, err := rec.Applied.Fields()
	if err != nil {
		return nil, err
	}
	earlier, err := up.before.Applied.Fields()
	if err != nil {
		return nil, err
	}
	shown := plan.SealAnswer(live.Content.Fields(), like, e.sealer)
	var names []string
	for _, name := range up.sent {
		f, _ := l.schema.Field(name)
		sent := up.values[name]
		overtaken := slices.ContainsFunc(late, func(earlier agent.Fields) bool {
			return earlier[name] != nil && plan.Holds(f, earlier[name], shown[name]) &&
				!plan.Holds(f, sent, shown[name])
		})
		switch {
		case hasSecret(sent) || plan.Equal(f, sent, shown[name]):
			continue
		case overtaken: // by an earlier update that took effect after it had been given up
		case up.shown == nil || !asItWas(f, up.shown[name], shown[name], sent):
			continue // not as it was: the platform did something with it
		case plan.Holds(f, sent, shown[name]) && !plan.Leftover(sent, shown[name], earlier[name], shown[name]):
			// It was as the platform makes it already. Members that nobody ever sent are the platform's own: taken for
			// somebody's, they would fail each update, for the platform adds them again.
			continue
		}
		names = append(names, name)
		delete(applied, name)
		if v := ownMembers(shown[name], sent, earlier[name]); v != nil {
			applied[name] = v
		}
	}
	if len(names) > 0 {
		rec.Applied, err = agent.Encode(applied)
	}
	return names, err
}

// asItWas reports whether a field shows what it showed before an update. Before is what was sent then where no list
// came in between: what the platform makes of that, and members that it adds, are no change, unless they are those sent
// now.
func asItWas(f *schema.Field, before, shown, sent any) bool {
	return plan.Equal(f, before, shown) || plan.Holds(f, before, shown) && !plan.Leftover(before, shown, sent, shown)
}

// ownMembers returns what is shown without the members that the platform added on its own: they were neither sent nor
// applied before. Recorded as applied they would look like something that an update is to take out.
func ownMembers(shown, sent, applied any) any {
	members, ok := shown.(map[string]any)
	if !ok {
		return shown
	}
	s, _ := sent.(map[string]any)
	a, _ := applied.(map[string]any)
	rest := make(map[string]any, len(members))
	for name, v := range members {
		if s[name] != nil || a[name] != nil {
			rest[name] = ownMembers(v, s[name], a[name])
		}
	}
	return rest
}

// hasSecret reports whether reading a value back cannot show that what was sent arrived.
func hasSecret(v any) bool {
	for leaf := range agent.Leaves(v) {
		if secret.Is(leaf) {
			return true
		}
	}
	return false
}

// sentOf returns what was sent of an agent, and what tells where its secrets stand. Both are what the manifests want,
// which is at hand, unless a part of it is left to others: then the record says more.
func (e *Engine) sentOf(rec agent.Record, a agent.Address) (sent, like agent.Fields, err error) {
	want := e.wantedAgent(a)
	if len(want.IgnoreChanges) == 0 {
		return want.Fields, secretsOf(rec.Applied, want), nil
	}
	if like, err = rec.Applied.Fields(); err != nil {
		return nil, nil, err
	}
	sent = maps.Clone(like)
	for _, name := range want.IgnoreChanges {
		delete(sent, name)
	}
	return sent, like, nil
}
