package shared_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// requestLimit is how long a request to the platform may last in the stories.
const requestLimit = 30 * time.Second

// vendor is a platform whose create is a plain POST: each one that arrives makes an agent.
type vendor struct {
	mu     sync.Mutex
	agents map[string][]string // uids by address
	uids   int
}

func (v *vendor) create(addr string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.uids++
	uid := "uid-" + strconv.Itoa(v.uids)
	v.agents[addr] = append(v.agents[addr], uid)
	return uid
}

func (v *vendor) find(addr string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if uids := v.agents[addr]; len(uids) > 0 {
		return uids[0]
	}
	return ""
}

// machine is one computer on which runs follow each other. It can be killed and stopped.
type machine struct {
	name   string
	vendor *vendor
	place  *store.Memory

	mu       sync.Mutex
	rng      *rand.Rand
	calm     bool      // no faults any more
	killOnly bool      // no fault but the kill
	budget   int       // requests to the store until it is killed; below 0 it is not
	life     int       // which process it is: nothing of an earlier one leaves any more
	dead     bool      // the process was killed
	stopped  time.Time // it stands still until then
	badUntil time.Time // the store cannot be reached from here until then
	counts   tally
}

// tally counts what happened in stories.
type tally struct{ requests, faults, kills, stops, runs int }

func (a *tally) add(b tally) {
	a.requests, a.faults, a.kills = a.requests+b.requests, a.faults+b.faults, a.kills+b.kills
	a.stops, a.runs = a.stops+b.stops, a.runs+b.runs
}

// drawn is where a story's chances come from. After some of them nothing happens any more: rapid draws how many, and so
// shortens a story that fails.
type drawn struct {
	rand.PCG
	left int
}

// Uint64 returns the next one.
func (d *drawn) Uint64() uint64 {
	if d.left == 0 {
		return math.MaxUint64 // the last of the chances, whatever their number
	}
	d.left--
	return d.PCG.Uint64()
}

var errKilled = errors.New("the process was killed")

// way is the way to the store of the process that the machine runs now.
func (m *machine) way() store.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	life := m.life
	return store.Faulty{Store: m.place, Next: func(string, string) store.Fault { return m.next(life) }}
}

// next is the fault that the next request of a process to the store meets.
func (m *machine) next(life int) store.Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	if life != m.life {
		return store.Fault{Err: errKilled}
	}
	m.counts.requests++
	if m.calm {
		return store.Fault{Delay: 20 * time.Millisecond}
	}
	f := store.Fault{Delay: time.Duration(10+m.rng.IntN(200)) * time.Millisecond}
	if wait := time.Until(m.stopped); wait > 0 {
		f.Delay += wait
	}
	if m.dead {
		f.Err = errKilled
		return f
	}
	if m.budget >= 0 {
		if m.budget--; m.budget < 0 {
			m.dead = true
			m.counts.kills++
			f.Err, f.Effect, f.Late = errKilled, m.rng.IntN(2) == 0, time.Duration(m.rng.IntN(40))*time.Second
			return f
		}
	}
	switch n := m.rng.IntN(100); {
	case m.killOnly:
	case time.Now().Before(m.badUntil):
		m.counts.faults++
		f.Err = store.ErrLost
	case n < 4: // lost before the effect, after it, or carried out much later
		m.counts.faults++
		f.Err, f.Effect = store.ErrLost, n > 0
		if n > 1 {
			f.Late = time.Duration(m.rng.IntN(90)) * time.Second
		}
	case n < 5:
		m.badUntil = time.Now().Add(time.Duration(m.rng.IntN(150)) * time.Second)
	case n < 6: // SIGSTOP in the middle of a request: it is on its way, and nothing else happens here
		m.counts.stops++
		m.stopped = time.Now().Add(time.Duration(m.rng.IntN(200)) * time.Second)
		f.Delay += time.Until(m.stopped)
		f.Effect = m.rng.IntN(2) == 0
	}
	return f
}

// alive waits as long as the machine stands still, and reports whether its process lives.
func (m *machine) alive() bool {
	m.mu.Lock()
	wait := time.Until(m.stopped)
	m.mu.Unlock()
	if wait > 0 {
		time.Sleep(wait)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.dead
}

// post sends one create, and returns "" where no answer came in time. Its effect may be as late as a request may last.
func (m *machine) post(addr string) string {
	m.mu.Lock()
	lost, effect := m.rng.IntN(12), time.Duration(m.rng.IntN(300))*time.Millisecond
	if m.calm {
		lost = 11
	}
	late := time.Duration(m.rng.Int64N(int64(requestLimit)))
	m.mu.Unlock()
	switch lost {
	case 0: // nothing arrives
		time.Sleep(requestLimit)
		return ""
	case 1: // the answer is lost, and the effect comes when it comes
		time.AfterFunc(late, func() { m.vendor.create(addr) })
		time.Sleep(requestLimit)
		return ""
	}
	time.Sleep(effect)
	return m.vendor.create(addr)
}

// ledger is what a run knows: the state, and what is open.
type ledger struct {
	uids map[string]string
	open map[string]bool
}

// replay reads a view: the state, and the lines of the journal over it.
func replay(v *shared.View) (ledger, error) {
	l := ledger{map[string]string{}, map[string]bool{}}
	if v.State != nil {
		if err := json.Unmarshal(v.State, &l.uids); err != nil {
			return l, err
		}
	}
	for line := range strings.Lines(string(v.Journal)) {
		word := strings.Fields(line)
		switch word[0] {
		case "intent":
			l.open[word[1]] = true
		case "made":
			l.uids[word[1]] = word[2]
			delete(l.open, word[1])
		case "void":
			delete(l.open, word[1])
		}
	}
	return l, nil
}

func (l ledger) state() []byte {
	b, _ := json.Marshal(l.uids)
	return b
}

// apply is one run: lock, recover, create, close. It returns nil only where everything is made and recorded.
func (m *machine) apply(ctx context.Context, wanted []string) (err error) {
	place := shared.Open(m.way(), shared.Options{Request: requestLimit, Grace: requestLimit + 5*time.Second})
	lease, err := place.Lock(ctx, shared.Holder{Host: m.name, Command: "apply"})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && m.alive() { // as a command does that ends with an error
			_ = lease.Release(ctx)
		}
	}()
	locked := time.Now()
	known, err := replay(lease.View())
	if err != nil {
		return err
	}
	var first strings.Builder
	for addr := range known.open {
		fmt.Fprintf(&first, "intent %s\n", addr)
	}
	if first.Len() == 0 {
		first.WriteString("header x\n")
	}
	if err := lease.Begin(ctx, known.state(), []byte(first.String())); err != nil {
		return err
	}
	for addr := range known.open {
		// A request of before may still take effect until the grace period is over.
		time.Sleep(time.Until(locked.Add(lease.Grace())))
		line := "void " + addr + "\n"
		if uid := m.vendor.find(addr); uid != "" {
			line = "made " + addr + " " + uid + "\n"
			known.uids[addr] = uid
		}
		if err := lease.Append(ctx, []byte(line)); err != nil {
			return err
		}
		delete(known.open, addr)
	}
	for _, addr := range wanted {
		if known.uids[addr] != "" {
			continue
		}
		if err := lease.Append(ctx, []byte("intent "+addr+"\n")); err != nil {
			return err
		}
		known.open[addr] = true
		if !m.alive() {
			return errKilled
		}
		if err := lease.Check(); err != nil { // the last thing before the request
			return err
		}
		uid := m.post(addr)
		if !m.alive() {
			return errKilled
		}
		if uid == "" {
			continue // open; the next run finds out
		}
		known.uids[addr] = uid
		if err := lease.Append(ctx, []byte("made "+addr+" "+uid+"\n")); err != nil {
			return err
		}
		delete(known.open, addr)
	}
	if err := lease.Close(ctx, known.state(), len(known.open) > 0); err != nil {
		return err
	}
	if len(known.open) > 0 {
		return errors.New("something is open")
	}
	return nil
}

// work lets runs follow each other on the machine until time is up. A place that looks damaged is an error.
func (m *machine) work(parent context.Context, wanted []string, until time.Time) error {
	for time.Now().Before(until) {
		m.mu.Lock()
		m.dead, m.stopped = false, time.Time{}
		m.counts.runs++
		m.budget = -1
		if m.rng.IntN(3) < 2 {
			m.budget = m.rng.IntN(25)
		}
		patience := time.Duration(m.rng.IntN(300)) * time.Second
		pause := time.Duration(m.rng.IntN(20)) * time.Second
		m.mu.Unlock()
		ctx, cancel := context.WithTimeout(parent, patience)
		err := m.apply(ctx, wanted)
		cancel()
		m.mu.Lock()
		m.life++ // its renewal ends with the process
		m.mu.Unlock()
		if errors.As(err, new(*shared.DamageError)) {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		time.Sleep(pause)
	}
	return nil
}

// checkVendor returns what is wrong: an address with two agents, or one whose uid the state does not have.
func checkVendor(v *vendor, wanted []string, uids map[string]string) error {
	v.mu.Lock() // a create that takes effect late may be under way
	defer v.mu.Unlock()
	for addr, made := range v.agents {
		if len(made) > 1 {
			return fmt.Errorf("%s has the agents %v", addr, made)
		}
		if uids != nil && uids[addr] != made[0] {
			return fmt.Errorf("the uid %s of %s is lost: the state has %q", made[0], addr, uids[addr])
		}
	}
	for _, addr := range wanted {
		if uids != nil && uids[addr] == "" {
			return fmt.Errorf("%s was not made", addr)
		}
	}
	return nil
}

// cast is who plays in a story, and what may happen to each.
type cast struct {
	agents   int
	minutes  int           // how long it goes on
	jump     time.Duration // of the store's clock, a minute after the beginning
	machines []rand.Source // one for each: two or three
}

// story lets two or three machines work on one fleet, with everything that can happen on the way to the store, to the
// platform and to the processes; in the end one run without faults must find everything.
func story(ctx context.Context, c cast) (counts tally, err error) {
	place, v := new(store.Memory), &vendor{agents: map[string][]string{}}
	if err := shared.Open(place, shared.Options{}).Init(ctx, "lineage"); err != nil {
		return counts, err
	}
	wanted := []string{"a", "b", "c", "d", "e", "f"}[:c.agents]
	until := time.Now().Add(time.Duration(c.minutes) * time.Minute)
	machines := make([]*machine, len(c.machines))
	failed := make([]error, len(c.machines))
	var working sync.WaitGroup
	for i, source := range c.machines {
		m := &machine{name: fmt.Sprint("machine-", i), vendor: v, place: place, rng: rand.New(source)}
		machines[i] = m
		order := slices.Clone(wanted)
		m.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		working.Go(func() { failed[i] = m.work(ctx, order, until) })
	}
	time.AfterFunc(time.Minute, func() { place.SetClock(c.jump) })
	working.Wait()
	place.SetClock(0)
	if err := errors.Join(append(failed, checkVendor(v, nil, nil))...); err != nil {
		return counts, err
	}
	for _, m := range machines {
		m.mu.Lock() // a renewal may still be under way
		counts.add(m.counts)
		m.mu.Unlock()
	}
	last := &machine{name: "last", vendor: v, place: place, rng: rand.New(new(drawn)), calm: true, budget: -1}
	return counts, ends(ctx, last, wanted)
}

// ends lets a machine to which nothing happens apply once more, and returns what is wrong then.
func ends(ctx context.Context, last *machine, wanted []string) (err error) {
	for range 3 { // the first may leave nothing open; a head from the future is older than its lease after a while
		if err = last.apply(ctx, wanted); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("the last run: %w", err)
	}
	time.Sleep(5 * time.Minute) // what was late is over
	view, err := shared.Open(last.place, shared.Options{}).Read(ctx)
	if err != nil {
		return err
	}
	known, err := replay(view)
	if err == nil {
		err = checkVendor(last.vendor, wanted, known.uids)
	}
	if err == nil && (view.Holder != nil || len(known.open) > 0) {
		err = fmt.Errorf("holder %v, open %v", view.Holder, known.open)
	}
	return err
}

// TestTortureStories: never two agents for one address, every uid in the state, the plan empty, and nobody waits for
// ever. rapid draws 100 stories, or as many as -rapid.checks says; with AGENTSYNC_TORTURE, 20,000 more from seeds.
func TestTortureStories(t *testing.T) {
	var counts tally
	play := func(c cast) (err error) {
		synctest.Test(t, func(t *testing.T) {
			var more tally
			more, err = story(t.Context(), c)
			counts.add(more)
		})
		return err
	}
	jumps := []time.Duration{0, 0, time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}
	told := 0
	rapid.Check(t, func(rt *rapid.T) {
		told++
		c := cast{agents: rapid.IntRange(1, 4).Draw(rt, "agents"), minutes: rapid.IntRange(2, 12).Draw(rt, "minutes"),
			jump: rapid.SampledFrom(jumps).Draw(rt, "jump")}
		for range rapid.IntRange(2, 3).Draw(rt, "machines") {
			source := &drawn{left: rapid.IntRange(0, 4000).Draw(rt, "chances")}
			source.Seed(rapid.Uint64().Draw(rt, "seed"), 1)
			c.machines = append(c.machines, source)
		}
		if err := play(c); err != nil {
			rt.Fatal(err)
		}
	})
	if os.Getenv("AGENTSYNC_TORTURE") != "" {
		count, from := 20000, uint64(0)
		if text := os.Getenv(storiesEnv); text != "" {
			if _, err := fmt.Sscanf(text+",0", "%d,%d", &count, &from); err != nil {
				t.Fatal(err)
			}
		}
		for seed := from; seed < from+uint64(count); seed++ {
			told++
			rng := rand.New(rand.NewPCG(seed, 7))
			c := cast{agents: 3 + rng.IntN(4), minutes: 5 + rng.IntN(15), jump: jumps[rng.IntN(len(jumps))]}
			for i := range 2 + rng.Uint64N(2) {
				c.machines = append(c.machines, rand.NewPCG(seed, i))
			}
			if err := play(c); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
	t.Logf("%d stories: %d runs, %d requests to the store, %d faults, %d kills, %d stops", told, counts.runs,
		counts.requests, counts.faults, counts.kills, counts.stops)
}

// storiesEnv says how many stories are told from seeds; the first seed follows after a comma.
const storiesEnv = "AGENTSYNC_SHARED_STORIES"

// TestKillAtEveryRequest kills a run at its n-th request to the store, for every n, the request being carried out, lost
// or carried out late; another machine then takes over, and is killed at every m-th request in turn for some n.
func TestKillAtEveryRequest(t *testing.T) {
	wanted := []string{"a", "b", "c"}
	for n := 0; ; n++ {
		reached := false
		for how := range uint64(4) {
			second := -1
			if how == 3 {
				second = n * 7 % 23
			}
			synctest.Test(t, func(t *testing.T) {
				place, v := new(store.Memory), &vendor{agents: map[string][]string{}}
				if err := shared.Open(place, shared.Options{}).Init(t.Context(), "lineage"); err != nil {
					t.Fatal(err)
				}
				for i, budget := range []int{n, second, -1} {
					m := &machine{name: fmt.Sprint("machine-", i), vendor: v, place: place,
						rng: rand.New(rand.NewPCG(how, uint64(n))), killOnly: true, budget: budget}
					_ = m.apply(t.Context(), wanted)
					reached = reached || i == 0 && m.dead
					time.Sleep(2 * time.Minute) // what is late is over, and so is the lease
				}
				last := &machine{name: "last", vendor: v, place: place, rng: rand.New(new(drawn)), calm: true,
					budget: -1}
				if err := ends(t.Context(), last, wanted); err != nil {
					t.Errorf("killed at request %d, how %d: %v", n, how, err)
				}
			})
		}
		if !reached || t.Failed() {
			t.Logf("%d requests", n)
			return
		}
	}
}

// TestTakerDies kills a run in the middle of its work, then whoever takes over at its n-th request to the store, for
// every n: just after its fence, after segment 0 and everywhere else. The third one finds everything.
func TestTakerDies(t *testing.T) {
	wanted := []string{"a", "b", "c"}
	for n := 0; ; n++ {
		reached := false
		synctest.Test(t, func(t *testing.T) {
			place, v := new(store.Memory), &vendor{agents: map[string][]string{}}
			if err := shared.Open(place, shared.Options{}).Init(t.Context(), "lineage"); err != nil {
				t.Fatal(err)
			}
			for i, budget := range []int{12, n} {
				m := &machine{name: fmt.Sprint("machine-", i), vendor: v, place: place,
					rng:      rand.New(rand.NewPCG(1, uint64(n))),
					killOnly: true, budget: budget}
				_ = m.apply(t.Context(), wanted)
				reached = m.dead
				time.Sleep(2 * time.Minute)
			}
			last := &machine{name: "last", vendor: v, place: place, rng: rand.New(new(drawn)), calm: true, budget: -1}
			if err := ends(t.Context(), last, wanted); err != nil {
				t.Errorf("the taker is killed at request %d: %v", n, err)
			}
		})
		if !reached || t.Failed() {
			t.Logf("%d requests", n)
			return
		}
	}
}
