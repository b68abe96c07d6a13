package shared

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"agentsync/internal/crash"
	"agentsync/internal/state/store"
)

var (
	// ErrLost: the lease ended, or another run took over. Nothing more may be sent, and nothing can be written.
	ErrLost = errors.New("the lease of the shared state is lost: another run may have taken over")
	// ErrUnknown: the lease ended before the store said whether it has what was to be written. As ErrLost.
	ErrUnknown = errors.New("the store did not say in time whether it has what was written")
)

const (
	// deadSlack is how much older than its lease a head must be before its holder counts as dead.
	deadSlack = 10 * time.Second
	// requestSlack is added to how long a request of the run before may last.
	requestSlack = 5 * time.Second
	// lockPoll is how often a run that waits looks at the head, and retryPause how long a request that got no answer
	// waits before it is made again.
	lockPoll   = 2 * time.Second
	retryPause = 500 * time.Millisecond
)

// Lease is the lock of a place, held by this process, with what the place held when it was taken. It is safe for
// concurrent use, but for Begin and Close, which are called once.
type Lease struct {
	place *Place
	view  *View
	epoch uint64
	lease time.Duration
	// grace is how long requests of runs before may still take effect, counted from locked.
	grace  time.Duration
	locked time.Time
	stop   context.CancelFunc // ends the renewal
	done   chan struct{}

	headTurn chan struct{} // holds one token; who has it may write the head and what follows
	head     head          // as this run last wrote it
	tag      store.Tag

	mu      sync.Mutex // guards what follows
	renewed time.Time  // when the last renewal that succeeded was begun
	damage  error      // why the head cannot be read since then, if it cannot
	lost    error

	appendTurn chan struct{} // holds one token: one append at a time
	next       int           // how many segments the journal has that counts, and so the number of the next one
	garbage    []string      // what is deleted once another head is written
	begun      bool          // a journal of this epoch was begun
}

// renewalInterval is how often a lease is renewed.
func renewalInterval(lease time.Duration) time.Duration { return lease / 3 }

// Lock takes the lock, waiting until ctx is done; then the error is a *LockedError. It asks at least once. A holder
// that was not heard of for longer than its lease is taken over from.
func (p *Place) Lock(ctx context.Context, holder Holder) (*Lease, error) {
	return p.lockIn(ctx, holder, lockMode{})
}

// LockDamaged is Lock where the state, the journal or the head may be damaged: what cannot be read is not in its View,
// and a head that was put back counts from behind the newest state that is there. It is for writing a state that was
// read otherwise.
func (p *Place) LockDamaged(ctx context.Context, holder Holder) (*Lease, error) {
	return p.lockIn(ctx, holder, lockMode{damaged: true})
}

// lockMode says how a lock is taken.
type lockMode struct {
	force   bool // from a holder that lives, too
	damaged bool // although what is there cannot be read
}

// Unlock takes the lock over from whoever has it, without waiting for the end of its lease. It is as safe as any
// takeover: that run can send nothing more.
func (p *Place) Unlock(ctx context.Context, holder Holder) (*Lease, error) {
	return p.lockIn(ctx, holder, lockMode{force: true})
}

// headAttempt is a head that this process may have written.
type headAttempt struct {
	start   time.Time
	keys    []string // what the place held before
	garbage []string // which of it no head will reach
}

// graceAfter is how long after a takeover requests of the holder may still take effect: what it has under way ends by
// its own time limit. It may begin more for a lease after its last renewal, and all that proves when that was is how
// long this process has seen none: the store's clock may have jumped.
func graceAfter(h *Holder, seen time.Duration) Duration {
	return h.Request + Duration(requestSlack) + max(0, h.Lease-Duration(seen))
}

func (p *Place) lockIn(ctx context.Context, holder Holder, mode lockMode) (*Lease, error) {
	holder.Lease, holder.Request = Duration(p.options.Lease), Duration(p.options.Request)
	requests := context.WithoutCancel(ctx) // one that was begun is seen through: who knows what it did
	own := map[string]headAttempt{}        // by nonce: heads that may have been written although no answer came
	var seen store.Tag
	var seenAt time.Time
	for {
		h, tag, age, err := p.readHead(requests)
		if err != nil {
			return nil, err
		}
		if tag != seen { // after the answer: the renewal that it shows was begun before
			seen, seenAt = tag, time.Now()
		}
		if a, isOwn := own[h.Nonce]; isOwn {
			return p.newLease(requests, h, tag, a, mode.damaged)
		}
		if h.Holder == nil || mode.force || p.isDead(h.Holder, age, time.Since(seenAt)) {
			keys, err := p.listBeforeLock(requests, &h, mode.damaged)
			if err != nil {
				// Somebody else may have had the lock since the head was read.
				_, now, _, headErr := p.readHead(requests)
				if headErr == nil && now != tag {
					continue
				}
				return nil, cmp.Or(headErr, err)
			}
			a := headAttempt{start: time.Now(), keys: keys}
			if !mode.damaged { // a person may need what is there
				a.garbage = garbageKeys(h, keys, time.Now())
			}
			if h.Holder != nil {
				h.Grace = max(h.Grace, graceAfter(h.Holder, time.Since(seenAt)))
			}
			h.nextEpoch()
			h.Holder, h.Nonce = &holder, newNonce()
			own[h.Nonce] = a
			tag, err = p.replaceHead(requests, h, tag)
			switch {
			case err == nil:
				return p.newLease(requests, h, tag, a, mode.damaged)
			case errors.Is(err, store.ErrDenied), ctx.Err() != nil && !errors.Is(err, store.ErrChanged):
				return nil, fmt.Errorf("lock %s: %w", p.Name(), err)
			case !errors.Is(err, store.ErrChanged): // perhaps it was written: the head says
				time.Sleep(retryPause)
			}
			continue // if it was changed, somebody else was first
		}
		held := &LockedError{Path: p.Name(), Holder: *h.Holder, Age: age}
		if lease := time.Duration(h.Holder.Lease); age > lease+deadSlack {
			held.Watch = watchTime(lease) + 2*lockPoll
		}
		if p.options.Waiting != nil {
			p.options.Waiting(held)
		}
		select {
		case <-ctx.Done():
			held.Err = context.Cause(ctx)
			return nil, held
		case <-time.After(lockPoll):
		}
	}
}

// isDead reports whether a holder was silent for longer than it may be: by the store's clock, which knows when it last
// wrote, and for a while by this process's own, in case the store's clock jumped; or by the latter alone.
func (p *Place) isDead(h *Holder, age, seen time.Duration) bool {
	lease := time.Duration(h.Lease)
	return age > lease+deadSlack && seen > watchTime(lease) || seen > lease+deadSlack
}

// watchTime is how long a run that waits must see nothing of a holder that is silent for too long by the store's clock.
func watchTime(lease time.Duration) time.Duration { return renewalInterval(lease) * 3 / 2 }

// listBeforeLock lists what the place holds before a lock, and refuses a head that somebody put back to an older
// version. Where the place is damaged, the head gets the epoch and the serial to go on from instead.
func (p *Place) listBeforeLock(ctx context.Context, h *head, damaged bool) (keys []string, err error) {
	if keys, err = p.list(ctx, ""); err != nil {
		return nil, fmt.Errorf("read %s: %w", p.Name(), err)
	}
	if !damaged {
		return keys, p.checkNewest(*h, keys)
	}
	for _, key := range keys {
		h.Epoch, h.Serial = max(h.Epoch, epochOf(key)), max(h.Serial, savedAt(key).Serial)
	}
	return keys, nil
}

// newLease makes a Lease of a head that this process wrote: it fences the journal of before and reads all.
func (p *Place) newLease(ctx context.Context, h head, tag store.Tag, a headAttempt, damaged bool) (*Lease, error) {
	l := &Lease{place: p, epoch: h.Epoch, lease: time.Duration(h.Holder.Lease), head: h, tag: tag, renewed: a.start,
		done:  make(chan struct{}),
		grace: max(p.options.Grace, time.Duration(h.Grace)), locked: time.Now(), garbage: a.garbage}
	l.headTurn, l.appendTurn = make(chan struct{}, 1), make(chan struct{}, 1)
	l.headTurn <- struct{}{}
	l.appendTurn <- struct{}{}
	renewing, stop := context.WithCancel(ctx)
	l.stop = stop
	go l.keepRenewing(renewing) // from now on: reading a long journal may take longer than a lease
	v := viewOf(h, tag, 0)
	err := p.readState(ctx, v)
	p.rememberState(nil) // the lease has it
	if err == nil {
		err = p.readJournal(ctx, v, a.keys)
	}
	if err == nil {
		l.view = v
		err = l.fenceJournal(ctx)
		l.next = v.segments
	}
	_, isDamage := errors.AsType[*DamageError](err)
	if isDamage {
		// A machine that stood still meanwhile finds what whoever took over from it has cleaned up.
		now, _, _, headErr := p.readHead(ctx)
		if headErr == nil && now.Epoch != h.Epoch {
			headErr = l.loseWith(ErrLost)
		}
		if lost := cmp.Or(l.Check(), headErr); lost != nil {
			err, isDamage = lost, false
		}
	}
	if isDamage && damaged {
		l.view, l.next, err = &View{Lineage: h.Lineage, Serial: h.Serial, Epoch: h.Epoch, head: h}, 0, nil
	}
	if err != nil {
		l.view = cmp.Or(l.view, new(View))
		_ = l.Release(ctx) // the next one reads the same; nothing was changed
		return nil, err
	}
	return l, nil
}

// fenceJournal closes the journal of before: it reads what was appended, and puts a fence at the first free number.
// After that its writer can append nothing, and all that it was told is durable was read here.
func (l *Lease) fenceJournal(ctx context.Context) error {
	v := l.view
	if v.head.Journal == 0 {
		return nil
	}
	mark := fenceContent(l.epoch, newNonce())
	for !v.fenced {
		if err := l.Check(); err != nil {
			return err
		}
		key := segmentKey(v.head.Journal, v.segments)
		err := l.place.create(ctx, key, mark)
		switch {
		case err == nil:
			v.fenced = true
			return nil
		case errors.Is(err, store.ErrDenied):
			return fmt.Errorf("lock %s: %w", l.place.Name(), err)
		}
		// The old writer was first, or nobody knows: what stands there says it.
		o, getErr := l.place.get(ctx, key)
		switch {
		case getErr == nil: // our own fence among others
			if err := l.place.addObject(v, o.Content); err != nil {
				return err
			}
		case !errors.Is(getErr, store.ErrAbsent) || !errors.Is(err, store.ErrExists):
			l.pauseRetry()
		}
	}
	return nil
}

// View returns what the place held when the lock was taken, the fence behind it, and what Begin and Save did since. It
// is not to be changed.
func (l *Lease) View() *View { return l.view }

// Grace returns how long after the lock a request of an earlier run may still take effect. A run that ends sooner hands
// that on: nothing is known of those requests yet.
func (l *Lease) Grace() time.Duration { return l.grace }

// Epoch returns this run's epoch.
func (l *Lease) Epoch() uint64 { return l.epoch }

// pauseRetry waits before a request is made again.
func (l *Lease) pauseRetry() { time.Sleep(retryPause) }

// Check returns an error where the lease has ended. It is the last thing before a request is sent to a platform: what
// passes it is over by its own time limit before the grace period of whoever takes over.
func (l *Lease) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		return l.lost
	}
	// The larger of two clocks: a suspended machine stops the monotonic one, and a person may put back the other.
	now := time.Now()
	if max(now.Sub(l.renewed), now.Round(0).Sub(l.renewed.Round(0))) >= l.lease {
		l.lost = cmp.Or(l.damage, ErrLost) // for good: whoever takes over may have done so
	}
	return l.lost
}

func (l *Lease) loseWith(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = err
	}
	return l.lost
}

// keepRenewing replaces the head again and again, so that others see that this run lives.
func (l *Lease) keepRenewing(ctx context.Context) {
	defer crash.Guard()
	defer close(l.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(renewalInterval(l.lease)):
		}
		if l.replaceHead(context.WithoutCancel(ctx), func(h *head) {}) != nil && l.Check() != nil {
			return
		}
	}
}

// replaceHead writes the head, changed, until it is known to be written or the lease ends.
func (l *Lease) replaceHead(ctx context.Context, change func(*head)) error {
	<-l.headTurn
	defer func() { l.headTurn <- struct{}{} }()
	own := map[string]time.Time{} // nonces of ours, and when each was sent
	for {
		if err := l.Check(); err != nil {
			return err
		}
		next := l.head
		change(&next)
		next.Nonce = newNonce()
		start := time.Now()
		own[next.Nonce] = start
		tag, err := l.place.replaceHead(ctx, next, l.tag)
		if err == nil {
			l.noteWritten(next, tag, start)
			return nil
		}
		if errors.Is(err, store.ErrDenied) {
			return fmt.Errorf("write %s: %w", l.place.Name(), err)
		}
		// No answer, or another head: perhaps this is ours, from this try or from one before.
		now, tag, _, readErr := l.place.readHead(ctx)
		sent, isOwn := own[now.Nonce]
		switch {
		case readErr != nil:
			l.noteDamage(readErr)
			l.pauseRetry() // who removed it may put it back
		case isOwn:
			l.noteWritten(now, tag, sent)
			return nil
		case now.Nonce == l.head.Nonce:
			l.tag = tag    // somebody may have put the same one back
			l.pauseRetry() // not carried out, or not yet: then the next try finds another head, and it is ours
		case now.Epoch > l.head.Epoch:
			return l.loseWith(ErrLost)
		default: // no run that takes over writes an epoch of before
			return l.loseWith(&DamageError{Place: l.place.Name(), Key: headKey, Hint: putBackHint, endsLease: true,
				Detail: fmt.Sprintf("it was put back to an older version, of epoch %d and serial %d, while this run had the lock",
					now.Epoch, now.Serial)})
		}
	}
}

func (l *Lease) noteWritten(h head, tag store.Tag, start time.Time) {
	l.head, l.tag = h, tag
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed, l.damage = start, nil
}

// noteDamage keeps what is wrong with the head, for when the lease ends without it.
func (l *Lease) noteDamage(err error) {
	damage, isDamage := errors.AsType[*DamageError](err)
	if !isDamage {
		return
	}
	ends := *damage
	ends.endsLease = true
	l.mu.Lock()
	defer l.mu.Unlock()
	l.damage = &ends
}

// putObject creates an object that must be there with this content, until it is, or the lease ends. A request that got
// no answer is made again with the same bytes at the same key, so it cannot be there twice.
func (l *Lease) putObject(ctx context.Context, key string, b []byte) error {
	for {
		if err := l.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		err := l.place.create(ctx, key, b)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, store.ErrDenied):
			return fmt.Errorf("write %s: %w", l.place.Name(), err)
		case errors.Is(err, store.ErrExists):
			o, getErr := l.place.get(ctx, key)
			switch {
			case getErr == nil && bytes.Equal(o.Content, b):
				return nil
			case getErr == nil:
				return l.loseWith(ErrLost) // a fence
			}
		}
		l.pauseRetry()
	}
}

// Begin makes a new journal the one that counts: first is its first segment, and state, if it is not nil, is written
// before, under the next serial, because it holds what the journal of before said. Until its one write of the head, the
// old journal counts.
func (l *Lease) Begin(ctx context.Context, state, first []byte) error {
	ctx = context.WithoutCancel(ctx)
	if l.begun { // no key is ever used twice, so a second journal needs an epoch of its own
		if err := l.replaceHead(ctx, (*head).nextEpoch); err != nil {
			return err
		}
		l.epoch = l.currentHead().Epoch
	}
	epoch := l.epoch
	saved, err := l.putState(ctx, state)
	if err != nil {
		return err
	}
	if err := l.putObject(ctx, segmentKey(epoch, 0), encodeSegment(first)); err != nil {
		return err
	}
	l.begun = true
	before, segments := l.currentHead().Journal, l.next
	if err := l.pointHead(ctx, saved, func(h *head) { h.Journal = epoch }); err != nil {
		return err
	}
	l.next = 1
	l.updateView(state, first)
	l.deleteUnreached(ctx, before, segments) // only now: the head before reached it
	return nil
}

// updateView makes state, unless it is nil, and journal what View returns.
func (l *Lease) updateView(state, journal []byte) {
	v := *l.view
	if state != nil {
		v.State = state
	}
	v.head, v.Journal = l.currentHead(), journal
	v.Serial, v.Epoch = v.head.Serial, v.head.Epoch
	l.view = &v
}

// savedState is a state that is there, and that no head names yet.
type savedState struct {
	serial      uint64
	key, digest string
}

// putState writes the state under the next serial; nil for nil.
func (l *Lease) putState(ctx context.Context, state []byte) (*savedState, error) {
	if state == nil {
		return nil, nil
	}
	serial := l.currentHead().Serial + 1
	saved := &savedState{serial, stateKey(serial, l.epoch), digestOf(state)}
	return saved, l.putObject(ctx, saved.key, state)
}

// pointHead makes the head name the state, if it is not nil, and says so by a mark. Every head that names another state
// or another journal than the one before is written here.
func (l *Lease) pointHead(ctx context.Context, saved *savedState, change func(*head)) error {
	before := l.currentHead().Journal
	err := l.replaceHead(ctx, func(h *head) {
		if change(h); saved != nil {
			h.Serial, h.State, h.Digest = saved.serial, saved.key, saved.digest
		}
	})
	if err != nil {
		return err
	}
	if h := l.currentHead(); saved != nil || h.Journal == 0 && before != 0 {
		// Behind the head, never before: a run that dies in between leaves a head that is believed. It is not needed
		// for what this run does, so nothing is done where it fails.
		_ = l.place.create(ctx, markKey(h.Serial, h.Epoch), []byte(h.State+"\n"))
	}
	return nil
}

// Append makes the next segment of the journal durable. With an error it may be there or not, and nothing more is sent.
func (l *Lease) Append(ctx context.Context, b []byte) error {
	<-l.appendTurn
	defer func() { l.appendTurn <- struct{}{} }()
	if err := l.putObject(context.WithoutCancel(ctx), segmentKey(l.epoch, l.next), encodeSegment(b)); err != nil {
		_ = l.loseWith(err) // after a segment that may be there, no other may get its number
		return err
	}
	l.next++
	return nil
}

// Save writes the state, if it is not nil, under the next serial, and keeps the lock. open says that the journal goes
// on to count; otherwise it ends here.
func (l *Lease) Save(ctx context.Context, state []byte, open bool) error {
	if state == nil && (open || l.currentHead().Journal == 0) {
		return nil
	}
	return l.writeHead(ctx, state, open, false)
}

// Close is Save, and gives the lock back with the same write.
func (l *Lease) Close(ctx context.Context, state []byte, open bool) error {
	err := l.writeHead(ctx, state, open, true)
	l.endRenewal()
	_ = l.loseWith(ErrLost)
	return err
}

// Release gives the lock back and leaves all else as it is.
func (l *Lease) Release(ctx context.Context) error { return l.Close(ctx, nil, true) }

func (l *Lease) writeHead(ctx context.Context, state []byte, open, release bool) error {
	ctx = context.WithoutCancel(ctx)
	saved, err := l.putState(ctx, state)
	if err != nil {
		return err
	}
	before := l.currentHead().Journal
	if release {
		l.endRenewal() // a renewal after this would name a holder again, or none for somebody else
	}
	err = l.pointHead(ctx, saved, func(h *head) {
		if !open {
			h.endJournal()
		}
		if !release {
			return
		}
		h.Holder = nil
		if time.Since(l.locked) >= l.grace {
			h.Grace = 0
		}
	})
	if err != nil {
		return err
	}
	if open {
		l.updateView(state, l.view.Journal)
		return nil
	}
	l.updateView(state, nil)
	l.deleteUnreached(ctx, before, l.next)
	l.next = 0
	return nil
}

func (l *Lease) endRenewal() {
	l.stop()
	<-l.done
}

// currentHead returns the head as this run last wrote it.
func (l *Lease) currentHead() head {
	<-l.headTurn
	defer func() { l.headTurn <- struct{}{} }()
	return l.head
}

// deleteUnreached removes what no head reaches any more: segments, and states that are kept no longer. The fence stays
// for ever: at its number a writer that woke up would otherwise find room, and be told that what it appended is
// durable.
func (l *Lease) deleteUnreached(ctx context.Context, epoch uint64, segments int) {
	keys := l.garbage
	l.garbage = nil
	for i := range segments {
		if epoch != 0 {
			keys = append(keys, segmentKey(epoch, i))
		}
	}
	if len(keys) > 0 {
		_, _ = callOnce(ctx, l.place.timeLimit(0), func(ctx context.Context) (int, error) {
			return 0, l.place.store.Delete(ctx, keys...)
		})
	}
}
