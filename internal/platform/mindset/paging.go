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
// lies between two pages; a list without it is an error. Where a full page holds nothing but agents that are known, a
// later time is looked for from which a page still overlaps and goes on behind them: a platform may show times in
// whole seconds and keep them in milliseconds. Where there is none, more agents may share a createdAt than a page
// holds, and those behind the page's end cannot be reached at all: that is an error too. Pages of one agent never
// overlap and go on; they are read all the same, and the list says that it may hide agents of the same createdAt.

// Bounds of one list.
const (
	maxPages  = 20_000
	maxAgents = 2_000_000
)

// errChanged is of a list whose pages do not fit together.
var errChanged = errors.New("the list changed while it was read")

// pageAsker answers the agents created after a time, or the first page for "".
type pageAsker func(ctx context.Context, after string) ([]platform.Remote, error)

// listWalk is a list that is being read.
type listWalk struct {
	all     []platform.Remote
	seen    map[string]bool
	last    time.Time // the newest createdAt seen
	from    time.Time // the latest time from which a page is known to overlap; zero where last tells
	largest int       // the length of the longest page
	steps   int       // pages that brought something new
	hides   bool      // pages hold one agent, so others of the same createdAt are hidden
}

// wholeList is the list, as far as it can be believed.
func (w *listWalk) wholeList() ([]platform.Remote, error) {
	if !w.hides {
		return w.all, nil
	}
	return nil, &platform.DoubtfulList{Agents: w.all, SameTime: true,
		Reason: "its pages hold one agent each, so it shows only one of agents that were created in the same millisecond"}
}

// listAll reads page after page until one brings nothing new.
func listAll(ctx context.Context, ask pageAsker) ([]platform.Remote, error) {
	return listWithin(ctx, ask, maxPages, maxAgents)
}

// listWithin does so for so many pages and agents at the most.
func listWithin(ctx context.Context, ask pageAsker, pages, agents int) ([]platform.Remote, error) {
	w := &listWalk{seen: map[string]bool{}}
	after := ""
	for range pages {
		page, err := ask(ctx, after)
		if err != nil {
			return nil, err
		}
		fresh, err := w.addPage(page)
		if err != nil {
			return nil, err
		}
		if fresh == 0 && (len(page) < w.largest || len(page) == 0) {
			return w.wholeList() // the page had room for more
		}
		if fresh == 0 {
			goOn, err := w.stepOver(ctx, ask)
			switch {
			case err != nil:
				return nil, err
			case !goOn:
				return w.wholeList()
			}
		}
		if len(w.all) > agents {
			return nil, fmt.Errorf("the list holds more than %d agents", agents)
		}
		after = formatTime(w.overlapTime())
	}
	return nil, fmt.Errorf("the list has more than %d pages", pages)
}

// overlapTime returns the latest time from which a page is known to hold the last agent.
func (w *listWalk) overlapTime() time.Time {
	if at := w.last.Add(-resolution); at.After(w.from) {
		return at
	}
	return w.from
}

func formatTime(t time.Time) string { return t.UTC().Format(timeForm) }

// addPage takes in a page and returns how many of its agents are new.
func (w *listWalk) addPage(page []platform.Remote) (fresh int, err error) {
	if err := w.checkPage(page); err != nil {
		return 0, err
	}
	for _, r := range page {
		if !w.seen[r.UID] {
			w.seen[r.UID] = true
			w.all = append(w.all, r)
			fresh++
			if !r.CreatedAt.IsZero() {
				w.last = r.CreatedAt
			}
		}
	}
	w.largest = max(w.largest, len(page))
	if fresh > 0 {
		w.steps++
	}
	if len(w.all) > 0 && w.last.IsZero() {
		return 0, fmt.Errorf("agent %s has no readable createdAt, so the list cannot be read page by page",
			w.all[0].UID)
	}
	return fresh, nil
}

// checkPage refuses a page that does not continue the one before. An agent without a readable createdAt stands where
// it stands.
func (w *listWalk) checkPage(page []platform.Remote) error {
	before := time.Time{}
	for _, r := range page {
		if r.CreatedAt.IsZero() {
			continue
		}
		if r.CreatedAt.Before(before) {
			return errors.New("the list is not in order of creation, so it cannot be read page by page")
		}
		before = r.CreatedAt
	}
	if len(w.all) > 0 && !w.overlapsWith(page) {
		return fmt.Errorf("%w: agent %s is not where it was", errChanged, w.all[len(w.all)-1].UID)
	}
	return nil
}

// overlapsWith reports whether a page holds the last agent that is known, so that nothing lies between.
func (w *listWalk) overlapsWith(page []platform.Remote) bool {
	last := w.all[len(w.all)-1].UID
	return slices.ContainsFunc(page, func(r platform.Remote) bool { return r.UID == last })
}

// stepOver is for a full page that brought nothing new: agents of one createdAt may fill it, and others of that
// time hide behind them. It looks for the latest time from which a page still overlaps with what is known, takes
// in that page, and reports whether the list goes on.
func (w *listWalk) stepOver(ctx context.Context, ask pageAsker) (goOn bool, err error) {
	n := w.largest
	// from low on a page overlaps; from high on, once it is known, it does not
	low, high := w.overlapTime(), time.Time{}
	var best, beyond []platform.Remote // what they answered
	cut := w.steps > 1                 // earlier pages show how long a page is
	probe := func(at time.Time) error {
		page, err := ask(ctx, formatTime(at))
		switch {
		case err != nil:
			return err
		case w.overlapsWith(page):
			low, best = at, page
		default:
			high, beyond = at, page
			cut = cut || slices.ContainsFunc(page, func(r platform.Remote) bool { return !w.seen[r.UID] })
		}
		return nil
	}
	// The time itself: that is enough where times are kept as they are shown. A little later: for a server that
	// includes startAfter. A second later: nothing that is known can still be there, if startAfter is heeded at all.
	for _, step := range []time.Duration{0, resolution, time.Second} {
		if at := w.last.Add(step); high.IsZero() && at.After(low) {
			if err := probe(at); err != nil {
				return false, err
			}
		}
	}
	if high.IsZero() {
		return false, errors.New("the list repeats itself: the server does not heed startAfter")
	}
	for high.Sub(low) > resolution {
		if err := probe(low.Add(high.Sub(low) / 2).Truncate(resolution)); err != nil {
			return false, err
		}
	}
	fresh := 0
	if best != nil {
		if fresh, err = w.addPage(best); err != nil {
			return false, err
		}
	}
	switch w.from = low; {
	case fresh > 0:
		return true, nil
	case best != nil && len(best) < n:
		return false, nil // that page had room for more
	}
	if n == 1 && (len(beyond) > 0 || w.hides) {
		// Nothing can overlap where a page holds one agent. What follows is not created at the same time as the last
		// one, since low and high are as close as startAfter can say.
		w.hides, w.all = true, append(w.all, beyond...)
		for _, r := range beyond {
			w.seen[r.UID], w.from = true, high // from there on it is shown
			if !r.CreatedAt.IsZero() {
				w.last = r.CreatedAt
			}
		}
		return len(beyond) > 0, nil
	}
	shared := 0
	for _, r := range w.all {
		if r.CreatedAt.Equal(w.last) {
			shared++
		}
	}
	reason := fmt.Sprintf("%d agents were created at %s and fill a page of the list, so others of that time may be hidden behind "+
		"them; to make the app readable again delete one of the %d at the platform, such as %s", shared,
		formatTime(w.last), shared, w.all[len(w.all)-1].UID)
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
