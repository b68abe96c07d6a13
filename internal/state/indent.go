package state

import "agentsync/internal/agent"

// indent writes a document that is canonical (agent.Doc.Canonical) over several lines.
func (w *writer) indent(doc agent.Doc) {
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; c {
		case '"':
			end := agent.StringEnd(doc, i)
			w.raw(doc[i:end])
			i = end - 1
		case '{', '[':
			w.open(c)
			if next := doc[i+1]; next != '}' && next != ']' {
				w.fresh = false
				w.newline()
			}
		case '}', ']':
			w.end(c)
		case ',':
			w.buf = append(w.buf, c)
			w.newline()
		case ':':
			w.colon()
		default:
			w.buf = append(w.buf, c)
		}
	}
}
