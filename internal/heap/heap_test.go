package heap_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"agentsync/internal/heap"
)

const mebibyte = 1 << 20

// TestPrepareKeepsTheGoal: the space for huge pages is free again when the collector's next goal is set. Counted by
// mistake, it would let garbage pile up to half a GiB.
func TestPrepareKeepsTheGoal(t *testing.T) {
	before := debug.SetGCPercent(70)
	defer debug.SetGCPercent(before)
	keep := heap.Prepare()
	if percent := debug.SetGCPercent(70); percent != 70 {
		t.Errorf("the percentage is %d afterwards, and was 70", percent)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	// 1.7 × headroom
	if least, most := uint64(120*mebibyte), uint64(160*mebibyte); m.NextGC < least || m.NextGC > most {
		t.Errorf("the next collection is at %d MiB", m.NextGC/mebibyte)
	}
	runtime.KeepAlive(keep)
}
