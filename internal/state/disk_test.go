package state_test

import "testing"

// diskEnv names what the test binary does instead of tests: things that a process can only do to itself.
const diskEnv = "AGENTSYNC_STATE_TEST_DISK"

// TestModesUnderAnyUmask: what says something about secrets is for its owner alone, and for its owner always.
func TestModesUnderAnyUmask(t *testing.T) { runDiskChild(t, "umask", t.TempDir()) }

// TestFolderSync: an fsync that fails is an error for a file, and for a folder too, unless the file system has no
// such call for folders. The kernel is made to answer each by a filter on system calls.
func TestFolderSync(t *testing.T) {
	for _, what := range []string{"fsync EIO", "fsync EINVAL", "fsync ENOTSUP"} {
		t.Run(what, func(t *testing.T) { runDiskChild(t, what, t.TempDir()) })
	}
}

// TestReserve: the space is there, with the call for it and without.
func TestReserve(t *testing.T) {
	for _, what := range []string{"reserve", "reserve without fallocate"} {
		t.Run(what, func(t *testing.T) { runDiskChild(t, what, t.TempDir()) })
	}
}

// TestNoSpaceOnARealDisk: on a disk of 64 KiB a journal of 1 MiB is refused before anything is sent, and nothing is
// left.
func TestNoSpaceOnARealDisk(t *testing.T) { runDiskChild(t, "no space", t.TempDir()) }
