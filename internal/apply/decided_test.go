package apply_test

import (
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// recovered recovers intents that an earlier run left, with the records as they are, and returns what is known then.
func (w *world) recovered(records map[agent.Address]agent.Record, open ...state.Intent) *state.Fleet {
	w.t.Helper()
	for i := range open {
		open[i].ID, open[i].At = uint64(100+i), time.Now()
	}
	fleet, err := state.NewFleet(&state.State{Lineage: "l", Agents: records}, open)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	if err := w.engine(fleet).Recover(w.t.Context(), w.inMemory(fleet)); err != nil {
		w.t.Fatalf("%v", err)
	}
	return fleet
}

// inMemory is a session whose results the fleet alone knows.
func (w *world) inMemory(fleet *state.Fleet) apply.Session {
	return apply.Session{Plan: w.planOf, Review: w.review, End: func() error { return nil },
		Begin: func(*plan.Plan) (apply.Ledger, error) { return &noJournal{fleet: fleet}, nil }}
}

func encoded(t *testing.T, f agent.Fields) agent.Doc {
	t.Helper()
	if f == nil {
		return nil
	}
	doc, err := agent.Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// What one list of an earlier run's update tells, field by field: it was done, it was not, or somebody or the platform
// made something else of it. What the record says afterwards decides what the next plan sends.
func TestWhatAnOpenUpdateDid(t *testing.T) {
	type fields = agent.Fields
	meta := func(pairs ...string) fields {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return fields{"name": "Bot", "metaData": m}
	}
	named := func(name string) fields { return fields{"name": name} }
	own := concierge("a").Address.Mark()
	for name, tt := range map[string]struct {
		applied, observed, sent, live fields
		mark, liveMark                string
		// The record afterwards; observed is not given where it stays.
		wantApplied, wantObserved fields
		wantMark                  string
		open                      int
	}{
		"done": {applied: named("Old"), observed: named("Old"), sent: named("New"), live: named("New"),
			wantApplied: named("New"), wantObserved: named("New")},
		"not done": {applied: named("Old"), observed: named("Old"), sent: named("New"), live: named("Old"),
			wantApplied: named("Old"), open: 1},
		"done, as the platform trims": {applied: named("Old"), observed: named("Old"), sent: named("New "),
			live: named("New"), wantApplied: named("New "), wantObserved: named("New")},
		"not done, and the platform trims": {applied: named("New"), observed: named("New"), sent: named("New "),
			live: named("New"), wantApplied: named("New"), open: 1},
		"one field is done, another is not": {applied: fields{"name": "Old", "icon": "https://a/1"},
			observed: fields{"name": "Old", "icon": "https://a/1"}, sent: fields{"name": "New", "icon": "https://a/2"},
			live:         fields{"name": "New", "icon": "https://a/1"},
			wantApplied:  fields{"name": "New", "icon": "https://a/1"},
			wantObserved: fields{"name": "New", "icon": "https://a/1"}, open: 1},
		"somebody changed it": {applied: named("Old"), observed: named("Old"), sent: named("New"),
			live:        named("Theirs"),
			wantApplied: named("Theirs"), wantObserved: named("Theirs"), open: 1},
		"sent as it was, and somebody changed it": {applied: named("Bot"), observed: named("Bot"), sent: named("Bot"),
			live: named("Theirs"), wantApplied: named("Bot"), open: 1},
		"it showed that before": {applied: named("Old"), observed: named("New"), sent: named("New"), live: named("New"),
			wantApplied: named("New"), wantObserved: named("New"), open: 1},
		"somebody emptied it": {applied: fields{"name": "Bot", "icon": "https://a/1"},
			observed: fields{"name": "Bot", "icon": "https://a/1"}, sent: fields{"icon": "https://a/2"},
			live:        named("Bot"),
			wantApplied: named("Bot"), wantObserved: named("Bot"), open: 1},
		"an imported agent": {observed: named("Old"), sent: named("New"), live: named("New"), wantApplied: named("New"),
			wantObserved: named("New")},
		"an agent that was not seen since": {applied: named("Old"), sent: named("New"), live: named("Old"),
			wantApplied: named("Old"), open: 1},
		"another field is somebody's": {applied: fields{"name": "Old", "icon": "https://a/1"},
			observed: fields{"name": "Old", "icon": "https://a/1"}, sent: named("New"),
			live:         fields{"name": "New", "icon": "https://theirs"},
			wantApplied:  fields{"name": "New", "icon": "https://a/1"},
			wantObserved: fields{"name": "New", "icon": "https://a/1"}},
		"a member that was taken out is there still": {applied: meta("x", "1", "y", "2"),
			observed: meta("x", "1", "y", "2"),
			sent:     fields{"metaData": map[string]any{"x": "3"}}, live: meta("x", "3", "y", "2"),
			wantApplied: meta("x", "3", "y", "2"), wantObserved: meta("x", "3", "y", "2"), open: 1},
		"the platform adds a member": {applied: meta("x", "1"), observed: meta("x", "1", "added", "1"),
			sent: fields{"metaData": map[string]any{"x": "3"}}, live: meta("x", "3", "added", "1"),
			wantApplied: meta("x", "3"), wantObserved: meta("x", "3", "added", "1")},
		"somebody's value beside a member that the platform adds": {applied: meta("x", "1"),
			observed: meta("x", "1", "added", "1"), sent: fields{"metaData": map[string]any{"x": "3"}},
			live:        meta("x", "theirs", "added", "1"),
			wantApplied: meta("x", "theirs"), wantObserved: meta("x", "theirs", "added", "1"), open: 1},
		"sent as it was, for the mark": {applied: named("Bot"), observed: meta("theirs", "1"),
			sent: fields{"metaData": map[string]any{"theirs": "1"}}, live: meta("theirs", "1"), liveMark: own,
			wantApplied: named("Bot"), wantObserved: meta("theirs", "1"), wantMark: own},
		"for the mark, and not done": {applied: named("Bot"), observed: meta("theirs", "1"),
			sent: fields{"metaData": map[string]any{"theirs": "1"}}, live: meta("theirs", "1"),
			wantApplied: named("Bot"), wantObserved: meta("theirs", "1"), open: 1},
		"without its field a mark is not looked at": {applied: named("Old"), observed: named("Old"), sent: named("New"),
			live: named("New"), mark: own, wantApplied: named("New"), wantObserved: named("New"), wantMark: own},
		"a secret is sent again": {applied: fields{"name": "Bot", "icon": secret.Sealed{Template: "00", Value: "11"}},
			sent: fields{"icon": secret.Sealed{Template: "00", Value: "22"}}, live: fields{"name": "Bot", "icon": "x"},
			wantApplied: named("Bot"), open: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := concierge("a").Address
			live := w.memory[comet].Put(platform.AddMark(w.schemas["cometchat"], tt.live.Clone(), tt.liveMark))
			rec := agent.Record{UID: live.UID, Applied: encoded(t, tt.applied), Observed: encoded(t, tt.observed),
				Mark: tt.mark}
			fleet := w.recovered(map[agent.Address]agent.Record{a: rec},
				state.Intent{Address: a, Action: "update", UID: live.UID, Fields: encoded(t, tt.sent)})
			got, _ := fleet.Record(a)
			observed := string(encoded(t, tt.wantObserved))
			if tt.wantObserved == nil {
				observed = string(rec.Observed)
			}
			if len(fleet.Open()) != tt.open || string(got.Applied) != string(encoded(t, tt.wantApplied)) ||
				name != "a secret is sent again" && string(got.Observed) != observed || got.Mark != tt.wantMark {
				t.Errorf("%d open, applied %s, observed %s, mark %q", len(fleet.Open()), got.Applied, got.Observed,
					got.Mark)
			}
		})
	}
}

// An update has no answer, and the list lags behind it while the manifest wants the old value again, in a field that
// the platform fills in by itself: such a list is not believed before the grace period is over, or nobody would ever
// see what the platform has. One that was not carried out waits for as long, and is closed then.
func TestAListThatLagsDecidesNoUpdate(t *testing.T) {
	for name, done := range map[string]bool{"carried out": true, "not carried out": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want, w.refresh = []agent.Desired{coach("a")}, true
				filled := platformtest.WithRewrite(w.memory[mind], func(f agent.Fields) agent.Fields {
					if f["formatting"] == "" || f["formatting"] == nil {
						f["formatting"] = "by the platform"
					}
					return f
				})
				w.client[mind] = filled
				w.mustApply()
				w.want[0].Fields["formatting"] = "Mine."
				answered := make(chan struct{})
				lags := platformtest.WithLag(filled, platformtest.Lag{Changes: 20 * time.Second})
				w.client[mind] = platformtest.WithFaults(lags, platformtest.Fault{Op: platformtest.OpUpdate, Nth: 1,
					After: done, Class: platform.Unknown, Hold: answered})
				w.applyUntil(func(cancel func()) { time.AfterFunc(time.Second, func() { cancel(); close(answered) }) })
				delete(w.want[0].Fields, "formatting")
				start := time.Now()
				w.mustApply()
				if took := time.Since(start); took < 15*time.Second || took > 70*time.Second {
					t.Errorf("it took %s", took)
				}
				w.knows(1, 0)
				w.mustApply()
				w.check()
				if v := w.memory[mind].Agents()[0].Content.Value("formatting"); v != "" && v != nil {
					t.Errorf("the platform has %v", v)
				}
			})
		})
	}
}

// A request is about an agent that its address does not have any more, or that the state forgot: it is closed, and
// nothing is sent.
func TestAnOpenRequestAboutAnAgentThatNobodyHas(t *testing.T) {
	for _, action := range []string{"update", "delete"} {
		for name, rec := range map[string]*agent.Record{"forgotten": nil, "another agent": {UID: "agent-0002"},
			"the old one of a replace": {UID: "agent-0002", Obsolete: []string{"agent-0001"}}} {
			t.Run(action+", "+name, func(t *testing.T) {
				w := newWorld(t)
				w.want = []agent.Desired{concierge("a")}
				a := w.want[0].Address
				w.memory[comet].Put(agent.Fields{"name": "Old"})
				w.memory[comet].Put(agent.Fields{"name": "New"})
				records := map[agent.Address]agent.Record{concierge("b").Address: {UID: "agent-0003"}}
				if rec != nil {
					records[a] = *rec
				}
				w.memory[comet].Put(agent.Fields{"name": "Other"})
				if action == "delete" && rec != nil && rec.Obsolete == nil {
					w.memory[comet].Remove("agent-0001") // a list that does not show it says nothing of another
				}
				fleet := w.recovered(records, state.Intent{Address: a, Action: action, UID: "agent-0001",
					Fields: encoded(t, agent.Fields{"name": "Sent"})})
				got, known := fleet.Record(a)
				if len(fleet.Open()) > 0 || known != (rec != nil) || known &&
					(got.UID != rec.UID || got.Applied != nil ||
						len(got.Obsolete) != len(rec.Obsolete)) {
					t.Errorf("%d open, %+v", len(fleet.Open()), got)
				}
			})
		}
	}
}

// The create of a replace is open: nothing is sent for its address meanwhile, or a second new agent would be made.
func TestAnOpenCreateOfAReplaceIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
		w.mustApply()
		w.want[0].Fields["externalTenantId"] = "t2"
		w.client[mind] = w.late(mind, 30*time.Second, 50*time.Second)
		w.mustApply()
		time.Sleep(time.Minute)
		w.check()
		w.made(mind, 2)
	})
}

// An agent that takes the place of another is there already: it is taken over, and the old one goes.
func TestAReplaceTakesOverWhatIsThere(t *testing.T) {
	w := newWorld(t)
	w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
	w.mustApply()
	w.want[0].Fields["externalTenantId"] = "t2"
	w.memory[mind].Put(w.want[0].Fields)
	w.mustApply()
	w.check()
	w.made(mind, 2)
	if all := w.memory[mind].Agents(); len(all) != 1 || all[0].UID != "agent-0002" {
		t.Errorf("%+v", all)
	}
}

// What is recorded of an agent whose create lost its answer is what a list shows of it.
func TestWhatALostCreateMadeIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Helps people with it. ")}
		made := w.memory[mind].Put(agent.Fields{"agentName": "Coach a", "agentPurpose": "Helps people with it."})
		fleet := w.recovered(nil, state.Intent{Address: w.want[0].Address, Action: "create",
			Fields: encoded(t, w.want[0].Fields)})
		rec, _ := fleet.Record(w.want[0].Address)
		if rec.UID != made.UID || string(rec.Applied) != string(encoded(t, w.want[0].Fields)) ||
			string(rec.Observed) != string(encoded(t, made.Content.Fields())) {
			t.Errorf("%s, applied %s, observed %s", rec.UID, rec.Applied, rec.Observed)
		}
	})
}

// Which agents may be what an open create made although they do not hold what was sent: a person has to say.
func TestWhatIsSuspected(t *testing.T) {
	const purpose = "Helps people with whatever they ask."
	type fields = agent.Fields
	sent := fields{"agentName": "Coach", "agentPurpose": purpose}
	known := coach("known", "agentName", "Known")
	for name, tt := range map[string]struct {
		want  []agent.Desired // besides that of the create
		live  fields          // nil for one that cannot be read
		mark  string
		stuck bool
	}{
		"a name that was cut":                   {live: fields{"agentName": "coa", "agentPurpose": "x"}, stuck: true},
		"the same text under another name":      {live: fields{"agentName": "X", "agentPurpose": purpose}, stuck: true},
		"the same name":                         {live: fields{"agentName": "Coach", "agentPurpose": "x"}, stuck: true},
		"nothing of it":                         {live: fields{"agentName": "X", "agentPurpose": "x"}},
		"one that cannot be read":               {stuck: true},
		"one that cannot be read, and is other": {mark: "m"},
		"a namesake of another that is wanted": {want: []agent.Desired{coach("b", "agentName", "X", "agentPurpose",
			"y")},
			live: fields{"agentName": "X", "agentPurpose": purpose}},
		"a namesake of another that is known": {want: []agent.Desired{known},
			live: fields{"agentName": "Known", "agentPurpose": purpose}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				d := coach("a")
				d.Fields = sent
				w.want = append([]agent.Desired{d}, tt.want...)
				kept := w.memory[mind].Put(known.Fields)
				records := map[agent.Address]agent.Record{known.Address: {UID: kept.UID,
					Applied:  encoded(t, known.Fields),
					Observed: encoded(t, known.Fields)}}
				time.Sleep(time.Hour)
				w.memory[mind].Put(maps.Collect(maps.All(tt.live))) // none is empty, not nil
				w.client[mind] = altered{Client: w.memory[mind], list: func(all []platform.Remote) []platform.Remote {
					if tt.live == nil {
						all[1].Content, all[1].Mark = agent.Content{}, tt.mark
					}
					return all
				}}
				intent := state.Intent{Address: d.Address, Action: "create", Fields: encoded(t, sent), ID: 100,
					At: time.Now()}
				fleet, err := state.NewFleet(&state.State{Lineage: "l", Agents: records}, []state.Intent{intent})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				rep, err := w.engine(fleet).Apply(t.Context(), w.inMemory(fleet))
				if _, done := fleet.Record(d.Address); err != nil || done == tt.stuck {
					t.Errorf("%v\n%s", err, describe(rep))
				}
				if res := rep.Results[0]; tt.stuck && (!strings.Contains(res.Err.Error(),
					"agent agent-0002 may be the one that was made, but its content is not what was sent") ||
					strings.Count(res.Hint, "agentsync import") != 1) {
					t.Errorf("%v, hint %q", res.Err, res.Hint)
				}
				if tt.stuck && time.Since(start) > time.Second {
					t.Errorf("it waited %s for lists, and only a person can say", time.Since(start))
				}
			})
		})
	}
}

// Two creates are open, and the agent of one has left the manifests. What goes by that one's name is a riddle of that
// one alone: the other is decided.
func TestANameExplainsWhatAnotherOpenCreateMayHaveMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const purpose = "Helps people with whatever they ask."
		w.want = []agent.Desired{coach("a", "agentPurpose", purpose)}
		w.intended(func(int) bool { return true }, w.want[0], coach("b", "agentPurpose", "Other."))
		w.memory[mind].Put(agent.Fields{"agentName": "Coach b", "agentPurpose": purpose})
		rep, err := w.apply(t.Context())
		if err != nil || rep.Count(apply.StatusUnknown) != 1 || rep.Results[0].Status != apply.StatusDone {
			t.Errorf("%v\n%s", err, describe(rep))
		}
		w.made(mind, 2)
	})
}

// A secret in a name gets its value back: the agent that an open create made is found among others by it.
func TestASecretInANameFindsItsAgent(t *testing.T) {
	w := newWorld(t)
	d := coach("a", "agentName", secret.Template("Coach ${secret:TOKEN}"))
	w.want = []agent.Desired{d}
	w.memory[mind].Put(agent.Fields{"agentName": "Coach of somebody"})
	made := w.memory[mind].Put(agent.Fields{"agentName": "Coach value of TOKEN"})
	sealer := secret.Sealer{Key: []byte("benchmark"), Lookup: w.opts.Lookup}
	fleet := w.recovered(nil, state.Intent{Address: d.Address, Action: "create",
		Fields: encoded(t, d.Fields.Seal(sealer))})
	if rec, known := fleet.Record(d.Address); !known || rec.UID != made.UID {
		t.Errorf("%+v", rec)
	}
	// With another value than was sent, nobody knows its name.
	w.opts.Lookup = func(string) (string, bool) { return "another", true }
	fleet = w.recovered(nil, state.Intent{Address: d.Address, Action: "create",
		Fields: encoded(t, d.Fields.Seal(sealer))})
	if _, known := fleet.Record(d.Address); known || len(fleet.Open()) != 1 {
		t.Error("it was found by a value that was not sent")
	}
}

// A platform masks a secret that stands in no name: the agent that an open create made is found all the same.
func TestAMaskedSecretHidesNoAgent(t *testing.T) {
	w := newWorld(t)
	d := coach("a", "agentPurpose", secret.Template("Uses ${secret:TOKEN}."))
	w.want = []agent.Desired{d}
	made := w.memory[mind].Put(agent.Fields{"agentName": "Coach a", "agentPurpose": "***"})
	fleet := w.recovered(nil, state.Intent{Address: d.Address, Action: "create",
		Fields: encoded(t, d.Fields.Seal(secret.Sealer{Key: []byte("benchmark"), Lookup: w.opts.Lookup}))})
	if rec, _ := fleet.Record(d.Address); rec.UID != made.UID {
		t.Errorf("%+v", rec)
	}
}

// What is exactly what another agent of the manifests wants was not made by a request that it is merely like.
func TestWhatIsExactlyAnothersIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentName", "Same"), coach("b", "agentName", "Same", "agentPurpose",
			"More.")}
		w.intended(func(int) bool { return true }, w.want[0])
		w.memory[mind].Put(w.want[1].Fields)
		rep := w.mustApply()
		if len(rep.Results) != 2 || rep.Results[1].Action != plan.Adopt || rep.Results[1].UID != "agent-0001" {
			t.Errorf("%s", describe(rep))
		}
		w.made(mind, 2)
	})
}

// For what a run on another machine left open its own grace period counts, where it is longer; for what this run sends
// it does not.
func TestLimitOfAnEarlierGracePeriod(t *testing.T) {
	for earlier, want := range map[time.Duration]time.Duration{time.Second: 30 * time.Second, 30 * time.Second: 30 *
		time.Second, 90 * time.Second: 90 * time.Second} {
		t.Run(earlier.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want, w.opts.EarlierGrace = []agent.Desired{coach("a")}, earlier
				w.intended(func(int) bool { return true }, w.want...)
				start := time.Now()
				w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpCreate,
					Nth: 1, Class: platform.Unknown})
				w.mustApply()
				if took := time.Since(start); took < want+30*time.Second || took > want+35*time.Second {
					t.Errorf("it took %s", took)
				}
				w.made(mind, 1)
			})
		})
	}
}

// A replace whose old agent is left over is followed by another one: both old agents go.
func TestAReplaceAfterOneThatIsNotFinished(t *testing.T) {
	w := newWorld(t)
	w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
	w.mustApply()
	w.want[0].Fields["externalTenantId"] = "t2"
	w.client[mind] = platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpDelete, Nth: 1,
		Class: platform.Refused, Status: 400})
	if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusFailed) != 1 {
		t.Fatalf("%v\n%s", err, describe(rep))
	}
	w.want[0].Fields["externalTenantId"] = "t3"
	w.mustApply()
	w.check()
	w.made(mind, 3)
}

// The new agent of a replace could not be recorded: the old one stays.
func TestTheOldAgentStaysUntilTheNewOneIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.prune = []agent.Desired{coach("a", "externalTenantId", "t1")}, true
		w.mustApply()
		for name, taken := range map[string]bool{"made": false, "taken over": true} {
			w.want[0].Fields["externalTenantId"] = name
			if taken {
				w.memory[mind].Put(w.want[0].Fields)
			}
			w.ledger = func(l apply.Ledger) apply.Ledger {
				return picky{l, func(r state.Result) bool { return r.Kind == state.Recorded }}
			}
			w.events = nil
			rep, err := w.apply(t.Context())
			if err != nil || rep.Count(apply.StatusDone) > 0 || w.memory[mind].Agents()[0].UID != "agent-0001" ||
				!strings.Contains(rep.Results[0].Err.Error(), "this result is refused") {
				t.Errorf("%s: %v\n%s", name, err, describe(rep))
			}
			for _, e := range w.events {
				if e.Kind == apply.EventFinished && e.Result.Status == apply.StatusDone {
					t.Errorf("%s: it was told as done", name)
				}
			}
			w.ledger = nil
		}
	})
}
