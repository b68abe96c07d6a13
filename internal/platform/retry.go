package platform

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RetryPolicy says how often a read is tried and how long is waited in between. The zero policy tries
// once.
type RetryPolicy struct {
	// Tries is how often a read is sent at the most.
	Tries uint
	// First and Max bound the wait between two tries, which grows by half each time and is spread at
	// random. A platform that asks for longer gets it.
	First, Max time.Duration
}

// DefaultRetryPolicy is for reads over a network: four tries within some seconds.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{Tries: 4, First: 500 * time.Millisecond, Max: 10 * time.Second}
}

// RetryReads returns client with its reads tried again where their outcome is unknown, throttled, or
// where they never left. It never repeats a Create, an Update or a Delete.
func RetryReads(client Client, policy RetryPolicy) Client { return retrying{client, policy} }

type retrying struct {
	Client
	policy RetryPolicy
}

// List implements Client. Of a list that comes in pages a page is tried again alone: the longer a list,
// the less likely it is to be read without a fault. The list as a whole is tried again where its pages
// do not fit together, because agents came or went meanwhile.
func (r retrying) List(ctx context.Context) ([]Remote, error) {
	list := r.Client.List
	if p, ok := r.Client.(Pager); ok {
		list = func(ctx context.Context) ([]Remote, error) { return p.ListPages(ctx, r.page) }
	}
	return retry(ctx, r.policy, list)
}

// page implements the try of Pager.
func (r retrying) page(ctx context.Context, read func(context.Context) error) error {
	_, err := retry(ctx, r.policy, func(ctx context.Context) (struct{}, error) { return struct{}{}, read(ctx) })
	if err != nil {
		return tried{err}
	}
	return nil
}

// tried is an error after as many tries as the policy allows.
type tried struct{ error }

func (t tried) Unwrap() error { return t.error }

// Read implements Client.
func (r retrying) Read(ctx context.Context, uid string) (Remote, error) {
	return retry(ctx, r.policy, func(ctx context.Context) (Remote, error) { return r.Client.Read(ctx, uid) })
}

func retry[T any](ctx context.Context, p RetryPolicy, read func(context.Context) (T, error)) (T, error) {
	var last error
	wait := &backoff.ExponentialBackOff{
		InitialInterval: p.First, MaxInterval: p.Max, Multiplier: 1.5, RandomizationFactor: 0.5,
	}
	got, err := backoff.Retry(ctx, func() (T, error) {
		v, err := read(ctx)
		last = err
		if err != nil && !worthwhile(ctx, err) {
			return v, backoff.Permanent(err)
		}
		return v, asked(err)
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(max(p.Tries, 1)), backoff.WithMaxElapsedTime(0))
	if err != nil && last != nil {
		err = last // what the platform said, not that the waiting was called off
	}
	return got, err
}

// worthwhile reports whether the same read could go better a second time.
func worthwhile(ctx context.Context, err error) bool {
	var e *Error
	var doubtful *DoubtfulList
	if _, enough := errors.AsType[tried](err); enough {
		return false
	}
	if ctx.Err() != nil || !errors.As(err, &e) || errors.As(err, &doubtful) {
		return false
	}
	return e.Class == Unknown || e.Class == Throttled || e.NeverSent
}

// asked passes on how long the platform asks to wait.
func asked(err error) error {
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return &backoff.RetryAfterError{Duration: e.RetryAfter}
	}
	return err
}
