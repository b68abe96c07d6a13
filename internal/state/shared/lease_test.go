package shared_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// open makes a shared state in memory, and returns a way to it on which the n-th request of a method meets a fault.
func open(t *testing.T) (*store.Memory, *shared.Place) {
	t.Helper()
	m := new(store.Memory)
	p := shared.Open(m, shared.Options{})
	if err := p.Init(t.Context(), "lineage"); err != nil {
		t.Fatal(err)
	}
	return m, p
}

func lock(t *testing.T, p *shared.Place) *shared.Lease {
	t.Helper()
	l, err := p.Lock(t.Context(), shared.Holder{Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func readPatiently(t *testing.T, p *shared.Place) *shared.View {
	t.Helper()
	v, err := p.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestRun goes through a run, a run that leaves something open, and one that does nothing.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		l := lock(t, p)
		ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")),
			l.Append(t.Context(), []byte("three")))
		if v := readPatiently(t, p); string(v.Journal) != "one two three" || v.Holder == nil ||
			v.Holder.Host != "here" ||
			v.State != nil {
			t.Errorf("during the run: %+v", v)
		}
		ok(t, l.Close(t.Context(), []byte("state 1"), false))
		if v := readPatiently(t, p); string(v.State) != "state 1" || len(v.Journal) > 0 || v.Serial != 1 ||
			v.Holder != nil ||
			v.Lineage != "lineage" {
			t.Errorf("after it: %+v", v)
		}
		if l.Check() == nil || l.Append(t.Context(), []byte("x")) == nil {
			t.Error("a run that is closed goes on")
		}
		l = lock(t, p)
		ok(t, l.Begin(t.Context(), nil, []byte("open ")), l.Close(t.Context(), nil, true))
		if v := readPatiently(t, p); string(v.State) != "state 1" || string(v.Journal) != "open " || v.Serial != 1 {
			t.Errorf("with something open: %+v", v)
		}
		l = lock(t, p)
		if v := l.View(); string(v.Journal) != "open " || l.Epoch() != 3 {
			t.Errorf("the next run finds %+v in epoch %d", v, l.Epoch())
		}
		ok(t, l.Release(t.Context()))
		if v := readPatiently(t, p); string(v.Journal) != "open " || v.Holder != nil {
			t.Errorf("released: %+v", v)
		}
		before := m.Count("create") + m.Count("replace") + m.Count("delete")
		readPatiently(t, p)
		if now := m.Count("create") + m.Count("replace") + m.Count("delete"); now != before {
			t.Error("reading writes")
		}
	})
}

// TestZombie: a writer that was taken over from is refused at each thing that it may do when it wakes up, also where
// the taker has cleaned up meanwhile, and what it was told is durable is there.
func TestZombie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		var asleep atomic.Bool
		sleeper := shared.Open(store.Faulty{Store: m, Next: func(string, string) store.Fault {
			if asleep.Load() {
				return store.Fault{Err: store.ErrLost}
			}
			return store.Fault{}
		}}, shared.Options{})
		old := lock(t, sleeper)
		ok(t, old.Begin(t.Context(), nil, []byte("one ")), old.Append(t.Context(), []byte("two ")))
		asleep.Store(true)
		time.Sleep(80 * time.Second)
		taker := lock(t, p)
		if v := taker.View(); string(v.Journal) != "one two " || taker.Grace() < 35*time.Second ||
			taker.Grace() > 65*time.Second {
			t.Errorf("the taker finds %+v, grace %v", v, taker.Grace())
		}
		ok(t, taker.Begin(t.Context(), []byte("state"), []byte("three ")))
		asleep.Store(false)
		// Straight at the store, as requests do that were held up on their way.
		if _, err := m.Create(t.Context(), "journal/0000000001/0000000002", []byte("late")); !errors.Is(err,
			store.ErrExists) {
			t.Errorf("there is room where the taker cleaned up: %v", err)
		}
		for name, err := range map[string]error{
			"check": old.Check(), "append": old.Append(t.Context(), []byte("late")),
			"close": old.Close(t.Context(), []byte("late"), false),
		} {
			if !errors.Is(err, shared.ErrLost) {
				t.Errorf("%s of a run that was taken over from: %v", name, err)
			}
		}
		ok(t, taker.Append(t.Context(), []byte("four")), taker.Close(t.Context(), []byte("state 2"), false))
		if v := readPatiently(t, p); string(v.State) != "state 2" || v.Serial != 2 {
			t.Errorf("in the end: %+v", v)
		}
	})
}

// TestAppendAndFence: an append just before the fence is read by the taker; one just after it is refused.
func TestAppendAndFence(t *testing.T) {
	for _, first := range []string{"append", "fence"} {
		synctest.Test(t, func(t *testing.T) {
			m, p := open(t)
			old := lock(t, p)
			ok(t, old.Begin(t.Context(), nil, []byte("one ")))
			var appended error
			raced := false
			racing := shared.Open(store.Faulty{Store: m, Next: func(method, _ string) store.Fault {
				if first == "append" && method == "create" && !raced {
					raced = true
					appended = old.Append(t.Context(), []byte("two ")) // between the taker's last read and its fence
				}
				return store.Fault{}
			}}, shared.Options{})
			taker, err := racing.Unlock(t.Context(), shared.Holder{})
			ok(t, err)
			if first == "fence" {
				appended = old.Append(t.Context(), []byte("two "))
			}
			journal := string(taker.View().Journal)
			if first == "append" && (appended != nil || journal != "one two ") || first == "fence" &&
				(!errors.Is(appended, shared.ErrLost) || journal != "one ") {
				t.Errorf("%s first: %v, and the taker finds %q", first, appended, journal)
			}
			ok(t, taker.Release(t.Context()))
			_ = old.Release(t.Context()) // ends its renewal
		})
	}
}

// TestLostAnswers: each request of a run in turn loses its answer, before or after its effect, or is carried out late.
func TestLostAnswers(t *testing.T) {
	for n := 1; ; n++ {
		done := false
		for _, f := range []store.Fault{{Err: store.ErrLost}, {Err: store.ErrLost, Effect: true},
			{Err: store.ErrLost, Effect: true, Late: 300 * time.Millisecond},
			{Err: store.ErrLost, Effect: true, Late: 30 * time.Second}} {
			synctest.Test(t, func(t *testing.T) {
				m, p := open(t)
				var count atomic.Int64
				faulty := shared.Open(store.Faulty{Store: m, Next: func(string, string) store.Fault {
					if count.Add(1) == int64(n) {
						return f
					}
					return store.Fault{}
				}}, shared.Options{})
				l := lock(t, faulty)
				ok(t, l.Begin(t.Context(), []byte("state 1"), []byte("one ")), l.Append(t.Context(), []byte("two ")),
					l.Append(t.Context(), []byte("three ")))
				if v := readPatiently(t, p); string(v.Journal) != "one two three " {
					t.Errorf("request %d, %+v: the journal holds %q", n, f, v.Journal)
				}
				ok(t, l.Close(t.Context(), []byte("state 2"), false))
				time.Sleep(time.Minute)
				if v := readPatiently(t, p); string(v.State) != "state 2" || v.Serial != 2 || v.Holder != nil {
					t.Errorf("request %d, %+v: %+v", n, f, v)
				}
				ok(t, lock(t, p).Release(t.Context()))
				done = count.Load() < int64(n)
			})
		}
		if done || t.Failed() {
			return
		}
	}
}

// TestManyAtOnce: fifty inits, then 50 runs at once that wait, and 50 that do not: one at a time has the lock.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(store.Memory)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { ok(t, shared.Open(m, shared.Options{}).Init(t.Context(), fmt.Sprint("lineage ", i))) })
		}
		wg.Wait()
		lineage := readPatiently(t, shared.Open(m, shared.Options{})).Lineage
		var holders, through atomic.Int64
		run := func(wait time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			slow := store.Faulty{Store: m,
				Next: func(string, string) store.Fault { return store.Fault{Delay: 10 * time.Millisecond} }}
			l, err := shared.Open(slow, shared.Options{}).Lock(ctx, shared.Holder{})
			var held *shared.LockedError
			if errors.As(err, &held) && wait < time.Minute {
				return
			}
			ok(t, err)
			if n := holders.Add(1); n != 1 {
				t.Errorf("%d have the lock", n)
			}
			ok(t, l.Begin(t.Context(), nil, []byte("x")))
			holders.Add(-1)
			ok(t, l.Close(t.Context(), []byte("s"), false))
			through.Add(1)
		}
		for i := range 100 {
			wg.Go(func() { run([]time.Duration{0, time.Hour}[i%2]) })
		}
		wg.Wait()
		v := readPatiently(t, shared.Open(m, shared.Options{}))
		if n := through.Load(); n < 50 || v.Serial != uint64(n) || v.Epoch != uint64(n) || v.Lineage != lineage {
			t.Errorf("%d runs are through; %+v", n, v)
		}
	})
}

// TestRenewal: a run of an hour keeps its lock; one that cannot renew stops before its lease is over, whatever its wall
// clock says, and is not waited for longer than that.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		var down atomic.Bool
		l := lock(t, shared.Open(store.Faulty{Store: m, Next: func(string, string) store.Fault {
			if down.Load() {
				return store.Fault{Err: store.ErrLost}
			}
			return store.Fault{}
		}}, shared.Options{}))
		ok(t, l.Begin(t.Context(), nil, []byte("x")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var held *shared.LockedError
		if _, err := p.Lock(ctx, shared.Holder{}); !errors.As(err, &held) || held.Holder.Host != "here" ||
			held.Age > 20*time.Second {
			t.Errorf("after an hour: %v", err)
		}
		ok(t, l.Check(), l.Append(t.Context(), []byte("y")))
		down.Store(true)
		start := time.Now()
		if err := l.Append(t.Context(), []byte("z")); !errors.Is(err, shared.ErrUnknown) ||
			!errors.Is(err, shared.ErrLost) {
			t.Errorf("while the store is away: %v", err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the run goes on for %v", took)
		}
		ok(t, lock(t, p).Release(t.Context()))
		if took := time.Since(start); took > 100*time.Second {
			t.Errorf("the next one waits for %v", took)
		}
	})
}

// TestBadPlaces: what somebody did by hand is refused, with the object and the way back, and nothing is changed.
func TestBadPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(m *store.Memory, older []byte)
		key  string
		want string
	}{
		"head deleted":  {func(m *store.Memory, _ []byte) { m.Put("head.json", nil) }, "head.json", "state/0000000001"},
		"head put back": {func(m *store.Memory, older []byte) { m.Put("head.json", older) }, "head.json", "put back"},
		"head of a newer": {func(m *store.Memory, _ []byte) { m.Put("head.json", []byte(`{"version":2,"more":1}`)) },
			"head.json", "newer agentsync"},
		"head cut": {func(m *store.Memory, _ []byte) { m.Put("head.json", []byte(`{"version":1,`)) }, "head.json",
			"cannot be read"},
		"another file": {func(m *store.Memory, _ []byte) { m.Put("head.json", []byte(`{}`)) }, "head.json",
			"not the head"},
		"state missing": {func(m *store.Memory, _ []byte) { remove(m, "state/") }, "state/", "missing"},
		"state changed": {func(m *store.Memory, _ []byte) { change(m, "state/") }, "state/", "digest"},
		"segment missing": {func(m *store.Memory, _ []byte) { m.Put("journal/0000000002/0000000001", nil) },
			"journal/0000000002/0000000001", "missing"},
		"segment cut": {func(m *store.Memory, _ []byte) { cut(m, "journal/0000000002/0000000001") },
			"journal/0000000002/0000000001", "is cut"},
		"last segment cut": {func(m *store.Memory, _ []byte) { cut(m, "journal/0000000002/0000000002") },
			"journal/0000000002/0000000002", "is cut"},
		"first of a journal": {func(m *store.Memory, _ []byte) { remove(m, "journal/0000000002/") },
			"journal/0000000002/0000000000", "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := open(t)
				older, err := m.Get(t.Context(), "head.json")
				ok(t, err)
				l := lock(t, p)
				ok(t, l.Begin(t.Context(), nil, []byte("x")), l.Close(t.Context(), []byte("state"), false))
				l = lock(t, p)
				ok(t, l.Begin(t.Context(), nil, []byte("a")), l.Append(t.Context(), []byte("b")),
					l.Append(t.Context(), []byte("c")), l.Close(t.Context(), nil, true))
				c.harm(m, older.Content)
				_, err = p.Lock(t.Context(), shared.Holder{})
				var damage *shared.DamageError
				if !errors.As(err, &damage) || !strings.HasPrefix(damage.Key, c.key) ||
					!strings.Contains(err.Error(), c.want) ||
					damage.Hint == "" {
					t.Errorf("got %v", err)
				}
			})
		})
	}
	if _, err := shared.Open(new(store.Memory), shared.Options{}).Read(t.Context()); !errors.Is(err,
		shared.ErrNotInitialised) {
		t.Errorf("an empty place: %v", err)
	}
}

// remove takes out every object below prefix, and change edits it.
func remove(m *store.Memory, prefix string) { each(m, prefix, func(key string) { m.Put(key, nil) }) }
func change(m *store.Memory, prefix string) {
	each(m, prefix, func(key string) { m.Put(key, []byte("edited")) })
}

// cut takes the last byte of an object.
func cut(m *store.Memory, key string) {
	o, _ := m.Get(context.Background(), key)
	m.Put(key, o.Content[:len(o.Content)-1])
}

func each(m *store.Memory, prefix string, do func(string)) {
	keys, _ := m.List(context.Background(), prefix)
	for _, key := range keys {
		do(key)
	}
}

// TestReadOnly: reading needs no more than that; a run that may not write ends before anything is sent.
func TestReadOnly(t *testing.T) {
	m, p := open(t)
	l := lock(t, p)
	ok(t, l.Begin(t.Context(), nil, []byte("x")), l.Close(t.Context(), []byte("state"), false))
	reader := shared.Open(store.Faulty{Store: m, Next: func(method, _ string) store.Fault {
		if method != "get" && method != "list" {
			return store.Fault{Err: store.ErrDenied}
		}
		return store.Fault{}
	}}, shared.Options{})
	if v := readPatiently(t, reader); string(v.State) != "state" {
		t.Errorf("%+v", v)
	}
	if _, err := reader.Lock(t.Context(), shared.Holder{}); !errors.Is(err, store.ErrDenied) {
		t.Errorf("lock: %v", err)
	}
}
