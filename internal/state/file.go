package state

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"strconv"
	"time"
)

// File is a state, its lock and its journal, in files or in a shared place. It holds no state itself and is safe for
// concurrent use; what happens between Lock and unlock is one run's affair.
type File struct{ keeper keeper }

// Option changes how a File works.
type Option func(*local)

// WithFS puts another file system in place of the real one, for tests. The lock stays on the real one.
func WithFS(fsys FS) Option { return func(l *local) { l.fs = fsys } }

// NewFile returns the state file at path. Nothing is read yet. No file is read or written through a symbolic
// link: what uses the File then fails with a *FormatError.
func NewFile(path string, options ...Option) *File {
	l := &local{fs: osFS{}, path: path}
	for _, o := range options {
		o(l)
	}
	return &File{l}
}

// Name says to a person where the state is: the path that the File was made with, or the shared place.
func (f *File) Name() string { return f.keeper.name() }

// Lock takes the lock, waiting until ctx is done; then the error is a *LockedError. It asks at least once, whatever ctx
// says. It ends at the latest with the process: that of a file at once, that of a shared place when its lease is over.
func (f *File) Lock(ctx context.Context, holder Holder) (unlock func() error, err error) {
	return f.keeper.lock(ctx, holder)
}

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
	// Grace is how long, from the lock on, requests of a run may still take effect that was taken over from; 0 where none
	// was. It is known under the lock.
	Grace time.Duration

	version string // of the state's content, for the check at the next write
	journal string // digest of the journal, for the same
	results bool   // the journal holds results, be they in the state file already or not
	lastID  uint64 // highest intent in the journal
}

// Load reads the state and replays the journal in memory. It writes nothing and needs no lock: while
// another run goes on, it gives a state that was true at some moment. An absent file is an empty
// state, unless its folder is missing too. An error about content is a *FormatError.
func (f *File) Load() (*Snapshot, error) {
	on, err := f.keeper.read()
	if err != nil {
		return nil, err
	}
	return f.load(on)
}

func (f *File) load(on stored) (*Snapshot, error) {
	snap, err := f.snapshot(on)
	if err != nil {
		return nil, f.keeper.explain(on, err)
	}
	return snap, nil
}

func (f *File) snapshot(on stored) (*Snapshot, error) {
	snap := &Snapshot{Exists: on.version != "", Grace: on.grace, version: on.version, journal: digest(on.journal)}
	var s *State
	var err error
	switch {
	case snap.Exists:
		if s, err = Decode(f.keeper.name(), on.state); err != nil {
			return nil, err
		}
	case on.lineage != "":
		s = &State{Lineage: on.lineage}
	}
	journal, err := readJournal(f.keeper.journalName(), on.journal, on.instance)
	if err != nil {
		return nil, err
	}
	if on.whole && journal.torn != nil {
		return nil, journal.damage(on.journal, *journal.torn, "the line is damaged")
	}
	return snap, f.replay(snap, s, journal)
}

func (f *File) replay(snap *Snapshot, s *State, journal *replay) error {
	empty := journal.results == 0 && len(journal.open) == 0
	if s != nil && !empty && s.Lineage != journal.header.lineage {
		return journal.foreign(f.keeper.name(), s)
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

// unchanged returns an error that matches ErrStale unless state and journal are still what snap was
// made of.
func (f *File) unchanged(snap *Snapshot) error {
	on, err := f.keeper.read()
	if err != nil {
		return err
	}
	if on.version != snap.version {
		return fmt.Errorf("%w: %s was written by someone else", ErrStale, f.keeper.name())
	}
	snap.Grace = on.grace // a snapshot from before the lock knows of none
	if digest(on.journal) != snap.journal {
		return fmt.Errorf("%w: %s was written by another run", ErrStale, f.keeper.journalName())
	}
	return nil
}

// Fresh reports whether state and journal are still what snap was made of. It reads them, and decodes
// neither. Where they are, the Grace of snap is that of the lock.
func (f *File) Fresh(snap *Snapshot) (bool, error) {
	err := f.unchanged(snap)
	if errors.Is(err, ErrStale) {
		return false, nil
	}
	return err == nil, err
}

// successor returns s as it is written next, serial and lineage seen to, and its content.
func (s *State) successor() (*State, []byte, error) {
	next := *s
	next.Serial++
	if next.Lineage == "" {
		next.Lineage = NewLineage()
	}
	content, err := next.Encode()
	return &next, content, err
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
	if snap.State.Lineage == PublicLineage {
		return fmt.Errorf("edit state: %s: %w", f.Name(), errPublic)
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
	if snap.Pending || snap.results {
		var content []byte
		if snap.Pending {
			if s, content, err = s.successor(); err != nil {
				return err
			}
			version = digest(content)
		}
		// An error of the journal alone counts as well: replayed, it could bring back what the edit takes out.
		if _, err := f.keeper.fold(content, snap.version, openLines(s, snap.Open)); err != nil {
			return err
		}
	}
	if equalContent(edited, s) {
		return nil
	}
	edited.Serial, edited.Lineage = s.Serial, s.Lineage
	_, content, err := edited.successor()
	if err != nil {
		return err
	}
	return f.keeper.save(content, version)
}

// seed makes digests differ from process to process: they are compared in one, and never kept.
var seed = maphash.MakeSeed()

// digest returns the version of a content.
func digest(b []byte) string { return strconv.FormatUint(maphash.Bytes(seed, b), 16) }
