package platformtest

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/openapitest"
	"agentsync/internal/platform"
	"agentsync/internal/sandbox"
	"agentsync/internal/secret"
)

const rigKey = "key-of-the-conformance-suite"

// rig is an adapter's client over the real stack in front of a sandbox of its own.
type rig struct {
	t       *testing.T
	f       Fixture
	sandbox *sandbox.Server
	server  *httptest.Server
	client  platform.Client
}

// newRig starts a sandbox whose requests and answers are both held against the contract.
func newRig(t *testing.T, f Fixture, opts ...sandbox.Option) *rig {
	t.Helper()
	return start(t, f, nil, opts)
}

// newFaultyRig starts a sandbox whose answers may break the contract on purpose, see script.
func newFaultyRig(t *testing.T, f Fixture, opts ...sandbox.Option) *rig {
	t.Helper()
	return start(t, f, []openapitest.Option{openapitest.RequestsOnly()}, opts)
}

// script returns the rig for a subtest, emptied and with other faults.
func (r *rig) script(t *testing.T, faults string) *rig {
	t.Helper()
	parsed, err := sandbox.ParseFaults(faults)
	if err != nil {
		t.Fatal(err)
	}
	r.sandbox.SetFaults(parsed)
	if err := r.sandbox.Reset(); err != nil {
		t.Fatal(err)
	}
	sub := *r
	sub.t = t
	return &sub
}

func start(t *testing.T, f Fixture, checks []openapitest.Option, opts []sandbox.Option) *rig {
	t.Helper()
	s, err := sandbox.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	handler := openapitest.Middleware(t, f.Document, s, checks...)
	r := &rig{t: t, f: f, sandbox: s, server: httptest.NewServer(handler)}
	t.Cleanup(func() {
		if err := s.Close(); err != nil { // lets go of what hangs, so that the server can close
			t.Error(err)
		}
		r.server.Close()
	})
	r.client = r.clientWith(rigKey, 0)
	return r
}

// clientWith returns another client of the same app.
func (r *rig) clientWith(key string, timeout time.Duration) platform.Client {
	r.t.Helper()
	base, err := url.Parse(r.server.URL + r.f.BasePath)
	if err != nil {
		r.t.Fatal(err)
	}
	hc, err := httpx.NewClient(httpx.Options{
		Base: base, KeyHeader: r.f.Platform.APIKeyHeader(), Key: secret.Literal(key), Timeout: timeout,
		Secrets: secret.Whole(append(r.secrets(), key)...),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(hc.CloseIdleConnections)
	return r.f.Platform.Client(r.f.App, base, hc)
}

func (r *rig) agents() []sandbox.Agent {
	return r.sandbox.Agents(r.f.Platform.Name(), "")
}

func (r *rig) list() []platform.Remote {
	r.t.Helper()
	list, err := r.client.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// count returns how many requests of an operation the sandbox has seen.
func (r *rig) count(op string) int {
	return r.sandbox.Counts().Requests[r.f.Platform.Name()][op]
}

// noSecrets looks for the key and for every secret of the fixture in what a person would see of err.
func (r *rig) noSecrets(err error, more ...string) {
	r.t.Helper()
	if err == nil {
		return
	}
	for _, s := range append(append(more, rigKey), r.secrets()...) {
		if strings.Contains(err.Error(), s) {
			r.t.Errorf("the error shows a secret: %v", err)
		}
	}
}

// secrets returns every secret of the fixture.
func (r *rig) secrets() (all []string) {
	agent.Walk("", map[string]any(r.f.Full.Clone()), func(_ string, leaf any) any {
		if s, ok := leaf.(secret.Text); ok {
			plain, err := s.Reveal()
			if err != nil {
				r.t.Fatal(err)
			}
			all = append(all, plain)
		}
		return leaf
	})
	return all
}

// equal compares fields as the contract means it: secrets by their value.
func equal(t *testing.T, what string, want, got agent.Fields) {
	t.Helper()
	reveal := cmp.Transformer("reveal", func(s secret.Text) string {
		plain, err := s.Reveal()
		if err != nil {
			return err.Error()
		}
		return plain
	})
	if diff := cmp.Diff(want, got, reveal); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// ticking returns a clock that moves on by a millisecond with every n-th look at it.
func ticking(n int) func() time.Time {
	var mu sync.Mutex
	looks := 0
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		looks++
		return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(looks/n) * time.Millisecond)
	}
}

// identity is the field that holds an agent's name.
func identity(f Fixture) string {
	for _, field := range f.schema().Fields {
		if field.Identity {
			return field.Name
		}
	}
	return ""
}

// someChange is an update of one field.
func someChange(f Fixture) agent.Fields {
	return agent.Fields{identity(f): f.Change[identity(f)]}
}
