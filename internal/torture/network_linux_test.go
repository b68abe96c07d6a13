package torture

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// protocols are how a platform may be spoken to.
var protocols = map[string]func(*httptest.Server){
	"plain": (*httptest.Server).Start,
	"TLS": func(s *httptest.Server) {
		s.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
		s.StartTLS()
	},
	"HTTP2": func(s *httptest.Server) { // it is offered: whether it is spoken is the client's choice
		s.EnableHTTP2 = true
		s.StartTLS()
	},
}

// inNamespace is the variable that says to a process that it has a network of its own, and which protocol to speak.
const inNamespace = "TORTURE_NAMESPACE"

// TestNetworkAway takes the network away in the middle of an apply, for longer than a request may take. What lies in
// the kernel's buffers then must not arrive when it is back, for by then it may have been sent again.
func TestNetworkAway(t *testing.T) {
	if protocol := os.Getenv(inNamespace); protocol != "" {
		networkAway(t, protocol)
		return
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestNetworkAway$", "-test.v")
			cmd.Env = append(os.Environ(), inNamespace+"="+protocol, builtBinary+"="+bin)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			if os.Getuid() != 0 {
				cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			}
			out, err := cmd.CombinedOutput()
			if cmd.Process == nil {
				t.Skip("a network of its own is not allowed here:", err)
			}
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// loopback turns the loopback of this process's network on or off.
func loopback(t *testing.T, up bool) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer syscall.Close(fd)
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	if up {
		request.flags = syscall.IFF_UP
	}
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS,
		uintptr(unsafe.Pointer(&request)))
	if failed != 0 {
		t.Errorf("turn the loopback to %v: %v", up, failed)
	}
}

func networkAway(t *testing.T, protocol string) {
	loopback(t, true)
	const parallel = 20
	var creates, answered atomic.Int64
	var ready, away sync.WaitGroup
	ready.Add(parallel)
	away.Add(1)
	// The second round is answered at once, and the answers are in the client's buffers when the network goes: what
	// it sends next goes nowhere.
	s := newSiteAt(t, startStranger(t, manners{after: func(q *query, status int, answer any) bool {
		if q.op != "create" {
			return false
		}
		if n := creates.Add(1); n <= parallel || n > 2*parallel {
			return false
		}
		ready.Done()
		ready.Wait()
		q.send(status, answer)
		if err := http.NewResponseController(q.w).Flush(); err != nil {
			t.Error(err)
		}
		if answered.Add(1) < parallel {
			return true
		}
		loopback(t, false)
		time.AfterFunc(3500*time.Millisecond, func() { loopback(t, true) })
		// The kernel sends again after 0.2, 0.6, 1.4, 3 and 6.2 s: what it would deliver has arrived then.
		time.AfterFunc(8*time.Second, away.Done)
		return true
	}}, protocols[protocol]))
	if cert := s.server.Certificate(); cert != nil {
		path := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
			0o644); err != nil {
			t.Fatal(err)
		}
		s.env = append(s.env, "SSL_CERT_FILE="+path)
	}
	agents, names := many(80)
	s.write(agents...)
	code, out := s.run("apply", "--auto-approve", "--parallelism", fmt.Sprint(parallel), "--timeout", "3s",
		"--settle-timeout", "3s")
	away.Wait()
	t.Logf("exit %d with the network away, %d creates arrived", code, creates.Load())
	for range 2 {
		code, out = s.run("apply", "--auto-approve", "--timeout", "5s", "--settle-timeout", "2s")
	}
	if code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	s.whole(names...)
	t.Logf("%d creates arrived for %d agents", creates.Load(), len(names))
}
