package shared

import (
	"time"
	"unsafe"
)

// Suspend makes the lease what it is on a machine that slept for d since the last renewal: the wall clock went on, and
// the monotonic clock stood. No API makes such a time: its first word holds the seconds of the wall clock above 30 bits
// of nanoseconds.
func (l *Lease) Suspend(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*(*uint64)(unsafe.Pointer(&l.renewed)) -= uint64(d/time.Second) << 30
}

// Die ends what the lease does by itself, as the end of the process would.
func (l *Lease) Die() { l.endRenewal() }
