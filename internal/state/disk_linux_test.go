package state_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"agentsync/internal/state"
)

// cannot is the exit code of a child that may not do what it has to.
const cannot = 77

func runDiskChild(t *testing.T, what, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), diskEnv+"="+what)
	if what == "no space" {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == cannot, errors.Is(err, fs.ErrPermission):
		t.Skipf("not allowed here: %v %s", err, out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
}

func diskChild(what string) int {
	err := errors.New("no such child: " + what)
	switch rest, isSync := strings.CutPrefix(what, "fsync "); {
	case what == "umask":
		err = childUmask()
	case isSync:
		err = childSync(map[string]syscall.Errno{"EIO": syscall.EIO, "EINVAL": syscall.EINVAL,
			"ENOTSUP": syscall.ENOTSUP}[rest])
	case what == "reserve":
		err = childReserve()
	case what == "reserve without fallocate":
		if err = filterCall(unix.SYS_FALLOCATE, syscall.EOPNOTSUPP); err == nil {
			err = childReserve()
		}
	case what == "no space":
		err = childNoSpace()
	}
	switch {
	case errors.Is(err, errCannot):
		fmt.Println(err)
		return cannot
	case err != nil:
		fmt.Println(err)
		return 1
	}
	return 0
}

var errCannot = errors.New("not allowed")

// childUmask makes every file there is, and checks that it and nobody else may read it.
func childUmask() error {
	for _, umask := range []int{0, 0o077, 0o777} {
		syscall.Umask(umask)
		dir := fmt.Sprintf("u%o", umask)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
		f := state.NewFile(filepath.Join(dir, "state.json"))
		unlock, err := f.Lock(context.Background(), state.Holder{})
		if err != nil {
			return err
		}
		snap, err := f.Load(context.Background())
		if err != nil {
			return err
		}
		run, err := f.Begin(context.Background(), snap, 100)
		if err != nil {
			return err
		}
		if err := run.Commit(recorded("a", "a1")); err != nil {
			return err
		}
		if err := modesAre(dir, 2); err != nil {
			return fmt.Errorf("umask %o: %w", umask, err)
		}
		if err := errors.Join(run.Close(context.Background()), unlock()); err != nil {
			return err
		}
		if _, err := f.Rescue(sample()); err != nil {
			return err
		}
		if err := modesAre(dir, 3); err != nil {
			return fmt.Errorf("umask %o: %w", umask, err)
		}
	}
	return nil
}

// modesAre checks that so many files are in the folder, all for their owner alone.
func modesAre(dir string, files int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) != files {
		return fmt.Errorf("there are %v, want %d files", entries, files)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode() != 0o600 {
			return fmt.Errorf("%s has the mode %v", e.Name(), info.Mode())
		}
	}
	return nil
}

// childSync lets every fsync answer cause, once a journal is open.
func childSync(cause syscall.Errno) error {
	disk := state.RealFS()
	name, h, err := disk.CreateTemp("file")
	if err != nil {
		return err
	}
	if err := errors.Join(h.Sync(), disk.SyncDir(".")); err != nil {
		return fmt.Errorf("before the filter: %w", err)
	}
	if err := filterCall(unix.SYS_FSYNC, cause); err != nil {
		return err
	}
	if err := h.Sync(); !errors.Is(err, cause) {
		return fmt.Errorf("the file's fsync gave %v", err)
	}
	if err := disk.SyncDir("."); cause == syscall.EIO && !errors.Is(err, cause) || cause != syscall.EIO && err != nil {
		return fmt.Errorf("the folder's fsync gave %v", err)
	}
	if err := disk.SyncDir("missing"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a missing folder's fsync gave %v", err)
	}
	return errors.Join(h.Close(), disk.Remove(name))
}

// childReserve checks that the blocks of a reserved file are its own, and that its content is as it was.
func childReserve() error {
	const size = 300_000
	name, h, err := state.RealFS().CreateTemp("file")
	if err != nil {
		return err
	}
	if _, err := h.WriteAt([]byte("content"), 0); err != nil {
		return err
	}
	if err := errors.Join(h.Reserve(size), h.Sync(), h.Close()); err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != size || blocks < size {
		return fmt.Errorf("the file has %d bytes and %d on the disk, want %d of each", info.Size(), blocks, size)
	}
	b, err := os.ReadFile(name)
	if err != nil || !strings.HasPrefix(string(b), "content\x00") || strings.Trim(string(b[7:]), "\x00") != "" {
		return fmt.Errorf("the content is not what was written: %.20q, %v", b, err)
	}
	return nil
}

// childNoSpace mounts a disk of 64 KiB.
func childNoSpace() error {
	if err := syscall.Mount("tmpfs", ".", "tmpfs", 0, "size=64k"); err != nil {
		return fmt.Errorf("%w: mount: %w", errCannot, err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil { // into what is mounted now
		return err
	}
	f := state.NewFile("state.json")
	snap, err := f.Load(context.Background())
	if err != nil {
		return err
	}
	for _, reserve := range []int64{1 << 20, 200_000} {
		if _, err := f.Begin(context.Background(), snap, reserve); !errors.Is(err, state.ErrNoSpace) ||
			!errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("%d bytes: %v", reserve, err)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		return fmt.Errorf("left are %v, %v", entries, err)
	}
	run, err := f.Begin(context.Background(), snap, 20_000)
	if err != nil {
		return fmt.Errorf("a journal that fits: %w", err)
	}
	if err := os.WriteFile("filler", make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk is not full: %v", err)
	}
	for i := range 50 { // some 15 KB: what was reserved is there although the disk is full
		if err := run.Commit(recorded(fmt.Sprint("k", i), fmt.Sprint("u", i))); err != nil {
			return fmt.Errorf("commit %d on the full disk: %w", i, err)
		}
	}
	if err := run.Close(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("close on the full disk: %v", err)
	}
	if err := os.Remove("filler"); err != nil {
		return err
	}
	if snap, err = f.Load(context.Background()); err != nil || len(snap.State.Agents) != 50 {
		return fmt.Errorf("afterwards: %+v, %v", snap, err)
	}
	return nil
}

// filterCall makes every call of one kind by this process fail with cause, without being made.
func filterCall(number uint32, cause syscall.Errno) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("%w: %w", errCannot, err)
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(cause)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("%w: seccomp: %w", errCannot, errno)
	}
	return nil
}
