package state

import (
	"errors"
	"syscall"
)

// syncDir does nothing: Windows has no call for it and logs renames itself.
func syncDir(string) error { return nil }

// Windows' own numbers for a full disk; package syscall does not name them.
const (
	errorHandleDiskFull = syscall.Errno(39)
	errorDiskFull       = syscall.Errno(112)
)

// isNoSpace reports whether the disk is full.
func isNoSpace(err error) bool {
	return errors.Is(err, errorDiskFull) || errors.Is(err, errorHandleDiskFull)
}
