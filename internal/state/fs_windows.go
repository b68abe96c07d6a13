package state

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// noFollow does not exist here; openFile looks whether the name is a link.
const noFollow = 0

// tryLock locks the file for this open descriptor, or reports that another one has it. The byte that is locked
// lies far behind the content, so that the holder can be read.
func tryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0,
		&windows.Overlapped{OffsetHigh: 1 << 20})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

// ownerOf returns nothing: the owner does not decide here who may open a file.
func ownerOf(fs.FileInfo) string { return "" }

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
