package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
)

// File is a state, its lock and its journal. It holds no state itself and is safe for concurrent
// use; what happens between Lock and unlock is one run's affair.
type File struct {
	fs    FS
	path  string
	store Store
}

// Option changes how a File works.
type Option func(*File)

// WithFS puts another file system in place of the real one, for tests. The lock stays on the real one.
func WithFS(fsys FS) Option { return func(f *File) { f.fs = fsys } }

// WithStore keeps the state itself in s. Journal and lock stay beside the path.
func WithStore(s Store) Option { return func(f *File) { f.store = s } }

// NewFile returns the state file at path. Nothing is read yet. No file is read or written through a symbolic
// link: what uses the File then fails with a *FormatError.
func NewFile(path string, options ...Option) *File {
	f := &File{fs: osFS{}, path: path}
	for _, o := range options {
		o(f)
	}
	if f.store == nil {
		f.store = fileStore{f.fs, path}
	}
	return f
}

// Path returns the path that the File was made with.
func (f *File) Path() string { return f.path }

// journalPath is where the journal lies.
func (f *File) journalPath() string { return f.path + ".journal" }

// Snapshot is what was on disk at one moment.
type Snapshot struct {
	// State is the state with the journal replayed. It belongs to the caller.
	State *State
	// Open are the intents of earlier runs that nothing closed, oldest first.
	Open []Intent
	// Exists reports whether there is a state file.
	Exists bool
	// Pending reports that the journal holds what the state file does not: the next Begin or Edit
	// writes it, and a command that changes nothing else has still that to do.
	Pending bool

	version string // of the state's content, for the check at the next write
	journal string // digest of the journal, for the same
	results bool   // the journal holds results, be they in the state file already or not
	lastID  uint64 // highest intent in the journal
}

// Load reads the state and replays the journal in memory. It writes nothing and needs no lock: while
// another run goes on, it gives a state that was true at some moment. An absent file is an empty
// state, unless its folder is missing too. An error about content is a *FormatError.
func (f *File) Load() (*Snapshot, error) {
	if err := f.fs.CheckPath(f.path); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	// The journal first: a run that ends in between has put into the state what it then removed.
	name, raw, err := f.readJournal()
	if err != nil {
		return nil, err
	}
	instance := f.fs.Instance(name)
	content, version, err := f.store.Load()
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{Exists: version != "", version: version, journal: digest(raw)}
	var s *State
	if snap.Exists {
		if s, err = Decode(f.store.Name(), content); err != nil {
			return nil, err
		}
	}
	journal, err := readJournal(name, raw, instance)
	if err != nil {
		return nil, err
	}
	if err := f.replay(snap, s, journal); err != nil {
		return nil, err
	}
	return snap, nil
}

func (f *File) replay(snap *Snapshot, s *State, journal *replay) error {
	empty := journal.results == 0 && len(journal.open) == 0
	if s != nil && !empty && s.Lineage != journal.header.lineage {
		return journal.foreign(f.store.Name(), s)
	}
	merged, err := journal.merge(s)
	if err != nil {
		return err
	}
	snap.State, snap.Open = merged, sortedIntents(journal.open)
	snap.results, snap.lastID = journal.results > 0, journal.lastID
	snap.Pending = s == nil && len(merged.Agents)+len(merged.Apps) > 0 || s != nil && !equalContent(s, merged)
	return nil
}

// equalContent reports whether two states say the same, serial and lineage aside.
func equalContent(a, b *State) bool {
	if len(a.Agents) != len(b.Agents) || !maps.Equal(a.Apps, b.Apps) {
		return false
	}
	for addr, r := range a.Agents {
		if other, ok := b.Agents[addr]; !ok || !equalRecord(r, other) {
			return false
		}
	}
	return true
}

// readJournal returns the journal's path and content, none where there is no journal.
func (f *File) readJournal() (name string, b []byte, err error) {
	name = f.journalPath()
	b, err = f.fs.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("read journal: %w", err)
	}
	return name, b, nil
}

// unchanged returns an error that matches ErrStale unless state and journal are still what snap was
// made of.
func (f *File) unchanged(snap *Snapshot) error {
	name, raw, err := f.readJournal()
	if err != nil {
		return err
	}
	_, version, err := f.store.Load()
	if err != nil {
		return err
	}
	if version != snap.version {
		return fmt.Errorf("%w: %s was written by someone else", ErrStale, f.store.Name())
	}
	if digest(raw) != snap.journal {
		return fmt.Errorf("%w: %s was written by another run", ErrStale, name)
	}
	return nil
}

// Fresh reports whether state and journal are still what snap was made of. It reads them, and decodes
// neither.
func (f *File) Fresh(snap *Snapshot) (bool, error) {
	err := f.unchanged(snap)
	if errors.Is(err, ErrStale) {
		return false, nil
	}
	return err == nil, err
}

// save writes s as the state after snap, serial and lineage seen to.
func (f *File) save(s *State, version string) (*State, string, error) {
	next := *s
	next.Serial++
	if next.Lineage == "" {
		next.Lineage = newLineage()
	}
	content, err := next.Encode()
	if err != nil {
		return nil, "", err
	}
	if err := f.store.Save(content, version); err != nil {
		return nil, "", err
	}
	return &next, digest(content), nil
}

// Edit changes the state by hand: state mv, state rm, import. change gets a copy; where it returns an
// error, or changes nothing, nothing is written. What a crashed run left in the journal is written
// first, in a step of its own: otherwise replaying it after a crash could bring back what the edit
// took out. Open intents are kept. The caller holds the lock. The error matches ErrStale where the
// files are not what snap was made of. A snap that was written is used up: load again.
func (f *File) Edit(ctx context.Context, snap *Snapshot, change func(*State) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("edit state: %w", err)
	}
	edited := snap.State.Clone()
	if err := change(edited); err != nil {
		return err
	}
	if equalContent(edited, snap.State) && !snap.Pending {
		return nil
	}
	if err := f.unchanged(snap); err != nil {
		return fmt.Errorf("edit state: %w", err)
	}
	if err := f.edit(snap, edited); err != nil {
		return fmt.Errorf("edit state: %w", err)
	}
	return nil
}

func (f *File) edit(snap *Snapshot, edited *State) (err error) {
	s, version := snap.State, snap.version
	if snap.Pending {
		if s, version, err = f.save(s, version); err != nil {
			return err
		}
	}
	if snap.results {
		if err := f.resetJournal(s, snap.Open); err != nil {
			return err
		}
	}
	if equalContent(edited, s) {
		return nil
	}
	edited.Serial, edited.Lineage = s.Serial, s.Lineage
	_, _, err = f.save(edited, version)
	return err
}
