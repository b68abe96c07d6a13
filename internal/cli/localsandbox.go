package cli

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
	"agentsync/internal/httpx"
	"agentsync/internal/sandbox"
)

// sandboxFile is where --sandbox keeps what it made, so that a second run sees it.
const sandboxFile = ".agentsync/sandbox.jsonl"

// defaultTimeout is the time limit of one request unless --timeout says otherwise.
const defaultTimeout = httpx.DefaultTimeout

// localSandbox is the embedded sandbox, listening on loopback for as long as the command runs.
type localSandbox struct {
	server   *sandbox.Server
	http     *http.Server
	listener net.Listener
}

func (a *app) startSandbox(file string, options ...sandbox.Option) (*localSandbox, error) {
	return a.listenSandbox("127.0.0.1:0", append([]sandbox.Option{sandbox.WithFile(file)}, options...)...)
}

// listenSandbox serves a sandbox at addr.
func (a *app) listenSandbox(addr string, options ...sandbox.Option) (*localSandbox, error) {
	server, err := sandbox.New(options...)
	if err != nil {
		return nil, &Failure{Code: ExitUsage, Err: fmt.Errorf("open the sandbox: %w", err)}
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the sandbox: %w", err), server.Close())
	}
	l := &localSandbox{server: server, listener: listener, http: &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = l.http.Serve(listener) }() // ends with http.ErrServerClosed when closed
	return l, nil
}

// url returns the sandbox's address.
func (l *localSandbox) url() string { return "http://" + l.listener.Addr().String() }

// baseURL returns the base URL of an app's API in the sandbox.
func (l *localSandbox) baseURL(id agent.AppID) (*url.URL, error) {
	switch id.Platform {
	case "cometchat":
		return url.Parse(l.url() + "/cometchat/" + id.App + "/v3")
	case "mindset":
		return url.Parse(l.url())
	default:
		return nil, fmt.Errorf("the sandbox does not know the platform %s", id.Platform)
	}
}

// close stops listening, waits shortly for requests that are under way, and saves.
func (l *localSandbox) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := l.http.Shutdown(ctx)
	if err != nil {
		err = l.http.Close()
	}
	return errors.Join(err, l.server.Close())
}

// sandboxLineage begins the lineage of a state that was made with --sandbox, so that its uids are
// never taken for real ones, nor real ones for the sandbox's.
const sandboxLineage = "sandbox-"

// checkSandboxState keeps the sandbox's state and real ones apart.
func (w *workspace) checkSandboxState() error {
	s := w.snap.State
	isSandbox := strings.HasPrefix(s.Lineage, sandboxLineage)
	switch {
	case s.Lineage == "" && w.flags.sandbox:
		s.Lineage = sandboxLineage + strings.ToLower(rand.Text())
	case s.Lineage != "" && w.flags.sandbox && !isSandbox:
		return &Failure{Code: ExitUsage,
			Err:  fmt.Errorf("%s holds agents of the real platforms, so --sandbox leaves it alone", w.flags.state),
			Hint: "keep the sandbox's state in a file of its own:\n  agentsync apply --sandbox --state " + sandboxStateFile}
	case isSandbox && !w.flags.sandbox:
		return &Failure{Code: ExitUsage,
			Err:  fmt.Errorf("%s was made with --sandbox: its uids mean nothing to the real platforms", w.flags.state),
			Hint: "go on with --sandbox, or begin anew:\n  rm " + w.flags.state}
	}
	return nil
}

// sandboxStateFile is what the hint above proposes.
const sandboxStateFile = ".agentsync/state.json"
