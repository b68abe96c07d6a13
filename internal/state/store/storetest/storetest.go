// Package storetest is the conformance suite of the shared places: what store.Store promises, run on each
// implementation.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"agentsync/internal/state/store"
)

// Run runs the suite. open returns a place that nobody else uses, empty.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, store.Store){
		"absent": testAbsent, "create": testCreate, "replace": testReplace, "list": testList, "delete": testDelete,
		"many writers": testManyWriters, "contents": testContents, "age": testAge, "cancelled": testCancelled,
		"probe": testProbe,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

func testAbsent(t *testing.T, s store.Store) {
	ctx := t.Context()
	if _, err := s.Get(ctx, "none"); !errors.Is(err, store.ErrAbsent) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Replace(ctx, "none", []byte("x"), "tag"); !errors.Is(err, store.ErrChanged) {
		t.Errorf("replace: %v", err)
	}
	if err := s.Delete(ctx, "none", "nothing"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if keys, err := s.List(ctx, ""); err != nil || len(keys) > 0 {
		t.Errorf("list: %v, %v", keys, err)
	}
	if s.Name() == "" {
		t.Error("the place has no name")
	}
}

func mustTag(t *testing.T) func(store.Tag, error) store.Tag {
	return func(tag store.Tag, err error) store.Tag {
		t.Helper()
		if err != nil || tag == "" {
			t.Fatalf("tag %q, %v", tag, err)
		}
		return tag
	}
}

func wantObject(t *testing.T, s store.Store, key, content string, tag store.Tag) {
	t.Helper()
	o, err := s.Get(t.Context(), key)
	if err != nil || string(o.Content) != content || o.Tag != tag {
		t.Errorf("%s holds %.60q with tag %q, %v; want %.60q with %q", key, o.Content, o.Tag, err, content, tag)
	}
}

func testCreate(t *testing.T, s store.Store) {
	tag := mustTag(t)(s.Create(t.Context(), "a/b.json", []byte("first")))
	for _, again := range []string{"second", "first"} { // the same content is no excuse
		if _, err := s.Create(t.Context(), "a/b.json", []byte(again)); !errors.Is(err, store.ErrExists) {
			t.Errorf("again: %v", err)
		}
	}
	wantObject(t, s, "a/b.json", "first", tag)
}

func testReplace(t *testing.T, s store.Store) {
	first := mustTag(t)(s.Create(t.Context(), "head.json", []byte("1")))
	second := mustTag(t)(s.Replace(t.Context(), "head.json", []byte("2"), first))
	if first == second {
		t.Errorf("both contents have the tag %q", first)
	}
	for name, tag := range map[string]store.Tag{"stale": first, "foreign": "0123456789abcdef", "empty": "",
		"odd": `"a"\'`} {
		if _, err := s.Replace(t.Context(), "head.json", []byte("3"), tag); !errors.Is(err, store.ErrChanged) {
			t.Errorf("a %s tag: %v", name, err)
		}
	}
	wantObject(t, s, "head.json", "2", second)
}

func testList(t *testing.T, s store.Store) {
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("journal/%010d/%010d", 7, i))
	}
	keys := append(slices.Clone(all), "head.json", "state/0000000001-x.json", "journal/0000000008/0000000000",
		"journal%/x_")
	var wg sync.WaitGroup
	for _, key := range keys {
		wg.Go(func() { mustTag(t)(s.Create(t.Context(), key, []byte(key))) })
	}
	wg.Wait()
	for prefix, expected := range map[string][]string{"journal/0000000007/": all, "state/": {"state/0000000001-x.json"},
		"none/": nil, "journal%": {"journal%/x_"}} {
		if got, err := s.List(t.Context(), prefix); err != nil || !slices.Equal(got, expected) {
			t.Errorf("%s: %v, %v", prefix, got, err)
		}
	}
	if got, err := s.List(t.Context(), ""); err != nil || len(got) != len(keys) || !slices.IsSorted(got) {
		t.Errorf("all: %v, %v", got, err)
	}
}

func testDelete(t *testing.T, s store.Store) {
	for _, key := range []string{"a", "b", "c"} {
		mustTag(t)(s.Create(t.Context(), key, []byte("x")))
	}
	if err := s.Delete(t.Context(), "a", "none", "c"); err != nil {
		t.Fatal(err)
	}
	if got, err := s.List(t.Context(), ""); err != nil || !slices.Equal(got, []string{"b"}) {
		t.Errorf("left are %v, %v", got, err)
	}
}

// testManyWriters races for each condition, again and again.
func testManyWriters(t *testing.T, s store.Store) {
	const writers, rounds = 20, 5
	race := func(write func(i int) error, lost error) {
		t.Helper()
		var wins int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				err := write(i)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					wins++
				} else if !errors.Is(err, lost) {
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if wins != 1 {
			t.Errorf("%d writers won", wins)
		}
	}
	for round := range rounds {
		key := fmt.Sprint("race/", round)
		race(func(i int) error {
			_, err := s.Create(t.Context(), key, []byte(fmt.Sprint(i)))
			return err
		}, store.ErrExists)
		o, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		race(func(i int) error {
			_, err := s.Replace(t.Context(), key, []byte(fmt.Sprint("again ", i)), o.Tag)
			return err
		}, store.ErrChanged)
	}
}

func testContents(t *testing.T, s store.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, b := range map[string][]byte{"empty": {}, "every byte": every, "1 MiB": bytes.Repeat(every, 4096)} {
		tag := mustTag(t)(s.Create(t.Context(), name, b))
		wantObject(t, s, name, string(b), tag)
	}
}

func testAge(t *testing.T, s store.Store) {
	mustTag(t)(s.Create(t.Context(), "x", []byte("x")))
	if o, err := s.Get(t.Context(), "x"); err != nil || o.Age < -2*time.Second || o.Age > time.Minute {
		t.Errorf("just written, and %v old, %v", o.Age, err)
	}
}

func testCancelled(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Create(ctx, "x", []byte("x")); err == nil || errors.Is(err, store.ErrExists) {
		t.Errorf("a request that was given up: %v", err)
	}
}

func testProbe(t *testing.T, s store.Store) {
	if err := store.Probe(t.Context(), s); err != nil {
		t.Error(err)
	}
	if got, err := s.List(t.Context(), ""); err != nil || len(got) > 0 {
		t.Errorf("the probe leaves %v, %v", got, err)
	}
}

// Server is a server of a test's own.
type Server interface {
	// Kill ends it as kill -9 does, and Start starts it again on what it kept.
	Kill()
	Start(options ...string)
}

// KillUnderLoad kills a server while several clients write, and checks that all that was acknowledged is there
// afterwards. open returns a new client of one place.
func KillUnderLoad(t *testing.T, server Server, open func() store.Store) {
	t.Helper()
	var acknowledged sync.Map
	var writing sync.WaitGroup
	count := make(chan bool, 1000)
	for w := range 4 {
		s := open()
		writing.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("journal/%d/%d", w, i)
				if _, err := s.Create(t.Context(), key, []byte(key)); err != nil {
					return
				}
				acknowledged.Store(key, true)
				select {
				case count <- true:
				default:
				}
			}
		})
	}
	for range 200 {
		<-count
	}
	server.Kill()
	writing.Wait()
	server.Start()
	s := open()
	keys, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	acknowledged.Range(func(k, _ any) bool {
		key := k.(string)
		if o, err := s.Get(t.Context(), key); !slices.Contains(keys, key) || err != nil || string(o.Content) != key {
			t.Errorf("%s was acknowledged, and holds %q, %v", key, o.Content, err)
		}
		return true
	})
}
