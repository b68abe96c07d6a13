package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/go-json-experiment/json"

	"agentsync/internal/state/shared"
)

// Holder says who holds the lock, to whoever has to wait.
type Holder = shared.Holder

// LockedError says that another run holds the lock.
type LockedError = shared.LockedError

// lockPoll is how often a run that waits asks again: soon enough not to be felt after a lock of
// minutes, and 10 cheap system calls a second.
const lockPoll = 100 * time.Millisecond

// maxHolder bounds what is read of a lock file.
const maxHolder = 4096

// lockBeside takes the lock beside the state file at path. The kernel frees it when the process ends in whatever way,
// so the file is never removed and never stale; a run that removed it could let two others in. The lock is advisory and
// does not reach over every network file system: the check of the file's version on each write is what makes a stale
// writer fail. waiting, where it is not nil, is told again and again, while the lock is waited for, who has it.
func lockBeside(
	ctx context.Context, path string, holder Holder, waiting func(*LockedError),
) (unlock func() error, err error) {
	if err := (osFS{}).CheckPath(path); err != nil {
		return nil, fmt.Errorf("lock state: %w", err)
	}
	path += ".lock"
	for {
		file, err := lockFile(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("lock state: %w", err)
		case file != nil:
			return keepLocked(file, holder), nil
		}
		if waiting != nil && ctx.Err() == nil {
			waiting(&LockedError{Path: path, Holder: currentHolder(path)})
		}
		select {
		case <-ctx.Done():
			return nil, &LockedError{Path: path, Holder: currentHolder(path), Err: context.Cause(ctx)}
		case <-time.After(lockPoll):
		}
	}
}

// lockFile returns the lock file, locked, or nil where another run has it.
func lockFile(path string) (*os.File, error) {
	for {
		file, err := openFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, explainLock(path, err)
		}
		locked, err := tryLock(file)
		switch {
		case err == nil && locked && isAt(file, path):
			return file, nil
		case err != nil || !locked:
			_ = file.Close()
			return nil, err
		}
		_ = file.Close() // and try the one that is there now, or make it
	}
}

// isAt reports whether path is still the name of the open file. A file that was removed between opening and
// locking it can be locked, but whoever comes next makes another: that lock keeps nobody out.
func isAt(file *os.File, path string) bool {
	held, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(held, there)
}

// explainLock says what to do about a lock file that cannot be opened.
func explainLock(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(needFolder(osFS{}, path), err)
	}
	info, statErr := os.Lstat(path)
	if !errors.Is(err, fs.ErrPermission) || statErr != nil || ownerOf(info) == "" {
		return err
	}
	return &FormatError{Name: path, Reason: Foreign,
		Detail: fmt.Sprintf("the lock file belongs to %s and cannot be opened", ownerOf(info)),
		Hint:   "a run of theirs made it, and may be going on: ask them. Where none is, remove the file; the next run makes its own:\n  rm " + quotePath(path)}
}

// keepLocked writes who holds the lock into its file, through the descriptor that is locked. That is for people only,
// so a failure to write it does not end the run.
func keepLocked(file *os.File, holder Holder) (unlock func() error) {
	_ = file.Chmod(0o600) // whatever the umask, and of one that an earlier version made
	_ = file.Truncate(0)
	if b, err := json.Marshal(holder); err == nil {
		_, _ = file.WriteAt(append(b, '\n'), 0)
	}
	return func() error {
		_ = file.Truncate(0)
		if err := file.Close(); err != nil { // which frees the lock
			return fmt.Errorf("unlock state: %w", err)
		}
		return nil
	}
}

// currentHolder reads the holder, a few times where there is none: one that has just taken the lock is about
// to write its name.
func currentHolder(path string) (h Holder) {
	for range 5 {
		if h = readHolder(path); h != (Holder{}) {
			return h
		}
		time.Sleep(lockPoll / 10)
	}
	return h
}

func readHolder(path string) (h Holder) {
	f, err := openFile(path, os.O_RDONLY, 0)
	if err != nil {
		return Holder{}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHolder))
	if err != nil || json.Unmarshal(b, &h) != nil {
		return Holder{}
	}
	return h
}
