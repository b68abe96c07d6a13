package state

import (
	"fmt"
	"sync"
	"time"

	"agentsync/internal/crash"
)

// journal is a journal that is open for writing. One goroutine writes: what callers hand in while
// it waits for the disk goes to the disk together, with one fsync.
type journal struct {
	tape tape
	wake chan struct{} // holds one token while next is not empty or closing is set
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	next    *batch     // what is written next
	closing bool
	err     error // the first failure; nothing is written after it

	end    sync.Mutex // guards what follows; it is not held while the disk syncs
	offset int64      // where the next line goes
	synced int64      // what stands before it is on the disk
	buf    []byte

	rest time.Duration // the goroutine's own: how long to wait before the next batch, see gather
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

// openJournal goes on with a journal of which end bytes are durable.
func openJournal(t tape, end int64) *journal {
	j := &journal{
		tape: t, offset: end, synced: end, next: newBatch(nil),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go j.run()
	return j
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
	_ = j.tape.Close() // everything that counts was synced
}

func (j *journal) run() {
	defer crash.Guard()
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
	end, err := j.append(b.payloads, b.ends)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := j.tape.Sync(); err != nil {
		return err
	}
	j.end.Lock()
	j.synced = end // not j.offset: what was written since Sync was called may be on the disk or not
	j.end.Unlock()
	j.rest = gather(len(b.ends), time.Since(start))
	return nil
}

// append writes the payloads, one line each, and returns where they end. It syncs nothing.
func (j *journal) append(payloads []byte, ends []int) (end int64, err error) {
	j.end.Lock()
	defer j.end.Unlock()
	j.buf = j.buf[:0]
	start := 0
	for _, end := range ends {
		j.buf = appendLine(j.buf, payloads[start:end], j.synced)
		start = end
	}
	if _, err := j.tape.WriteAt(j.buf, j.offset); err != nil {
		return 0, err
	}
	j.offset += int64(len(j.buf))
	return j.offset, nil
}

// leaving says whether a request may leave, as the last thing before it does. It writes the line of it, where that can
// be of use, at once and beside the goroutine, which may be waiting for the disk.
func (j *journal) leaving(id uint64) error {
	j.mu.Lock()
	err := j.err
	j.mu.Unlock()
	if err != nil {
		return err
	}
	if err := j.tape.mayLeave(); err != nil {
		return j.fail(err)
	}
	if !j.tape.notesLeaving() {
		return nil
	}
	payload := leavingPayload(id)
	if _, err := j.append(payload, []int{len(payload)}); err != nil {
		return j.fail(err)
	}
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

// openLines returns the first lines of a journal of open intents, nil without any.
func openLines(s *State, open []Intent) firstLines {
	if len(open) == 0 {
		return nil
	}
	return func(instance string) []byte { return journalContent(s, open, instance) }
}

// journalContent is what a journal starts with: its header and the intents that are still open, with their
// leaving lines: what an earlier journal could not exclude, this one must not. What was answered stays so.
func journalContent(s *State, open []Intent, instance string) []byte {
	b := appendLine(nil, header{version: journalVersion, lineage: s.Lineage, serial: s.Serial, instance: instance}.payload(), 0)
	for _, i := range open {
		b = appendLine(b, i.append(nil), 0)
		if !i.NeverLeft {
			b = appendLine(b, leavingPayload(i.ID), 0)
		}
		if i.Answered {
			b = appendLine(b, answeredPayload(i), 0)
		}
	}
	return b
}
