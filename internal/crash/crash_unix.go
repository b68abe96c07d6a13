//go:build unix

package crash

import "syscall"

// forbidCore allows a core file of one byte: less than any has, and the one size at which Linux also leaves out a
// program that is handed core files.
func forbidCore() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) == nil && limit.Cur > 1 {
		limit.Cur = 1
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) // may be forbidden: then the system decides
	}
}
