package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"agentsync/internal/state/store"
	"agentsync/internal/state/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return new(store.Memory) })
}

// lax is a place that does not keep one part of the contract.
type lax struct {
	*store.Memory
	how string
}

func (l lax) Create(ctx context.Context, key string, b []byte) (store.Tag, error) {
	switch l.how {
	case "ignores If-None-Match":
		l.Put(key, b)
		o, err := l.Get(ctx, key)
		return o.Tag, err
	case "501":
		return "", errors.New("501 Not Implemented")
	case "creates are not atomic":
		if strings.HasSuffix(key, "race") {
			l.Put(key, b)
			return "t", nil
		}
	}
	return l.Memory.Create(ctx, key, b)
}

func (l lax) Replace(ctx context.Context, key string, b []byte, old store.Tag) (store.Tag, error) {
	switch l.how {
	case "ignores If-Match":
		l.Put(key, b)
		o, err := l.Get(ctx, key)
		return o.Tag, err
	case "replaces are not atomic":
		if strings.HasSuffix(key, "race") {
			l.Put(key, b)
			return "t", nil
		}
	case "replaces what is not there":
		if strings.HasSuffix(key, "none") {
			l.Put(key, b)
			return "t", nil
		}
	case "read-only":
		return "", store.ErrDenied
	}
	return l.Memory.Replace(ctx, key, b, old)
}

func (l lax) Get(ctx context.Context, key string) (store.Object, error) {
	o, err := l.Memory.Get(ctx, key)
	switch l.how {
	case "other tags":
		o.Tag += "x"
	case "other contents":
		o.Content = append(o.Content, ' ')
	case "no absence":
		if errors.Is(err, store.ErrAbsent) {
			return o, nil
		}
	case "a clock that stands":
		o.Age += 1e14
	}
	return o, err
}

func (l lax) List(ctx context.Context, prefix string) ([]string, error) {
	keys, err := l.Memory.List(ctx, prefix)
	if l.how == "lists late" && len(keys) > 0 {
		keys = keys[1:]
	}
	return keys, err
}

// TestProbeRefuses: each place that does not keep the contract is refused by what it does.
func TestProbeRefuses(t *testing.T) {
	for how, detail := range map[string]string{
		"ignores If-None-Match": "ignores the condition that no object is there", "501": "501 Not Implemented",
		"creates are not atomic":  "If-None-Match is not atomic",
		"ignores If-Match":        "ignores the condition that an object is unchanged",
		"replaces are not atomic": "If-Match is not atomic", "replaces what is not there": "where none is",
		"other tags":     "tag",
		"other contents": "not what was written", "no absence": "not there", "a clock that stands": "old",
		"lists late": "list",
	} {
		t.Run(how, func(t *testing.T) {
			var unfit *store.UnfitError
			if err := store.Probe(t.Context(), lax{new(store.Memory), how}); !errors.As(err, &unfit) ||
				!strings.Contains(err.Error(), detail) {
				t.Error(err)
			}
		})
	}
	var unfit *store.UnfitError
	if err := store.Probe(t.Context(), lax{new(store.Memory), "read-only"}); errors.As(err, &unfit) ||
		!errors.Is(err, store.ErrDenied) {
		t.Errorf("credentials that may not write say nothing about the place: %v", err)
	}
}
