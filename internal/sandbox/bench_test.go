package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"agentsync/internal/sandbox"
)

// BenchmarkCreate is a create in an app that already holds n agents: the cost must not grow with n.
func BenchmarkCreate(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for _, kept := range []bool{false, true} {
			b.Run(fmt.Sprintf("agents=%d/file=%t", n, kept), func(b *testing.B) {
				var o sandbox.Options
				if kept {
					o.File = filepath.Join(b.TempDir(), "sandbox.json")
				}
				s := filled(b, n, o)
				b.ReportAllocs()
				for b.Loop() {
					post(s)
				}
			})
		}
	}
}

// BenchmarkList is CometChat's whole list, without the network.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("agents=%d", n), func(b *testing.B) {
			s := filled(b, n, sandbox.Options{})
			req := httptest.NewRequest(http.MethodGet, "http://localhost"+comet, nil)
			req.Header.Set("apikey", "k")
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(discard{}, req)
			}
		})
	}
}

// BenchmarkLoopback is what a client can get at most: 64 creates in flight at 5 ms each, over loopback.
// Without any cost they would take 78 µs apiece.
func BenchmarkLoopback(b *testing.B) {
	faults, err := sandbox.ParseFaults("latency=5ms")
	if err != nil {
		b.Fatal(err)
	}
	s, err := sandbox.New(sandbox.Options{Faults: faults})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(s)
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	turns := make(chan struct{})
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for range turns {
				req, _ := http.NewRequest(http.MethodPost, srv.URL+comet, strings.NewReader(fullComet))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("apikey", "k")
				resp, err := client.Do(req)
				if err != nil {
					b.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	group.Wait()
}

func filled(b *testing.B, n int, o sandbox.Options) *sandbox.Server {
	b.Helper()
	s, err := sandbox.New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	for range n {
		post(s)
	}
	if len(s.Agents("", "")) != n {
		b.Fatal("the creates were refused")
	}
	return s
}

func post(s *sandbox.Server) {
	req := httptest.NewRequest(http.MethodPost, "http://localhost"+comet, strings.NewReader(fullComet))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("apikey", "k")
	s.ServeHTTP(discard{}, req)
}

// discard is a client that does not look.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
