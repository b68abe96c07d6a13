package heap

import "golang.org/x/sys/unix"

// adviseHuge marks memory for huge pages. It does so for this process alone, and only where the system's setting is
// "madvise", as on most; "always" needs no advice and "never" takes none.
func adviseHuge(memory []byte) {
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE) // a kernel without them is slower
}
