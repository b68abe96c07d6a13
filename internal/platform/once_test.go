package platform_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "the-api-key-0123456789"

// caller returns a Caller over the real stack.
func caller(t *testing.T, base string, conf *tls.Config) *platform.Caller {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	hc, err := httpx.NewClient(httpx.Options{
		Base: u, KeyHeader: "apikey", Key: secret.Literal(testKey), TLS: conf, Pace: httpx.NewPace(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hc.CloseIdleConnections)
	return platform.NewCaller(hc, u)
}

var body = agent.Fields{"name": "a", "token": secret.Literal("Bearer s3cr3t-value-42")}

// changes are the requests that must not be sent twice.
var changes = []platform.Request{
	{Method: http.MethodPost, Path: []string{"agents"}, Body: agent.ContentOf(body)},
	{Method: http.MethodPatch, Path: []string{"agents", "u1"}, Body: agent.ContentOf(body)},
	{Method: http.MethodDelete, Path: []string{"agents", "u1"}},
}

// oneUnknown warms the connection up, sends r and wants an outcome that nobody knows.
func oneUnknown(t *testing.T, c *platform.Caller, r platform.Request) {
	t.Helper()
	if err := c.Do(t.Context(), platform.Request{Method: http.MethodGet, Path: []string{"agents"}}, nil); err != nil {
		t.Fatalf("warm-up: %v", err)
	}
	err := c.Do(t.Context(), r, nil)
	var e *platform.Error
	if !errors.As(err, &e) || e.Class != platform.Unknown || e.NeverSent {
		t.Errorf("%s: %v, want an unknown outcome", r.Method, err)
	}
}

func TestReusedConnectionThatClosesIsNotTriedAgain(t *testing.T) {
	for _, r := range changes {
		t.Run(r.Method, func(t *testing.T) {
			var changes, conns atomic.Int64
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					conns.Add(1)
					serving.Go(func() { answerReadsAlone(conn, &changes) })
				}
			})
			t.Cleanup(func() { _ = l.Close(); serving.Wait() })
			oneUnknown(t, caller(t, "http://"+l.Addr().String(), nil), r)
			if changes.Load() != 1 || conns.Load() != 1 {
				t.Errorf("%d requests over %d connections, want 1 over 1", changes.Load(), conns.Load())
			}
		})
	}
}

// answerReadsAlone answers GETs with 200 and closes the connection on everything else, read whole.
func answerReadsAlone(conn net.Conn, changes *atomic.Int64) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if req.Method != http.MethodGet {
			changes.Add(1)
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var requests atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if r.URL.Path == "/agents" {
				http.Redirect(w, r, "/elsewhere", status)
			}
		}))
		err := caller(t, s.URL, nil).Do(t.Context(), changes[0], nil)
		if platform.ClassOf(err) != platform.Unknown || requests.Load() != 1 {
			t.Errorf("%d: %v after %d requests", status, err, requests.Load())
		}
		s.Close()
	}
}

// A failed TLS handshake and a refused connection are proof that nothing left; a client that does not
// report what it does is none.
func TestNeverSentNeedsProof(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // the failed handshake is meant
	defer s.Close()
	unknownCA := caller(t, s.URL, &tls.Config{MinVersion: tls.VersionTLS12})
	var e *platform.Error
	if err := unknownCA.Do(t.Context(), changes[0], nil); !errors.As(err, &e) || !e.NeverSent ||
		e.Class != platform.Refused {
		t.Errorf("failed handshake: %v", err)
	}
	u, _ := url.Parse("http://127.0.0.1:1")
	silent := platform.NewCaller(&http.Client{Transport: failing{}}, u)
	if err := silent.Do(t.Context(), changes[0], nil); !errors.As(err, &e) || e.NeverSent ||
		e.Class != platform.Unknown {
		t.Errorf("a transport without a trace: %v", err)
	}
	called, cancel := context.WithCancel(t.Context())
	cancel()
	if err := caller(t, s.URL, nil).Do(called, changes[0], nil); !errors.As(err, &e) || !e.NeverSent ||
		!errors.Is(err, context.Canceled) {
		t.Errorf("called off before it left: %v", err)
	}
}

type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

// What was read of an answer to its end, and then found to be broken, has left its connection to the next request: it
// must not be closed under that one.
func TestABrokenAnswerClosesNoOtherRequestsConnection(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, `{"uid": "u1"}`)
	_ = z.Close()
	broken := packed.Bytes()
	broken[len(broken)-8]++ // its checksum
	asked, answer := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			close(asked)
			<-answer
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(broken)
		}
	}))
	t.Cleanup(s.Close)
	u, _ := url.Parse(s.URL)
	hc, err := httpx.NewClient(httpx.Options{Base: u, KeyHeader: "apikey", Key: secret.Literal(testKey),
		Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hc.CloseIdleConnections)
	c := platform.NewCaller(hc, u)
	over, second := make(chan struct{}), make(chan error)
	go func() {
		<-asked
		ctx := platform.BeforeSend(t.Context(), func() error {
			<-over // it has the connection of the first one by now
			return nil
		})
		close(answer)
		second <- c.Do(ctx, changes[1], nil)
	}()
	if err := c.Do(t.Context(), changes[0], nil); platform.ClassOf(err) != platform.Unknown {
		t.Errorf("%v, want an unknown outcome", err)
	}
	close(over)
	if err := <-second; err != nil {
		t.Errorf("the next request: %v", err)
	}
}
