package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// openRequest is what this apply knows of an open intent.
type openRequest struct {
	// since is when the grace period of a create begins: when its request was given up or, of an earlier
	// run, when this apply began to recover.
	since time.Time
	// earlier reports that it is of an earlier run.
	earlier bool
	// before is the list from before the request, of a request of this apply: what that shows was not made
	// by it, whatever the clocks say.
	before *listing
	// absent counts the whole lists that did not show what a create was to make, of which seen is the last.
	absent int
	seen   *listing
	// cause is why the outcome is not known, why what kept recovery from finding out, hint what to do about it.
	cause, why error
	hint       string
	// stuck reports that no other list will tell more: a person has to say.
	stuck bool
	// unproven reports, of an update, that the last list does not prove that it was carried out: until the grace period
	// is over, that list may lag, or the update may still take effect.
	unproven bool
	// answered reports, of a delete, that the platform said that it is done: at the time of since, when its grace
	// period begins, for lists lag. repeated reports that it said so to a second one as well.
	answered, repeated bool
}

// openRequestOf returns what is known of an open intent. One that is not known yet is of an earlier run: nobody saw
// when its request was given up, so its grace period begins now.
func (e *Engine) openRequestOf(i state.Intent) *openRequest {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.requests[i.ID]
	if r == nil {
		r = &openRequest{since: e.recoveryBegan, earlier: true, cause: errEarlierRun}
		e.requests[i.ID] = r
	}
	return r
}

// errEarlierRun is why the outcome of a request is unknown that this apply did not send.
var errEarlierRun = errors.New("an earlier run sent a request for it whose outcome is still unknown")

// graceOf is how long after its since a request may still take effect.
func (e *Engine) graceOf(r *openRequest) time.Duration {
	if r.earlier {
		return max(e.opts.Grace, e.opts.EarlierGrace)
	}
	return e.opts.Grace
}

// graceEnd is when a request of an open intent can take effect no more.
func (e *Engine) graceEnd(i state.Intent) time.Time {
	r := e.openRequestOf(i)
	return r.since.Add(e.graceOf(r))
}

// addressOf returns the address that an open intent is about now. The agent may have been renamed since it was
// sent, and its intent follows it: by the record that has its uid or, of a create, by the manifests.
func (e *Engine) addressOf(i state.Intent) agent.Address {
	if i.UID != "" {
		if owner, owned := e.fleet.Owner(i.Address.ID(), i.UID); owned {
			return owner
		}
	}
	if to, renamed := e.renamed[i.Address]; renamed {
		if _, known := e.fleet.Record(to); !known {
			return to
		}
	}
	return i.Address
}

// isOpen reports whether a request for the address is open.
func (e *Engine) isOpen(a agent.Address) bool {
	return slices.ContainsFunc(e.fleet.Open(), func(i state.Intent) bool { return e.addressOf(i) == a })
}

// openApps are the apps in which a request is open and that can be reached.
func (e *Engine) openApps() []agent.AppID {
	ids := map[agent.AppID]bool{}
	for _, i := range e.fleet.Open() {
		if _, reachable := e.apps[i.Address.ID()]; reachable {
			ids[i.Address.ID()] = true
		}
	}
	return slices.SortedFunc(maps.Keys(ids), agent.AppID.Compare)
}

// undecidedAgents returns the addresses for which nothing may be made or changed yet: an open create may have made
// their agent (true) or, where the state was lost, an open request is about one that they have (false).
func (e *Engine) undecidedAgents() map[agent.Address]bool {
	held := map[agent.Address]bool{}
	for _, i := range e.fleet.Open() {
		a := e.addressOf(i)
		if _, known := e.fleet.Record(a); i.Action == actionCreate || !known {
			held[a] = held[a] || i.Action == actionCreate
		}
	}
	return held
}

// awaitLate waits until no request of an earlier run can overwrite any more what is wanted now, and lists and recovers
// once more. It comes before the plan: what such a request does late would be in no plan, and over what this apply
// sends.
func (e *Engine) awaitLate(ctx context.Context) {
	var wait time.Duration
	late := map[agent.AppID]bool{}
	for _, i := range e.fleet.Open() {
		if id := i.Address.ID(); e.mayOverwrite(i, time.Now()) {
			late[id], wait = true, max(wait, time.Until(e.graceEnd(i)))
		}
	}
	if len(late) == 0 {
		return
	}
	ids := slices.SortedFunc(maps.Keys(late), agent.AppID.Compare)
	for _, id := range ids {
		e.emitEvent(Event{Kind: EventRecovering, App: id, Message: e.waitingFor(id, wait)})
	}
	if sleep(ctx, wait) {
		e.listApps(ctx, ids)
		e.recoverOpen(ctx)
	}
}

// mayOverwrite reports whether an update or a delete of an earlier run may still take effect at a time, and is not what
// is wanted any more. What is sent before that time is over could be overwritten, and no list would show it.
func (e *Engine) mayOverwrite(i state.Intent, at time.Time) bool {
	r, a := e.openRequestOf(i), e.addressOf(i)
	rec, known := e.fleet.Record(a)
	if !r.earlier || at.Sub(r.since) >= e.graceOf(r) || e.want[a] == nil || !known || rec.UID != i.UID {
		return false
	}
	switch i.Action {
	case actionDelete:
		return true
	case actionUpdate:
		return e.overwritesWanted(i, a, rec)
	default:
		return false
	}
}

// overwritesWanted reports whether an update sent what is not wanted any more. What the intent does not say, its mark,
// is taken to be another one.
func (e *Engine) overwritesWanted(i state.Intent, a agent.Address, rec agent.Record) bool {
	p := e.apps[a.ID()].Schema
	if p == nil {
		return false // whoever recovers it says so
	}
	sent, _ := i.Fields.Fields() // of what cannot be read as well
	want := e.wantedAgent(a)
	sealed := want.Fields.Seal(e.sealer)
	for name, v := range sent {
		f, known := p.Field(name)
		if !known || slices.Contains(want.IgnoreChanges, name) {
			continue
		}
		wanted := sealed[name]
		if wanted == nil {
			wanted = f.Cleared()
		}
		if !plan.Equal(f, v, wanted) || f.Marker && cmp.Or(want.Mark, rec.Mark) != "" {
			return true
		}
	}
	return false
}

// recoverOpen closes those open intents of which the last lists tell what became of them, be they of this apply or
// of an earlier one. It sends reads, and at the most a delete again. What it cannot tell stays open: e.requests says
// why.
func (e *Engine) recoverOpen(ctx context.Context) {
	byApp := map[agent.AppID][]state.Intent{}
	for _, i := range e.fleet.Open() {
		e.openRequestOf(i)
		byApp[i.Address.ID()] = append(byApp[i.Address.ID()], i)
	}
	var g sync.WaitGroup
	for id, intents := range byApp {
		g.Go(func() {
			defer crash.Guard()
			e.recoverApp(ctx, id, intents)
		})
	}
	g.Wait()
}

func (e *Engine) recoverApp(ctx context.Context, id agent.AppID, intents []state.Intent) {
	var creates, gone []state.Intent
	why := e.unlisted[id]
	l := e.lists[id]
	switch _, reachable := e.apps[id]; {
	case !reachable:
		why = fmt.Errorf("no manifest has a section for %s, so nothing says how to reach it", id)
	case why == nil && l.foreign:
		why = l.doubt // of another app, perhaps: its answers say nothing of these agents
	}
	for _, i := range intents {
		var results []state.Result
		var err error
		switch {
		case i.NeverLeft:
			// No byte of it left this machine: there is nothing to look for, and nothing to wait for.
			results = []state.Result{{Kind: state.Voided, Intent: i.ID, Address: i.Address}}
		case why != nil:
			err = why
		case i.Action == actionCreate:
			creates = append(creates, i)
			continue
		case i.Action == actionDelete:
			if results, err = e.recoverDelete(ctx, l, i); err == nil && results[0].Kind == state.Removed {
				gone = append(gone, i)
				continue
			}
		default:
			results, err = e.recoverUpdate(l, i)
		}
		if len(results) > 0 { // of an update also where it stays open, because the list lags
			err = cmp.Or(e.commitResults(results...), err)
		}
		if err != nil {
			e.keepOpen(i, err)
		}
	}
	for batch := range slices.Chunk(gone, verifyBatch) { // there may be as many as were deleted: not an fsync for each
		results := make([]state.Result, len(batch))
		for n, i := range batch {
			results[n] = state.Result{Kind: state.Removed, Intent: i.ID, Address: e.addressOf(i), UID: i.UID}
		}
		if err := e.commitResults(results...); err != nil {
			for _, i := range batch {
				e.keepOpen(i, err)
			}
		}
	}
	if len(creates) > 0 {
		e.recoverCreates(id, l, creates)
	}
}

// keepOpen notes why recovery could not tell what became of a request.
func (e *Engine) keepOpen(i state.Intent, why error) {
	hint := ""
	switch l := e.lists[i.Address.ID()]; {
	case l != nil && l.hides != nil && errors.Is(why, l.hides):
		hint = "if the platform does not have the agent, create it all the same:\n  agentsync apply --allow-duplicate-names"
	case errors.Is(why, ErrSuspiciousList):
		hint = e.listHint(i.Address.ID(), why)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.requests[i.ID]
	r.why, r.hint = why, hint
}

// recoverDelete decides a delete. One that was answered as done was done if a whole list, asked for after the answer,
// does not show the agent any more. An agent that is listed was not deleted, unless the list lags, and the plan decides
// anew; but of an agent that is wanted again, one of an earlier run may still take effect until its grace period is
// over. Where nobody can be asked about one that no list showed, the answer to a second delete tells, which does no
// harm.
func (e *Engine) recoverDelete(ctx context.Context, l *listing, i state.Intent) ([]state.Result, error) {
	id := i.Address.ID()
	a := e.addressOf(i)
	voided := []state.Result{{Kind: state.Voided, Intent: i.ID, Address: a}}
	rec, _ := e.fleet.Record(a)
	if rec.UID != i.UID && !slices.Contains(rec.Obsolete, i.UID) {
		return voided, nil
	}
	r := e.openRequestOf(i)
	afterGrace := l.asked.Sub(r.since) >= e.graceOf(r)
	switch {
	case l.shows(i.UID) && r.answered && !afterGrace:
		return nil, fmt.Errorf("the list still shows agent %s", i.UID)
	case l.shows(i.UID):
		if r.answered {
			e.noteUndone(a, i.UID)
		}
		if e.mayOverwrite(i, l.asked) {
			return nil, errMayOverwrite
		}
		return voided, nil
	case l.gone[i.UID]:
	case l.isWhole() && !l.asked.Before(r.since) && (i.Answered || r.answered && afterGrace):
	case e.apps[id].Client.Properties().ReadsOne:
		return nil, fmt.Errorf("the list does not show agent %s, and it could not be read: %w", i.UID,
			cmp.Or(l.doubt, errMissing))
	case r.repeated:
		return nil, cmp.Or(l.doubt, errNotSeenGone)
	default:
		// Without a bound each open delete of the agent would send one for each list, and each apply leaves more open.
		if err := e.countRequest(i); err != nil {
			return nil, cmp.Or(r.why, r.cause)
		}
		err := e.apps[id].Client.Delete(platform.Detach(ctx), i.UID)
		if errors.Is(err, platform.ErrNoSuchAgent) {
			break
		}
		if err == nil { // some answer so for an agent that is gone as well: what lists show from now on will tell
			e.mu.Lock()
			r.answered, r.repeated, r.since, r.cause = true, true, time.Now(), errNotSeenGone
			e.mu.Unlock()
			err = errNotSeenGone
		}
		return nil, err // a 404 of a proxy says nothing, nor does a list that misses it
	}
	return []state.Result{{Kind: state.Removed, Intent: i.ID, Address: a, UID: i.UID}}, nil
}

// noteUndone notes that a delete of this apply was answered as done and was not.
func (e *Engine) noteUndone(a agent.Address, uid string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.undone[a] = uid
}

// recoverUpdate decides an update, field by field. Done is a field that the agent shows exactly as it was sent
// or, as platforms change what they are sent, in another way than before. One that shows what it showed before
// was not changed, and the next plan sends it again; one that shows something else counts as what it shows, and is sent
// again as well. What cannot be read back, a secret, is forgotten, and so sent again.
//
// The update is closed once a list shows that it was carried out, or its grace period is over. Until then the list may
// lag, and where what it sent was sent again it may still take effect: after this run, over what the next one sends.
func (e *Engine) recoverUpdate(l *listing, i state.Intent) ([]state.Result, error) {
	a := e.addressOf(i)
	voided := []state.Result{{Kind: state.Voided, Intent: i.ID, Address: a}}
	rec, _ := e.fleet.Record(a)
	if rec.UID != i.UID || l.gone[i.UID] {
		return voided, nil // nothing is left to be updated
	}
	rec = e.comparableRecord(a.ID(), rec)
	live, listed := l.byUID[i.UID]
	switch {
	case e.mayOverwrite(i, l.asked):
		return nil, errMayOverwrite // what it did is not certain before it can do no more
	case !listed:
		return nil, fmt.Errorf("%w: agent %s", cmp.Or(l.doubt, errMissing), i.UID)
	case live.Content.IsZero():
		return nil, fmt.Errorf("agent %s could not be read: %w", i.UID, cmp.Or(live.Unreadable, errMissing))
	}
	sent, err := i.Fields.Fields()
	if err != nil {
		return nil, err
	}
	applied, err := rec.Applied.Fields()
	if err != nil {
		return nil, err
	}
	before, err := rec.Observed.Fields()
	if err != nil {
		return nil, err
	}
	if before == nil {
		before = applied // it was not seen since: most likely it showed what was sent then
	}
	if applied == nil {
		applied = agent.Fields{}
	}
	shown := plan.SealAnswer(live.Content.Fields(), sent, e.sealer)
	e.mu.Lock()
	e.lateUpdates[i.UID] = append(e.lateUpdates[i.UID], sent) // whatever is decided now, it may still take effect
	e.mu.Unlock()
	r := e.openRequestOf(i)
	inGrace := l.asked.Sub(r.since) < e.graceOf(r)
	f, _ := l.schema.Marker()
	marked := sent[f.Name] != nil && live.Mark != rec.Mark
	names := make([]string, 0, len(sent)) // the fields that are decided by what is shown
	notShown := ""
	// What was so before proves nothing: a later update of the same, which was answered, may have done it.
	proven := marked
	for name, v := range sent {
		f, _ := l.schema.Field(name)
		exact, was := plan.Equal(f, v, shown[name]), plan.Equal(f, before[name], shown[name])
		switch {
		case hasSecret(v):
			delete(applied, name)
		case applied[name] == nil && exact && was: // sent as it was, for the mark
			continue
		case !exact && (was || plan.Equal(f, v, applied[name])):
			// As before it, or otherwise than a later update of the same left it, which was answered: not by this one.
			// Were that recorded, what somebody put there would pass for ours or for the platform's.
			notShown = name
			continue
		case exact, plan.Holds(f, v, shown[name]) && !plan.Leftover(v, shown[name], applied[name], before[name]):
			applied[name] = v
			proven = proven || !was
		case shown[name] == nil:
			delete(applied, name)
		default:
			applied[name] = ownMembers(shown[name], v, applied[name])
		}
		names = append(names, name)
	}
	r.unproven = inGrace && (!proven || notShown != "")
	var late error
	switch {
	case r.unproven && notShown != "":
		// Were it closed now, a manifest that wants the old value again would find nothing to do, though the list lags.
		// The next plan sends the field all the same: the record says that it was not done.
		late = fmt.Errorf("the list still shows the old value of %s", notShown)
	case r.unproven:
		late = errMayRepeat
	}
	if late != nil {
		i.ID = 0 // what is recorded closes nothing
		voided = nil
	}
	if len(names) == 0 && !marked {
		return voided, late
	}
	if marked {
		rec.Mark = live.Mark
	}
	if rec.Applied, err = agent.Encode(applied); err != nil {
		return nil, err
	}
	if rec.Observed, err = plan.ObservedAfter(rec.Observed, live.Content, sent, names, e.sealer); err != nil {
		return nil, err
	}
	return []state.Result{{Kind: state.Recorded, Intent: i.ID, Address: a, Record: rec}}, late
}

// errMayRepeat is why an update stays open although the agent is as it is wanted.
var errMayRepeat = errors.New("nothing shows yet that it was carried out, and it may still take effect")

// errMayOverwrite is why an update or a delete of an earlier run stays open although a list shows the agent.
var errMayOverwrite = errors.New("it may still take effect, over what is wanted now")

// recoverCreates decides creates of one app: it looks for the agents that they made among those that no address
// owns. One that is found is recorded. One that no whole list showed, twice, the second time asked for after the
// grace period, was not made. Where nobody can say which of several it is, a person must.
func (e *Engine) recoverCreates(id agent.AppID, l *listing, intents []state.Intent) {
	byUID := map[string]platform.Remote{}
	var free []platform.Remote
	for _, r := range l.agents {
		if _, owned := e.fleet.Owner(id, r.UID); !owned {
			free = append(free, r)
			byUID[r.UID] = r
		}
	}
	// Of requests that sent the same nobody can say which one made an agent, and each may still have its effect until
	// its own grace period is over. So the one whose period ends first counts as answered first: what stays open then
	// waits for as long as any of them may take.
	slices.SortStableFunc(intents, func(a, b state.Intent) int { return e.graceEnd(a).Compare(e.graceEnd(b)) })
	candidates := make([]plan.Candidate, len(intents))
	for n, i := range intents {
		fields, err := e.intendedFields(i)
		if err != nil {
			e.keepOpen(i, err)
			candidates[n].May = func(plan.Live) bool { return false }
			continue
		}
		r := e.openRequestOf(i)
		candidates[n] = plan.Candidate{Fields: fields, Mark: i.Address.Mark(), // under which it was sent
			May: func(live plan.Live) bool { return r.mayHaveMade(i, byUID[live.UID]) }}
	}
	// Agents that the manifests want and that state does not know (it was lost, or their turn has not come) look for
	// theirs as well: what is exactly theirs was not made by a request that it is merely like.
	for _, a := range slices.SortedFunc(maps.Keys(e.want), agent.Address.Compare) {
		if _, known := e.fleet.Record(a); known || a.ID() != id || e.isOpen(a) {
			continue
		}
		if fields, err := e.wantedFields(a); err == nil {
			candidates = append(candidates, plan.Candidate{Fields: fields, Mark: e.wantedAgent(a).Mark})
		}
	}
	matches := plan.Find(l.schema, candidates, liveOf(free), true)
	explained := e.knownIdentities(id, l, candidates)
	for n, i := range intents {
		m := matches[n]
		suspects := slices.DeleteFunc(m.Namesakes, func(uid string) bool { return byUID[uid].Mark != "" }) // somebody's
		if m.UID == "" && m.Equal == nil {
			suspects = append(suspects, e.suspectAgents(l, i, candidates[n], free, explained)...)
		}
		switch {
		case candidates[n].Fields == nil:
		case m.UID != "":
			e.recoverMade(i, byUID[m.UID])
		case m.Equal != nil:
			e.stopForPerson(i, m.Equal, true)
		case len(suspects) > 0 && !e.opts.AllowDuplicateNames:
			e.stopForPerson(i, suspects, false)
		case l.doubt != nil:
			e.keepOpen(i, l.doubt)
		case l.hides != nil && !e.opts.AllowDuplicateNames:
			// What it made may be hidden, however often the list is read.
			e.keepOpen(i, l.hides)
			e.openRequestOf(i).stuck = true
		default:
			e.recoverAbsent(i, l)
		}
	}
}

// minWholeLists is how many whole lists must agree that an agent is not there, the last of them asked for after
// the grace period.
const minWholeLists = 2

// recoverAbsent closes a create that was not carried out, once the grace period is over.
func (e *Engine) recoverAbsent(i state.Intent, l *listing) {
	r := e.openRequestOf(i)
	r.why, r.stuck = nil, false
	if l != r.seen { // the same list twice is one list
		r.seen = l
		r.absent++
	}
	if r.absent < minWholeLists || l.asked.Sub(r.since) < e.graceOf(r) {
		return
	}
	if err := e.commitResults(state.Result{Kind: state.Voided, Intent: i.ID, Address: i.Address}); err != nil {
		e.keepOpen(i, err)
	}
}

// recoverMade records the agent that a create made. The manifest may have changed since, so what was applied is
// what the intent says.
func (e *Engine) recoverMade(i state.Intent, live platform.Remote) {
	a := e.addressOf(i)
	rec := agent.Record{UID: live.UID, Applied: i.Fields, Protect: e.wantedAgent(a).Protect, Mark: live.Mark}
	entry := state.Result{Kind: state.Recorded, Intent: i.ID, Address: a, Record: rec}
	if sent, err := i.Fields.Fields(); err == nil {
		// What cannot be read is not known, and the uid must not be lost for it.
		entry.Record.Observed, _ = plan.ObservedDoc(live.Content, sent, e.sealer)
	}
	if _, err := e.commitUID(entry); err != nil {
		e.keepOpen(i, err)
	}
}

// stopForPerson keeps a create open until a person says which agent it made. equal reports that each of them holds all
// that was sent.
func (e *Engine) stopForPerson(i state.Intent, uids []string, equal bool) {
	slices.Sort(uids)
	uids = slices.Compact(uids)
	why := fmt.Errorf("agents %s may each be the one that was made", strings.Join(uids, ", "))
	if len(uids) == 1 {
		why = fmt.Errorf("agent %s may be the one that was made, but its content is not what was sent", uids[0])
	}
	var b strings.Builder
	b.WriteString("say which one it is, and delete the others at the platform:\n")
	for _, uid := range uids {
		b.WriteString("  " + ImportCommand(e.addressOf(i).String(), uid) + "\n")
	}
	if !equal {
		b.WriteString("or, if it is none of them, create it all the same:\n  agentsync apply --allow-duplicate-names")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.requests[i.ID]
	r.why, r.hint, r.stuck = why, strings.TrimRight(b.String(), "\n"), true
}

// mayHaveMade reports whether a request can have made the agent: one that was there before it was not made by it.
func (r *openRequest) mayHaveMade(i state.Intent, live platform.Remote) bool {
	if r.before != nil {
		return !r.before.shows(live.UID)
	}
	return live.CreatedAt.IsZero() || !live.CreatedAt.Before(i.At.Add(-clockSkew))
}

// suspectAgents are the new agents that may be what a create made although they do not hold what was sent: a platform
// that shortens or lower-cases names must not get a second agent. An agent that shares nothing with what was sent,
// that was made long after it, or whose name another agent of the manifests explains is none.
func (e *Engine) suspectAgents(l *listing, i state.Intent, c plan.Candidate, free []platform.Remote,
	explained map[string]bool) []string {
	r := e.openRequestOf(i)
	var uids []string
	for _, live := range free {
		name, _ := plan.Identity(l.schema, live.Content.Fields())
		late := r.before == nil && live.CreatedAt.After(i.At.Add(maxThrottled))
		switch {
		case live.Mark != "" || late || !r.mayHaveMade(i, live):
		case live.Content.IsZero(): // it cannot be read
			uids = append(uids, live.UID)
		case !explained[name] && plan.Shares(l.schema, c.Fields, live.Content):
			uids = append(uids, live.UID)
		}
	}
	return uids
}

// knownIdentities are those that a live agent may have without being a mystery: of the agents that are looked for, and
// of those that the manifests want.
func (e *Engine) knownIdentities(id agent.AppID, l *listing, candidates []plan.Candidate) map[string]bool {
	names := map[string]bool{}
	for _, c := range candidates {
		if name, known := plan.Identity(l.schema, c.Fields); known {
			names[name] = true
		}
	}
	for a := range e.want {
		if a.ID() != id {
			continue
		}
		if want, err := e.wantedFields(a); err == nil {
			if name, known := plan.Identity(l.schema, want); known {
				names[name] = true
			}
		}
	}
	return names
}

// intendedFields returns what a create was to make. Its intent holds hashes of secrets; those in the agent's identity
// get their values back, where the manifests have them still.
func (e *Engine) intendedFields(i state.Intent) (agent.Fields, error) {
	fields, err := i.Fields.Fields()
	if err != nil {
		return nil, err
	}
	if fields == nil {
		fields = agent.Fields{}
	}
	want, _ := e.wantedFields(e.addressOf(i)) // a secret without a value is like none that was sent
	for _, f := range e.apps[i.Address.ID()].Schema.Fields {
		sealed, _ := fields[f.Name].(secret.Sealed) // what is no secret has no hash, and equals none
		text, _ := want[f.Name].(secret.Text)
		if f.Identity &&
			e.sealer.Seal("/"+agent.EscapePointer(f.Name), text).Value == sealed.Value {
			fields[f.Name] = text
		}
	}
	return fields, nil
}

// nextListing says how long to wait before the next lists, which may tell more: until the grace period of all creates
// is over, and of updates that nothing but time can decide; then longer and longer. more is false where no other list
// will tell more.
func (e *Engine) nextListing(n int) (wait time.Duration, more bool) {
	over := true
	for _, i := range e.fleet.Open() {
		r, bound := e.openRequestOf(i), maxListings
		if i.Action != actionCreate && (!r.answered && !r.unproven || e.unlisted[i.Address.ID()] != nil) {
			bound = maxListingsForWrites
		}
		if r.stuck || n >= bound || !e.mayTellMore(i) {
			continue
		}
		more = true
		onlyTime := i.Action == actionCreate || errors.Is(r.why, errMayRepeat)
		if left := e.graceOf(r) - time.Since(r.since); onlyTime && left > 0 {
			over, wait = false, max(wait, left)
		}
	}
	if over {
		wait = time.Second << min(n, 4)
	}
	return wait, more
}

// maxListings bounds how often an apply waits for other lists in a row, for creates and for the other writes.
const (
	maxListings          = 8
	maxListingsForWrites = 3
)

// mayTellMore reports whether another list of the app may tell more of an intent than the last one: not of one that
// cannot be reached, or that refuses to be listed.
func (e *Engine) mayTellMore(i state.Intent) bool {
	id := i.Address.ID()
	if _, reachable := e.apps[id]; !reachable {
		return false
	}
	if err := e.unlisted[id]; err != nil {
		return platform.ClassOf(err) != platform.Refused
	}
	if i.Action == actionCreate {
		return true
	}
	// Of a delete that was answered, and of an update that a list does not show, later lists tell more. Of any other
	// write, the last list told all that a list tells.
	r, l := e.openRequestOf(i), e.lists[id]
	return (r.answered || r.unproven) && l != nil && l.asked.Sub(r.since) < e.graceOf(r)
}
