// Package crash makes an end that nobody planned one that nobody can mistake for a result. The runtime of Go ends a
// process that panics, or has no memory left, with exit code 2, and 2 says that there are changes
// (plan --detailed-exitcode). It promises that a panic in a goroutine that defers Guard ends with 1 and with what to
// report; that whatever else the runtime gives up on ends by a signal, without a core file, which would hold API keys;
// and that a process that needs more memory than there is ends in order before the system ends it.
package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Arm makes a panic that no Guard sees, and every error that only the runtime sees, end the process by a signal.
func Arm() {
	forbidCore()
	debug.SetTraceback("crash")
}

// Guard ends the process with 1 if the goroutine that defers it panics. It is deferred first, and by itself:
//
//	go func() {
//		defer crash.Guard()
//
// Nothing is lost by such an end: it is a kill, which every run is made for.
func Guard() {
	if v := recover(); v != nil {
		Report(os.Stderr, v, debug.Stack())
		os.Exit(1)
	}
}

// Report writes what to report of a panic with the value v.
func Report(w io.Writer, v any, stack []byte) {
	fmt.Fprintf(w, "agentsync: error: this is a bug of agentsync: %v\n"+
		"agentsync: hint: report it with the lines below; what was in flight is recorded, and the next apply goes on\n\n"+
		"%s %s/%s\n%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH, stack)
}

// ErrMemory is the cause with which WatchMemory ends a run.
var ErrMemory = errors.New("the memory limit is reached")

const (
	watchEvery = 50 * time.Millisecond
	// mostBytes is the limit on a machine that has more memory, or does not say how much it has.
	mostBytes = 8 << 30
)

// WatchMemory bounds the memory of the process to limit bytes; 0 stands for three quarters of what the machine or its
// container has, and at most 8 GiB. A run that reaches the limit is cancelled, with ErrMemory as the cause, so that it
// records what is in flight; one that goes on to need a quarter more is ended at once, with exit code 1. It never
// returns.
func WatchMemory(limit int64, cancel context.CancelCauseFunc) {
	if limit <= 0 {
		limit = mostBytes
		if has := machineMemory(); has > 0 {
			limit = min(limit, has/4*3)
		}
	}
	debug.SetMemoryLimit(limit) // so that what could be collected does not count
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"}}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for range ticker.C {
		metrics.Read(sample)
		used := int64(sample[0].Value.Uint64() + sample[1].Value.Uint64())
		if used > limit {
			cancel(fmt.Errorf("%w: agentsync needs more than %d MiB", ErrMemory, limit>>20))
		}
		if used > limit+limit/4 {
			fmt.Fprintf(os.Stderr, "agentsync: error: %v: agentsync needs more than %d MiB\nagentsync: hint: %s\n",
				ErrMemory, limit>>20, MemoryHint)
			os.Exit(1)
		}
	}
}

// MemoryHint says what to do about ErrMemory.
const MemoryHint = "if the fleet is really that large, set AGENTSYNC_MAX_MEMORY_BYTES; nothing is lost, the next apply goes on"
