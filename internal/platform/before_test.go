package platform_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"agentsync/internal/platform"
)

// What BeforeSend is given is called once for each request, also where a connection is used again, and what it
// refuses never leaves.
func TestBeforeSend(t *testing.T) {
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer,
		"TLS": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			var arrived atomic.Int64
			s := start(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
			defer s.Close()
			conf := s.Client().Transport.(*http.Transport).TLSClientConfig
			c := caller(t, s.URL, conf)
			called, refuse := 0, error(nil)
			leaving := func() error { called++; return refuse }
			for range 2 {
				for _, r := range changes {
					if err := c.Do(platform.BeforeSend(t.Context(), leaving), r, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			if called != 6 || arrived.Load() != 6 {
				t.Errorf("called %d times for %d requests, want 6 and 6", called, arrived.Load())
			}
			refuse = errors.New("the lease is lost")
			for _, r := range append(changes, platform.Request{Method: http.MethodGet}) {
				err := c.Do(platform.BeforeSend(t.Context(), leaving), r, nil)
				var e *platform.Error
				if !errors.As(err, &e) || e.Class != platform.Refused || !e.NeverSent || !errors.Is(err, refuse) {
					t.Errorf("%s: %v, want one that never left", r.Method, err)
				}
			}
			if called != 10 || arrived.Load() != 6 {
				t.Errorf("called %d times for %d requests, want 10 and 6", called, arrived.Load())
			}
		})
	}
}

// A request that gets no connection calls nothing: it has not begun to leave.
func TestBeforeSendIsNotCalledWithoutAConnection(t *testing.T) {
	called := false
	ctx := platform.BeforeSend(t.Context(), func() error { called = true; return nil })
	if err := caller(t, "http://127.0.0.1:1", nil).Do(ctx, changes[0], nil); err == nil || called {
		t.Errorf("%v, called: %v", err, called)
	}
}
