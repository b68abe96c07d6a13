package shared

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/crash"
	"agentsync/internal/state/store"
)

// Options are what a run asks of a place.
type Options struct {
	// Lease is how long a holder may act after its last renewal, 60 s where it is 0. Renewal is three times as often.
	Lease time.Duration
	// Request is how long one request of this run to a platform may last, 30 s where it is 0.
	Request time.Duration
	// Call bounds one request to the store, 10 s where it is 0.
	Call time.Duration
	// Grace is how long this run waits before it believes that a request of before was not carried out.
	Grace time.Duration
	// Waiting, where it is not nil, is told again and again, while a lock is waited for, who has it.
	Waiting func(*LockedError)
}

// Place is a shared state in a store. It is safe for concurrent use.
type Place struct {
	store   store.Store
	options Options

	mu    sync.Mutex // guards what follows
	known *knownState
}

// knownState is the state that was read last without the lock. A state is never changed, so the lock that follows need
// not read it again: an apply would otherwise fetch it twice.
type knownState struct {
	key, digest string
	content     []byte
}

// Open returns the shared state in s. Nothing is read yet.
func Open(s store.Store, o Options) *Place {
	o.Lease, o.Request, o.Call = cmp.Or(o.Lease, time.Minute), cmp.Or(o.Request, 30*time.Second),
		cmp.Or(o.Call, 10*time.Second)
	return &Place{store: s, options: o}
}

// Name says to people where the state is.
func (p *Place) Name() string { return p.store.Name() }

// View is what a place held at one moment.
type View struct {
	Lineage string
	Serial  uint64
	Epoch   uint64
	// State is the state that counts, nil before the first.
	State []byte
	// Journal are the segments of the journal that counts, in order, one behind the other.
	Journal []byte
	// Holder has the lock, nil for nobody; Age is how long ago it was last heard of, by the store's clock.
	Holder *Holder
	Age    time.Duration

	head     head
	tag      store.Tag
	segments int   // of the journal, the fence not counted
	ends     []int // where in Journal each of them ends
	fenced   bool
}

const (
	// maxReads bounds how often a view is begun again because a run cleaned up meanwhile.
	maxReads = 20
	// readPatience is how long a request that changes nothing is made again without an answer.
	readPatience = 20 * time.Second
	// dialPatience is the same where nobody listens: more often a wrong address than a store that starts anew.
	dialPatience = 3 * time.Second
	// parallelReads is how many segments are read at once.
	parallelReads = 16
)

// ErrNoAnswer: the store said nothing in the time that a request may last.
var ErrNoAnswer = errors.New("there is no answer")

func newNonce() string { return strings.ToLower(rand.Text()) }

// callOnce runs one request within a time limit.
func callOnce[T any](ctx context.Context, limit time.Duration, do func(context.Context) (T, error)) (T, error) {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := do(within)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && !errors.Is(err, store.ErrUnreachable) {
		err = fmt.Errorf("%w in %v", ErrNoAnswer, limit.Round(time.Second))
	}
	return v, err
}

// readPatiently runs a request that changes nothing, again where it got no answer, for as long as readPatience.
func readPatiently[T any](ctx context.Context, limit time.Duration, do func(context.Context) (T, error)) (T, error) {
	for start := time.Now(); ; {
		v, err := callOnce(ctx, limit, do)
		patience := readPatience
		if errors.Is(err, store.ErrUnreachable) {
			patience = dialPatience
		}
		if err == nil || isAnswer(err) || ctx.Err() != nil || time.Since(start) > patience {
			return v, err
		}
		time.Sleep(retryPause)
	}
}

const (
	// slowestLine is how many bytes a second a connection carries at the least that is not given up.
	slowestLine = 512 << 10
	// largestState and largestSegment are what a state and a segment are taken for that are about to be read, in bytes:
	// a state of 50,000 agents has 100 MB, and a segment holds what so many requests in flight say at once.
	largestState   = 128 << 20
	largestSegment = 16 << 20
)

// timeLimit is how long a request of so many bytes may last.
func (p *Place) timeLimit(bytes int) time.Duration {
	return p.options.Call + time.Duration(bytes)*time.Second/slowestLine
}

func (p *Place) get(ctx context.Context, key string) (store.Object, error) {
	limit := p.timeLimit(0)
	switch {
	case strings.HasPrefix(key, statePrefix):
		limit = p.timeLimit(largestState)
	case strings.HasPrefix(key, journalPrefix):
		limit = p.timeLimit(largestSegment)
	}
	return readPatiently(ctx, limit, func(ctx context.Context) (store.Object, error) { return p.store.Get(ctx, key) })
}

func (p *Place) create(ctx context.Context, key string, b []byte) error {
	_, err := callOnce(ctx, p.timeLimit(len(b)), func(ctx context.Context) (store.Tag, error) {
		return p.store.Create(ctx, key, b)
	})
	return err
}

func (p *Place) replaceHead(ctx context.Context, h head, old store.Tag) (store.Tag, error) {
	return callOnce(ctx, p.timeLimit(0), func(ctx context.Context) (store.Tag, error) {
		return p.store.Replace(ctx, headKey, h.encode(), old)
	})
}

func (p *Place) list(ctx context.Context, prefix string) ([]string, error) {
	return readPatiently(ctx, p.timeLimit(0), func(ctx context.Context) ([]string, error) {
		return p.store.List(ctx, prefix)
	})
}

// Init makes the shared state, with a lineage, where there is none, and probes the place before. Where there is one
// already, whoever made it, that is no error.
func (p *Place) Init(ctx context.Context, lineage string) error { return p.InitAt(ctx, lineage, 0) }

// InitAt is Init for a state that comes from elsewhere, where it had the serial.
func (p *Place) InitAt(ctx context.Context, lineage string, serial uint64) error {
	if _, _, _, err := p.readHead(ctx); !errors.Is(err, ErrNotInitialised) {
		return err
	}
	if err := store.Probe(ctx, p.store); err != nil {
		return err
	}
	h := head{Version: headVersion, Lineage: lineage, Serial: serial, Nonce: newNonce()}
	err := p.create(ctx, headKey, h.encode())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrDenied):
		return fmt.Errorf("make a shared state in %s: %w", p.Name(), err)
	}
	if _, _, _, again := p.readHead(ctx); again == nil { // another init was first, or the answer was lost
		return nil
	}
	return fmt.Errorf("make a shared state in %s: %w", p.Name(), err)
}

// readHead reads the head. ErrNotInitialised: neither a head nor anything else is there.
func (p *Place) readHead(ctx context.Context) (head, store.Tag, time.Duration, error) {
	o, err := p.get(ctx, headKey)
	if errors.Is(err, store.ErrAbsent) {
		return head{}, "", 0, p.noHead(ctx)
	}
	if err != nil {
		return head{}, "", 0, fmt.Errorf("read %s: %w", p.Name(), err)
	}
	h, err := decodeHead(p.Name(), o.Content)
	return h, o.Tag, max(0, o.Age), err // two clocks of whole seconds, or one that was put back: as good as new
}

// noHead tells a place that is new from one whose head somebody removed.
func (p *Place) noHead(ctx context.Context) error {
	keys, err := p.list(ctx, "")
	if err != nil {
		return fmt.Errorf("read %s: %w", p.Name(), err)
	}
	newest := ""
	for _, k := range keys {
		if strings.HasPrefix(k, statePrefix) {
			newest = k
		}
		if newest == "" && strings.HasPrefix(k, journalPrefix) {
			newest = k
		}
	}
	if newest == "" {
		return fmt.Errorf("%s: %w", p.Name(), ErrNotInitialised)
	}
	return &DamageError{Place: p.Name(), Key: headKey, Detail: "it was removed, and " + newest + " is still there",
		Hint: "put it back, if the place keeps versions; or take the newest state (" + newest +
			") out, make another place by 'agentsync state init', and 'agentsync state push' it there"}
}

// Read returns what the place holds. It writes nothing and takes no lock, so it needs credentials to read alone; while
// a run goes on, it returns what was true at some moment.
func (p *Place) Read(ctx context.Context) (*View, error) {
	for range maxReads {
		h, tag, age, err := p.readHead(ctx)
		if err != nil {
			return nil, err
		}
		v := viewOf(h, tag, age)
		err = p.readAll(ctx, v)
		if err == nil {
			return v, nil
		}
		if _, isDamage := errors.AsType[*DamageError](err); !isDamage {
			return nil, err
		}
		// What is missing may have been cleaned up, and what is newer written, by a run that went on meanwhile: then
		// the head is another one.
		if _, now, _, headErr := p.readHead(ctx); headErr != nil || now == tag {
			return nil, cmp.Or(headErr, err)
		}
	}
	return nil, fmt.Errorf("read %s: runs end faster than this machine can read; try again", p.Name())
}

func viewOf(h head, tag store.Tag, age time.Duration) *View {
	return &View{Lineage: h.Lineage, Serial: h.Serial, Epoch: h.Epoch, Holder: h.Holder, Age: age, head: h, tag: tag}
}

// readAll reads what the view's head reaches, without the lock.
func (p *Place) readAll(ctx context.Context, v *View) error {
	var keys []string
	var listing errgroup.Group
	listing.Go(func() (err error) { // beside the state, which is larger: it costs a request, and hardly any time
		defer crash.Guard()
		keys, err = p.list(ctx, "")
		return err
	})
	err := p.readState(ctx, v)
	if listErr := listing.Wait(); listErr != nil {
		return fmt.Errorf("read %s: %w", p.Name(), listErr)
	}
	// First: what a head that was put back names may be gone for that reason.
	if err := cmp.Or(p.checkNewest(v.head, keys), err); err != nil {
		return err
	}
	return p.readJournal(ctx, v, keys)
}

// readState reads the state that counts, if there is one.
func (p *Place) readState(ctx context.Context, v *View) error {
	if v.head.State == "" {
		return nil
	}
	if v.State = p.recallState(v.head); v.State != nil {
		return nil
	}
	o, err := p.get(ctx, v.head.State)
	switch {
	case errors.Is(err, store.ErrAbsent):
		return &DamageError{Place: p.Name(), Key: v.head.State, Detail: "the state that head.json names is missing",
			Hint: "put it back, if the place keeps versions; an earlier one: agentsync state history, agentsync state rollback"}
	case err != nil:
		return fmt.Errorf("read %s: %w", p.Name(), err)
	case digestOf(o.Content) != v.head.Digest:
		return &DamageError{Place: p.Name(), Key: v.head.State,
			Detail: "the state is not what was written: its digest differs",
			Hint:   "put the last good version back, if the place keeps versions; an earlier state: agentsync state history, agentsync state rollback"}
	}
	v.State = o.Content
	p.rememberState(&knownState{v.head.State, v.head.Digest, o.Content})
	return nil
}

// recallState returns the state that the head names where it was read last, nil otherwise.
func (p *Place) recallState(h head) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.known; k != nil && k.key == h.State && k.digest == h.Digest {
		return k.content
	}
	return nil
}

func (p *Place) rememberState(k *knownState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = k
}

// readJournal reads segment after segment of the journal that counts, up to the fence, or to the first number that is
// free. all are the keys that the place holds, listed while the view's head was the one that counts.
func (p *Place) readJournal(ctx context.Context, v *View, all []string) error {
	if v.head.Journal == 0 {
		return nil
	}
	keys := keysBelow(all, journalOf(v.head.Journal))
	for i, key := range keys {
		if key != segmentKey(v.head.Journal, i) {
			return p.missingSegment(v, i)
		}
	}
	listed := make([][]byte, len(keys)) // nil where it is gone again
	var reading errgroup.Group
	reading.SetLimit(parallelReads)
	for i, key := range keys {
		reading.Go(func() error {
			defer crash.Guard()
			o, err := p.get(ctx, key)
			if errors.Is(err, store.ErrAbsent) {
				return nil
			}
			listed[i] = append([]byte{}, o.Content...)
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return fmt.Errorf("read %s: %w", p.Name(), err)
	}
	for i, content := range listed {
		if content == nil {
			return p.missingSegment(v, i)
		}
		if err := p.addObject(v, content); err != nil || v.fenced {
			return err
		}
	}
	// What was appended since the list: a writer that was told that its segment is durable must find it read.
	for !v.fenced {
		o, err := p.get(ctx, segmentKey(v.head.Journal, v.segments))
		switch {
		case errors.Is(err, store.ErrAbsent) && v.segments == 0:
			return p.missingSegment(v, 0) // it is written before the head names the journal
		case errors.Is(err, store.ErrAbsent):
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", p.Name(), err)
		}
		if err := p.addObject(v, o.Content); err != nil {
			return err
		}
	}
	return nil
}

// Segment names the object in which a byte of Journal stands.
func (v *View) Segment(offset int) string {
	n, _ := slices.BinarySearch(v.ends, offset+1)
	return segmentKey(v.head.Journal, n)
}

// addObject adds the next object of the journal, which may be the fence.
func (p *Place) addObject(v *View, content []byte) error {
	if isFence(content) {
		v.fenced = true
		return nil
	}
	b, whole := decodeSegment(content)
	if !whole {
		return &DamageError{Place: p.Name(), Key: segmentKey(v.head.Journal, v.segments),
			Detail: "this segment of the journal is cut, or somebody changed it",
			Hint:   "put back what was written, if the place keeps versions: it may hold uids that nothing else knows"}
	}
	v.Journal = append(v.Journal, b...)
	v.segments++
	v.ends = append(v.ends, len(v.Journal))
	return nil
}

func (p *Place) missingSegment(v *View, n int) error {
	return &DamageError{Place: p.Name(), Key: segmentKey(v.head.Journal, n),
		Detail: "this segment of the journal is missing, and later ones, or the head, show that it was there",
		Hint:   "put it back, if the place keeps versions: it may hold uids that nothing else knows"}
}
