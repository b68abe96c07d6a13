package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/state"
)

// unknown is a change whose last request had no usable answer.
type unknown struct {
	index int
	pending
	tries int
	// earlier are the intents of the same update or delete that had none either.
	earlier []uint64
}

// close closes the intents of earlier requests for what res says is done.
func (r *appRun) close(a agent.Address, intents []uint64, res Result) {
	if res.Status != StatusDone || len(intents) == 0 {
		return
	}
	voided := make([]state.Result, len(intents))
	for i, id := range intents {
		voided[i] = state.Result{Kind: state.Voided, Intent: id, Address: a}
	}
	_ = r.book.commit(voided...) // the book keeps its error
}

// settle finds out what became of the unknown outcomes and repeats what was certainly not done. It
// reports whether anything changed.
func (r *appRun) settle(ctx context.Context) bool {
	open := r.unknowns
	r.unknowns = nil
	var creates []*pending
	byPending := map[*pending]*unknown{}
	var again []*unknown
	for _, u := range open {
		if u.action == intentCreate {
			creates = append(creates, &u.pending)
			byPending[&u.pending] = u
		} else {
			again = append(again, u)
		}
	}
	again = r.readBack(ctx, again)
	progress := len(again) < len(open)-len(creates)
	r.repeatAll(ctx, again) // before the creates, whose listings are judged by what is known of the rest
	progress, again = progress || len(again) > 0, nil
	if len(creates) > 0 {
		for p, v := range r.settleCreates(ctx, r.id, creates, r.listed[r.id]) {
			u := byPending[p]
			if v.absent && u.tries < maxCreates {
				again = append(again, u)
				continue
			}
			progress = r.decide(ctx, u, v) || progress
		}
	}
	r.repeatAll(ctx, again)
	return progress || len(again) > 0
}

func (r *appRun) repeatAll(ctx context.Context, again []*unknown) {
	slices.SortFunc(again, func(a, b *unknown) int { return a.index - b.index })
	r.each(ctx, len(again), func(i int) { r.repeat(ctx, again[i]) })
}

// decide makes an outcome final that settling found out, or leaves it unknown.
func (r *appRun) decide(ctx context.Context, u *unknown, v verdict) bool {
	ch := r.changes[u.index]
	switch {
	case v.found.UID != "":
		res, open := r.made(ctx, ch, u.intent, v.found)
		if open != nil {
			r.unknowns = append(r.unknowns, &unknown{index: u.index, pending: *open, tries: u.tries})
			r.results[u.index] = res
			return true
		}
		r.settled(u.index, res)
	case v.absent:
		err := r.book.commit(state.Result{Kind: state.Voided, Intent: u.intent, Address: ch.Address})
		r.settled(u.index, failed(ch, errors.Join(fmt.Errorf("sent %d times, and never made: %w", u.tries, u.cause), err)))
	case len(v.several) > 0:
		res := unknownResult(ch, severalError(v))
		res.Hint = severalHint(ch.Address, v)
		r.settled(u.index, res)
	default:
		r.settled(u.index, unsettledResult(ch, u.cause, v.err))
		return false
	}
	return true
}

// unsettledResult is of a create that ended with cause, and of which why kept anybody from finding out.
func unsettledResult(ch plan.Change, cause, why error) Result {
	res := unknownResult(ch, fmt.Errorf("%w; and it could not be settled: %w", cause, why))
	if hint := goneHint(why); hint != "" {
		res.Hint = hint
	}
	return res
}

// goneHint is what to do about a listing that lacks agents, empty for any other error.
func goneHint(err error) string {
	if !errors.Is(err, ErrSuspiciousList) {
		return ""
	}
	return "if they are really gone, make them again, or take them out of state, and apply once more:\n" +
		"  agentsync apply --refresh\n  agentsync state rm ADDRESS"
}

// readBack makes those updates final that a listing shows as carried out, and returns the rest: what
// holds secrets cannot be read back, and a delete is repeated until the platform says that it is gone.
func (r *appRun) readBack(ctx context.Context, open []*unknown) []*unknown {
	if !slices.ContainsFunc(open, func(u *unknown) bool { return u.action == intentUpdate && !hasSecrets(u.sent) }) {
		return open
	}
	l, err := r.list(ctx, r.id)
	if err != nil {
		return open
	}
	return slices.DeleteFunc(open, func(u *unknown) bool {
		ch := r.changes[u.index]
		live, ok := l.byUID[ch.UID]
		if u.action != intentUpdate || !ok || hasSecrets(u.sent) || !holdsSent(l.schema, u.sent, live.Content) ||
			!r.markArrived(ch.Address, u.send, live) {
			return false
		}
		ch.Send = u.send
		res := r.updated(ch, u.intent, live)
		r.close(ch.Address, u.earlier, res)
		r.settled(u.index, res)
		return true
	})
}

// repeat sends a change again that was certainly not done, or that does no harm twice.
func (r *appRun) repeat(ctx context.Context, u *unknown) {
	ch := r.changes[u.index]
	if u.action != intentCreate && (u.tries >= maxRepeats || !sleep(ctx, repeatPause(u.tries))) {
		r.settled(u.index, unknownResult(ch, u.cause))
		return
	}
	// The next request has an intent of its own; an update or delete stays open until that is there.
	if u.action == intentCreate {
		if err := r.book.commit(state.Result{Kind: state.Voided, Intent: u.intent, Address: ch.Address}); err != nil {
			r.settled(u.index, failed(ch, err))
			return
		}
	}
	if why := r.stopped(ctx); why != nil {
		res := notStarted(ch, why)
		if u.action != intentCreate {
			res = unknownResult(ch, u.cause)
		}
		r.settled(u.index, res)
		return
	}
	var earlier []uint64
	if u.action != intentCreate {
		earlier = append(u.earlier, u.intent)
	}
	r.change(ctx, u.index, u.tries+1, earlier)
}

// repeatPause is how long to wait before an update or delete is sent again: 1 s, 2 s, 4 s.
func repeatPause(tries int) time.Duration { return time.Second << (tries - 1) }

// finishUnknowns reports what could not be settled.
func (r *appRun) finishUnknowns() {
	for _, u := range r.unknowns {
		r.settled(u.index, unknownResult(r.changes[u.index], u.cause))
	}
	r.unknowns = nil
}
