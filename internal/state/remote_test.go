package state_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// machine is one machine's way to the state in a place.
func machine(t *testing.T, s store.Store) *state.File {
	t.Helper()
	return state.NewShared(shared.Open(s, shared.Options{}))
}

// newPlace is a shared state in memory.
func newPlace(t *testing.T) *store.Memory {
	t.Helper()
	m := new(store.Memory)
	if err := shared.Open(m, shared.Options{}).Init(t.Context(), "fleet"); err != nil {
		t.Fatal(err)
	}
	return m
}

func lockNow(t *testing.T, f *state.File) (unlock func() error) {
	t.Helper()
	unlock, err := f.Lock(t.Context(), state.Holder{Host: "build-7"})
	if err != nil {
		t.Fatal(err)
	}
	return unlock
}

func load(t *testing.T, f *state.File) *state.Snapshot {
	t.Helper()
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func good(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// intend stores the intent to make an agent, and asks whether its request may leave.
func intend(run *state.Run, key string) (id uint64, err error) {
	if id, err = run.Intend(state.Intent{Address: addr(key), Action: "create", Fields: doc(key)}); err == nil {
		err = run.Leaving(id)
	}
	return id, err
}

// TestShared goes through runs on two machines: one that is read while it goes on, one that stands still and is taken
// over from, and what that one may do when it wakes up.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newPlace(t)
		asleep := new(atomic.Bool)
		one, two := machine(t, store.Faulty{Store: m, Next: func(string, string) store.Fault {
			if asleep.Load() {
				return store.Fault{Err: store.ErrLost}
			}
			return store.Fault{}
		}}), machine(t, m)
		unlock := lockNow(t, one)
		run := begin(t, one)
		if run.Lineage() != "fleet" {
			t.Errorf("the lineage is %q", run.Lineage())
		}
		id, err := intend(run, "a")
		good(t, err)
		result := recorded("a", "a1")
		result.Intent = id
		commit(t, run, result)
		if snap := load(t, two); snap.State.Agents[addr("a")].UID != "a1" || !snap.Pending || snap.Exists {
			t.Errorf("during the run another machine sees %+v", snap)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = two.Lock(ctx, state.Holder{})
		if locked, ok := errors.AsType[*state.LockedError](err); !ok || locked.Holder.Host != "build-7" ||
			time.Duration(locked.Holder.Lease) != time.Minute {
			t.Errorf("while it is held: %v", err)
		}
		good(t, run.Close(t.Context()), unlock())
		if snap := load(t, two); snap.State.Serial != 1 || snap.Pending || len(snap.Open) > 0 || !snap.Exists ||
			snap.State.Lineage != "fleet" {
			t.Errorf("after the run: %+v", snap)
		}

		unlock = lockNow(t, one)
		run = begin(t, one)
		_, err = intend(run, "b")
		good(t, err)
		commit(t, run, recorded("a", "a2"))
		asleep.Store(true)
		time.Sleep(2 * time.Minute)
		unlockTwo := lockNow(t, two)
		snap := load(t, two)
		if len(snap.Open) != 1 || snap.Open[0].NeverLeft || snap.State.Agents[addr("a")].UID != "a2" ||
			snap.Grace < 35*time.Second || snap.Grace > 65*time.Second {
			t.Errorf("the taker finds %+v", snap)
		}
		asleep.Store(false)
		if _, err := intend(run, "c"); !errors.Is(err, shared.ErrLost) || !errors.Is(err, state.ErrBroken) {
			t.Errorf("the one that woke up may send: %v", err)
		}
		if err := run.Commit(recorded("b", "b1")); !errors.Is(err, state.ErrBroken) {
			t.Errorf("and is told that a result is durable: %v", err)
		}
		if err := run.Close(t.Context()); !errors.Is(err, shared.ErrLost) {
			t.Errorf("and closes: %v", err)
		}
		t.Chdir(t.TempDir())
		rescued, err := one.Rescue(run.State())
		good(t, err)
		_ = unlock()

		next := begin(t, two)
		good(t, next.Close(t.Context())) // the intent stays
		snap = load(t, two)
		if len(snap.Open) != 1 || snap.Pending || snap.State.Serial != 2 {
			t.Errorf("the taker leaves %+v", snap)
		}
		content, err := os.ReadFile(rescued)
		good(t, err)
		other, err := state.Decode(rescued, content)
		good(t, err)
		good(t, two.Edit(t.Context(), snap, func(s *state.State) error { return s.Merge(other) }), unlockTwo())
		if snap = load(t, one); snap.State.Agents[addr("b")].UID != "b1" || len(snap.Open) != 1 ||
			snap.State.Serial != 3 {
			t.Errorf("in the end: %+v", snap)
		}
	})
}

// TestSharedEdit: results that a run left come into the state before an edit, and open intents stay.
func TestSharedEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newPlace(t)
		f := machine(t, m)
		died := lockNow(t, f)
		run := begin(t, f)
		_, err := intend(run, "open")
		good(t, err)
		commit(t, run, recorded("a", "a1"), recorded("b", "b1"))
		taker, err := shared.Open(m, shared.Options{}).Unlock(t.Context(), shared.Holder{}) // as if it had died
		good(t, err, taker.Release(t.Context()))
		_, _ = run.Close(t.Context()), died()
		f = machine(t, m)
		unlock := lockNow(t, f)
		good(t, f.Edit(t.Context(), load(t, f), func(s *state.State) error {
			delete(s.Agents, addr("a"))
			return nil
		}))
		snap := load(t, f)
		if len(snap.State.Agents) != 1 || len(snap.Open) != 1 || snap.Pending || snap.State.Serial != 2 {
			t.Errorf("after the edit: %+v", snap)
		}
		good(t, unlock())
		if again := load(t, machine(t, m)); len(again.State.Agents) != 1 || len(again.Open) != 1 {
			t.Errorf("read again: %+v", again)
		}
		if err := f.Edit(t.Context(), snap, func(s *state.State) error { clear(s.Agents); return nil }); err == nil {
			t.Error("an edit without the lock goes through")
		}
	})
}

// TestSharedDamage: there is no torn line in a shared place, so a segment that is cut is told, with the object; so is a
// line that was written wrong.
func TestSharedDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newPlace(t)
		f := machine(t, m)
		unlock := lockNow(t, f)
		run := begin(t, f)
		_, err := intend(run, "open")
		good(t, err)
		key := "journal/0000000001/0000000001"
		o, err := m.Get(t.Context(), key)
		good(t, err)
		m.Put(key, o.Content[:len(o.Content)-10])
		_, err = machine(t, m).Load(t.Context())
		if damage, ok := errors.AsType[*shared.DamageError](err); !ok || damage.Key != key || damage.Hint == "" {
			t.Errorf("got %#v", err)
		}
		m.Put(key, o.Content)
		good(t, run.Close(t.Context()), unlock())
		lease, err := shared.Open(m, shared.Options{}).Lock(t.Context(), shared.Holder{})
		good(t, err, lease.Begin(t.Context(), nil, []byte("no line of a journal\n")), lease.Release(t.Context()))
		_, err = machine(t, m).Load(t.Context())
		format, ok := errors.AsType[*state.FormatError](err)
		if !ok || !strings.Contains(format.Name, "journal/000000000") ||
			!strings.Contains(format.Hint, "state rollback") ||
			strings.Contains(format.Hint, "git") {
			t.Errorf("got %#v", err)
		}
	})
}
