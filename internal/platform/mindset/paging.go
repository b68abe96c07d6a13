package mindset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"agentsync/internal/platform"
)

// The platform pages by time: startAfter asks for what was created after it, and agents that share a
// createdAt can fall on both sides of a page's end. So each page is asked for from just before the last
// createdAt seen: it begins with agents that are known already. That overlap is what shows that nothing
// lies between two pages; a list without it is an error. So is one in which more agents share a
// createdAt than a page holds, because those behind the page's end cannot be reached at all.

// Bounds of one list.
const (
	maxPages  = 20_000
	maxAgents = 2_000_000
)

// errChanged is of a list whose pages do not fit together.
var errChanged = errors.New("the list changed while it was read")

// asker answers the agents created after a time, or the first page for "".
type asker func(ctx context.Context, after string) ([]platform.Remote, error)

// walk is a list that is being read.
type walk struct {
	all     []platform.Remote
	seen    map[string]bool
	last    time.Time // the newest createdAt seen
	largest int       // the length of the longest page
	steps   int       // pages that brought something new
}

// listAll reads page after page until one brings nothing new.
func listAll(ctx context.Context, ask asker) ([]platform.Remote, error) {
	w := &walk{seen: map[string]bool{}}
	after := ""
	for range maxPages {
		page, err := ask(ctx, after)
		if err != nil {
			return nil, err
		}
		fresh, err := w.take(page)
		if err != nil {
			return nil, err
		}
		if fresh == 0 && (len(page) < w.largest || len(page) == 0) {
			return w.all, nil // the page had room for more
		}
		if fresh == 0 {
			goOn, err := w.confirm(ctx, ask, len(page))
			if err != nil || !goOn {
				return w.all, err
			}
		}
		if len(w.all) > maxAgents {
			return nil, fmt.Errorf("the list holds more than %d agents", maxAgents)
		}
		after = timestamp(w.last.Add(-resolution))
	}
	return nil, fmt.Errorf("the list has more than %d pages", maxPages)
}

func timestamp(t time.Time) string { return t.UTC().Format(timeForm) }

// take adds a page and returns how many of its agents are new.
func (w *walk) take(page []platform.Remote) (fresh int, err error) {
	if err := w.check(page); err != nil {
		return 0, err
	}
	for _, r := range page {
		if !w.seen[r.UID] {
			w.seen[r.UID] = true
			w.all = append(w.all, r)
			w.last = r.CreatedAt
			fresh++
		}
	}
	w.largest = max(w.largest, len(page))
	if fresh > 0 {
		w.steps++
	}
	return fresh, nil
}

// check refuses a page that cannot be continued from, or that does not continue the one before.
func (w *walk) check(page []platform.Remote) error {
	on := make(map[string]bool, len(page))
	for i, r := range page {
		switch {
		case on[r.UID]:
			return fmt.Errorf("the list holds agent %s twice", r.UID)
		case r.CreatedAt.IsZero():
			return fmt.Errorf("agent %s has no readable createdAt, so the list cannot be read page by page", r.UID)
		case i > 0 && r.CreatedAt.Before(page[i-1].CreatedAt):
			return errors.New("the list is not in order of creation, so it cannot be read page by page")
		}
		on[r.UID] = true
	}
	if n := len(w.all); n > 0 && !on[w.all[n-1].UID] {
		return fmt.Errorf("%w: agent %s is not where it was", errChanged, w.all[n-1].UID)
	}
	return nil
}

// confirm decides whether a full page that brought nothing new ends the list. It holds agents of the
// last createdAt, and others of that time can hide behind them. So it asks for what comes after that
// time: for a server that includes startAfter itself this is the next page, and the list goes on; for
// any other, agents there show that the page was cut. The later steps are for servers that include
// startAfter itself, and for those that show times in whole seconds; after the last of them none of the
// agents that are known can be left, unless the server does not heed startAfter.
func (w *walk) confirm(ctx context.Context, ask asker, n int) (goOn bool, err error) {
	cut := w.steps > 1
	for _, step := range []time.Duration{0, resolution, time.Second - resolution, time.Second} {
		next, err := ask(ctx, timestamp(w.last.Add(step)))
		if err != nil {
			return false, err
		}
		if len(next) == 0 {
			break
		}
		known := !slices.ContainsFunc(next, func(r platform.Remote) bool { return !w.seen[r.UID] })
		if next[0].CreatedAt.Before(w.last.Truncate(resolution)) || known && step == time.Second {
			return false, errors.New("the list repeats itself: the server does not heed startAfter")
		}
		if !known {
			if w.check(next) == nil { // it overlaps with what is known, so nothing lies between
				_, err := w.take(next)
				return true, err
			}
			cut = true
			break
		}
	}
	reason := fmt.Sprintf("%d agents were created at %s and fill a page of the list, so others of that time may be hidden behind them",
		n, timestamp(w.last))
	switch {
	case cut:
		return false, errors.New(reason)
	case looksFull(n):
		return false, &platform.DoubtfulList{Agents: w.all, Reason: reason}
	}
	return false, nil
}

// looksFull reports whether n, the number of agents of an app that all share one createdAt and with
// nothing after them, may be the size of a page. Nothing in the answers can tell such a page from a
// whole list, so it is a DoubtfulList; to spare callers the doubt it is kept to the sizes that pages
// have: tens, twenty-fives and powers of two, ten at the least.
func looksFull(n int) bool {
	return n >= 10 && (n%10 == 0 || n%25 == 0 || n&(n-1) == 0)
}
