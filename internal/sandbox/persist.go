package sandbox

// record is the agent as the file keeps it.
func (a *app) record(g *agent) record {
	return record{
		Platform: a.key.platform, App: a.key.app, UID: g.uid, Fields: g.fields,
		Created: g.created, Updated: g.updated, Deleted: g.deleted,
	}
}

// restore takes one line of the file in. Nobody else uses the store yet.
func (s *Server) restore(rec record) {
	a := s.store.app(appKey{rec.Platform, rec.App})
	g := a.byUID[rec.UID]
	switch {
	case rec.Gone && g != nil:
		a.remove(g, rec.Updated)
		return
	case rec.Gone:
		return
	case g == nil:
		g = &agent{uid: rec.UID, created: rec.Created}
		a.insert(g)
	}
	g.fields, g.updated, g.deleted = rec.Fields, rec.Updated, rec.Deleted
	if g.fields == nil {
		g.fields = map[string]any{}
	}
	g.doc = s.render(a, g, s.mask)
}

// compact rewrites the file where most of it no longer matters. It runs before the first request: a
// change that came in between would be lost.
func (s *Server) compact() error {
	var records []record
	for _, a := range s.store.all() {
		a.mu.Lock()
		for _, g := range a.agents {
			if a.byUID[g.uid] == g {
				records = append(records, a.record(g))
			}
		}
		a.mu.Unlock()
	}
	if !s.store.log.wasteful(len(records)) {
		return nil
	}
	return s.store.log.rewrite(records)
}
