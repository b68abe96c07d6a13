package workspace

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/checkout"
	"agentsync/internal/exit"
	"agentsync/internal/httpx"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/state/store/s3"
	"agentsync/internal/ui"
)

// IsShared reports whether --state names a shared place, and not a file.
func IsShared(name string) bool { return strings.Contains(name, "://") }

// The bounds of lease=… in a URL: shorter, and one slow answer of the store ends the run; longer, and a run that died
// blocks the others for as long.
const (
	minLease = 10 * time.Second
	maxLease = 10 * time.Minute
)

// OpenState returns the state that --state names, a file or a shared place. request is how long one request of this
// command to a platform may last. Nothing is read yet.
func OpenState(u *ui.UI, name string, request time.Duration) (*state.File, error) {
	if !IsShared(name) {
		return state.NewFile(name, TellHolder(u)), nil
	}
	place, err := OpenPlace(u, name, request)
	if err != nil {
		return nil, err
	}
	return state.NewShared(place), nil
}

// TellHolder lets whoever waits for the lock of a state file know who has it.
func TellHolder(u *ui.UI) state.Option {
	return state.WithWaiting(func(held *state.LockedError) { u.TellHolder(held) })
}

// LoadState reads the state that --state names, without a lock, for a command that sends nothing.
func LoadState(ctx context.Context, u *ui.UI, name string) (*state.File, *state.Snapshot, error) {
	file, err := OpenState(u, name, 0)
	if err != nil {
		return nil, nil, err
	}
	snap, err := file.Load(ctx)
	return file, snap, exit.OfState(err)
}

// OpenPlace returns the shared place that a URL names.
func OpenPlace(u *ui.UI, name string, request time.Duration) (*shared.Place, error) {
	s, lease, err := OpenStore(name)
	if err != nil {
		return nil, err
	}
	return shared.Open(s, shared.Options{Lease: lease, Request: request,
		Waiting: func(held *state.LockedError) { u.TellHolder(held) }}), nil
}

// OpenStore returns the store that a URL names, and the lease that it asks for, 0 for the default. No error shows the
// URL, which may hold what must not be in it.
func OpenStore(name string) (s store.Store, lease time.Duration, err error) {
	bad := func(err error) error {
		return exit.Usagef("--state: %w", err).Hinted("see how a shared state is named:\n  agentsync state init --help")
	}
	scheme, _, _ := strings.Cut(name, "://")
	if !slices.Contains([]string{"s3", "postgres", "postgresql"}, scheme) {
		return nil, 0,
			bad(fmt.Errorf("there is no shared state of the kind %q: there are s3://bucket/prefix and postgres://user@host/db", scheme))
	}
	u, err := url.Parse(name)
	if err != nil {
		return nil, 0, bad(errors.New("the URL cannot be read"))
	}
	query := u.Query()
	if text := query.Get("lease"); query.Has("lease") {
		lease, err = time.ParseDuration(text)
		if err != nil || lease < minLease || lease > maxLease {
			return nil, 0, bad(fmt.Errorf("lease=%s in the URL is no time from %s to %s, such as 60s", text, "10s",
				"10m"))
		}
		query.Del("lease")
		u.RawQuery = query.Encode()
	}
	if scheme == "s3" {
		if err := httpx.CheckProxy(os.Getenv); err != nil { //nolint:forbidigo // as http.ProxyFromEnvironment reads it
			return nil, 0, exit.Usagef("%w", err).Hinted("set it right, or unset it")
		}
		s, err = s3.Open(u.String())
	} else {
		s, err = postgres.Open(u.String())
	}
	if err != nil {
		return nil, 0, bad(err)
	}
	return s, lease, nil
}

// NoWait is a time to wait for a lock that somebody wrote as 0: not even a holder that most likely died is waited for.
const NoWait = time.Nanosecond

// Lock takes the state's lock for a command, saying who waits for whom. The error is a *state.LockedError where another
// run has it.
func Lock(ctx context.Context, u *ui.UI, file *state.File, command string,
	wait time.Duration) (unlock func() error, err error) {
	within := func(wait time.Duration) (func() error, error) {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		u.WaitForLock(wait > 0)
		return file.Lock(ctx, Holder(u, command))
	}
	unlock, err = within(wait)
	locked, isLocked := errors.AsType[*state.LockedError](err)
	if isLocked && locked.Watch > wait && wait != NoWait && ctx.Err() == nil {
		// Its holder is most likely dead. A pipeline that does not say how long it waits would otherwise never get by.
		unlock, err = within(locked.Watch)
		_, isLocked = errors.AsType[*state.LockedError](err)
	}
	if err != nil && !isLocked {
		return nil, exit.OfState(err)
	}
	return unlock, err
}

// Lock takes the lock of the workspace's state, and reads the state again: what was read before may be old by then.
func (w *Workspace) Lock(ctx context.Context, command string, wait time.Duration) (unlock func(), err error) {
	free, err := Lock(ctx, w.UI, w.File, command, wait)
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = free() } // the kernel, or the end of the lease, frees it at the latest
	if err := w.Load(ctx); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// Holder says who takes the lock, the CI job included.
func Holder(u *ui.UI, command string) state.Holder {
	h := state.Holder{PID: os.Getpid(), Command: command, Started: time.Now(), RunURL: checkout.Job(u.Getenv)}
	h.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		h.User = u.Username
	}
	return h
}

// Edit changes a state that no workspace is open on, under its lock.
func Edit(
	ctx context.Context, u *ui.UI, name, command string, wait time.Duration,
	change func(s *state.State, name string) error,
) error {
	file, err := OpenState(u, name, 0)
	if err != nil {
		return err
	}
	unlock, err := Lock(ctx, u, file, command, wait)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the kernel, or the end of the lease, frees it at the latest
	snap, err := file.Load(ctx)
	if err != nil {
		return exit.OfState(err)
	}
	err = file.Edit(ctx, snap, func(s *state.State) error { return change(s, file.Name()) })
	if _, ok := errors.AsType[*exit.Failure](err); ok { // of change
		return err
	}
	return exit.OfState(err)
}

// Record enters results into the state, for a command that sends nothing but reads. text is about how many bytes of
// texts they hold. make gets the state's lineage, under which secrets are sealed. The lock is held.
func (w *Workspace) Record(ctx context.Context, changes, text int,
	make func(lineage string) ([]state.Result, error)) error {
	run, err := w.File.Begin(ctx, w.Snap, journalRoom(changes, text))
	if err != nil {
		return exit.OfState(err)
	}
	// Only the run knows under which lineage a new state's secrets are sealed.
	results, err := make(run.Lineage())
	if err == nil {
		err = run.Commit(results...)
	}
	// Also after an error: the journal must not stay open, and what an earlier run left in it belongs into the state.
	return errors.Join(err, w.EndRun(ctx, run))
}

// BeginRun opens the journal for a plan, which is nil where only requests without an answer are recovered.
func (w *Workspace) BeginRun(ctx context.Context, p *plan.Plan) (*state.Run, error) {
	bytes := journalRoom(2*len(w.Snap.Open), 0)
	if p != nil {
		text := 0
		for _, ch := range p.Changes {
			text += len(ch.Wanted)
			for _, fc := range ch.Fields {
				text += TextLen(fc.After)
			}
		}
		bytes += journalRoom(len(p.Changes)+len(p.RecordUpdates), text)
	}
	run, err := w.File.Begin(ctx, w.Snap, bytes)
	return run, exit.OfState(err)
}

// EndRun writes the state file. Where that fails, the state goes to a file of its own, so that no uid
// is lost with the machine; and where that fails as well, the uids go to stderr.
func (w *Workspace) EndRun(ctx context.Context, run *state.Run) error {
	err := run.Close(ctx)
	if err == nil {
		return nil
	}
	s := run.State()
	// The journal has everything still, but it may be on the very disk, or in the very place, that failed.
	saved, rescueErr := w.File.Rescue(s)
	if rescueErr != nil {
		for _, addr := range s.Addresses() {
			w.Printf("%s %s", addr, show.Line(s.Agents[addr].UID))
		}
		return &exit.Failure{Code: exit.Failed, Err: errors.Join(err, rescueErr),
			Hint: "the uids are listed above; take each back with: agentsync import ADDRESS UID"}
	}
	how := "merge"
	if IsShared(w.State) {
		how = "push"
	}
	return exit.With(exit.Failed, "%w", err).
		Hinted(fmt.Sprintf("every uid is in %s; when the cause is mended, take them back:\n  agentsync state %s %s",
			saved, how, saved))
}

// journalRoom is a generous guess at the journal's size, in bytes: each string may stand in the intent, in what was
// applied and in what was observed.
func journalRoom(changes, text int) int64 { return int64(1<<16 + changes*2048 + text*4) }

// TextLen is how many bytes the strings in v hold.
func TextLen(v any) (n int) {
	for leaf := range agent.Leaves(v) {
		if text, ok := leaf.(string); ok {
			n += len(text)
		}
	}
	return n
}
