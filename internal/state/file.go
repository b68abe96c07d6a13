package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// File is a state, its lock and its journal, in files or in a shared place. It holds no state itself and is safe for
// concurrent use; what happens between Lock and unlock is one run's affair.
type File struct{ keeper keeper }

// Option changes how a File works.
type Option func(*localKeeper)

// WithFS puts another file system in place of the real one, for tests. The lock stays on the real one.
func WithFS(fsys FS) Option { return func(l *localKeeper) { l.fs = fsys } }

// WithWaiting lets tell know, again and again while Lock waits, who has the lock.
func WithWaiting(tell func(*LockedError)) Option { return func(l *localKeeper) { l.waiting = tell } }

// NewFile returns the state file at path. Nothing is read yet. No file is read or written through a symbolic
// link: what uses the File then fails with a *FormatError.
func NewFile(path string, options ...Option) *File {
	l := &localKeeper{fs: osFS{}, path: path}
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
	// Grace is how long, from the lock on, requests of a run may still take effect that was taken over from; 0 where
	// none was. It is known under the lock.
	Grace time.Duration

	version string // of the state's content, for the check at the next write
	journal string // digest of the journal, for the same
	results bool   // the journal holds results, be they in the state file already or not
	lastID  uint64 // highest intent in the journal
}

// Load reads the state and replays the journal in memory. It writes nothing and needs no lock: while
// another run goes on, it gives a state that was true at some moment. An absent file is an empty
// state, unless its folder is missing too. An error about content is a *FormatError.
func (f *File) Load(ctx context.Context) (*Snapshot, error) {
	on, err := f.keeper.read(ctx)
	if err != nil {
		return nil, err
	}
	return f.loadStored(on)
}

func (f *File) loadStored(on storedContent) (*Snapshot, error) {
	snap, err := f.snapshotOf(on)
	if err != nil {
		return nil, f.keeper.explainError(on, err)
	}
	return snap, nil
}

func (f *File) snapshotOf(on storedContent) (*Snapshot, error) {
	snap := &Snapshot{Exists: on.version != "", Grace: on.grace, version: on.version, journal: versionOf(on.journal)}
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
		return nil, journal.damageError(on.journal, *journal.torn, "the line is damaged")
	}
	return snap, f.applyJournal(snap, s, journal)
}

func (f *File) applyJournal(snap *Snapshot, s *State, journal *journalReplay) error {
	empty := journal.results == 0 && len(journal.open) == 0
	if s != nil && !empty && s.Lineage != journal.header.Lineage {
		return journal.foreignError(f.keeper.name(), s)
	}
	merged, err := journal.mergeInto(s)
	if err != nil {
		return err
	}
	snap.State, snap.Open = merged, sortedIntents(journal.open)
	snap.results, snap.lastID = journal.results > 0, journal.lastID
	snap.Pending = s == nil && len(merged.Agents)+len(merged.Apps) > 0 || s != nil && !equalContent(s, merged)
	return nil
}

// checkUnchanged returns an error that matches ErrStale unless state and journal are still what snap was
// made of.
func (f *File) checkUnchanged(ctx context.Context, snap *Snapshot) error {
	on, err := f.keeper.read(ctx)
	if err != nil {
		return err
	}
	if on.version != snap.version {
		return fmt.Errorf("%w: %s was written by someone else", ErrStale, f.keeper.name())
	}
	snap.Grace = on.grace // a snapshot from before the lock knows of none
	if versionOf(on.journal) != snap.journal {
		return fmt.Errorf("%w: %s was written by another run", ErrStale, f.keeper.journalName())
	}
	return nil
}

// Fresh reports whether state and journal are still what snap was made of. It reads them, and decodes
// neither. Where they are, the Grace of snap is that of the lock.
func (f *File) Fresh(ctx context.Context, snap *Snapshot) (bool, error) {
	err := f.checkUnchanged(ctx, snap)
	if errors.Is(err, ErrStale) {
		return false, nil
	}
	return err == nil, err
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
	// After change, which may ask a platform and take its time: what was written meanwhile must not be written over.
	if err := f.checkUnchanged(ctx, snap); err != nil {
		return fmt.Errorf("edit state: %w", err)
	}
	if err := f.writeEdit(ctx, snap, edited); err != nil {
		return fmt.Errorf("edit state: %w", err)
	}
	return nil
}

func (f *File) writeEdit(ctx context.Context, snap *Snapshot, edited *State) (err error) {
	s, version := snap.State, snap.version
	if snap.Pending || snap.results {
		var content []byte
		if snap.Pending {
			if s, content, err = s.nextWritten(); err != nil {
				return err
			}
			version = versionOf(content)
		}
		// An error of the journal alone counts as well: replayed, it could bring back what the edit takes out.
		if _, err := f.keeper.fold(ctx, content, snap.version, openLines(s, snap.Open)); err != nil {
			return err
		}
	}
	if equalContent(edited, s) {
		return nil
	}
	// Of the state as it was written a moment ago, whatever change made of them: two states of one serial would be
	// taken for one.
	edited.Serial, edited.Lineage = s.Serial, s.Lineage
	_, content, err := edited.nextWritten()
	if err != nil {
		return err
	}
	return f.keeper.save(ctx, content, version)
}

// Leave puts a signpost in the place of a state file whose state, as snap has it, is now in the place that a URL names.
// No agentsync reads a signpost as a state, not even an older one. The caller holds the lock.
func (f *File) Leave(ctx context.Context, snap *Snapshot, to string) error {
	if err := f.checkUnchanged(ctx, snap); err != nil {
		return fmt.Errorf("leave a signpost: %w", err)
	}
	content, err := json.Marshal(struct {
		Version uint64   `json:"version"` // what an older agentsync refuses
		MovedTo string   `json:"movedTo"`
		Agents  struct{} `json:"agents"`
	}{Version: Version + 1, MovedTo: to}, inText, jsontext.WithIndent("  "))
	if err == nil {
		_, err = f.keeper.fold(ctx, append(content, '\n'), snap.version, nil)
	}
	if err != nil {
		return fmt.Errorf("leave a signpost: %w", err)
	}
	return nil
}

// TakeOver brings what other knows of the same fleet into the state that snap was loaded of: records as State.Merge
// does, and open intents. What is there already, because it was taken over before, is no error. The caller holds the
// lock.
func (f *File) TakeOver(ctx context.Context, snap, other *Snapshot) error {
	if err := f.checkUnchanged(ctx, snap); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	merged, open, lastID := snap.State.Clone(), slices.Clone(snap.Open), snap.lastID
	if err := merged.Merge(other.State); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	for _, i := range other.Open {
		if slices.ContainsFunc(open, func(o Intent) bool { return sameIntent(o, i) }) {
			continue
		}
		lastID++
		i.ID, i.NeverLeft = lastID, false // another machine cannot know that
		open = append(open, i)
	}
	if equalContent(merged, snap.State) && !snap.Pending && len(open) == len(snap.Open) {
		return nil
	}
	merged.Serial, merged.Lineage = snap.State.Serial, snap.State.Lineage
	s, content, err := merged.nextWritten()
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	if _, err := f.keeper.fold(ctx, content, snap.version, openLines(s, open)); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	return nil
}

// sameIntent reports whether two intents are one, whatever their ids.
func sameIntent(a, b Intent) bool {
	return a.Address == b.Address && a.Action == b.Action && a.UID == b.UID && a.At.Equal(b.At) &&
		slices.Equal(a.Fields, b.Fields)
}

// Restore makes old the state that counts, under a new serial, which it returns. Open intents stay where they can be
// read. The caller holds the lock.
func (f *File) Restore(ctx context.Context, old *State) (serial uint64, err error) {
	on, err := f.keeper.read(ctx)
	if err != nil {
		return 0, err
	}
	if on.lineage != "" && old.Lineage != on.lineage {
		return 0, fmt.Errorf("restore: the state is of another fleet than %s", f.Name())
	}
	var open []Intent
	if snap, err := f.loadStored(on); err == nil {
		open = snap.Open
	}
	next := old.Clone()
	next.Serial = max(on.serial, old.Serial)
	next, content, err := next.nextWritten()
	if err != nil {
		return 0, err
	}
	if _, err := f.keeper.fold(ctx, content, on.version, openLines(next, open)); err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	return next.Serial, nil
}

// rescueName is the file that a state goes to that could not be written where it belongs.
const rescueName = "errored.state"

// maxRescues bounds how many rescued states may lie in one folder.
const maxRescues = 100

// Rescue writes s to a new file, errored.state.json, in the folder of the state file, for a shared place in the working
// folder, or, where that fails, in the system's folder for temporary files. It returns the file's path; it never
// writes over an earlier one. The file is a complete state file, one serial on, so that it can be
// put in the state file's place, or taken in by Merge.
func (f *File) Rescue(s *State) (string, error) {
	_, content, err := s.nextWritten()
	if err != nil {
		return "", err
	}
	name, err := rescueInto(f.keeper.rescueFolder(), content)
	if err == nil {
		return name, nil
	}
	name, tempErr := rescueTemp(content)
	if tempErr == nil {
		return name, nil
	}
	return "", fmt.Errorf("rescue state: %w", errors.Join(err, tempErr))
}

// rescueTemp uses a name that nobody can know: others write into the folder for temporary files.
func rescueTemp(content []byte) (string, error) {
	f, err := os.CreateTemp("", rescueName+".*.json")
	if err != nil {
		return "", err
	}
	return f.Name(), fillFile(f, content)
}

func rescueInto(dir string, content []byte) (string, error) {
	for n := range maxRescues {
		name := filepath.Join(dir, rescueName+".json")
		if n > 0 {
			name = filepath.Join(dir, fmt.Sprintf("%s.%d.json", rescueName, n+1))
		}
		err := writeNew(name, content)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", fmt.Errorf("%s: there are %d rescued states already", dir, maxRescues)
}

// writeNew writes a file that must not exist yet, not even as a link.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return fillFile(f, content)
}

// fillFile writes a file's content durably, and removes the file where it cannot.
func fillFile(f *os.File, content []byte) (err error) {
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o600); err != nil { // whatever the umask
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}
