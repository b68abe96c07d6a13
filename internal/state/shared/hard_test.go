package shared_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// switched is a way to m on which every request meets a fault while there is one.
func switched(m *store.Memory) (*shared.Place, *atomic.Pointer[store.Fault]) {
	var fault atomic.Pointer[store.Fault]
	return shared.Open(store.Faulty{Store: m, Next: func(string, string) store.Fault {
		if f := fault.Load(); f != nil {
			return *f
		}
		return store.Fault{}
	}}, shared.Options{}), &fault
}

// TestForeignHead: a renewal that finds the head of whoever took over changes nothing there, and is this run's end.
func TestForeignHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		old := lock(t, p)
		ok(t, old.Begin(t.Context(), nil, []byte("one ")))
		taker, err := p.Unlock(t.Context(), shared.Holder{Host: "there"})
		ok(t, err, taker.Begin(t.Context(), nil, []byte("two ")))
		before, err := m.Get(t.Context(), "head.json")
		ok(t, err)
		time.Sleep(19 * time.Second) // not yet the taker's first renewal
		for range 5 {
			time.Sleep(20 * time.Second)
			ok(t, taker.Check())
			if v := readPatiently(t, p); v.Holder == nil || v.Holder.Host != "there" || string(v.Journal) != "two " {
				t.Fatalf("the head is %+v", v)
			}
		}
		if err := old.Check(); !errors.Is(err, shared.ErrLost) {
			t.Errorf("the one that was taken over from: %v", err)
		}
		now, err := m.Get(t.Context(), "head.json")
		if ok(t, err); bytes.Equal(now.Content, before.Content) {
			t.Error("the taker does not renew")
		}
		ok(t, taker.Append(t.Context(), []byte("three")), taker.Close(t.Context(), []byte("state"), false))
		_ = old.Release(t.Context())
		if v := readPatiently(t, p); string(v.State) != "state" || v.Holder != nil {
			t.Errorf("in the end: %+v", v)
		}
	})
}

// TestBusyStore: a store that answers 409, 429 or 503 for 20 seconds, at any point of a run, only makes it slower.
func TestBusyStore(t *testing.T) {
	for _, status := range []string{"409 ConditionalRequestConflict", "429", "503 SlowDown"} {
		for step := range 5 {
			synctest.Test(t, func(t *testing.T) {
				m, p := open(t)
				busy, fault := switched(m)
				var l *shared.Lease
				for i, do := range []func() error{
					func() (err error) { l, err = busy.Lock(t.Context(), shared.Holder{}); return err },
					func() error { return l.Begin(t.Context(), []byte("state 1"), []byte("one ")) },
					func() error { return l.Append(t.Context(), []byte("two ")) },
					func() error { return l.Append(t.Context(), []byte("three ")) },
					func() error { return l.Close(t.Context(), []byte("state 2"), false) },
				} {
					if i == step {
						fault.Store(&store.Fault{Err: errors.New(status)})
						time.AfterFunc(20*time.Second, func() { fault.Store(nil) })
					}
					if err := do(); err != nil {
						t.Fatalf("%s in step %d: %v", status, step, err)
					}
					if i == 3 {
						if v := readPatiently(t, p); string(v.Journal) != "one two three " {
							t.Errorf("%s in step %d: the journal holds %q", status, step, v.Journal)
						}
					}
				}
				if v := readPatiently(t, p); string(v.State) != "state 2" || v.Serial != 2 || v.Holder != nil {
					t.Errorf("%s in step %d: %+v", status, step, v)
				}
			})
		}
	}
}

// TestAwayAtTheEnd: where the store is away for longer than the lease when a run wants to end, the run is told so in
// time, and all that it was told is durable is there for the next.
func TestAwayAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		place, fault := switched(m)
		l := lock(t, place)
		ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")))
		fault.Store(&store.Fault{Err: store.ErrLost})
		start := time.Now()
		if err := l.Close(t.Context(), []byte("state"), false); !errors.Is(err, shared.ErrLost) {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(start); took > 70*time.Second {
			t.Errorf("the run tries for %v", took)
		}
		fault.Store(nil)
		l = lock(t, p)
		if v := l.View(); string(v.Journal) != "one two " {
			t.Errorf("the next one finds %q", v.Journal)
		}
		ok(t, l.Release(t.Context()))
	})
}

// TestStoreClock: however wrong the store's clock is, and whenever it jumps, a holder that lives is not taken over
// from, and one that is dead blocks nobody for long.
func TestStoreClock(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		for _, when := range []string{"before", "while it is held", "again and again"} {
			synctest.Test(t, func(t *testing.T) {
				m, p := open(t)
				if when == "before" {
					m.SetClock(skew)
				}
				place, fault := switched(m)
				l := lock(t, place)
				ok(t, l.Begin(t.Context(), nil, []byte("one ")))
				if when == "while it is held" {
					time.AfterFunc(30*time.Second, func() { m.SetClock(skew) })
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				if when == "again and again" {
					go func() {
						for i := 0; ctx.Err() == nil; i++ {
							m.SetClock(skew * time.Duration(i%2))
							time.Sleep(7 * time.Second)
						}
					}()
				}
				if _, err := p.Lock(ctx, shared.Holder{}); !errors.As(err, new(*shared.LockedError)) {
					t.Errorf("%v %s: a holder that lives: %v", skew, when, err)
				}
				ok(t, l.Check())
				fault.Store(&store.Fault{Err: store.ErrLost})
				start := time.Now()
				next := lock(t, p)
				if took := time.Since(start); took > 2*time.Minute {
					t.Errorf("%v %s: a dead holder is waited for %v", skew, when, took)
				}
				// A clock that jumped can make it look dead too early: then what it may still send, and for how long
				// that may last, is part of the grace period.
				taken := time.Now()
				for l.Check() == nil {
					time.Sleep(time.Second)
				}
				if still := time.Since(taken); next.Grace() < still+30*time.Second {
					t.Errorf("%v %s: the old one sends for %v more, and the grace period is %v", skew, when, still,
						next.Grace())
				}
				ok(t, next.Release(t.Context()))
				_ = l.Release(t.Context()) // ends its renewal
			})
		}
	}
}

// TestReadDuringRuns: whoever reads while runs follow each other, append, fold and clean up finds all that was
// acknowledged before, and nothing that is damaged.
func TestReadDuringRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := open(t)
		slow := func(d time.Duration) *shared.Place {
			return shared.Open(store.Faulty{Store: m, Next: func(string, string) store.Fault {
				return store.Fault{Delay: d}
			}},
				shared.Options{})
		}
		var acked atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			place, n := slow(7*time.Millisecond), int64(0)
			for range 30 {
				l, err := place.Lock(t.Context(), shared.Holder{})
				if err != nil {
					t.Error(err)
					return
				}
				state := func() []byte { return fmt.Appendf(nil, "%d", n) }
				err = l.Begin(t.Context(), state(), []byte("|"))
				for range 10 {
					n++
					err = errors.Join(err, l.Append(t.Context(), fmt.Appendf(nil, "%d|", n)))
					acked.Store(n)
				}
				if err := errors.Join(err, l.Close(t.Context(), state(), false)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		reader, views := slow(11*time.Millisecond), 0
		for {
			select {
			case <-done:
				if views < 30 {
					t.Errorf("%d views", views)
				}
				return
			default:
			}
			before := acked.Load()
			v, err := reader.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			views++
			last := string(v.State)
			if segments := strings.Split(strings.Trim(string(v.Journal), "|"), "|"); segments[0] != "" {
				last = segments[len(segments)-1]
			}
			var n int64
			if _, err := fmt.Sscan(last+" 0", &n); err != nil || n < before {
				t.Fatalf("%d was acknowledged, and a reader finds %q and %q", before, v.State, v.Journal)
			}
		}
	})
}

// TestGarbage: what runs that died had put there, or had not yet deleted, goes with the next run that writes; the
// fences stay, and so does all that counts.
func TestGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		for n := range 3 { // three runs that die with a journal, each taken over from: fences in epochs 1, 2 and 3
			place, fault := switched(m)
			l := lock(t, place)
			ok(t, l.Begin(t.Context(), fmt.Appendf(nil, "state %d", n), []byte("x ")),
				l.Append(t.Context(), []byte("y ")))
			fault.Store(&store.Fault{Err: store.ErrLost})
			time.Sleep(80 * time.Second)
		}
		counts := readPatiently(t, p)
		for _, key := range []string{
			"journal/0000000001/0000000000", "journal/0000000001/0000000001", // a cleaner died
			"state/0000000004-0000000003-20260101T000000Z-orphan.json", // written, and never named
			// by a run that woke up: a later epoch has that serial
			"state/0000000002-0000000001-20260101T000000Z-orphan.json",
		} {
			m.Put(key, []byte("left"))
		}
		l := lock(t, p)
		ok(t, l.Begin(t.Context(), nil, []byte("header ")))
		if v := readPatiently(t, p); string(v.State) != string(counts.State) || string(v.Journal) != "header " {
			t.Errorf("it counts %+v", v)
		}
		ok(t, l.Close(t.Context(), nil, false))
		keys, err := m.List(t.Context(), "")
		ok(t, err)
		var got []string
		for _, key := range keys {
			if strings.HasPrefix(key, "state/") {
				key = key[:len("state/0000000001-0000000001")]
			}
			got = append(got, key)
		}
		want := []string{"head.json", "journal/0000000001/0000000002", "journal/0000000002/0000000002",
			"journal/0000000003/0000000002", "mark/0000000003-0000000003", "mark/0000000003-0000000004",
			"state/0000000001-0000000001", "state/0000000002-0000000002", "state/0000000003-0000000003"}
		if !slices.Equal(got, want) {
			t.Errorf("there are\n%q, want\n%q", got, want)
		}
	})
}
