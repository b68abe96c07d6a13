package apply_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// teller plays a tale.
type teller struct {
	*player
	tale      tale
	strangers map[agent.AppID]map[string]agent.Fields // by uid
	adopted   map[agent.Address]string                // uids that a plan took for equal to what was wanted
	seen      map[string]bool                         // platform and uid of agents whose looks state knows
}

// requestLimit is how long a request may take, and slowest what the slowest takes: it is given up before its effect.
const requestLimit, slowest = 30 * time.Second, 34 * time.Second

// tell plays a tale.
func tell(t *testing.T, s tale) *player {
	return inBubble(t, func(inner *player) {
		p := &teller{player: inner, tale: s, adopted: map[agent.Address]string{},
			strangers: map[agent.AppID]map[string]agent.Fields{comet: {}, mind: {}}}
		for i, id := range []agent.AppID{comet, mind} {
			p.memory[id] = platformtest.NewMemory(p.schemas[id.Platform], p.options(id, s.Nature[i])...)
		}
		for i, c := range s.Chapters {
			p.chapter(i, c)
		}
		p.last()
	})
}

func (p *teller) options(id agent.AppID, n nature) []platformtest.MemoryOption {
	var opts []platformtest.MemoryOption
	if id == comet {
		opts = append(opts, platformtest.SilentUpdates(), platformtest.NoRead())
	}
	if n.Habit != "" {
		opts = append(opts, platformtest.Keeping(platformtest.Habit(n.Habit)))
	}
	if n.Seconds {
		opts = append(opts, platformtest.WholeSeconds())
	}
	return opts
}

// chapter is what other people did, and one apply that goes wrong.
func (p *teller) chapter(i int, c chapter) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	p.want = c.desired()
	p.opts.Parallelism, p.opts.RequestTimeout = c.Parallel, requestLimit
	p.refresh = c.Refresh
	known := p.knownUIDs()
	for n, id := range []agent.AppID{comet, mind} {
		rng := rand.New(rand.NewPCG(p.tale.Seed, uint64(i*2+n)))
		p.others(id, c, rng, known[id])
		p.client[id] = p.unruly(id, c, p.tale.Nature[n], rng, known[id], cancel)
	}
	if c.CrashAt > 0 {
		p.disk.CrashAt(c.CrashAt)
	}
	p.answer = nil
	if c.Rival {
		p.answer = p.rival
	}
	rep, err := p.apply(ctx)
	p.answer = nil
	if rep != nil {
		p.adoptions(rep)
	}
	p.ended(rep, err, c.CrashAt, c.PowerCut, p.tale.Seed)
	p.lose(c.Lose)
}

// rival applies the same manifests in another checkout, which has the state that is committed and no journal. Where a
// request of this checkout is open it does not: two machines that share no storage cannot know of each other's.
func (p *teller) rival(context.Context, *plan.Plan) (asked bool, err error) {
	snap, err := p.file().Load(context.Background())
	if err != nil || len(snap.Open) > 0 || snap.Pending {
		return true, nil // this run's disk may have crashed: what it does then is the point of the tale
	}
	p.effects()
	disk, client, answer := p.disk, p.client, p.answer
	p.disk, p.client, p.answer = disk.Crash(statetest.LoseNothing), map[agent.AppID]platform.Client{}, nil
	for id, m := range p.memory {
		p.client[id] = m
	}
	rep, err := p.apply(p.ctx)
	if err != nil {
		p.Errorf("the other checkout: %v", err)
	} else {
		p.adoptions(rep)
		p.Logf("the other checkout: %s\n%s", rep.Outcome, describe(rep))
	}
	p.disk, p.client, p.answer = disk, client, answer
	// a person takes longer than lists lag: of two that create in the same second neither can know
	time.Sleep(time.Minute)
	return true, nil
}

// adoptions notes which agents were adopted: such an agent may have members in its objects that nobody wanted, for
// platforms add some, and nobody can tell.
func (p *teller) adoptions(rep *apply.Report) {
	for _, r := range rep.Results {
		if r.Action == plan.Adopt {
			p.adopted[r.Address] = r.UID
		}
	}
}

// knownUIDs are the agents that a cut list may lack: without one missing that state knows, nobody could tell.
func (p *teller) knownUIDs() map[agent.AppID]map[string]bool {
	known := map[agent.AppID]map[string]bool{comet: {}, mind: {}}
	snap, err := p.file().Load(context.Background())
	if err != nil {
		return known
	}
	wanted := map[agent.Address]bool{}
	for _, d := range p.want {
		wanted[d.Address] = true
		for _, key := range d.PreviousKeys {
			wanted[agent.Address{Platform: d.Address.Platform, App: d.Address.App, Key: key}] = true
		}
	}
	p.seen = map[string]bool{}
	for a, r := range snap.State.Agents {
		known[a.ID()][r.UID] = wanted[a] // what is deleted meanwhile may be missing
		p.seen[a.Platform+r.UID] = r.Observed != nil
	}
	for _, i := range snap.Open {
		delete(known[i.Address.ID()], i.UID)
	}
	return known
}

// others is what somebody else does before a run: changes that concern no field that the tale's manifests name, and
// agents that have nothing to do with them.
func (p *teller) others(id agent.AppID, c chapter, rng *rand.Rand, known map[string]bool) {
	m := p.memory[id]
	for _, r := range m.Agents() {
		if c.Drift > 0 && known[r.UID] && p.seen[id.Platform+r.UID] && rng.IntN(4) < c.Drift {
			if id == comet {
				m.Set(r.UID, "isActive", false)
			} else {
				m.Set(r.UID, "live", true)
			}
		}
	}
	for range c.Strangers {
		n := len(p.strangers[id])
		fields := agent.Fields{"agentName": fmt.Sprintf("Stranger %d", n), "agentPurpose": "Another thing."}
		if id == comet {
			fields = agent.Fields{"name": fmt.Sprintf("Stranger %d", n), "icon": "https://example.org/i.png",
				"integrateWith": "rasa", "integrationType": "agent",
				"integrationMeta": map[string]any{"baseUrl": "https://example.org/r"}}
		}
		r := m.Put(fields)
		p.strangers[id][r.UID] = r.Content.Fields()
	}
}

// unruly is a client of the app at a platform that is as its nature says, and goes wrong by chance in every way that
// the guarantee covers.
func (p *teller) unruly(id agent.AppID, c chapter, n nature, rng *rand.Rand, known map[string]bool,
	interrupt func()) platform.Client {
	var creates atomic.Int64
	script := func(call platformtest.Call) platformtest.Fault {
		f := platformtest.Fault{Slow: 1 + time.Duration(rng.IntN(2000))*time.Millisecond, Limit: requestLimit}
		if call.Op == platformtest.OpCreate && creates.Add(1) == int64(c.Interrupt) {
			interrupt()
		}
		if call.Op == platformtest.OpList || call.Op == platformtest.OpRead {
			f.Slow = 0
		}
		if rng.Float64() < c.Faults {
			f = p.strike(call, f, rng)
		}
		if call.Op == platformtest.OpDelete {
			delete(known, call.UID)
		}
		if call.Op == platformtest.OpList {
			cut, odd, known := c.Cut || f.List != nil, f.Odd, maps.Clone(known)
			f.List = func(all []platform.Remote) []platform.Remote {
				shown := listed(all, n.Lag, cut, known)
				for i := range shown {
					// One that nobody knows and that cannot be read stops no create, so it may be what is wanted.
					if _, isKnown := known[shown[i].UID]; odd && isKnown && i%2 == 0 {
						shown[i] = platform.Remote{UID: shown[i].UID, CreatedAt: shown[i].CreatedAt,
							Unreadable: errOddAgent}
					}
				}
				return shown
			}
		}
		return f
	}
	f := platformtest.WithScript(platformtest.WithLag(p.memory[id], platformtest.Lag{Changes: n.Lag}), script)
	p.faulty = append(p.faulty, f)
	return f
}

// strike draws what becomes of a call that goes wrong.
func (p *teller) strike(call platformtest.Call, f platformtest.Fault, rng *rand.Rand) platformtest.Fault {
	p.faults.Add(1)
	ways := map[platformtest.Op][]string{
		platformtest.OpCreate: {"lost before", "lost after", "slow", "refused", "throttled", "for an hour",
			"never sent", "stale", "odd"},
		platformtest.OpUpdate: {"lost before", "lost after", "slow", "refused", "throttled", "for an hour", "lying 404",
			"ignored", "stale"},
		platformtest.OpDelete: {"lost before", "lost after", "slow", "refused", "throttled", "for an hour", "lying 404",
			"ignored", "stale"},
		platformtest.OpList: {"lost before", "cut", "odd"},
		platformtest.OpRead: {"lost before", "lying 404"},
	}[call.Op]
	switch ways[rng.IntN(len(ways))] {
	case "lost before":
		f.Class, f.Slow = platform.Unknown, 0
	case "lost after":
		f.Class, f.After = platform.Unknown, true
	case "slow":
		f.Slow = slowest
	case "refused":
		f.Class, f.Status = platform.Refused, http.StatusBadRequest
	case "throttled":
		f.Class, f.Status, f.RetryAfter = platform.Throttled, http.StatusTooManyRequests, 2*time.Second
	case "for an hour":
		f.Class, f.Status, f.RetryAfter = platform.Throttled, http.StatusTooManyRequests, time.Hour
	case "ignored": // answered as done, and not done
		f.Ignored, f.Slow = true, 0
	case "odd": // what can be read of an agent is its uid
		f.Odd = true
	case "never sent":
		f.Class, f.NeverSent = platform.Refused, true
	case "stale":
		f.Class, f.NeverSent, f.Stale = platform.Refused, true, true
	case "lying 404": // in the voice of something that is not the platform
		f.Class, f.Status = platform.Refused, http.StatusNotFound
	case "cut":
		f.List = func(all []platform.Remote) []platform.Remote { return all } // see unruly
	}
	return f
}

var errOddAgent = errors.New("a text where a list should be")

// listed is what a list shows: nothing that is too new, and, where it is cut, nothing from the last agent on that
// state knows.
func listed(all []platform.Remote, lag time.Duration, cut bool, known map[string]bool) []platform.Remote {
	shown := slices.DeleteFunc(slices.Clone(all), func(r platform.Remote) bool { return time.Since(r.CreatedAt) < lag })
	for i := len(shown) - 1; cut && i >= 0; i-- {
		if known[shown[i].UID] {
			return shown[:i]
		}
	}
	return shown
}

// last lets the faults stop, and checks what is promised, twice: the second time after other people have changed and
// deleted agents. A few runs may be needed: one that recovers, one for what
// it found to be done, and one after a person did what they were told.
func (p *teller) last() {
	for id, m := range p.memory {
		p.client[id] = m
	}
	p.effects()
	p.refresh = true
	p.settled("at the end")
	for _, id := range []agent.AppID{comet, mind} {
		var ours []string
		for _, r := range p.memory[id].Agents() {
			if p.strangers[id][r.UID] == nil {
				ours = append(ours, r.UID)
			}
		}
		if len(ours) > 1 { // a list that shows none of ours proves nothing
			p.memory[id].Remove(ours[0])
			p.memory[id].Set(ours[1], map[agent.AppID]string{comet: "name", mind: "agentName"}[id], "Renamed")
		}
	}
	p.settled("after drift and deletes")
}

// person does what a hint says where apply may not decide: where a list shows no agent that state knows, somebody has
// to see that they are gone.
func (p *teller) person() {
	gone := map[agent.AppID][]agent.Address{}
	snap, there := p.load(p.file()), map[agent.AppID]bool{}
	for a, rec := range snap.State.Agents {
		isHere := func(r platform.Remote) bool { return r.UID == rec.UID || slices.Contains(rec.Obsolete, r.UID) }
		if slices.ContainsFunc(p.memory[a.ID()].Agents(), isHere) {
			there[a.ID()] = true
		} else {
			gone[a.ID()] = append(gone[a.ID()], a)
		}
	}
	for id, addresses := range gone {
		if there[id] {
			continue
		}
		err := p.file().Edit(p.ctx, p.load(p.file()), func(s *state.State) error {
			for _, a := range addresses {
				delete(s.Agents, a)
			}
			return nil
		})
		if err != nil {
			p.Errorf("state rm: %v", err)
		}
	}
}

// settled runs until all is done and checks it.
func (p *teller) settled(when string) {
	for range 4 {
		p.runs++
		rep, err := p.apply(p.ctx)
		if err != nil {
			p.Fatalf("%s: %v", when, err)
		}
		p.adoptions(rep)
		p.person()
		p.Logf("%s: %s\n%s", when, rep.Outcome, describe(rep))
	}
	before := len(p.failures)
	snap := p.load(p.file())
	if len(snap.Open) > 0 || snap.Pending {
		p.Errorf("%d intents are open, pending %v", len(snap.Open), snap.Pending)
	}
	for _, id := range []agent.AppID{comet, mind} {
		live := map[string]agent.Fields{}
		for _, r := range p.memory[id].Agents() {
			live[r.UID] = r.Content.Fields()
		}
		for uid, fields := range p.strangers[id] {
			if diff := gocmp.Diff(fields, live[uid]); diff != "" {
				p.Errorf("a stranger was touched (-was +is):\n%s", diff)
			}
			delete(live, uid)
		}
		for _, d := range p.want {
			rec, known := snap.State.Agents[d.Address]
			if d.Address.ID() != id {
				continue
			}
			if !known || live[rec.UID] == nil {
				p.Errorf("%s is not live (known %v)", d.Address, known)
				continue
			}
			p.content(id, d, live[rec.UID], p.adopted[d.Address] == rec.UID)
			delete(live, rec.UID)
		}
		for uid, fields := range live {
			p.Errorf("%s: %s is live and nobody's: %v", id, uid, fields)
		}
	}
	if p.plan(snap).Summary.Changes() > 0 || before != len(p.failures) {
		p.Fatalf("%s; the plan: %+v", when, p.plan(snap).Summary)
	}
}

// content holds what is live of an agent against what is wanted, as the platform keeps it.
func (p *teller) content(id agent.AppID, d agent.Desired, live agent.Fields, adopted bool) {
	n := p.tale.Nature[map[agent.AppID]int{comet: 0, mind: 1}[id]]
	keep := func(v any) any {
		if n.Habit == "" {
			return v
		}
		return platformtest.Habit(n.Habit)(agent.Fields{"f": agent.CloneValue(v)})["f"]
	}
	for _, f := range p.schemas[id.Platform].Fields {
		want, named := d.Fields[f.Name]
		if !named {
			want = f.Cleared()
		}
		kept := keep(want)
		if n.Habit == "fill" {
			kept = platformtest.Habit(n.Habit)(agent.Fields{f.Name: agent.CloneValue(want)})[f.Name]
		}
		got, is := live[f.Name]
		if agent.Equal(want, f.Cleared()) && (!is || agent.Equal(got, want)) {
			continue
		}
		if !agent.Equal(got, kept) && !(adopted && plan.Holds(&f, want, got)) {
			p.Errorf("%s: %s is %v, want %v", d.Address, f.Name, got, kept)
		}
	}
}
