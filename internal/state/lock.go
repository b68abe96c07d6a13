package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Holder says who holds the lock, to whoever has to wait.
type Holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host,omitempty"`
	User    string    `json:"user,omitempty"`
	Command string    `json:"command,omitempty"` // "apply"; never arguments, which may hold secrets
	Started time.Time `json:"started,omitzero"`
	RunURL  string    `json:"runUrl,omitempty"` // of the CI job, if it runs in one
}

// String returns one line: "apply by ann on build-7 (process 4711) since 10:04:05 UTC, https://…".
func (h Holder) String() string {
	var b strings.Builder
	b.WriteString(or(h.Command, "another run"))
	if h.User != "" {
		b.WriteString(" by " + h.User)
	}
	if h.Host != "" {
		b.WriteString(" on " + h.Host)
	}
	if h.PID != 0 {
		fmt.Fprintf(&b, " (process %d)", h.PID)
	}
	if !h.Started.IsZero() {
		b.WriteString(" since " + h.Started.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	if h.RunURL != "" {
		b.WriteString(", " + h.RunURL)
	}
	return printable(b.String())
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// printable replaces what could steer a terminal: the lock file's content is anyone's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
}

// LockedError says that another run holds the lock.
type LockedError struct {
	// Path is the lock file.
	Path string
	// Holder is who holds it as far as it can be read, else zero.
	Holder Holder
	// Err is why the waiting ended: the context's cause.
	Err error
}

// Error names the holder.
func (e *LockedError) Error() string {
	return fmt.Sprintf("the state is locked: %s holds %s", e.Holder, e.Path)
}

// Unwrap returns why the waiting ended, so that an interrupt can be told from a deadline.
func (e *LockedError) Unwrap() error { return e.Err }

// lockPoll is how often a run that waits asks again: soon enough not to be felt after a lock of
// minutes, and 10 cheap system calls a second.
const lockPoll = 100 * time.Millisecond

// maxHolder bounds what is read of a lock file.
const maxHolder = 4096

// Lock takes the lock beside the state file, waiting until ctx is done; then the error is a
// *LockedError. It asks at least once, whatever ctx says. The kernel frees the lock when the process
// ends in whatever way, so the file is never removed and never stale; a run that removed it could
// let two others in. The lock is advisory and does not reach over every network file system: the
// check of the file's version on each write is what makes a stale writer fail.
func (f *File) Lock(ctx context.Context, holder Holder) (unlock func() error, err error) {
	path, err := f.beside(".lock")
	if err != nil {
		return nil, fmt.Errorf("lock state: %w", err)
	}
	l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
	for {
		ok, err := l.TryLock()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if folder := needFolder(osFS{}, path); folder != nil {
				err = folder
			}
			return nil, fmt.Errorf("lock state: %w", err)
		case err != nil:
			return nil, fmt.Errorf("lock state: %w", err)
		case ok && sameFile(l, path):
			return hold(l, path, holder)
		case ok: // the file was removed between opening and locking it: this lock would lock nobody out
			_ = l.Unlock()
			continue
		}
		select {
		case <-ctx.Done():
			return nil, &LockedError{Path: path, Holder: whoHolds(path), Err: context.Cause(ctx)}
		case <-time.After(lockPoll):
		}
	}
}

func sameFile(l *flock.Flock, path string) bool {
	held, err := l.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(held, there)
}

// hold writes who holds the lock into its file. That is for people only, so a failure to write it
// does not end the run.
func hold(l *flock.Flock, path string, holder Holder) (func() error, error) {
	if b, err := json.Marshal(holder); err == nil {
		_ = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	return func() error {
		_ = os.Truncate(path, 0)
		if err := l.Unlock(); err != nil {
			return fmt.Errorf("unlock state: %w", err)
		}
		return nil
	}, nil
}

// whoHolds reads the holder, a few times where there is none: one that has just taken the lock is about
// to write its name.
func whoHolds(path string) (h Holder) {
	for range 5 {
		if h = readHolder(path); h != (Holder{}) {
			return h
		}
		time.Sleep(lockPoll / 10)
	}
	return h
}

func readHolder(path string) (h Holder) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) > maxHolder || json.Unmarshal(b, &h) != nil {
		return Holder{}
	}
	return h
}
