package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"agentsync/internal/state/shared"
)

// sharedKeeper keeps a state in a shared place. What the journal syncs at once is one segment there, and reading the
// segments in order gives what a file would hold, but for leaving lines: another machine could not believe one.
type sharedKeeper struct {
	place *shared.Place
	// damaged lets a lock succeed although what the place holds cannot be read.
	damaged bool

	mu    sync.Mutex    // guards what follows
	lease *shared.Lease // while this process has the lock
}

// NewShared returns the state in a shared place. Nothing is read yet.
func NewShared(place *shared.Place) *File {
	return &File{&sharedKeeper{place: place}}
}

// NewDamaged is NewShared for a place of which the state, the journal or the head may be damaged: the lock succeeds all
// the same, and what cannot be read is not there. It is for Restore.
func NewDamaged(place *shared.Place) *File {
	return &File{&sharedKeeper{place: place, damaged: true}}
}

func (r *sharedKeeper) name() string        { return r.place.Name() }
func (r *sharedKeeper) journalName() string { return r.place.Name() + ", journal" }

// rescueFolder is the working folder: no other is near.
func (r *sharedKeeper) rescueFolder() string { return "." }

func (r *sharedKeeper) heldLease() *shared.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lease
}

func (r *sharedKeeper) setLease(l *shared.Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lease = l
}

func (r *sharedKeeper) read(ctx context.Context) (storedContent, error) {
	on := storedContent{whole: true}
	var v *shared.View
	if l := r.heldLease(); l != nil {
		v, on.grace = l.View(), l.Grace() // nobody else can have written since
	} else {
		var err error
		if v, err = r.place.Read(ctx); err != nil {
			return storedContent{}, err
		}
	}
	on.enterView(v)
	return on, nil
}

// enterView makes on what the view says.
func (on *storedContent) enterView(v *shared.View) {
	if v.State != nil {
		on.state, on.version = v.State, versionOf(v.State)
	}
	on.lineage, on.serial, on.journal, on.segment = v.Lineage, v.Serial, v.Journal, v.Segment
}

// SnapshotOf returns what a view of a shared place says.
func SnapshotOf(place *shared.Place, v *shared.View) (*Snapshot, error) {
	f := &File{&sharedKeeper{place: place}}
	on := storedContent{whole: true}
	on.enterView(v)
	return f.loadStored(on)
}

func (r *sharedKeeper) lock(ctx context.Context, holder Holder) (unlock func() error, err error) {
	take := r.place.Lock
	if r.damaged {
		take = r.place.LockDamaged
	}
	l, err := take(ctx, holder)
	if err != nil {
		return nil, err
	}
	r.setLease(l)
	return func() error {
		r.setLease(nil)
		return l.Release(ctx)
	}, nil
}

// leaseFor returns the lease, if the state is still of the version.
func (r *sharedKeeper) leaseFor(version string) (*shared.Lease, error) {
	l := r.heldLease()
	if l == nil {
		return nil, fmt.Errorf("write %s: %w", r.name(), shared.ErrLost)
	}
	if s := l.View().State; s != nil && versionOf(s) != version || s == nil && version != "" {
		return nil, fmt.Errorf("write %s: %w", r.name(), ErrStale)
	}
	return l, nil
}

func (r *sharedKeeper) save(ctx context.Context, content []byte, version string) error {
	l, err := r.leaseFor(version)
	if err != nil {
		return err
	}
	return l.Save(ctx, content, true)
}

func (r *sharedKeeper) fold(ctx context.Context, content []byte, version string,
	first firstLines) (saved bool, err error) {
	l, err := r.leaseFor(version)
	switch {
	case err != nil:
		return false, err
	case first == nil:
		err = l.Save(ctx, content, false)
	default:
		err = l.Begin(ctx, content, first("")) // state and journal change with one write of the head
	}
	return err == nil, err
}

func (r *sharedKeeper) begin(
	ctx context.Context, content []byte, version string, first firstLines, _ int64,
) (journalTape, int64, error) {
	l, err := r.leaseFor(version)
	if err != nil {
		return nil, 0, err
	}
	lines := first("")
	if err := l.Begin(ctx, content, lines); err != nil {
		return nil, 0, err
	}
	return &leaseTape{lease: l}, int64(len(lines)), nil
}

func (r *sharedKeeper) explainError(on storedContent, err error) error {
	e, ok := errors.AsType[*FormatError](err)
	if !ok || e.Reason == Newer || e.Reason == Elsewhere {
		return err
	}
	at := *e
	if at.Name == r.journalName() && on.segment != nil {
		at.Name, at.Line = r.name()+", "+on.segment(at.Offset), 0
	}
	at.Hint = "put the last good version of it back, if the place keeps versions; or go back to an earlier state, after which the next apply lists each app and takes the agents back that equal their manifests:\n" +
		"  agentsync state history\n" +
		"  agentsync state rollback SERIAL"
	return &at
}

// leaseTape is the journal of a run that has a lease. Its goroutine alone writes.
type leaseTape struct {
	lease  *shared.Lease
	unsent bytes.Buffer
}

// WriteAt keeps b until sync: the journal writes without gaps.
func (t *leaseTape) WriteAt(b []byte, _ int64) (int, error) { return t.unsent.Write(b) }

// sync makes what was written since the last time one segment. It is not given up because a run was interrupted.
func (t *leaseTape) sync(ctx context.Context) error {
	defer t.unsent.Reset()
	return t.lease.Append(ctx, bytes.Clone(t.unsent.Bytes()))
}

func (t *leaseTape) Close() error       { return nil }
func (t *leaseTape) mayLeave() error    { return t.lease.Check() }
func (t *leaseTape) notesLeaving() bool { return false }
