package apply

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// verify lists the app once after the writes and holds what is live against what was sent. What the
// platform made of it becomes the observed side of each record, so that a platform that rewrites what
// it is sent causes one warning and no lasting difference.
func (r *appRun) verify(ctx context.Context) {
	written := r.written()
	if len(written) == 0 {
		return
	}
	l, err := r.listAfterWrites(ctx, written)
	if err != nil {
		r.warnings = append(r.warnings, fmt.Sprintf("%s: what was written could not be read back: %v", r.id, err))
		return
	}
	var seen []state.Result
	for _, i := range written {
		again, err := r.verifyOne(l, &r.results[i])
		if err != nil {
			r.warnings = append(r.warnings, fmt.Sprintf("%s: %v", r.results[i].Address, err))
		}
		seen = append(seen, again...)
	}
	for batch := range slices.Chunk(seen, verifyBatch) {
		if err := r.book.commit(batch...); err != nil {
			r.warnings = append(r.warnings, fmt.Sprintf("%s: %v", r.id, err))
			return
		}
	}
}

// verifyBatch is how many records share one line of the journal, and so one fsync.
const verifyBatch = 256

// written returns the indexes of the changes after which an agent should be live with new content.
func (r *appRun) written() []int {
	var indexes []int
	for _, i := range r.mine {
		switch r.changes[i].Action {
		case plan.Create, plan.Update, plan.Replace, plan.Adopt:
			if r.results[i].Status == StatusDone && r.changes[i].Blocked == "" {
				indexes = append(indexes, i)
			}
		}
	}
	return indexes
}

// verifyLooks bounds how often a listing that lacks a fresh agent is asked for again.
const verifyLooks = 3

// listAfterWrites lists until every written agent shows, a few times at most: lists may lag.
func (r *appRun) listAfterWrites(ctx context.Context, written []int) (*listing, error) {
	for look := 1; ; look++ {
		l, err := r.list(ctx, r.id)
		if err != nil || look == verifyLooks {
			return l, err
		}
		complete := true
		for _, i := range written {
			complete = complete && l.has(r.results[i].UID)
		}
		if complete || !sleep(ctx, time.Duration(look)*listPause) {
			return l, nil
		}
	}
}

// verifyOne compares one agent, and returns what is to be recorded of it.
func (r *appRun) verifyOne(l *listing, res *Result) ([]state.Result, error) {
	live, ok := l.byUID[res.UID]
	if !ok {
		res.Warning = "the platform's list does not show the agent yet"
		return nil, nil
	}
	rec, known := r.book.record(res.Address)
	if !known || rec.UID != res.UID {
		return nil, nil
	}
	sent, like, err := r.sentOf(rec, res.Address)
	if err != nil {
		return nil, err
	}
	var names []string
	if !holdsDoc(rec.Applied, live.Content) {
		names = differences(l.schema, sent, live.Content)
	}
	if live.Mark != rec.Mark {
		names = append(names, "the marker")
	}
	if len(names) > 0 {
		res.Warning = "the platform keeps another value than was sent for " + strings.Join(names, ", ")
	}
	return r.observeAgain(res.Address, rec, live, like)
}

// sentOf returns what was sent of an agent, and what tells where its secrets stand. Both are what the
// manifests want, which is at hand, unless a part of it is left to others: then the record says more.
func (r *appRun) sentOf(rec agent.Record, a agent.Address) (sent, like agent.Fields, err error) {
	want := r.wants(a)
	if len(want.IgnoreChanges) == 0 {
		return want.Fields, likeIn(rec.Applied, want), nil
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

// observeAgain returns the record with what is live, where that is not what was observed before.
func (r *appRun) observeAgain(a agent.Address, rec agent.Record, live platform.Remote, like agent.Fields) ([]state.Result, error) {
	observed, err := r.observed(live, like)
	if err != nil || bytes.Equal(observed, rec.Observed) {
		return nil, err
	}
	rec.Observed = observed
	return []state.Result{{Kind: state.Recorded, Address: a, Record: rec}}, nil
}
