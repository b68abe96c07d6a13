package platform_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
)

// peer is a server that the test plays by hand: over plain TCP, over TLS, or over TLS that offers HTTP/2.
type peer struct {
	net.Listener
	url   string
	trust *tls.Config
}

func newPeer(t *testing.T, protocols ...string) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Listener: l, url: "http://" + l.Addr().String()}
	if len(protocols) > 0 {
		lender := httptest.NewTLSServer(nil) // lends its certificate
		defer lender.Close()
		p.trust = lender.Client().Transport.(*http.Transport).TLSClientConfig
		p.Listener = tls.NewListener(l,
			&tls.Config{Certificates: lender.TLS.Certificates, NextProtos: protocols, MinVersion: tls.VersionTLS12})
		p.url = "https://" + l.Addr().String()
	}
	t.Cleanup(func() { _ = l.Close() })
	return p
}

// impatient is a Caller whose requests end soon.
func (p *peer) impatient(t *testing.T, limit time.Duration) *platform.Caller {
	t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	hc, err := httpx.NewClient(httpx.Options{Base: u, KeyHeader: "apikey", Key: secret.Literal(testKey), TLS: p.trust,
		Timeout: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hc.CloseIdleConnections)
	return platform.NewCaller(hc, u)
}

// A request that is given up is taken back from the kernel: the peer sees a reset, no end of the stream.
func TestGivenUpRequestsResetTheirConnection(t *testing.T) {
	for name, protocols := range map[string][]string{"plain": nil, "TLS": {"http/1.1"},
		"HTTP/2 offered": {"h2", "http/1.1"}} {
		for _, r := range changes {
			t.Run(name+" "+r.Method, func(t *testing.T) {
				t.Parallel()
				p := newPeer(t, protocols...)
				saw := make(chan error, 1)
				go func() {
					conn, err := p.Accept()
					if err != nil {
						saw <- err
						return
					}
					defer func() { _ = conn.Close() }()
					b := bufio.NewReader(conn)
					req, err := http.ReadRequest(b)
					if err == nil {
						_, err = io.Copy(io.Discard, req.Body)
					}
					if err == nil {
						_, err = b.ReadByte() // until the client has had enough
					}
					if secured, ok := conn.(*tls.Conn); ok && errors.Is(err, io.EOF) {
						_, err = secured.NetConn().Read(make([]byte, 1)) // what comes behind TLS's own good-bye
					}
					saw <- err
				}()
				// Long enough for a handshake on a busy machine: before it nothing is given up.
				err := p.impatient(t, 2*time.Second).Do(t.Context(), r, nil)
				if platform.ClassOf(err) != platform.Unknown || !errors.Is(err, httpx.ErrTimeout) {
					t.Errorf("got %v", err)
				}
				if err := <-saw; !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the peer saw %v, want a reset", err)
				}
			})
		}
	}
}

// Half an answer gives the request up as well.
func TestHalfAnAnswerResetsTheConnection(t *testing.T) {
	p := newPeer(t)
	saw := make(chan error, 1)
	go func() {
		conn, err := p.Accept()
		if err != nil {
			saw <- err
			return
		}
		defer func() { _ = conn.Close() }()
		b := bufio.NewReader(conn)
		req, err := http.ReadRequest(b)
		if err == nil {
			_, err = io.Copy(io.Discard, req.Body)
		}
		if err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
		}
		if err == nil {
			_, err = b.ReadByte()
		}
		saw <- err
	}()
	if err := p.impatient(t, 100*time.Millisecond).Do(t.Context(), changes[0],
		nil); platform.ClassOf(err) != platform.Unknown {
		t.Errorf("got %v", err)
	}
	if err := <-saw; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer saw %v, want a reset", err)
	}
}

// A peer that reads only after the request was given up never gets the whole of it: what it had not taken by then is
// thrown away, and not delivered later.
func TestNothingIsDeliveredAfterTheRequestIsGivenUp(t *testing.T) {
	for name, protocols := range map[string][]string{"plain": nil, "TLS": {"http/1.1"},
		"HTTP/2 offered": {"h2", "http/1.1"}} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, protocols...)
			given, whole := make(chan struct{}), make(chan error, 1)
			go func() {
				conn, err := p.Accept()
				if err != nil {
					whole <- err
					return
				}
				defer func() { _ = conn.Close() }()
				if raw, ok := conn.(*net.TCPConn); ok {
					_ = raw.SetReadBuffer(4096)
				}
				if secured, ok := conn.(*tls.Conn); ok {
					_ = secured.NetConn().(*net.TCPConn).SetReadBuffer(4096)
					if err := secured.Handshake(); err != nil {
						whole <- err
						return
					}
				}
				<-given
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					_, err = io.Copy(io.Discard, req.Body)
				}
				whole <- err
			}()
			// More than the peer's buffer takes, and less than ours: all of it was written, and a part lies here.
			text := strings.Repeat("prompt ", 300_000)
			r := platform.Request{Method: http.MethodPost, Path: []string{"agents"},
				Body: agent.ContentOf(agent.Fields{"name": text})}
			err := p.impatient(t, 300*time.Millisecond).Do(t.Context(), r, nil)
			if platform.ClassOf(err) != platform.Unknown {
				t.Errorf("got %v", err)
			}
			close(given)
			if err := <-whole; err == nil {
				t.Error("the whole request was delivered after it was given up")
			}
		})
	}
}

// An answer that is whole is no reason to close anything, whatever it says.
func TestWholeAnswersKeepTheirConnection(t *testing.T) {
	conns := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(bytes.Repeat([]byte("x"), 100))
	}))
	defer s.Close()
	c := caller(t, s.URL, nil)
	for range 5 {
		for _, r := range changes {
			if err := c.Do(t.Context(), r, nil); platform.ClassOf(err) != platform.Unknown {
				t.Error(err)
			}
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections, want one", len(conns))
	}
}
