package shared_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// line is a way to a store that carries so many bytes a second, each way.
type line struct {
	*store.Memory
	rate int
}

// carry waits for as long as the line needs for so many bytes.
func (l line) carry(ctx context.Context, bytes int) error {
	select {
	case <-time.After(time.Duration(bytes) * time.Second / time.Duration(l.rate)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l line) Get(ctx context.Context, key string) (store.Object, error) {
	o, err := l.Memory.Get(ctx, key)
	if err == nil {
		err = l.carry(ctx, len(o.Content))
	}
	return o, err
}

func (l line) Create(ctx context.Context, key string, b []byte) (store.Tag, error) {
	if err := l.carry(ctx, len(b)); err != nil {
		return "", err
	}
	return l.Memory.Create(ctx, key, b)
}

// TestSlowLine: a state of 50,000 agents, which has 100 MB, is read, written and locked over a line of half a MB a
// second, while the lease is renewed; over one that is slower it is not waited for without end.
func TestSlowLine(t *testing.T) {
	state := bytes.Repeat([]byte("0123456789"), 10<<20)
	synctest.Test(t, func(t *testing.T) {
		const rate = 520 << 10
		m, _ := open(t)
		p := shared.Open(line{m, rate}, shared.Options{})
		l := lock(t, p)
		// 2 MB in one segment: many requests in flight.
		ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), state[:2<<20]),
			l.Close(t.Context(), state, true))
		start := time.Now()
		l = lock(t, p) // which reads while it has the lock
		if took := time.Since(start); len(l.View().State) != len(state) ||
			took < time.Duration(len(state))*time.Second/rate {
			t.Errorf("%d bytes read in %v", len(l.View().State), took)
		}
		ok(t, l.Check(), l.Release(t.Context()))
	})
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		l := lock(t, p)
		ok(t, l.Close(t.Context(), state, false))
		start := time.Now()
		if _, err := shared.Open(line{m, 100 << 10}, shared.Options{}).Read(t.Context()); err == nil ||
			errors.Is(err, context.DeadlineExceeded) || err.Error() != "read memory: there is no answer in 4m26s" {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 10*time.Minute {
			t.Errorf("given up after %v", took)
		}
	})
}

// TestStateIsReadOnce: what was read before the lock is not fetched again under it, unless another run wrote meanwhile.
func TestStateIsReadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		ok(t, lock(t, p).Close(t.Context(), []byte("first"), false))
		states := 0
		apply := shared.Open(store.Faulty{Store: m, Next: func(method, key string) store.Fault {
			if method == "get" && len(key) > len("state/") && key[:len("state/")] == "state/" {
				states++
			}
			return store.Fault{}
		}}, shared.Options{})
		readPatiently(t, apply)
		l := lock(t, apply)
		if states != 1 || string(l.View().State) != "first" {
			t.Errorf("%d times read; the lock has %q", states, l.View().State)
		}
		ok(t, l.Close(t.Context(), []byte("second"), false))
		readPatiently(t, apply)
		ok(t, lock(t, p).Close(t.Context(), []byte("third"), false))
		l = lock(t, apply)
		if states != 3 || string(l.View().State) != "third" {
			t.Errorf("%d times read; the lock has %q", states, l.View().State)
		}
		ok(t, l.Release(t.Context()))
	})
}
