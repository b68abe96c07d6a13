package sandbox

import (
	"bytes"
	"time"
)

// list answers all agents of a CometChat app, or one page of a Mindset app's.
func (s *Server) list(c *call, t *trouble) (*answer, *problem) {
	after, keep, size := time.Time{}, func(*agent) bool { return true }, 0
	if c.platform == Mindset {
		var p *problem
		if after, keep, p = mindsetQuery(c); p != nil {
			return nil, p
		}
		size = s.pageSize
		if t.noPaging {
			after = time.Time{}
		}
	}
	var docs [][]byte
	if a := s.store.peek(appKey{c.platform, c.app}); a != nil {
		docs = s.collect(a, after, keep, size, t.mask)
	}
	docs = shorten(docs, t.listing)
	if c.platform == CometChat && t.noPaging {
		docs = append(docs[:len(docs):len(docs)], docs...)
	}
	open, end := "[", "]"
	switch {
	case c.platform == Mindset:
		open, end = `{"agents":[`, `]}`
	case s.wrapped:
		open, end = `{"data":[`, `]}`
	}
	return &answer{status: 200, body: join(docs, open, end), kind: jsonType}, nil
}

// collect returns up to size agents (all of them for 0) as they are answered. The app is locked only
// while their texts are gathered, not while the answer is put together.
func (s *Server) collect(a *app, after time.Time, keep func(*agent) bool, size int, mask bool) [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if after.IsZero() {
		a.lists++
	}
	now := time.Now()
	var docs [][]byte
	for _, g := range a.after(after) {
		if !g.deleted.IsZero() && !(s.showDeleted && a.key.platform == CometChat) {
			continue
		}
		if !a.shown(g, now) || !keep(g) {
			continue
		}
		doc := g.doc
		if mask {
			doc = s.render(a, g, true)
		}
		if docs = append(docs, doc); len(docs) == size {
			break
		}
	}
	return docs
}

// shorten cuts a list as the script wants it.
func shorten(docs [][]byte, rules []*Rule) [][]byte {
	for _, r := range rules {
		lack := len(docs)
		if r.kind == "short-list" {
			lack = min(len(docs), r.number)
			if r.number == 0 {
				lack = (len(docs) + 1) / 2
			}
		}
		docs = docs[:len(docs)-lack]
	}
	return docs
}

func join(docs [][]byte, open, end string) []byte {
	n := len(open) + len(end)
	for _, d := range docs {
		n += len(d) + 1
	}
	var b bytes.Buffer
	b.Grow(n)
	b.WriteString(open)
	for i, d := range docs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(d)
	}
	b.WriteString(end)
	return b.Bytes()
}
