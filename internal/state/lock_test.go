package state_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/state"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	synctest.Test(t, func(t *testing.T) {
		holder := state.Holder{PID: 4711, Host: "build-7\x1b[31m", User: "ann", Command: "apply",
			Started: time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC), RunURL: "https://ci.example.com/1"}
		unlock, err := state.NewFile(path).Lock(t.Context(), holder)
		if err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		_, err = state.NewFile(path).Lock(ctx, state.Holder{PID: 2})
		var locked *state.LockedError
		if !errors.As(err, &locked) || !errors.Is(err, context.DeadlineExceeded) || locked.Holder.PID != 4711 {
			t.Fatalf("while it is held: %v", err)
		}
		if waited := time.Since(start); waited != 30*time.Second {
			t.Errorf("waited %v", waited)
		}
		want := "the state is locked: apply by ann on build-7?[31m (process 4711) since 2025-03-04 05:06:07 UTC, https://ci.example.com/1 holds " + path + ".lock"
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}

		got := make(chan error)
		go func() {
			unlock, err := state.NewFile(path).Lock(t.Context(), state.Holder{PID: 3})
			if err == nil {
				err = unlock()
			}
			got <- err
		}()
		time.Sleep(time.Second) // of the test's own clock: the other waits
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Errorf("after it was freed: %v", err)
		}
	})
	if _, err := os.Stat(path + ".lock"); err != nil {
		t.Errorf("the lock file must stay: %v", err)
	}
}

// TestLockAsksOnce: a lock that is free is taken even where there is no time to wait.
func TestLockAsksOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unlock, err := state.NewFile(filepath.Join(t.TempDir(), "state.json")).Lock(ctx, state.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLockThroughLink(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "state.json"), filepath.Join(dir, "link.json")
	if err := os.Symlink("state.json", link); err != nil {
		t.Skip(err)
	}
	unlock, err := state.NewFile(path).Lock(t.Context(), state.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var locked *state.LockedError
	if _, err := state.NewFile(link).Lock(ctx, state.Holder{}); !errors.As(err, &locked) {
		t.Errorf("the lock does not hold for another path to the file: %v", err)
	}
}

func TestMissingFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "state.json")
	f := state.NewFile(path)
	_, lockErr := f.Lock(t.Context(), state.Holder{})
	_, loadErr := f.Load()
	for _, err := range []error{lockErr, loadErr} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "the folder "+filepath.Dir(path)+" does not exist") {
			t.Errorf("got %v", err)
		}
	}
}
