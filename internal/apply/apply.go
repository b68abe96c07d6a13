package apply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// Session is what an apply asks of whoever started it.
type Session struct {
	// Plan makes the plan of the manifests from what is known.
	Plan func(Known) (*plan.Plan, error)
	// Review is shown the plan before anything is sent. It reports whether a person was asked, so that time passed.
	// An error refuses the plan.
	Review func(ctx context.Context, p *plan.Plan) (asked bool, err error)
	// Begin opens the ledger with room for the plan, which is nil where only open requests are recovered.
	Begin func(p *plan.Plan) (Ledger, error)
	// End closes the ledger that was opened last: all that it was given is in the state then.
	End func() error
	// Pending asks for a ledger even where nothing is open: an earlier run left results to be brought into the state.
	Pending bool
	// Apps are those that the plan may be about, all of the engine's where it is nil.
	Apps []agent.AppID
}

// Known is what a plan is made of besides the manifests.
type Known struct {
	// Again reports that a plan was reviewed already, and that this one is for what of it is still open.
	Again bool
	// Lineage is the state's, empty where it has none yet.
	Lineage string
	Prior   map[agent.Address]agent.Record
	// Live, Gone, Open and Claimed are plan.Input's.
	Live    map[agent.AppID][]plan.Live
	Gone    map[agent.AppID]map[string]bool
	Open    map[agent.Address]bool
	Claimed map[agent.AppID][]string
}

// StaleError is of a plan that was reviewed, and that is not what would be done any more.
type StaleError struct{ Changes []plan.Stale }

// Error names the first agent.
func (e *StaleError) Error() string {
	first := e.Changes[0]
	return fmt.Sprintf("the plan is no longer true: %s: %s", first.Address, first.Reason)
}

// Apply carries out what the manifests want: it recovers what earlier runs left open, lists the apps, makes the
// plan, has it reviewed, and carries it out, again and again for what has no answer yet. The report is nil where
// nothing was begun of any agent. The error is not nil where the apply ended early: the report is then true as
// well.
func (e *Engine) Apply(ctx context.Context, s Session) (*Report, error) {
	// First what earlier runs left: a plan that does not know of an agent that an open create made would make it again.
	if err := e.Recover(ctx, s); err != nil {
		return e.openReport(ctx), err
	}
	p, err := e.makePlan(ctx, s, false)
	if err != nil {
		return nil, err
	}
	refused := func(why error) (*Report, error) { return NotStarted(p, why), why }
	if err := e.unlistedError(p); err != nil {
		return refused(err)
	}
	asked, err := s.Review(ctx, p)
	if err != nil {
		return refused(err)
	}
	if asked {
		// While a person read the plan, another checkout may have applied the same manifests: what they said yes to
		// counts only as far as it is still what would be done.
		e.listApps(ctx, e.planApps(s))
		again, err := e.makePlan(ctx, s, false)
		if err != nil {
			return refused(err)
		}
		if stale := again.Since(p); len(stale) > 0 {
			return refused(&StaleError{stale})
		}
		p = again
	}
	t := newTally(e, p)
	if !p.Summary.Any() && len(p.RecordUpdates) == 0 && len(e.fleet.Open()) == 0 {
		return e.finishReport(ctx, t), nil
	}
	// Only now, so that an apply without changes writes nothing, and with the plan, so that room on the disk is taken
	// for all of it: a full disk in the middle would leave requests without a result.
	if err := e.openLedger(s, p); err != nil {
		return nil, err
	}
	err = e.runRounds(ctx, s, p, t)
	return e.finishReport(ctx, t), errors.Join(err, e.ledgerFault(), s.End())
}

// Plan is the plan that Apply would have reviewed, where nothing is open and nothing has to be brought into the state.
func (e *Engine) Plan(ctx context.Context, s Session) (*plan.Plan, error) {
	p, err := e.makePlan(ctx, s, false)
	if err == nil {
		err = e.unlistedError(p)
	}
	return p, err
}

// Recover brings into the state what earlier runs left: results, and as far as one list of each app tells the
// outcome of requests. What it does not tell stays open, and holds up nothing but its own agent.
func (e *Engine) Recover(ctx context.Context, s Session) error {
	e.recoveryBegan = time.Now()
	open := e.fleet.Open()
	if len(open) == 0 && !s.Pending {
		return nil
	}
	if err := e.openLedger(s, nil); err != nil {
		return err
	}
	e.listApps(ctx, slices.DeleteFunc(e.openApps(), func(id agent.AppID) bool { return e.lists[id] != nil }))
	e.recoverOpen(ctx)
	e.awaitLate(ctx)
	return errors.Join(e.ledgerFault(), s.End(), ctx.Err())
}

func (e *Engine) openLedger(s Session, p *plan.Plan) error {
	ledger, err := s.Begin(p)
	if err != nil {
		return err
	}
	e.ledger, e.fleet = ledger, ledger.Fleet()
	e.sealer = secret.Sealer{Key: []byte(ledger.Lineage()), Lookup: e.opts.Lookup}
	return nil
}

// makePlan lists what was not listed yet and makes the plan.
func (e *Engine) makePlan(ctx context.Context, s Session, again bool) (*plan.Plan, error) {
	known := e.planInput(again)
	ids := e.planApps(s)
	if e.opts.NoRefresh && !again {
		// Nothing is made or deleted without a list of its app: a plan from the records alone says which apps that are.
		offline := known
		offline.Live, offline.Gone = nil, nil
		p, err := s.Plan(offline)
		if err != nil {
			return nil, err
		}
		needed := map[agent.AppID]bool{}
		for _, ch := range p.Changes {
			needed[ch.Address.ID()] = needed[ch.Address.ID()] || ch.Blocked == "" &&
				(ch.OtherAPI || ch.Resumed || ch.Action == plan.Create || ch.Action == plan.Replace ||
					ch.Action == plan.Delete)
		}
		ids = slices.DeleteFunc(ids, func(id agent.AppID) bool { return !needed[id] })
	}
	if !again {
		e.listApps(ctx, slices.DeleteFunc(ids, func(id agent.AppID) bool {
			return e.lists[id] != nil && e.unlisted[id] == nil
		}))
		known = e.planInput(again)
	}
	return s.Plan(known)
}

// planApps are the apps that the plan may be about, in order.
func (e *Engine) planApps(s Session) []agent.AppID {
	if s.Apps != nil {
		return slices.Clone(s.Apps)
	}
	return slices.SortedFunc(maps.Keys(e.apps), agent.AppID.Compare)
}

// planInput returns what the next plan is to be made of.
func (e *Engine) planInput(again bool) Known {
	k := Known{Again: again, Prior: e.fleet.Records(), Claimed: map[agent.AppID][]string{}}
	if e.ledger != nil {
		k.Lineage = e.ledger.Lineage()
	}
	k.Live, k.Gone = e.liveAgents()
	k.Open = e.undecidedAgents()
	for _, i := range e.fleet.Open() {
		if i.UID != "" {
			k.Claimed[i.Address.ID()] = append(k.Claimed[i.Address.ID()], i.UID)
		}
	}
	return k
}

// recordRenames carries out what concerns the ledger alone: renames, all together because keys may be handed on and
// swapped, and records that are behind although nothing is to be sent.
func (e *Engine) recordRenames(p *plan.Plan) error {
	var removed, recorded []state.Result
	for _, mv := range p.Renames() {
		rec, ok := e.fleet.Record(mv.From)
		if !ok {
			return fmt.Errorf("rename %s to %s: state does not know it any more", mv.From, mv.To)
		}
		for _, uid := range append(slices.Clone(rec.Obsolete), rec.UID) {
			removed = append(removed, state.Result{Kind: state.Removed, Address: mv.From, UID: uid})
		}
		rec = rec.Moved(mv.From.Key, mv.To.Key)
		rec.Protect = e.wantedAgent(mv.To).Protect
		recorded = append(recorded, state.Result{Kind: state.Recorded, Address: mv.To, Record: rec})
	}
	for _, t := range p.RecordUpdates {
		recorded = append(recorded, state.Result{Kind: state.Recorded, Address: t.Address, Record: t.Record})
	}
	if len(recorded) == 0 {
		return nil
	}
	// In one line of the journal, those that go first: where two agents swap their keys, each address is free by then,
	// and a crash leaves both uids at an address.
	return e.storeResults(slices.Concat(removed, recorded)...)
}

// runRounds carries out the plan, and again what had no answer, until nothing is open or nothing more can be found out.
func (e *Engine) runRounds(ctx context.Context, s Session, p *plan.Plan, t *tally) error {
	// Before any request: its result is recorded at the new address.
	if err := e.recordRenames(p); err != nil {
		t.noneStarted(err)
		return err
	}
	for changes := p.Changes; ; {
		e.undecided = e.undecidedAgents() // as they are before this round, whose own requests are not waited for
		e.carryOut(ctx, changes, t)
		if e.mustEnd(ctx) {
			return nil
		}
		// One list after the writes says whether what was sent is what is live, and what became of requests without
		// an answer.
		if slices.ContainsFunc(changes, func(ch plan.Change) bool { return ch.Action != plan.Kept }) {
			if !e.listAndVerify(ctx, t) {
				return nil
			}
		}
		var err error
		if changes, err = e.nextRound(ctx, s, t); len(changes) == 0 {
			return err
		}
	}
}

// mustEnd reports whether nothing more may be sent: what is open stays open, and the next apply goes on.
func (e *Engine) mustEnd(ctx context.Context) bool { return ctx.Err() != nil || e.ledgerFault() != nil }

// listAndVerify lists what was written to and holds it against the lists, again and again while they show an agent as
// it was before its update: lists lag. It is false where the run ends before.
func (e *Engine) listAndVerify(ctx context.Context, t *tally) bool {
	written := time.Now()
	e.listApps(ctx, t.appsToList())
	for n := 0; ; n++ {
		left := e.opts.Grace - time.Since(written)
		late := e.verifyWrites(t, left <= 0)
		if len(late) == 0 {
			return true
		}
		pause := min(firstLagPause<<min(n, 5), left)
		ids := slices.SortedFunc(maps.Keys(late), agent.AppID.Compare)
		for _, id := range ids {
			message := waitingToShow(countOf(late[id], "update"), pause)
			e.emitEvent(Event{Kind: EventRecovering, App: id, Message: message})
		}
		// An interrupt proves nothing: a record that said what a list shows that lags would hide what was sent.
		if !sleep(ctx, pause) {
			return false
		}
		e.listApps(ctx, ids)
	}
}

func waitingToShow(what string, wait time.Duration) string {
	return fmt.Sprintf("lists that are to show %s: looking again in %s", what, wait.Round(100*time.Millisecond))
}

// nextRound recovers what is open and returns what is then to be carried out again; nothing where all is decided, or
// where nothing more can be found out. What is decided does not wait for what is not.
func (e *Engine) nextRound(ctx context.Context, s Session, t *tally) ([]plan.Change, error) {
	for n := 0; ; n++ {
		if len(e.fleet.Open()) == 0 {
			return nil, nil
		}
		e.recoverOpen(ctx)
		if e.mustEnd(ctx) {
			return nil, nil
		}
		p, err := e.makePlan(ctx, s, true)
		if err != nil {
			return nil, err
		}
		changes, pause := t.nextChanges(p)
		if len(changes) > 0 {
			if !sleep(ctx, pause) {
				return nil, nil
			}
			return changes, nil
		}
		wait, more := e.nextListing(n)
		if !more {
			return nil, nil
		}
		open := e.openApps()
		for _, id := range open {
			e.emitEvent(Event{Kind: EventRecovering, App: id, Message: e.waitingFor(id, wait)})
		}
		if !sleep(ctx, wait) {
			return nil, nil
		}
		e.listApps(ctx, open)
	}
}

// waitingFor says what is waited for in an app, and how the first of it ended.
func (e *Engine) waitingFor(id agent.AppID, wait time.Duration) string {
	n, deletes, cause := 0, 0, ""
	for _, i := range e.fleet.Open() {
		if i.Address.ID() != id {
			continue
		}
		if r := e.openRequestOf(i); r.answered {
			deletes++
		} else if n++; n == 1 {
			cause = " (" + r.cause.Error() + ")"
		}
	}
	if n == 0 {
		return waitingToShow(countOf(deletes, "delete"), wait)
	}
	return fmt.Sprintf("%s without a usable answer%s: looking again in %s", countOf(n, "request"), cause,
		wait.Round(100*time.Millisecond))
}

func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// finishReport returns the report. What is still open is told, also where the plan asked nothing of its agent.
func (e *Engine) finishReport(ctx context.Context, t *tally) *Report {
	var others []Result // of agents that the plan asks nothing of
	told := map[agent.Address]bool{}
	for _, res := range e.openResults() {
		was, planned := t.results[res.Address]
		switch {
		case !planned:
			t.results[res.Address] = res
			others = append(others, res)
		case was.Status == StatusUnknown:
			was.Err = res.Err
			if res.Hint != "" {
				was.Hint = res.Hint
			}
			t.results[res.Address] = was
		case was.Status == StatusDone: // as the platform said of a delete, or the plan asks nothing of its agent
			was.Status, was.Err, was.Hint = StatusUnknown, res.Err, res.Hint
			if was.Action == plan.Kept {
				was.Action = res.Action // what an earlier run wanted of it
			}
			t.results[res.Address] = was
			told[res.Address] = true
		}
	}
	t.enterUndone()
	results := make([]Result, 0, len(t.changes))
	for _, ch := range t.changes {
		res, known := t.results[ch.Address]
		if !known {
			res = notStartedResult(ch, errInterrupted)
		}
		if res.Status == StatusUnknown {
			if !e.isOpen(ch.Address) { // what was sent last was certainly not carried out, and is not sent once more
				res.Status, res.Hint = StatusFailed, ""
				if !errors.Is(res.Err, errSentOften) {
					res.Err = fmt.Errorf("%w: %w", errSentOften, res.Err)
				}
			}
			if !told[res.Address] {
				e.runOf(ch.Address.ID()).tellFinished(res)
			}
		}
		results = append(results, res)
	}
	results = append(results, others...)
	slices.SortStableFunc(results, func(a, b Result) int { return a.Address.Compare(b.Address) })
	rep := newReport(ctx, results, t.warnings)
	for id, err := range e.unlisted {
		if !slices.ContainsFunc(results, func(r Result) bool {
			return r.Address.ID() == id && r.Status != StatusDone
		}) {
			rep.Warnings = append(rep.Warnings, fmt.Sprintf("%s could not be listed: %v", id, err))
			rep.Unread++
		}
	}
	if rep.Unread > 0 && rep.Outcome == OutcomeComplete {
		rep.Outcome = OutcomePartial
	}
	return rep
}

// openResults are the results of the requests that are open, one for each address.
func (e *Engine) openResults() []Result {
	var results []Result
	told := map[agent.Address]bool{}
	for _, i := range e.fleet.Open() {
		a := e.addressOf(i)
		if told[a] {
			continue
		}
		told[a] = true
		r := e.openRequestOf(i)
		ch := plan.Change{Address: a, Action: plan.Action(i.Action), UID: i.UID, Source: e.wantedAgent(a).Source}
		res := unknownResult(ch, r.cause)
		if r.why != nil {
			res.Err = fmt.Errorf("%w; and nobody can say yet what became of it: %w", r.cause, r.why)
		}
		if r.hint != "" {
			res.Hint = r.hint
		}
		results = append(results, res)
	}
	return results
}

// openReport is the report of an apply that ended while it recovered what earlier runs left open; nil for nothing.
func (e *Engine) openReport(ctx context.Context) *Report {
	if results := e.openResults(); len(results) > 0 {
		return newReport(ctx, results, nil)
	}
	return nil
}
