package apply

import (
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
)

// A mark says of an agent which address it was made for, whatever became of its content since. It is
// looked for whether the section asks for marks or not: an agent may carry one from before. An agent
// with a mark is never matched by its content: it is somebody's.

// marked decides the creates whose agent carries the mark of their address, and returns the rest.
func (m *matching) marked(open []*pending) []*pending {
	return keep(open, func(p *pending) bool {
		own := keep(m.byMark[p.address.Mark()], func(r platform.Remote) bool { return m.free(r) && m.young(r, p.at) })
		switch len(own) {
		case 0:
			return true
		case 1:
			m.verdicts[p] = verdict{found: own[0], in: m.listing}
		default:
			m.verdicts[p] = verdict{several: uidsOf(own), equal: true}
		}
		return false
	})
}

// adoptMarked decides the creates of one app for which a free agent carries the mark of their address:
// it is adopted and brought up to date, or, where there are several or the platform cannot change what
// differs, in the way. It returns the other creates and the uids that are adopted.
func (e *Engine) adoptMarked(creates []*plan.Change, l *listing) (rest []*plan.Change, taken map[string]bool) {
	taken = map[string]bool{}
	for _, ch := range creates {
		own := keep(l.byMark[ch.Address.Mark()], func(r platform.Remote) bool {
			_, owned := e.book.owner(ch.Address.ID(), r.UID)
			return !owned
		})
		want, err := e.wanted(ch.Address)
		if len(own) == 0 || err != nil {
			rest = append(rest, ch)
			continue
		}
		differ := slices.DeleteFunc(differences(l.schema, want, own[0].Content), func(name string) bool {
			return slices.Contains(e.wants(ch.Address).IgnoreChanges, name)
		})
		switch {
		case len(own) == 1 && !e.opts.NoAdopt && canBecome(l, ch, differ):
			taken[own[0].UID] = true
			e.adopting[ch.Address] = own[0]
			if ch.Action == plan.Create {
				ch.Action, ch.UID, ch.Send = plan.Adopt, own[0].UID, differ
			}
		case e.opts.AllowDuplicateNames:
			rest = append(rest, ch)
		default:
			ch.Blocked, ch.InTheWay = plan.BlockedByNamesake, uidsOf(own)
		}
	}
	return rest, taken
}

// canBecome reports whether an agent can be adopted for a change although some fields differ. Of a
// replace the new agent must be as wanted: nothing is sent after it.
func canBecome(l *listing, ch *plan.Change, differ []string) bool {
	return len(differ) == 0 || ch.Action == plan.Create && !slices.ContainsFunc(differ, func(name string) bool {
		f, _ := l.schema.Field(name)
		return f.Immutable
	})
}

// withMark returns payload as an update sends it: with the agent's mark where the field that can carry
// it is sent. A field that is sent for the mark alone, and that the manifest does not name, keeps what
// the platform holds in it.
func (r *appRun) withMark(ch plan.Change, payload agent.Fields) (kept, marked agent.Fields, err error) {
	f, ok := r.app.Schema.Marker()
	if !ok || !slices.Contains(ch.Send, f.Name) {
		return payload, payload, nil
	}
	want := r.wants(ch.Address)
	if want.Fields[f.Name] == nil && !ch.Touches(f.Name) {
		rec, _ := r.book.record(ch.Address)
		observed, err := rec.Observed.Fields()
		if err != nil {
			return nil, nil, err
		}
		if v, there := observed[f.Name]; there {
			payload[f.Name] = v
		}
	}
	return payload, platform.AddMark(r.app.Schema, payload, want.Mark), nil
}

// markArrived reports whether a live agent carries the mark that an update of the fields in send gave
// it; one that did not send the field that carries it says nothing.
func (r *appRun) markArrived(a agent.Address, send []string, live platform.Remote) bool {
	f, ok := r.app.Schema.Marker()
	return !ok || !slices.Contains(send, f.Name) || live.Mark == r.wants(a).Mark
}

// remark names the field that is to be sent so that an adopted agent carries the right mark, or "".
func (r *appRun) remark(a agent.Address, live platform.Remote) string {
	f, ok := r.app.Schema.Marker()
	want := r.wants(a)
	if !ok || live.Mark == want.Mark || slices.Contains(want.IgnoreChanges, f.Name) {
		return ""
	}
	return f.Name
}
