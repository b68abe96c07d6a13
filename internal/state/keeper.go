package state

import (
	"context"
	"io"
	"time"
)

// keeper is where a File's state and journal are kept: files beside each other, or a shared place that several machines reach.
// It carries bytes and knows nothing of what they say.
type keeper interface {
	// name and journalName say to a person where the state is, and the journal.
	name() string
	journalName() string
	// read returns what is there: under the lock what its holder wrote last, without it what was true at some moment.
	read() (stored, error)
	// lock keeps others out until unlock, or until this process ends.
	lock(ctx context.Context, holder Holder) (unlock func() error, err error)
	// save puts content in the state's place, if the state is still of the version, and otherwise fails with an error
	// that matches ErrStale. A reader sees the old content or the new; after nil the new one is durable.
	save(content []byte, version string) error
	// fold does the same, unless content is nil, and then leaves in the journal what first returns, or no journal where
	// first is nil. saved reports that the state is durable: an error is then of a journal that says nothing new.
	fold(content []byte, version string, first firstLines) (saved bool, err error)
	// begin is fold with a journal that goes on at the end, which it returns. reserve is how many bytes it will need.
	begin(content []byte, version string, first firstLines, reserve int64) (t tape, end int64, err error)
	// explain completes an error about what was read.
	explain(on stored, err error) error
	// folder is where a state goes that could not be written.
	folder() string
}

// firstLines returns what a journal begins with, written into a file with the given Handle.Instance.
type firstLines func(instance string) []byte

// stored is what a keeper has.
type stored struct {
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

// tape is what a journal is written to.
type tape interface {
	// WriteAt and Sync are called by one goroutine; WriteAt by others as well where notesLeaving is true. After Sync
	// what was written is durable.
	io.WriterAt
	Sync() error
	Close() error
	// mayLeave returns why no request may leave any more, or nil.
	mayLeave() error
	// notesLeaving reports whether a line of a request that leaves can be of use to anybody: see Intent.NeverLeft.
	notesLeaving() bool
}
