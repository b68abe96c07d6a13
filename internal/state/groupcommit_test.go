package state

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
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
