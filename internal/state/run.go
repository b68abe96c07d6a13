package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"agentsync/internal/agent"
)

// Run is a state that is being changed, its journal open. It is safe for concurrent use.
type Run struct {
	file    *File
	version string // of the state's content on disk
	journal *journal

	mu     sync.Mutex // guards what follows, and that journal and fleet have one order
	fleet  *Fleet
	lastID uint64
	closed bool
}

// Begin opens the journal for a run. The caller holds the lock and loaded snap under it or before;
// the error matches ErrStale where the files changed since. What a crashed run left in the journal is
// written to the state first. reserve is how many bytes the run will need in the journal, by a
// generous guess; where the disk has no room for them, the error matches ErrNoSpace. A run may need
// more and then takes its chances. A new state gets its lineage here. Where Begin fails, nothing was
// lost and nothing may be sent. A command with nothing to do and no Pending does not call it.
func (f *File) Begin(ctx context.Context, snap *Snapshot, reserve int64) (*Run, error) {
	if err := f.checkUnchanged(ctx, snap); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	if snap.State.Lineage == PublicLineage {
		return nil, fmt.Errorf("begin: %s: %w", f.Name(), errPublic)
	}
	s, version := snap.State.Clone(), snap.version
	// Now and not with the first write of the state: the journal's header names it, and secrets are sealed under it.
	if s.Lineage == "" {
		s.Lineage = NewLineage()
	}
	var content []byte
	if snap.Pending {
		// What an earlier journal holds goes into the state before that journal is replaced: nothing else knows its
		// uids.
		var err error
		if s, content, err = s.nextWritten(); err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		version = versionOf(content)
	}
	fleet, err := NewFleet(s, snap.Open)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	first := func(instance string) []byte { return journalContent(s, snap.Open, instance) }
	t, end, err := f.keeper.begin(ctx, content, snap.version, first, reserve)
	if err != nil {
		return nil, err
	}
	return &Run{file: f, version: version, journal: openJournal(ctx, t, end), fleet: fleet, lastID: snap.lastID}, nil
}

// Lineage returns the state's lineage, the key under which secrets are sealed.
func (r *Run) Lineage() string { return r.fleet.state.Lineage } // never changes during a run

// Fleet returns what the run knows, with every result that Commit was given, also where it could not be
// stored. It stays readable after Close.
func (r *Run) Fleet() *Fleet { return r.fleet }

// State returns a copy of the state as of now, with every result that Commit was given, also where
// it could not be stored. Its serial is that of the file on disk.
func (r *Run) State() *State { return r.fleet.State() }

// Intend stores what is about to be sent and returns the intent's id. When it returns, the intent
// survives a crash; with an error, the request must not be sent. Callers at the same time share one
// fsync.
func (r *Run) Intend(i Intent) (uint64, error) {
	if i.Address.IsZero() || i.Action == "" {
		return 0, errors.New("an intent without an address or an action")
	}
	var err error
	if i.Fields, err = checkDoc(i.Fields); err != nil {
		return 0, fmt.Errorf("%s: fields: %w", i.Address, err)
	}
	i.At, i.NeverLeft = i.At.Round(0).UTC(), true
	// Held over both: a Close in between would write a journal that lacks an intent which is about to be on the disk.
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, ErrClosed
	}
	r.lastID++
	i.ID = r.lastID
	b, err := r.journal.submitPayload(func(dst []byte) ([]byte, error) { return appendPayload(dst, textOfIntent(i)) })
	if err == nil {
		r.fleet.noteOpened(i)
	}
	r.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err := b.wait(); err != nil {
		r.fleet.forgetIntent(i.ID) // it will not be sent: open, it would be waited for
		return 0, err
	}
	return i.ID, nil
}

// Leaving notes that the request of an open intent is about to leave; its first byte may leave only after a
// nil error. It costs no fsync: the line says something to a next run on the same machine alone, which finds
// it because the kernel has it, whether this process lives or not. A request that leaves without it is taken
// for one that never left, and sent a second time.
func (r *Run) Leaving(id uint64) error {
	r.mu.Lock()
	closed := r.closed
	// Before the line is written: a Close at the same moment then writes the line as well. After an error the
	// intent is taken for one that left, which costs a grace period and no more.
	isOpen := !closed && r.fleet.noteLeaving(id)
	r.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case !isOpen:
		return fmt.Errorf("the intent %d is not open", id)
	}
	return r.journal.noteLeaving(id)
}

// Commit stores results, those of one call together or not at all. When it returns, they survive a
// crash. An error that does not match ErrBroken is about the results: one has no uid, or a uid that
// belongs to another address; then none was taken. After one that does, the results are still in
// State, and Close tries to write them.
func (r *Run) Commit(results ...Result) error {
	if len(results) == 0 {
		return nil
	}
	results = slices.Clone(results)
	if err := r.checkResults(results); err != nil {
		return err
	}
	b, err := r.submitResults(results)
	if err != nil {
		return err
	}
	return b.wait()
}

// submitResults enters the results, which it completes in place, and hands them to the journal.
func (r *Run) submitResults(results []Result) (*batch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	// Before the journal gets them: what the fleet refuses, a uid at two addresses, must not be in a line that the next
	// run reads.
	if err := r.fleet.Enter(results); err != nil {
		return nil, fmt.Errorf("record result: %w", err)
	}
	return r.journal.submitPayload(func(dst []byte) ([]byte, error) {
		dst, err := appendPayload(dst, textOfResults(results))
		if err != nil {
			return nil, fmt.Errorf("record result: %w", err)
		}
		return dst, nil
	})
}

// checkResults brings the documents of the results into canonical form: what is not JSON must not come into the
// journal, which could then not be read. What is applied is often what was sent, and was checked then.
func (r *Run) checkResults(results []Result) (err error) {
	for i := range results {
		rec := &results[i].Record
		if sent := r.fleet.sentFields(results[i].Intent); len(sent) == 0 || !bytes.Equal(rec.Applied, sent) {
			if rec.Applied, err = checkDoc(rec.Applied); err != nil {
				return fmt.Errorf("%s: applied: %w", results[i].Address, err)
			}
		}
		if rec.Observed, err = checkDoc(rec.Observed); err != nil {
			return fmt.Errorf("%s: observed: %w", results[i].Address, err)
		}
	}
	return nil
}

// depthOfDocs is how deep a document is nested in a line of the journal, {"results": [{"record": {"observed": …}}]},
// which is deeper than in the state file.
const depthOfDocs = 4

func checkDoc(d agent.Doc) (agent.Doc, error) {
	if d == nil {
		return d, nil
	}
	dec := newDecoder(d)
	dec.around = depthOfDocs // what is taken can be read again
	out, err := dec.readDocument()
	if err == nil {
		err = dec.expectEnd()
	}
	if bytes.Equal(out, d) {
		return d, err // the usual case: one copy less to keep
	}
	return out, err
}

// Close ends the run: the state file gets all results, and only then is the journal emptied, but for
// the intents that are open. Where nothing changed, the state file is not touched. With nil,
// everything that Commit was ever given is in the state file, even where the journal broke. With an
// error it is in State, and the journal is kept; the error matches ErrStale where someone else
// wrote the state file meanwhile: the next Load then brings the two together. A second Close does
// nothing.
func (r *Run) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	r.mu.Unlock()
	r.journal.close()

	s, changed := r.fleet.stateNow()
	var content []byte
	if changed {
		var err error
		if s, content, err = s.nextWritten(); err != nil {
			return fmt.Errorf("close state: %w", err)
		}
	}
	// Where the state is durable, a journal that stays because of an error says nothing new, and the next run empties
	// it.
	if saved, err := r.file.keeper.fold(ctx, content, r.version, openLines(s, r.fleet.Open())); err != nil && !saved {
		return fmt.Errorf("close state: %w", err)
	}
	r.fleet.noteSaved(s.Serial)
	return nil
}
