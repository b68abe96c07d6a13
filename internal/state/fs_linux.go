package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// bootIDFile holds a random UUID that the kernel makes when it starts. Containers of one kernel share it, as
// they share its page cache; a virtual machine has its own.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// fileInstance puts the boot together with what no copy of the file shares: file system, mount, number and the
// moment in which it was made. The number alone is given to the next file when this one is removed.
func fileInstance(f *os.File) string {
	boot, err := os.ReadFile(bootIDFile)
	if boot = bytes.TrimSpace(boot); err != nil || len(boot) != len("00000000-0000-0000-0000-000000000000") {
		return ""
	}
	var on unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &on) != nil || !keepsWrites(uint32(on.Type)) {
		return ""
	}
	const want = unix.STATX_INO | unix.STATX_BTIME | unix.STATX_MNT_ID
	var is unix.Statx_t
	err = unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, want, &is)
	if err != nil || is.Mask&want != want {
		return ""
	}
	return fmt.Sprintf("%s %d:%d %d %d %d.%09d", boot, is.Dev_major, is.Dev_minor, is.Mnt_id, is.Ino, is.Btime.Sec,
		is.Btime.Nsec)
}

// keepsWrites reports whether a file system of the kind keeps in this kernel what a write returned for. One
// on a network or in another process (NFS, SMB, 9p, FUSE) can lose it while this machine goes on.
func keepsWrites(kind uint32) bool {
	switch kind {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC:
		return true
	}
	return false
}

// reserveSpace allocates the blocks. File systems without fallocate get zeros written instead.
func reserveSpace(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return writeZeros(f, size)
		case err != nil:
			return &os.PathError{Op: "reserve space for", Path: f.Name(), Err: err}
		}
		return nil
	}
}
