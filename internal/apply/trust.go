package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// ErrSuspiciousList is wrapped where a listing lacks agents that are there: it was cut short, lags, or
// is of another app.
var ErrSuspiciousList = errors.New("the listing is not to be trusted")

// suspicious reports a listing that shows none of the agents that state knows in the app, or lacks one
// that the platform answers when it is asked for it alone, or that is doubtful and lacks any.
func (e *Engine) suspicious(ctx context.Context, id agent.AppID, l *listing) error {
	known := e.book.uids(id)
	missing := slices.DeleteFunc(slices.Clone(known), l.has)
	if l.doubt != nil && (len(missing) > 0 || len(known) == 0) {
		return l.doubt // nothing that is known speaks for its being whole
	}
	if len(known) > 0 && len(missing) == len(known) {
		return fmt.Errorf("%w: it shows %d agents, and none of the %d that state knows in %s",
			ErrSuspiciousList, len(l.all), len(known), id)
	}
	return e.readMissing(ctx, id, append(missing, slices.DeleteFunc(e.book.doubtful(id), l.has)...))
}

// maxReads bounds how many agents that a listing lacks are asked for one by one.
const maxReads = 20

// readMissing asks for agents that a listing lacks, where the platform can be asked: someone may have
// deleted them, or the listing was cut short.
func (e *Engine) readMissing(ctx context.Context, id agent.AppID, missing []string) error {
	reader := e.apps[id].Client
	if !reader.Properties().ReadsOne {
		return nil
	}
	for _, uid := range missing[:min(maxReads, len(missing))] {
		_, err := reader.Read(ctx, uid)
		switch {
		case errors.Is(err, platform.ErrNotFound):
		case err != nil:
			return fmt.Errorf("%w: it lacks agent %s, and that could not be read: %w", ErrSuspiciousList, uid, err)
		default:
			return fmt.Errorf("%w: it lacks agent %s of %s, which is there", ErrSuspiciousList, uid, id)
		}
	}
	return nil
}

// listForCreates lists the app before anything is created in it. At a platform that cannot be asked for one
// agent the listing must show every agent that state knows: one that was cut hides what is to be adopted as
// well. It is asked for a few times, since lists may lag. A listing that comes with an error shows what is
// there and is no proof of anything else.
func (e *Engine) listForCreates(ctx context.Context, id agent.AppID) (*listing, error) {
	for look := 1; ; look++ {
		l, err := e.list(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := e.suspicious(ctx, id, l); err != nil {
			return l, err
		}
		if err = e.complete(id, l); err == nil || look == maxLists || !sleep(ctx, time.Duration(look)*listPause) {
			return l, err
		}
	}
}

const (
	// maxLists bounds how often a listing is asked for that lacks agents.
	maxLists = 3
	// listPause is what lies between the first two; it grows with each.
	listPause = 500 * time.Millisecond
)

// complete fails where a listing lacks an agent that state knows and nobody can be asked whether it is gone.
func (e *Engine) complete(id agent.AppID, l *listing) error {
	if e.apps[id].Client.Properties().ReadsOne {
		return nil
	}
	missing := slices.DeleteFunc(e.book.uids(id), l.has)
	if len(missing) == 0 {
		return nil
	}
	first, _ := e.book.owner(id, missing[0])
	return fmt.Errorf("%w: %d of %s, such as %s (uid %s)", errLacking, len(missing), id, first, missing[0])
}

// errLacking is of a listing that shows some of the agents that state knows.
var errLacking = fmt.Errorf("%w: it lacks agents that state knows", ErrSuspiciousList)

// trust reports whether a listing can be used to say that an agent is not there: it must show some agent
// that state knows, and every one that is owned and that an earlier listing showed; at a platform that
// cannot be asked for one agent every one that is owned. There a listing that lacks one may lack the one
// looked for as well, however often it comes out the same.
func (e *Engine) trust(ctx context.Context, id agent.AppID, l, seen *listing) error {
	if err := e.suspicious(ctx, id, l); err != nil {
		return err
	}
	missing := 0
	canRead := e.apps[id].Client.Properties().ReadsOne
	for _, uid := range e.book.uids(id) {
		if (!canRead || seen.has(uid) || e.book.madeHere(id, uid)) && !l.has(uid) {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: %d agents that state knows in %s are missing from it", ErrSuspiciousList, missing, id)
	}
	return nil
}
