package state

import (
	"bytes"
	"cmp"
	"slices"

	"agentsync/internal/agent"
)

// After returns the record that r leaves at its address, where old stood before (the zero Record for
// none), and whether one is left. It is for Recorded and Removed; the other kinds leave old.
func After(old agent.Record, r Result) (agent.Record, bool) {
	switch {
	case r.Kind == Recorded:
		if r.Record.FormerKeys == nil { // they belong to the address: who records an agent need not know them
			r.Record.FormerKeys = old.FormerKeys
		}
		return withObsolete(r.Record, append(slices.Clip(old.Obsolete), old.UID)...), true
	case r.Kind == Removed && old.UID != "":
		gone := cmp.Or(r.UID, old.UID)
		return without(old, func(uid string) bool { return uid == gone })
	default:
		return old, old.UID != ""
	}
}

// without returns what is left of r once the uids that gone reports have left it, and whether
// anything is. An obsolete agent takes the place of the current one: it may still be live, and a
// uid leaves the state only when somebody says so.
func without(r agent.Record, gone func(uid string) bool) (agent.Record, bool) {
	if slices.ContainsFunc(r.Obsolete, gone) {
		r.Obsolete = slices.DeleteFunc(slices.Clone(r.Obsolete), gone)
	}
	if !gone(r.UID) {
		return trim(r), true
	}
	n := len(r.Obsolete)
	if n == 0 {
		return agent.Record{}, false
	}
	return trim(agent.Record{UID: r.Obsolete[n-1], Obsolete: r.Obsolete[: n-1 : n-1], Protect: r.Protect, FormerKeys: r.FormerKeys}), true
}

// trim makes an empty list of obsolete uids nil, so that equal records are equal in every respect.
func trim(r agent.Record) agent.Record {
	if len(r.Obsolete) == 0 {
		r.Obsolete = nil
	}
	return r
}

// withObsolete returns r with more obsolete uids: each once, and never r's own.
func withObsolete(r agent.Record, more ...string) agent.Record {
	if len(r.Obsolete) == 0 && !slices.ContainsFunc(more, func(uid string) bool { return uid != "" && uid != r.UID }) {
		return trim(r) // the usual case
	}
	list := make([]string, 0, len(r.Obsolete)+len(more))
	for _, uid := range append(slices.Clip(more), r.Obsolete...) {
		if uid != r.UID && uid != "" && !slices.Contains(list, uid) {
			list = append(list, uid)
		}
	}
	r.Obsolete = list
	return trim(r)
}

func equalRecord(a, b agent.Record) bool {
	return a.UID == b.UID && a.API == b.API && a.Mark == b.Mark && a.Protect == b.Protect && equalDoc(a.Applied, b.Applied) &&
		equalDoc(a.Observed, b.Observed) && slices.Equal(a.Obsolete, b.Obsolete) && slices.Equal(a.FormerKeys, b.FormerKeys)
}

func equalDoc(a, b agent.Doc) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}
