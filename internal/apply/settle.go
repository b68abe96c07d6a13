package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// pending is a request whose outcome nobody knows.
type pending struct {
	intent  uint64
	address agent.Address
	action  string
	// old is the agent that a create replaces, empty for none.
	old string
	// send names the fields of an update.
	send []string
	// sent is what the request asked for, secrets sealed or literal: they are not compared.
	sent agent.Fields
	// doc is the same as an earlier run's intent holds it, secrets sealed.
	doc agent.Doc
	// nameless reports that the agent's identity is a secret that nobody knows any more.
	nameless bool
	// at is when the request was about to be sent, by this machine's clock.
	at time.Time
	// left is the latest moment at which it can have left this machine: the grace period begins here.
	left time.Time
	// cause is why the outcome is unknown.
	cause error
}

// newPending is the request behind an intent, which was stored at at, that ended with cause.
func newPending(intent uint64, i state.Intent, sent agent.Fields, cause error) *pending {
	p := &pending{intent: intent, address: i.Address, action: i.Action, sent: sent, at: i.At, left: i.At, cause: cause}
	if i.Action == intentCreate {
		p.old = i.UID
	}
	var e *platform.Error
	if errors.As(cause, &e) && e.SentAt.After(p.left) {
		p.left = e.SentAt // it waited for the pace between the intent and the wire
	}
	return p
}

// verdict is what was found out about a pending create.
type verdict struct {
	// found is the agent that the create made, in the listing in; its UID is empty where none was found.
	found platform.Remote
	in    *listing
	// absent reports that the create was certainly not executed, as far as the grace period tells.
	absent bool
	// several are the uids between which nobody can decide; equal reports that each holds all that was
	// sent.
	several []string
	equal   bool
	// err says why nothing could be found out.
	err error
}

const (
	// minLooks is how many trusted listings must agree that an agent is not there, the last of them
	// asked for after the grace period.
	minLooks = 2
	// maxLooks bounds the listings for one settling; those after the grace period come a second, then
	// two, four, … apart.
	maxLooks = 8
	// minPause is what lies between two looks at least, unless the grace period is shorter.
	minPause = time.Second
)

// settleCreates finds out what became of creates of one app. It lists, matches what no address owns
// against what was sent, waits out the grace period for those without a match, and lists again, until
// each is decided or the listings turn out not to be trusted. before is a listing from before the
// creates were sent, or nil: what it shows was not made by them.
func (e *Engine) settleCreates(ctx context.Context, id agent.AppID, all []*pending, before *listing) map[*pending]verdict {
	verdicts := make(map[*pending]verdict, len(all))
	open := slices.Clone(all)
	seen, looks := before, 0
	for round := 0; len(open) > 0; round++ {
		asked := time.Now()
		l, err := e.list(ctx, id)
		if err == nil {
			err = e.trust(ctx, id, l, seen)
		}
		if err == nil {
			looks++
			seen = l
			open = e.match(id, l, open, before, verdicts)
			if err = l.doubt; err == nil {
				open = e.giveUpAbsent(open, looks, asked, verdicts)
			}
		}
		if len(open) == 0 {
			break
		}
		wait, last := e.nextLook(open, round)
		if last || !e.waitToSettle(ctx, id, len(open), wait) {
			for _, p := range open {
				verdicts[p] = verdict{err: cmp.Or(err, ctx.Err(), p.cause)}
			}
			break
		}
	}
	return verdicts
}

// giveUpAbsent decides the creates that enough listings did not show, the last of which was asked for
// when the grace period was over.
func (e *Engine) giveUpAbsent(open []*pending, looks int, asked time.Time, verdicts map[*pending]verdict) []*pending {
	return slices.DeleteFunc(open, func(p *pending) bool {
		over := looks >= minLooks && asked.Sub(p.left) >= e.opts.SettleTimeout
		if over {
			verdicts[p] = verdict{absent: true}
		}
		return over
	})
}

// nextLook says how long to wait before the next listing: until the last grace period is over, then
// longer and longer; last reports that there is no use in another.
func (e *Engine) nextLook(open []*pending, round int) (wait time.Duration, last bool) {
	wait = min(minPause, e.opts.SettleTimeout)
	for _, p := range open {
		wait = max(wait, e.opts.SettleTimeout-time.Since(p.left))
	}
	if round+1 >= minLooks {
		wait = max(wait, time.Second<<min(round-1, 4))
	}
	return wait, round+1 >= maxLooks
}

func (e *Engine) waitToSettle(ctx context.Context, id agent.AppID, n int, d time.Duration) bool {
	if d > 0 {
		e.observe(Event{Kind: EventSettling, App: id, Message: fmt.Sprintf(
			"%d creates without an answer: looking again in %s", n, d.Round(100*time.Millisecond))})
	}
	return sleep(ctx, d)
}

// severalError says between which agents nobody can decide.
func severalError(v verdict) error {
	if len(v.several) == 1 {
		return fmt.Errorf("agent %s may be the one that was made, but its content is not what was sent", v.several[0])
	}
	return fmt.Errorf("agents %s may each be the one that was made", strings.Join(v.several, ", "))
}

// severalHint is what to do about it.
func severalHint(a agent.Address, v verdict) string {
	var b strings.Builder
	b.WriteString("say which one it is, and delete the others at the platform:\n")
	for _, uid := range v.several {
		fmt.Fprintf(&b, "  agentsync import %s %s\n", a, uid)
	}
	if !v.equal {
		b.WriteString("or, if it is none of them, create it all the same:\n  agentsync apply --allow-duplicate-names")
	}
	return strings.TrimRight(b.String(), "\n")
}

// pendingOf turns an open create intent of an earlier run into a pending create. Between the intent
// and the wire a request waits for the pace, by maxThrottled at the most as far as anyone knows, and
// nobody saw it leave: until that is over, the grace period begins now.
func (e *Engine) pendingOf(i state.Intent) (*pending, error) {
	sent, err := i.Fields.Fields()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if i.At.After(now) { // the clock was set back since
		i.At = now
	}
	p := newPending(i.ID, i, sent, errors.New("the run that sent it ended before the answer came"))
	if p.left = i.At.Add(maxThrottled); p.left.After(now) {
		p.left = now
	}
	p.doc, p.nameless = i.Fields, e.nameAgain(p)
	return p, nil
}

// nameAgain puts the values of secrets into the identity of a pending create of an earlier run, whose
// intent holds their hashes only, and reports whether some could not be found.
func (e *Engine) nameAgain(p *pending) (nameless bool) {
	app, ok := e.apps[p.address.ID()]
	if !ok {
		return false
	}
	want, err := e.wanted(p.address)
	for _, f := range app.Schema.Fields {
		sealed, isSealed := p.sent[f.Name].(secret.Sealed)
		if !f.Identity || !isSealed {
			continue
		}
		text, isText := want[f.Name].(secret.Text)
		if err != nil || !isText || e.sealer().Seal("/"+agent.EscapePointer(f.Name), text).Value != sealed.Value {
			nameless = true
			continue
		}
		p.sent[f.Name] = text
	}
	return nameless
}
