package apply_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/state/statetest"
)

// player plays a story. Its failures are collected, since they happen inside a bubble.
type player struct {
	*world
	ctx      context.Context
	failures []string
	log      []string
	late     sync.WaitGroup
	faults   atomic.Int64
	crashes  int
	runs     int
}

func (p *player) Helper()                  {}
func (p *player) Context() context.Context { return p.ctx }
func (p *player) Logf(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}
func (p *player) Errorf(format string, args ...any) {
	p.failures = append(p.failures, fmt.Sprintf(format, args...))
}
func (p *player) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	panic(p)
}

// play returns what went wrong.
func play(t *testing.T, s story) (p *player) {
	synctest.Test(t, func(t *testing.T) {
		p = &player{ctx: t.Context()}
		defer p.late.Wait()
		defer func() {
			if r := recover(); r != nil && r != any(p) {
				panic(r)
			}
		}()
		p.world = newWorldAt(p, "/fleet/state.json")
		p.disk = statetest.New()
		p.prune = true
		for i, st := range s.Steps {
			p.step(i, s.Seed, st)
		}
		p.end(s)
	})
	return p
}

// step is one run that goes wrong.
func (p *player) step(i int, seed uint64, st step) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	p.want = st.desired()
	p.opts.Parallelism, p.refresh = st.Parallel, st.Refresh
	known := map[agent.AppID]map[string]bool{comet: {}, mind: {}}
	if snap, err := p.file().Load(); err == nil && st.Lose == "" {
		for a, r := range snap.State.Agents {
			known[a.ID()][r.UID] = true
		}
		for _, i := range snap.Open {
			delete(known[i.Address.ID()], i.UID)
		}
	}
	var creates atomic.Int64
	for n, id := range []agent.AppID{comet, mind} {
		c := &chaos{Client: p.memory[id], rate: st.Faults, lag: st.Lag, known: known[id], rng: rand.New(rand.NewPCG(seed, uint64(i*2+n)))}
		c.note = func(string) { p.faults.Add(1) }
		c.late = func(do func()) {
			p.late.Add(1)
			time.AfterFunc(20*time.Second, func() { defer p.late.Done(); do() })
		}
		c.hit = func(int) {
			if creates.Add(1) == int64(st.Interrupt) {
				cancel()
			}
		}
		p.client[id] = c
	}
	if st.CrashAt > 0 {
		p.disk.CrashAt(st.CrashAt)
	}
	p.runs++
	rep, err := p.apply(ctx)
	if rep != nil {
		p.Logf("step %d: %s %v\n%s", i, rep.Outcome, err, describe(rep))
	}
	if st.CrashAt > 0 && errors.Is(err, statetest.ErrCrashed) {
		p.crashes++
		p.disk = p.disk.Crash(map[bool]statetest.Loss{true: statetest.LoseSome(seed), false: statetest.LoseNothing}[st.PowerCut])
	} else {
		if st.CrashAt > 0 { // it was not reached: the machine is not to crash later
			p.disk = p.disk.Crash(statetest.LoseNothing)
		}
		if _, unread := errors.AsType[*platform.Error](err); err != nil && !unread { // an app that cannot be listed ends an apply
			p.Errorf("step %d: %v", i, err)
		}
	}
	if st.Lose != "" {
		p.late.Wait()
		time.Sleep(time.Minute) // without a journal nobody knows that something may still come
	}
	if strings.Contains(st.Lose, "state") {
		p.disk.Delete("/fleet/state.json")
	}
	if strings.Contains(st.Lose, "journal") {
		p.disk.Delete("/fleet/state.json.journal")
	}
}

// end lets the faults stop and checks the guarantee. Two runs may be needed: one that settles, and one
// for what it found to be done.
func (p *player) end(s story) {
	for id, m := range p.memory {
		p.client[id] = m
		if id == comet {
			p.client[id] = altered{Client: m}
		}
	}
	for range 2 {
		p.runs++
		rep, err := p.apply(p.ctx)
		if err != nil {
			p.Fatalf("the last run: %v", err)
		}
		p.Logf("end: %s\n%s", rep.Outcome, describe(rep))
	}
	p.late.Wait()
	p.check()
	if !slices.ContainsFunc(s.Steps, func(st step) bool { return strings.Contains(st.Lose, "journal") }) {
		p.checkMarks() // else an update may have been done that nobody knows of: the plan is offline
	}
	p.perAddress(s)
}

// perAddress counts, without asking the state, that each wanted content is there as often as it is wanted.
func (p *player) perAddress(s story) {
	count := map[string]int{}
	for _, w := range s.Steps[len(s.Steps)-1].Want {
		d := w.desired()
		count[d.Address.Platform+fmt.Sprint(d.Fields["name"], d.Fields["agentName"])]++
	}
	for id, m := range p.memory {
		for _, r := range m.Agents() {
			count[id.Platform+fmt.Sprint(r.Content.Fields()["name"], r.Content.Fields()["agentName"])]--
		}
	}
	for name, n := range count {
		if n != 0 {
			p.Errorf("%s: %d agents too few at the platform", name, n)
		}
	}
}
