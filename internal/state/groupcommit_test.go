package state

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowSync is a disk whose fsync waits until it is let go.
type slowSync struct {
	osFS
	sync chan chan struct{}
}

type slowHandle struct {
	Handle
	sync chan chan struct{}
}

func (s slowSync) OpenFile(name string, flag int, perm os.FileMode) (Handle, error) {
	h, err := s.osFS.OpenFile(name, flag, perm)
	if flag&os.O_CREATE != 0 {
		return h, err
	}
	return slowHandle{h, s.sync}, err
}

func (h slowHandle) Sync() error {
	done := make(chan struct{})
	h.sync <- done
	<-done
	return nil
}

// TestGroupCommit checks that what comes in while the disk is busy goes out with one fsync, and
// that no call returns before its own.
func TestGroupCommit(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := slowSync{sync: make(chan chan struct{})}
		f := NewFile(filepath.Join(dir, "state.json"), WithFS(disk))
		snap, err := f.Load()
		if err != nil {
			t.Fatal(err)
		}
		run, err := f.Begin(snap, 0)
		if err != nil {
			t.Fatal(err)
		}
		returned := make(chan uint64, 32)
		intend := func(i int) {
			id, err := run.Intend(Intent{Address: at(fmt.Sprint("k", i)), Action: "create"})
			if err != nil {
				t.Error(err)
			}
			returned <- id
		}
		go intend(0)
		first := <-disk.sync
		for i := range 31 {
			go intend(i + 1)
		}
		synctest.Wait() // all have handed in their line and wait
		if len(returned) != 0 {
			t.Fatalf("%d calls returned before an fsync", len(returned))
		}
		close(first)
		second := <-disk.sync
		synctest.Wait()
		if len(returned) != 1 {
			t.Fatalf("%d calls returned after the first fsync, want 1", len(returned))
		}
		close(second)
		synctest.Wait()
		if len(returned) != 32 {
			t.Fatalf("%d calls returned after the second fsync, want 32", len(returned))
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// timedSync is a disk whose fsync of the journal takes fsyncTime, on the bubble's clock.
type timedSync struct {
	osFS
	syncs *atomic.Int64
}

const fsyncTime = 100 * time.Microsecond

type timedHandle struct {
	Handle
	syncs *atomic.Int64
}

func (s timedSync) OpenFile(name string, flag int, perm os.FileMode) (Handle, error) {
	h, err := s.osFS.OpenFile(name, flag, perm)
	if flag&os.O_CREATE != 0 {
		return h, err
	}
	return timedHandle{h, s.syncs}, err
}

func (h timedHandle) Sync() error {
	time.Sleep(fsyncTime)
	h.syncs.Add(1)
	return nil
}

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
			disk := timedSync{syncs: new(atomic.Int64)}
			f := NewFile(filepath.Join(dir, "state.json"), WithFS(disk))
			snap, err := f.Load()
			if err != nil {
				t.Fatal(err)
			}
			run, err := f.Begin(snap, 0)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			var writers sync.WaitGroup
			for w := range tt.writers {
				writers.Go(func() {
					for i := range tt.lines {
						time.Sleep(time.Duration(w) * 20 * time.Microsecond) // a request that takes its time
						if _, err := run.Intend(Intent{Address: at(fmt.Sprintf("k%d-%d", w, i)), Action: "create"}); err != nil {
							t.Error(err)
						}
					}
				})
			}
			writers.Wait()
			if n, took := disk.syncs.Load(), time.Since(start); n > tt.maxSyncs || took > tt.maxTime {
				t.Errorf("%d writers: %d fsyncs in %v, want %d in %v at the most", tt.writers, n, took, tt.maxSyncs, tt.maxTime)
			}
			if err := run.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
