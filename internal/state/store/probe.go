package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"agentsync/internal/crash"
)

// ProbePrefix begins the keys of what Probe writes and removes again.
const ProbePrefix = "probe/"

// probeWriters is how many writers race for each condition.
const probeWriters = 16

// UnfitError says what a place does that a shared state cannot live with.
type UnfitError struct {
	// Place is the store's name; Detail is what it does, in one sentence.
	Place, Detail string
	Err           error
}

// Error names the place and what it does.
func (e *UnfitError) Error() string {
	text := e.Place + " cannot keep a shared state: " + e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the store's own error.
func (e *UnfitError) Unwrap() error { return e.Err }

// Durable is what a Store has besides where its server says of itself whether what it acknowledged survives a power
// cut: an *UnfitError.
type Durable interface {
	Durable(ctx context.Context) error
}

// Probe checks that a place keeps the contract of Store, and writes nothing but below ProbePrefix. An *UnfitError says
// what it ignores; any other error says nothing about the place.
func Probe(ctx context.Context, s Store) error {
	p := placeProber{ctx: ctx, store: s, prefix: ProbePrefix + strings.ToLower(rand.Text()) + "/"}
	if s, ok := s.(Durable); ok {
		if err := s.Durable(ctx); err != nil {
			return err
		}
	}
	defer p.removeProbe()
	for _, check := range []func() error{p.checkCreate, p.checkReplace, p.checkList, p.checkRaces} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

type placeProber struct {
	ctx    context.Context
	store  Store
	prefix string
}

func (p *placeProber) unfitError(detail string, err error) error {
	if errors.Is(err, ErrDenied) || p.ctx.Err() != nil {
		return fmt.Errorf("probe %s: %w", p.store.Name(), err)
	}
	return &UnfitError{Place: p.store.Name(), Detail: detail, Err: err}
}

// checkCreate: put if absent, right and wrong, with the content read again.
func (p *placeProber) checkCreate() error {
	key := p.prefix + "create"
	if _, err := p.store.Get(p.ctx, key); !errors.Is(err, ErrAbsent) {
		return p.unfitError("it does not say of an object that is not there that it is not", err)
	}
	if _, err := p.store.Create(p.ctx, key, []byte("first")); err != nil {
		return p.unfitError("it refuses to write an object on the condition that none is there (If-None-Match)", err)
	}
	if err := p.checkContent(key, "first"); err != nil {
		return err
	}
	if _, err := p.store.Create(p.ctx, key, []byte("second")); !errors.Is(err, ErrExists) {
		return p.unfitError("it ignores the condition that no object is there (If-None-Match), and overwrites", err)
	}
	return p.checkContent(key, "first")
}

// checkReplace: put if unchanged, right, stale and where nothing is.
func (p *placeProber) checkReplace() error {
	key := p.prefix + "replace"
	first, err := p.store.Create(p.ctx, key, []byte("first"))
	if err != nil {
		return p.unfitError("it refuses to write a second object", err)
	}
	second, err := p.store.Replace(p.ctx, key, []byte("second"), first)
	if err != nil {
		return p.unfitError("it refuses to write an object on the condition that it is unchanged (If-Match)", err)
	}
	if o, err := p.store.Get(p.ctx, key); err != nil || o.Tag != second {
		return p.unfitError("the tag of an object that is read is not the one that its writer got", err)
	}
	if _, err := p.store.Replace(p.ctx, key, []byte("third"), first); !errors.Is(err, ErrChanged) {
		return p.unfitError("it ignores the condition that an object is unchanged (If-Match), and overwrites", err)
	}
	if err := p.checkContent(key, "second"); err != nil {
		return err
	}
	if _, err := p.store.Replace(p.ctx, p.prefix+"none", []byte("x"), first); !errors.Is(err, ErrChanged) {
		return p.unfitError("it writes an object on the condition that it is unchanged (If-Match) where none is", err)
	}
	return nil
}

// checkList: what was written is listed, and nothing else.
func (p *placeProber) checkList() error {
	want := []string{p.prefix + "create", p.prefix + "replace"}
	got, err := p.store.List(p.ctx, p.prefix)
	if err != nil || !slices.Equal(got, want) {
		return p.unfitError(fmt.Sprintf("its list is not what was written: %d keys instead of %d", len(got), len(want)),
			err)
	}
	return nil
}

// checkRaces: of several writers at once exactly one succeeds, for each condition, and its content is there.
func (p *placeProber) checkRaces() error {
	created, winners := p.raceWriters("create", func(b []byte) error {
		_, err := p.store.Create(p.ctx, p.prefix+"race", b)
		return err
	}, ErrExists)
	if winners != nil {
		return p.unfitError("two writers at once can both be told that no object was there (If-None-Match is not atomic)",
			winners)
	}
	o, err := p.store.Get(p.ctx, p.prefix+"race")
	if err != nil || !bytes.Equal(o.Content, created) {
		return p.unfitError("the content is not that of the writer who was told that it won (If-None-Match is not atomic)",
			err)
	}
	replaced, winners := p.raceWriters("replace", func(b []byte) error {
		_, err := p.store.Replace(p.ctx, p.prefix+"race", b, o.Tag)
		return err
	}, ErrChanged)
	if winners != nil {
		return p.unfitError("two writers at once can both be told that the object was unchanged (If-Match is not atomic)",
			winners)
	}
	if o, err = p.store.Get(p.ctx, p.prefix+"race"); err != nil || !bytes.Equal(o.Content, replaced) {
		return p.unfitError("the content is not that of the writer who was told that it won (If-Match is not atomic)",
			err)
	}
	return nil
}

// raceWriters returns the content of the one writer that succeeded, or why there is not exactly one. No content is ever
// written twice: a tag can be a digest, and then a second writer would find the object unchanged, and rightly.
func (p *placeProber) raceWriters(kind string, write func([]byte) error, lost error) ([]byte, error) {
	errs := make([]error, probeWriters)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			defer crash.Guard()
			errs[i] = write([]byte(fmt.Sprint(kind, " by writer ", i)))
		})
	}
	wg.Wait()
	var winner []byte
	for i, err := range errs {
		switch {
		case err == nil && winner != nil:
			return nil, fmt.Errorf("writers %d and another won", i)
		case err == nil:
			winner = []byte(fmt.Sprint(kind, " by writer ", i))
		case !errors.Is(err, lost):
			return nil, err
		}
	}
	if winner == nil {
		return nil, errors.New("nobody won")
	}
	return winner, nil
}

func (p *placeProber) checkContent(key, want string) error {
	o, err := p.store.Get(p.ctx, key)
	if err != nil || string(o.Content) != want {
		return p.unfitError(fmt.Sprintf("what is read is not what was written: %.20q instead of %q", o.Content, want),
			err)
	}
	if o.Age < -clockSlack || o.Age > probeAge {
		return p.unfitError(fmt.Sprintf("it says that an object which was just written is %v old", o.Age), nil)
	}
	return nil
}

func (p *placeProber) removeProbe() {
	ctx := context.WithoutCancel(p.ctx)
	if keys, err := p.store.List(ctx, p.prefix); err == nil && len(keys) > 0 {
		_ = p.store.Delete(ctx, keys...) // what is left lies below ProbePrefix and is in nobody's way
	}
}

const (
	// clockSlack is by how much an object may come from the future: S3 says whole seconds.
	clockSlack = 2 * time.Second
	// probeAge is how old at most an object is that the probe wrote: the probe's own time.
	probeAge = 10 * time.Minute
)
