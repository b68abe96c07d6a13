package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// journal is a journal that is open for writing. One goroutine writes: what callers hand in while
// it waits for the disk goes to the disk together, with one fsync.
type journal struct {
	file Handle
	wake chan struct{} // holds one token while next is not empty or closing is set
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	next    *batch     // what is written next
	closing bool
	err     error // the first failure; nothing is written after it

	// The goroutine's own:
	offset int64 // where the next batch goes
	buf    []byte
	rest   time.Duration // how long to wait before the next batch, see gather
}

// batch is payloads that become durable together.
type batch struct {
	payloads []byte        // one behind the other
	ends     []int         // where each ends
	done     chan struct{} // closed when err is set
	err      error
}

// newBatch returns an empty batch in the room of one that was written, if any.
func newBatch(written *batch) *batch {
	b := &batch{done: make(chan struct{})}
	if written != nil {
		b.payloads, b.ends = written.payloads[:0], written.ends[:0]
	}
	return b
}

func openJournal(fsys FS, name string, offset int64) (*journal, error) {
	h, err := fsys.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	j := &journal{
		file: h, offset: offset, next: newBatch(nil),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go j.run()
	return j, nil
}

// submit hands in a payload, which write appends to what it is given, and returns what will say when it
// is durable. A payload that was submitted before another never stands after it. Where write fails
// nothing was submitted.
func (j *journal) submit(write func(dst []byte) ([]byte, error)) (*batch, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err
	}
	b := j.next
	payloads, err := write(b.payloads)
	if err != nil {
		return nil, err
	}
	b.payloads, b.ends = payloads, append(b.ends, len(payloads))
	j.signal()
	return b, nil
}

func (b *batch) wait() error {
	<-b.done
	return b.err
}

func (j *journal) signal() {
	select {
	case j.wake <- struct{}{}:
	default: // the goroutine will look anyway
	}
}

// close waits until everything that was submitted is written, then ends the goroutine.
func (j *journal) close() {
	j.mu.Lock()
	j.closing = true
	j.signal()
	j.mu.Unlock()
	<-j.done
	_ = j.file.Close() // everything that counts was synced
}

func (j *journal) run() {
	defer close(j.done)
	var written *batch
	for range j.wake {
		time.Sleep(j.rest)
		j.mu.Lock()
		b, closing, err := j.next, j.closing, j.err
		j.next = newBatch(written)
		j.mu.Unlock()
		written = nil
		if len(b.ends) > 0 {
			if err == nil {
				err = j.write(b)
				written = b
			}
			if err != nil {
				err = j.fail(err)
			}
			b.err = err
			close(b.done)
		}
		if closing {
			return
		}
	}
}

func (j *journal) write(b *batch) error {
	j.buf = j.buf[:0]
	start := 0
	for _, end := range b.ends {
		j.buf = appendLine(j.buf, b.payloads[start:end], j.offset)
		start = end
	}
	if _, err := j.file.WriteAt(j.buf, j.offset); err != nil {
		return err
	}
	synced := time.Now()
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.offset += int64(len(j.buf))
	j.rest = gather(len(b.ends), time.Since(synced))
	return nil
}

const (
	// restShare is how much longer than for an fsync the journal waits for company before the next one.
	restShare = 16
	maxRest   = 2 * time.Millisecond
)

// gather returns how long the next batch is left open for others to join, after one of so many
// payloads whose fsync took so long. Where many requests are in flight, an fsync for every few lines
// would cost more processor time than the lines; who writes alone waits for nobody.
func gather(payloads int, fsync time.Duration) time.Duration {
	if payloads == 1 {
		return 0
	}
	return min(restShare*fsync, maxRest)
}

// fail keeps the first error. What the disk holds after a failed write or fsync nobody knows, and
// asking again may succeed without the data being there; so this is final.
func (j *journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return j.err
}

// journalContent is what a journal starts with: its header and the intents that are still open.
func journalContent(s *State, open []Intent) []byte {
	b := appendLine(nil, header{version: journalVersion, lineage: s.Lineage, serial: s.Serial}.payload(), 0)
	for _, i := range open {
		b = appendLine(b, i.append(nil), 0)
	}
	return b
}

// resetJournal leaves nothing in the journal but the open intents, and no journal without any.
func (f *File) resetJournal(s *State, open []Intent) error {
	name, err := f.beside(".journal")
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return replaceFile(f.fs, name, replacement{content: journalContent(s, open), perm: 0o600})
	}
	if err := f.fs.Remove(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return f.fs.SyncDir(filepath.Dir(name))
}
