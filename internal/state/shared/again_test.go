package shared_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/state/shared"
)

// TestTwoJournals: one lease can begin a journal twice, as an apply does that first brings in what an earlier run left;
// the second one has an epoch of its own, and what the first said is in the state.
func TestTwoJournals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		l := lock(t, p)
		ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")),
			l.Save(t.Context(), []byte("state 1"), false))
		if v := l.View(); string(v.State) != "state 1" || v.Journal != nil || v.Serial != 1 {
			t.Errorf("after the first: %+v", v)
		}
		ok(t, l.Begin(t.Context(), nil, []byte("three ")), l.Append(t.Context(), []byte("four ")))
		if v := readPatiently(t, p); string(v.State) != "state 1" || string(v.Journal) != "three four " ||
			v.Epoch != 2 ||
			v.Holder == nil {
			t.Errorf("during the second: %+v", v)
		}
		ok(t, l.Begin(t.Context(), []byte("state 2"), []byte("open ")))
		if v := l.View(); string(v.State) != "state 2" || string(v.Journal) != "open " {
			t.Errorf("after the third: %+v", v)
		}
		ok(t, l.Release(t.Context()))
		l = lock(t, p)
		if v := l.View(); string(v.State) != "state 2" || string(v.Journal) != "open " || l.Epoch() != 4 {
			t.Errorf("the next run finds %+v in epoch %d", v, l.Epoch())
		}
		ok(t, l.Save(t.Context(), nil, false), l.Save(t.Context(), nil, false), l.Release(t.Context()))
		keys, err := m.List(t.Context(), "journal/")
		if ok(t, err); len(keys) != 1 { // the fence
			t.Errorf("the journals leave %q", keys)
		}
	})
}

// TestGraceIsHandedOn: what a run that was taken over from may have under way does not end with the next run, which may
// be a person's 'state unlock', and the lease of one that lives is waited for as well.
func TestGraceIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		slow := lock(t, shared.Open(m, shared.Options{Request: 10 * time.Minute}))
		l, err := p.Unlock(t.Context(), shared.Holder{})
		ok(t, err)
		const want = 10*time.Minute + 5*time.Second + time.Minute
		if l.Grace() != want {
			t.Errorf("the grace after an unlock is %v, want %v", l.Grace(), want)
		}
		ok(t, l.Release(t.Context()))
		l = lock(t, p)
		if l.Grace() != want {
			t.Errorf("the next run's grace is %v, want %v", l.Grace(), want)
		}
		time.Sleep(want)
		ok(t, l.Release(t.Context()))
		l = lock(t, p)
		if l.Grace() != 0 {
			t.Errorf("after it was waited for, the grace is %v", l.Grace())
		}
		ok(t, l.Release(t.Context()))
		_ = slow.Release(t.Context()) // ends its renewal
	})
}

// TestWaitingIsTold: who waits hears who has the lock, and how long ago it was heard of.
func TestWaitingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		l := lock(t, p)
		told := 0
		waiting := shared.Open(m, shared.Options{Waiting: func(held *shared.LockedError) {
			told++
			if held.Holder.Host != "here" || held.Age > 21*time.Second {
				t.Errorf("told %+v", held)
			}
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := waiting.Lock(ctx, shared.Holder{}); !errors.Is(err, context.DeadlineExceeded) || told < 10 {
			t.Errorf("told %d times, then %v", told, err)
		}
		ok(t, l.Release(t.Context()))
	})
}
