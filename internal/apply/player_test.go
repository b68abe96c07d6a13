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
	"agentsync/internal/apply"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/state/statetest"
)

// player plays a story. Its failures are collected, since they happen inside a bubble.
type player struct {
	*world
	ctx      context.Context
	failures []string
	log      []string
	late     sync.WaitGroup         // what platforms still do
	faulty   []*platformtest.Faulty // the same of these
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

// inBubble tells a story in a world of its own, and returns what went wrong.
func inBubble(t *testing.T, tell func(*player)) (p *player) {
	synctest.Test(t, func(t *testing.T) {
		p = &player{ctx: t.Context()}
		defer p.effects()
		defer func() {
			if r := recover(); r != nil && r != any(p) {
				panic(r)
			}
		}()
		p.world = newWorldAt(p, "/fleet/state.json")
		p.disk, p.prune = statetest.New(), true
		tell(p)
	})
	return p
}

// effects waits for what the platforms still do.
func (p *player) effects() {
	p.late.Wait()
	for _, f := range p.faulty {
		f.Wait()
	}
}

// ended notes how a run ended that was to crash at a call of the disk, 0 for none, and lets what was not synced be
// lost.
func (p *player) ended(rep *apply.Report, err error, crashAt int, powerCut bool, seed uint64) {
	p.runs++
	if rep != nil {
		p.Logf("run %d: %s %v\n%s", p.runs, rep.Outcome, err, describe(rep))
	}
	var loss statetest.Loss = statetest.LoseNothing
	switch crashed := crashAt > 0 && errors.Is(err, statetest.ErrCrashed); {
	case crashed:
		p.crashes++
		if powerCut {
			loss = statetest.LoseSome(seed)
		}
	case err != nil:
		_, unread := errors.AsType[*platform.Error](err) // an app that cannot be listed ends an apply
		_, stale := errors.AsType[*apply.StaleError](err)
		if !unread && !stale {
			p.Errorf("run %d: %v", p.runs, err)
		}
	}
	if crashAt > 0 { // a crash that was not reached is not to come later
		p.disk = p.disk.Crash(loss)
	}
}

// lose deletes files: "state", "journal" or both.
func (p *player) lose(files string) {
	if files != "" {
		p.effects()
		time.Sleep(time.Minute) // without a journal nobody knows that something may still come
	}
	for _, file := range strings.Fields(files) {
		p.disk.Delete(map[string]string{"state": "/fleet/state.json", "journal": "/fleet/state.json.journal"}[file])
	}
}

// play plays a story at platforms that keep what they are sent.
func play(t *testing.T, s story) *player {
	return inBubble(t, func(p *player) {
		for i, st := range s.Steps {
			p.step(i, s.Seed, st)
		}
		p.end(s)
	})
}

// step is one run that goes wrong.
func (p *player) step(i int, seed uint64, st step) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	p.want = st.desired()
	p.opts.Parallelism, p.refresh = st.Parallel, st.Refresh
	known := map[agent.AppID]map[string]bool{comet: {}, mind: {}}
	if snap, err := p.file().Load(context.Background()); err == nil && st.Lose == "" {
		for a, r := range snap.State.Agents {
			known[a.ID()][r.UID] = true
		}
		for _, i := range snap.Open {
			delete(known[i.Address.ID()], i.UID)
		}
	}
	var creates atomic.Int64
	for n, id := range []agent.AppID{comet, mind} {
		c := &chaos{Client: p.memory[id], rate: st.Faults, lag: st.Lag, known: known[id],
			rng: rand.New(rand.NewPCG(seed, uint64(i*2+n)))}
		c.note = func(string) { p.faults.Add(1) }
		disk := p.disk
		c.dies = func() bool { return ctx.Err() != nil || disk.Crashed() }
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
	rep, err := p.apply(ctx)
	p.ended(rep, err, st.CrashAt, st.PowerCut, seed)
	p.lose(st.Lose)
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
	p.effects()
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
