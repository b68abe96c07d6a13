package platform_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// Frame types, flags and codes of HTTP/2 (RFC 9113) that the hand-written server needs.
const (
	frameHeaders, frameReset, frameSettings, frameGoAway = 0x1, 0x3, 0x4, 0x7
	flagEndStream, flagAck, flagEndHeaders               = 0x1, 0x1, 0x4
	codeRefusedStream                                    = 7
	clientPreface                                        = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	headerStatus200                                      = 0x88 // HPACK: the static table's ":status: 200"
)

// h2server answers the first request that it ever sees with 200 and every other one, when all of it
// has arrived, with frames of the test's choice.
type h2server struct {
	url      string
	client   *tls.Config
	requests atomic.Int64
	meet     func(w io.Writer, stream uint32) (end bool)

	mu    sync.Mutex
	conns []net.Conn
}

func newH2Server(t *testing.T, meet func(w io.Writer, stream uint32) (end bool)) *h2server {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // lends its certificate
	defer lender.Close()
	conf := &tls.Config{Certificates: lender.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	s := &h2server{
		url: "https://" + l.Addr().String(), meet: meet,
		client: lender.Client().Transport.(*http.Transport).TLSClientConfig,
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		serving.Wait()
	})
	return s
}

func (s *h2server) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	preface := make([]byte, len(clientPreface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != clientPreface {
		return
	}
	if writeFrame(conn, frameSettings, 0, 0, nil) != nil {
		return
	}
	for {
		kind, flags, stream, err := readFrame(conn)
		if err != nil {
			return
		}
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			err = writeFrame(conn, frameSettings, flagAck, 0, nil)
		case kind == frameHeaders:
			s.requests.Add(1)
		}
		if err != nil {
			return
		}
		if stream == 0 || flags&flagEndStream == 0 {
			continue
		}
		if s.requests.Load() == 1 {
			err = writeFrame(conn, frameHeaders, flagEndStream|flagEndHeaders, stream, []byte{headerStatus200})
		} else if s.meet(conn, stream) {
			return
		}
		if err != nil {
			return
		}
	}
}

func readFrame(r io.Reader) (kind, flags byte, stream uint32, err error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, 0, err
	}
	length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
	_, err = io.CopyN(io.Discard, r, length)
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]) &^ (1 << 31), err
}

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) error {
	frame := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, err := w.Write(append(frame, payload...))
	return err
}

// goAway says that no stream after the first was or will be looked at.
func goAway(w io.Writer, _ uint32) bool {
	payload := binary.BigEndian.AppendUint32(nil, 1)
	_ = writeFrame(w, frameGoAway, 0, 0, binary.BigEndian.AppendUint32(payload, 0))
	return true
}

// refuseStream says that this one stream was not looked at.
func refuseStream(w io.Writer, stream uint32) bool {
	_ = writeFrame(w, frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, codeRefusedStream))
	return false
}
