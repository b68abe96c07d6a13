package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// local keeps a state in a file, with the journal and the lock beside it. The condition of a write is checked by reading
// the file again just before the rename; between the two, the lock keeps other runs out.
type local struct {
	fs   FS
	path string
}

func (l *local) name() string        { return l.path }
func (l *local) journalName() string { return l.path + ".journal" }

func (l *local) folder() string { return filepath.Dir(l.path) }

func (l *local) explain(_ stored, err error) error { return err } // what it says is of files already

func (l *local) read() (stored, error) {
	if err := l.fs.CheckPath(l.path); err != nil {
		return stored{}, fmt.Errorf("read state: %w", err)
	}
	// The journal first: a run that ends in between has put into the state what it then removed.
	journal, err := l.fs.ReadFile(l.journalName())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stored{}, fmt.Errorf("read journal: %w", err)
	}
	instance := l.fs.Instance(l.journalName())
	content, version, err := l.readState()
	return stored{state: content, version: version, journal: journal, instance: instance}, err
}

// readState returns the state's content and version. A file that is absent has neither, unless its folder is absent too.
func (l *local) readState() (content []byte, version string, err error) {
	b, err := l.fs.ReadFile(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := needFolder(l.fs, l.path); err != nil {
			return nil, "", fmt.Errorf("read state: %w", err)
		}
		return nil, "", nil
	case err != nil:
		return nil, "", fmt.Errorf("read state: %w", err)
	}
	return b, digest(b), nil
}

func (l *local) save(content []byte, version string) error {
	_, now, err := l.readState()
	if err != nil {
		return err
	}
	if now != version {
		return fmt.Errorf("write state: %w: %s was written by someone else", ErrStale, l.path)
	}
	// 0600: the file holds hashes of secrets together with their key, so a weak secret could be guessed. Whoever
	// gave the file another mode, as git does, wants to read it; nobody runs it.
	perm := fs.FileMode(0o600)
	if info, err := l.fs.Stat(l.path); err == nil {
		perm = info.Mode().Perm() &^ 0o111
	}
	if err := replaceFile(l.fs, l.path, replacement{content: func(string) []byte { return content }, perm: perm}); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func (l *local) fold(content []byte, version string, first firstLines) (saved bool, err error) {
	if content != nil {
		if err := l.save(content, version); err != nil {
			return false, err
		}
	}
	// Only now: the journal holds what the state did not.
	if first != nil {
		return true, replaceFile(l.fs, l.journalName(), replacement{perm: 0o600, content: first})
	}
	if err := l.fs.Remove(l.journalName()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return true, err
	}
	return true, l.fs.SyncDir(filepath.Dir(l.path))
}

func (l *local) begin(content []byte, version string, first firstLines, reserve int64) (tape, int64, error) {
	if content != nil {
		if err := l.save(content, version); err != nil {
			return nil, 0, fmt.Errorf("begin: %w", err)
		}
	}
	name := l.journalName()
	if err := needFolder(l.fs, name); err != nil {
		return nil, 0, fmt.Errorf("begin journal: %w", err)
	}
	removeTemps(l.fs, l.path)
	removeTemps(l.fs, name)
	var end int64
	err := replaceFile(l.fs, name, replacement{reserve: reserve, perm: 0o600, content: func(instance string) []byte {
		b := first(instance)
		end = int64(len(b))
		return b
	}})
	switch {
	case isNoSpace(err):
		return nil, 0, fmt.Errorf("%w, %d bytes: %w", ErrNoSpace, end+reserve, err)
	case err != nil:
		return nil, 0, fmt.Errorf("begin journal: %w", err)
	}
	h, err := l.fs.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("begin journal: %w", err)
	}
	return fileTape{h}, end, nil
}

// fileTape is a journal in a file.
type fileTape struct{ Handle }

func (fileTape) mayLeave() error    { return nil } // no lease bounds who holds the lock
func (fileTape) notesLeaving() bool { return true }

func (l *local) lock(ctx context.Context, holder Holder) (unlock func() error, err error) {
	return lockBeside(ctx, l.path, holder)
}
