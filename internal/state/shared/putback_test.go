package shared_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
)

// keepsHeads is a place that keeps every version of its head, as a bucket with versions does.
type keepsHeads struct {
	*store.Memory
	heads [][]byte
}

func (k *keepsHeads) Replace(ctx context.Context, key string, b []byte, old store.Tag) (store.Tag, error) {
	tag, err := k.Memory.Replace(ctx, key, b, old)
	if err == nil && key == "head.json" {
		k.heads = append(k.heads, b)
	}
	return tag, err
}

// TestHeadPutBack goes through the lives of runs, and after each puts every earlier version of the head back: no reader
// and no run believes it, unless it says the same as the newest one; the newest state is named, and rolling back to it
// is the way on.
func TestHeadPutBack(t *testing.T) {
	run := func(open bool) func(*testing.T, *shared.Place) {
		return func(t *testing.T, p *shared.Place) {
			l := lock(t, p)
			ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")))
			ok(t, l.Close(t.Context(), fmt.Appendf(nil, "state of epoch %d", l.Epoch()), open))
		}
	}
	for name, last := range map[string]func(*testing.T, *shared.Place){
		"closed": run(false),
		"two journals": func(t *testing.T, p *shared.Place) {
			l := lock(t, p)
			ok(t, l.Begin(t.Context(), []byte("brought in"), []byte("one ")), l.Append(t.Context(), []byte("two ")),
				l.Save(t.Context(), []byte("folded"), false))
			ok(t, l.Begin(t.Context(), nil, []byte("three ")), l.Close(t.Context(), []byte("made more"), false))
		},
		"taken over": func(t *testing.T, p *shared.Place) {
			died := lock(t, p)
			ok(t, died.Begin(t.Context(), nil, []byte("one ")))
			l, err := p.Unlock(t.Context(), shared.Holder{})
			ok(t, err, l.Begin(t.Context(), nil, []byte("again ")), l.Close(t.Context(), []byte("made"), false))
			_ = died.Release(t.Context()) // ends its renewal
		},
		"edited": func(t *testing.T, p *shared.Place) {
			l := lock(t, p)
			ok(t, l.Save(t.Context(), []byte("edited"), true), l.Release(t.Context()))
		},
		"brought in and edited": func(t *testing.T, p *shared.Place) {
			died := lock(t, p)
			ok(t, died.Begin(t.Context(), nil, []byte("one ")), died.Append(t.Context(), []byte("two ")))
			died.Die()
			l, err := p.Unlock(t.Context(), shared.Holder{})
			ok(t, err, l.Begin(t.Context(), []byte("brought in"), []byte("open ")),
				l.Save(t.Context(), []byte("edited"), true), l.Release(t.Context()))
		},
		"died behind a whole run": func(t *testing.T, p *shared.Place) {
			run(false)(t, p)
			l := lock(t, p)
			ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")))
			l.Die()
		},
		"without results": func(t *testing.T, p *shared.Place) {
			l := lock(t, p)
			ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")),
				l.Save(t.Context(), nil, false), l.Release(t.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &keepsHeads{Memory: new(store.Memory)}
				p := shared.Open(k, shared.Options{})
				ok(t, p.Init(t.Context(), "lineage"))
				run(false)(t, p)
				run(true)(t, p)
				last(t, p)
				newest := readPatiently(t, p)
				states, err := k.List(t.Context(), "state/")
				ok(t, err)
				refused := 0
				for i, old := range k.heads[:len(k.heads)-1] {
					k.Put("head.json", old)
					v, err := p.Read(t.Context())
					damage, isDamage := errors.AsType[*shared.DamageError](err)
					if err == nil && string(v.State)+string(v.Journal) == string(newest.State)+string(newest.Journal) {
						continue
					}
					if !isDamage || damage.Hint == "" {
						t.Errorf("version %d of %d: %v, read %+v", i, len(k.heads), err, v)
						continue
					}
					refused++
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					_, lockErr := p.Lock(ctx, shared.Holder{})
					cancel()
					if !errors.As(lockErr, new(*shared.DamageError)) {
						t.Errorf("version %d is locked: %v", i, lockErr)
					}
					if damage.Key == "head.json" &&
						(!strings.Contains(damage.Hint, fmt.Sprint("agentsync state rollback ", newest.Serial)) ||
							!strings.Contains(err.Error(), states[len(states)-1])) {
						t.Errorf("version %d: %v\n%s", i, err, damage.Hint)
					}
				}
				if refused < 3 {
					t.Errorf("%d versions were refused", refused)
				}
				k.Put("head.json", k.heads[0])
				content, err := p.Saved(t.Context(), newest.Serial)
				ok(t, err)
				l, err := p.LockDamaged(t.Context(), shared.Holder{})
				ok(t, err, l.Save(t.Context(), content, false), l.Release(t.Context()))
				if v := readPatiently(t, p); string(v.State) != string(newest.State) || v.Serial <= newest.Serial ||
					v.Epoch <= newest.Epoch {
					t.Errorf("after the rollback: %+v", v)
				}
			})
		})
	}
}

// TestHeadPutBackMeanwhile: a run that has the lock while its head is put back, or removed, writes nothing more, and
// says what was done to the head; a head that was put back as it is disturbs nobody.
func TestHeadPutBackMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, k *keepsHeads)
		want   string
	}{
		"an earlier one": {func(t *testing.T, k *keepsHeads) { k.Put("head.json", k.heads[0]) },
			"it was put back to an older version"},
		"none":     {func(t *testing.T, k *keepsHeads) { k.Put("head.json", nil) }, "it was removed"},
		"the same": {func(t *testing.T, k *keepsHeads) { k.Put("head.json", k.heads[len(k.heads)-1]) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &keepsHeads{Memory: new(store.Memory)}
				p := shared.Open(k, shared.Options{})
				ok(t, p.Init(t.Context(), "lineage"))
				l := lock(t, p)
				ok(t, l.Close(t.Context(), []byte("state 1"), false))
				l = lock(t, p)
				c.change(t, k)
				err := l.Save(t.Context(), []byte("state 2"), true)
				if c.want == "" {
					ok(t, err, l.Release(t.Context()))
					return
				}
				damage, isDamage := errors.AsType[*shared.DamageError](err)
				if !errors.Is(err, shared.ErrLost) || !isDamage || damage.Hint == "" ||
					!strings.Contains(err.Error(), c.want) {
					t.Errorf("the save: %v", err)
				}
				if l.Append(t.Context(), []byte("more")) == nil || l.Release(t.Context()) == nil {
					t.Error("the run goes on")
				}
			})
		})
	}
}

// TestLeftBehind: what a run could not clean up is no sign that its head was put back.
func TestLeftBehind(t *testing.T) {
	for name, state := range map[string][]byte{"with results": []byte("made"), "without": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := open(t)
				l := lock(t, shared.Open(store.Faulty{Store: m, Next: func(method, _ string) store.Fault {
					return map[string]store.Fault{"delete": {Err: store.ErrLost}}[method]
				}}, shared.Options{}))
				ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")),
					l.Save(t.Context(), state, false), l.Release(t.Context()))
				if v := readPatiently(t, p); string(v.State) != string(state) || v.Journal != nil {
					t.Errorf("it reads %+v", v)
				}
				ok(t, lock(t, p).Release(t.Context()))
			})
		})
	}
}

// TestWhatReadingCosts: reading without the lock asks for the head, the list, the state, each segment, and the one that
// may have come since.
func TestWhatReadingCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := open(t)
		cost := func(want int) {
			t.Helper()
			before := m.Count("get") + m.Count("list")
			readPatiently(t, p)
			if got := m.Count("get") + m.Count("list") - before; got != want {
				t.Errorf("%d requests, want %d", got, want)
			}
		}
		cost(2)
		l := lock(t, p)
		ok(t, l.Close(t.Context(), []byte("state"), false))
		cost(3)
		l = lock(t, p)
		ok(t, l.Begin(t.Context(), nil, []byte("one ")), l.Append(t.Context(), []byte("two ")),
			l.Append(t.Context(), []byte("three ")))
		cost(7)
		ok(t, l.Release(t.Context()))
	})
}
