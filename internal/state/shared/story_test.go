package shared_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
	dead     bool      // the process was killed: nothing of it leaves any more
	stopped  time.Time // it stands still until then
	badUntil time.Time // the store cannot be reached from here until then
	requests int
}

var errKilled = errors.New("the process was killed")

// next is the fault that the machine's next request to the store meets.
func (m *machine) next(method, _ string) store.Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
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
			f.Err, f.Effect, f.Late = errKilled, m.rng.IntN(2) == 0, time.Duration(m.rng.IntN(40))*time.Second
			return f
		}
	}
	switch n := m.rng.IntN(100); {
	case m.killOnly:
	case time.Now().Before(m.badUntil):
		f.Err = store.ErrLost
	case n < 4: // lost before the effect, after it, or carried out much later
		f.Err, f.Effect = store.ErrLost, n > 0
		if n > 1 {
			f.Late = time.Duration(m.rng.IntN(90)) * time.Second
		}
	case n < 5:
		m.badUntil = time.Now().Add(time.Duration(m.rng.IntN(150)) * time.Second)
	case n < 6: // SIGSTOP in the middle of a request: it is on its way, and nothing else happens here
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
func (m *machine) apply(ctx context.Context, wanted []string) error {
	place := shared.Open(store.Faulty{Store: m.place, Next: m.next}, shared.Options{Request: requestLimit, Grace: requestLimit + 5*time.Second})
	lease, err := place.Lock(ctx, shared.Holder{Host: m.name, Command: "apply"})
	if err != nil {
		return err
	}
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

// work lets runs follow each other on the machine until one is through, or time is up.
func (m *machine) work(t *testing.T, wanted []string, until time.Time) {
	for time.Now().Before(until) {
		m.mu.Lock()
		m.dead, m.stopped = false, time.Time{}
		m.budget = -1
		if m.rng.IntN(3) > 0 {
			m.budget = m.rng.IntN(25)
		}
		patience := time.Duration(m.rng.IntN(300)) * time.Second
		pause := time.Duration(m.rng.IntN(20)) * time.Second
		m.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := m.apply(ctx, wanted)
		cancel()
		var damage *shared.DamageError
		if errors.As(err, &damage) {
			t.Errorf("%s: %v", m.name, err)
		}
		time.Sleep(pause)
	}
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

// story lets two or three machines work on one fleet, with everything that can happen on the way to the store, to the
// platform and to the processes; in the end one run without faults must find everything.
func story(t *testing.T, seed uint64) (requests int) {
	place, v := new(store.Memory), &vendor{agents: map[string][]string{}}
	if err := shared.Open(place, shared.Options{}).Init(t.Context(), "lineage"); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	wanted := []string{"a", "b", "c", "d", "e", "f"}[:3+rng.IntN(4)]
	until := time.Now().Add(time.Duration(5+rng.IntN(15)) * time.Minute)
	var machines []*machine
	var working sync.WaitGroup
	for i := range 2 + rng.IntN(2) {
		m := &machine{name: fmt.Sprint("machine-", i), vendor: v, place: place, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		machines = append(machines, m)
		order := slices.Clone(wanted)
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		working.Go(func() { m.work(t, order, until) })
	}
	if rng.IntN(4) == 0 { // the store's clock jumps
		time.AfterFunc(time.Duration(rng.IntN(300))*time.Second, func() {
			place.SetClock([]time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}[rng.IntN(4)])
		})
	}
	working.Wait()
	place.SetClock(0)
	if err := checkVendor(v, nil, nil); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	last := &machine{name: "last", vendor: v, place: place, rng: rng, calm: true, budget: -1}
	var err error
	for range 3 { // the first may leave nothing open; a head from the future is older than its lease after a while
		if err = last.apply(t.Context(), wanted); err == nil {
			break
		}
	}
	time.Sleep(5 * time.Minute) // what was late is over
	if err != nil {
		t.Errorf("seed %d: the last run: %v", seed, err)
	}
	view, err := shared.Open(place, shared.Options{}).Read(t.Context())
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	known, err := replay(view)
	if err == nil {
		err = checkVendor(v, wanted, known.uids)
	}
	if err != nil || view.Holder != nil || len(known.open) > 0 {
		t.Errorf("seed %d: %v; holder %v, open %v", seed, err, view.Holder, known.open)
	}
	for _, m := range machines {
		m.mu.Lock() // a renewal may still be under way
		requests += m.requests
		m.mu.Unlock()
	}
	return requests
}

// storiesEnv says how many stories are told; the first seed follows after a comma.
const storiesEnv = "AGENTSYNC_SHARED_STORIES"

// TestStories: never two agents for one address, every uid in the state, the plan empty, and nobody waits for ever.
func TestStories(t *testing.T) {
	count, from := 60, uint64(0)
	if text := os.Getenv(storiesEnv); text != "" {
		if _, err := fmt.Sscanf(text+",0", "%d,%d", &count, &from); err != nil {
			t.Fatal(err)
		}
	}
	requests := 0
	for i := range count {
		synctest.Test(t, func(t *testing.T) { requests += story(t, from+uint64(i)) })
		if t.Failed() {
			return
		}
	}
	t.Logf("%d stories, %d requests to the store", count, requests)
}

// TestKillAtEveryRequest kills a run at its n-th request to the store, for every n, the request being carried out, lost or
// carried out late; another machine then takes over, and is killed at every m-th request in turn for some n.
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
					m := &machine{name: fmt.Sprint("machine-", i), vendor: v, place: place, rng: rand.New(rand.NewPCG(how, uint64(n))), killOnly: true, budget: budget}
					_ = m.apply(t.Context(), wanted)
					reached = reached || i == 0 && m.dead
					time.Sleep(2 * time.Minute) // what is late is over, and so is the lease
				}
				last := &machine{name: "last", vendor: v, place: place, rng: rand.New(rand.NewPCG(how, 1)), calm: true, budget: -1}
				if err := last.apply(t.Context(), wanted); err != nil {
					t.Errorf("killed at request %d: the last run: %v", n, err)
				}
				view, err := shared.Open(place, shared.Options{}).Read(t.Context())
				if err != nil {
					t.Fatalf("killed at request %d: %v", n, err)
				}
				known, err := replay(view)
				if err == nil {
					err = checkVendor(v, wanted, known.uids)
				}
				if err != nil {
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
