package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/state"
)

// The four writes: each is one procedure, and the order of its steps is what the guarantee rests on.

// The actions of an intent.
const (
	actionCreate = "create"
	actionUpdate = "update"
	actionDelete = "delete"
)

// change carries out one change and enters its result.
func (r *appRun) change(ctx context.Context, ch plan.Change, t *tally) {
	if why := r.stopped(ctx); why != nil {
		t.enter(r, notStarted(ch, why))
		return
	}
	if ch.Action == plan.Kept || ch.Action == plan.Move || ch.Blocked != "" {
		t.enter(r, withoutRequest(ch))
		return
	}
	if ch.OtherAPI && !r.lists[r.id].has(ch.UID) {
		// Another version of the API made the agent. What this one does not show is not written to: it might answer
		// that there is no such agent, and the next run would make a second one.
		ch.Blocked = plan.BlockedByAPI
		t.enter(r, withoutRequest(ch))
		return
	}
	if _, waits := r.waiting[ch.Address]; waits {
		t.enter(r, unknownResult(ch, errors.New("an earlier run sent a request for it whose outcome is still unknown")))
		return
	}
	if ch.Unlisted && (ch.Action == plan.Create || ch.Action == plan.Adopt) {
		res, gone := r.ask(ctx, ch)
		if !gone {
			t.enter(r, res)
			return
		}
	} else if ch.Vanished && ch.Action != plan.Delete {
		// The platform said itself that there is no such agent: its uid goes before another takes its place.
		if err := r.commit(state.Result{Kind: state.Removed, Address: ch.Address, UID: r.recordedUID(ch.Address)}); err != nil {
			t.enter(r, failed(ch, err))
			return
		}
	}
	t.enter(r, r.carryOutOne(ctx, ch))
}

func (r *appRun) carryOutOne(ctx context.Context, ch plan.Change) Result {
	switch ch.Action {
	case plan.Create:
		return r.create(ctx, ch)
	case plan.Adopt:
		return r.adopt(ctx, ch)
	case plan.Update:
		return r.update(ctx, ch)
	case plan.Replace:
		return r.replace(ctx, ch)
	case plan.Delete:
		return r.delete(ctx, ch)
	default:
		return failed(ch, fmt.Errorf("apply does not know the action %q", ch.Action))
	}
}

// create makes a new agent.
func (r *appRun) create(ctx context.Context, ch plan.Change) Result {
	// Nothing is made before a whole list was seen: what that shows is not made a second time.
	if err := r.mayCreate(); err != nil {
		res := failed(ch, fmt.Errorf("nothing is created before the app was listed: %w", err))
		res.Hint = r.listHint(err)
		return res
	}
	wanted := r.wants(ch.Address)
	send, err := r.createBody(&ch, wanted)
	if err != nil {
		return failed(ch, err)
	}
	intent := state.Intent{Address: ch.Address, Action: actionCreate, Fields: ch.Wanted}
	if ch.Action == plan.Replace {
		intent.UID = ch.UID // the agent that goes once the new one is there
	}
	// The intent is on disk before the first byte leaves, one POST leaves, and an answer that cannot be its
	// own counts as none.
	var made platform.Remote
	id, err := r.send(ctx, ch, intent, func(ctx context.Context) (err error) {
		made, err = r.app.Client.Create(ctx, send)
		return r.checkMade(made, err)
	})
	switch {
	case isUnknown(err):
		return unknownResult(ch, err)
	case err != nil:
		return failed(ch, err)
	}
	made.Mark = wanted.Mark // also where the answer leaves it out
	res := r.record(ch, id, made)
	if res.Status != StatusDone || ch.Action != plan.Replace {
		return res
	}
	// Only now that the uid of the new agent is on disk does the old one go.
	return r.deleteObsolete(ctx, ch)
}

// createBody returns what a create sends: what is wanted, secrets filled in, with the mark. It makes sure that the
// change has its document, which is sent as it is where nothing has to be put in.
func (r *appRun) createBody(ch *plan.Change, wanted *agent.Desired) (agent.Content, error) {
	if ch.Wanted != nil && wanted.Mark == "" { // it holds no secret
		return agent.ContentOfDoc(ch.Wanted), nil
	}
	want, err := r.wanted(ch.Address)
	if err == nil {
		err = r.encode(ch)
	}
	return agent.ContentOf(platform.AddMark(r.app.Schema, want, wanted.Mark)), err
}

// checkMade doubts the answer to a create that cannot be its own: one without a uid, or with a uid that an
// address has already.
func (r *appRun) checkMade(made platform.Remote, err error) error {
	if err != nil {
		return err
	}
	if made.UID == "" {
		return errors.New("the answer names no uid")
	}
	if owner, taken := r.fleet.Owner(r.id, made.UID); taken {
		return fmt.Errorf("the answer names agent %s, which is %s", made.UID, owner)
	}
	return nil
}

// record stores the record of a new agent. Whatever is wrong with the rest of an answer, its uid is stored: it
// is the only handle. Of a replace the old uid becomes obsolete in the same line.
func (r *appRun) record(ch plan.Change, intent uint64, made platform.Remote) Result {
	want := r.wants(ch.Address)
	rec, problem := r.newRecord(ch, made)
	entry := state.Result{Kind: state.Recorded, Intent: intent, Address: ch.Address, Record: rec}
	err := r.commit(entry)
	if err != nil && !errors.Is(err, errLedger) {
		problem = err
		entry.Record = agent.Record{UID: made.UID, Applied: rec.Applied, Protect: want.Protect, Mark: rec.Mark}
		err = r.commit(entry)
	}
	if err != nil && !errors.Is(err, errLedger) {
		entry.Record.Applied = nil
		err = r.commit(entry)
	}
	res := done(ch, made.UID)
	if err != nil {
		res.Status, res.Err = StatusUnknown, err
	} else if problem != nil {
		res.Warning = fmt.Sprintf("what the platform answered could not be kept: %v", problem)
	}
	return res
}

// newRecord is the record of an agent whose every wanted field was sent. The error says what of it could not
// be kept; the record holds the uid all the same.
func (r *appRun) newRecord(ch plan.Change, live platform.Remote) (agent.Record, error) {
	want := r.wants(ch.Address)
	rec := agent.Record{UID: live.UID, Protect: want.Protect, Mark: live.Mark}
	if err := r.encode(&ch); err != nil {
		return rec, err
	}
	rec.Applied = ch.Wanted
	observed, err := plan.ObservedDoc(live.Content, secretsOf(ch.Wanted, want), r.sealer())
	if err == nil {
		rec.Observed, err = observed, live.Unreadable
	}
	return rec, err
}

// encode makes sure that the change has the document of what is wanted, secrets sealed.
func (r *appRun) encode(ch *plan.Change) (err error) {
	if ch.Wanted == nil {
		ch.Wanted, err = plan.AppliedDoc(*r.wants(ch.Address), agent.Record{}, r.sealer())
	}
	return err
}

// secretsOf returns what tells where the secrets of doc stand; nil where it holds none.
func secretsOf(doc agent.Doc, want *agent.Desired) agent.Fields {
	if !doc.HasSecrets() {
		return nil
	}
	return want.Fields
}

// replace makes the new agent before the old one goes. A replace without fields finishes an earlier one: only
// its deletes are left.
func (r *appRun) replace(ctx context.Context, ch plan.Change) Result {
	if len(ch.Fields) == 0 && len(ch.Obsolete) > 0 {
		return r.deleteObsolete(ctx, ch)
	}
	if ch.Adopts == "" {
		return r.create(ctx, ch)
	}
	live, listed := r.lists[r.id].byUID[ch.Adopts]
	if !listed {
		return failed(ch, fmt.Errorf("agent %s, which is to take its place, is not listed any more", ch.Adopts))
	}
	if res := r.record(ch, 0, live); res.Status != StatusDone {
		return res
	}
	return r.deleteObsolete(ctx, ch)
}

// adopt records an agent that is there already, and sends what it may not hold yet: what differs of one that was
// found by its mark, and every field with a secret, since platforms mask those.
func (r *appRun) adopt(ctx context.Context, ch plan.Change) Result {
	live, listed := r.lists[r.id].byUID[ch.Adopts]
	if !listed {
		return failed(ch, fmt.Errorf("agent %s, which is to be taken over, is not listed any more", ch.Adopts))
	}
	want := r.wants(ch.Address)
	rec, err := r.newRecord(ch, live)
	if err != nil {
		return failed(ch, err)
	}
	send := slices.Clone(ch.Send)
	for name, v := range want.Fields {
		if (agent.Fields{name: v}).HasSecrets() {
			send = append(send, name)
		}
	}
	f, canMark := r.app.Schema.Marker()
	if canMark && live.Mark != want.Mark && !slices.Contains(want.IgnoreChanges, f.Name) {
		send = append(send, f.Name)
	}
	slices.Sort(send)
	send = slices.Compact(send)
	// What is still to be sent is not recorded as applied: if this process ends now, the next plan sends it.
	applied, err := rec.Applied.Fields()
	if err != nil {
		return failed(ch, err)
	}
	for _, name := range send {
		delete(applied, name)
	}
	if rec.Applied, err = agent.Encode(applied); err != nil {
		return failed(ch, err)
	}
	if err := r.commit(state.Result{Kind: state.Recorded, Address: ch.Address, Record: rec}); err != nil {
		return failed(ch, err)
	}
	if len(send) == 0 {
		return done(ch, live.UID)
	}
	ch.Send, ch.UID = send, live.UID
	return r.update(ctx, ch)
}

// update sends the changed top-level fields, each whole.
func (r *appRun) update(ctx context.Context, ch plan.Change) Result {
	want := r.wants(ch.Address)
	resolved, err := r.wanted(ch.Address)
	if err != nil {
		return failed(ch, err)
	}
	before, _ := r.fleet.Record(ch.Address)
	payload, err := r.keepUnnamed(ch, before, plan.Payload(r.app.Schema, resolved, ch.Send, want.IgnoreChanges...))
	if err != nil {
		return failed(ch, err)
	}
	before = r.comparable(r.id, before)
	values := payload.Seal(r.sealer())
	doc, err := agent.Encode(values)
	if err != nil {
		return failed(ch, err)
	}
	if f, ok := r.app.Schema.Marker(); ok && slices.Contains(ch.Send, f.Name) {
		payload = platform.AddMark(r.app.Schema, payload, want.Mark)
	}
	earlier := r.openWrites(ch.UID, actionUpdate)
	var answer platform.Remote
	id, err := r.send(ctx, ch, state.Intent{Address: ch.Address, Action: actionUpdate, UID: ch.UID, Fields: doc},
		func(ctx context.Context) (err error) {
			answer, err = r.app.Client.Update(ctx, ch.UID, payload)
			return err
		})
	switch {
	case isUnknown(err):
		return unknownResult(ch, err)
	case err != nil:
		res := failed(ch, err)
		if errors.Is(err, platform.ErrNotFound) {
			res.Hint = r.notFoundHint() + "if that is right, someone else deleted the agent, and the next apply makes it again:\n  agentsync apply"
		}
		return res
	}
	// Of the fields that were sent, what the platform made of them is recorded; any other field may have been
	// changed by somebody, and that must stay to be seen.
	rec := before
	rec.UID, rec.Protect, rec.Mark = ch.UID, want.Protect, plan.MarkOf(r.app.Schema, *want, before, ch.Send)
	if rec.Applied, err = plan.AppliedDoc(*want, before, r.sealer()); err != nil {
		return failed(ch, err)
	}
	if rec.Observed, err = r.observedAfter(before, answer, want.Fields, values); err != nil {
		return failed(ch, err)
	}
	results := append(earlier, state.Result{Kind: state.Recorded, Intent: id, Address: ch.Address, Record: rec})
	res := done(ch, ch.UID)
	if err := r.commit(results...); err != nil {
		res.Status, res.Err = StatusUnknown, err
		return res
	}
	shown := r.shownBefore(ch.UID, before, want.Fields)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.updates[ch.Address] = update{sent: ch.Send, before: before, shown: shown, values: values}
	return res
}

// update is an update that was answered: which fields it sent, the record from before, and what the platform showed
// before, nil where that is not known.
type update struct {
	sent   []string
	before agent.Record
	shown  agent.Fields
	values agent.Fields // what was sent, secrets sealed, without a mark
}

// observedAfter returns what to record as observed until a list has shown what the platform made of the values that were
// sent: what the answer shows of them, where it holds them, else the values. What was observed before an update must
// not stay: where no list comes after it, nobody could see that the update was not carried out.
func (r *appRun) observedAfter(before agent.Record, answer platform.Remote, like, values agent.Fields) (agent.Doc, error) {
	observed, answered := before.Observed, !answer.Content.IsZero()
	var err error
	if answered {
		names := slices.Collect(maps.Keys(values))
		if observed, err = plan.ObservedAfter(observed, answer.Content, like, names, r.sealer()); err != nil {
			return nil, err
		}
	}
	fields, err := observed.Fields()
	if fields == nil && err == nil {
		// No answer and no list could be read yet. Were nothing recorded now, members that this update takes out, and
		// that stay, would pass for the platform's own.
		if fields = maps.Clone(r.shownBefore(before.UID, before, like)); fields == nil {
			fields, err = before.Applied.Fields()
		}
	}
	if err != nil || fields == nil {
		return observed, err // nothing is known of it
	}
	for name, v := range values {
		if f, _ := r.app.Schema.Field(name); !answered || !plan.Holds(f, v, fields[name]) {
			fields[name] = v
		}
	}
	return agent.Encode(fields)
}

// shownBefore returns what the agent showed before an update: by the last list or, where there was none, by the record.
func (r *appRun) shownBefore(uid string, before agent.Record, like agent.Fields) agent.Fields {
	if l := r.lists[r.id]; l.has(uid) && !l.byUID[uid].Content.IsZero() {
		return plan.SealAnswer(l.byUID[uid].Content.Fields(), like, r.sealer())
	}
	observed, _ := before.Observed.Fields() // what cannot be read is not known
	return observed
}

// keepUnnamed puts what the platform holds into a field that is sent for the mark alone and that the manifest
// does not name: it is sent whole, and would undo what somebody else put there.
func (r *appRun) keepUnnamed(ch plan.Change, before agent.Record, payload agent.Fields) (agent.Fields, error) {
	f, ok := r.app.Schema.Marker()
	if !ok || !slices.Contains(ch.Send, f.Name) || r.wants(ch.Address).Fields[f.Name] != nil || ch.Touches(f.Name) {
		return payload, nil
	}
	applied, err := before.Applied.Fields()
	if err != nil || applied[f.Name] != nil {
		return payload, err // it left the manifest, and so it leaves the platform
	}
	observed, err := before.Observed.Fields()
	if v, there := observed[f.Name]; there {
		payload[f.Name] = v
	}
	return payload, err
}

// ask finds out whether an agent is there that the list does not show, at a platform that has no read of one
// agent: by an update that sends what is wanted anyway. It returns true where the agent is gone, and is then out
// of the state.
func (r *appRun) ask(ctx context.Context, ch plan.Change) (res Result, gone bool) {
	rec, _ := r.fleet.Record(ch.Address)
	res = done(ch, rec.UID)
	res.Warning = "the platform's list does not show the agent, though it is there"
	ch.UID, ch.Action = rec.UID, plan.Update
	res.Action = ch.Action
	if err := r.cutShort(); err != nil {
		// One that the list does not show either has answered: the list is a cut one, and says nothing of this.
		wanted, err := plan.AppliedDoc(*r.wants(ch.Address), rec, r.sealer())
		if err == nil && slices.Equal(wanted, rec.Applied) {
			res.Warning = "the platform's list is cut short and does not show the agent; it was not looked at"
			return res, false
		}
	}
	applied, err := rec.Applied.Fields()
	if err != nil {
		return failed(ch, err), false
	}
	want := r.wants(ch.Address)
	for _, f := range r.app.Schema.Fields {
		// What left the manifest is sent as well: the record says after this update that all is as it is wanted.
		named := want.Fields[f.Name] != nil || applied[f.Name] != nil
		if named && !f.Immutable && !slices.Contains(want.IgnoreChanges, f.Name) {
			ch.Send = append(ch.Send, f.Name)
		}
	}
	asked := r.update(ctx, ch)
	switch {
	case asked.Status == StatusDone:
		r.foundUnlisted(rec.UID)
		return res, false
	case !errors.Is(asked.Err, platform.ErrNoSuchAgent):
		if asked.Status == StatusFailed {
			asked.Err = fmt.Errorf("the list does not show the agent, and an update that asked for it was refused: %w", asked.Err)
			asked.Hint = r.notFoundHint() + "if the agent is really gone:\n  agentsync state rm " + ch.Address.String()
		}
		return asked, false
	}
	// The platform itself says so, beside a list that shows others that are known: only so is it gone.
	if err := r.commit(state.Result{Kind: state.Removed, Address: ch.Address, UID: rec.UID}); err != nil {
		return failed(ch, err), false
	}
	r.foundGone(rec.UID)
	return Result{}, true
}

// delete removes the agent, and whatever earlier replaces of it left over.
func (r *appRun) delete(ctx context.Context, ch plan.Change) Result {
	rec, _ := r.fleet.Record(ch.Address)
	if len(rec.Obsolete) > 0 {
		if res := r.deleteObsolete(ctx, ch); res.Status != StatusDone {
			return res
		}
	}
	return r.deleteOne(ctx, ch, ch.UID)
}

// deleteObsolete deletes what replaces of the agent left over. The record names these uids until they are gone.
func (r *appRun) deleteObsolete(ctx context.Context, ch plan.Change) Result {
	rec, _ := r.fleet.Record(ch.Address)
	for _, uid := range rec.Obsolete {
		if res := r.deleteOne(ctx, ch, uid); res.Status != StatusDone {
			res.UID = rec.UID
			res.Err = fmt.Errorf("the old agent %s is not deleted yet: %w", uid, res.Err)
			if res.Status == StatusFailed && res.Hint == "" {
				res.Hint = "the next apply deletes it:\n  agentsync apply --prune"
			}
			return res
		}
	}
	return done(ch, rec.UID)
}

// deleteOne deletes one agent of the change's address, and takes its uid out of the record.
func (r *appRun) deleteOne(ctx context.Context, ch plan.Change, uid string) Result {
	// Without a list nothing is known of the app, not even that it is the right one.
	if err := r.mayDelete(); err != nil {
		res := failed(ch, fmt.Errorf("nothing is deleted before the app was listed: %w", err))
		res.Hint = r.listHint(err)
		return res
	}
	earlier := r.openWrites(uid, actionDelete)
	id, err := r.send(ctx, ch, state.Intent{Address: ch.Address, Action: actionDelete, UID: uid},
		func(ctx context.Context) error { return r.app.Client.Delete(ctx, uid) })
	switch {
	case isUnknown(err):
		return unknownResult(ch, err)
	case errors.Is(err, platform.ErrNotFound) && r.isGone(ctx, uid, err):
		// Every mistyped endpoint answers 404 as well: it counts beside the list alone.
	case err != nil:
		res := failed(ch, err)
		if errors.Is(err, platform.ErrNotFound) {
			res.Hint = r.notFoundHint() + "if the agent is really gone:\n  agentsync state rm " + ch.Address.String()
		}
		return res
	}
	res := done(ch, uid)
	if err := r.commit(append(earlier, state.Result{Kind: state.Removed, Intent: id, Address: ch.Address, UID: uid})...); err != nil {
		res.Status, res.Err = StatusUnknown, err
		return res
	}
	r.foundGone(uid)
	return res
}

// isGone reports whether a 404 that a delete was answered means that the agent is gone: where the platform says so itself,
// to the delete or when it is asked for the agent, beside a list that can be trusted. A list that misses the agent proves
// nothing: it may lag, and the 404 be a proxy's.
func (r *appRun) isGone(ctx context.Context, uid string, err error) bool {
	if errors.Is(err, platform.ErrNoSuchAgent) || r.lists[r.id].gone[uid] {
		return true
	}
	if !r.app.Client.Properties().ReadsOne {
		return false
	}
	l, err := r.Engine.list(ctx, r.id)
	if err != nil || l.doubt != nil || l.has(uid) {
		return false
	}
	if l.gone[uid] {
		return true
	}
	_, err = r.app.Client.Read(ctx, uid) // an old agent of a replace is not asked for with the list
	return errors.Is(err, platform.ErrNoSuchAgent)
}

// openWrites returns the results that close earlier requests about the agent: one that was answered settles
// what those before it did, since each sends all that is wanted.
func (r *appRun) openWrites(uid, action string) []state.Result {
	if !r.fleet.Claimed(r.id, uid) {
		return nil
	}
	var closed []state.Result
	for _, i := range r.fleet.Open() {
		if i.UID == uid && i.Action == action && i.Address.ID() == r.id {
			closed = append(closed, state.Result{Kind: state.Voided, Intent: i.ID, Address: i.Address})
		}
	}
	return closed
}

func (r *appRun) recordedUID(a agent.Address) string {
	rec, _ := r.fleet.Record(a)
	return rec.UID
}

// resultOf is what all results of a change have in common.
func resultOf(ch plan.Change, s Status) Result {
	return Result{Address: ch.Address, Action: ch.Action, Status: s, UID: ch.UID, Name: ch.Name, Source: ch.Source}
}

func done(ch plan.Change, uid string) Result {
	res := resultOf(ch, StatusDone)
	res.UID = uid
	return res
}

func failed(ch plan.Change, err error) Result {
	if kept, ok := errors.AsType[*notSentError](err); ok {
		return notStarted(ch, kept.why)
	}
	res := resultOf(ch, StatusFailed)
	res.Err = err
	return res
}

func unknownResult(ch plan.Change, err error) Result {
	res := resultOf(ch, StatusUnknown)
	res.Err, res.Hint = err, "the next apply finds out what became of it; nothing is created twice"
	return res
}

func notStarted(ch plan.Change, err error) Result {
	if ch.Action == plan.Kept {
		return done(ch, ch.UID)
	}
	res := resultOf(ch, StatusNotStarted)
	res.Err = err
	return res
}

// withoutRequest is the result of a change for which nothing is sent: kept, moved in the ledger, or refused.
func withoutRequest(ch plan.Change) Result {
	if ch.Blocked == "" {
		return done(ch, ch.UID)
	}
	res := resultOf(ch, StatusNotStarted)
	switch ch.Blocked {
	case plan.BlockedByProtect:
		res.Err = fmt.Errorf("%w: lifecycle.protect forbids to %s it", ErrBlocked, ch.Action)
		res.Hint = "take lifecycle.protect out of its manifest and apply that first"
		if ch.Action == plan.Delete {
			res.Hint = "put it back into the manifests without lifecycle.protect, apply that, then take it out"
		}
	case plan.BlockedByPrune:
		res.Err = fmt.Errorf("%w: replacing it deletes the old agent, and deletes were not asked for", ErrBlocked)
		res.Hint = "allow deletes:\n  agentsync apply --prune"
	case plan.BlockedByApp:
		res.Err = fmt.Errorf("%w: no manifest has a section for %s any more, so nothing says how to reach it", ErrBlocked, ch.Address.ID())
		res.Hint = "put the section back without the agent; or, to leave the agent at the platform:\n  agentsync state rm " + ch.Address.String()
	case plan.BlockedByAPI:
		res.Err = fmt.Errorf("%w: the version of the API that the section asks for does not show the agent, which another version made", ErrBlocked)
		res.Hint = "go back to the other version of the API; if the agent is really gone:\n  agentsync state rm " + ch.Address.String()
	case plan.BlockedByRename:
		res.Err = fmt.Errorf("%w: %s may be %s under another key, whose uid would be lost: %s", ErrBlocked, ch.Likely.To, ch.Likely.From, ch.Likely.Why())
		res.Hint = ch.Likely.Ways()
	case plan.BlockedByNamesake:
		res.Err = fmt.Errorf("%w: an agent of the same name that agentsync does not manage is in the way", ErrBlocked)
		res.Hint = importHint(ch)
	default:
		res.Err = fmt.Errorf("%w: %s", ErrBlocked, ch.Blocked)
	}
	return res
}

// importHint is what to do about agents that are in the way of a create.
func importHint(ch plan.Change) string {
	var b strings.Builder
	b.WriteString("take the existing agent over, which updates it to the manifest at the next apply:\n")
	for _, uid := range ch.InTheWay {
		fmt.Fprintf(&b, "  agentsync import %s %s\n", ch.Address, uid)
	}
	b.WriteString("or create another one of the same name with --allow-duplicate-names")
	return b.String()
}
