package state_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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
		want := "the state is locked: apply by ann on build-7\x1b[31m (process 4711) since 2025-03-04 05:06:07 UTC, " +
			"https://ci.example.com/1 holds " + path + ".lock"
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

// TestNeverTwoHolders: the lock file is removed by each who leaves, as nobody should, at the worst moment for whoever
// has opened it by then. There is never more than one holder.
func TestNeverTwoHolders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	var holders, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				unlock, err := state.NewFile(path).Lock(ctx, state.Holder{PID: 1})
				if err != nil {
					continue
				}
				if n := holders.Add(1); n > most.Load() {
					most.Store(n)
				}
				runtime.Gosched()
				holders.Add(-1)
				_ = os.Remove(path + ".lock")
				if err := unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d held the lock at once", most.Load())
	}
}

// TestLockFileOfAnotherUser: the error says whose it is, and what to do.
func TestLockFileOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("only root can make another user's file")
	}
	path := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(path+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path+".lock", 4711, 4711); err != nil {
		t.Skip(err)
	}
	// root is let in
	err := state.ExplainLock(path+".lock", &fs.PathError{Op: "open", Path: path + ".lock", Err: fs.ErrPermission})
	var format *state.FormatError
	if other := state.ExplainLock(path+".lock", fs.ErrInvalid); !errors.Is(other, fs.ErrInvalid) ||
		errors.As(other, &format) {
		t.Errorf("another error: %v", other)
	}
	if !errors.As(err, &format) || !strings.Contains(format.Detail, "belongs to user 4711") ||
		!strings.Contains(format.Hint, "rm "+path+".lock") {
		t.Errorf("got %v (%+v)", err, format)
	}
}

// TestRemovedLockFile: whoever waits at a lock file that is removed and made anew meanwhile waits at the new one. The
// holder of the new one is checked to be alone at each moment.
func TestRemovedLockFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("nobody can remove a file that is open")
	}
	path := filepath.Join(t.TempDir(), "state.json")
	synctest.Test(t, func(t *testing.T) {
		first, err := state.NewFile(path).Lock(t.Context(), state.Holder{PID: 1})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan func() error)
		go func() {
			unlock, err := state.NewFile(path).Lock(t.Context(), state.Holder{PID: 2})
			if err != nil {
				t.Error(err)
			}
			got <- unlock
		}()
		synctest.Wait() // it has the file open, or opens it again and again
		if err := os.Remove(path + ".lock"); err != nil {
			t.Fatal(err)
		}
		var second func() error
		select {
		case second = <-got: // the one that waited made the new file
		case <-time.After(time.Minute):
			t.Fatal("nobody can lock a file that was removed")
		}
		if err := first(); err != nil { // must not free or overwrite the other's
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var locked *state.LockedError
		if _, err := state.NewFile(path).Lock(ctx, state.Holder{PID: 3}); !errors.As(err, &locked) ||
			locked.Holder.PID != 2 {
			t.Errorf("a second holder, or the wrong one: %v", err)
		}
		if err := second(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMissingFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "state.json")
	f := state.NewFile(path)
	_, lockErr := f.Lock(t.Context(), state.Holder{})
	_, loadErr := f.Load(t.Context())
	for _, err := range []error{lockErr, loadErr} {
		if !errors.Is(err, fs.ErrNotExist) ||
			!strings.Contains(err.Error(), "the folder "+filepath.Dir(path)+" does not exist") {
			t.Errorf("got %v", err)
		}
	}
}
