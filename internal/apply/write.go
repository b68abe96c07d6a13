package apply

import (
	"cmp"
	"context"
	"errors"
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

// The writes. Each is one procedure, and the guarantee rests on the order of its steps: may it be done at all? what is
// sent? the intent, the request, the class of its answer, the record. request.go holds the three in the middle.

// The actions of an intent.
const (
	actionCreate = "create"
	actionUpdate = "update"
	actionDelete = "delete"
)

// applyChange carries out one change and says what became of it.
func (r *appRun) applyChange(ctx context.Context, ch plan.Change) Result {
	switch {
	case ch.Action == plan.Kept, ch.Action == plan.Move, ch.Blocked != "":
		return unsentResult(ch)
	case ch.OtherAPI && !r.lists[r.id].shows(ch.UID):
		// Another version of the API made the agent. What this one does not show is not written to: it might answer
		// that there is no such agent, and the next run would make a second one.
		ch.Blocked = plan.BlockedByAPI
		return unsentResult(ch)
	}
	if _, waits := r.undecided[ch.Address]; waits {
		// The open request may have made the agent, or may still change it: what is sent now would be a second one.
		return unknownResult(ch, errEarlierRun)
	}
	if ch.Unlisted && (ch.Action == plan.Create || ch.Action == plan.Adopt) {
		if res, gone := r.askByUpdate(ctx, ch); !gone {
			return res
		}
	} else if ch.Vanished && ch.Action != plan.Delete {
		// The platform said itself that there is no such agent: its uid goes before another takes its place.
		rec, _ := r.fleet.Record(ch.Address)
		if err := r.commitResults(state.Result{Kind: state.Removed, Address: ch.Address, UID: rec.UID}); err != nil {
			return failedResult(ch, err)
		}
	}
	switch ch.Action {
	case plan.Create:
		return r.createAgent(ctx, ch)
	case plan.Adopt:
		return r.adoptAgent(ctx, ch)
	case plan.Update:
		return r.updateAgent(ctx, ch)
	case plan.Replace:
		return r.replaceAgent(ctx, ch)
	case plan.Delete:
		return r.deleteAgent(ctx, ch)
	default:
		return failedResult(ch, fmt.Errorf("apply does not know the action %q", ch.Action))
	}
}

// createAgent makes a new agent.
func (r *appRun) createAgent(ctx context.Context, ch plan.Change) Result {
	// Nothing is made before a whole list was seen: an agent that it shows would be made a second time.
	if err := r.mayCreate(); err != nil {
		why := fmt.Errorf("nothing is created before the app was listed: %w", err)
		return failedResult(ch, why).withHint(r.listHint(r.id, err))
	}
	wanted := r.wantedAgent(ch.Address)
	body, err := r.createBody(&ch, wanted)
	if err != nil {
		return failedResult(ch, err)
	}
	// The intent holds all that is sent, so that recovery knows the agent by its content when the answer is lost.
	intent := state.Intent{Address: ch.Address, Action: actionCreate, Fields: ch.Wanted}
	if ch.Action == plan.Replace {
		intent.UID = ch.UID // the agent that goes once the new one is there: nobody else may adopt it meanwhile
	}
	var made platform.Remote
	id, err := r.sendRequest(ctx, ch, intent, func(ctx context.Context) (err error) {
		made, err = r.app.Client.Create(ctx, body)
		return r.checkMade(made, err) // before the intent is closed: an answer that is not its own decides nothing
	})
	if err != nil {
		return r.requestResult(ch, err, "")
	}
	made.Mark = wanted.Mark // also where the answer leaves it out
	res := r.recordAgent(ch, wanted, id, made)
	if res.Status != StatusDone || ch.Action != plan.Replace {
		return res
	}
	// The old agent goes only now that the uid of the new one is on disk: a crash in between leaves one too many, which
	// the record names, and never none.
	return r.deleteObsolete(ctx, ch)
}

// createBody returns what a create sends: what is wanted, secrets filled in, with the mark. It gives the change its
// document, which is sent as it is where nothing has to be put in.
func (r *appRun) createBody(ch *plan.Change, wanted *agent.Desired) (agent.Content, error) {
	if ch.Wanted != nil && wanted.Mark == "" { // it holds no secret
		return agent.ContentOfDoc(ch.Wanted), nil
	}
	want, err := r.wantedFields(ch.Address)
	if err == nil {
		err = r.encodeWanted(ch, wanted)
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

// recordAgent stores the record of a new agent. Of a replace the old uid becomes obsolete in the same line.
func (r *appRun) recordAgent(ch plan.Change, want *agent.Desired, intent uint64, made platform.Remote) Result {
	rec, problem := r.newRecord(ch, want, made)
	refused, err := r.commitUID(state.Result{Kind: state.Recorded, Intent: intent, Address: ch.Address, Record: rec})
	res := doneResult(ch, made.UID)
	if err != nil {
		res.Status, res.Err = StatusUnknown, err
	} else if problem = cmp.Or(refused, problem); problem != nil {
		res.Warning = fmt.Sprintf("what the platform answered could not be kept: %v", problem)
	}
	return res
}

// newRecord is the record of an agent whose every wanted field was sent. The error says what of it could not
// be kept; the record holds the uid all the same.
func (r *appRun) newRecord(ch plan.Change, want *agent.Desired, live platform.Remote) (agent.Record, error) {
	rec := agent.Record{UID: live.UID, Protect: want.Protect, Mark: live.Mark}
	if err := r.encodeWanted(&ch, want); err != nil {
		return rec, err
	}
	rec.Applied = ch.Wanted
	observed, err := plan.ObservedDoc(live.Content, secretsOf(ch.Wanted, want), r.sealer)
	if err == nil {
		rec.Observed, err = observed, live.Unreadable
	}
	return rec, err
}

// encodeWanted gives the change the document of what is wanted, secrets sealed, where it has none yet.
func (r *appRun) encodeWanted(ch *plan.Change, want *agent.Desired) (err error) {
	if ch.Wanted == nil {
		ch.Wanted, err = plan.AppliedDoc(*want, agent.Record{}, r.sealer)
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

// replaceAgent makes the new agent before the old one goes. A replace without fields finishes an earlier one: only
// its deletes are left.
func (r *appRun) replaceAgent(ctx context.Context, ch plan.Change) Result {
	if len(ch.Fields) == 0 {
		return r.deleteObsolete(ctx, ch)
	}
	if ch.Adopts == "" {
		return r.createAgent(ctx, ch)
	}
	live, listed := r.lists[r.id].byUID[ch.Adopts]
	if !listed {
		return failedResult(ch, fmt.Errorf("agent %s, which is to take its place, is not listed any more", ch.Adopts))
	}
	// As with a new agent: the record names both before the old one goes.
	if res := r.recordAgent(ch, r.wantedAgent(ch.Address), 0, live); res.Status != StatusDone {
		return res
	}
	return r.deleteObsolete(ctx, ch)
}

// adoptAgent records an agent that is there already, and sends what it may not hold yet: what differs of one that was
// found by its mark, and every field with a secret, since platforms mask those.
func (r *appRun) adoptAgent(ctx context.Context, ch plan.Change) Result {
	live, listed := r.lists[r.id].byUID[ch.Adopts]
	if !listed {
		return failedResult(ch, fmt.Errorf("agent %s, which is to be taken over, is not listed any more", ch.Adopts))
	}
	want := r.wantedAgent(ch.Address)
	rec, err := r.newRecord(ch, want, live)
	if err != nil {
		return failedResult(ch, err)
	}
	send := slices.Clone(ch.Send)
	for name, v := range want.Fields {
		if (agent.Fields{name: v}).HasSecrets() {
			send = append(send, name)
		}
	}
	f, _ := r.app.Schema.Marker()
	if live.Mark != want.Mark && !slices.Contains(want.IgnoreChanges, f.Name) {
		send = append(send, f.Name)
	}
	slices.Sort(send)
	send = slices.Compact(send)
	// What is still to be sent is not recorded as applied: if this process ends now, the next plan sends it.
	applied, err := rec.Applied.Fields()
	if err != nil {
		return failedResult(ch, err)
	}
	for _, name := range send {
		delete(applied, name)
	}
	if rec.Applied, err = agent.Encode(applied); err != nil {
		return failedResult(ch, err)
	}
	if err := r.commitResults(state.Result{Kind: state.Recorded, Address: ch.Address, Record: rec}); err != nil {
		return failedResult(ch, err)
	}
	if len(send) == 0 {
		return doneResult(ch, live.UID)
	}
	ch.Send, ch.UID = send, live.UID
	return r.updateAgent(ctx, ch)
}

// updateAgent sends the changed top-level fields, each whole.
func (r *appRun) updateAgent(ctx context.Context, ch plan.Change) Result {
	want := r.wantedAgent(ch.Address)
	// Taken before the request, whose own intent would be among them afterwards. What they sent goes with this one, so
	// that its answer decides all that they did.
	earlier := r.openRequests(ch.UID, actionUpdate)
	ch.Send = r.withSentBefore(ch.Send, earlier, want)
	resolved, err := r.wantedFields(ch.Address)
	if err != nil {
		return failedResult(ch, err)
	}
	before, _ := r.fleet.Record(ch.Address)
	payload, err := r.keepUnnamed(ch, want, before, plan.Payload(r.app.Schema, resolved, ch.Send,
		want.IgnoreChanges...))
	if err != nil {
		return failedResult(ch, err)
	}
	before = r.comparableRecord(r.id, before)
	// The mark is added after the values were taken down: it has a place of its own in the record, and among the values
	// it would be a member that the manifest does not name, to be taken out by the next update.
	values := payload.Seal(r.sealer)
	doc, err := agent.Encode(values)
	if err != nil {
		return failedResult(ch, err)
	}
	if f, _ := r.app.Schema.Marker(); slices.Contains(ch.Send, f.Name) {
		payload = platform.AddMark(r.app.Schema, payload, want.Mark)
	}
	var answer platform.Remote
	id, err := r.sendRequest(ctx, ch, state.Intent{Address: ch.Address, Action: actionUpdate, UID: ch.UID, Fields: doc},
		func(ctx context.Context) (err error) {
			answer, err = r.app.Client.Update(ctx, ch.UID, payload)
			return err
		})
	if err != nil {
		return r.requestResult(ch, err,
			"if that is right, someone else deleted the agent, and the next apply makes it again:\n  agentsync apply")
	}
	// Of the fields that were sent, what the platform made of them is recorded; any other field may have been
	// changed by somebody, and that must stay to be seen.
	rec := before
	rec.UID, rec.Protect, rec.Mark = ch.UID, want.Protect, plan.MarkOf(r.app.Schema, *want, before, ch.Send)
	if rec.Applied, err = plan.AppliedDoc(*want, before, r.sealer); err != nil {
		return failedResult(ch, err)
	}
	if before.Observed, err = r.observedAsWanted(before.Observed, want, ch); err != nil {
		return failedResult(ch, err)
	}
	if rec.Observed, err = r.observedAfter(before, answer, want.Fields, values); err != nil {
		return failedResult(ch, err)
	}
	// One that may still take effect stays open: it would do no harm to this update, but to what the next apply sends.
	over := slices.DeleteFunc(earlier, func(i state.Intent) bool { return time.Until(r.graceEnd(i)) > 0 })
	recorded := state.Result{Kind: state.Recorded, Intent: id, Address: ch.Address, Record: rec}
	res := r.commitDone(ch, ch.UID, append(voidedResults(over), recorded))
	if res.Status != StatusDone {
		return res
	}
	// The list after the writes is held against this: a field that still shows what it showed was not changed.
	shown := r.shownBefore(ch.UID, before, want.Fields)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered[ch.Address] = answeredUpdate{sent: ch.Send, before: before, shown: shown, values: values}
	return res
}

// answeredUpdate is an update that was answered: which fields it sent, the record from before, and what the platform
// showed before, nil where that is not known.
type answeredUpdate struct {
	sent   []string
	before agent.Record
	shown  agent.Fields
	values agent.Fields // what was sent, secrets sealed, without a mark
}

// observedAsWanted returns what was observed, with the fields that are not sent because the last list shows them as
// they are wanted: the record says from now on that they were applied. What was observed of them before may be what an
// ignored update was to make of them, and must not stand beside that.
func (r *appRun) observedAsWanted(observed agent.Doc, want *agent.Desired, ch plan.Change) (agent.Doc, error) {
	l := r.lists[r.id]
	fields, err := observed.Fields()
	if fields == nil || err != nil || !l.shows(ch.UID) || l.byUID[ch.UID].Content.IsZero() {
		return observed, err
	}
	shown := plan.SealAnswer(l.byUID[ch.UID].Content.Fields(), want.Fields, r.sealer)
	sealed := want.Fields.Seal(r.sealer)
	changed := false
	for _, f := range r.app.Schema.Fields {
		if slices.Contains(ch.Send, f.Name) || slices.Contains(want.IgnoreChanges, f.Name) {
			continue
		}
		v, wanted := sealed[f.Name]
		if !wanted {
			v = f.Cleared()
		}
		if hasSecret(v) { // nothing shows whether it is as it is wanted
			continue
		}
		if plan.Equal(&f, v, shown[f.Name]) && !plan.Equal(&f, fields[f.Name], shown[f.Name]) {
			fields[f.Name], changed = shown[f.Name], true
		}
	}
	maps.DeleteFunc(fields, func(_ string, v any) bool { return v == nil })
	if !changed {
		return observed, nil
	}
	return agent.Encode(fields)
}

// observedAfter returns what to record as observed until a list has shown what the platform made of the values that
// were sent: what the answer shows of them, where it holds them, else the values. What was observed before an update
// must not stay: where no list comes after it, nobody could see that the update was not carried out.
func (r *appRun) observedAfter(
	before agent.Record, answer platform.Remote, like, values agent.Fields,
) (agent.Doc, error) {
	observed, answered := before.Observed, !answer.Content.IsZero()
	var err error
	if answered {
		names := slices.Collect(maps.Keys(values))
		if observed, err = plan.ObservedAfter(observed, answer.Content, like, names, r.sealer); err != nil {
			return nil, err
		}
	}
	fields, err := observed.Fields()
	if fields == nil {
		// No answer and no list could be read yet. Were nothing recorded now, members that this update takes out, and
		// that stay, would pass for the platform's own.
		fields = maps.Clone(r.shownBefore(before.UID, before, like))
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
// Of one that was not seen since it was written, that is most likely what was sent then.
func (r *appRun) shownBefore(uid string, before agent.Record, like agent.Fields) agent.Fields {
	if l := r.lists[r.id]; l.shows(uid) && !l.byUID[uid].Content.IsZero() {
		return plan.SealAnswer(l.byUID[uid].Content.Fields(), like, r.sealer)
	}
	shown, _ := before.Observed.Fields() // what cannot be read is not known
	if shown == nil {
		shown, _ = before.Applied.Fields()
	}
	return shown
}

// keepUnnamed puts what the platform holds into a field that is sent for the mark alone and that the manifest
// does not name: it is sent whole, and would undo what somebody else put there.
func (r *appRun) keepUnnamed(ch plan.Change, want *agent.Desired, before agent.Record,
	payload agent.Fields) (agent.Fields, error) {
	f, _ := r.app.Schema.Marker()
	if !slices.Contains(ch.Send, f.Name) || want.Fields[f.Name] != nil || ch.Differs(f.Name) {
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

// askByUpdate finds out whether an agent is there that the list does not show, at a platform that has no read of one
// agent: by an update that sends what is wanted anyway. It returns true where the agent is gone, and is then out
// of the state.
func (r *appRun) askByUpdate(ctx context.Context, ch plan.Change) (res Result, gone bool) {
	rec, _ := r.fleet.Record(ch.Address)
	res = doneResult(ch, rec.UID)
	res.Warning = "the platform's list does not show the agent, though it is there"
	ch.UID, ch.Action = rec.UID, plan.Update
	res.Action = ch.Action // no agent was made
	want := r.wantedAgent(ch.Address)
	if err := r.cutShort(); err != nil {
		// One that the list does not show either has answered: the list is a cut one, and says nothing of this.
		wanted, err := plan.AppliedDoc(*want, rec, r.sealer)
		if err == nil && slices.Equal(wanted, rec.Applied) {
			res.Warning = "the platform's list is cut short and does not show the agent; it was not looked at"
			return res, false
		}
	}
	applied, err := rec.Applied.Fields()
	if err != nil {
		return failedResult(ch, err), false
	}
	for _, f := range r.app.Schema.Fields {
		// What left the manifest is sent as well: the record says after this update that all is as it is wanted.
		named := want.Fields[f.Name] != nil || applied[f.Name] != nil
		if named && !f.Immutable && !slices.Contains(want.IgnoreChanges, f.Name) {
			ch.Send = append(ch.Send, f.Name)
		}
	}
	asked := r.updateAgent(ctx, ch)
	switch {
	case asked.Status == StatusDone:
		r.foundUnlisted(rec.UID)
		return res, false
	case !errors.Is(asked.Err, platform.ErrNoSuchAgent):
		if asked.Status == StatusFailed {
			asked.Err = fmt.Errorf("the list does not show the agent, and an update that asked for it was refused: %w",
				asked.Err)
			asked.Hint = r.notFoundHint() + removeHint(ch)
		}
		return asked, false
	}
	// The platform itself says so, beside a list that shows others that are known: only so is it gone.
	if err := r.commitResults(state.Result{Kind: state.Removed, Address: ch.Address, UID: rec.UID}); err != nil {
		return failedResult(ch, err), false
	}
	r.foundGone(rec.UID)
	return Result{}, true
}

// deleteAgent removes the agent, and whatever earlier replaces of it left over.
func (r *appRun) deleteAgent(ctx context.Context, ch plan.Change) Result {
	// First: with its own uid the record would go, and with it the names of the others.
	if res := r.deleteObsolete(ctx, ch); res.Status != StatusDone {
		return res
	}
	return r.deleteUID(ctx, ch, ch.UID)
}

// deleteObsolete deletes what replaces of the agent left over. The record names these uids until they are gone.
func (r *appRun) deleteObsolete(ctx context.Context, ch plan.Change) Result {
	rec, _ := r.fleet.Record(ch.Address)
	for _, uid := range rec.Obsolete {
		if res := r.deleteUID(ctx, ch, uid); res.Status != StatusDone {
			res.UID = rec.UID
			res.Err = fmt.Errorf("the old agent %s is not deleted yet: %w", uid, res.Err)
			if res.Status == StatusFailed && res.Hint == "" {
				res.Hint = "the next apply deletes it:\n  agentsync apply --prune"
			}
			return res
		}
	}
	return doneResult(ch, rec.UID)
}

// deleteUID deletes one agent of the change's address. Its uid leaves the record once it is certain that the agent is
// gone.
func (r *appRun) deleteUID(ctx context.Context, ch plan.Change, uid string) Result {
	// Without a list nothing is known of the app, not even that it is the right one.
	if err := r.mayDelete(); err != nil {
		why := fmt.Errorf("nothing is deleted before the app was listed: %w", err)
		return failedResult(ch, why).withHint(r.listHint(r.id, err))
	}
	earlier := voidedResults(r.openRequests(uid, actionDelete)) // the answer to this one tells what became of them
	id, err := r.sendRequest(ctx, ch, state.Intent{Address: ch.Address, Action: actionDelete, UID: uid},
		func(ctx context.Context) error { return r.app.Client.Delete(ctx, uid) })
	if err == nil {
		return r.deleteAnswered(ch, id, uid, earlier)
	}
	if !isUnknown(err) && errors.Is(err, platform.ErrNotFound) && r.isGone(ctx, uid, err) {
		err = nil // every mistyped endpoint answers 404 as well: it counts beside the list alone
	}
	if err != nil {
		return r.requestResult(ch, err, removeHint(ch))
	}
	removed := state.Result{Kind: state.Removed, Intent: id, Address: ch.Address, UID: uid}
	res := r.commitDone(ch, uid, append(earlier, removed))
	if res.Status == StatusDone {
		r.foundGone(uid)
	}
	return res
}

// deleteAnswered notes that the platform said that a delete is done. What it says is no proof, and the uid is the only
// handle: it stays in the state, and the intent open, until a list shows that the agent is gone (see recoverDelete).
func (r *appRun) deleteAnswered(ch plan.Change, id uint64, uid string, earlier []state.Result) Result {
	results := earlier
	if r.showedWhole(uid) {
		results = append(results, state.Result{Kind: state.Answered, Intent: id, Address: ch.Address})
	}
	r.mu.Lock()
	r.requests[id] = &openRequest{since: time.Now(), cause: errNotSeenGone, answered: true}
	r.mu.Unlock()
	return r.commitDone(ch, uid, results)
}

// errNotSeenGone is of a delete that was answered as done, until a list bears it out.
var errNotSeenGone = errors.New("the platform said that it is deleted, and no list has shown yet that it is gone")

// isGone reports whether a 404 that a delete was answered means that the agent is gone: where the platform says so
// itself, to the delete or when it is asked for the agent, beside a list that can be trusted. A list that misses the
// agent proves nothing: it may lag, and the 404 be a proxy's.
func (r *appRun) isGone(ctx context.Context, uid string, err error) bool {
	if errors.Is(err, platform.ErrNoSuchAgent) || r.lists[r.id].gone[uid] {
		return true
	}
	if !r.app.Client.Properties().ReadsOne {
		return false
	}
	l, err := r.Engine.listApp(ctx, r.id)
	if err != nil || l.doubt != nil || l.shows(uid) {
		return false
	}
	_, err = r.app.Client.Read(ctx, uid) // which was not done with the list of an old agent of a replace
	return errors.Is(err, platform.ErrNoSuchAgent)
}

// openRequests returns the requests without an answer of one kind about the agent.
func (r *appRun) openRequests(uid, action string) []state.Intent {
	if !r.fleet.Claimed(r.id, uid) {
		return nil
	}
	return slices.DeleteFunc(r.fleet.Open(), func(i state.Intent) bool {
		return i.UID != uid || i.Action != action || i.Address.ID() != r.id
	})
}

// withSentBefore returns the fields to send together with those that earlier updates sent, in the schema's order.
func (r *appRun) withSentBefore(send []string, earlier []state.Intent, want *agent.Desired) []string {
	sent := map[string]bool{}
	for _, i := range earlier {
		fields, _ := i.Fields.Fields() // it was encoded by us, and checked when it was read
		for name := range fields {
			sent[name] = true
		}
	}
	if len(sent) == 0 {
		return send
	}
	var all []string
	for _, f := range r.app.Schema.Fields {
		again := sent[f.Name] && !f.Immutable && !slices.Contains(want.IgnoreChanges, f.Name)
		if again || slices.Contains(send, f.Name) {
			all = append(all, f.Name)
		}
	}
	return all
}

func voidedResults(intents []state.Intent) []state.Result {
	var closed []state.Result
	for _, i := range intents {
		closed = append(closed, state.Result{Kind: state.Voided, Intent: i.ID, Address: i.Address})
	}
	return closed
}

// resultOf is what all results of a change have in common.
func resultOf(ch plan.Change, s Status) Result {
	return Result{Address: ch.Address, Action: ch.Action, Status: s, UID: ch.UID, Name: ch.Name, Source: ch.Source}
}

func (res Result) withHint(hint string) Result {
	res.Hint = hint
	return res
}

func doneResult(ch plan.Change, uid string) Result {
	res := resultOf(ch, StatusDone)
	res.UID = uid
	return res
}

func failedResult(ch plan.Change, err error) Result {
	if kept, ok := errors.AsType[*notSentError](err); ok {
		return notStartedResult(ch, kept.why)
	}
	res := resultOf(ch, StatusFailed)
	res.Err = err
	return res
}

// requestResult is the result of a request that ended with err, which is not nil. notFound is what to do where a 404 is
// right, or empty.
func (r *appRun) requestResult(ch plan.Change, err error, notFound string) Result {
	if isUnknown(err) {
		return unknownResult(ch, err)
	}
	res := failedResult(ch, err)
	if notFound != "" && errors.Is(err, platform.ErrNotFound) {
		res.Hint = r.notFoundHint() + notFound
	}
	return res
}

// commitDone is the result of a request that was carried out, once its results are on disk. What could not be stored is
// unknown: the intent stays open, and recovery finds out what this run knew.
func (r *appRun) commitDone(ch plan.Change, uid string, results []state.Result) Result {
	res := doneResult(ch, uid)
	if err := r.commitResults(results...); err != nil {
		res.Status, res.Err = StatusUnknown, err
	}
	return res
}

func unknownResult(ch plan.Change, err error) Result {
	res := resultOf(ch, StatusUnknown)
	res.Err, res.Hint = err, "the next apply finds out what became of it; nothing is created twice"
	return res
}

func notStartedResult(ch plan.Change, err error) Result {
	if ch.Action == plan.Kept {
		return doneResult(ch, ch.UID)
	}
	res := resultOf(ch, StatusNotStarted)
	res.Err = err
	return res
}

// unsentResult is the result of a change for which nothing is sent: kept, moved in the ledger, or refused.
func unsentResult(ch plan.Change) Result {
	if ch.Blocked == "" {
		return doneResult(ch, ch.UID)
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
		res.Err = fmt.Errorf("%w: no manifest has a section for %s any more, so nothing says how to reach it",
			ErrBlocked,
			ch.Address.ID())
		res.Hint = "put the section back without the agent; or, to leave the agent at the platform:\n  agentsync state rm " + ch.Address.String()
	case plan.BlockedByAPI:
		res.Err = fmt.Errorf("%w: the version of the API that the section asks for does not show the agent, which another version made", ErrBlocked)
		res.Hint = "go back to the other version of the API; if the agent is really gone:\n  agentsync state rm " +
			ch.Address.String()
	case plan.BlockedByRename:
		res.Err = fmt.Errorf("%w: %s may be %s under another key, whose uid would be lost: %s", ErrBlocked,
			ch.Likely.To,
			ch.Likely.From, ch.Likely.Why())
		res.Hint = ch.Likely.Ways()
	case plan.BlockedByNamesake:
		res.Err = fmt.Errorf("%w: an agent of the same name that agentsync does not manage is in the way", ErrBlocked)
		res.Hint = importHint(ch)
	default:
		res.Err = fmt.Errorf("%w: %s", ErrBlocked, ch.Blocked)
	}
	return res
}

// removeHint is what to do about an agent that nobody can say is gone.
func removeHint(ch plan.Change) string {
	return "if the agent is really gone:\n  agentsync state rm " + ch.Address.String()
}

// ImportCommand is the command that takes an agent over, of two words that a shell takes as they are.
func ImportCommand(address, uid string) string {
	words := []string{"agentsync", "import", address, uid}
	if strings.HasPrefix(uid, "-") {
		words = slices.Insert(words, 2, "--") // it is no flag
	}
	return strings.Join(words, " ")
}

// importHint is what to do about agents that are in the way of a create.
func importHint(ch plan.Change) string {
	var b strings.Builder
	b.WriteString("take the existing agent over, which updates it to the manifest at the next apply:\n")
	for _, uid := range ch.InTheWay {
		b.WriteString("  " + ImportCommand(ch.Address.String(), uid) + "\n")
	}
	b.WriteString("or create another one of the same name with --allow-duplicate-names")
	return b.String()
}
