package plan

import (
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/schema"
)

// mark says what is to be done about the agent's mark, and puts the field that carries it among those
// that are sent. Where the manifest leaves that field to somebody else, the mark stays as it was when
// the agent was made: the field is sent whole, and would undo what the other does.
//
// carried is the mark that the agent carries now, as far as is known: what state says or, where the agent was listed, what
// the list shows. Somebody who edits the field at the platform takes the mark away, or puts a foreign one in its place.
func (c *comparison) mark(ch *Change, d *agent.Desired, carried string) {
	if d.Mark == carried {
		return
	}
	f, ok := c.schema.Marker()
	if !ok || slices.Contains(d.IgnoreChanges, f.Name) {
		return
	}
	switch {
	case carried == "":
		ch.Marker = MarkerAdd
	case d.Mark == "":
		ch.Marker = MarkerRemove
	default:
		ch.Marker = MarkerRenew
	}
	var send []string
	for _, field := range c.schema.Fields {
		if field.Name == f.Name || slices.Contains(ch.Send, field.Name) {
			send = append(send, field.Name)
		}
	}
	ch.Send = send
}

// liveMarks indexes the marks that the listed agents carry.
func liveMarks(in *Input) map[agent.AppID]map[string]string {
	var marks map[agent.AppID]map[string]string
	for id, list := range in.Live {
		for _, live := range list {
			if live.Mark == "" {
				continue
			}
			if marks[id] == nil {
				if marks == nil {
					marks = map[agent.AppID]map[string]string{}
				}
				marks[id] = map[string]string{}
			}
			marks[id][live.UID] = live.Mark
		}
	}
	return marks
}

// carriedMark returns the mark that the agent of rec carries: what the record says, but where it says that all is as it
// should be and the list shows another one, somebody has changed it. A list that shows nothing of the agent but its uid says
// nothing of its mark.
func (b *builder) carriedMark(d *agent.Desired, rec *agent.Record) string {
	id := d.Address.ID()
	if content, listed := b.live[id][rec.UID]; listed && !content.IsZero() && d.Mark != "" && d.Mark == rec.Mark {
		return b.marks[id][rec.UID]
	}
	return rec.Mark
}

// Touches reports whether anything differs in the agent's top-level field called name.
func (ch *Change) Touches(name string) bool {
	path := "/" + agent.EscapePointer(name)
	return slices.ContainsFunc(ch.Fields, func(f FieldChange) bool {
		return f.Path == path || strings.HasPrefix(f.Path, path+"/")
	})
}

// MarkOf returns the mark that an agent carries once d is carried out: the one that it is to carry, but
// what prior says where the field that carries it is none of those that are sent. For an agent that was
// just created, which sends all, prior is the zero Record and sent is nil.
func MarkOf(p *schema.Platform, d agent.Desired, prior agent.Record, sent []string) string {
	f, ok := p.Marker()
	switch {
	case !ok:
		return ""
	case prior.UID != "" && !slices.Contains(sent, f.Name):
		return prior.Mark
	}
	return d.Mark
}

// appendMark adds a mark to what is digested; without one the digest is as if there were no marks.
func appendMark(parts [][]byte, mark string) [][]byte {
	if mark == "" {
		return parts
	}
	return append(parts, []byte("mark:"+mark))
}
