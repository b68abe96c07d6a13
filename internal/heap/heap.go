// Package heap prepares the memory of a process that is short and keeps most of what it makes. It changes what a run
// costs, and never what it does: where the system gives nothing of what is asked for here, the run is slower.
package heap

import (
	"runtime"
	"runtime/debug"
)

const (
	// headroom is how much more heap than usual, in bytes, there may be before it is collected: collecting a heap of a
	// few MiB again and again would be a quarter of the time of a plan. Unlike a higher GOGC it does not grow with the
	// fleet.
	headroom = 72 << 20
	// hugeSpace is how much of the heap, in bytes, may come in huge pages: what a fleet of 20,000 agents needs. It is
	// address space, of which the system counts what is touched.
	hugeSpace = 256 << 20
)

// Prepare makes a heap that is collected seldom, and that grows in huge pages where the system has them. The caller
// keeps what it returns alive for as long as the heap is to stay so.
func Prepare() (keep []byte) {
	percent := debug.SetGCPercent(-1) // one collection, below, and not another one for each of the two
	offerHugePages()
	keep = make([]byte, headroom) // never touched: address space, no memory
	// The space is free now, and what is made from here on is made in it. What the collector counts as in use, and sets
	// its next goal by, is keep alone.
	runtime.GC()
	debug.SetGCPercent(percent)
	return keep
}

// offerHugePages asks the system to back the next part of the heap by huge pages. Page by page, a plan of 10,000 agents
// asks for memory 25,000 times, which on a virtual machine is two fifths of its processor time. The memory belongs to
// the heap and to nobody when it returns.
func offerHugePages() {
	adviseHuge(make([]byte, hugeSpace))
}
