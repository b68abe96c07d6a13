package state

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"
)

// keeper is where a File's state and journal are kept: files beside each other, or a shared place that several machines
// reach. It carries bytes and knows nothing of what they say.
type keeper interface {
	// name and journalName say to a person where the state is, and the journal.
	name() string
	journalName() string
	// read returns what is there: under the lock what its holder wrote last, without it what was true at some moment.
	read(ctx context.Context) (storedContent, error)
	// lock keeps others out until unlock, or until this process ends.
	lock(ctx context.Context, holder Holder) (unlock func() error, err error)
	// save puts content in the state's place, if the state is still of the version, and otherwise fails with an error
	// that matches ErrStale. A reader sees the old content or the new; after nil the new one is durable.
	save(ctx context.Context, content []byte, version string) error
	// fold does the same, unless content is nil, and then leaves in the journal what first returns, or no journal where
	// first is nil. saved reports that the state is durable: an error is then of a journal that says nothing new.
	fold(ctx context.Context, content []byte, version string, first firstLines) (saved bool, err error)
	// begin is fold with a journal that goes on at the end, which it returns. reserve is how many bytes it will need.
	begin(ctx context.Context, content []byte, version string, first firstLines, reserve int64) (t journalTape,
		end int64,
		err error)
	// explainError completes an error about what was read.
	explainError(on storedContent, err error) error
	// rescueFolder is where a state goes that could not be written.
	rescueFolder() string
}

// firstLines returns what a journal begins with, written into a file with the given Handle.Instance.
type firstLines func(instance string) []byte

// storedContent is what a keeper has.
type storedContent struct {
	// state is the state's content, with its version for the check at the next write, which is "" for none.
	state   []byte
	version string
	// lineage is that of a state that was never written, where the keeper knows it before.
	lineage string
	// serial is that of the last state that was written, where the keeper knows it.
	serial  uint64
	journal []byte
	// segment, where it is not nil, names the part of the journal in which a byte stands.
	segment func(offset int) string
	// instance is the Handle.Instance of the journal.
	instance string
	// whole reports that each write is there as a whole or not at all, so that no line can be torn.
	whole bool
	// grace is Snapshot.Grace.
	grace time.Duration
}

// journalTape is what a journal is written to.
type journalTape interface {
	// WriteAt and sync are called by one goroutine; WriteAt by others as well where notesLeaving is true. After sync
	// what was written is durable.
	io.WriterAt
	sync(ctx context.Context) error
	Close() error
	// mayLeave returns why no request may leave any more, or nil.
	mayLeave() error
	// notesLeaving reports whether a line of a request that leaves can be of use to anybody: see Intent.NeverLeft.
	notesLeaving() bool
}

// localKeeper keeps a state in a file, with the journal and the lock beside it. The condition of a write is checked by
// reading the file again just before the rename; between the two, the lock keeps other runs out.
type localKeeper struct {
	fs      FS
	path    string
	waiting func(*LockedError)
}

func (l *localKeeper) name() string { return l.path }

func (l *localKeeper) journalName() string { return l.path + ".journal" }

func (l *localKeeper) rescueFolder() string { return filepath.Dir(l.path) }

func (l *localKeeper) explainError(_ storedContent, err error) error { return err } // what it says is of files already

func (l *localKeeper) read(context.Context) (storedContent, error) {
	if err := l.fs.CheckPath(l.path); err != nil {
		return storedContent{}, fmt.Errorf("read state: %w", err)
	}
	// The journal first: a run that ends in between has put into the state what it then removed.
	journal, err := l.fs.ReadFile(l.journalName())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storedContent{}, fmt.Errorf("read journal: %w", err)
	}
	instance := l.fs.Instance(l.journalName())
	content, version, err := l.readState()
	return storedContent{state: content, version: version, journal: journal, instance: instance}, err
}

// readState returns the state's content and version. A file that is absent has neither, unless its folder is absent
// too.
func (l *localKeeper) readState() (content []byte, version string, err error) {
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
	return b, versionOf(b), nil
}

func (l *localKeeper) save(_ context.Context, content []byte, version string) error {
	_, now, err := l.readState()
	if err != nil {
		return err
	}
	// The lock is not enough: it does not reach over every network, nor to git, which may have put another file there.
	if now != version {
		return fmt.Errorf("write state: %w: %s was written by someone else", ErrStale, l.path)
	}
	// 0600: the file holds hashes of secrets together with their key, so a weak secret could be guessed. Whoever
	// gave the file another mode, as git does, wants to read it; nobody runs it.
	perm := fs.FileMode(0o600)
	if info, err := l.fs.Stat(l.path); err == nil {
		perm = info.Mode().Perm() &^ 0o111
	}
	next := replacement{content: func(string) []byte { return content }, perm: perm}
	if err := replaceFile(l.fs, l.path, next); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func (l *localKeeper) fold(ctx context.Context, content []byte, version string,
	first firstLines) (saved bool, err error) {
	if content != nil {
		if err := l.save(ctx, content, version); err != nil {
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
	// Without it a crash may bring the journal back. That loses nothing, but the next run would have it to write.
	return true, l.fs.SyncDir(filepath.Dir(l.path))
}

func (l *localKeeper) begin(ctx context.Context, content []byte, version string, first firstLines,
	reserve int64) (journalTape,
	int64, error) {
	if content != nil {
		if err := l.save(ctx, content, version); err != nil {
			return nil, 0, fmt.Errorf("begin: %w", err)
		}
	}
	// Behind the save: the journal that is replaced holds what the state did not have until now.
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
	// Opened anew by its name, under which the next run looks for it.
	h, err := l.fs.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("begin journal: %w", err)
	}
	return fileTape{h}, end, nil
}

// fileTape is a journal in a file.
type fileTape struct{ Handle }

func (t fileTape) sync(context.Context) error { return t.Sync() }
func (fileTape) mayLeave() error              { return nil } // no lease bounds who holds the lock

func (fileTape) notesLeaving() bool { return true }

func (l *localKeeper) lock(ctx context.Context, holder Holder) (unlock func() error, err error) {
	return lockBeside(ctx, l.path, holder, l.waiting)
}

// seed makes digests differ from process to process: they are compared in one, and never kept.
var seed = maphash.MakeSeed()

// versionOf returns the version of a content.
func versionOf(b []byte) string { return strconv.FormatUint(maphash.Bytes(seed, b), 16) }
