package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"agentsync/internal/crash"
)

// Memory is a Store in memory, for tests. The zero Memory is empty and safe for concurrent use.
type Memory struct {
	mu      sync.Mutex // guards what follows
	objects map[string]memoryObject
	tags    int
	skew    time.Duration // of the store's clock
	counts  map[string]int
}

type memoryObject struct {
	content []byte
	tag     Tag
	at      time.Time
}

// Name returns "memory".
func (m *Memory) Name() string { return "memory" }

// SetClock puts the store's clock off by skew; objects keep the moment that they were written at.
func (m *Memory) SetClock(skew time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.skew = skew
}

// Count returns how many requests of the kind ("get", "create", "replace", "list", "delete") were carried out.
func (m *Memory) Count(kind string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[kind]
}

// Put writes an object as a person would who mends something by hand; nil removes it.
func (m *Memory) Put(key string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b == nil {
		delete(m.objects, key)
		return
	}
	m.putObject(key, b)
}

// beginRequest counts a request and takes the lock; the caller unlocks.
func (m *Memory) beginRequest(ctx context.Context, kind string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if m.counts == nil {
		m.counts, m.objects = map[string]int{}, map[string]memoryObject{}
	}
	m.counts[kind]++
	return nil
}

func (m *Memory) putObject(key string, b []byte) Tag {
	if m.objects == nil {
		m.objects = map[string]memoryObject{}
	}
	m.tags++
	tag := Tag("tag-" + strconv.Itoa(m.tags))
	m.objects[key] = memoryObject{bytes.Clone(b), tag, time.Now().Add(m.skew)}
	return tag
}

// Get returns an object.
func (m *Memory) Get(ctx context.Context, key string) (Object, error) {
	if err := m.beginRequest(ctx, "get"); err != nil {
		return Object{}, err
	}
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return Object{}, ErrAbsent
	}
	return Object{Content: bytes.Clone(o.content), Tag: o.tag, Age: time.Now().Add(m.skew).Sub(o.at)}, nil
}

// Create puts an object where none is.
func (m *Memory) Create(ctx context.Context, key string, b []byte) (Tag, error) {
	if err := m.beginRequest(ctx, "create"); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return "", ErrExists
	}
	return m.putObject(key, b), nil
}

// Replace puts an object in the place of the one that has the tag.
func (m *Memory) Replace(ctx context.Context, key string, b []byte, old Tag) (Tag, error) {
	if err := m.beginRequest(ctx, "replace"); err != nil {
		return "", err
	}
	defer m.mu.Unlock()
	if o, ok := m.objects[key]; !ok || o.tag != old {
		return "", ErrChanged
	}
	return m.putObject(key, b), nil
}

// List returns the keys that begin with prefix.
func (m *Memory) List(ctx context.Context, prefix string) ([]string, error) {
	if err := m.beginRequest(ctx, "list"); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.objects)), func(k string) bool {
		return !strings.HasPrefix(k, prefix)
	}), nil
}

// Delete removes objects.
func (m *Memory) Delete(ctx context.Context, keys ...string) error {
	if err := m.beginRequest(ctx, "delete"); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.objects, k)
	}
	return nil
}

// Fault is what happens to a request on its way.
type Fault struct {
	// Delay passes before anything else.
	Delay time.Duration
	// Err, where it is set, is the answer.
	Err error
	// Effect is set where the request is carried out although Err is the answer; it is so Late after the answer.
	Effect bool
	Late   time.Duration
}

// ErrLost is the answer of a request whose own answer was lost.
var ErrLost = errors.New("the connection was lost")

// Faulty is a Store whose requests meet the faults that Next returns for them: one client's way to the store. Next gets
// the method's name in lower case and the key, and must be safe for concurrent use.
type Faulty struct {
	Store
	Next func(method, key string) Fault
}

// meetFault runs do as the fault says.
func meetFault[T any](f Faulty, ctx context.Context, method, key string,
	do func(context.Context) (T, error)) (T, error) {
	fault := f.Next(method, key)
	var none T
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-ctx.Done(): // given up; what lies in some buffer may still be carried out
			if fault.Effect {
				_, _ = do(context.WithoutCancel(ctx))
			}
			return none, ctx.Err()
		}
	}
	switch {
	case fault.Err == nil:
		return do(ctx)
	case fault.Effect && fault.Late > 0:
		time.AfterFunc(fault.Late, func() {
			defer crash.Guard()
			_, _ = do(context.WithoutCancel(ctx))
		})
	case fault.Effect:
		_, _ = do(ctx)
	}
	return none, fault.Err
}

// Get meets a fault.
func (f Faulty) Get(ctx context.Context, key string) (Object, error) {
	return meetFault(f, ctx, "get", key, func(ctx context.Context) (Object, error) { return f.Store.Get(ctx, key) })
}

// Create meets a fault.
func (f Faulty) Create(ctx context.Context, key string, b []byte) (Tag, error) {
	return meetFault(f, ctx, "create", key, func(ctx context.Context) (Tag, error) {
		return f.Store.Create(ctx, key, b)
	})
}

// Replace meets a fault.
func (f Faulty) Replace(ctx context.Context, key string, b []byte, old Tag) (Tag, error) {
	return meetFault(f, ctx, "replace", key, func(ctx context.Context) (Tag, error) {
		return f.Store.Replace(ctx, key, b, old)
	})
}

// List meets a fault.
func (f Faulty) List(ctx context.Context, prefix string) ([]string, error) {
	return meetFault(f, ctx, "list", prefix, func(ctx context.Context) ([]string, error) {
		return f.Store.List(ctx, prefix)
	})
}

// Delete meets a fault.
func (f Faulty) Delete(ctx context.Context, keys ...string) error {
	_, err := meetFault(f, ctx, "delete", keys[0], func(ctx context.Context) (int, error) {
		return 0, f.Store.Delete(ctx, keys...)
	})
	return err
}
