package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"agentsync/internal/exit"
	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/state/store/s3"
)

// isShared reports whether --state names a shared place, and not a file.
func isShared(name string) bool { return strings.Contains(name, "://") }

// The bounds of lease=… in a URL: shorter, and one slow answer of the store ends the run; longer, and a run that died blocks
// the others for as long.
const (
	minLease = 10 * time.Second
	maxLease = 10 * time.Minute
)

// openState returns the state that --state names, a file or a shared place. request is how long one request of this command to
// a platform may last. Nothing is read yet.
func (a *app) openState(ctx context.Context, name string, request time.Duration) (*state.File, error) {
	if !isShared(name) {
		return state.NewFile(name), nil
	}
	place, err := a.openPlace(name, request)
	if err != nil {
		return nil, err
	}
	return state.NewShared(ctx, place), nil
}

// openPlace returns the shared place that a URL names.
func (a *app) openPlace(name string, request time.Duration) (*shared.Place, error) {
	s, lease, err := openStore(name)
	if err != nil {
		return nil, err
	}
	return shared.Open(s, shared.Options{Lease: lease, Request: request, Waiting: func(held *shared.HeldError) { a.TellHolder(state.LockedBy(held)) }}), nil
}

// openStore returns the store that a URL names, and the lease that it asks for, 0 for the default. No error shows the URL,
// which may hold what must not be in it.
func openStore(name string) (s store.Store, lease time.Duration, err error) {
	bad := func(err error) error {
		return exit.Usagef("--state: %w", err).Hinted("see how a shared state is named:\n  agentsync state init --help")
	}
	scheme, _, _ := strings.Cut(name, "://")
	if !slices.Contains([]string{"s3", "postgres", "postgresql"}, scheme) {
		return nil, 0, bad(fmt.Errorf("there is no shared state of the kind %q: there are s3://bucket/prefix and postgres://user@host/db", scheme))
	}
	u, err := url.Parse(name)
	if err != nil {
		return nil, 0, bad(errors.New("the URL cannot be read"))
	}
	query := u.Query()
	if text := query.Get("lease"); query.Has("lease") {
		lease, err = time.ParseDuration(text)
		if err != nil || lease < minLease || lease > maxLease {
			return nil, 0, bad(fmt.Errorf("lease=%s in the URL is no time from %s to %s, such as 60s", text, "10s", "10m"))
		}
		query.Del("lease")
		u.RawQuery = query.Encode()
	}
	if scheme == "s3" {
		s, err = s3.Open(u.String())
	} else {
		s, err = postgres.Open(u.String())
	}
	if err != nil {
		return nil, 0, bad(err)
	}
	return s, lease, nil
}
