package shared_test

import (
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

// TestSuspendedMachine: a machine that slept for longer than the lease has lost it when it wakes up, although its
// monotonic clock stood; a wall clock that is put back or forth by a person for less, or back for more, changes
// nothing.
func TestSuspendedMachine(t *testing.T) {
	for slept, isLost := range map[time.Duration]bool{
		2 * time.Hour: true, 61 * time.Second: true, 24 * time.Hour: true, 30 * time.Second: false, -time.Hour: false,
		-24 * time.Hour: false,
	} {
		t.Run(fmt.Sprint(slept), func(t *testing.T) {
			_, p := open(t)
			l := lock(t, p)
			ok(t, l.Begin(t.Context(), nil, []byte("one ")))
			l.Suspend(slept)
			if err := l.Check(); errors.Is(err, shared.ErrLost) != isLost {
				t.Errorf("after %v: %v", slept, err)
			}
			if err := l.Append(t.Context(), []byte("two ")); (err != nil) != isLost {
				t.Errorf("append after %v: %v", slept, err)
			}
			_ = l.Release(t.Context()) // ends its renewal
		})
	}
}

// TestStopsWhileItReads: a machine that stands still between its lock and the end of what it reads under it, for longer
// than its lease, is told that the lease is lost: that whoever took over has cleaned up is no damage, whether or not
// the head can be read then.
func TestStopsWhileItReads(t *testing.T) {
	for _, away := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { stopsWhileItReads(t, away) })
	}
}

func stopsWhileItReads(t *testing.T, away bool) {
	m, p := open(t)
	l := lock(t, p)
	ok(t, l.Begin(t.Context(), []byte("state"), []byte("one ")), l.Append(t.Context(), []byte("two ")),
		l.Close(t.Context(), nil, true))
	var wakes atomic.Int64 // when it wakes up
	stops := shared.Open(store.Faulty{Store: m, Next: func(method, key string) store.Fault {
		if strings.HasPrefix(key, "state/") {
			wakes.CompareAndSwap(0, time.Now().Add(200*time.Second).UnixNano())
		}
		if at := wakes.Load(); at != 0 {
			f := store.Fault{Delay: time.Until(time.Unix(0, at))}
			if away && key == "head.json" {
				f.Err = store.ErrLost
			}
			return f
		}
		return store.Fault{}
	}}, shared.Options{})
	done := make(chan error, 1)
	go func() {
		_, err := stops.Lock(t.Context(), shared.Holder{Host: "stops"})
		done <- err
	}()
	time.Sleep(time.Second)
	taker := lock(t, p)
	ok(t, taker.Begin(t.Context(), []byte("state 2"), []byte("three ")))
	if err := <-done; !errors.Is(err, shared.ErrLost) {
		t.Errorf("got %v", err)
	}
	ok(t, taker.Close(t.Context(), []byte("state 3"), false))
	if v := readPatiently(t, p); string(v.State) != "state 3" || v.Holder != nil {
		t.Errorf("in the end: %+v", v)
	}
}

// TestRetention: of the states that do not count any more the last 20 are kept, and those of the last 30 days; older
// ones are deleted by the next run that writes, the one that counts never, and history lists what is there.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		save := func() {
			l := lock(t, p)
			ok(t, l.Close(t.Context(), fmt.Append(nil, "state ", l.View().Serial+1), false))
		}
		kept := func() (serials []uint64) {
			all, err := p.History(t.Context())
			ok(t, err)
			for _, s := range all {
				serials = append(serials, s.Serial)
			}
			slices.Reverse(serials)
			return serials
		}
		for range 25 {
			save()
			time.Sleep(time.Hour)
		}
		if got := kept(); len(got) != 25 {
			t.Errorf("of the last days %d are kept", len(got))
		}
		time.Sleep(31 * 24 * time.Hour)
		save() // lists 25, of which five are older than 20 others and than 30 days
		if got := kept(); len(got) != 21 || got[0] != 6 || got[20] != 26 {
			t.Errorf("after a month there are %d", got)
		}
		for range 5 { // what is left is deleted by each run, one more each time
			save()
		}
		if got := kept(); got[0] != 11 || got[len(got)-1] != 31 {
			t.Errorf("after five more runs there are %d", got)
		}
		content, err := p.Saved(t.Context(), 11)
		if ok(t, err); string(content) != "state 11" {
			t.Errorf("serial 11 is %q", content)
		}
		if _, err := p.Saved(t.Context(), 10); !errors.Is(err, shared.ErrNoSuchState) {
			t.Errorf("serial 10: %v", err)
		}
		keys, err := m.List(t.Context(), "")
		ok(t, err)
		// The last one that the last run found, and its own.
		marks := []string{"mark/0000000030-0000000030", "mark/0000000031-0000000031"}
		for _, key := range keys {
			if !strings.HasPrefix(key, "state/") && key != "head.json" && !slices.Contains(marks, key) {
				t.Errorf("%s is there", key)
			}
		}
	})
}
