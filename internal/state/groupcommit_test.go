package state

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// syncFS is the real disk but for what an fsync of the journal does.
type syncFS struct {
	osFS
	sync func() error
}

type syncHandle struct {
	Handle
	sync func() error
}

func (s syncFS) Open(name string) (Handle, error) {
	h, err := s.osFS.Open(name)
	return syncHandle{h, s.sync}, err
}

func (h syncHandle) Sync() error { return h.sync() }

// beginOn begins a run of a new state whose journal is synced by sync.
func beginOn(t *testing.T, dir string, sync func() error) *Run {
	t.Helper()
	f := NewFile(filepath.Join(dir, "state.json"), WithFS(syncFS{sync: sync}))
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.Begin(t.Context(), snap, 0)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// TestGroupCommit checks that what comes in while the disk is busy goes out with one fsync, and
// that no call returns before its own.
func TestGroupCommit(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		syncs := make(chan chan struct{}) // each fsync waits until it is let go
		run := beginOn(t, dir, func() error {
			done := make(chan struct{})
			syncs <- done
			<-done
			return nil
		})
		returned := make(chan uint64, 32)
		intend := func(i int) {
			id, err := run.Intend(Intent{Address: at(fmt.Sprint("k", i)), Action: "create"})
			if err != nil {
				t.Error(err)
			}
			returned <- id
		}
		go intend(0)
		first := <-syncs
		for i := range 31 {
			go intend(i + 1)
		}
		synctest.Wait() // all have handed in their line and wait
		if len(returned) != 0 {
			t.Fatalf("%d calls returned before an fsync", len(returned))
		}
		close(first)
		second := <-syncs
		synctest.Wait()
		if len(returned) != 1 {
			t.Fatalf("%d calls returned after the first fsync, want 1", len(returned))
		}
		close(second)
		synctest.Wait()
		if len(returned) != 32 {
			t.Fatalf("%d calls returned after the second fsync, want 32", len(returned))
		}
		if err := run.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// fsyncTime is how long an fsync takes, on the bubble's clock.
const fsyncTime = 100 * time.Microsecond

// TestTheJournalWaitsForCompany checks that lines which come one after the other share an fsync where
// many come, and that one which comes alone is not held up.
func TestTheJournalWaitsForCompany(t *testing.T) {
	for _, tt := range []struct {
		writers, lines int
		maxSyncs       int64
		maxTime        time.Duration
	}{
		{1, 10, 10, 10 * fsyncTime},
		{64, 20, 64 * 20 / 20, 20 * 10 * time.Millisecond}, // some 250 fsyncs if it waited for nobody
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			var syncs atomic.Int64
			run := beginOn(t, dir, func() error {
				time.Sleep(fsyncTime)
				syncs.Add(1)
				return nil
			})
			start := time.Now()
			var writers sync.WaitGroup
			for w := range tt.writers {
				writers.Go(func() {
					for i := range tt.lines {
						time.Sleep(time.Duration(w) * 20 * time.Microsecond) // a request that takes its time
						if _, err := run.Intend(Intent{Address: at(fmt.Sprintf("k%d-%d", w, i)),
							Action: "create"}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			writers.Wait()
			if n, took := syncs.Load(), time.Since(start); n > tt.maxSyncs || took > tt.maxTime {
				t.Errorf("%d writers: %d fsyncs in %v, want %d in %v at the most", tt.writers, n, took, tt.maxSyncs,
					tt.maxTime)
			}
			if err := run.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestLeavingWhileTheDiskSyncs: a line that is written while the disk syncs may be on the disk afterwards or not. A
// power cut that loses it, and keeps what was written later, is no damage.
func TestLeavingWhileTheDiskSyncs(t *testing.T) {
	dir := t.TempDir()
	var run *Run
	var first uint64
	sync := func() error {
		if first != 0 {
			id := first
			first = 0
			return run.Leaving(id)
		}
		return nil
	}
	run = beginOn(t, dir, func() error { return sync() })
	intend := func(key string) uint64 {
		id, err := run.Intend(Intent{Address: at(key), Action: "create"})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first = intend("a")
	intend("b") // while this one is synced, the first leaves
	intend("c")
	name := filepath.Join(dir, "state.json.journal")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Index(content, []byte(`{"leaving":1}`))
	if line < 0 || line > bytes.Index(content, []byte(at("c").String())) {
		t.Fatalf("the line does not stand where the test wants it:\n%s", content)
	}
	clear(content[line : line+5])
	p, err := readJournal(name, content, "")
	if err != nil || len(p.open) != 3 {
		t.Errorf("%v, %v", p, err)
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
