package workspace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/endpoint"
	"agentsync/internal/exit"
	"agentsync/internal/sandbox"
)

// SandboxFile is where --sandbox keeps what it made, so that a second run sees it, and SandboxState the state of such
// runs, beside it, so that it is never taken for the real one.
const (
	SandboxFile  = ".agentsync/sandbox.jsonl"
	SandboxState = ".agentsync/state.json"
)

// sandboxLineage begins the lineage of a state that was made with --sandbox, so that its uids are
// never taken for real ones, nor real ones for the sandbox's.
const sandboxLineage = "sandbox-"

// Sandbox is the embedded sandbox, listening for as long as the command runs.
type Sandbox struct {
	server   *sandbox.Server
	http     *http.Server
	listener net.Listener
}

// Listen serves a sandbox at addr, which is on loopback: whoever reached it could read what agents were sent. The
// caller must close it.
func Listen(addr string, o sandbox.Options) (*Sandbox, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !endpoint.IsLoopback(host) {
		return nil, exit.Usagef("--listen is %q; the sandbox listens on loopback only, for example 127.0.0.1:8787",
			addr)
	}
	server, err := sandbox.New(o)
	if err != nil {
		return nil, exit.Usagef("open the sandbox: %w", err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the sandbox: %w", err), server.Close())
	}
	s := &Sandbox{server: server, listener: listener,
		http: &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second}}
	go func() {
		defer crash.Guard()
		_ = s.http.Serve(listener) // ends with http.ErrServerClosed when closed
	}()
	return s, nil
}

// URL returns the sandbox's address.
func (s *Sandbox) URL() string { return "http://" + s.listener.Addr().String() }

// BaseURL returns the base URL of an app's API in the sandbox.
func (s *Sandbox) BaseURL(id agent.AppID) (*url.URL, error) {
	base, ok := sandbox.BasePath(id.Platform)
	if !ok {
		return nil, fmt.Errorf("the sandbox does not know the platform %s", id.Platform)
	}
	return url.Parse(s.URL() + strings.ReplaceAll(base, "{app}", id.App))
}

// Close stops listening, waits shortly for requests that are under way, and saves. It does so after an interrupt as
// well: the run's context is done by then.
func (s *Sandbox) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	return errors.Join(err, s.server.Close())
}

// StartSandbox starts the embedded sandbox on loopback if it is asked for and does not run yet.
func (w *Workspace) StartSandbox() (err error) {
	if w.Sandbox && w.sandbox == nil {
		w.sandbox, err = Listen("127.0.0.1:0", sandbox.Options{File: SandboxFile})
	}
	return err
}

// checkSandboxState keeps the sandbox's state and real ones apart.
func (w *Workspace) checkSandboxState() error {
	s := w.Snap.State
	isSandbox := strings.HasPrefix(s.Lineage, sandboxLineage)
	switch {
	case s.Lineage == "" && w.Sandbox:
		s.Lineage = sandboxLineage + strings.ToLower(rand.Text())
	case s.Lineage != "" && w.Sandbox && !isSandbox:
		return exit.Usagef("%s holds agents of the real platforms, so --sandbox leaves it alone", w.File.Name()).
			Hinted("keep the sandbox's state in a file of its own:\n  agentsync apply --sandbox --state " +
				SandboxState)
	case isSandbox && !w.Sandbox:
		return exit.Usagef("%s was made with --sandbox: its uids mean nothing to the real platforms", w.File.Name()).
			Hinted("go on with --sandbox, or begin anew:\n  rm " + w.State)
	}
	return nil
}
